"""A decoder that takes what somebody else has decoded, beside bytes."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from usagestream_core.adapter import Report
from usagestream_core.chunk import Chunk

from ..wire.sse import SseDecoder

__all__ = ["Frame", "FrameFed"]

Frame = tuple[dict[str, Any], bytes | None]
"""An event's JSON object, and its type where it names one."""


class FrameFed:
    """Decodes as the decoder that it is given: `usagestream.adapter.Decoder`, of frames too.

    A frame is the caller's as well, who may change it: what is kept of one is kept as a copy.
    """

    def __init__(self, wire: SseDecoder) -> None:
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
