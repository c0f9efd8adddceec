"""What leaving early does to the connection, and what the caller may ask of it."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import anyio
import pytest
from tests._support.sdk_http import http

from usagestream import AsyncClient, Client, ConfigError, Outcome, UsageLimitExceededError
from usagestream_adapters.emulator import Emulator, Scenario

from .conftest import QUESTION, Run, Way, openai
from .test_fault_matrix import BREAK, TEXT, read_async, read_sync


def test_connections_go_back_to_the_pool(server: Emulator) -> None:
    """Five sync streams that are read to the end need one connection, and so do async ones."""
    with Client(openai(server)) as client:
        for _ in range(5):
            client.stream(model="gpt-4o", messages=QUESTION).drain()
    assert len({request.client_port for request in server.requests}) == 1


def test_async_connections_go_back_to_the_pool(server: Emulator) -> None:
    """Five async streams that are read to the end need one connection."""

    async def main() -> None:
        async with AsyncClient(openai(server)) as client:
            for _ in range(5):
                await client.stream(model="gpt-4o", messages=QUESTION).drain()

    asyncio.run(main())
    assert len({request.client_port for request in server.requests}) == 1


def test_no_thread_is_left_behind(server: Emulator) -> None:
    """What bounds a sync read is called off with it."""
    before = set(threading.enumerate())
    with Client(openai(server)) as client:
        client.stream(model="gpt-4o", messages=QUESTION).drain(timeout=120)
    for thread in set(threading.enumerate()) - before:
        thread.join(60)  # a timer that was called off ends in its own time; others would not
        assert not thread.is_alive()


def test_a_client_closed_before_its_stream_is_left(server: Emulator) -> None:
    """Draining finds the connection closed by our own side: nobody else is to blame."""

    async def main() -> list[Any]:
        records: list[Any] = []
        server.script(Scenario(text=TEXT, delay=0.05))
        client = AsyncClient(openai(server), on_record=records.append)
        stream = client.stream(model="gpt-4o", messages=QUESTION, on_leave="drain")
        await anext(stream)
        await client.close()
        await stream.close()
        await client.close()
        return records

    (record,) = asyncio.run(main())
    assert (record.outcome, record.reason) == (Outcome.CLOSED, "client_closed")
    assert record.error is None


def test_a_drain_in_the_background_does_not_hold_the_task(server: Emulator) -> None:
    """On asyncio, leaving the block is quick; closing the client waits for the figure."""

    async def main() -> list[Any]:
        records: list[Any] = []
        async with AsyncClient(openai(server), on_record=records.append) as client:
            server.script(Scenario(text=TEXT, delay=0.05))
            await BREAK.asynchronous(
                client.stream(model="gpt-4o", messages=QUESTION, on_leave="drain")
            )
            assert records == []
        return records

    (record,) = asyncio.run(main())
    assert (record.outcome, record.reason) == (Outcome.COMPLETED, "drained")
    assert record.usage.source == "reported"


def test_a_limit_stops_close_behind_it(run: Run, server: Emulator) -> None:
    """The limit is on what was handed over: the error says how far it went."""
    server.script(Scenario(text=TEXT, delay=0.01))
    ended = run(Way(read_sync, read_async), output_tokens_limit=4)
    assert isinstance(ended.error, UsageLimitExceededError)
    assert (ended.error.limit, ended.error.seen) == (4, 5)
    assert ended.error.record is ended.record


def test_a_limit_that_is_not_passed_changes_nothing(run: Run) -> None:
    """The stream ends as it would have."""
    ended = run(Way(read_sync, read_async), output_tokens_limit=10_000)
    assert ended.record.outcome == Outcome.COMPLETED
    assert ended.record.usage.source == "reported"


@pytest.mark.parametrize(
    ("client", "params", "error", "says"),
    [
        (
            {"token_counter": None},
            {"output_tokens_limit": 1},
            ConfigError,
            "needs a tokenizer",
        ),
        ({}, {"output_tokens_limit": 1, "model": "mine"}, ConfigError, "tokenizer of 'mine'"),
        ({}, {"output_tokens_limit": -1}, ValueError, "not be negative"),
        ({}, {"on_limit": "explode"}, ValueError, "'raise' or 'stop'"),
        ({}, {"on_leave": "linger"}, ValueError, "'close' or 'drain'"),
    ],
)
def test_what_cannot_be_asked(
    server: Emulator,
    client: dict[str, Any],
    params: dict[str, Any],
    error: type[Exception],
    says: str,
) -> None:
    """It is refused before anything is sent, with what to do."""
    asked: dict[str, Any] = {"model": "gpt-4o", "messages": QUESTION, **params}
    with Client(openai(server), **client) as made, pytest.raises(error, match=says):
        made.stream(**asked)
    assert server.requests == []


def test_a_client_without_a_connection_to_break(server: Emulator) -> None:
    """A mock transport has no socket: reading on is not bounded, and does not need to be."""
    body = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'

    def answer(_request: Any) -> Any:
        return http.Response(200, content=body + b"data: [DONE]\n\n")

    with (
        http.Client(transport=http.MockTransport(answer)) as http_client,
        Client(openai(server), http_client=http_client) as client,
        client.stream(model="gpt-4o", messages=QUESTION) as stream,
    ):
        next(stream)
    assert stream.record.outcome == Outcome.COMPLETED


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_dropped_async_stream_gives_its_connection_back(backend: str, server: Emulator) -> None:
    """Nobody closed it, and no `[DONE]` said that all was read; the next one does not mind."""
    choice = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    server.script(*[Scenario(raw_frames=[{"choices": [choice], "usage": usage}])] * 3)

    async def main() -> None:
        limits = http.Limits(max_connections=1)
        own = http.AsyncClient(limits=limits, timeout=http.Timeout(5, pool=2))
        async with own, AsyncClient(openai(server), http_client=own) as client:
            for _ in range(3):
                async for chunk in client.stream(model="gpt-4o", messages=QUESTION):
                    if chunk.usage is not None:
                        break
                gc.collect()
                await anyio.sleep(0.05)

    anyio.run(main, backend=backend)
    assert len(server.requests) == 3
