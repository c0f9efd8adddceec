"""From what the caller names to a profile."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ..errors import ConfigError
from ..profile import Profile
from .configuration import Configuration
from .file import ProfileFile, looked_for, suggestion
from .from_file import make_profile
from .providers import installed_providers, load_adapter_type

__all__ = ["Resolved", "chosen_name", "only_provider", "resolve", "resolve_by", "resolve_profile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A profile, and where it comes from."""

    profile: Profile
    origin: str
    """`code`, `the environment`, or the file and why it is trusted."""


def resolve_profile(
    profile: Profile | str | None,
    environ: Mapping[str, str] = os.environ,
    *,
    start: Path | None = None,
) -> Profile:
    """Give the profile that is meant by a profile, a name, or nothing.

    A name is that of a profile in the profile file (see `docs/configuration.md`), or else of a
    provider, whose profile is then made of the environment. With nothing, the name is in
    `USAGESTREAM_PROFILE`, or is the file's `default`, or the file has one profile only; with no
    file, it is the one provider whose variables are set. `start` is the folder where the search for
    the file begins; the current one by default.

    Raises `ConfigError` where that is none, or more than one, or the profile is wrong; and
    `UntrustedProfileError` for one of a file that was found, not named, if it would send secrets of
    yours to an address of its own.
    """
    return resolve(profile, environ, start=start).profile


def resolve(
    profile: Profile | str | None,
    environ: Mapping[str, str] = os.environ,
    *,
    start: Path | None = None,
) -> Resolved:
    """`resolve_profile`, with where the profile comes from."""
    return resolve_by(Configuration(environ, start), profile)


def resolve_by(configuration: Configuration, profile: Profile | str | None) -> Resolved:
    """`resolve`, by a configuration that others look at too."""
    if isinstance(profile, Profile):
        return Resolved(profile=profile, origin="code")
    environ, start, file = configuration.environ, configuration.start, configuration.file
    name = profile or environ.get("USAGESTREAM_PROFILE") or chosen_name(file)
    if file is not None and name is not None and name in file.profiles:
        from .trust import require_trust  # not for those who have no file

        made = make_profile(file, name, environ)
        verdict = require_trust(file, made, environ)
        return Resolved(profile=made, origin=f"{file.path}; {verdict.why}")
    if name is not None and name not in installed_providers():
        said = "" if profile else " that USAGESTREAM_PROFILE names"
        raise ConfigError(_unknown(name, said, file, start))
    name = name or only_provider(environ)
    made = load_adapter_type(name).profile_type.from_environment(environ)
    return Resolved(profile=made, origin="the environment")


def _unknown(name: str, said: str, file: ProfileFile | None, start: Path | None) -> str:
    if file is not None:
        known = suggestion(name, list(file.profiles))
        return f"There is no profile {name!r}{said} in {file.path}: {known}"
    providers = list(installed_providers())
    known = ", ".join(providers) or "none; is the package installed?"
    near = get_close_matches(name, providers, n=1)
    return (
        f"There is no provider {name!r} here. Installed: {known}. Nor is there a profile of that "
        f"name{said}, for there is no profile file: {looked_for(start)}."
        + (f" Did you mean {near[0]!r}?" if near else "")
    )


def chosen_name(file: ProfileFile | None) -> str | None:
    """The profile a file is for where nobody names one."""
    if file is None or not file.profiles:
        return None
    if file.default is not None:
        return file.default
    if len(file.profiles) == 1:
        return next(iter(file.profiles))
    choice = ", ".join(file.profiles)
    raise ConfigError(
        f"{file.path} has several profiles and no default: say which ({choice}), by name, in "
        "USAGESTREAM_PROFILE, or as default in the file."
    )


def only_provider(environ: Mapping[str, str]) -> str:
    """The one provider that the environment describes."""
    types = {name: load_adapter_type(name).profile_type for name in installed_providers()}
    ready = [name for name, each in types.items() if each.is_described_by(environ)]
    if len(ready) == 1:
        return ready[0]
    if ready:
        choice = " or ".join(f"{name!r}" for name in ready)
        raise ConfigError(
            f"The environment describes more than one provider: say which, {choice}, by name "
            "or in USAGESTREAM_PROFILE."
        )
    ways = "; ".join(
        f"{' and '.join(each.required_variables)} for {name}"
        for name, each in types.items()
        if each.required_variables
    )
    raise ConfigError(f"No provider is configured. Set {ways}.")
