"""What a chunk costs, counted instead of timed: a call more for each shows as another number."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest
from tests._support.calls import calls

from usagestream import AsyncClient, Client, Profile
from usagestream_adapters import ChatDecoder
from usagestream_core.adapter import Head, Request, Target

FRAME = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o",'
    b'"choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}],"usage":null}\n\n'
)
END = (
    b'data: {"id":"chatcmpl-1","model":"gpt-4o","choices":[{"index":0,"delta":{},'
    b'"finish_reason":"stop"}],"usage":null}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}\n\n'
    b"data: [DONE]\n\n"
)
# Python functions entered, and functions written in C, for one more chunk that comes in a read of
# its own. Raise a figure only for something that each chunk is worth.
SYNC_CALLS, SYNC_C_CALLS = 7, 18
ASYNC_CALLS, ASYNC_C_CALLS = 8, 17
BYTES_FOR_A_STREAM = 4096


class Body:
    """A response that is already here."""

    head = Head(status=200, content_type="text/event-stream")

    def __init__(self, frames: int) -> None:
        self.frames = frames

    def __iter__(self) -> Iterator[bytes]:
        return iter([*[FRAME] * self.frames, END])

    def close(self) -> None:
        """Nothing to close."""


class AsyncBody:
    """The same, awaited."""

    head = Body.head

    def __init__(self, frames: int) -> None:
        self.frames = frames

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for data in Body(self.frames):
            yield data

    async def close(self) -> None:
        """Nothing to close."""


class MemoryAdapter:
    """Answers from memory, so that nothing but this library runs."""

    provider = "memory"
    profile_type = Profile

    def __init__(self, frames: int) -> None:
        self.frames = frames

    def target(self, model: str) -> Target:
        """Nowhere."""
        return Target(endpoint="memory")

    def open(self, request: Request) -> Body:
        """Open at once."""
        return Body(self.frames)

    async def aopen(self, request: Request) -> AsyncBody:
        """Open at once."""
        return AsyncBody(self.frames)

    def decoder(self, head: Head) -> ChatDecoder:
        """The one decoder."""
        return ChatDecoder(head)

    def close(self) -> None:
        """Nothing to close."""

    async def aclose(self) -> None:
        """Nothing to close."""


def read(frames: int) -> None:
    """Read a stream to its end."""
    adapter: Any = MemoryAdapter(frames)
    with Client(adapter) as client, client.stream(model="m", messages=[]) as stream:
        for _ in stream:
            pass


def read_async(frames: int) -> None:
    """Read a stream to its end, awaiting it."""

    async def main() -> None:
        adapter: Any = MemoryAdapter(frames)
        async with (
            AsyncClient(adapter) as client,
            client.stream(model="m", messages=[]) as stream,
        ):
            async for _ in stream:
                pass

    asyncio.run(main())


@pytest.mark.parametrize(
    ("run", "python", "c"),
    [
        pytest.param(read, SYNC_CALLS, SYNC_C_CALLS, id="sync"),
        pytest.param(read_async, ASYNC_CALLS, ASYNC_C_CALLS, id="async"),
    ],
)
def test_calls_for_each_chunk(run: Callable[[int], None], python: int, c: int) -> None:
    """One chunk more costs this many calls more, however long the stream is."""
    run(10)  # what is made once is made
    few, many, more = (calls(partial(run, frames)) for frames in (1000, 2000, 3000))
    each = {kind: (many[kind] - few[kind]) / 1000 for kind in ("call", "c_call")}
    later = {kind: (more[kind] - many[kind]) / 1000 for kind in ("call", "c_call")}
    assert each["call"] <= python
    assert each["c_call"] <= c
    assert later == pytest.approx(each, abs=0.1)


def held(make: Callable[[], list[Any]]) -> tuple[list[Any], int]:
    """Make something, and say how many bytes it holds."""
    gc.collect()
    tracemalloc.start()
    try:
        made = make()
        gc.collect()
        return made, tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_for_each_open_stream() -> None:
    """An open stream holds little, and no more after a thousand chunks than after one.

    That is without a tokenizer: with one, the text is kept until its tokens need no estimate.
    """
    adapter: Any = MemoryAdapter(2000)
    with Client(adapter, token_counter=None) as client:

        def opened(chunks: int) -> list[Any]:
            streams = [client.stream(model="m", messages=[]) for _ in range(20)]
            for stream in streams:
                for _ in range(chunks):
                    next(stream)
            return streams

        def bodies() -> list[Any]:
            return [iter(Body(2000)) for _ in range(20)]

        warm_up = opened(1)
        responses, response_bytes = held(bodies)
        early, early_bytes = held(lambda: opened(1))
        late, late_bytes = held(lambda: opened(1001))
        for stream in [*warm_up, *early, *late]:
            stream.close()
        del responses
    assert (early_bytes - response_bytes) / 20 < BYTES_FOR_A_STREAM
    # A chunk kept would be some hundred bytes for each of a thousand; what the interpreter keeps
    # of its own, now here and now there, is a few kilobytes for all twenty.
    assert late_bytes - early_bytes < 20 * 1000


def test_raw_is_decoded_once() -> None:
    """`raw` is the frame that the chunk was made of, not another copy of it."""
    adapter: Any = MemoryAdapter(1)
    with Client(adapter) as client, client.stream(model="m", messages=[]) as stream:
        chunk = next(stream)
        stream.close()
    assert chunk.raw is chunk.raw
    assert chunk.raw["choices"][0]["delta"]["content"] == chunk.text
