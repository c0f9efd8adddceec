"""uvloop's sockets are stand-ins: what breaks a connection there, and what is left of it."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

from usagestream import AsyncClient, Outcome, UsageRecord
from usagestream_adapters.emulator import Emulator, Scenario
from usagestream_core.records.shutdown import open_stream_count, streams

from .conftest import QUESTION, openai

uvloop: Any = pytest.importorskip("uvloop")

STALLED = Scenario(text="One two three four five", cut_after_frames=3, cut="stall")


def sockets() -> int:
    """How many this process has open; -1 where it cannot be told."""
    folder = Path("/proc/self/fd")
    if not folder.exists():
        return -1
    found = 0
    for descriptor in folder.iterdir():
        try:
            found += str(descriptor.readlink()).startswith("socket:")
        except FileNotFoundError:  # the one that lists them
            continue
    return found


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is raised where nobody can catch it."""
    seen: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    return seen


async def begun(client: AsyncClient) -> Any:
    """A stream that has given something, and waits for more."""
    stream: Any = client.stream(model="gpt-4o", messages=QUESTION)
    await anext(stream)
    return stream


@pytest.mark.parametrize("how", ["dropped", "exit"])
def test_connections_are_broken_there_too(
    server: Emulator, how: str, unraisable: list[Any]
) -> None:
    """Ten streams that are dropped, or open at the end: a record each, and no socket left."""
    server.script(*[STALLED] * 10)
    records: list[UsageRecord] = []

    async def main() -> None:
        async with AsyncClient(openai(server), on_record=records.append) as client:
            opened = [await begun(client) for _ in range(10)]
            if how == "exit":
                streams.leave_all()
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                opened.clear()
                gc.collect()
            dropped = [one for one in said if "was dropped before" in str(one.message)]
            assert len(dropped) == (10 if how == "dropped" else 0)
            async with asyncio.timeout(60):
                while server.disconnects < 10:  # noqa: ASYNC110 - counted by another thread
                    await asyncio.sleep(0.005)

    before = sockets()
    uvloop.run(main())
    assert [(record.outcome, record.reason) for record in records] == [
        (Outcome.ABANDONED, "exit" if how == "exit" else None)
    ] * 10
    assert (open_stream_count(), unraisable, server.disconnects) == (0, [], 10)
    gc.collect()
    assert sockets() <= before


def test_a_reader_of_a_stream_that_is_open_at_the_end_is_let_go(server: Emulator) -> None:
    """The end comes on another thread than the loop's; whoever waits does not wait for ever."""
    server.script(STALLED)
    records: list[UsageRecord] = []

    async def main() -> None:
        async with AsyncClient(openai(server), on_record=records.append) as client:
            stream = await begun(client)
            reader = asyncio.ensure_future(stream.drain())
            await asyncio.sleep(0)
            threading.Thread(target=streams.leave_all).start()
            async with asyncio.timeout(60):
                await reader

    uvloop.run(main())
    assert [record.reason for record in records] == ["exit"]


def test_the_client_goes_on_after_it(server: Emulator) -> None:
    """What was broken is not used again."""
    server.script(STALLED, Scenario(text="whole"))

    async def main() -> str:
        async with AsyncClient(openai(server)) as client:
            stream = await begun(client)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                del stream
                gc.collect()
            return await client.stream(model="gpt-4o", messages=QUESTION).text()

    assert uvloop.run(main()) == "whole"
