"""Processes are killed at any moment: nothing that was acknowledged is lost, nothing stays open."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
from tests._support.streaming import fork, stream_for_ever

from usagestream_adapters.ledger._database import Database
from usagestream_core.locks import file_lock_if_free

from .conftest import Kept


class Streaming:
    """A process that streams into a ledger; what it tells is in a file that survives it."""

    def __init__(self, url: str, folder: Path, number: int) -> None:
        self.told = folder / f"told-{number}"
        told = os.open(self.told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        spool = str(folder / "spool.jsonl")
        self.number = fork(lambda: stream_for_ever(url, spool, told))
        os.close(told)

    def wait(self) -> None:
        """Until it has told something."""
        deadline = time.monotonic() + 60
        while not self.told.stat().st_size:
            assert time.monotonic() < deadline, "it never streamed"
            time.sleep(0.01)

    def kill(self) -> tuple[set[str], set[str]]:
        """Kill it; give the ids that it told as begun, and those as ended."""
        os.kill(self.number, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(self.number, 0)[1]) == -signal.SIGKILL
        lines = [line.split() for line in self.told.read_text().splitlines()]
        return (
            {which for what, which in lines if what == "begun"},
            {which for what, which in lines if what == "ended"},
        )


def killing(url: str, folder: Path, processes: int, kills: int) -> None:
    """Keep so many processes streaming, and kill so many, each at a moment of its own."""
    chance = random.Random(0)
    begun: set[str] = set()
    ended: set[str] = set()
    running = [Streaming(url, folder, number) for number in range(processes)]
    for number in range(processes, processes + kills):
        victim = running.pop(chance.randrange(len(running)))
        victim.wait()
        time.sleep(chance.random() * 0.05)
        more_begun, more_ended = victim.kill()
        begun |= more_begun
        ended |= more_ended
        if number < kills:
            running.append(Streaming(url, folder, number))
        if not running:
            break
    for each in running:
        more_begun, more_ended = each.kill()
        begun |= more_begun
        ended |= more_ended
    with Kept(url, spool=folder / "spool.jsonl") as ledger:
        ledger.settle()
        rows = ledger.rows()
        assert begun
        assert begun - rows.keys() == set()
        assert [which for which in ended if rows[which]["state"] != "ended"] == []
        assert {row["state"] for row in rows.values()} <= {"ended", "lost"}
        lost = [row for row in rows.values() if row["state"] == "lost"]
        assert {row["reason"] for row in lost} <= {"killed"}
        assert ledger._spool.size == 0  # pyright: ignore[reportPrivateUsage]


def test_a_child_of_one_that_is_killed_while_it_writes_keeps_nobody_out(tmp_path: Path) -> None:
    """The lock's file is open in the child too, which has to let go of it."""
    ending, end = os.pipe()
    started, start = os.pipe()

    def write_and_die() -> None:  # pragma: no cover - in another process
        database = Database(f"sqlite:///{tmp_path / 'usage.db'}")
        database.open()
        os.close(end)
        if not os.fork():
            database.forked()
            os.write(start, b".")
            os.read(ending, 1)
            os._exit(0)
        os.read(started, 1)
        with database.writing():
            os.kill(os.getpid(), signal.SIGKILL)

    writing = fork(write_and_die)
    assert os.waitstatus_to_exitcode(os.waitpid(writing, 0)[1]) == -signal.SIGKILL
    lock = tmp_path / "usage.db.lock"
    with lock.open("rb") as opened, file_lock_if_free(opened.fileno()) as is_free:
        assert is_free
    for pipe in (end, ending, start, started):
        os.close(pipe)


@pytest.mark.slow
def test_processes_that_are_killed_lose_nothing(url: str, tmp_path: Path) -> None:
    """A few of them, each once."""
    killing(url, tmp_path, processes=3, kills=3)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_eight_processes_are_killed_a_hundred_times(url: str, tmp_path: Path) -> None:
    """While the others go on."""
    killing(url, tmp_path, processes=8, kills=100)
