"""What could not be put where it belongs waits in a file, and is handed in once."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests._support.records import record_by
from tests._support.streaming import fork

from usagestream import JsonLinesSink, UsageRecord
from usagestream_core.locks import file_lock
from usagestream_core.records.spool import Spool


def models(records: Sequence[UsageRecord]) -> list[str]:
    """Which they are."""
    return [found.model for found in records]


def handed_in(spool: Spool, at_once: int = 500) -> list[str]:
    """Take it all."""
    taken: list[str] = []
    count = spool.hand_in(lambda found: taken.extend(models(found)), at_once=at_once)
    assert count == len(taken)
    return taken


def test_all_come_back_in_order_and_then_are_gone(tmp_path: Path) -> None:
    """Nothing of it stays, not even a file."""
    spool = Spool(tmp_path / "spool")
    assert (len(spool), spool.size, bool(spool), handed_in(spool)) == (0, 0, False, [])
    spool.append(record_by("a"), record_by("b"))
    spool.append(record_by("c"))
    assert stat.S_IMODE(spool.path.stat().st_mode) == 0o600
    assert (models(list(spool)), len(spool), bool(spool)) == (["a", "b", "c"], 3, True)
    assert handed_in(spool, at_once=2) == ["a", "b", "c"]
    assert not list(tmp_path.iterdir())
    spool.append(record_by("d"))
    assert handed_in(spool) == ["d"]


def test_an_id_comes_back_once(tmp_path: Path) -> None:
    """Whoever put it in twice."""
    spool, one = Spool(tmp_path / "spool"), record_by("a")
    spool.append(one)
    spool.append(one, record_by("b"))
    assert len(spool) == 2
    assert handed_in(spool, at_once=1) == ["a", "b"]


def test_what_is_too_much_is_refused(tmp_path: Path) -> None:
    """And nothing that waits is dropped for it."""
    spool = Spool(tmp_path / "spool", limit=2000)
    spool.append(record_by("a"))
    with pytest.raises(OSError, match=r"has no room for more records: \d+ of 2000 bytes"):
        spool.append(*[record_by("b")] * 3)
    assert handed_in(spool) == ["a"]


def test_what_was_not_taken_stays(tmp_path: Path) -> None:
    """The rest, where some was; and what came meanwhile comes after it."""
    spool = Spool(tmp_path / "spool")
    spool.append(*[record_by(name) for name in "abcd"])
    taken: list[str] = []

    def take_one_and_fail(found: Sequence[UsageRecord]) -> None:
        if taken:
            spool.append(record_by("e"))
            raise ConnectionError("away")
        taken.extend(models(found))

    with pytest.raises(ConnectionError):
        spool.hand_in(take_one_and_fail, at_once=1)
    assert taken == ["a"]
    assert models(list(spool)) == ["b", "c", "d", "e"]
    assert handed_in(spool) == ["b", "c", "d", "e"]


def test_one_hands_in_at_a_time(tmp_path: Path) -> None:
    """Whoever else asks meanwhile gets nothing, and what is put in meanwhile goes out too."""
    spool = Spool(tmp_path / "spool")
    spool.append(record_by("a"))
    taken: list[str] = []

    def take(found: Sequence[UsageRecord]) -> None:
        if not taken:
            assert handed_in(Spool(spool.path)) == []
            spool.append(record_by("b"))
        taken.extend(models(found))

    assert spool.hand_in(take) == 2
    assert taken == ["a", "b"]


def test_it_is_set_aside_while_somebody_waits_to_append(tmp_path: Path) -> None:
    """What waits for the lock finds another file there, and begins that one."""
    spool = Spool(tmp_path / "spool")
    spool.append(record_by("a"))
    with spool.path.open("rb") as holder:
        with file_lock(holder.fileno(), spool.path, 0):
            waiting = threading.Thread(target=spool.append, args=[record_by("b")])
            waiting.start()
            while not os.path.samestat(os.fstat(holder.fileno()), spool.path.stat()):
                pytest.fail("not there")
            spool.path.rename(tmp_path / "spool.out")
        waiting.join(60)
    assert handed_in(spool) == ["a", "b"]


def test_two_set_it_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second finds that the first has done so, and leaves what came after where it is."""
    spool = Spool(tmp_path / "spool")
    (tmp_path / "spool.out").write_text(record_by("a").model_dump_json() + "\n")
    spool.append(record_by("b"))
    real, asked = Path.exists, list[Path]()

    def exists(path: Path) -> bool:
        asked.append(path)
        return real(path) if len(asked) > 1 else False

    monkeypatch.setattr(Path, "exists", exists)
    assert handed_in(spool) == ["a", "b"]


def test_somebody_else_holds_it(tmp_path: Path) -> None:
    """Not waited for without end."""
    spool = Spool(tmp_path / "spool", lock_timeout=0.01)
    spool.append(record_by("a"))
    with (
        spool.path.open("rb") as holder,
        file_lock(holder.fileno(), spool.path, 0),
        pytest.raises(TimeoutError),
    ):
        spool.append(record_by("b"))
    assert handed_in(spool) == ["a"]


def test_a_child_that_is_forked_while_it_is_handed_in_locks_nothing(tmp_path: Path) -> None:
    """It has the file open too, for as long as it lives."""
    spool, children = Spool(tmp_path / "spool"), list[int]()
    spool.append(record_by("a"))
    ending, end = os.pipe()

    def live_on() -> None:  # pragma: no cover - in another process
        os.close(end)
        os.read(ending, 1)

    def fork_and_fail(_: object) -> None:
        children.append(fork(live_on))
        raise ConnectionError("away")

    with pytest.raises(ConnectionError):
        spool.hand_in(fork_and_fail)
    assert handed_in(spool) == ["a"]
    os.close(end)
    assert os.waitpid(children[0], 0)[1] == 0
    os.close(ending)


def test_a_folder_that_cannot_be_is_an_error_where_something_is_put_in(tmp_path: Path) -> None:
    """Until then nothing waits."""
    (tmp_path / "file").touch()
    spool = Spool(tmp_path / "file" / "spool")
    assert (len(spool), spool.size, handed_in(spool)) == (0, 0, [])
    with pytest.raises(OSError, match="file"):
        spool.append(record_by("a"))


def test_junk_is_skipped_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Such as the piece that a kill leaves."""
    spool = Spool(tmp_path / "spool")
    spool.path.write_bytes(b'{"id":"')
    spool.append(record_by("a"))
    assert handed_in(spool) == ["a"]
    assert "has 1 line that is no record" in caplog.text


def test_threads_put_in_and_hand_in(tmp_path: Path) -> None:
    """Each record comes out once, whoever is at it."""
    spool, taken = Spool(tmp_path / "spool"), list[str]()

    def work(worker: int) -> None:
        for number in range(10):
            spool.append(record_by(f"{worker}-{number}"))
            spool.hand_in(lambda found: taken.extend(models(found)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    taken += handed_in(spool)
    assert sorted(taken) == sorted(
        f"{worker}-{number}" for worker in range(4) for number in range(10)
    )


HANDS_IN = """
import os, signal, sys
from tests._support.records import record_by
from tests._support.streaming import fork

from usagestream import JsonLinesSink
from usagestream_core.records import spool

if sys.argv[2] == "before":
    spool.append_lines = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
else:
    def killed(*_): os.kill(os.getpid(), signal.SIGKILL)
    spool.Path.unlink = killed
JsonLinesSink(sys.argv[1]).close()
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_while_it_is_handed_in_loses_and_repeats_nothing(tmp_path: Path, when: str) -> None:
    """`kill -9` before the records are in the file, and after it."""
    path = tmp_path / "records.jsonl"
    path.write_text(record_by("first").model_dump_json() + "\n")
    spool = Spool(tmp_path / "records.jsonl.spool")
    spool.append(record_by("a"), record_by("b"))
    program = HANDS_IN.replace("spool.append_lines", "__import__('usagestream_core.records.sinks')"
                               ".records.sinks.append_lines")  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-c", program, str(path), when], check=False, timeout=30
    )
    assert ended.returncode == -9
    spool.append(record_by("c"))
    assert models(list(JsonLinesSink.read(path))) == ["first", "a", "b", "c"]
    JsonLinesSink(path)(record_by("d"))
    assert models(list(JsonLinesSink.read(path))) == ["first", "a", "b", "c", "d"]
    assert not spool
