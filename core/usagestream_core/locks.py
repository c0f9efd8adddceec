"""Locks of threads that work on in a forked child, and locks of files."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path
    from types import ModuleType

try:
    import fcntl as _fcntl
except ImportError:  # pragma: no cover - Windows, where appending processes are not kept apart
    _locks: ModuleType | None = None
else:
    _locks = _fcntl

__all__ = ["ForkSafeLock", "at_path", "file_lock", "file_lock_if_free"]

_PAUSE: Final = 0.002


class ForkSafeLock:
    """A `threading.Lock` that is free in a forked child, whoever held it in the parent.

    The thread that held it is not in the child, and would never let it go there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        _all.add(self)

    def acquire(self, blocking: bool = True) -> bool:
        """Take it. False where it is taken and is not to be waited for."""
        taken = self._lock.acquire(blocking)
        if taken:
            self._owner = threading.get_ident()
        return taken

    def release(self) -> None:
        """Let it go."""
        self._owner = 0
        self._lock.release()

    @property
    def is_mine(self) -> bool:
        """Whether this thread holds it: the garbage collector may bring it here a second time."""
        return self._owner == threading.get_ident()

    def renew(self) -> None:
        """Be free, in a child."""
        self._lock = threading.Lock()
        self._owner = 0

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self.release()


_all: Final[WeakSet[ForkSafeLock]] = WeakSet()


def _renew_all() -> None:
    for lock in list(_all):
        lock.renew()


if sys.platform != "win32":  # pragma: no branch
    os.register_at_fork(after_in_child=_renew_all)


@contextmanager
def file_lock(descriptor: int, path: Path, seconds: float | None) -> Generator[None]:
    """Keep other openings of a file out, those of this process too.

    Raises `TimeoutError` where somebody else holds it for that many seconds; `None` waits for as
    long as it takes, and each in turn.
    """
    _take(descriptor, path, seconds)
    try:
        yield
    finally:
        _let_go(descriptor)


@contextmanager
def file_lock_if_free(descriptor: int) -> Generator[bool]:
    """The same, but where somebody else holds it: give whether nobody does."""
    if not _try(descriptor):
        yield False
        return
    try:
        yield True
    finally:
        _let_go(descriptor)


def _take(descriptor: int, path: Path, seconds: float | None) -> None:
    if seconds is None:
        if _locks is not None:  # pragma: no branch - Windows
            _locks.flock(descriptor, _locks.LOCK_EX)
        return
    deadline = time.monotonic() + seconds
    while not _try(descriptor):
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{path} was locked by somebody else for {seconds:g} seconds")
        time.sleep(_PAUSE)


def _try(descriptor: int) -> bool:
    """Take it, unless somebody else has it; give whether it is ours."""
    if _locks is None:  # pragma: no cover - Windows
        return True
    try:
        _locks.flock(descriptor, _locks.LOCK_EX | _locks.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _let_go(descriptor: int) -> None:
    # Closing the file would not do: a child that was forked meanwhile has it open too.
    if _locks is not None:  # pragma: no branch - Windows
        _locks.flock(descriptor, _locks.LOCK_UN)


def at_path(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one that has this path now; it may have been moved or deleted."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))
