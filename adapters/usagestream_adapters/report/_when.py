"""Times and time zones as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from usagestream_core.errors import ConfigError

__all__ = ["moment", "zone"]

_AGO = re.compile(r"(\d{1,6})([hdw])")


def moment(text: str, timezone: tzinfo, *, now: datetime | None = None) -> datetime:
    """Read `2026-11-01`, `2026-11-01T12:30`, `today`, `yesterday`, `7d`, `2w` or `12h`.

    Days, and what is so many days or weeks ago, begin at midnight in the time zone; hours are
    counted back from now. Raises `ConfigError` for anything else.
    """
    now = (now or datetime.now(UTC)).astimezone(timezone)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    words = {"now": now, "today": today, "yesterday": today - timedelta(days=1)}
    if text in words:
        return words[text]
    try:
        ago = _AGO.fullmatch(text)
        if ago is not None and ago[2] == "h":
            return (now.astimezone(UTC) - timedelta(hours=int(ago[1]))).astimezone(timezone)
        if ago is not None:
            return today - timedelta(days=int(ago[1]) * (7 if ago[2] == "w" else 1))
        said = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{text!r} is no time. Write a day (2026-11-01), a time (2026-11-01T12:30), today, "
            "yesterday, or how long ago: 12h, 7d, 2w."
        ) from None
    return said if said.tzinfo is not None else said.replace(tzinfo=timezone)


def zone(name: str) -> tzinfo:
    """The time zone of a name, as `UTC` or `Europe/Berlin`. Raises `ConfigError` for no such."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        raise ConfigError(
            f"No time zone {name!r} is known here: write UTC, or a name as Europe/Berlin. A "
            "machine without any gets them with: pip install tzdata"
        ) from None
