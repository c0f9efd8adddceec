"""Endings that need a hand to happen: interruptions of the last reads, exits, time-outs."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from tests._support.chat import HELLO
from tests._support.fakes import FakeAdapter, FakeAsyncBody, FakeBody

from usagestream import (
    AsyncClient,
    Client,
    ClientClosedError,
    Outcome,
    StreamBusyError,
    StreamNotEndedError,
    StreamTruncatedError,
    UsageRecord,
    UsageStream,
)
from usagestream_adapters.emulator import Emulator, Scenario
from usagestream_adapters.sdk.bodies import SdkAsyncByteStream, SdkByteStream
from usagestream_core.records import shutdown as exits
from usagestream_core.streams.shells import AsyncStream, SyncStream

from .conftest import QUESTION, openai
from .test_fault_matrix import TEXT

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": []}
FINISH = b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'
PIECE = b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}\n\n'


def left_after_finish(*reads: bytes | BaseException) -> UsageRecord:
    """Leave after the finish reason in sync code; what is left is read."""
    records: list[UsageRecord] = []
    with (
        Client(FakeAdapter.of(*reads), on_record=records.append) as client,
        client.stream(**ASK) as stream,
    ):
        next(stream)
    return records[0]


def left_after_finish_async(*reads: bytes | BaseException) -> UsageRecord:
    """Leave after the finish reason in async code; what is left is read."""
    records: list[UsageRecord] = []

    async def main() -> None:
        adapter: Any = FakeAdapter.of(*reads)
        async with (
            AsyncClient(adapter, on_record=records.append) as client,
            client.stream(**ASK) as stream,
        ):
            await anext(stream)

    asyncio.run(main())
    return records[0]


LEAVE = {"sync": left_after_finish, "async": left_after_finish_async}


@pytest.mark.parametrize("leave", LEAVE.values(), ids=LEAVE)
def test_what_breaks_after_the_answer_does_no_harm(
    leave: Callable[..., UsageRecord],
) -> None:
    """The answer was whole and was given; that its usage never came is no failure of it."""
    record = leave(FINISH, OSError("gone"))
    assert record.outcome == Outcome.COMPLETED


@pytest.mark.parametrize("leave", LEAVE.values(), ids=LEAVE)
def test_nothing_may_follow_the_answer(leave: Callable[..., UsageRecord]) -> None:
    """Some servers send neither usage nor `[DONE]`."""
    assert leave(FINISH).outcome == Outcome.COMPLETED


def test_ctrl_c_while_the_rest_is_read() -> None:
    """The interruption passes, and the record is written."""
    records: list[UsageRecord] = []
    adapter = FakeAdapter.of(FINISH, KeyboardInterrupt())
    with Client(adapter, on_record=records.append) as client:
        stream = client.stream(**ASK)
        next(stream)
        with pytest.raises(KeyboardInterrupt):
            stream.close()
    assert [record.outcome for record in records] == [Outcome.CANCELLED]
    assert adapter.body.closed == 1


def test_cancellation_while_the_rest_is_read() -> None:
    """The same in async code."""
    records: list[UsageRecord] = []
    adapter: Any = FakeAdapter.of(FINISH, asyncio.CancelledError())

    async def main() -> None:
        async with AsyncClient(adapter, on_record=records.append) as client:
            stream = client.stream(**ASK)
            await anext(stream)
            with pytest.raises(asyncio.CancelledError):
                await stream.close()

    asyncio.run(main())
    assert [record.outcome for record in records] == [Outcome.CANCELLED]
    assert adapter.body.closed == 1


def test_a_drain_that_finds_the_stream_cut() -> None:
    """Draining raises what reading would have raised; then there is nothing left to drain."""
    with Client(FakeAdapter.of(PIECE)) as client:
        stream = client.stream(**ASK)
        with pytest.raises(StreamTruncatedError):
            stream.drain(timeout=5)
        assert stream.drain(timeout=5) == stream.usage


def test_an_async_drain_that_finds_the_stream_cut() -> None:
    """The same in async code."""

    async def main() -> None:
        adapter: Any = FakeAdapter.of(PIECE)
        async with AsyncClient(adapter) as client:
            stream = client.stream(**ASK)
            with pytest.raises(StreamTruncatedError):
                await stream.drain(timeout=5)
            assert await stream.drain(timeout=5) == stream.usage

    asyncio.run(main())


def test_a_limit_passed_with_the_last_words_stops_nothing() -> None:
    """There is nothing to stop once the finish reason is there."""
    done = b"data: [DONE]\n\n"
    with (
        Client(FakeAdapter.of(FINISH, done)) as client,
        client.stream(**ASK, output_tokens_limit=0) as stream,
    ):
        assert stream.text() == "x"
    assert stream.record.outcome == Outcome.COMPLETED


def test_streams_that_are_open_when_the_interpreter_ends(server: Emulator) -> None:
    """They are recorded as abandoned, and their connections are broken."""
    records: list[UsageRecord] = []
    server.script(Scenario(text=TEXT, delay=5), Scenario(text=TEXT, delay=5))

    async def main() -> None:
        async with AsyncClient(openai(server), on_record=records.append) as client:
            stream = client.stream(model="gpt-4o", messages=QUESTION)
            await anext(stream)
            exits.streams.leave_all()
            await stream.close()

    asyncio.run(main())
    with Client(openai(server), on_record=records.append) as client:
        stream = client.stream(model="gpt-4o", messages=QUESTION)
        next(stream)
        exits.streams.leave_all()
        stream.close()
    with Client(FakeAdapter.of(PIECE, PIECE), on_record=records.append) as client:
        open_stream: Any = client.stream(**ASK)
        next(open_stream)
        exits.streams.leave_all()
        open_stream.leave_at_exit()  # once is enough
        open_stream.close()
    assert [(record.outcome, record.reason) for record in records] == [
        (Outcome.ABANDONED, "exit")
    ] * 3
    assert server.wait_idle()


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_what_is_collected_while_the_interpreter_ends_stays_quiet(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then the record was written, and nothing else can be relied on."""
    records: list[UsageRecord] = []
    stream = kind(FakeAdapter.of(PIECE, PIECE), on_record=records.append).stream(**ASK)
    if kind is Client:
        next(stream)
    else:
        asyncio.run(anext(stream))
    exits.streams.leave_all()
    monkeypatch.setattr(
        "usagestream_core.streams.shells.sys", SimpleNamespace(is_finalizing=lambda: True)
    )
    del stream
    gc.collect()
    assert len(records) == 1


class FakeResponse(SimpleNamespace):
    """As much of a response as a byte stream looks at."""

    def __init__(self, extensions: dict[str, Any]) -> None:
        super().__init__(
            extensions=extensions, headers={}, status_code=200, is_stream_consumed=False
        )


class FakeManager:
    """What the SDK gives to open and close a response with."""

    def __init__(self, extensions: dict[str, Any] | None = None) -> None:
        self.response = SimpleNamespace(http_response=FakeResponse(extensions or {}))
        self.exits = 0

    def __enter__(self) -> Any:
        return self.response

    def __exit__(self, *_: object) -> None:
        self.exits += 1

    async def __aexit__(self, *_: object) -> None:
        self.exits += 1


@pytest.fixture
def manager() -> FakeManager:
    """A response without a connection."""
    return FakeManager()


def test_what_goes_wrong_in_time_is_not_a_time_out(manager: FakeManager) -> None:
    """Only the clock makes a `TimeoutError`."""
    body = SdkByteStream(manager)
    with pytest.raises(ZeroDivisionError), body.within(5):
        raise ZeroDivisionError
    with pytest.raises(KeyboardInterrupt), body.within(5):
        raise KeyboardInterrupt


def too_late() -> None:
    """Notice the end of the connection some time after it."""
    time.sleep(0.1)
    raise ConnectionError("shut down")


def test_time_that_is_up(manager: FakeManager) -> None:
    """It is up whether the reading noticed or not."""
    body = SdkByteStream(manager)
    with pytest.raises(TimeoutError, match="rest did not come"), body.within(0.01):
        time.sleep(0.1)
    with pytest.raises(TimeoutError) as raised, body.within(0.01):
        too_late()
    assert isinstance(raised.value.__cause__, ConnectionError)


def test_a_watchdog_that_is_called_off_does_not_bite(manager: FakeManager) -> None:
    """Called off at the last moment, it finds that it is too late to do anything."""
    body = SdkByteStream(manager)
    with body.within(5):
        (timer,) = [
            thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)
        ]
    timer.function()
    assert manager.exits == 0


def test_a_body_is_closed_once(manager: FakeManager) -> None:
    """Closing twice is no error, and breaking what was let go does nothing."""
    body = SdkByteStream(manager)
    body.close()
    body.close()
    body.abort()
    assert manager.exits == 1


def test_an_async_body_is_closed_once(manager: FakeManager) -> None:
    """The same in async code."""

    async def main() -> None:
        body = SdkAsyncByteStream(manager, manager.response)
        await body.close()
        await body.close()

    asyncio.run(main())
    assert manager.exits == 1


def test_a_connection_without_a_socket_cannot_be_broken() -> None:
    """Some transports do not show theirs."""
    hidden = SimpleNamespace(get_extra_info=dict[str, object]().get)
    manager = FakeManager({"network_stream": hidden})
    SdkByteStream(manager).abort()
    assert manager.exits == 0


class Interrupted:
    """A token counter in which Ctrl-C comes, once."""

    def __init__(self) -> None:
        self.times = 0

    def count(self, text: str, model: str) -> int | None:
        """Count nothing."""
        self.times += 1
        if self.times == 1:
            raise KeyboardInterrupt
        return 0


def test_an_interrupt_while_the_record_is_made() -> None:
    """It is made again, and goes out before the interrupt does its work."""
    records: list[UsageRecord] = []
    adapter = FakeAdapter.of(PIECE, PIECE)
    with Client(adapter, on_record=records.append, token_counter=Interrupted()) as client:
        stream = client.stream(**ASK)
        next(stream)
        with pytest.raises(KeyboardInterrupt):
            stream.close()
        assert [record.outcome for record in records] == [Outcome.CLOSED]
        stream.close()
    assert len(records) == 1


class Reentrant:
    """A token counter that closes the stream it counts for, as a signal handler might."""

    def __init__(self) -> None:
        self.stream: Any = None

    def count(self, text: str, model: str) -> int | None:
        """Count nothing."""
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.close()
        return 0


def test_a_stream_that_is_settled_while_its_record_is_made() -> None:
    """Whoever is first hands the record over; there is no second."""
    records: list[UsageRecord] = []
    counter = Reentrant()
    with Client(FakeAdapter.of(PIECE), on_record=records.append, token_counter=counter) as client:
        stream = client.stream(**ASK)
        next(stream)
        counter.stream = stream
        stream.close()
    assert len(records) == 1


@pytest.mark.parametrize("opened", [False, True], ids=["asked after", "sent after"])
def test_a_closed_client_sends_nothing(opened: bool) -> None:
    """It says so, and there is no record of what was never sent."""
    records: list[UsageRecord] = []
    adapter: Any = FakeAdapter()
    client = Client(adapter, on_record=records.append)
    stream = client.stream(**ASK) if opened else None
    client.close()
    with pytest.raises(ClientClosedError, match="make a new one"):
        (stream or client.stream(**ASK)).drain()

    async def main() -> None:
        client = AsyncClient(adapter, on_record=records.append)
        stream = client.stream(**ASK) if opened else None
        await client.close()
        with pytest.raises(ClientClosedError):
            await (stream or client.stream(**ASK)).drain()

    asyncio.run(main())
    assert (records, adapter.requests) == ([], [])


def test_two_tasks_on_one_stream() -> None:
    """The second is told so; the stream goes on for the first."""

    class Slow(FakeAsyncBody):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            await asyncio.sleep(0.01)
            yield HELLO

    async def main() -> str:
        adapter: Any = FakeAdapter()
        body = Slow(FakeBody(adapter.head, ()))

        async def aopen(_request: Any) -> Any:
            return body

        adapter.aopen = aopen
        async with AsyncClient(adapter) as client, client.stream(**ASK) as stream:
            first = asyncio.create_task(stream.text())
            await asyncio.sleep(0)
            with pytest.raises(StreamBusyError, match="let one read it"):
                await anext(stream)
            return await first

    assert asyncio.run(main()) == "Hello"


def test_two_tasks_that_both_begin_a_stream() -> None:
    """One of them waits for the response, and is not disturbed by the other."""
    adapter: Any = FakeAdapter()
    aopen = adapter.aopen

    async def slowly(request: Any) -> Any:
        await asyncio.sleep(0.01)
        return await aopen(request)

    async def main() -> tuple[str | BaseException, str | BaseException]:
        adapter.aopen = slowly
        async with AsyncClient(adapter) as client:
            stream = client.stream(**ASK)
            return await asyncio.gather(stream.text(), stream.text(), return_exceptions=True)

    text, refused = asyncio.run(main())
    assert text == "Hello"
    assert isinstance(refused, StreamBusyError)


def test_two_threads_that_both_begin_a_stream() -> None:
    """As with two tasks; closing it meanwhile ends the one that waits."""
    entered, leave = threading.Event(), threading.Event()
    adapter: Any = FakeAdapter()
    opened = adapter.open

    def slowly(request: Any) -> Any:
        entered.set()
        leave.wait(5)
        return opened(request)

    adapter.open = slowly
    with Client(adapter) as client:
        for closes in (False, True):
            entered.clear()
            leave.clear()
            stream = client.stream(**ASK)
            texts: list[str] = []

            def read(stream: UsageStream = stream, texts: list[str] = texts) -> None:
                texts.append(stream.text())

            first = threading.Thread(target=read)
            first.start()
            entered.wait(5)
            with pytest.raises(StreamBusyError):
                next(stream)
            if closes:
                stream.close()
            leave.set()
            first.join()
            assert stream.record is not None
            assert stream.record.outcome is (Outcome.CLOSED if closes else Outcome.COMPLETED)
            assert texts == ([""] if closes else ["Hello"])


def test_a_stream_that_is_closed_while_its_adapter_is_loaded() -> None:
    """Nothing is sent, and there is nothing to record."""
    records: list[UsageRecord] = []
    adapter: Any = FakeAdapter()
    with Client(adapter, on_record=records.append) as client:
        stream = client.stream(**ASK)

        def warm(_request: Any, *, asynchronous: bool) -> None:
            assert not asynchronous
            stream.close()  # as another thread would

        adapter.warm = warm
        assert stream.text() == ""
    assert not records
    with pytest.raises(StreamNotEndedError, match="never sent a request has none"):
        _ = stream.record


def test_a_stream_that_is_begun_again_while_its_adapter_is_loaded() -> None:
    """It has a reader already."""
    adapter: Any = FakeAdapter()

    def warm(_request: Any, *, asynchronous: bool) -> None:
        assert not asynchronous
        with pytest.raises(StreamBusyError):  # as another thread would
            next(stream)

    with Client(adapter) as client:
        stream = client.stream(**ASK)
        adapter.warm = warm
        assert stream.text() == "Hello"


def held_back(entered: threading.Event, leave: threading.Event) -> Any:
    """An adapter whose body says that it is being read, and comes when it is let go."""

    class Slow(FakeBody):
        def __iter__(self) -> Iterator[bytes]:
            entered.set()
            leave.wait(60)
            yield HELLO

    def slow(_request: Any) -> Any:
        return Slow(adapter.head, ())

    adapter: Any = FakeAdapter()
    adapter.open = slow
    return adapter


def test_two_threads_on_one_stream() -> None:
    """As with two tasks."""
    entered, leave = threading.Event(), threading.Event()
    adapter = held_back(entered, leave)
    with Client(adapter) as client, client.stream(**ASK) as stream:
        first = threading.Thread(target=stream.drain)
        first.start()
        entered.wait(60)
        with pytest.raises(StreamBusyError):
            next(stream)
        leave.set()
        first.join()
        assert stream.record.outcome is Outcome.COMPLETED


def test_closing_from_another_thread_ends_the_reader_at_once(server: Emulator) -> None:
    """It waits for bytes that will not come; the record says that the stream was closed."""
    server.script(Scenario(text=TEXT, cut_after_frames=3, cut="stall"))
    records: list[UsageRecord] = []
    with Client(openai(server), on_record=records.append) as client:
        stream = client.stream(model="gpt-4o", messages=QUESTION)
        for _ in range(3):
            next(stream)
        reader = threading.Thread(target=stream.drain)
        reader.start()
        time.sleep(0.1)
        stream.close()
        reader.join(60)
        assert not reader.is_alive()
    assert [record.outcome for record in records] == [Outcome.CLOSED]


def test_closing_what_cannot_be_interrupted_from_another_thread() -> None:
    """The reader ends with what it waits for; the record is there at once."""
    entered, leave = threading.Event(), threading.Event()
    adapter = held_back(entered, leave)
    with Client(adapter) as client:
        stream = client.stream(**ASK)
        reader = threading.Thread(target=stream.drain)
        reader.start()
        entered.wait(60)
        stream.close()
        assert stream.record.outcome is Outcome.CLOSED
        leave.set()
        reader.join(60)


@pytest.mark.parametrize("kind", [SyncStream, AsyncStream])
def test_a_stream_that_was_interrupted_while_it_was_made_is_dropped_quietly(kind: Any) -> None:
    """Ctrl-C may come before it has anything."""
    kind.__new__(kind).__del__()
