"""The two shells: every way a stream can end, and the one record it leaves."""

from __future__ import annotations

import asyncio
import copy
import gc
import logging
import warnings
from typing import Any

import pytest
from tests._support.chat import HELLO, USAGE, body, choice, cut, event, frame
from tests._support.fakes import FakeAdapter
from tests._support.worlds import ASK, Blocking, World

from usagestream import (
    AsyncClient,
    AsyncUsageStream,
    Client,
    NotAStreamError,
    Outcome,
    RateLimitError,
    StreamError,
    StreamFailedError,
    StreamInterruptedError,
    StreamNotEndedError,
    StreamTruncatedError,
    Usage,
    UsageRecord,
    UsageSource,
    UsageStream,
    UsageStreamError,
)

WHOLE = Usage(input_tokens=18, output_tokens=2, total_tokens=20, source=UsageSource.REPORTED)
HALF = body(frame(choice(content="Hel")), done=False)
EARLY_USAGE = body(frame(choice(content="Hel"), usage=USAGE), done=False)


def record_of(world: World) -> UsageRecord:
    """The one record there is."""
    (record,) = world.records
    return record


@pytest.mark.parametrize("size", [1, 7, 0])
def test_completed(world: World, size: int) -> None:
    """Invariants 1, 4 and 6: read to the end, whatever the reads."""
    adapter = FakeAdapter.of(HELLO, size=size)
    with world.stream(adapter) as stream:
        chunks = list(stream)
    assert "".join(chunk.text for chunk in chunks) == "Hello"
    assert [chunk.usage for chunk in chunks] == [None, None, None, None, WHOLE]
    record = record_of(world)
    assert record is stream.record
    assert (record.outcome, record.usage, record.error) == (Outcome.COMPLETED, WHOLE, None)
    assert (record.finish_reasons, record.wire_usage) == ({0: "stop"}, USAGE)
    assert (record.endpoint, record.deployment) == ("fake.test", "gpt-4o-mini-deployment")
    assert record.request_ids == {"x-request-id": "req_1"}
    assert adapter.body.closed >= 1


def test_the_connection_goes_back_as_soon_as_the_answer_is_over(world: World) -> None:
    """The body is read to its real end, so that the connection can be used again."""
    adapter = FakeAdapter.of(HELLO, b": the end is near\n\n")
    stream = world.stream(adapter)
    assert (stream.text(), adapter.body.closed, adapter.body.taken) == ("Hello", 1, 2)


@pytest.mark.parametrize(
    ("reads", "error", "outcome"),
    [
        pytest.param([HALF], StreamTruncatedError, Outcome.TRUNCATED, id="truncated"),
        pytest.param([], StreamTruncatedError, Outcome.TRUNCATED, id="empty"),
        pytest.param(
            [HALF, OSError("reset")], StreamInterruptedError, Outcome.TRUNCATED, id="interrupted"
        ),
        pytest.param(
            [HALF, event({"error": {"message": "m", "code": "c"}})],
            StreamFailedError,
            Outcome.FAILED,
            id="error frame",
        ),
        pytest.param(
            [b"<html>", b"login</html>"], NotAStreamError, Outcome.FAILED, id="not a stream"
        ),
    ],
)
def test_invariant_5_a_bad_end_raises_once_and_carries_the_record(
    world: World, reads: list[Any], error: type[StreamError], outcome: Outcome
) -> None:
    """What came before is delivered, then the error, then nothing more."""
    adapter = FakeAdapter()
    adapter.reads = reads
    stream = world.stream(adapter)
    texts: list[str] = []
    with pytest.raises(error) as caught:
        texts.extend(chunk.text for chunk in stream)
    assert list(stream) == []
    record = record_of(world)
    assert caught.value.record is record is stream.record
    assert record.outcome == outcome
    assert record.error is not None
    assert (record.error.type, record.error.message) == (error.__name__, str(caught.value))
    assert record.error.status == 200
    assert adapter.body.closed == 1


def test_chunks_before_a_failure_are_delivered(world: World) -> None:
    """The text that came in the same read as the error is not lost."""
    adapter = FakeAdapter.of(HALF + event({"error": "boom"}))
    stream = world.stream(adapter)
    assert next(stream).text == "Hel"
    with pytest.raises(StreamFailedError, match="boom"):
        next(stream)


def test_the_transport_error_is_the_cause(world: World) -> None:
    """Whoever needs the library's own exception finds it."""
    broken = ConnectionResetError("reset by peer")
    with pytest.raises(StreamInterruptedError, match="ConnectionResetError: reset") as caught:
        world.stream(FakeAdapter.of(HALF, broken)).drain()
    assert caught.value.__cause__ is broken


def test_usage_known_before_a_failure_is_on_the_record(world: World) -> None:
    """Invariant 6: the record has the usage known so far."""
    with pytest.raises(StreamTruncatedError):
        world.stream(FakeAdapter.of(EARLY_USAGE)).drain()
    assert record_of(world).usage == WHOLE


def test_rejected(world: World) -> None:
    """A refusal is raised as it is, with a record that has its ids, status and code."""
    refusal = RateLimitError(
        "no", provider="fake", status=429, code="slow", request_ids={"apim-request-id": "a"}
    )
    stream = world.stream(FakeAdapter.of(refusal=refusal))
    with pytest.raises(RateLimitError) as caught:
        next(stream)
    record = record_of(world)
    assert caught.value is refusal
    assert refusal.record is record
    assert (record.outcome, record.usage) == (Outcome.REJECTED, Usage())
    assert record.request_ids == {"apim-request-id": "a"}
    assert record.error is not None
    assert (record.error.status, record.error.code) == (429, "slow")
    assert list(stream) == []


def test_rejected_on_entering(world: World) -> None:
    """`with` sends the request, so it is where a refusal shows."""
    refusal = RateLimitError("no", provider="fake")
    with pytest.raises(RateLimitError), world.stream(FakeAdapter.of(refusal=refusal)):
        pytest.fail("the block must not run")
    assert record_of(world).outcome == Outcome.REJECTED


def test_cancelled_while_opening(world: World) -> None:
    """Giving up before the answer began is no refusal."""
    stream = world.stream(FakeAdapter.of(refusal=asyncio.CancelledError()))
    with pytest.raises(asyncio.CancelledError):
        next(stream)
    assert record_of(world).outcome == Outcome.CANCELLED


def test_break_then_leaving_the_block_is_closed(world: World) -> None:
    """Invariant 6: an early end is recorded with what is known."""
    adapter = FakeAdapter.of(HELLO, size=40)
    with world.stream(adapter) as stream:
        for _ in stream:
            break
    record = record_of(world)
    assert (record.outcome, record.usage, record.error) == (Outcome.CLOSED, Usage(), None)
    assert adapter.body.closed == 1


def test_close_twice_leaves_one_record(world: World) -> None:
    """The second close does nothing."""
    stream = world.stream(FakeAdapter.of(HELLO, size=40))
    next(stream)
    stream.close()
    stream.close()
    assert record_of(world).outcome == Outcome.CLOSED


def test_close_after_the_end_changes_nothing(world: World) -> None:
    """A stream that completed stays completed."""
    stream = world.stream(FakeAdapter())
    stream.drain()
    stream.close()
    assert record_of(world).outcome == Outcome.COMPLETED


def test_close_before_the_start_sends_nothing(world: World) -> None:
    """What was never sent is not accounted for, and cannot be sent later."""
    adapter = FakeAdapter()
    stream = world.stream(adapter)
    stream.close()
    with stream:
        assert list(stream) == []
    assert (adapter.requests, world.records) == ([], [])
    with pytest.raises(StreamNotEndedError):
        stream.record  # noqa: B018


def test_nothing_is_read_after_close(world: World) -> None:
    """Chunks that were ready and not yet taken are gone."""
    stream = world.stream(FakeAdapter())
    next(stream)
    stream.close()
    assert (list(stream), stream.text(), stream.drain()) == ([], "", WHOLE)


def test_an_exception_in_the_block_is_closed_and_its_text_not_kept(world: World) -> None:
    """The consumer's own error passes through; the record names its class only."""
    stream = world.stream(FakeAdapter.of(HELLO, size=40))
    next(stream)
    with pytest.raises(ZeroDivisionError), stream:
        raise ZeroDivisionError("private")
    record = record_of(world)
    assert record.outcome == Outcome.CLOSED
    assert record.error is not None
    assert (record.error.type, record.error.message) == ("ZeroDivisionError", None)


@pytest.mark.parametrize("error", [asyncio.CancelledError, KeyboardInterrupt])
def test_cancelled_inside_the_block(world: World, error: type[BaseException]) -> None:
    """Cancellation and Ctrl-C are not a choice of the consumer."""
    stream = world.stream(FakeAdapter.of(HELLO, size=40))
    stream.__enter__()
    next(stream)
    stream.__exit__(error, error(), None)
    assert record_of(world).outcome == Outcome.CANCELLED


@pytest.mark.parametrize("error", [asyncio.CancelledError, KeyboardInterrupt])
def test_cancelled_inside_a_read(world: World, error: type[BaseException]) -> None:
    """The connection is let go and the exception passes through untouched."""
    adapter = FakeAdapter.of(HALF, error())
    stream = world.stream(adapter)
    next(stream)
    with pytest.raises(error):
        next(stream)
    assert (record_of(world).outcome, adapter.body.closed) == (Outcome.CANCELLED, 1)
    assert list(stream) == []


def test_a_cancelled_task_leaves_its_record() -> None:
    """Invariant 6: the task that reads is cancelled while it waits."""
    records: list[UsageRecord] = []

    async def main() -> None:
        reading = asyncio.Event()

        class Stuck(FakeAdapter):
            async def aopen(self, request: Any) -> Any:
                opened = await super().aopen(request)

                class Waiting:
                    head = opened.head
                    close = opened.close

                    async def __aiter__(self) -> Any:
                        yield HALF
                        reading.set()
                        await asyncio.Event().wait()

                return Waiting()

        stream = AsyncClient(Stuck(), on_record=records.append).stream(**ASK)
        task = asyncio.ensure_future(stream.drain())
        await reading.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert [record.outcome for record in records] == [Outcome.CANCELLED]


def test_dropped_is_abandoned_and_warned_about(world: World) -> None:
    """Invariant 6: even a stream that nobody holds any more leaves its record."""
    adapter = FakeAdapter.of(EARLY_USAGE, HELLO)
    stream = world.stream(adapter)
    next(stream)
    with pytest.warns(ResourceWarning, match="Stream was dropped before its end"):  # noqa: PT031
        del stream
        gc.collect()
    record = record_of(world)
    assert (record.outcome, record.usage) == (Outcome.ABANDONED, WHOLE)
    assert adapter.body.closed == (0 if world.asynchronous else 1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_dropped_leaves_its_record_where_warnings_are_errors(world: World) -> None:
    """The record comes before the warning, which may be raised."""
    stream = world.stream(FakeAdapter.of(HALF))
    next(stream)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        del stream
        gc.collect()
    assert record_of(world).outcome == Outcome.ABANDONED


def test_dropping_what_was_never_sent_or_has_ended_is_silent(world: World) -> None:
    """There is nothing to complain of."""
    stream = world.stream(FakeAdapter())
    del stream
    world.stream(FakeAdapter()).drain()
    gc.collect()
    assert [record.outcome for record in world.records] == [Outcome.COMPLETED]


def test_nothing_is_sent_before_the_first_read(world: World) -> None:
    """Making a stream is free."""
    adapter = FakeAdapter()
    stream = world.stream(adapter)
    assert adapter.requests == []
    stream.drain()
    assert len(adapter.requests) == 1


def test_entering_sends_once(world: World) -> None:
    """`with` sends the request, and reading does not send another."""
    adapter = FakeAdapter()
    with world.stream(adapter) as stream:
        assert len(adapter.requests) == 1
        with stream:
            stream.drain()
    assert len(adapter.requests) == 1


def test_text_is_the_rest_of_the_first_choice(world: World) -> None:
    """What was read before, and what other choices say, is not in it."""
    frames = (
        frame(choice(0, content="a"), choice(1, content="X")),
        frame(choice(0, content="b", finish="stop"), choice(1, content="Y", finish="stop")),
    )
    stream = world.stream(FakeAdapter.of(body(*frames)))
    assert next(stream).text == "a"
    assert stream.text() == "b"


def test_drain_returns_the_usage(world: World) -> None:
    """The official way to an exact count: read on to the end."""
    stream = world.stream(FakeAdapter())
    assert stream.drain() == WHOLE == stream.usage


def test_usage_is_what_is_known_now(world: World) -> None:
    """Unknown at first, the running total later, never `None`."""
    stream = world.stream(FakeAdapter.of(EARLY_USAGE, HELLO))
    assert stream.usage == Usage()
    next(stream)
    assert stream.usage == WHOLE
    stream.close()


def test_the_record_waits_for_the_end(world: World) -> None:
    """`record` is `None` while the stream runs."""
    with world.stream(FakeAdapter.of(*cut(HELLO, 40))) as stream:
        next(stream)
        with pytest.raises(StreamNotEndedError, match="has no record yet"):
            stream.record  # noqa: B018


def test_a_sink_that_raises_is_logged_and_never_breaks_the_stream(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Accounting is not the stream's business."""

    def sink(record: UsageRecord) -> None:
        raise RuntimeError(record.model)

    with caplog.at_level(logging.ERROR, "usagestream"):
        assert world.stream(FakeAdapter(), on_record=sink).text() == "Hello"
    (entry,) = caplog.records
    assert entry.getMessage().startswith("on_record raised")
    assert entry.exc_info is not None


def test_an_inner_streams_error_keeps_its_own_record(world: World) -> None:
    """Passing through the block of another stream does not exchange the record."""
    outer = world.stream(FakeAdapter.of(HELLO, size=40))
    inner = world.stream(FakeAdapter.of(HALF))
    with pytest.raises(StreamTruncatedError) as caught, outer:
        inner.drain()
    assert caught.value.record is inner.record
    assert inner.record is not outer.record


def test_tags_are_copied_to_the_record(world: World) -> None:
    """Changing them later changes no account."""
    tags = {"team": "search"}
    stream = world.stream(FakeAdapter(), tags=tags)
    tags["team"] = "other"
    stream.drain()
    assert record_of(world).tags == {"team": "search"}


def test_what_the_caller_passed_is_never_changed(world: World) -> None:
    """The request has the same values, and the caller's own are as they were."""
    asked: dict[str, Any] = {
        **ASK,
        "stream_options": {"include_obfuscation": False},
        "tools": [{"type": "function", "function": {"name": "f"}}],
    }
    before = copy.deepcopy(asked)
    adapter = FakeAdapter()
    world.stream(adapter, **asked).drain()
    assert asked == before
    (request,) = adapter.requests
    assert {**request.params, "model": request.model} == before


def test_a_failing_decoder_leaves_the_failure_to_the_caller_of_close(world: World) -> None:
    """Closing a stream whose failure was not yet raised settles it as closed."""
    stream = world.stream(FakeAdapter.of(HALF + event({"error": "boom"})))
    next(stream)
    stream.close()
    assert record_of(world).outcome == Outcome.CLOSED
    assert list(stream) == []


def test_the_shells_satisfy_their_protocols() -> None:
    """`isinstance` tells a stream from other things."""
    assert isinstance(Client(FakeAdapter()).stream(**ASK), UsageStream)
    made = AsyncClient(FakeAdapter()).stream(**ASK)
    assert isinstance(made, AsyncUsageStream)
    with asyncio.Runner() as runner:
        assert isinstance(Blocking(made, runner), UsageStream)


def test_async_streams_are_iterated_with_async_for() -> None:
    """The plain way to write it, without helpers."""

    async def main() -> list[str]:
        async with (
            AsyncClient(FakeAdapter()) as client,
            client.stream(**ASK) as stream,
        ):
            return [chunk.text async for chunk in stream]

    assert asyncio.run(main()) == ["", "Hel", "lo", "", ""]


def test_every_stream_error_is_ours(world: World) -> None:
    """One root catches whatever a stream raises."""
    with pytest.raises(UsageStreamError):
        world.stream(FakeAdapter.of(b"")).drain()


def test_time_that_is_up_while_the_rest_is_read(world: World) -> None:
    """It is the caller's own limit, and nothing that the stream did: there is no error."""
    stream = world.stream(FakeAdapter.of(HALF, TimeoutError()))
    stream.drain(timeout=5)
    record = record_of(world)
    assert (record.outcome, record.reason) == (Outcome.CLOSED, "drain_timeout")
