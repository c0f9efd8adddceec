"""Which sinks the configuration adds to every client, and with what options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from ..errors import ConfigError
from .configuration import Configuration
from .file import suggestion

if TYPE_CHECKING:
    from ..record import UsageRecord
    from .file import ProfileFile

__all__ = ["configured_telemetry"]

ENTRY_POINT_GROUP: Final = "usagestream.telemetry"
VARIABLE: Final = "USAGESTREAM_TELEMETRY"
_NONE: Final = "none"

Sink: TypeAlias = "Callable[[UsageRecord], object]"


def configured_telemetry(configuration: Configuration | None = None) -> tuple[Sink, ...]:
    """Give the sinks that every client is to have: one of each name, shared by all clients.

    Their names are in `USAGESTREAM_TELEMETRY`, with commas between them, or else in the profile
    file: `telemetry = "name"`, a list of names, or tables `[telemetry.name]` with their options.
    `none` turns off what the file says. What is in force now is looked at if `configuration` is
    `None`.

    Raises `ConfigError` for a name that nobody declares, an option that is not taken, and a package
    that is not installed.
    """
    configuration = configuration or Configuration()
    named = configuration.environ.get(VARIABLE)
    if named:
        names = [name for name in map(str.strip, named.split(",")) if name]
        return tuple(_sink(name, VARIABLE) for name in names if name != _NONE)
    file = configuration.file
    if file is None or file.telemetry is None:
        return ()
    return tuple(
        _sink(name, file.place("telemetry", *place), options)
        for name, place, options in _asked(file)
        if name != _NONE
    )


def _asked(file: ProfileFile) -> list[tuple[str, tuple[str, ...], Mapping[str, Any]]]:
    """The names in a file, the place of each below `telemetry`, and its options."""
    setting = file.telemetry
    if isinstance(setting, str):
        return [(setting, (), {})]
    if isinstance(setting, list):
        names = cast("list[object]", setting)
        if all(isinstance(name, str) for name in names):
            return [(cast("str", name), (), {}) for name in names]
    elif isinstance(setting, dict):
        tables = cast("dict[str, object]", setting)
        if all(isinstance(table, dict) for table in tables.values()):
            return [(name, (name,), cast("Any", table)) for name, table in tables.items()]
    raise ConfigError(
        f'{file.place("telemetry")} must be a name, as in telemetry = "opentelemetry", a list of '
        "names, or tables, as in [telemetry.opentelemetry]."
    )


def _sink(name: str, place: str, options: Mapping[str, Any] | None = None) -> Sink:
    try:
        return _made(name, options or {})
    except ImportError as exc:
        raise ConfigError(f"{place}: {name!r} cannot be used. {exc}") from exc
    except (TypeError, ValueError) as exc:
        raise ConfigError(f"{place}: {name!r} does not take these options: {exc}") from exc
    except LookupError:
        known = suggestion(name, [*_declared(), _NONE])
        raise ConfigError(f"{place}: there is no telemetry {name!r} here; {known}") from None


_sinks: dict[tuple[str, str], Sink] = {}


def _made(name: str, options: Mapping[str, Any]) -> Sink:
    key = (name, repr(sorted(options.items())))
    if key not in _sinks:
        from importlib.metadata import entry_points  # costs a tenth of this package's import

        make: Any = entry_points(group=ENTRY_POINT_GROUP)[name].load()
        _sinks.setdefault(key, make(**options))
    return _sinks[key]


def _declared() -> list[str]:
    from importlib.metadata import entry_points

    return sorted(entry_points(group=ENTRY_POINT_GROUP).names)
