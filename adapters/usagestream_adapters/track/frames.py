"""What the items of a stream say, whichever library made them of the chat-completions wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from usagestream_core.adapter import Report
from usagestream_core.chunk import Chunk
from usagestream_core.errors import StreamFailedError
from usagestream_core.json_types import is_object

from ..wire.chat import ChatFrames
from ..wire.sse import failure_in

__all__ = ["ItemDecoder", "error_of"]

_LANGCHAIN_DETAILS: Final = {
    "input_token_details": (
        "prompt_tokens_details",
        {
            "cache_read": "cached_tokens",
            "cache_creation": "cache_write_tokens",
            "audio": "audio_tokens",
        },
    ),
    "output_token_details": (
        "completion_tokens_details",
        {"reasoning": "reasoning_tokens", "audio": "audio_tokens"},
    ),
}


class ItemDecoder:
    """Decodes items as `ChatDecoder` does frames: `usagestream_core.adapter.Decoder`, but of items.

    An item that is nothing known is passed over.
    """

    def __init__(self) -> None:
        self._frames = ChatFrames()

    def feed(self, data: Any) -> list[Chunk | Report]:
        """Take the next item."""
        out: list[Chunk | Report] = []
        frame = _frame_of(data)
        if frame is not None:
            self._frames.frame(frame, None, out)
        return out

    def close(self) -> list[Chunk | Report]:
        """There are no more; nothing was held back."""
        return []


def error_of(exc: Exception) -> StreamFailedError | None:
    """The error that a frame reported, which the SDK raises; `None` for any other exception."""
    body = getattr(exc, "body", None)
    if not body or not hasattr(exc, "request"):
        return None
    return failure_in({"error": body}, None)


def _frame_of(item: Any) -> dict[str, Any] | None:
    if is_object(item):
        return item
    if hasattr(item, "usage_metadata"):
        return _frame_of_langchain(item)
    if isinstance(item, BaseModel):  # the SDK's keep what is of another type than they declare
        return item.model_dump(exclude_unset=True, warnings=False)
    dump = getattr(item, "model_dump", None)
    frame = dump(exclude_unset=True) if dump is not None else None
    return frame if is_object(frame) else None


def _frame_of_langchain(message: Any) -> dict[str, Any]:
    """LangChain's `AIMessageChunk`, by its public attributes."""
    said: Mapping[str, Any] = getattr(message, "response_metadata", None) or {}
    content = getattr(message, "content", "")
    choice = {
        "index": 0,
        "delta": {"content": content},
        "finish_reason": said.get("finish_reason"),
    }
    return {
        "id": getattr(message, "id", None),
        "model": said.get("model_name"),
        "choices": [choice],
        "usage": _usage_of_langchain(message.usage_metadata),
    }


def _usage_of_langchain(usage: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if usage is None:
        return None
    wire: dict[str, Any] = {
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "total_tokens": usage.get("total_tokens"),
    }
    for name, (wire_name, fields) in _LANGCHAIN_DETAILS.items():
        details: Mapping[str, Any] = usage.get(name) or {}
        wire[wire_name] = {fields[key]: details[key] for key in fields if key in details}
    return wire
