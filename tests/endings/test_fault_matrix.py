"""Every ending, over real sockets: one record, the right outcome, and the connection let go."""

from __future__ import annotations

import gc
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from usagestream import (
    AsyncUsageStream,
    NotAStreamError,
    Outcome,
    StreamFailedError,
    StreamInterruptedError,
    StreamTruncatedError,
    UsageLimitExceededError,
    UsageSource,
    UsageStream,
)
from usagestream_adapters.emulator import Emulator, Scenario, scenarios

from .conftest import CODE, KEPT, Run, Way

ROOT = Path(__file__).parents[2]
TEXT = "One two three four five six seven eight nine ten"


def read_sync(stream: UsageStream) -> None:
    """Read to the end."""
    with stream:
        for _ in stream:
            pass


async def read_async(stream: AsyncUsageStream) -> None:
    """Read to the end."""
    async with stream:
        async for _ in stream:
            pass


def break_sync(stream: UsageStream) -> None:
    """Leave the block after two chunks."""
    with stream:
        next(stream)
        next(stream)


async def break_async(stream: AsyncUsageStream) -> None:
    """Leave the block after two chunks."""
    async with stream:
        await anext(stream)
        await anext(stream)


def close_sync(stream: UsageStream) -> None:
    """Close without a block."""
    next(stream)
    stream.close()


async def close_async(stream: AsyncUsageStream) -> None:
    """Close without a block."""
    await anext(stream)
    await stream.close()


def raise_sync(stream: UsageStream) -> None:
    """Fail in the loop."""
    with stream:
        for _ in stream:
            raise ZeroDivisionError


async def raise_async(stream: AsyncUsageStream) -> None:
    """Fail in the loop."""
    async with stream:
        async for _ in stream:
            raise ZeroDivisionError


def drop_sync(stream: UsageStream) -> None:
    """Forget the stream."""
    next(stream)


async def drop_async(stream: AsyncUsageStream) -> None:
    """Forget the stream."""
    await anext(stream)


def interrupt_sync(stream: UsageStream) -> None:
    """Press Ctrl-C in the loop."""
    with stream:
        for _ in stream:
            raise KeyboardInterrupt


async def interrupt_async(stream: AsyncUsageStream) -> None:
    """Cancel the task that reads."""
    with anyio.CancelScope() as scope:
        async with stream:
            async for _ in stream:
                scope.cancel()


async def time_out(stream: AsyncUsageStream) -> None:
    """Let the caller's own time-out strike while the next chunk is awaited."""
    with anyio.fail_after(60) as scope:
        async with stream:
            async for _ in stream:
                scope.deadline = anyio.current_time() + 0.1


def leave_late_sync(stream: UsageStream) -> None:
    """Leave as soon as the finish reason is there."""
    with stream:
        for chunk in stream:
            if chunk.finish_reason:
                break


async def leave_late_async(stream: AsyncUsageStream) -> None:
    """Leave as soon as the finish reason is there."""
    async with stream:
        async for chunk in stream:
            if chunk.finish_reason:
                break


def drop_late_sync(stream: UsageStream) -> None:
    """Forget the stream as soon as the finish reason is there."""
    for chunk in stream:
        if chunk.finish_reason:
            break


async def drop_late_async(stream: AsyncUsageStream) -> None:
    """Forget the stream as soon as the finish reason is there."""
    async for chunk in stream:
        if chunk.finish_reason:
            break


def drop_in_a_cycle_sync(stream: UsageStream) -> None:
    """Leave the stream to the garbage collector, in a circle of references."""
    next(stream)
    circle: list[Any] = [stream]
    circle.append(circle)
    del stream, circle
    gc.collect()


async def drop_in_a_cycle_async(stream: AsyncUsageStream) -> None:
    """Leave the stream to the garbage collector, in a circle of references."""
    await anext(stream)
    circle: list[Any] = [stream]
    circle.append(circle)
    del stream, circle
    gc.collect()


async def outlive(stream: AsyncUsageStream) -> None:
    """Keep the stream open until after the event loop."""
    await anext(stream)
    KEPT.append(stream)


def drain_sync(stream: UsageStream) -> None:
    """Read on to the provider's figure."""
    with stream:
        next(stream)
        stream.drain(timeout=10)


async def drain_async(stream: AsyncUsageStream) -> None:
    """Read on to the provider's figure."""
    async with stream:
        await anext(stream)
        await stream.drain(timeout=10)


def drain_briefly_sync(stream: UsageStream) -> None:
    """Read on, but not for long."""
    with stream:
        stream.drain(timeout=0.1)


async def drain_briefly_async(stream: AsyncUsageStream) -> None:
    """Read on, but not for long."""
    async with stream:
        await stream.drain(timeout=0.1)


READ = Way(read_sync, read_async)
BREAK = Way(break_sync, break_async)
REPORTED, ESTIMATED, UNKNOWN = UsageSource.REPORTED, UsageSource.ESTIMATED, UsageSource.UNKNOWN


@dataclass(frozen=True)
class Case:
    """An ending, and what it must leave behind."""

    scenario: Scenario
    outcome: Outcome
    source: UsageSource
    error: type[BaseException] | None = None
    reason: str | None = None
    way: Way = READ
    timeout: float | None = None
    params: dict[str, Any] = field(default_factory=dict[str, Any])
    left: bool = False
    """The server sees the client leave."""
    only: str | None = None
    """The kind of code it is written in, where not all have it."""
    waits: bool = False
    """It takes a second, for a time-out to pass."""


PLAIN = Scenario(text=TEXT)
SLOW = Scenario(text=TEXT, delay=0.02)
ENDLESS = Scenario(text=TEXT, delay=30)
ERROR = {"error": {"message": "it broke", "code": "server_error"}}
STALLED = Scenario(text=TEXT, cut_after_frames=3, cut="stall")
ERROR_AND_USAGE = {
    "choices": [{"index": 0, "delta": {"content": "!"}, "finish_reason": None}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13},
    **ERROR,
}

CASES = {
    "read to the end": Case(PLAIN, Outcome.COMPLETED, REPORTED),
    "the server holds the connection after `[DONE]`": Case(
        scenarios.held_after_done, Outcome.COMPLETED, REPORTED, left=True, waits=True
    ),
    "`break`, and the block is left": Case(SLOW, Outcome.CLOSED, ESTIMATED, way=BREAK, left=True),
    "`close()`": Case(SLOW, Outcome.CLOSED, ESTIMATED, way=Way(close_sync, close_async), left=True),
    "an exception in the loop": Case(
        SLOW,
        Outcome.CLOSED,
        ESTIMATED,
        ZeroDivisionError,
        way=Way(raise_sync, raise_async),
        left=True,
    ),
    "left after the finish reason": Case(
        PLAIN, Outcome.COMPLETED, REPORTED, way=Way(leave_late_sync, leave_late_async)
    ),
    "`drain()` after a chunk": Case(
        SLOW, Outcome.COMPLETED, REPORTED, way=Way(drain_sync, drain_async)
    ),
    "`drain(timeout=...)`, and time is up": Case(
        ENDLESS,
        Outcome.CLOSED,
        ESTIMATED,
        reason="drain_timeout",
        way=Way(drain_briefly_sync, drain_briefly_async),
        left=True,
    ),
    '`break` with `on_leave="drain"`': Case(
        SLOW, Outcome.COMPLETED, REPORTED, reason="drained", way=BREAK, params={"on_leave": "drain"}
    ),
    '`break` with `on_leave="drain"`, and time is up': Case(
        Scenario(text=TEXT, cut_after_frames=5, cut="stall"),
        Outcome.CLOSED,
        ESTIMATED,
        reason="drain_timeout",
        way=BREAK,
        params={"on_leave": "drain", "drain_timeout": 0.1},
        left=True,
    ),
    "`output_tokens_limit` passed": Case(
        SLOW,
        Outcome.CLOSED,
        ESTIMATED,
        UsageLimitExceededError,
        "output_tokens_limit",
        params={"output_tokens_limit": 3},
        left=True,
    ),
    '`output_tokens_limit` passed, `on_limit="stop"`': Case(
        SLOW,
        Outcome.CLOSED,
        ESTIMATED,
        reason="output_tokens_limit",
        params={"output_tokens_limit": 3, "on_limit": "stop"},
        left=True,
    ),
    "the task is cancelled; Ctrl-C": Case(
        SLOW,
        Outcome.CANCELLED,
        ESTIMATED,
        way=Way(interrupt_sync, interrupt_async),
        left=True,
    ),
    'the task is cancelled, with `on_leave="drain"` (asyncio)': Case(
        SLOW,
        Outcome.COMPLETED,
        REPORTED,
        reason="drained",
        way=Way(interrupt_sync, interrupt_async),
        params={"on_leave": "drain"},
        only="asyncio",
    ),
    "a time-out of the caller's around it": Case(
        STALLED,
        Outcome.CANCELLED,
        ESTIMATED,
        TimeoutError,
        way=Way(read_sync, time_out),
        left=True,
        only="async",
    ),
    "dropped, never closed": Case(
        SLOW, Outcome.ABANDONED, ESTIMATED, way=Way(drop_sync, drop_async), left=True
    ),
    "dropped in a circle of references": Case(
        SLOW,
        Outcome.ABANDONED,
        ESTIMATED,
        way=Way(drop_in_a_cycle_sync, drop_in_a_cycle_async),
        left=True,
    ),
    "open when its event loop is closed": Case(
        SLOW, Outcome.ABANDONED, ESTIMATED, way=Way(read_sync, outlive), left=True, only="async"
    ),
    "dropped after the finish reason": Case(
        SLOW,
        Outcome.COMPLETED,
        ESTIMATED,
        way=Way(drop_late_sync, drop_late_async),
        left=True,
    ),
    "left early, and the tokenizer raises": Case(
        SLOW, Outcome.CLOSED, UNKNOWN, way=BREAK, params={"fails": "estimate"}, left=True
    ),
    "read to the end, and `on_record` raises": Case(
        PLAIN, Outcome.COMPLETED, REPORTED, params={"fails": "sink"}
    ),
    "the body ends too soon": Case(
        Scenario(text=TEXT, cut_after_frames=5),
        Outcome.TRUNCATED,
        ESTIMATED,
        StreamTruncatedError,
    ),
    "the connection is closed": Case(
        Scenario(text=TEXT, cut_after_frames=5, cut="drop"),
        Outcome.TRUNCATED,
        ESTIMATED,
        StreamInterruptedError,
    ),
    "the connection is reset": Case(
        Scenario(text=TEXT, cut_after_frames=5, cut="reset", delay=0.01),
        Outcome.TRUNCATED,
        ESTIMATED,
        StreamInterruptedError,
    ),
    "the connection stalls": Case(
        STALLED,
        Outcome.TRUNCATED,
        ESTIMATED,
        StreamInterruptedError,
        timeout=1.0,
        left=True,
        waits=True,
    ),
    "an error frame": Case(
        Scenario(text=TEXT, cut_after_frames=5, error_frame=ERROR),
        Outcome.FAILED,
        ESTIMATED,
        StreamFailedError,
    ),
    "an error and a usage in one frame": Case(
        Scenario(text=TEXT, cut_after_frames=5, error_frame=ERROR_AND_USAGE),
        Outcome.FAILED,
        REPORTED,
        StreamFailedError,
    ),
    "a 200 that is JSON": Case(
        Scenario(body='{"detail": "no"}'), Outcome.FAILED, UNKNOWN, NotAStreamError
    ),
    "a 200 that is a web page": Case(
        Scenario(body="<html>Sign in</html>", content_type="text/html"),
        Outcome.FAILED,
        UNKNOWN,
        NotAStreamError,
    ),
}


def everywhere() -> list[Any]:
    """Each case on each kind of code that has it."""
    return [
        pytest.param(name, code, marks=pytest.mark.slow if case.waits else ())
        for name, case in CASES.items()
        for code in CODE
        if case.only in (None, code, "async" if code != "sync" else "")
    ]


@pytest.mark.parametrize(("name", "code"), everywhere())
def test_an_ending(name: str, run: Run, server: Emulator) -> None:
    """Each ending leaves one record, raises what it should, and lets the connection go."""
    case = CASES[name]
    server.script(case.scenario)
    ended = run(case.way, timeout=case.timeout, **case.params)
    record = ended.record
    assert record.outcome == case.outcome
    assert record.reason == case.reason
    assert record.usage.source == case.source
    if not isinstance(ended.error, KeyboardInterrupt):
        assert type(ended.error) is (case.error or type(None))
    assert server.wait_idle()
    assert server.disconnects == case.left


def test_a_refusal(run: Run, server: Emulator) -> None:
    """A stream that was never opened leaves its record as well."""
    server.script(scenarios.rate_limited)
    ended = run(READ)
    assert ended.record.outcome == Outcome.REJECTED
    assert ended.record.usage.source == UNKNOWN


def table() -> str:
    """Render the cases, as the docs show them."""
    lines = [
        "| what happened | outcome | usage | raised | reason |",
        "|---|---|---|---|---|",
    ]
    for name, case in CASES.items():
        error = f"`{case.error.__name__}`" if case.error else ""
        reason = f"`{case.reason}`" if case.reason else ""
        lines.append(f"| {name} | `{case.outcome}` | {case.source} | {error} | {reason} |")
    return "\n".join(lines)


def test_the_docs_show_this_table() -> None:
    """The page on endings shows what is tested here."""
    assert table() in (ROOT / "docs" / "endings.md").read_text("utf-8")
