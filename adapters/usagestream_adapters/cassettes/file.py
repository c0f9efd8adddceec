"""The file itself: what it says of its origin, and how it is written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

__all__ = ["is_emulator", "shown_path", "stamp", "write"]

_EMULATOR: Final = "usagestream emulator"
_EMULATOR_HEADER: Final = "usagestream-emulator"


def is_emulator(response: Mapping[str, Any]) -> bool:
    """Whether our own emulator answered."""
    headers = {str(name).lower(): values for name, values in response["headers"].items()}
    return _EMULATOR_HEADER in headers.get("server", ())


def stamp(origins: Iterable[str], *, emulated: bool, before: Iterable[str] = ()) -> dict[str, Any]:
    """Say where, when and with what a cassette was recorded; `before` is what it said already."""
    against = [
        _EMULATOR if emulated and origin == "a local server" else origin
        for origin in sorted(origins)
    ]
    return {
        "recorded_with": f"usagestream {version('usagestream')}",
        "recorded_against": ", ".join(dict.fromkeys([*before, *against])),
        "recorded_on": datetime.now(UTC).date().isoformat(),
    }


def shown_path(path: str | os.PathLike[str]) -> str:
    """A cassette's path, from the current folder if it is below."""
    full = Path(path)
    return str(full.relative_to(Path.cwd())) if full.is_relative_to(Path.cwd()) else str(full)


def write(path: Path, text: str) -> None:
    """Write in UTF-8, where vcrpy goes by the locale, and all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(text.encode())
    unfinished.replace(path)
