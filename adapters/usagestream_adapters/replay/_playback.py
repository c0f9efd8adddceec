"""What one request is answered with, and when. Does no I/O and reads no clock."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

__all__ = ["Playback", "Step", "split_frames"]

_FRAME_END: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r(?!\n)")


class Step(NamedTuple):
    """One read of a body."""

    pause: float
    """Seconds to wait before it."""
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Playback:
    """A response, read by read."""

    status: int
    headers: tuple[tuple[str, str], ...]
    steps: tuple[Step, ...]
    head_after: float = 0.0
    """Seconds from the request to the response's head."""
    end_after: float = 0.0
    """Seconds from the last read to the end."""
    error: str | None = None
    """The HTTP client's exception that the body ends with, by name; `None` for a good end."""
    reason: str = ""
    """The text of that exception."""

    @property
    def is_stream(self) -> bool:
        """Whether this is a stream of events, uncompressed."""
        declared = dict(self.headers)
        return (
            self.status < 400
            and "event-stream" in declared.get("content-type", "")
            and "content-encoding" not in declared
        )

    @property
    def body(self) -> bytes:
        """All that is read."""
        return b"".join(step.data for step in self.steps)

    def by_frame(self) -> Playback:
        """Give the same with one read to a frame, each at the time when its last byte came."""
        return replace(self, steps=tuple(_by_frame(self.steps)))


def split_frames(body: bytes) -> Iterator[bytes]:
    """Split the body of an event stream after each blank line. What is left at its end comes last.

    Joined again, they are the body.
    """
    start = 0
    for match in _FRAME_END.finditer(body):
        yield body[start : match.end()]
        start = match.end()
    if start < len(body):
        yield body[start:]


def _by_frame(steps: tuple[Step, ...]) -> Iterator[Step]:
    reads = iter(steps)
    received, pause = 0, 0.0
    end = 0
    for frame in split_frames(b"".join(step.data for step in steps)):
        end += len(frame)
        while received < end:
            step = next(reads)
            received += len(step.data)
            pause += step.pause
        yield Step(pause, frame)
        pause = 0.0
