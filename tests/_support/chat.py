"""Bodies of the chat-completions wire, built from frames, and what decoding them gave."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from usagestream_adapters.wire.chat import ChatDecoder
from usagestream_core.adapter import Head, Report, Target
from usagestream_core.chunk import Chunk
from usagestream_core.errors import StreamError
from usagestream_core.streams.meter import Call, Meter

HEAD = Head(status=200, content_type="text/event-stream")
DONE = b"data: [DONE]\n\n"
USAGE: dict[str, Any] = {"prompt_tokens": 18, "completion_tokens": 2, "total_tokens": 20}


def choice(index: int = 0, *, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """One entry of `choices`."""
    return {"index": index, "delta": delta, "finish_reason": finish}


def frame(*choices: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One chunk of the wire, with the keys that every chunk has."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": list(choices),
        **more,
    }


def event(data: Any) -> bytes:
    """One event with this JSON."""
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def body(*frames: dict[str, Any], done: bool = True) -> bytes:
    """A whole body of these frames."""
    return b"".join(map(event, frames)) + (DONE if done else b"")


HELLO = body(
    frame(choice(role="assistant", content=""), usage=None),
    frame(choice(content="Hel"), usage=None),
    frame(choice(content="lo"), usage=None),
    frame(choice(finish="stop"), usage=None),
    frame(usage=USAGE),
)
"""What OpenAI sends where usage was asked for: WIRE §1.2."""


def cut(data: bytes, size: int) -> list[bytes]:
    """Split into reads of this many bytes; 0 gives one read."""
    return [data[i : i + size] for i in range(0, len(data), size)] if size else [data]


@dataclass
class Decoded:
    """What a body says, read through decoder and meter."""

    chunks: list[Chunk]
    reports: list[Report]
    meter: Meter
    failure: StreamError | None = field(init=False)

    def __post_init__(self) -> None:
        self.failure = self.meter.failure

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)

    @property
    def said(self) -> list[Chunk]:
        """The chunks without the last one, which carries the usage."""
        return [chunk for chunk in self.chunks if chunk.usage is None]

    @property
    def counts(self) -> dict[str, Any]:
        """The counts that are known."""
        return self.meter.usage.model_dump(exclude_none=True, exclude={"source", "lower_bound"})


class Reader(Meter):
    """A meter with the decoder of a response that has begun, and fed with its bytes."""

    def __init__(self, call: Call, decoder: ChatDecoder, head: Head) -> None:
        super().__init__(call)
        self._decoder = decoder
        self.start(0.0, datetime(2026, 1, 1, tzinfo=UTC))
        self.opened(head)

    def feed(self, data: bytes, now: float) -> list[Chunk]:
        """Decode some bytes, and take what they say."""
        return self.take(self._decoder.feed(data), now)

    def finish(self, now: float, interruption: StreamError | None = None) -> list[Chunk]:
        """Take what the decoder held back at the end of the body."""
        return self.close(self._decoder.close(), now, interruption)


def new_meter(decoder: ChatDecoder | None = None, head: Head = HEAD) -> Reader:
    """A meter that has seen a response begin."""
    call = Call(provider="openai", profile=None, target=Target(endpoint="host"), model="m")
    return Reader(call, decoder or ChatDecoder(head), head)


def decode(reads: bytes | Iterable[bytes], *, head: Head = HEAD) -> Decoded:
    """Read a body to its end, or to where the meter says that it is over."""
    parts = [reads] if isinstance(reads, bytes) else list(reads)
    meter = new_meter(head=head)
    chunks: list[Chunk] = []
    for part in parts:
        chunks += meter.feed(part, 1.0)
        if meter.over:
            break
    if not meter.over:
        chunks += meter.finish(2.0)
    return Decoded(chunks, raw_reports(parts, head=head), meter)


def raw_items(reads: Sequence[bytes], *, head: Head = HEAD) -> list[Chunk | Report]:
    """All that the decoder alone makes of a body."""
    decoder = ChatDecoder(head)
    items: list[Chunk | Report] = []
    for part in reads:
        items += decoder.feed(part)
    return items + decoder.close()


def raw_reports(reads: Sequence[bytes], *, head: Head = HEAD) -> list[Report]:
    """The reports among `raw_items`."""
    return [item for item in raw_items(reads, head=head) if isinstance(item, Report)]
