"""What a consumer gets out of a stream, piece by piece."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openai.types.chat import ChatCompletionChunk

    from .usage import Usage

__all__ = ["Chunk", "ToolCallDelta"]

ENTRY_POINT_GROUP: Final = "usagestream.sdk_chunks"


@cache
def _sdk_maker() -> Callable[[Mapping[str, Any]], Any]:
    """What makes the SDK's chunk of a frame: by an entry point, since core knows no SDK."""
    from importlib.metadata import entry_points  # loaded where it is needed: it is slow

    (entry,) = entry_points(group=ENTRY_POINT_GROUP, name="openai")
    maker: Callable[[Mapping[str, Any]], Any] = entry.load()
    return maker


@dataclass(slots=True)
class ToolCallDelta:
    """A piece of one tool call. Pieces with the same `index` belong to the same call."""

    index: int
    """Which tool call of this choice."""
    id: str | None = None
    """Set on the first piece of a call only."""
    name: str | None = None
    """Name of the function or custom tool; set on the first piece only."""
    arguments: str = ""
    """The next characters of the arguments (JSON), or of a custom tool's input (free text)."""
    type: str | None = None
    """`function` or `custom`; set on the first piece only."""


@dataclass(slots=True)
class Chunk:
    """The next piece of one choice, or the last chunk of the stream, which carries the usage.

    Treat it as read-only. Two chunks are equal when they say the same of the answer: the wire
    frame (`raw`) and what a provider adds around the answer (`annotations`) do not count.
    """

    text: str = ""
    """The next characters of the answer; empty where the chunk carries none."""
    index: int = 0
    """Which choice this belongs to (`n` of them were asked for)."""
    refusal: str | None = None
    """The next characters of a refusal; `None` where there is none."""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: str | None = None
    """Why this choice ended: `stop`, `length`, `tool_calls`, `content_filter`, or the server's own
    word. `None` on every other chunk."""
    usage: Usage | None = None
    """Set on the last chunk of the stream, and only there."""
    raw: dict[str, Any] = field(default_factory=dict[str, Any], compare=False, repr=False)
    """The wire frame as it was sent, decoded once and shared by the chunks that came with it.
    Empty on a last chunk for which the provider sent no frame."""
    annotations: tuple[dict[str, Any], ...] = field(default=(), compare=False, repr=False)
    """Frames since the previous chunk that speak of no choice: Azure's prompt filter results and
    asynchronous filter frames, OpenAI's moderation results, events of the Responses API."""
    reasoning: str = ""
    """The next characters of the reasoning, or of its summary, where it is shown: by the
    Responses API, and in `reasoning_content`, `reasoning` or `reasoning_details` of chat. Estimates
    and limits count it as output."""

    def to_sdk(self) -> ChatCompletionChunk:
        """Give the openai SDK's own object, for code that wants one; needs the SDK installed.

        It holds the wire frame with this chunk's choice alone, since a frame with several choices
        makes several chunks. As everywhere, only the last chunk has `usage`.
        """
        found: list[Any] = self.raw.get("choices") or []
        choices = [choice for choice in found if choice.get("index", 0) == self.index]
        frame = {"id": "", "created": 0, "model": "", "object": "chat.completion.chunk"}
        usage = self._sdk_usage()
        made: ChatCompletionChunk = _sdk_maker()(
            {**frame, **self.raw, "choices": choices, "usage": usage}
        )
        return made

    def _sdk_usage(self) -> dict[str, Any] | None:
        usage = self.usage
        if usage is None or usage.source == "unknown":
            return None
        return {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
            "prompt_tokens_details": {
                "cached_tokens": usage.cache_read_tokens,
                "cache_write_tokens": usage.cache_write_tokens,
                "audio_tokens": usage.input_audio_tokens,
                "image_tokens": usage.input_image_tokens,
                "text_tokens": usage.input_text_tokens,
            },
            "completion_tokens_details": {
                "reasoning_tokens": usage.reasoning_tokens,
                "audio_tokens": usage.output_audio_tokens,
                "text_tokens": usage.output_text_tokens,
                "accepted_prediction_tokens": usage.accepted_prediction_tokens,
                "rejected_prediction_tokens": usage.rejected_prediction_tokens,
            },
        }
