"""What a usage and a record show of themselves when they are printed."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["shown"]


def shown(fields: Iterable[tuple[str | None, Any]]) -> Iterator[tuple[str | None, Any]]:
    """Give the fields that say something, as short as they can be said. Zero says something."""
    for name, value in fields:
        if value is None or value is False or value in ({}, ()):
            continue
        if isinstance(value, Enum):
            value = value.value
        elif isinstance(value, datetime):
            value = value.isoformat()
        yield name, value
