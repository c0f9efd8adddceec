"""Records are handed over once, in order, and are safe where they are put."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from functools import partial
from pathlib import Path
from types import coroutine
from typing import Any

import pytest
import trio
from tests._support.chat import HELLO
from tests._support.fakes import FakeAdapter
from tests._support.records import record_by

from usagestream import AsyncClient, Client, JsonLinesSink, Outcome, UsageRecord, UsageTotal
from usagestream_core.locks import file_lock
from usagestream_core.records import outbox as outbox_module
from usagestream_core.records import shutdown
from usagestream_core.records import sinks as sinks_module
from usagestream_core.records.outbox import Outbox
from usagestream_core.records.shutdown import outboxes
from usagestream_core.records.spool import Spool

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": []}


def put(outbox: Outbox, found: UsageRecord) -> None:
    """Hand a record over as a stream does."""
    outbox.put(outbox.parcel(found, copy_context()))


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
        list(pool.map(partial(put, outbox), [record_by(str(n)) for n in range(200)]))
    outbox.wait()
    assert sorted(seen, key=int) == [str(n) for n in range(200)]


@pytest.mark.parametrize("taken", [True, False])
def test_the_collector_may_take_a_sink_first(taken: bool) -> None:
    """A sink that waits when its loop is gone is ended once, whatever is collected first."""
    ended: list[str] = []

    @coroutine
    def pause() -> Generator[None]:
        yield

    async def sink() -> None:
        try:
            await pause()
        finally:
            ended.append("sink")

    work = sink()
    awaiting: Any = outbox_module._in_context(copy_context(), work)  # pyright: ignore[reportPrivateUsage]
    awaiting.send(None)
    if taken:
        work.close()
    awaiting.close()
    assert ended == ["sink"]


def test_closing_waits_for_another_thread() -> None:
    """A record that another thread is handing over is done before `close()` returns."""
    entered, leave, done = threading.Event(), threading.Event(), threading.Event()

    def slow(_record: UsageRecord) -> None:
        entered.set()
        leave.wait(60)
        done.set()

    client = Client(FakeAdapter(), on_record=slow)
    worker = threading.Thread(target=client.stream(**ASK).drain)
    worker.start()
    entered.wait(60)
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


def test_a_cancelled_async_sink_is_called_again() -> None:
    """A record leaves the line when the sink has returned, and not before."""
    seen: list[str] = []

    async def slow_at_first(found: UsageRecord) -> None:
        seen.append(found.model)
        await asyncio.sleep(60 if len(seen) == 1 else 0)

    async def main() -> int:
        outbox = Outbox(slow_at_first)
        put(outbox, record_by("a"))
        await asyncio.sleep(0.01)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await outbox.flush()
        return outbox.failures

    assert asyncio.run(main()) == 0
    assert seen == ["a", "a"]


def test_records_of_an_async_sink_without_a_loop_wait_for_one() -> None:
    """Dropped outside any loop, a record is handed over by the next flush, or at exit."""
    sink = AsyncSink()
    outbox = Outbox(sink)
    put(outbox, record_by("a"))
    outbox.wait()  # nothing can be awaited here
    asyncio.run(outbox.flush())
    put(outbox, record_by("b"))
    assert id(outbox) in outboxes
    outbox.leave_at_exit()
    assert id(outbox) not in outboxes
    outbox.leave_at_exit()
    assert sink.seen == ["a", "b"]


def test_what_a_loop_left_undone_is_done_at_exit() -> None:
    """A loop that ends without `close()` of the client cancels what it was at."""
    sink = AsyncSink()
    outbox = Outbox(sink)

    async def main() -> None:
        put(outbox, record_by("a"))
        put(outbox, record_by("b"))
        await asyncio.sleep(0)  # the first is under way

    asyncio.run(main())
    assert sink.seen == []
    outbox.leave_at_exit()
    assert sink.seen == ["a", "b"]


def test_a_loop_that_is_stopped_in_the_middle_leaves_its_records_to_the_next() -> None:
    """Nothing is thrown into its tasks; the sink that one of them awaits is called again."""
    sink = AsyncSink()
    outbox = Outbox(sink)
    loop = asyncio.new_event_loop()

    async def begin() -> None:
        put(outbox, record_by("a"))
        await asyncio.sleep(0)

    loop.run_until_complete(begin())
    tasks = asyncio.all_tasks(loop)
    loop.close()
    asyncio.run(outbox.flush())
    assert sink.seen == ["a"]
    for task in tasks:  # so that nobody says later that it was destroyed
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def test_closing_waits_for_another_loop() -> None:
    """What another thread's loop has in hand is done before `flush()` returns."""
    sink = AsyncSink()
    outbox = Outbox(sink)
    begun = threading.Event()

    async def other() -> None:
        put(outbox, record_by("a"))
        await asyncio.sleep(0)
        begun.set()
        await asyncio.sleep(0.05)

    thread = threading.Thread(target=lambda: asyncio.run(other()))
    thread.start()
    begun.wait(60)
    asyncio.run(outbox.flush())
    assert sink.seen == ["a"]
    thread.join()


def test_an_async_sink_is_flushed_on_trio() -> None:
    """Where no task of asyncio's can work in the background, closing does the work."""
    seen: list[str] = []

    async def sink(found: UsageRecord) -> None:
        await trio.lowlevel.checkpoint()
        seen.append(found.model)

    async def main() -> None:
        outbox = Outbox(sink)
        put(outbox, record_by("a"))
        await outbox.flush()

    trio.run(main)
    assert seen == ["a"]


def test_closing_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """A sink that never returns keeps nobody for longer than `flush_timeout`."""

    async def stuck(_record: UsageRecord) -> None:
        await asyncio.sleep(60)

    async def main() -> AsyncClient:
        adapter: Any = FakeAdapter()
        async with AsyncClient(adapter, on_record=stuck, flush_timeout=0.05) as client:
            await client.stream(**ASK).drain()
        return client

    client = asyncio.run(main())
    assert "did not take 1 records within 0.05 s" in caplog.text
    client._outbox.leave_at_exit()  # pyright: ignore[reportPrivateUsage]
    assert "1 records are lost" in caplog.text
    assert client.sink_failures == 1
    outboxes.clear()


def test_closing_a_sync_client_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """So is waiting for a thread that is in a sink."""
    entered, leave = threading.Event(), threading.Event()

    def stuck(_record: UsageRecord) -> None:
        entered.set()
        leave.wait(60)

    client = Client(FakeAdapter(), on_record=stuck, flush_timeout=0.05)
    worker = threading.Thread(target=client.stream(**ASK).drain)
    worker.start()
    entered.wait(60)
    client.close()
    assert "did not take 1 records within 0.05 s" in caplog.text
    leave.set()
    worker.join()


def test_without_a_bound_closing_waits_for_as_long_as_it_takes() -> None:
    """`flush_timeout=None`."""
    sink = AsyncSink()

    async def main() -> None:
        adapter: Any = FakeAdapter()
        async with AsyncClient(adapter, on_record=sink, flush_timeout=None) as client:
            await client.stream(**ASK).drain()

    asyncio.run(main())
    assert sink.seen == ["gpt-4o"]


def test_a_sink_that_waits_for_its_own_client_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """It would wait for its own end."""
    clients: list[AsyncClient] = []

    async def closes(_record: UsageRecord) -> None:
        await clients[0].close()

    async def main() -> int:
        adapter: Any = FakeAdapter()
        clients.append(AsyncClient(adapter, on_record=closes))
        await clients[0].stream(**ASK).drain()
        await clients[0].close()
        return clients[0].sink_failures

    assert asyncio.run(main()) == 1
    assert "waits for its own client" in caplog.text


VARIABLE: ContextVar[str] = ContextVar("somebody's", default="nobody's")


def test_a_sink_runs_in_the_context_its_stream_was_asked_for_in() -> None:
    """Whatever thread the stream is read in."""
    seen: list[str] = []
    with Client(FakeAdapter(), on_record=lambda _: seen.append(VARIABLE.get())) as client:
        token = VARIABLE.set("opener's")
        stream = client.stream(**ASK)
        VARIABLE.reset(token)
        thread = threading.Thread(target=stream.drain)
        thread.start()
        thread.join()
    assert (seen, VARIABLE.get()) == (["opener's"], "nobody's")


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sink", "async sink"])
def test_a_sink_of_an_async_client_runs_in_the_openers_context(run: Any, is_async: bool) -> None:
    """Whatever task it is handed over in, before and after it waited for something."""
    seen: list[str] = []

    async def sink(_record: UsageRecord) -> None:
        seen.append(VARIABLE.get())
        await sleep()
        seen.append(VARIABLE.get())

    def plain(_record: UsageRecord) -> None:
        seen.extend([VARIABLE.get()] * 2)

    async def sleep() -> None:
        if run is asyncio.run:
            await asyncio.sleep(0)
        else:
            await trio.lowlevel.checkpoint()

    async def main() -> None:
        adapter: Any = FakeAdapter()
        async with AsyncClient(adapter, on_record=sink if is_async else plain) as client:
            token = VARIABLE.set("opener's")
            stream = client.stream(**ASK)
            VARIABLE.reset(token)
            await stream.drain()

    run(main) if run is trio.run else run(main())
    assert seen == ["opener's"] * 2


def test_what_a_sink_throws_into_a_waiting_sink_reaches_it() -> None:
    """A sink may have time-outs and cancel scopes of its own."""
    seen: list[str] = []

    async def impatient(found: UsageRecord) -> None:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.sleep(5)
        except TimeoutError:
            seen.append(found.model)

    async def main() -> None:
        outbox = Outbox(impatient)
        put(outbox, record_by("a"))
        await outbox.flush()

    asyncio.run(main())
    assert seen == ["a"]


def test_a_forked_child_leaves_what_was_in_line_to_its_parent() -> None:
    """It has a copy of the line, and of whose turn it is."""
    outbox = Outbox(AsyncSink())
    put(outbox, record_by("a"))
    child = os.fork()
    if not child:
        os._exit(len(outboxes) + len(outbox._line))  # pyright: ignore[reportPrivateUsage]
    assert os.waitpid(child, 0)[1] == 0
    assert id(outbox) in outboxes
    outbox.leave_at_exit()


def test_a_fork_leaves_the_child_nothing_to_hand_over() -> None:
    """What is done in the child, done here."""
    outbox = Outbox(AsyncSink())
    put(outbox, record_by("a"))
    shutdown._forget()  # pyright: ignore[reportPrivateUsage]
    assert not outboxes
    outbox.leave_at_exit()
    assert outbox.failures == 0


def test_what_is_put_in_as_the_line_is_found_empty_stays_registered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another thread may do so at any moment."""
    outbox = Outbox(lambda _: None)

    class Late(dict[int, Any]):
        """Brings a parcel as another is taken out."""

        def pop(self, key: int, default: Any = None) -> Any:
            if not outbox._parcels:  # pyright: ignore[reportPrivateUsage]
                late = outbox.parcel(record_by("late"), copy_context())
                outbox._parcels.append(late)  # pyright: ignore[reportPrivateUsage]
            return super().pop(key, default)

    registered = Late()
    monkeypatch.setattr(outbox_module, "outboxes", registered)
    put(outbox, record_by("a"))
    assert id(outbox) in registered


def test_a_total_can_be_added_to_by_the_collector_while_it_is_added_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A record that the garbage collector brings in the middle waits for its turn."""
    total = UsageTotal()
    add = total._add_all_over  # pyright: ignore[reportPrivateUsage]

    def collected(found: UsageRecord) -> None:
        if found.model == "a":
            total.add(record_by("b"))
            assert total.count == 0
        add(found)

    monkeypatch.setattr(total, "_add_all_over", collected)
    total.add(record_by("a"))
    assert list(total.by_model) == ["a", "b"]


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
    first, second = record_by("first"), record_by("second")
    path.write_bytes(first.model_dump_json().encode() + b"\n" + b'{"id":"' + b"x" * size)
    blank = tmp_path / "blank.jsonl"
    blank.write_bytes(b"\n  \n")
    assert list(JsonLinesSink.read(blank)) == []
    assert "blank" not in caplog.text
    assert [found.model for found in JsonLinesSink.read(path)] == ["first"]
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # an editor was there
    assert [found.model for found in JsonLinesSink.read(path)] == ["first"]
    before = path.read_bytes()
    JsonLinesSink(path)(second)
    assert path.read_bytes().startswith(before)
    assert [found.model for found in JsonLinesSink.read(path)] == ["first", "second"]
    assert "has 1 line that is no record; the first is line 2" in caplog.text


@pytest.mark.parametrize("foreign", [b"no newline", b"name,value\n1,2", b"\x00" * 5000])
def test_a_foreign_file_is_not_cut(tmp_path: Path, foreign: bytes) -> None:
    """What was there stays, whatever it is."""
    path = tmp_path / "notes.txt"
    path.write_bytes(foreign)
    JsonLinesSink(path)(record_by("mine"))
    assert path.read_bytes().startswith(foreign + b"\n")
    assert [found.model for found in JsonLinesSink.read(path)] == ["mine"]


@pytest.mark.parametrize("how", ["renamed", "deleted", "replaced"])
def test_the_file_is_rotated(tmp_path: Path, how: str) -> None:
    """The next record goes to the file that has the name, and none is lost."""
    path, old = tmp_path / "records.jsonl", tmp_path / "records.1"
    sink = JsonLinesSink(path)
    sink(record_by("first"))
    if how == "deleted":
        path.unlink()
    else:
        path.rename(old)
        assert [found.model for found in JsonLinesSink.read(old)] == ["first"]
    if how == "replaced":
        path.touch()
    sink(record_by("second"))
    assert [found.model for found in JsonLinesSink.read(path)] == ["second"]


def test_a_foreign_lock_is_not_waited_for_without_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Records wait beside the file, and go in before the next one, in order."""
    path = tmp_path / "records.jsonl"
    sink = JsonLinesSink(path, lock_timeout=0.05)
    sink(record_by("first"))
    with path.open("rb") as holder, file_lock(holder.fileno(), path, 0):
        with Client(FakeAdapter(), on_record=sink) as client:
            client.stream(model="second", messages=[]).drain()
        assert client.sink_failures == 0
        sink(record_by("third"))
        sink.close()
        assert (sink.spooled, sink.waiting) == (2, 2)
        assert len(path.read_text().splitlines()) == 1
        named = [found.model for found in JsonLinesSink.read(path)]
        assert named == ["first", "second", "third"]
    assert caplog.text.count("was locked by somebody else for 0.05 seconds") == 1
    assert "records wait beside it" in caplog.text
    JsonLinesSink(path, fsync=True)(record_by("fourth"))
    assert (sink.spooled, sink.waiting) == (2, 0)
    assert [found.model for found in JsonLinesSink.read(path)] == [*named, "fourth"]
    assert len(path.read_text().splitlines()) == 4


def test_a_lock_that_is_held_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later records only try it, until it is free."""
    path = tmp_path / "records.jsonl"
    sink = JsonLinesSink(path, lock_timeout=0.2)
    waits: list[float] = []

    def noted(descriptor: int, path: Path, seconds: float) -> Any:
        waits.append(seconds)
        return file_lock(descriptor, path, seconds)

    monkeypatch.setattr(sinks_module, "file_lock", noted)
    with path.open("rb") as holder, file_lock(holder.fileno(), path, 0):
        for name in "abbbbb":
            sink(record_by(name))
        assert waits == [0.2, 0, 0, 0, 0, 0]
    sink.close()
    assert sink.waiting == 0
    assert len(path.read_text().splitlines()) == 6


def test_a_record_that_the_spool_has_no_room_for_is_counted(tmp_path: Path) -> None:
    """It is said that it is lost."""
    path = tmp_path / "records.jsonl"
    sink = JsonLinesSink(path, lock_timeout=0.01, spool_limit=0)
    with path.open("rb") as holder, file_lock(holder.fileno(), path, 0):
        with Client(FakeAdapter(), on_record=sink) as client:
            client.stream(**ASK).drain()
        assert (client.sink_failures, sink.spooled, sink.waiting) == (1, 0, 0)


@pytest.mark.parametrize("junk", [b"", b"junk\n", b"junk", b"x" * 100_000])
def test_a_spool_that_was_half_handed_in(tmp_path: Path, junk: bytes) -> None:
    """What is in the file already does not come again, whatever a kill left behind it."""
    path = tmp_path / "records.jsonl"
    sink = JsonLinesSink(path)
    waiting = [record_by(name) for name in "abc"]
    for found in waiting[:2]:
        sink(found)
    with path.open("ab") as file:
        file.write(junk)
    Spool(tmp_path / "records.jsonl.spool").append(*waiting)
    sink(record_by("d"))
    expected = "abcd" if len(junk) < 100 else "ababcd"  # too far from the end to be looked for
    assert [found.model for found in JsonLinesSink.read(path)] == list(expected)


def test_a_file_with_nothing_but_a_piece(tmp_path: Path) -> None:
    """Killed at the very first record."""
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'{"id"')
    JsonLinesSink(path)(record_by("only"))
    assert [found.model for found in JsonLinesSink.read(path)] == ["only"]


def test_a_full_disk_leaves_no_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short write is taken back, and the record counts as lost."""
    path = tmp_path / "records.jsonl"
    sink = JsonLinesSink(path)
    sink(record_by("first"))
    write = os.write

    def cut_short(descriptor: int, data: bytes) -> int:
        return write(descriptor, data[:20])

    monkeypatch.setattr(os, "write", cut_short)
    with pytest.raises(OSError, match="no room"):
        sink(record_by("second"))
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


@pytest.mark.slow
def test_several_processes_share_a_file(tmp_path: Path) -> None:
    """Every line is whole, whoever wrote it."""
    path = tmp_path / "records.jsonl"
    for process in [writer(path, 100) for _ in range(3)]:
        process.communicate(timeout=120)
    assert len(list(JsonLinesSink.read(path))) == 300


def test_a_forked_child_writes_too(tmp_path: Path) -> None:
    """It opens the file anew, since a lock belongs to an opening."""
    path = tmp_path / "records.jsonl"
    sink = JsonLinesSink(path)
    vars(sink)["_process"] = -1  # as a child finds it
    sink(record_by("child"))
    assert [found.model for found in JsonLinesSink.read(path)] == ["child"]


@pytest.mark.slow
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
    JsonLinesSink(path)(record_by("next"))
    assert [found.model for found in JsonLinesSink.read(path)] == [*written, "next"]


def test_a_sink_that_raises_a_cancellation_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody has cancelled it: it is called once, and the record counts as lost."""
    seen: list[UsageRecord] = []

    async def sink(record: UsageRecord) -> None:
        seen.append(record)
        raise asyncio.CancelledError

    async def main() -> None:
        async with AsyncClient(FakeAdapter.of(HELLO), on_record=sink) as client:
            await client.stream(model="m", messages=[]).drain()

    asyncio.run(main())
    assert len(seen) == 1
    assert "on_record raised" in caplog.text
