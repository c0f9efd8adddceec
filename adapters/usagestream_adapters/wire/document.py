"""Replies that are not streamed, read as if they had come as one frame."""

from __future__ import annotations

from typing import Any

from jiter import from_json

from usagestream_core.adapter import Report
from usagestream_core.chunk import Chunk
from usagestream_core.json_types import Json, is_object

from .chat import ChatDecoder
from .responses import ResponsesDecoder

__all__ = ["ChatDocument", "ResponsesDocument"]


class ChatDocument(ChatDecoder):
    """Decodes a whole chat completion; satisfies `usagestream.adapter.Decoder`.

    Its choices say `message` where a stream's say `delta`; the usage is the same.
    """

    def feed(self, data: bytes) -> list[Chunk | Report]:
        """Take the whole body, and all of it at once."""
        try:
            document: Json = from_json(data)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            return super().feed(data)
        choices: Json = document.get("choices")
        if isinstance(choices, list):
            document["choices"] = [_as_delta(choice) for choice in choices]
        out: list[Chunk | Report] = []
        self.frame(document, None, out)
        return [*out, Report(done=True)]


class ResponsesDocument(ResponsesDecoder):
    """Decodes a whole response; satisfies `usagestream.adapter.Decoder`."""

    def feed(self, data: bytes) -> list[Chunk | Report]:
        """Take the whole body, and all of it at once."""
        try:
            document: Json = from_json(data)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            return super().feed(data)
        out: list[Chunk | Report] = []
        self.response(document, out)
        return out


def _as_delta(choice: Any) -> Any:
    return {**choice, "delta": choice.get("message")} if is_object(choice) else choice
