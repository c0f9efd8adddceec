"""`meter` counts a stream that somebody else opened."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from usagestream import Outcome, StreamNotEndedError, UsageRecord, UsageSource
from usagestream_adapters.emulator import Scenario
from usagestream_adapters.track import meter

from .conftest import Bench, Entered, each, result

ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello?"}]}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def chunk(text: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A frame as a dict."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return {"id": "c1", "model": "m-1", "choices": [choice], **more}


ITEMS: list[dict[str, Any]] = [
    chunk("Hi"),
    chunk("", "stop"),
    {"id": "c1", "choices": [], "usage": USAGE},
]


async def slowly(items: list[Any], error: BaseException | None = None) -> AsyncIterator[Any]:
    """Items for async code, and then an error."""
    for item in items:
        yield item
    if error is not None:
        raise error


def quickly(items: list[Any], error: BaseException | None = None) -> Iterator[Any]:
    """Items for sync code, and then an error."""
    yield from items
    if error is not None:
        raise error


def test_a_stream_of_the_sdk(bench: Bench) -> None:
    """The items pass through as they are; the record knows what the response says."""
    seen: list[Any] = []

    async def way(client: Any) -> None:
        stream = await result(
            client.chat.completions.create(
                **ASK, stream=True, stream_options={"include_usage": True}
            )
        )
        options: dict[str, Any] = {"model": "gpt-4o-mini", "tags": {"a": "b"}}
        metered = cast("Any", meter(stream, **options, on_record=seen.append))
        with pytest.raises(StreamNotEndedError, match="has no record yet"):
            metered.record  # noqa: B018
        assert metered.response is stream.response
        items = await each(metered)
        usage = items[-1].usage
        assert metered.usage.total_tokens == usage.total_tokens
        assert metered.record.wire_usage == usage.model_dump(exclude_unset=True)

    bench.server.script(Scenario(text="Hello."))
    bench.run(way, tracked=False)
    (record,) = seen
    assert (record.outcome, record.tags) == (Outcome.COMPLETED, {"a": "b"})
    assert (record.provider == "azure") is (bench.surface != "openai")
    deployment = "gpt-4o-mini" if bench.surface == "azure-classic" else None
    assert (record.model, record.deployment) == ("gpt-4o-mini", deployment)
    assert "x-request-id" in record.request_ids


def read(items: Any, *, asynchronous: bool) -> Any:
    """Read metered items to the end; give what metered them."""
    metered: Any = meter(slowly(items) if asynchronous else items)
    asyncio.run(each(metered)) if asynchronous else list(metered)
    return metered


def test_dicts(asynchronous: bool) -> None:
    """Frames as plain dicts, of a server that sends usage last; the model is the one they name."""
    metered = read(ITEMS, asynchronous=asynchronous)
    assert metered.record.outcome == Outcome.COMPLETED
    assert (metered.record.model, metered.record.provider) == ("m-1", "openai")
    assert metered.usage.total_tokens == 3


def test_items_without_usage(asynchronous: bool) -> None:
    """Nobody asked, so that it is unknown and not zero."""
    metered = read([*ITEMS[:2], "strange", None], asynchronous=asynchronous)
    assert metered.record.outcome == Outcome.COMPLETED
    assert (metered.usage.source, metered.usage.total_tokens) == (UsageSource.UNKNOWN, None)


def test_items_that_end_too_soon(asynchronous: bool) -> None:
    """A stream that breaks off in silence raises nothing, as ever, and is no whole answer."""
    metered = read(ITEMS[:1], asynchronous=asynchronous)
    assert metered.record.outcome == Outcome.TRUNCATED


def test_an_error_among_the_items(asynchronous: bool) -> None:
    """A frame that reports an error ends the account, not the stream."""
    metered = read([chunk("Hi"), {"error": {"code": "x"}}, *ITEMS], asynchronous=asynchronous)
    assert (metered.record.outcome, metered.record.error.code) == (Outcome.FAILED, "x")


def test_langchain_items(asynchronous: bool) -> None:
    """LangChain's chunks, by their attributes."""
    usage = {
        "input_tokens": 5,
        "output_tokens": 7,
        "total_tokens": 12,
        "input_token_details": {"cache_read": 4, "audio": 0},
        "output_token_details": {"reasoning": 6},
    }
    said = {"finish_reason": "stop", "model_name": "m-1"}
    items = [
        SimpleNamespace(content="Hi", id="run-1", response_metadata={}, usage_metadata=None),
        SimpleNamespace(content="", id="run-1", response_metadata=said, usage_metadata=None),
        SimpleNamespace(content="", id="run-1", response_metadata={}, usage_metadata=usage),
    ]
    metered = read(items, asynchronous=asynchronous)
    assert metered.record.outcome == Outcome.COMPLETED
    counted = metered.usage.model_dump(exclude_none=True, exclude={"source", "lower_bound"})
    assert counted == {
        "input_tokens": 5,
        "output_tokens": 7,
        "total_tokens": 12,
        "cache_read_tokens": 4,
        "input_audio_tokens": 0,
        "reasoning_tokens": 6,
    }
    assert metered.record.model == "m-1"


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(OSError("gone"), Outcome.TRUNCATED), (KeyboardInterrupt(), Outcome.CANCELLED)],
    ids=["broken", "interrupted"],
)
def test_items_that_raise(asynchronous: bool, error: BaseException, outcome: Outcome) -> None:
    """The stream's own exception reaches the caller as it is."""
    stream = slowly(ITEMS[:1], error) if asynchronous else quickly(ITEMS[:1], error)
    metered: Any = meter(stream)
    with pytest.raises(type(error)):
        asyncio.run(each(metered)) if asynchronous else list(metered)
    assert metered.record.outcome == outcome


@pytest.mark.parametrize(
    ("count", "outcome"), [(1, Outcome.CLOSED), (2, Outcome.COMPLETED)], ids=["early", "late"]
)
def test_items_that_are_left(asynchronous: bool, count: int, outcome: Outcome) -> None:
    """With `with`, the record is there at its end."""

    async def way() -> UsageRecord:
        metered: Any = meter(slowly(ITEMS) if asynchronous else quickly(ITEMS))
        async with Entered(metered):
            for _ in range(count):
                await (anext(metered) if asynchronous else result(next(metered)))
        await result(metered.close())
        record: UsageRecord = metered.record
        return record

    assert asyncio.run(way()).outcome == outcome


def test_an_exception_of_the_caller(asynchronous: bool) -> None:
    """Is no fault of the stream; its type is on the record."""

    async def way(error: BaseException) -> UsageRecord:
        metered: Any = meter(slowly(ITEMS) if asynchronous else iter(ITEMS))
        with pytest.raises(type(error)):
            async with Entered(metered):
                raise error
        record: UsageRecord = metered.record
        return record

    record = asyncio.run(way(ValueError("mine")))
    assert (record.outcome, record.error and record.error.type) == (Outcome.CLOSED, "ValueError")
    cancelled = asyncio.run(way(SystemExit()))
    assert cancelled.outcome == Outcome.CANCELLED


def test_dropped_items() -> None:
    """A stream that was dropped in the middle leaves its record all the same."""
    records: list[UsageRecord] = []
    metered = meter(ITEMS, on_record=records.append)
    next(metered)
    del metered
    gc.collect()
    assert records[0].outcome == Outcome.ABANDONED


def test_items_that_cannot_be_closed() -> None:
    """Async items without `close` or `aclose` are just left."""

    class Items:
        def __aiter__(self) -> AsyncIterator[Any]:
            return slowly(ITEMS)

    metered = meter(Items())
    asyncio.run(metered.close())


def test_a_second_reader_does_not_end_the_stream(asynchronous: bool) -> None:
    """A generator refuses him; the stream goes on for the first one, and its record is whole."""
    records: list[UsageRecord] = []

    def source() -> Iterator[Any]:
        with pytest.raises(ValueError, match="already executing"):
            next(metered)
        yield from ITEMS

    async def asource() -> AsyncIterator[Any]:
        with pytest.raises(RuntimeError, match="already running"):
            await anext(metered)
        for item in ITEMS:
            yield item

    async def main() -> int:
        return len([item async for item in metered])

    metered: Any = meter(asource() if asynchronous else source(), on_record=records.append)
    assert (asyncio.run(main()) if asynchronous else len(list(metered))) == len(ITEMS)
    assert [record.outcome for record in records] == [Outcome.COMPLETED]
