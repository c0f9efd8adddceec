"""A decoder that takes what somebody else has decoded, beside bytes."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Protocol

from usagestream_core.adapter import Report
from usagestream_core.chunk import Chunk

__all__ = ["Frame", "FrameFed", "FrameTaker"]

Frame = tuple[dict[str, Any], bytes | None]
"""An event's JSON object, and its type where it names one."""


class FrameTaker(Protocol):
    """A decoder that can be told what is in an event, in place of its bytes."""

    def feed(self, data: bytes) -> list[Chunk | Report]:
        """Take the next bytes."""
        ...

    def close(self) -> list[Chunk | Report]:
        """The body has ended."""
        ...

    def take(self, frame: dict[str, Any], kind: bytes | None) -> list[Chunk | Report]:
        """Take an event that was decoded elsewhere."""
        ...


class FrameFed:
    """Decodes as the decoder that it is given: `usagestream_core.adapter.Decoder`, of frames too.

    A frame is the caller's as well, who may change it: what is kept of one is kept as a copy.
    """

    def __init__(self, wire: FrameTaker) -> None:
        self._wire = wire
        self.close = wire.close

    def feed(self, data: bytes | Frame) -> list[Chunk | Report]:
        """Take the next bytes, or the next event whole."""
        if isinstance(data, bytes):
            return self._wire.feed(data)
        out = self._wire.take(*data)
        for item in out:
            if type(item) is Report and item.wire_usage is not None:
                item.wire_usage = deepcopy(item.wire_usage)
        return out
