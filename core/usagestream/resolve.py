"""From what the caller names to a profile."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .adapter import installed_providers, load_adapter_type
from .config import Profile
from .errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["resolve_profile"]


def resolve_profile(
    profile: Profile | str | None, environ: Mapping[str, str] = os.environ
) -> Profile:
    """Give the profile that is meant by a profile, a name, or nothing.

    A name is that of a provider, whose profile is then made of the environment. With nothing,
    `USAGESTREAM_PROFILE` names it, or else the one provider whose variables are set.

    Raises `ConfigError` where that is none, or more than one.
    """
    if isinstance(profile, Profile):
        return profile
    name = profile or environ.get("USAGESTREAM_PROFILE") or _only_provider(environ)
    return load_adapter_type(name).profile_type.from_environment(environ)


def _only_provider(environ: Mapping[str, str]) -> str:
    needs = {
        name: load_adapter_type(name).profile_type.required_variables
        for name in installed_providers()
    }
    ready = [name for name, variables in needs.items() if all(map(environ.get, variables))]
    if len(ready) == 1:
        return ready[0]
    if ready:
        choice = " or ".join(f"{name!r}" for name in ready)
        raise ConfigError(
            f"The environment describes more than one provider: say which, {choice}, by name "
            "or in USAGESTREAM_PROFILE."
        )
    ways = "; ".join(f"{' and '.join(needs[name])} for {name}" for name in needs)
    raise ConfigError(f"No provider is configured. Set {ways}.")
