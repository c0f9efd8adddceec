"""From a profile's table in a file to a profile: references followed, mistakes put in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import SecretStr, ValidationError

from ..errors import ConfigError
from ..profile import Profile, mapping_fields, secret_fields
from .file import ProfileFile, suggestion
from .providers import installed_providers, load_adapter_type

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["make_profile", "reference"]

_SECRET_HEADER: Final = re.compile(r"auth|key|token|cookie|secret", re.IGNORECASE)


def make_profile(file: ProfileFile, name: str, environ: Mapping[str, str]) -> Profile:
    """Make the profile that a file calls by this name.

    A value may be `{ env = "NAME" }` or `{ file = "path" }`, the path relative to the profile file;
    a secret must be. Raises `ConfigError`, naming file, line, key and fix.
    """
    table = dict(file.profiles[name])
    profile_type = _profile_type(file, name, table.get("provider"))
    if "name" in table:
        raise ConfigError(
            f"{file.place('profiles', name, 'name')} cannot be set: the profile's name is that of "
            "its table."
        )
    secret, mappings = secret_fields(profile_type), mapping_fields(profile_type)
    values: dict[str, Any] = {}
    for key, value in table.items():
        reader = _Reader(file, ("profiles", name, key), environ)
        if key in secret:
            values[key] = reader.secret(value)
        elif key == "headers" and isinstance(value, dict):
            values[key] = reader.headers(cast("dict[str, Any]", value))
        else:
            # In a mapping `env` may be anybody's key.
            values[key] = value if key in mappings else reader.plain(value)
    try:
        return profile_type.model_validate({**values, "name": name})
    except ConfigError as exc:
        raise ConfigError(f"{file.place('profiles', name)}: {exc}") from exc
    except ValidationError as exc:
        # Its text may repeat what was passed, so it is not kept as the cause.
        raise ConfigError(_explained(exc, file, name, profile_type)) from None


def reference(value: object) -> tuple[str, str] | None:
    """Read `{ env = "NAME" }` or `{ file = "path" }`; `None` for anything else."""
    if isinstance(value, dict) and len(cast("dict[str, Any]", value)) == 1:
        kind, target = next(iter(cast("dict[str, Any]", value).items()))
        if kind in ("env", "file") and isinstance(target, str):
            return kind, target
    return None


def _profile_type(file: ProfileFile, name: str, provider: object) -> type[Profile]:
    known = list(installed_providers())
    if not isinstance(provider, str):
        choice = " or ".join(f'"{each}"' for each in known)
        raise ConfigError(
            f"{file.place('profiles', name)} has no provider: set provider = {choice}."
        )
    if provider not in known:
        raise ConfigError(
            f"{file.place('profiles', name, 'provider')}: there is no provider {provider!r} here; "
            f"{suggestion(provider, known)}"
        )
    return load_adapter_type(provider).profile_type


class _Reader:
    """Reads one value of a file."""

    def __init__(
        self, file: ProfileFile, keys: tuple[str, ...], environ: Mapping[str, str]
    ) -> None:
        self._file = file
        self._keys = keys
        self._environ = environ

    def plain(self, value: object) -> object:
        found = reference(value)
        return value if found is None else self._follow(*found)

    def secret(self, value: object) -> SecretStr:
        found = reference(value)
        if found is None:
            raise ConfigError(
                f"{self._place} must not hold a secret. Secrets come from the environment, "
                f'{self._keys[-1]} = {{ env = "NAME" }}, or from a file that you point at, '
                f'{self._keys[-1]} = {{ file = "path" }}; in code also from a function.'
            )
        return SecretStr(self._follow(*found))

    def headers(self, values: Mapping[str, object]) -> dict[str, object]:
        """Only a header whose name sounds like a secret must be a reference."""
        read: dict[str, object] = {}
        for name, value in values.items():
            inner = _Reader(self._file, (*self._keys, name), self._environ)
            read[name] = inner.secret(value) if _SECRET_HEADER.search(name) else inner.plain(value)
        return read

    @property
    def _place(self) -> str:
        return self._file.place(*self._keys)

    def _follow(self, kind: str, target: str) -> str:
        if kind == "env":
            value = self._environ.get(target)
            if not value:
                raise ConfigError(
                    f"{self._place} is to come from the environment variable {target}, which is "
                    "not set: set it."
                )
            return value
        path = self._file.path.parent / Path(target).expanduser()
        try:
            value = path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise ConfigError(
                f"{self._place} is to come from {path}, which cannot be read: {type(exc).__name__}."
            ) from exc
        if not value:
            raise ConfigError(f"{self._place} is to come from {path}, which is empty.")
        return value


def _explained(
    error: ValidationError, file: ProfileFile, name: str, profile_type: type[Profile]
) -> str:
    return "\n".join(_line(each, file, name, profile_type) for each in error.errors())


def _line(each: ErrorDetails, file: ProfileFile, name: str, profile_type: type[Profile]) -> str:
    keys = [str(key) for key in each["loc"]]
    where = file.place("profiles", name, *keys)
    if each["type"] == "extra_forbidden":
        known = [field for field in profile_type.model_fields if field != "name"]
        return f"{where} is no setting of provider {file.profiles[name]['provider']!r}: " + (
            suggestion(keys[0], known)
        )
    value = each["input"]
    shown = f", not {value!r}" if isinstance(value, str | int | float) and len(keys) == 1 else ""
    message = each["msg"].removeprefix("Value error, ")
    return f"{where}: {message[0].lower()}{message[1:]}{shown}"
