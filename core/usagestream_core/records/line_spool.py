"""Where lines wait that could not be put where they belong: a file with a bound."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..locks import at_path, file_lock, file_lock_if_free

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

__all__ = ["LineSpool", "append_lines", "lines_in"]

_FLAGS: Final = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)
_ABSENT: Final = (FileNotFoundError, NotADirectoryError)


class LineSpool:
    """Lines that wait in a file, the oldest first, until `hand_in` gets rid of them.

    The file can be shared by threads, processes and forked children: `append` from any of them
    loses nothing, and one of them hands in at a time, while others go on appending. What is handed
    in is first set aside in a file of its own (`.out`), so that a process that is killed loses
    nothing: the next one begins with that.

    `limit` is how many bytes may wait. What would go beyond it is refused, and nothing that waits
    is dropped for it. Files, and their folder, are made for their owner only, with the first line.
    """

    def __init__(self, path: Path, *, limit: int, lock_timeout: float = 5.0) -> None:
        self.path = path
        self.limit = limit
        self._outgoing = path.with_name(f"{path.name}.out")
        self._lock_timeout = lock_timeout
        self._holder: tuple[int, int] | None = None

    @property
    def is_held_here(self) -> bool:
        """Whether this very thread is putting something in: the collector may call from there."""
        return self._holder == _here()

    @property
    def size(self) -> int:
        """Bytes that wait; 0 where there is no file."""
        return sum(_size(path) for path in self.files)

    @property
    def files(self) -> tuple[Path, Path]:
        """Where lines wait, the oldest first; each is there or not."""
        return self._outgoing, self.path

    def __len__(self) -> int:
        """How many lines wait, pieces of some among them. Reads the files."""
        return sum(1 for path in self.files for line in lines_in(path) if line.strip())

    def __bool__(self) -> bool:
        """Whether anything waits: cheap to ask."""
        return self.size > 0

    def append(self, lines: Sequence[bytes]) -> None:
        """Put lines, each with its line feed, at the end: all or none.

        Raises `OSError` where there is no room, in the bound or on the disk, and `TimeoutError`
        where somebody else holds the file for `lock_timeout` seconds.
        """
        data = b"".join(lines)
        with self._open(self._lock_timeout) as descriptor:
            waiting = self.size
            if waiting + len(data) > self.limit:
                raise OSError(
                    f"{self.path} has no room for more records: {waiting} of {self.limit} bytes "
                    "are taken by those that wait"
                )
            append_lines(descriptor, data, self.path)

    def hand_in(self, take: Callable[[list[bytes]], object], *, at_once: int = 500) -> bool:
        """Give what waits to `take`, so many lines at once, and forget it; give whether all is out.

        It is not where somebody else is at it, or puts something in: that is not waited for. What
        `take` raises is raised here; what it had not taken stays. A process that is killed leaves
        all that it had set aside: who takes lines may be given some again, and has to know them.
        """
        while True:
            with self._claim() as descriptor:
                if descriptor is None:
                    return not self.size
                self._give(descriptor, take, at_once)

    @contextmanager
    def _open(self, seconds: float) -> Generator[int]:
        """Open the file alone. It may be set aside while its lock is waited for."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            descriptor = os.open(self.path, _FLAGS | os.O_CREAT, 0o600)
            try:
                with file_lock(descriptor, self.path, seconds):
                    if at_path(descriptor, self.path):
                        with self._holding():
                            yield descriptor
                        return
            finally:
                os.close(descriptor)

    @contextmanager
    def _holding(self) -> Generator[None]:
        self._holder = _here()
        try:
            yield
        finally:
            self._holder = None

    @contextmanager
    def _claim(self) -> Generator[int | None]:
        """Open what is on its way out, and lock it; `None` where nothing is, or others have it."""
        if not self._outgoing.exists() and self.path.exists():
            with suppress(TimeoutError), self._open(0):
                if not self._outgoing.exists():  # set aside meanwhile
                    self.path.rename(self._outgoing)
        try:
            descriptor = os.open(self._outgoing, _FLAGS)
        except _ABSENT:
            yield None
            return
        try:
            with file_lock_if_free(descriptor) as is_locked:
                yield descriptor if is_locked and at_path(descriptor, self._outgoing) else None
        finally:
            os.close(descriptor)

    def _give(self, descriptor: int, take: Callable[[list[bytes]], object], at_once: int) -> None:
        taken = 0
        with os.fdopen(os.dup(descriptor), "rb") as lines:
            try:
                while group := list(islice(lines, at_once)):
                    take(group)
                    taken += sum(map(len, group))
            except BaseException:
                if taken:
                    self._forget(taken)
                raise
        self._outgoing.unlink()

    def _forget(self, taken: int) -> None:
        """Let only what comes after so many bytes be on its way out."""
        kept = self._outgoing.with_name(f"{self._outgoing.name}.new")
        descriptor = os.open(kept, _FLAGS | os.O_CREAT | os.O_TRUNC, 0o600)
        with self._outgoing.open("rb") as lines, os.fdopen(descriptor, "wb") as rest:
            lines.seek(taken)
            shutil.copyfileobj(lines, rest)
        kept.replace(self._outgoing)


def append_lines(descriptor: int, lines: bytes, path: Path) -> None:
    """Put lines at the end of a file, after whole lines: what a kill has left there is ended.

    Raises `OSError` where they do not fit, and leaves nothing of them then.
    """
    start = os.fstat(descriptor).st_size
    if start:
        os.lseek(descriptor, start - 1, os.SEEK_SET)
        if os.read(descriptor, 1) != b"\n":
            lines = b"\n" + lines
    if os.write(descriptor, lines) != len(lines):
        os.ftruncate(descriptor, start)
        raise OSError(f"There is no room for a record in {path}")


def lines_in(path: Path) -> Iterator[bytes]:
    """Give the lines of a file; none where there is no file."""
    with suppress(*_ABSENT), path.open("rb") as lines:
        yield from lines


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except _ABSENT:
        return 0


def _here() -> tuple[int, int]:
    """The thread of the process that asks: a forked child has others with the same numbers."""
    return os.getpid(), threading.get_ident()
