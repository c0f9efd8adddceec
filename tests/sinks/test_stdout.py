"""Records on standard output: whole lines, and nothing that a reader does reaches the stream."""

from __future__ import annotations

import gc
import io
import os
import sys
import threading
from collections.abc import Generator
from contextlib import suppress
from typing import IO, Any

import pytest
from tests._support.fakes import FakeAdapter
from tests._support.records import record_by

from usagestream import Client, JsonLinesSink, Outcome, StdoutSink, UsageRecord
from usagestream_core.records import sinks as sinks_module

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": []}


def record(model: str = "gpt-4o", fill: int = 0) -> UsageRecord:
    """Some record, of some length."""
    return record_by(model, tags={"fill": "x" * fill})


@pytest.fixture
def pipe() -> Generator[tuple[int, IO[str]]]:
    """The end to read from, and the one to write to."""
    reading, writing = os.pipe()
    file = os.fdopen(writing, "w")
    yield reading, file
    with suppress(BrokenPipeError):
        file.close()
    with suppress(OSError):
        os.close(reading)


def test_a_line_for_each_record(capfd: pytest.CaptureFixture[str]) -> None:
    """After what was printed before."""
    with Client(FakeAdapter(), on_record=StdoutSink()) as client:
        sys.stdout.write("before\n")
        client.stream(**ASK).drain()
    before, line = capfd.readouterr().out.splitlines()
    assert before == "before"
    assert UsageRecord.model_validate_json(line).outcome is Outcome.COMPLETED


def test_a_stream_in_memory() -> None:
    """As a notebook has it."""
    memory = io.StringIO()
    StdoutSink(memory)(record("a"))
    assert UsageRecord.model_validate_json(memory.getvalue()).model == "a"


def test_a_program_without_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted as any failure."""
    monkeypatch.setattr(sys, "stdout", None)
    with Client(FakeAdapter(), on_record=StdoutSink()) as client:
        client.stream(**ASK).drain()
        assert client.sink_failures == 1


def test_a_reader_who_is_gone(pipe: tuple[int, IO[str]]) -> None:
    """The stream does not notice, and the record counts as failed."""
    reading, file = pipe
    os.close(reading)
    with Client(FakeAdapter(), on_record=StdoutSink(file)) as client:
        assert client.stream(**ASK).text()
        assert client.sink_failures == 1


@pytest.mark.parametrize("blocking", [True, False])
def test_nobody_reads(pipe: tuple[int, IO[str]], blocking: bool) -> None:
    """It is not waited for without end; the next record begins a line of its own."""
    reading, file = pipe
    os.set_blocking(file.fileno(), blocking)
    sink = StdoutSink(file, timeout=0.05)
    with pytest.raises(TimeoutError, match=r"took nothing for 0\.05 seconds"):
        sink(record("lost", fill=2**20))
    seen = list[bytes]()
    reader = threading.Thread(target=lambda: seen.extend(os.fdopen(reading, "rb", closefd=False)))
    reader.start()
    vars(sink)["_timeout"] = 60
    sink(record("next"))
    file.close()
    reader.join()
    assert UsageRecord.model_validate_json(seen[-1]).model == "next"
    assert len(seen) == 2


def test_a_reader_who_is_slow_is_waited_for(
    pipe: tuple[int, IO[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What bounds it is the time in which nothing is read, not that of the whole line."""
    reading, file = pipe
    deadlines = list[float]()
    takes_more = sinks_module._takes_more  # pyright: ignore[reportPrivateUsage]

    def noted(descriptor: int, deadline: float) -> bool:
        deadlines.append(deadline)
        return takes_more(descriptor, deadline)

    monkeypatch.setattr(sinks_module, "_takes_more", noted)
    StdoutSink(file)(record("a", fill=3 * 4096))
    assert len(deadlines) >= 4
    assert deadlines == sorted(set(deadlines))
    assert os.read(reading, 65536).endswith(b"\n")


def test_a_pipe_that_would_block_after_all(
    pipe: tuple[int, IO[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may have filled it meanwhile: it is tried again."""
    reading, file = pipe
    write, refused = os.write, list[int]()

    def once_refused(descriptor: int, data: bytes) -> int:
        if not refused:
            refused.append(descriptor)
            raise BlockingIOError
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", once_refused)
    StdoutSink(file)(record("a"))
    assert UsageRecord.model_validate_json(os.read(reading, 65536)).model == "a"
    assert refused


def test_threads_write_whole_lines(pipe: tuple[int, IO[str]]) -> None:
    """Lines that are longer than a pipe takes at once."""
    reading, file = pipe
    sink = StdoutSink(file)
    seen = list[bytes]()
    reader = threading.Thread(target=lambda: seen.extend(os.fdopen(reading, "rb", closefd=False)))
    reader.start()
    writers = [threading.Thread(target=sink, args=[record(str(n), fill=9000)]) for n in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    file.close()
    reader.join()
    assert sorted(UsageRecord.model_validate_json(line).model for line in seen) == list("01234567")


class Nested(io.StringIO):
    """A file, in the middle of whose writing the collector ends streams of another client."""

    def __init__(self) -> None:
        super().__init__()
        self.streams: list[Any] = []

    def write(self, text: str) -> int:
        self.streams.clear()
        gc.collect()
        return super().write(text)


@pytest.mark.filterwarnings("ignore:SyncStream was dropped:ResourceWarning")
@pytest.mark.parametrize("kind", ["stdout", "lines"])
def test_a_stream_that_is_collected_in_the_middle_of_a_write(
    kind: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the thread that writes: its record comes next, and nobody waits for himself."""
    memory = Nested()
    sink: Any = StdoutSink(memory)
    path = tmp_path / "records.jsonl"
    if kind == "lines":
        sink = JsonLinesSink(path)
        fstat = os.fstat

        def collecting(descriptor: int) -> os.stat_result:
            memory.streams.clear()
            return fstat(descriptor)

        monkeypatch.setattr(os, "fstat", collecting)
    with Client(FakeAdapter(), on_record=sink) as one, Client(FakeAdapter(), on_record=sink) as two:
        for _ in range(2):
            dropped = two.stream(**ASK)
            next(dropped)
            memory.streams.append(dropped)
            del dropped
        one.stream(**ASK).drain()
        assert two.sink_failures == one.sink_failures == 0
    lines = memory.getvalue().splitlines() if kind == "stdout" else path.read_text().splitlines()
    found = [UsageRecord.model_validate_json(line).outcome for line in lines]
    assert found == [Outcome.COMPLETED, Outcome.ABANDONED, Outcome.ABANDONED]
