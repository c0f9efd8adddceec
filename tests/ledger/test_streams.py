"""Every stream is in the ledger before its first chunk is handed over, and at its end."""

# Tests look behind the door.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
import pytest
import trio
from pydantic import SecretStr
from tests._support.fakes import FakeAdapter, raising
from tests._support.records import record_of
from tests._support.sdk_http import client_of, http, streamed
from tests._support.worlds import ASK

from usagestream import (
    AsyncClient,
    BadRequestError,
    Begun,
    Client,
    ConfigError,
    Emulator,
    OpenAIProfile,
    Scenario,
    StreamTruncatedError,
    UsageRecord,
    meter,
    track,
)
from usagestream_core.records import shutdown
from usagestream_core.records.ledger import Writing, apause
from usagestream_core.records.outbox import Outbox
from usagestream_core.streams.meter import Meter

from .conftest import Kept

HELLO = [
    b'data: {"id":"c1","model":"m-1","choices":[{"index":0,"delta":{"content":"hello"}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n',
    b"data: [DONE]\n\n",
]
ASKED: dict[str, Any] = {**ASK, "tags": {"team": "search"}}


def checked(row: dict[str, Any]) -> None:
    """The row of a stream that was read to its end."""
    assert (row["state"], row["outcome"], row["source"]) == ("ended", "completed", "reported")
    assert (row["input_tokens"], row["output_tokens"]) == (3, 2)
    assert row["cache_read_tokens"] is None
    assert row["ended_at"] >= row["begun_at"]
    assert 0 <= row["first_chunk_us"] <= row["ended_at"] - row["begun_at"]


def test_a_stream_is_written_before_its_first_chunk(ledger: Kept) -> None:
    """As open, with all that is known by then; as ended, with the record, when it is over."""
    with (
        Client(FakeAdapter.of(*HELLO), ledger=ledger) as client,
        client.stream(**ASKED) as stream,
    ):
        next(stream)
        (row,) = ledger.rows().values()
        assert (row["state"], row["outcome"], row["input_tokens"]) == ("open", None, None)
        assert (row["provider"], row["model"]) == ("fake", "gpt-4o-mini")
        assert row["tags"] == {"team": "search"}
        stream.drain()
    (row,) = ledger.rows().values()
    checked(row)
    assert row["tags"] == {"team": "search"}
    assert row["id"] == stream.record.id
    assert UsageRecord.model_validate_json(row["record"]) == stream.record


def test_an_async_stream_is_written_before_its_first_chunk(ledger: Kept) -> None:
    """On asyncio."""

    async def read() -> UsageRecord:
        async with (
            AsyncClient(FakeAdapter.of(*HELLO), ledger=ledger) as client,
            client.stream(**ASKED) as stream,
        ):
            await anext(stream)
            assert [row["state"] for row in ledger.rows().values()] == ["open"]
            await stream.drain()
        return stream.record

    record = asyncio.run(read())
    assert ledger.rows().keys() == {record.id}
    checked(ledger.row())


def test_on_trio_as_well(ledger: Kept) -> None:
    """Nothing there knows of asyncio."""

    async def read() -> None:
        async with (
            AsyncClient(FakeAdapter.of(*HELLO), ledger=ledger) as client,
            client.stream(**ASKED) as stream,
        ):
            await stream.drain()
            assert len(ledger.rows()) == 1

    trio.run(read)
    checked(ledger.row())


@pytest.mark.parametrize("streams", [True, False])
def test_a_tracked_call_is_written_before_it_answers(ledger: Kept, streams: bool) -> None:
    """Streamed or not."""
    seen: list[str] = []

    def answer(_: Any) -> Any:
        if streams:
            return streamed(HELLO)
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        message = {"role": "assistant", "content": "hello"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return http.Response(
            200, json={"id": "c1", "model": "m", "choices": [choice], "usage": usage}
        )

    bare = openai.OpenAI(api_key="k", http_client=client_of(answer))
    client = track(bare, ledger=ledger, tags={"team": "search"})
    reply: Any = client.chat.completions.create(**ASK, stream=streams)
    if streams:
        next(reply)
        seen += [row["state"] for row in ledger.rows().values()]
        list(reply)
        assert seen == ["open"]
    client.close()
    checked(ledger.row())


def test_an_async_tracked_call_too(ledger: Kept) -> None:
    """Streamed."""

    async def read() -> None:
        http_client = client_of(lambda _: streamed(HELLO, asynchronous=True), asynchronous=True)
        client = track(openai.AsyncOpenAI(api_key="k", http_client=http_client), ledger=ledger)
        reply: Any = await client.chat.completions.create(**ASK, stream=True)
        await anext(reply)
        assert [row["state"] for row in ledger.rows().values()] == ["open"]
        async for _ in reply:
            pass
        await client.close()

    asyncio.run(read())
    checked(ledger.row())


ITEMS = [json.loads(line[6:]) for line in HELLO[:-1]]


def test_a_metered_stream_is_written_before_its_first_item(ledger: Kept) -> None:
    """It was opened by somebody else."""
    items = meter(ITEMS, model="m", ledger=ledger)
    next(items)
    assert [row["state"] for row in ledger.rows().values()] == ["open"]
    list(items)
    checked(ledger.row())


def test_an_async_metered_stream_too(ledger: Kept) -> None:
    """Whatever opened it."""

    async def source() -> AsyncIterator[Any]:
        for item in ITEMS:
            yield item

    async def read() -> None:
        items = meter(source(), model="m", ledger=ledger)
        await anext(items)
        assert [row["state"] for row in ledger.rows().values()] == ["open"]
        async for _ in items:
            pass

    asyncio.run(read())
    checked(ledger.row())


def test_a_refusal_ends_what_was_begun(ledger: Kept) -> None:
    """Without the words of it, in which a provider may quote what it was asked."""
    refusal = BadRequestError("fake: the prompt 'top secret words' is too long", provider="fake")
    client = Client(FakeAdapter.of(refusal=refusal), ledger=ledger)
    with client, pytest.raises(BadRequestError):
        client.stream(**ASK).__enter__()
    row = ledger.row()
    assert (row["state"], row["outcome"], row["error"]) == ("ended", "rejected", "BadRequestError")
    assert "top secret" not in str(row)


def test_nothing_of_a_conversation_is_kept(ledger: Kept, tmp_path: Path) -> None:
    """Neither what was asked nor what was answered, in no file."""
    asked = {"model": "m", "messages": [{"role": "user", "content": "tell-nobody"}]}
    with Client(FakeAdapter.of(*HELLO), ledger=ledger) as client:
        assert client.stream(**asked).text() == "hello"  # type: ignore[arg-type]
    assert ledger.flush(60)
    told = str(ledger.rows()).encode() + b"".join(
        file.read_bytes() for file in tmp_path.iterdir() if file.is_file()
    )
    assert b"tell-nobody" not in told
    assert b"hello" not in told


class Slow:
    """A ledger that takes its time, and notes what it was told."""

    def __init__(self) -> None:
        self.kept = threading.Event()
        self.told: list[object] = []
        self.waits = 0

    def begin(self, begun: Begun) -> Writing | None:
        self.told.append(begun)
        return self

    def wait(self, seconds: float) -> bool:
        self.waits += 1
        if self.waits >= 3:
            self.kept.set()
        return self.kept.is_set()

    def end(self, record: UsageRecord) -> None:
        self.told.append(record)

    def replace(self, record: UsageRecord) -> None:
        self.told.append(record)

    def flush(self, seconds: float) -> bool:
        return True


@pytest.mark.parametrize("kind", ["sync", "asyncio", "trio"])
def test_the_first_chunk_waits_for_the_ledger(kind: str) -> None:
    """For as long as it asks to be waited for."""
    ledger = Slow()
    adapter = FakeAdapter.of(*HELLO)

    async def read() -> None:
        async with AsyncClient(adapter, ledger=ledger) as client:
            async for _ in client.stream(**ASK):
                assert ledger.kept.is_set()

    if kind == "sync":
        with Client(adapter, ledger=ledger) as client:
            for _ in client.stream(**ASK):
                assert ledger.kept.is_set()
    elif kind == "asyncio":
        asyncio.run(read())
    else:
        trio.run(read)
    begun, record = ledger.told
    assert isinstance(begun, Begun)
    assert isinstance(record, UsageRecord)
    shared = Begun.model_fields.keys()
    assert {name: getattr(record, name) for name in shared} == dict(begun)


class Interrupted(Slow):
    """Whoever waits for it is interrupted."""

    def wait(self, seconds: float) -> bool:
        raise KeyboardInterrupt


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_interrupt_while_the_ledger_is_waited_for(asynchronous: bool) -> None:
    """Ends the stream as cancelled, and lets its connection go."""
    ledger, adapter = Interrupted(), FakeAdapter.of(*HELLO)

    async def read() -> None:
        client = AsyncClient(adapter, ledger=ledger)
        with pytest.raises(KeyboardInterrupt):
            await client.stream(**ASK).__aenter__()

    if asynchronous:
        asyncio.run(read())
    else:
        with pytest.raises(KeyboardInterrupt):
            Client(adapter, ledger=ledger).stream(**ASK).__enter__()
    record = ledger.told[-1]
    assert isinstance(record, UsageRecord)
    assert record.outcome == "cancelled"
    assert adapter.body.closed == 1


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_interrupt_before_the_first_item_of_a_metered_stream(asynchronous: bool) -> None:
    """The same."""
    ledger = Interrupted()

    async def source() -> AsyncIterator[Any]:
        for item in ITEMS:
            yield item

    async def read() -> None:
        with pytest.raises(KeyboardInterrupt):
            await anext(meter(source(), model="m", ledger=ledger))

    if asynchronous:
        asyncio.run(read())
    else:
        with pytest.raises(KeyboardInterrupt):
            next(meter(ITEMS, model="m", ledger=ledger))
    record = ledger.told[-1]
    assert isinstance(record, UsageRecord)
    assert record.outcome == "cancelled"


class Broken:
    """A ledger of somebody's own, that raises whatever it is told."""

    def begin(self, begun: Begun) -> Writing | None:
        raise OSError("no begin")

    def end(self, record: UsageRecord) -> None:
        raise OSError("no end")

    def replace(self, record: UsageRecord) -> None:
        raise OSError("no replace")

    def flush(self, seconds: float) -> bool:
        raise OSError("no flush")


class BrokenWaiting(Broken):
    """A ledger that can begin, and cannot be waited for."""

    def begin(self, begun: Begun) -> Writing | None:
        return self

    def wait(self, seconds: float) -> bool:
        raise OSError("no wait")


@pytest.mark.parametrize("kind", [Broken, BrokenWaiting])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_ledger_that_raises_breaks_no_stream(
    kind: type[Broken], asynchronous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and its end counted."""
    records: list[UsageRecord] = []

    async def read() -> int:
        client = AsyncClient(FakeAdapter.of(*HELLO), ledger=kind(), on_record=records.append)
        async with client:
            assert await client.stream(**ASK).text() == "hello"
        return client.sink_failures

    with caplog.at_level(logging.ERROR, "usagestream"):
        if asynchronous:
            failures = asyncio.run(read())
        else:
            client = Client(FakeAdapter.of(*HELLO), ledger=kind(), on_record=records.append)
            with client:
                assert client.stream(**ASK).text() == "hello"
            failures = client.sink_failures
    assert failures == 1
    assert [record.outcome for record in records] == ["completed"]
    assert "The ledger raised; it does not have the end of" in caplog.text


def test_what_is_no_ledger_is_told_so() -> None:
    """Before anything is sent."""
    for wrong in (object(), Slow):
        with pytest.raises(ConfigError, match=r"have the methods of usagestream\.Ledger"):
            Client(FakeAdapter.of(*HELLO), ledger=wrong)  # type: ignore[arg-type]


def test_whoever_drives_an_async_stream_by_hand_waits_as_well() -> None:
    """On no loop that is known."""
    with pytest.raises(StopIteration):
        apause(0.0).send(None)


def test_what_cannot_be_put_in_words_begins_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The stream is the more important one."""
    ledger = Slow()
    monkeypatch.setattr(Meter, "begun", raising(ZeroDivisionError()))
    with Client(FakeAdapter.of(*HELLO), ledger=ledger) as client:
        assert client.stream(**ASK).text() == "hello"
    assert [type(told) for told in ledger.told] == [UsageRecord]
    assert "could not be written down before it begins" in caplog.text


RECOVERED = Scenario(text="One two three", reasoning_tokens=7, cut_after_frames=3)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_is_recovered_is_written_back(asynchronous: bool) -> None:
    """Of a stream, and of a record by itself; what was known already is not."""
    ledger = Slow()
    asked: dict[str, Any] = {"model": "gpt-4o-mini", "input": "Count."}

    async def read(profile: OpenAIProfile) -> None:
        async with AsyncClient(profile, ledger=ledger) as client:
            stream = client.responses.stream(**asked)
            with suppress(StreamTruncatedError):
                await stream.drain()
            await stream.recover()
            again = await stream.record.recover(client)
            assert again is stream.record
            await client.recover(told(ledger)[0])

    with Emulator(scenario=RECOVERED) as server:
        profile = OpenAIProfile(api_key=SecretStr("k"), base_url=server.openai_base_url)
        if asynchronous:
            asyncio.run(read(profile))
        else:
            with Client(profile, ledger=ledger) as client:
                stream = client.responses.stream(**asked)
                with suppress(StreamTruncatedError):
                    stream.drain()
                stream.recover()
                assert stream.record.recover(client) is stream.record
                client.recover(told(ledger)[0])
    assert [record.recovered for record in told(ledger)] == [False, True, True]
    assert [record.usage.source for record in told(ledger)][1:] == ["reported", "reported"]
    assert len({record.id for record in told(ledger)}) == 1


def told(ledger: Slow) -> list[UsageRecord]:
    """The records that a ledger was told of."""
    return [each for each in ledger.told if isinstance(each, UsageRecord)]


def test_a_record_that_cannot_be_written_back(caplog: pytest.LogCaptureFixture) -> None:
    """Is given all the same."""
    Outbox(None, ledger=Broken()).replace(record_of())
    assert "has an older state" in caplog.text


class Never(Slow):
    """A ledger that is never done."""

    def flush(self, seconds: float) -> bool:
        return False


@pytest.mark.parametrize("asynchronous", [False, True])
def test_closing_waits_for_a_ledger_so_long_and_no_longer(
    asynchronous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """`flush_timeout` bounds it, and what it comes to is logged."""

    async def read() -> None:
        async with AsyncClient(FakeAdapter(), ledger=Never(), flush_timeout=0.01):
            pass

    if asynchronous:
        asyncio.run(read())
    else:
        with Client(FakeAdapter(), ledger=Never(), flush_timeout=0.01):
            pass
    assert "did not keep all that it was given within 0.01 s" in caplog.text


def test_a_ledger_is_left_after_all_that_is_written_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of the interpreter; a forked child leaves its parent's to the parent."""
    left: list[str] = []

    class Box:
        def __init__(self, name: str) -> None:
            self.name = name

        def leave_at_exit(self) -> None:
            left.append(self.name)

        def leave_to_parent(self) -> None:
            left.append(f"{self.name} to its parent")

    monkeypatch.setattr(shutdown, "streams", shutdown.Register())
    monkeypatch.setattr(shutdown, "outboxes", {1: Box("outbox")})
    monkeypatch.setattr(shutdown, "last", [Box("ledger")])
    shutdown._at_exit()
    shutdown._forget()
    assert left == ["outbox", "ledger", "outbox to its parent", "ledger to its parent"]
