"""Replies that are not streamed, read as if they had come as one frame."""

from __future__ import annotations

from typing import Any

from jiter import from_json

from usagestream_core.adapter import Head, Report
from usagestream_core.chunk import Chunk
from usagestream_core.json_types import Json, is_object

from .chat import ChatFrames
from .responses import ResponseFrames
from .sse import SseDecoder

__all__ = ["ChatDocument", "ResponsesDocument"]


class ChatDocument:
    """Decodes a whole chat completion; satisfies `usagestream_core.adapter.Decoder`.

    Its choices say `message` where a stream's say `delta`; the usage is the same.
    """

    def __init__(self, head: Head) -> None:
        self._frames = ChatFrames()
        self._other = SseDecoder(head, self._frames)

    def feed(self, data: bytes) -> list[Chunk | Report]:
        """Take the whole body, and all of it at once."""
        document = _read(data)
        if document is None:
            return self._other.feed(data)
        choices: Json = document.get("choices")
        if isinstance(choices, list):
            document["choices"] = [_as_delta(choice) for choice in choices]
        out: list[Chunk | Report] = []
        self._frames.frame(document, None, out)
        return [*out, Report(done=True)]

    def close(self) -> list[Chunk | Report]:
        """The body has ended."""
        return self._other.close()


class ResponsesDocument:
    """Decodes a whole response; satisfies `usagestream_core.adapter.Decoder`."""

    def __init__(self, head: Head) -> None:
        self._frames = ResponseFrames()
        self._other = SseDecoder(head, self._frames)

    def feed(self, data: bytes) -> list[Chunk | Report]:
        """Take the whole body, and all of it at once."""
        document = _read(data)
        if document is None:
            return self._other.feed(data)
        out: list[Chunk | Report] = []
        self._frames.response(document, out)
        return out

    def close(self) -> list[Chunk | Report]:
        """The body has ended."""
        return self._other.close()


def _read(data: bytes) -> dict[str, Any] | None:
    """The JSON object that a body is; `None` for any other body."""
    try:
        document: Json = from_json(data)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _as_delta(choice: Any) -> Any:
    return {**choice, "delta": choice.get("message")} if is_object(choice) else choice
