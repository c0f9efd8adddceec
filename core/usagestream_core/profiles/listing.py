"""Which profiles there are, and where each of their values comes from. Shows no secret."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from pydantic import SecretStr

from ..errors import ConfigError
from ..profile import Profile, is_open, secret_fields
from .file import ProfileFile, find_file
from .from_file import make_profile, reference
from .providers import installed_providers, load_adapter_type
from .resolve import chosen_name, only_provider

__all__ = ["ListedProfile", "ListedValue", "list_profiles"]

MASK = "********"

_PASSWORD: Final = re.compile(r"//[^/@]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedValue:
    """One setting of a profile."""

    field: str
    value: Any
    """As it would be used; stars for a secret that is set; `None` for what is left open."""
    origin: str
    """`default`, an environment variable, or the place in the file, with what that refers to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedProfile:
    """A profile by name."""

    name: str
    origin: str
    """The file it is in, or `environment`."""
    chosen: bool
    """Whether it is the one that is used where none is named."""
    values: tuple[ListedValue, ...] = ()
    problem: str | None = None
    """Why it cannot be used, and what to do; `None` if it can."""


def list_profiles(
    environ: Mapping[str, str] = os.environ, *, start: Path | None = None
) -> list[ListedProfile]:
    """List the profiles of the file in force, and each provider that has no profile of that name.

    Sends nothing and raises nothing for a profile that is wrong: its `problem` says so. Raises
    `ConfigError` for a file that cannot be read at all.
    """
    file = find_file(environ, start)
    try:
        chosen = environ.get("USAGESTREAM_PROFILE") or chosen_name(file) or only_provider(environ)
    except ConfigError:
        chosen = None
    return list(_all(file, chosen, environ))


def _all(
    file: ProfileFile | None, chosen: str | None, environ: Mapping[str, str]
) -> Iterator[ListedProfile]:
    in_file: Mapping[str, Any] = {} if file is None else file.profiles
    if file is not None:
        for name in in_file:
            made = _made(make_profile, file, name, environ)
            yield _listed(name, str(file.path), chosen, made, environ, file)
    for name in installed_providers():
        profile_type = load_adapter_type(name).profile_type
        if name not in in_file and (file is None or profile_type.is_described_by(environ)):
            made = _made(profile_type.from_environment, environ)
            yield _listed(name, "environment", chosen, made, environ, None)


def _made(make: Callable[..., Profile], *arguments: Any) -> Profile | str:
    try:
        return make(*arguments)
    except ConfigError as exc:
        return str(exc)


def _listed(
    name: str,
    origin: str,
    chosen: str | None,
    made: Profile | str,
    environ: Mapping[str, str],
    file: ProfileFile | None,
) -> ListedProfile:
    listed = {"name": name, "origin": origin, "chosen": name == chosen}
    if isinstance(made, str):
        return ListedProfile(**listed, problem=made)  # type: ignore[arg-type]
    problem = None
    filled = made
    try:
        filled = made.filled(environ)
        load_adapter_type(made.provider)(filled).close()
    except ConfigError as exc:
        problem = str(exc)
    values = tuple(_values(filled, file))
    return ListedProfile(**listed, values=values, problem=problem)  # type: ignore[arg-type]


def _values(profile: Profile, file: ProfileFile | None) -> Iterator[ListedValue]:
    """The values of a profile that was filled from the environment."""
    table: Mapping[str, Any] = {} if file is None else file.profiles[profile.name or ""]
    secret = secret_fields(type(profile))
    for name in type(profile).model_fields:
        value = getattr(profile, name)
        if name == "name":
            continue
        if file is not None and name in table:
            origin = _in_file(file, profile.name or "", name, table[name])
        elif name in profile.variables and not is_open(value):
            origin = f"environment variable {profile.variables[name]}"
        else:
            origin = "default"
        yield ListedValue(field=name, value=_shown(value, name in secret), origin=origin)


def _in_file(file: ProfileFile, profile: str, key: str, value: object) -> str:
    origin = file.place("profiles", profile, key)
    found = reference(value)
    if found is None:
        return origin
    kind = "environment variable" if found[0] == "env" else "file"
    return f"{origin} ({kind} {found[1]})"


def _shown(value: Any, secret: bool) -> Any:
    if is_open(value):
        return None
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, Any]", value)
        return {key: _shown(each, isinstance(each, SecretStr)) for key, each in mapping.items()}
    if secret:
        return MASK
    return _PASSWORD.sub("//***@", value) if isinstance(value, str) else value
