"""Which profiles there are, and where each of their values comes from. Shows no secret."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from pydantic import SecretStr

from ..errors import ConfigError
from ..masking import shown_address
from ..profile import Profile, check_all, is_unset, secret_fields
from .configuration import Configuration
from .file import ProfileFile, find_file
from .from_file import make_profile
from .ledgers import check_ledger
from .providers import installed_providers, load_adapter_type
from .references import reference
from .resolve import chosen_name, only_provider
from .telemetry import configured_telemetry
from .trust import judge, require_trust

__all__ = ["ListedProfile", "ListedValue", "check_beside_profiles", "list_profiles"]

MASK: Final = "********"


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
    """Why it cannot be used, and what to do, a line for each mistake; `None` if it can."""
    trust: str | None = None
    """Why a profile of a file may send secrets where it says, or why not; `None` for others, and
    for one that cannot be read."""
    configured: bool = True
    """Whether somebody meant it to be there: it is in a file, or the environment describes it."""


def list_profiles(
    environ: Mapping[str, str] = os.environ,
    *,
    start: Path | None = None,
    file: ProfileFile | None = None,
) -> list[ListedProfile]:
    """List the profiles of the file in force, and each provider that has no profile of that name.

    With `file`, that one is taken for the file in force. Sends nothing and raises nothing for a
    profile that is wrong: its `problem` says so. Raises `ConfigError` for a file that cannot be
    read at all, or has a mistake outside its profiles; it names those of the profiles as well.
    """
    file = file or find_file(environ, start, strict=False)
    try:
        chosen = environ.get("USAGESTREAM_PROFILE") or chosen_name(file) or only_provider(environ)
    except ConfigError:
        chosen = None
    listed = list(_all(file, chosen, environ))
    if file is not None and file.mistakes:
        problems = [each.problem for each in listed if each.configured and each.problem]
        raise ConfigError("\n".join([*file.mistakes, *problems]))
    return listed


def check_beside_profiles(
    environ: Mapping[str, str] = os.environ, *, start: Path | None = None
) -> None:
    """Check what every client has whatever its profile: the ledger and the telemetry.

    Opens no ledger and sends nothing. Raises `ConfigError` with a line for each mistake.
    """
    configuration = Configuration(environ, start)
    check_all(
        lambda: check_ledger(configuration),
        lambda: configured_telemetry(configuration),
    )


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
            listed = _listed(name, "environment", chosen, made, environ, None)
            is_meant = name == chosen or profile_type.is_described_by(environ)
            yield replace(listed, configured=is_meant)


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
    filled = made
    problem = trust = None
    try:
        filled = made.filled(environ)
        checks: list[Callable[[], object]] = [
            lambda: load_adapter_type(made.provider)(filled).close()
        ]
        if file is not None:
            trust = judge(file, made, environ).why
            checks.append(partial(require_trust, file, made, environ))
        check_all(*checks)
    except ConfigError as exc:
        problem = str(exc)
    values = tuple(_values(filled, file))
    return ListedProfile(**listed, values=values, problem=problem, trust=trust)  # type: ignore[arg-type]


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
        elif name in profile.variables and not is_unset(value):
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
    if is_unset(value):
        return None
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, Any]", value)
        return {key: _shown(each, isinstance(each, SecretStr)) for key, each in mapping.items()}
    if secret:
        return MASK
    return shown_address(value) if isinstance(value, str) else value
