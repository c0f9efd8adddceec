"""The body as the caller will see it: cut between events, without what he did not ask for."""

from __future__ import annotations

import re
from typing import Any, Final

from jiter import from_json

from usagestream_core.json_types import Json

from ..wire.sse import MAX_EVENT_BYTES

__all__ = ["NULL_USAGE", "EventSplitter", "without_usage"]

NULL_USAGE: Final = b',"usage":null'
"""As both services write it. No string of a frame holds this: its quotes would be escaped."""

_BLANK_LINE: Final = re.compile(rb"\n\n|\r\r|\n\r\n?")
_ANY_NULL_USAGE: Final = re.compile(rb',\s*"usage"\s*:\s*null|"usage"\s*:\s*null\s*,\s*')


class EventSplitter:
    """Cuts bytes after each blank line. The pieces put together are what was fed.

    An event longer than `most` bytes is not kept: what there is of it is in `passed`, to be given
    on before what `feed` returns, until it ends.
    """

    def __init__(self, most: int = MAX_EVENT_BYTES) -> None:
        self._most = most
        self.held = bytearray()
        """The beginning of an event that is not complete."""
        self.passed: list[bytes] = []
        self._passing: bytes | None = None
        """The last bytes of an event that is too long, in which its end may begin."""

    @property
    def is_between(self) -> bool:
        """Whether what comes next is the beginning of an event."""
        return not self.held and self._passing is None

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; give the events they complete, each with its blank line."""
        if self._passing is not None:
            data = self._pass(self._passing, data)
        elif self.held:
            # Joined only where that may complete an event: on every read it would be quadratic.
            if not _BLANK_LINE.search(bytes(self.held[-2:]) + data):
                self.held += data
                if len(self.held) > self._most:
                    self._pass(b"", self._take())
                return []
            self.held += data
            data = self._take()
        if data[-2:] == b"\n\n" and data.find(b"\n\n") == len(data) - 2 and b"\r" not in data:
            return [data]  # as a body mostly comes
        events: list[bytes] = []
        start = 0
        for blank in _BLANK_LINE.finditer(data):
            events.append(data[start : blank.end()])
            start = blank.end()
        self.held += data[start:]
        return events

    def close(self) -> list[bytes]:
        """Give what no blank line followed."""
        rest = self._take()
        return [rest] if rest else []

    def _take(self) -> bytes:
        taken = bytes(self.held)
        self.held = bytearray()
        return taken

    def _pass(self, before: bytes, data: bytes) -> bytes:
        """Pass on what is of an event that is too long; give what follows it."""
        end = _BLANK_LINE.search(before + data)
        if end is None:
            self._passing = (before + data[-2:])[-2:]
            self.passed.append(data)
            return b""
        self._passing = None
        self.passed.append(data[: end.end() - len(before)])
        return data[end.end() - len(before) :]


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
        frame: Json = from_json(b"\n".join(lines))
    except ValueError:
        return {}
    return frame if isinstance(frame, dict) else {}
