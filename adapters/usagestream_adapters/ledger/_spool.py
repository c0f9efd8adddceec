"""What a ledger could not put into its database yet, in a file with a bound."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import ModuleType

try:
    import fcntl as _fcntl
except ImportError:  # pragma: no cover - Windows, where processes are not kept apart
    _locks: ModuleType | None = None
else:
    _locks = _fcntl

__all__ = ["Spool"]

_GROUP: Final = 500


class Spool:
    """Lines that wait, for all processes that keep the same ledger on this machine.

    Put in from any thread or process; handed in by one at a time. What is on its way out is set
    aside (`.out`) and stays until all of it was taken: who takes it may be given a line again, and
    has to know it by its id.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        self.limit = limit
        self._out = path.with_name(f"{path.name}.out")
        self._busy = threading.Lock()
        self._holder: int | None = None

    @property
    def is_held_here(self) -> bool:
        """Whether this very thread is putting something in: the collector may call from there."""
        return self._holder == threading.get_ident()

    def forked(self) -> None:
        """A forked child, where a thread of the parent's may have held the lock for ever."""
        self._busy = threading.Lock()
        self._holder = None

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return _size(self.path) + _size(self._out)

    @property
    def count(self) -> int:
        """Lines that wait. Reads the files."""
        return sum(_lines(path) for path in (self.path, self._out))

    def append(self, lines: Sequence[bytes]) -> None:
        """Put lines at the end, all or none. Raises `OSError` where there is no room for them."""
        data = b"".join(lines)
        with self._alone():
            waiting = self.size
            if waiting + len(data) > self.limit:
                raise OSError(f"{self.path} has no room: {waiting} of {self.limit} bytes wait")
            file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                start = os.fstat(file).st_size
                if start:
                    os.lseek(file, start - 1, os.SEEK_SET)
                    if os.read(file, 1) != b"\n":  # what a kill has left there
                        data = b"\n" + data
                if os.write(file, data) != len(data):
                    os.ftruncate(file, start)
                    raise OSError(f"There is no room for {self.path}")
            finally:
                os.close(file)

    def hand_in(self, take: Callable[[list[bytes]], object]) -> bool:
        """Give what waits to `take`, piece by piece, and forget it then; give whether all is out.

        What `take` raises is raised here, and everything stays.
        """
        with self._taking() as alone:
            if not alone:
                return False
            while self._set_aside():
                with self._out.open("rb") as lines:
                    while group := list(islice(lines, _GROUP)):
                        take(group)
                self._out.unlink()
        return True

    def _set_aside(self) -> bool:
        if not self._out.exists():
            with self._alone():
                if self.path.exists():
                    self.path.rename(self._out)
        return self._out.exists()

    @contextmanager
    def _alone(self) -> Generator[None]:
        with self._busy:
            self._holder = threading.get_ident()
            try:
                with self._locked(".lock", wait=True):
                    yield
            finally:
                self._holder = None

    @contextmanager
    def _taking(self) -> Generator[bool]:
        if not self.size:
            yield True
            return
        with self._locked(".out.lock", wait=False) as alone:
            yield alone

    @contextmanager
    def _locked(self, suffix: str, *, wait: bool) -> Generator[bool]:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(self.path.with_name(self.path.name + suffix), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if _locks is not None:  # pragma: no branch - but on Windows
                try:
                    _locks.flock(file, _locks.LOCK_EX | (0 if wait else _locks.LOCK_NB))
                except BlockingIOError:
                    yield False
                    return
            yield True
        finally:
            os.close(file)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _lines(path: Path) -> int:
    try:
        with path.open("rb") as lines:
            return sum(1 for line in lines if line.strip())
    except FileNotFoundError:
        return 0
