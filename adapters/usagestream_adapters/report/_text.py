"""Text on a page, of which a browser obeys nothing; and figures, as they are read at a glance."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["money", "name", "number", "percent", "safe", "seconds"]

_ODD: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_LONGEST: Final = 80


def safe(text: str) -> str:
    """As HTML, in text and in attributes; what turns its direction or is no character is shown."""
    return html.escape(_ODD.sub(lambda found: ascii(found[0])[1:-1], text))


def name(text: str | None) -> str:
    """A name that somebody gave, cut where it is too long; `(none)` for none."""
    if text is None:
        return "(none)"
    return safe(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}\u2026")


def number(count: float | None) -> str:
    """With commas."""
    return "\u2013" if count is None else f"{count:,.0f}"


def percent(share: float | None) -> str:
    """Without places."""
    return "\u2013" if share is None else f"{share * 100:.0f} %"


def seconds(value: float | None) -> str:
    """With two places."""
    return "\u2013" if value is None else f"{value:.2f} s"


def money(amount: Decimal | None, currency: str) -> str:
    """Four digits, and cents at least."""
    if amount is None:
        return "\u2013"
    places = 2 if abs(amount) >= 10 or not amount else 3 - amount.adjusted()
    return f"{round(amount, places):,f} {safe(currency)}"
