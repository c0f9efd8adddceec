"""Which providers installed packages declare adapters for."""

from __future__ import annotations

from functools import cache
from typing import cast

from ..adapter import AdapterType
from ..errors import ConfigError

__all__ = ["installed_providers", "load_adapter_type"]

ENTRY_POINT_GROUP = "usagestream.adapters"


def installed_providers() -> tuple[str, ...]:
    """The provider names that installed packages declare adapters for, sorted."""
    from importlib.metadata import entry_points  # costs a tenth of this package's import

    return tuple(sorted(entry_points(group=ENTRY_POINT_GROUP).names))


@cache
def load_adapter_type(provider: str) -> AdapterType:
    """Import the adapter that an installed package declares for this provider name.

    One that was found is not looked for again: a look goes through all installed packages.
    Raises `ConfigError` for a name that nobody declares, with the names that are there.
    """
    from importlib.metadata import entry_points

    found = entry_points(group=ENTRY_POINT_GROUP, name=provider)
    if not found:
        known = ", ".join(installed_providers()) or "none; is the package installed?"
        raise ConfigError(f"There is no provider {provider!r} here. Installed: {known}.")
    return cast("AdapterType", next(iter(found)).load())
