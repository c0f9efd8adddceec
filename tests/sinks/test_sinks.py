"""Records are handed over once, in order, and are safe where they are put."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests._support.fakes import FakeAdapter

from usagestream import AsyncClient, Client, JsonLinesSink, Outcome, Usage, UsageRecord
from usagestream_core.records.shutdown import outboxes
from usagestream_core.records.sinks import Outbox

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": []}


def record(model: str = "gpt-4o") -> UsageRecord:
    """Some record."""
    now = datetime.now(UTC)
    return UsageRecord(
        provider="fake",
        model=model,
        outcome=Outcome.COMPLETED,
        started_at=now,
        ended_at=now,
        usage=Usage(),
    )


def test_a_sink_is_called_where_the_stream_ends() -> None:
    """The record is there as soon as the last chunk is."""
    records: list[UsageRecord] = []
    with Client(FakeAdapter(), on_record=records.append) as client:
        for chunk in client.stream(**ASK):
            assert len(records) == (chunk.usage is not None)
        client.stream(**ASK).drain()
    assert len(records) == 2


def test_a_sink_that_raises_is_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """The stream is not its business."""

    def fail(_record: UsageRecord) -> None:
        raise ZeroDivisionError

    with Client(FakeAdapter(), on_record=fail) as client:
        client.stream(**ASK).drain()
        assert client.sink_failures == 1
    assert "ZeroDivisionError" in caplog.text


def test_a_sink_may_stream_itself() -> None:
    """A record that comes while one is handed over waits its turn."""
    seen: list[str] = []

    def ask_again(found: UsageRecord) -> None:
        seen.append(found.model)
        if len(seen) < 3:
            client.stream(model=f"again-{len(seen)}", messages=[]).drain()

    client = Client(FakeAdapter(), on_record=ask_again)
    client.stream(**ASK).drain()
    client.close()
    assert seen == ["gpt-4o", "again-1", "again-2"]


def test_records_keep_their_order_over_threads() -> None:
    """One thread hands over at a time; another's record is left to it, and none is lost."""
    seen: list[str] = []
    outbox = Outbox(lambda found: seen.append(found.model))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(outbox.put, [record(str(n)) for n in range(200)]))
    outbox.wait()
    assert sorted(seen, key=int) == [str(n) for n in range(200)]


def test_closing_waits_for_another_thread() -> None:
    """A record that another thread is handing over is done before `close()` returns."""
    entered, leave, done = threading.Event(), threading.Event(), threading.Event()

    def slow(_record: UsageRecord) -> None:
        entered.set()
        leave.wait(5)
        done.set()

    client = Client(FakeAdapter(), on_record=slow)
    worker = threading.Thread(target=client.stream(**ASK).drain)
    worker.start()
    entered.wait(5)
    threading.Timer(0.05, leave.set).start()
    client.close()
    assert done.is_set()
    worker.join()


def test_an_async_function_is_for_async_clients() -> None:
    """A sync client has nobody to await it."""

    async def sink(_record: UsageRecord) -> None: ...

    with pytest.raises(TypeError, match="ordinary function"):
        Client(FakeAdapter(), on_record=sink)


def test_a_function_that_gives_a_coroutine_is_a_mistake(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is found out when it is called, and nothing is left unawaited."""

    async def later(_record: UsageRecord) -> None: ...

    def later_by_accident(found: UsageRecord) -> object:
        return later(found)

    with Client(FakeAdapter(), on_record=later_by_accident) as client:
        client.stream(**ASK).drain()
        assert client.sink_failures == 1
    assert "nobody awaits" in caplog.text


class AsyncSink:
    """Takes records one after the other, and its time."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def __call__(self, found: UsageRecord) -> None:
        await asyncio.sleep(0.001)
        self.seen.append(found.model)
        if found.model == "bad":
            raise ZeroDivisionError


def test_an_async_sink_runs_in_the_background_and_in_order() -> None:
    """`close()` waits for it; what it raises is counted."""
    sink = AsyncSink()

    async def main() -> int:
        adapter: Any = FakeAdapter()
        async with AsyncClient(adapter, on_record=sink) as client:
            for model in ("a", "bad", "c"):
                await client.stream(model=model, messages=[]).drain()
        return client.sink_failures

    assert asyncio.run(main()) == 1
    assert sink.seen == ["a", "bad", "c"]


def test_an_ordinary_sink_of_an_async_client_is_called_at_once() -> None:
    """As that of a sync client is."""
    records: list[UsageRecord] = []

    async def main() -> None:
        adapter: Any = FakeAdapter()
        async with AsyncClient(adapter, on_record=records.append) as client:
            await client.stream(**ASK).drain()
            assert len(records) == 1

    asyncio.run(main())


def test_a_cancelled_async_sink_loses_its_record_and_says_so() -> None:
    """Cancellation passes; the record that was under way counts as failed."""

    async def stuck(_record: UsageRecord) -> None:
        await asyncio.sleep(60)

    async def main() -> int:
        outbox = Outbox(stuck)
        outbox.put(record())
        await asyncio.sleep(0.01)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await outbox.flush()
        return outbox.failures

    assert asyncio.run(main()) == 1


def test_records_of_an_async_sink_without_a_loop_wait_for_one() -> None:
    """Dropped outside any loop, a record is handed over by the next flush, or at exit."""
    sink = AsyncSink()
    outbox = Outbox(sink)
    outbox.put(record("a"))
    outbox.wait()  # nothing can be awaited here
    asyncio.run(outbox.flush())
    outbox.put(record("b"))
    outboxes.leave_all()
    outboxes.leave_all()
    assert sink.seen == ["a", "b"]


def test_a_line_for_each_record(tmp_path: Path) -> None:
    """JSON lines, readable by any tool, and by nobody else on the machine."""
    path = tmp_path / "records.jsonl"
    sink = JsonLinesSink(path, fsync=True)
    with Client(FakeAdapter(), on_record=sink) as client:
        client.stream(**ASK).drain()
        sink.close()
        sink.close()
        client.stream(**ASK).drain()
    sink.close()
    assert [found.outcome for found in JsonLinesSink.read(path)] == [Outcome.COMPLETED] * 2
    assert len(path.read_text().splitlines()) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """It is said when the sink is made, not with the first record."""
    with pytest.raises(FileNotFoundError):
        JsonLinesSink(tmp_path / "nowhere" / "records.jsonl")


@pytest.mark.parametrize("size", [10, 10_000])
def test_the_piece_a_kill_left_is_skipped(
    tmp_path: Path, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The next record begins a line of its own, and reading gives whole records only."""
    path = tmp_path / "records.jsonl"
    first, second = record("first"), record("second")
    path.write_bytes(first.model_dump_json().encode() + b"\n" + b'{"id":"' + b"x" * size)
    blank = tmp_path / "blank.jsonl"
    blank.write_bytes(b"\n  \n")
    assert list(JsonLinesSink.read(blank)) == []
    assert "blank" not in caplog.text
    assert [found.model for found in JsonLinesSink.read(path)] == ["first"]
    before = path.read_bytes()
    JsonLinesSink(path)(second)
    assert path.read_bytes().startswith(before)
    assert [found.model for found in JsonLinesSink.read(path)] == ["first", "second"]
    assert "has 1 lines that are no record; the first is line 2" in caplog.text


@pytest.mark.parametrize("foreign", [b"no newline", b"name,value\n1,2", b"\x00" * 5000])
def test_a_foreign_file_is_not_cut(tmp_path: Path, foreign: bytes) -> None:
    """What was there stays, whatever it is."""
    path = tmp_path / "notes.txt"
    path.write_bytes(foreign)
    JsonLinesSink(path)(record("mine"))
    assert path.read_bytes().startswith(foreign + b"\n")
    assert [found.model for found in JsonLinesSink.read(path)] == ["mine"]


@pytest.mark.parametrize("how", ["renamed", "deleted", "replaced"])
def test_the_file_is_rotated(tmp_path: Path, how: str) -> None:
    """The next record goes to the file that has the name, and none is lost."""
    path, old = tmp_path / "records.jsonl", tmp_path / "records.1"
    sink = JsonLinesSink(path)
    sink(record("first"))
    if how == "deleted":
        path.unlink()
    else:
        path.rename(old)
        assert [found.model for found in JsonLinesSink.read(old)] == ["first"]
    if how == "replaced":
        path.touch()
    sink(record("second"))
    assert [found.model for found in JsonLinesSink.read(path)] == ["second"]


def test_a_foreign_lock_is_not_waited_for_without_end(tmp_path: Path) -> None:
    """The record is refused in time, and the next one is written."""
    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "records.jsonl"
    sink = JsonLinesSink(path, lock_timeout=0.05)
    with path.open("rb") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(TimeoutError, match=r"locked by somebody else for 0\.05 seconds"):
            sink(record("first"))
    sink(record("second"))
    assert [found.model for found in JsonLinesSink.read(path)] == ["second"]


def test_a_file_with_nothing_but_a_piece(tmp_path: Path) -> None:
    """Killed at the very first record."""
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'{"id"')
    JsonLinesSink(path)(record("only"))
    assert [found.model for found in JsonLinesSink.read(path)] == ["only"]


def test_a_full_disk_leaves_no_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short write is taken back, and the record counts as lost."""
    path = tmp_path / "records.jsonl"
    sink = JsonLinesSink(path)
    sink(record("first"))
    write = os.write

    def cut_short(descriptor: int, data: bytes) -> int:
        return write(descriptor, data[:20])

    monkeypatch.setattr(os, "write", cut_short)
    with pytest.raises(OSError, match="no room"):
        sink(record("second"))
    monkeypatch.setattr(os, "write", write)
    assert [found.model for found in JsonLinesSink.read(path)] == ["first"]


WRITER = """
import sys
from datetime import UTC, datetime
from usagestream import JsonLinesSink, Outcome, Usage, UsageRecord

sink = JsonLinesSink(sys.argv[1])
for number in range(int(sys.argv[2])):
    now = datetime.now(UTC)
    sink(UsageRecord(provider="p", model=str(number), outcome=Outcome.COMPLETED, started_at=now,
                     ended_at=now, usage=Usage(), tags={"fill": "x" * 500}))
    print(number, flush=True)
"""


def writer(path: Path, count: int) -> subprocess.Popen[bytes]:
    """Start a process that writes records, and says so after each."""
    program = [sys.executable, "-c", WRITER, str(path), str(count)]
    return subprocess.Popen(program, stdout=subprocess.PIPE)


def test_several_processes_share_a_file(tmp_path: Path) -> None:
    """Every line is whole, whoever wrote it."""
    path = tmp_path / "records.jsonl"
    for process in [writer(path, 100) for _ in range(3)]:
        process.communicate(timeout=30)
    assert len(list(JsonLinesSink.read(path))) == 300


def test_a_forked_child_writes_too(tmp_path: Path) -> None:
    """It opens the file anew, since a lock belongs to an opening."""
    path = tmp_path / "records.jsonl"
    sink = JsonLinesSink(path)
    vars(sink)["_process"] = -1  # as a child finds it
    sink(record("child"))
    assert [found.model for found in JsonLinesSink.read(path)] == ["child"]


def test_a_kill_loses_no_record_that_was_written(tmp_path: Path) -> None:
    """`kill -9` in the middle: what was said to be written is there, and the file goes on."""
    path = tmp_path / "records.jsonl"
    with writer(path, 100_000) as process:
        assert process.stdout is not None
        for _ in range(50):
            process.stdout.readline()
        process.kill()
        said = 50 + len(process.stdout.read().splitlines())
    written = [found.model for found in JsonLinesSink.read(path)]
    assert written == [str(number) for number in range(len(written))]
    assert len(written) >= said - 1  # the last thing said may have been cut off
    JsonLinesSink(path)(record("next"))
    assert [found.model for found in JsonLinesSink.read(path)] == [*written, "next"]


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
elif how == "async":
    async def sink(record): JsonLinesSink(path)(record)
    twin = AsyncClient(FakeAdapter.of(PIECE, PIECE), on_record=sink)
    other = twin.stream(model="gpt-4o", messages=[])
    asyncio.run(anext(other))
"""


@pytest.mark.parametrize(
    ("how", "status", "expected"),
    [
        ("exit", 0, ["abandoned"]),
        ("fork", 0, ["abandoned"]),
        ("async", 0, ["abandoned", "abandoned"]),
        ("term", 143, ["abandoned"]),
        ("reading", 143, ["cancelled"]),
    ],
)
def test_the_end_of_the_program(tmp_path: Path, how: str, status: int, expected: list[str]) -> None:
    """Streams that are open then are recorded once, by the process that opened them."""
    path = tmp_path / "records.jsonl"
    root = str(Path(__file__).parents[2])
    ended = subprocess.run(
        [sys.executable, "-c", EXIT, how, str(path)],
        env={**os.environ, "PYTHONPATH": root},
        timeout=30,
        check=False,
    )
    assert ended.returncode == status
    assert [str(found.outcome) for found in JsonLinesSink.read(path)] == expected
