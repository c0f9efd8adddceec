"""The sinks that ship with this library: where records can go."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..record import UsageRecord

if TYPE_CHECKING:
    from types import ModuleType

try:
    import fcntl as _fcntl
except ImportError:  # pragma: no cover - Windows, where appending processes are not kept apart
    _locks: ModuleType | None = None
else:
    _locks = _fcntl

__all__ = ["JsonLinesSink"]

logger = logging.getLogger("usagestream")


class JsonLinesSink:
    """Appends each record to a file, one JSON object a line: `on_record=JsonLinesSink(path)`.

    The file can be shared: by the clients and threads of a process, by processes, and by those
    they fork. A line goes out in one write, so that a process that is killed loses nothing that
    was handed over. If it is killed in the middle of the write, its piece stays, and the next
    record begins a line of its own: what this sink did not write, it does not cut. A file that was
    moved away or deleted, as log rotation does, is made anew with the next record.
    Read it with `JsonLinesSink.read`, or any tool that reads JSON lines and skips what is none.

    Where somebody else holds the file's lock for `lock_timeout` seconds, the record is not written,
    and `on_record` counts as failed.

    With `fsync`, a record also survives the machine's own end, at the price of a wait for the
    disk. The file is made readable for its owner only.

    Raises `OSError` where the file cannot be opened.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, fsync: bool = False, lock_timeout: float = 5.0
    ) -> None:
        self.path = Path(path)
        self._fsync = fsync
        self._lock_timeout = lock_timeout
        self._busy = threading.Lock()
        self._descriptor: int | None = None
        self._process = 0
        self._open()

    def __call__(self, record: UsageRecord) -> None:
        """Write one record. Raises `OSError` where that fails, and leaves no piece of a line."""
        line = record.model_dump_json().encode() + b"\n"
        with self._busy, self._alone() as descriptor:
            start = os.fstat(descriptor).st_size
            if start:
                os.lseek(descriptor, start - 1, os.SEEK_SET)
                if os.read(descriptor, 1) != b"\n":
                    line = b"\n" + line
            if os.write(descriptor, line) != len(line):
                os.ftruncate(descriptor, start)
                raise OSError(f"There is no room for a record in {self.path}")
            if self._fsync:
                os.fsync(descriptor)

    def close(self) -> None:
        """Close the file. A record that comes later opens it again."""
        with self._busy:
            if self._descriptor is not None and self._process == os.getpid():
                os.close(self._descriptor)
            self._descriptor = None

    @staticmethod
    def read(path: str | os.PathLike[str]) -> Iterator[UsageRecord]:
        """Give the records in a file, the oldest first.

        Lines that are no record, such as the piece that a kill leaves, are skipped; how many, and
        the number of the first, is logged as a warning at the end.
        """
        junk: list[int] = []
        with Path(path).open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    record = UsageRecord.model_validate_json(line)
                except ValueError:
                    if line.strip():
                        junk.append(number)
                else:
                    yield record
        if junk:
            logger.warning(
                "%s has %d lines that are no record; the first is line %d", path, len(junk), junk[0]
            )

    def _open(self) -> int:
        """Open the file, in a forked child anew: a lock belongs to an opening, not to a process.

        Anew also where another file, or none, is at its path by now.
        """
        if self._descriptor is not None and self._process == os.getpid() and self._moved():
            os.close(self._descriptor)
            self._descriptor = None
        if self._descriptor is None or self._process != os.getpid():
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._descriptor = os.open(self.path, flags, 0o600)
            self._process = os.getpid()
        return self._descriptor

    def _moved(self) -> bool:
        assert self._descriptor is not None, "a file that was not opened"
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return True
        return not os.path.samestat(there, os.fstat(self._descriptor))

    def _lock(self, descriptor: int) -> None:
        assert _locks is not None, "nothing to lock with"
        deadline = time.monotonic() + self._lock_timeout
        while True:
            try:
                _locks.flock(descriptor, _locks.LOCK_EX | _locks.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(
                        f"{self.path} was locked by somebody else for {self._lock_timeout} seconds"
                    ) from None
                time.sleep(0.002)
            else:
                return

    @contextmanager
    def _alone(self) -> Generator[int]:
        """Keep other processes out. A lock goes with its process, however that ends."""
        descriptor = self._open()
        if _locks is None:  # pragma: no cover - Windows
            yield descriptor
            return
        self._lock(descriptor)
        try:
            yield descriptor
        finally:
            _locks.flock(descriptor, _locks.LOCK_UN)
