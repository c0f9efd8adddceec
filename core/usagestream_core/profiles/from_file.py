"""From a profile's table in a file to a profile: references followed, mistakes put in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import SecretStr, ValidationError

from ..errors import ConfigError
from ..profile import Profile, check_all, mapping_fields, secret_fields
from .file import ProfileFile, suggestion
from .providers import installed_providers, load_adapter_type
from .references import path_of, reference

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["make_profile"]

_SECRET_HEADER: Final = re.compile(r"auth|key|token|cookie|secret", re.IGNORECASE)

_STAND_IN: Final = "not-read"


def make_profile(file: ProfileFile, name: str, environ: Mapping[str, str]) -> Profile:
    """Make the profile that a file calls by this name.

    A value may be `{ env = "NAME" }` or `{ file = "path" }`, the path relative to the profile file;
    a secret must be. Raises `ConfigError`, naming file, line, key and fix of every mistake.
    """
    mistakes: list[str] = []
    table = file.profiles[name]
    kind: type[Profile] | None = None
    try:
        kind = _profile_type(file, name, table.get("provider"))
    except ConfigError as exc:
        mistakes.append(str(exc))
    if "name" in table:
        mistakes.append(
            f"{file.place('profiles', name, 'name')} cannot be set: the profile's name is that of "
            "its table."
        )
    values, unread = _read(file, name, kind or Profile, environ)
    mistakes += unread.values()
    if kind is not None:
        made, more = _validated(file, name, kind, values, unread)
        if made is not None and not mistakes and not more:
            return made
        mistakes += more
        if made is not None and unread.keys() <= secret_fields(kind):
            mistakes += _what_else(file, made, environ)
    raise ConfigError("\n".join(mistakes))


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


def _read(
    file: ProfileFile, name: str, kind: type[Profile], environ: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The values of a table, and by key what cannot be read: a secret has a stand-in then."""
    secret, mappings = secret_fields(kind), mapping_fields(kind)
    values: dict[str, Any] = {"name": name}
    unread: dict[str, str] = {}
    for key, value in file.profiles[name].items():
        reader = _Reader(file, ("profiles", name, key), environ)
        try:
            if key in secret:
                values[key] = reader.secret(value)
            elif key == "headers" and isinstance(value, dict):
                values[key] = reader.headers(cast("dict[str, Any]", value))
            elif key != "name":
                # In a mapping `env` may be anybody's key.
                values[key] = value if key in mappings else reader.plain(value)
        except ConfigError as exc:
            unread[key] = str(exc)
            if key in secret:
                values[key] = SecretStr(_STAND_IN)
    return values, unread


def _validated(
    file: ProfileFile,
    name: str,
    kind: type[Profile],
    values: Mapping[str, Any],
    unread: Mapping[str, str],
) -> tuple[Profile | None, list[str]]:
    """Make the profile, and say all that is wrong with it.

    What is wrong is left out, and the rest looked at again: checks of the whole come after those of
    each value.
    """
    mistakes: list[str] = []
    left_out = unread.keys() - values.keys()
    while True:
        given = {key: value for key, value in values.items() if key not in left_out}
        try:
            return kind.model_validate(given), mistakes
        except ConfigError as exc:
            return None, mistakes + _at(file, name, exc)
        except ValidationError as exc:
            # Its text may repeat what was passed, so it is not kept as the cause.
            found = [each for each in exc.errors() if _key(each) not in left_out]
        mistakes += [_line(each, file, name, kind) for each in found]
        wrong = {key for each in found if (key := _key(each)) is not None}
        if not wrong:
            return None, mistakes
        left_out |= wrong


def _what_else(file: ProfileFile, made: Profile, environ: Mapping[str, str]) -> list[str]:
    """What would still be wrong with a profile if its mistakes were mended.

    A key that the environment has not is no mistake of the file's.
    """
    secret = secret_fields(type(made))
    stand_ins = {each: _STAND_IN for field, each in made.variables.items() if field in secret}
    try:
        load_adapter_type(made.provider)(made.filled({**stand_ins, **environ})).close()
    except ConfigError as exc:
        return _at(file, made.name or "", exc)
    return []


def _at(file: ProfileFile, name: str, error: ConfigError) -> list[str]:
    return [f"{file.place('profiles', name)}: {line}" for line in str(error).splitlines()]


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

        def header(name: str, value: object) -> None:
            inner = _Reader(self._file, (*self._keys, name), self._environ)
            read[name] = inner.secret(value) if _SECRET_HEADER.search(name) else inner.plain(value)

        checks: list[Callable[[], object]] = [
            partial(header, name, value) for name, value in values.items()
        ]
        check_all(*checks)
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
        path = path_of(self._file, target)
        try:
            value = path.read_text("utf-8-sig").strip()
        except (OSError, ValueError) as exc:
            # Not the whole of it: an error of decoding quotes what is in the file.
            why = (isinstance(exc, OSError) and exc.strerror) or type(exc).__name__
            raise ConfigError(
                f"{self._place} is to come from {path}, which cannot be read: {why}."
            ) from exc
        if not value:
            raise ConfigError(f"{self._place} is to come from {path}, which is empty.")
        return value


def _key(each: ErrorDetails) -> str | None:
    """The setting that an error is about; `None` for one about the whole."""
    return str(each["loc"][0]) if each["loc"] else None


def _line(each: ErrorDetails, file: ProfileFile, name: str, kind: type[Profile]) -> str:
    keys = [str(key) for key in each["loc"]]
    where = file.place("profiles", name, *keys)
    table = file.profiles[name]
    if each["type"] == "extra_forbidden":
        known = [field for field in kind.model_fields if field != "name"]
        return f"{where} is no setting of provider {table['provider']!r}: " + (
            suggestion(keys[0], known)
        )
    # What comes from elsewhere may be a secret.
    is_written = len(keys) == 1 and reference(table.get(keys[0])) is None
    value = each["input"]
    shown = f", not {value!r}" if isinstance(value, str | int | float) and is_written else ""
    message = each["msg"].removeprefix("Value error, ")
    return f"{where}: {message[0].lower()}{message[1:]}{shown}"
