"""The body as the caller will see it: cut between events, without what he did not ask for."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import re
from typing import Any, Final

from jiter import from_json

__all__ = ["NULL_USAGE", "EventSplitter", "without_usage"]

NULL_USAGE: Final = b',"usage":null'
"""As both services write it. No string of a frame holds this: its quotes would be escaped."""

_BLANK_LINE: Final = re.compile(rb"\n\n|\r\r|\n\r\n?")
_ANY_NULL_USAGE: Final = re.compile(rb',\s*"usage"\s*:\s*null|"usage"\s*:\s*null\s*,\s*')


class EventSplitter:
    """Cuts bytes after each blank line. The pieces put together are what was fed."""

    def __init__(self) -> None:
        self.held: list[bytes] = []
        """The beginning of an event that is not complete."""

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; give the events they complete, each with its blank line."""
        if not data:
            return []
        if self.held:
            # Joined only where that may complete an event: on every read it would be quadratic.
            if not _BLANK_LINE.search(self.held[-1][-2:] + data):
                self.held.append(data)
                return []
            data = b"".join([*self.held, data])
            self.held.clear()
        if data[-2:] == b"\n\n" and data.find(b"\n\n") == len(data) - 2 and b"\r" not in data:
            return [data]  # as a body mostly comes
        events: list[bytes] = []
        start = 0
        for blank in _BLANK_LINE.finditer(data):
            events.append(data[start : blank.end()])
            start = blank.end()
        if start < len(data):
            self.held.append(data[start:])
        return events

    def close(self) -> list[bytes]:
        """Give what no blank line followed."""
        rest, self.held = b"".join(self.held), []
        return [rest] if rest else []


def without_usage(event: bytes) -> bytes:
    """The event as it would have been if no usage had been asked for; nothing for a usage frame.

    Asking adds `"usage": null` to each frame, and a frame that has no choices (WIRE §1.1). Usage
    in a frame with choices comes from servers that send it unasked, and stays.
    """
    shown = event.replace(NULL_USAGE, b"")
    if b'"usage"' not in shown:
        return shown
    frame = _frame(event)
    if frame.get("usage") is not None:
        return b"" if frame.get("choices") == [] else event
    return _ANY_NULL_USAGE.sub(b"", event, count=1) if "usage" in frame else event


def _frame(event: bytes) -> dict[str, Any]:
    lines = [line[5:] for line in event.splitlines() if line[:5] == b"data:"]
    try:
        frame = from_json(b"\n".join(lines))
    except ValueError:
        return {}
    return frame if isinstance(frame, dict) else {}
