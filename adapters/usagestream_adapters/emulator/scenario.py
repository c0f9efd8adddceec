"""What the emulator answers, as data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from .errors import REFUSALS, ErrorReply

__all__ = ["Answer", "Cut", "Scenario", "ToolCall"]

Cut: TypeAlias = Literal["clean", "drop", "reset", "stall"]

_PIECE = re.compile(r" ?[^\W_]{1,8}|.", re.DOTALL)


def _pieces(text: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(_PIECE.findall(text)) if isinstance(text, str) else tuple(text)


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """One tool call; `arguments` is JSON text and is streamed in pieces."""

    name: str
    arguments: str = "{}"

    @property
    def pieces(self) -> tuple[str, ...]:
        """The arguments as they are streamed."""
        return _pieces(self.arguments)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One choice.

    `text` and `refusal` are the pieces to stream, one a frame; a string is cut into pieces about
    the size of tokens. `finish_reason` follows from the rest unless given: `tool_calls`, or `stop`,
    also after a refusal (WIRE §1.4).
    """

    text: str | Sequence[str] = ()
    tool_calls: Sequence[ToolCall] = ()
    refusal: str | Sequence[str] = ()
    finish_reason: str | None = None

    @property
    def text_pieces(self) -> tuple[str, ...]:
        """The text as it is streamed."""
        return _pieces(self.text)

    @property
    def refusal_pieces(self) -> tuple[str, ...]:
        """The refusal as it is streamed."""
        return _pieces(self.refusal)

    @property
    def ends_with(self) -> str:
        """The finish reason sent."""
        return self.finish_reason or ("tool_calls" if self.tool_calls else "stop")


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """How one request is answered. Without any field: the default answer, with real counts.

    **What is said.** `text`, `tool_calls`, `refusal` and `finish_reason` make one choice, as in
    `Answer`; `choices` gives several instead. If all of these but `finish_reason` are empty, the
    emulator makes up its default answer, with as many choices as the request's `n`.

    **What is reported.** `reasoning_tokens` are added inside the completion tokens, `cached_tokens`
    and `cache_write_tokens` are parts of the prompt tokens and change no sum (WIRE §1.3);
    `cache_write_tokens=None` leaves the key out, as older models do. `usage` is sent untouched
    instead of anything counted. `omit_usage` leaves the usage frame out although it was asked for.

    **Who says it.** `model` is the snapshot that answers (by default derived from what was asked);
    `service_tier=None` leaves the key out; `headers` are added to the response's.

    **Extra frames.** `moderation` (OpenAI) comes after the usage frame (WIRE §1.4), also whenever
    the request carries `moderation`. `async_filter` (Azure) adds annotation frames without `delta`,
    one in the middle and one after the finish frame (WIRE §2.5); their order relative to the usage
    frame is not known, they are sent before it. `prompt_filter=False` drops Azure's first frame.

    **No stream at all.** `error` answers instead; `stream_options_refused` (a name in `REFUSALS` or
    a reply) answers only a request that carries `stream_options`, and is used up by it. `body`
    answers 200 with that text and `content_type`, whatever was asked.

    **Frames.** `raw_frames` replaces every frame: a mapping is sent as one event, a string exactly
    as it is (with its own blank line), and no `[DONE]` is added. `error_frame` (in the same two
    forms) is sent after `cut_after_frames` frames, or in place of `[DONE]`, and ends the body.
    `delay` is the pause between frames in seconds.

    **Faults.** After `cut_after_frames` events the stream is cut:

    - `clean`: the body ends as it should in HTTP, just too soon;
    - `drop`: the connection is closed (FIN) inside the chunked body;
    - `reset`: the connection is reset (RST) inside the body;
    - `stall`: nothing more is sent until the client goes away.

    `hold_after_done` sends everything, `[DONE]` included, and then never ends the body.

    **Afterwards.** A response is kept unless the request has `store: false`, a chat completion if
    it has `store: true`, whatever became of the stream. The first `unfinished_retrievals` that ask
    for a response find it still in progress; one that is cancelled then reports no usage (WIRE §4).
    """

    text: str | Sequence[str] = ()
    choices: Sequence[Answer | str] = ()
    tool_calls: Sequence[ToolCall] = ()
    refusal: str | Sequence[str] = ()
    finish_reason: str | None = None

    reasoning_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int | None = None
    usage: Mapping[str, Any] | None = None
    omit_usage: bool = False

    model: str | None = None
    service_tier: str | None = "default"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    moderation: bool = False
    async_filter: bool = False
    prompt_filter: bool = True

    error: ErrorReply | None = None
    stream_options_refused: str | ErrorReply | None = None
    body: str | None = None
    content_type: str = "application/json"

    raw_frames: Sequence[str | Mapping[str, Any]] | None = None
    error_frame: str | Mapping[str, Any] | None = None
    delay: float = 0.0
    cut_after_frames: int | None = None
    cut: Cut = "clean"
    hold_after_done: bool = False
    unfinished_retrievals: int = 0

    def __post_init__(self) -> None:
        refused = self.stream_options_refused
        if isinstance(refused, str) and refused not in REFUSALS:
            raise ValueError(f"no refusal is called {refused!r}; there are: {', '.join(REFUSALS)}")

    @property
    def answers(self) -> tuple[Answer, ...] | None:
        """The choices to send, or `None` where the default answer is wanted."""
        if self.choices:
            return tuple(
                Answer(text=choice) if isinstance(choice, str) else choice
                for choice in self.choices
            )
        if not (self.text or self.tool_calls or self.refusal):
            return None
        return (
            Answer(
                text=self.text,
                tool_calls=self.tool_calls,
                refusal=self.refusal,
                finish_reason=self.finish_reason,
            ),
        )

    @property
    def refusal_of_stream_options(self) -> ErrorReply | None:
        """The reply that turns down `stream_options`, if this scenario does."""
        refused = self.stream_options_refused
        return REFUSALS[refused] if isinstance(refused, str) else refused
