"""What a consumer gets out of a stream, piece by piece."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .usage import Usage

__all__ = ["Chunk", "ToolCallDelta"]


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
    asynchronous filter frames, OpenAI's moderation results."""
