"""The end of the program: what is open is recorded, on every loop, however the end comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import trio
from tests._support.fakes import FakeAdapter

from usagestream import AsyncClient, JsonLinesSink, Outcome, UsageRecord, exit_on_signals

EXIT = """
import asyncio, os, signal, sys
from usagestream import AsyncClient, Client, JsonLinesSink, exit_on_signals
from usagestream_core.records.shutdown import open_stream_count
from tests._support.fakes import FakeAdapter

PIECE = b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}\\n\\n'
how, path = sys.argv[1:]
client = Client(FakeAdapter.of(PIECE, PIECE), on_record=JsonLinesSink(path))
stream = client.stream(model="gpt-4o", messages=[])
next(stream)
if how == "fork":
    child = os.fork()
    if child == 0:
        sys.exit(open_stream_count())
    assert os.waitpid(child, 0)[1] == 0
elif how == "term":
    exit_on_signals()
    os.kill(os.getpid(), signal.SIGTERM)
elif how == "reading":
    exit_on_signals(signal.SIGTERM)
    with stream:
        os.kill(os.getpid(), signal.SIGTERM)
elif how in ("trio", "uvloop"):
    import threading
    exit_on_signals()

    class Slow(FakeAdapter):
        async def aopen(self, request):
            waits = __import__("trio" if how == "trio" else "asyncio").sleep
            body = await super().aopen(request)

            class Body:
                head = body.head
                close = body.close

                async def __aiter__(self):
                    async for data in body:
                        yield data
                    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
                    await waits(60)

            return Body()

    async def main():
        twin = AsyncClient(Slow.of(PIECE), on_record=JsonLinesSink(path))
        async with twin, twin.stream(model="gpt-4o", messages=[]) as other:
            if how == "trio":
                import trio
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(other.drain)
            else:
                await other.drain()

    if how == "trio":
        import trio
        stream.close()
        trio.run(main)
    else:
        import uvloop
        stream.close()
        uvloop.run(main())
elif how == "async":
    async def sink(record): JsonLinesSink(path)(record)
    twin = AsyncClient(FakeAdapter.of(PIECE, PIECE), on_record=sink)
    other = twin.stream(model="gpt-4o", messages=[])
    asyncio.run(anext(other))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "status", "expected"),
    [
        ("exit", 0, ["abandoned"]),
        ("fork", 0, ["abandoned"]),
        ("async", 0, ["abandoned", "abandoned"]),
        ("term", 143, ["abandoned"]),
        ("reading", 143, ["cancelled"]),
        ("trio", 143, ["closed", "cancelled"]),
        ("uvloop", 143, ["closed", "cancelled"]),
    ],
)
def test_the_end_of_the_program(tmp_path: Path, how: str, status: int, expected: list[str]) -> None:
    """Streams that are open then are recorded once, by the process that opened them."""
    path = tmp_path / "records.jsonl"
    root = str(Path(__file__).parents[2])
    ended = subprocess.run(
        [sys.executable, "-c", EXIT, how, str(path)],
        env={**os.environ, "PYTHONPATH": root},
        timeout=120,
        check=False,
        stderr=subprocess.PIPE,
    )
    assert ended.returncode == status
    assert b"Traceback" not in ended.stderr
    assert [str(found.outcome) for found in JsonLinesSink.read(path)] == expected


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Generator[list[type[BaseException]]]:
    """SIGTERM ends this program, as far as it is ours; gives what else would be shown."""
    before, seen = signal.getsignal(signal.SIGTERM), list[type[BaseException]]()

    def note(kind: type[BaseException], *_: object) -> None:
        seen.append(kind)

    monkeypatch.setattr(sys, "excepthook", note)
    exit_on_signals()
    yield seen
    signal.signal(signal.SIGTERM, before)


def hooked(exc: BaseException) -> Any:
    """What the program would exit with: `None` where the error is shown as ever."""
    try:
        sys.excepthook(type(exc), exc, None)
    except SystemExit as ended:
        return ended.code
    return None


@pytest.mark.parametrize("nursery", [False, True])
def test_a_signal_on_trio_cancels_everything(
    told: list[type[BaseException]], nursery: bool
) -> None:
    """Its streams end as cancelled; what comes out of `trio.run` ends the program quietly."""
    records: list[UsageRecord] = []

    async def read() -> None:
        adapter: Any = FakeAdapter()
        client = AsyncClient(adapter, on_record=records.append)
        async with client, client.stream(model="gpt-4o", messages=[]) as stream:
            await anext(stream)
            signal.raise_signal(signal.SIGTERM)
            await trio.sleep_forever()

    async def in_nursery() -> None:
        async with trio.open_nursery() as group:
            group.start_soon(read)
            await trio.sleep_forever()

    with pytest.raises(BaseException) as caught:
        trio.run(in_nursery if nursery else read)
    assert [record.outcome for record in records] == [Outcome.CANCELLED]
    assert hooked(caught.value) == 143
    assert hooked(ValueError()) is None
    assert hooked(BaseExceptionGroup("both", [caught.value, ValueError()])) is None
    assert told == [ValueError, BaseExceptionGroup]


def test_a_second_signal_on_trio_does_not_wait(told: list[type[BaseException]]) -> None:
    """What shields itself can be left."""

    async def shielded() -> None:
        with trio.CancelScope(shield=True):
            signal.raise_signal(signal.SIGTERM)
            await trio.lowlevel.checkpoint()
            signal.raise_signal(signal.SIGTERM)
            pytest.fail("not ended")

    with pytest.raises(SystemExit) as ended:
        trio.run(shielded)
    assert (ended.value.code, told) == (143, [])


def test_a_signal_where_trio_does_not_run(told: list[type[BaseException]]) -> None:
    """Imported, and of no use here."""
    with pytest.raises(SystemExit) as ended:
        signal.raise_signal(signal.SIGTERM)
    assert (ended.value.code, told) == (143, [])
