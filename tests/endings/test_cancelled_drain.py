"""With `on_leave="drain"`, a consumer whose task is cancelled has left: the rest is read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from usagestream import AsyncClient, Emulator, Outcome, Scenario, UsageRecord
from usagestream_adapters.emulator.errors import ErrorReply
from usagestream_core.streams.outliving import Outliving, is_asyncio_cancellation, outliving

from .conftest import QUESTION, openai
from .test_fault_matrix import TEXT

Reading = Callable[[Any], Awaitable[None]]


async def read(stream: Any) -> None:
    """Read in a block, as a handler of a request does."""
    async with stream:
        async for _ in stream:
            pass


async def hold(stream: Any) -> None:
    """Take one chunk and be busy with it: what is cancelled is the consumer's own waiting."""
    async with stream:
        await anext(stream)
        await asyncio.sleep(60)


def ending(
    server: Emulator,
    *,
    after: float,
    reading: Reading = read,
    drain_timeout: float | None = None,
    scoped: bool = False,
) -> UsageRecord:
    """Cancel a reading task after some seconds, close the client, and give the one record."""

    async def main() -> list[UsageRecord]:
        records: list[UsageRecord] = []
        async with AsyncClient(openai(server), on_record=records.append) as client:
            stream = client.stream(
                model="gpt-4o",
                messages=QUESTION,
                on_leave="drain",
                drain_timeout=drain_timeout,
            )
            if scoped:
                with anyio.move_on_after(after):
                    await reading(stream)
            else:
                task = asyncio.ensure_future(reading(stream))
                await asyncio.sleep(after)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        return records

    (record,) = asyncio.run(main())
    return record


@pytest.mark.slow
@pytest.mark.parametrize("scoped", [False, True], ids=["task", "cancel scope"])
@pytest.mark.parametrize("reading", [read, hold])
def test_a_cancelled_consumer_has_left(server: Emulator, reading: Reading, scoped: bool) -> None:
    """In the middle of a read or of its own work: the provider's figure comes all the same."""
    server.script(Scenario(text=TEXT, delay=0.1))
    record = ending(server, after=0.1, reading=reading, scoped=scoped)
    assert (record.outcome, record.reason) == (Outcome.COMPLETED, "drained")
    assert record.usage.source == "reported"


@given(st.floats(0, 0.2))
@settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_cancelled_at_any_moment(server: Emulator, after: float) -> None:
    """Before the request, while it opens, in any read, after the end: one record, reported."""
    before = len(server.requests)
    server.script(Scenario(text=TEXT, delay=0.01))
    try:
        record = ending(server, after=after)
    except ValueError:  # nothing was asked, so that there is no record
        assert len(server.requests) == before
        return
    except pytest.fail.Exception:  # it had ended before it was cancelled
        return
    assert record.outcome is Outcome.COMPLETED
    assert record.usage.source == "reported"


def test_cancelled_while_it_opens(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The response is waited for in the background, and read."""
    delay_opening(monkeypatch)
    assert ending(server, after=0.1).reason == "drained"


def test_cancelled_while_it_opens_and_refused(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal is on the record, and nobody is told twice."""
    delay_opening(monkeypatch)
    server.script(Scenario(error=ErrorReply(status=400, body={"error": {"message": "no"}})))
    record = ending(server, after=0.1)
    assert record.outcome is Outcome.REJECTED
    assert record.error is not None
    assert record.error.status == 400


def delay_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let opening take a while."""
    from usagestream_adapters.openai import OpenAIAdapter

    aopen = OpenAIAdapter.aopen

    async def slow(self: Any, request: Any) -> Any:
        await asyncio.sleep(0.3)
        return await aopen(self, request)

    monkeypatch.setattr(OpenAIAdapter, "aopen", slow)


def test_draining_has_an_end(server: Emulator) -> None:
    """After `drain_timeout` the read under way is stopped, and the usage is an estimate."""
    server.script(Scenario(text=TEXT, cut="stall", cut_after_frames=3))
    record = ending(server, after=0.1, drain_timeout=0.2)
    assert (record.outcome, record.reason) == (Outcome.CLOSED, "drain_timeout")
    assert record.usage.source == "estimated"


def test_a_connection_that_breaks_while_draining(server: Emulator) -> None:
    """The record says so."""
    server.script(Scenario(text=TEXT, delay=0.2, cut="reset", cut_after_frames=6))
    record = ending(server, after=0.1)
    assert record.outcome is Outcome.TRUNCATED


def test_the_end_of_the_loop_ends_the_draining(server: Emulator) -> None:
    """A program that does not close its client has its record, as `cancelled`."""
    server.script(Scenario(text=TEXT, delay=0.1))
    records: list[UsageRecord] = []

    async def main() -> None:
        client = AsyncClient(openai(server), on_record=records.append)
        stream = client.stream(model="gpt-4o", messages=QUESTION, on_leave="drain")
        with anyio.CancelScope() as scope:
            async with stream:
                async for _ in stream:
                    scope.cancel()

    asyncio.run(main())
    assert [record.outcome for record in records] == [Outcome.CANCELLED]


@pytest.mark.parametrize("cut", [True, False])
def test_the_end_of_the_loop_while_it_opens(
    server: Emulator, monkeypatch: pytest.MonkeyPatch, cut: bool
) -> None:
    """So does one that had no response yet."""
    delay_opening(monkeypatch)
    records: list[UsageRecord] = []

    async def main() -> None:
        client = AsyncClient(openai(server), on_record=records.append)
        stream = client.stream(model="gpt-4o", messages=QUESTION, on_leave="drain")
        with anyio.move_on_after(0.1):
            await read(stream)
        if not cut:
            await client.close()

    asyncio.run(main())
    expected = Outcome.CANCELLED if cut else Outcome.COMPLETED
    assert [record.outcome for record in records] == [expected]


def test_on_trio_a_cancelled_consumer_is_cancelled(server: Emulator) -> None:
    """No task outlives its scope there."""
    import trio

    server.script(Scenario(text=TEXT, delay=0.1))
    records: list[UsageRecord] = []

    async def main() -> None:
        async with AsyncClient(openai(server), on_record=records.append) as client:
            stream = client.stream(model="gpt-4o", messages=QUESTION, on_leave="drain")
            with trio.move_on_after(0.1):
                await read(stream)

    trio.run(main)
    assert [record.outcome for record in records] == [Outcome.CANCELLED]


def test_without_a_loop_nothing_outlives() -> None:
    """Outside of asyncio there is no task to leave it to."""
    assert outliving() is None
    assert not is_asyncio_cancellation(None)
    assert is_asyncio_cancellation(asyncio.CancelledError())


def test_a_step_has_its_result_once() -> None:
    """Of two who wait for it, one has it, and the other has the next."""

    async def main() -> list[int]:
        steps = iter(range(10))

        async def step() -> int:
            await asyncio.sleep(0.01)
            return next(steps)

        waiting = Outliving()
        return sorted(await asyncio.gather(waiting.wait(step), waiting.wait(step)))

    assert asyncio.run(main()) == [0, 1]


def test_a_step_that_ended_as_its_waiter_was_cancelled_keeps_its_result() -> None:
    """Not a byte is lost between the two."""

    async def main() -> int:
        async def step() -> int:
            return 7

        waiting = Outliving()
        task = asyncio.create_task(waiting.wait(step))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        async def never() -> int:
            raise AssertionError("a step was under way")

        return await waiting.wait(never)

    assert asyncio.run(main()) == 7


def test_a_step_that_fails_as_it_is_stopped_tells_nobody() -> None:
    """Stopping is all that was wanted."""

    async def main() -> None:
        async def step() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise OSError("broken by it") from None

        waiting = Outliving()
        task = asyncio.create_task(waiting.wait(step))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await waiting.stop()
        await waiting.stop()

    asyncio.run(main())
