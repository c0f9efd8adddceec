"""Locks outlive a fork, and a file's lock is not waited for without end."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from usagestream import UsageTotal
from usagestream_core import locks
from usagestream_core.locks import ForkSafeLock, at_path, file_lock, file_lock_if_free


def test_a_lock_keeps_others_out() -> None:
    """And knows whose it is."""
    lock = ForkSafeLock()
    with lock:
        assert lock.is_mine
        found: list[bool] = []
        other = threading.Thread(target=lambda: found.extend([lock.is_mine, lock.acquire(False)]))
        other.start()
        other.join()
        assert found == [False, False]
    assert not lock.is_mine
    assert lock.acquire(blocking=False)
    lock.release()


def in_a_child_of_a_busy_parent(lock: ForkSafeLock, status: int) -> int:
    """Fork while another thread holds the lock; the child exits with this if it can take it."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(60)
    child = os.fork()
    if not child:
        os._exit(status if lock.acquire(blocking=False) else 1)
    done.set()
    holder.join()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_is_not_kept_out_by_a_thread_that_it_has_not() -> None:
    """Forked while another thread holds the lock."""
    assert in_a_child_of_a_busy_parent(ForkSafeLock(), 7) == 7
    total = UsageTotal()
    assert in_a_child_of_a_busy_parent(total._busy, 8) == 8  # pyright: ignore[reportPrivateUsage]


def test_what_is_done_in_a_child_is_done_to_every_lock() -> None:
    """The same, done here: a lock that is taken is free."""
    lock = ForkSafeLock()
    lock.acquire()
    locks._renew_all()  # pyright: ignore[reportPrivateUsage]
    assert lock.acquire(blocking=False)
    assert lock.is_mine
    lock.release()


def test_a_files_lock_is_between_openings(tmp_path: Path) -> None:
    """Those of one process too, as threads and clients have them."""
    path = tmp_path / "file"
    with path.open("wb") as one, path.open("rb") as other:
        with file_lock(one.fileno(), path, 0):
            with file_lock_if_free(other.fileno()) as is_free:
                assert not is_free
            with (
                pytest.raises(TimeoutError, match=r"locked by somebody else for 0\.01 seconds"),
                file_lock(other.fileno(), path, 0.01),
            ):
                pytest.fail("taken twice")
        for _ in range(2):
            with file_lock_if_free(other.fileno()) as is_free:
                assert is_free


def test_a_files_lock_is_waited_for(tmp_path: Path) -> None:
    """For as long as it takes, where that is asked for."""
    path, taken = tmp_path / "file", list[str]()

    def take() -> None:
        with path.open("rb") as other, file_lock(other.fileno(), path, None):
            taken.append("other")

    waiting = threading.Thread(target=take)
    with path.open("wb") as one:
        with file_lock(one.fileno(), path, None):
            waiting.start()
            waiting.join(0.01)
            taken.append("one")
        waiting.join(10)
    assert taken == ["one", "other"]


def test_whether_an_open_file_is_still_at_its_path(tmp_path: Path) -> None:
    """It is not once it was moved, or another has its name."""
    path = tmp_path / "file"
    with path.open("wb") as opened:
        assert at_path(opened.fileno(), path)
        path.rename(tmp_path / "moved")
        assert not at_path(opened.fileno(), path)
        path.touch()
        assert not at_path(opened.fileno(), path)
