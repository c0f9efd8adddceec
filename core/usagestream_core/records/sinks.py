"""The sinks that ship with this library: where records can go."""

from __future__ import annotations

import logging
import os
import select
import sys
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..locks import ForkSafeLock, at_path, file_lock
from ..record import UsageRecord
from .line_spool import append_lines
from .record_lines import records_in
from .spool import SPOOL_LIMIT, Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import IO

__all__ = ["JsonLinesSink", "StdoutSink"]

logger = logging.getLogger("usagestream")

_TAIL: Final = 2**16
_PIPE_BUF: Final = getattr(select, "PIPE_BUF", 512)
"""Bytes that a pipe takes whole, whoever else writes to it: 4096 on Linux, 512 at the least."""


class _Turns:
    """Writes records one after the other, from whatever thread, and in forked children.

    The garbage collector may end a stream, and bring its record, in the middle of a write by the
    same thread. That one waits until the write is done.
    """

    def __init__(self, write: Callable[[UsageRecord], None]) -> None:
        self._write = write
        self.busy = ForkSafeLock()
        self._nested: deque[UsageRecord] = deque()

    def take(self, record: UsageRecord) -> None:
        """Write a record, and those that were brought meanwhile. Raises what writing one raises."""
        if self.busy.is_mine:
            self._nested.append(record)
            return
        with self.busy, ExitStack() as rest:
            rest.callback(self._take_nested)
            self._write(record)

    def _take_nested(self) -> None:
        with ExitStack() as rest:
            while self._nested:
                rest.callback(self._write, self._nested.popleft())


class JsonLinesSink:
    """Appends each record to a file, one JSON object a line: `on_record=JsonLinesSink(path)`.

    The file can be shared: by the clients and threads of a process, by processes, and by those
    they fork. A line goes out in one write, so that a process that is killed loses nothing that
    was handed over. If it is killed in the middle of the write, its piece stays, and the next
    record begins a line of its own: what this sink did not write, it does not cut. A file that was
    moved away or deleted, as log rotation does, is made anew with the next record.
    Read it with `JsonLinesSink.read`, or any tool that reads JSON lines and skips what is none.

    Where somebody else holds the file's lock for `lock_timeout` seconds, the record goes to a spool
    beside it, a file with `.spool` at the end of its name, of at most `spool_limit` bytes. The
    next record that finds the lock free, from whatever process, hands in what waits there first,
    each once; so does `close()`. Until then the lock is tried, and not waited for again. A record
    that the spool has no room for is not written, and `on_record` counts as failed.

    With `fsync`, a record also survives the machine's own end, at the price of a wait for the
    disk. The file is made readable for its owner only.

    Raises `OSError` where the file cannot be opened.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        fsync: bool = False,
        lock_timeout: float = 5.0,
        spool_limit: int = SPOOL_LIMIT,
    ) -> None:
        self.path = Path(path)
        self.spooled = 0
        """How many records this sink has put in the spool, handed in since or not."""
        self._fsync = fsync
        self._lock_timeout = lock_timeout
        self._spool = _beside(self.path, spool_limit, lock_timeout)
        self._turns = _Turns(self._put)
        self._refused = False
        """Whether the lock was not to be had in time when it was last asked for."""
        self._descriptor: int | None = None
        self._process = 0
        self._open()

    @property
    def waiting(self) -> int:
        """How many records wait in the spool, from whatever process; 0 where all is well."""
        return len(self._spool)

    def __call__(self, record: UsageRecord) -> None:
        """Write one record. Raises `OSError` where that fails, and leaves no piece of a line."""
        self._turns.take(record)

    def close(self) -> None:
        """Hand in what waits in the spool, if the lock is free, and close the file.

        A record that comes later opens it again.
        """
        with self._turns.busy:
            try:
                if self._spool:
                    self._refused = True  # not to be waited for
                    self._write()
            except TimeoutError:
                logger.warning("%s is locked by somebody else: records wait beside it", self.path)
            finally:
                if self._descriptor is not None and self._process == os.getpid():
                    os.close(self._descriptor)
                self._descriptor = None

    @staticmethod
    def read(path: str | os.PathLike[str]) -> Iterator[UsageRecord]:
        """Give the records in a file, the oldest first, and those that wait in its spool.

        Lines that are no record, such as the piece that a kill leaves, are skipped; how many, and
        the number of the first, is logged as a warning at the end.
        """
        last: UsageRecord | None = None
        with Path(path).open("rb") as lines:
            for last in records_in(lines, path):
                yield last
        yield from _after(last, list(_beside(Path(path))))

    def _put(self, record: UsageRecord) -> None:
        try:
            self._write(record)
        except TimeoutError:
            self._spool.append(record)
            self.spooled += 1
            if not self._refused:
                logger.warning(
                    "%s was locked by somebody else for %g seconds: its records wait in %s",
                    self.path,
                    self._lock_timeout,
                    self._spool.path,
                )
            self._refused = True

    def _write(self, *records: UsageRecord) -> None:
        """Write what waits in the spool, then these. Raises `TimeoutError` for want of a lock."""
        descriptor = self._open()
        with file_lock(descriptor, self.path, 0 if self._refused else self._lock_timeout):
            self._refused = False
            if self._spool:
                self._spool.hand_in(self._hand_in)
            self._append(records)

    def _hand_in(self, waiting: Sequence[UsageRecord]) -> None:
        # Nobody writes before the spool is handed in: if somebody was killed at it, what he wrote
        # of the spool is the end of the file.
        self._append(_after(self._last(), waiting))

    def _append(self, records: Sequence[UsageRecord]) -> None:
        assert self._descriptor is not None, "a file that was not opened"
        if records:
            lines = b"".join(record.model_dump_json().encode() + b"\n" for record in records)
            append_lines(self._descriptor, lines, self.path)
            if self._fsync:
                os.fsync(self._descriptor)

    def _last(self) -> UsageRecord | None:
        """The last whole record in the file."""
        with self.path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            lines = file.read().split(b"\n")
        for line in reversed(lines[:-1]):
            try:
                return UsageRecord.model_validate_json(line)
            except ValueError:
                continue
        return None

    def _open(self) -> int:
        """Open the file, in a forked child anew: a lock belongs to an opening, not to a process.

        Anew also where another file, or none, is at its path by now.
        """
        if (
            self._descriptor is not None
            and self._process == os.getpid()
            and not at_path(self._descriptor, self.path)
        ):
            os.close(self._descriptor)
            self._descriptor = None
        if self._descriptor is None or self._process != os.getpid():
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._descriptor = os.open(self.path, flags, 0o600)
            self._process = os.getpid()
        return self._descriptor


def _beside(path: Path, limit: int = SPOOL_LIMIT, lock_timeout: float = 5.0) -> Spool:
    return Spool(path.with_name(path.name + ".spool"), limit=limit, lock_timeout=lock_timeout)


def _after(last: UsageRecord | None, waiting: Sequence[UsageRecord]) -> Sequence[UsageRecord]:
    """Those of the records that come after this one; all where it is none of them."""
    ids = [record.id for record in waiting]
    return waiting[ids.index(last.id) + 1 :] if last is not None and last.id in ids else waiting


class StdoutSink:
    """Writes each record to standard output, one JSON object a line: `on_record=StdoutSink()`.

    For containers, whose output is collected. `file` is another stream, such as `sys.stderr`; what
    `sys.stdout` is, is looked up for each record. A line goes out whole, whatever thread writes,
    after what `print` still had in hand. Of processes that write to one pipe, a line up to
    `PIPE_BUF` stays whole (4096 bytes on Linux; a record has some 1,300, and its tags).

    A reader who has gone (a broken pipe), a stream that is closed, or a pipe that nobody reads for
    `timeout` seconds raises here, so that `on_record` counts as failed: the record is lost, and the
    stream that it is of does not notice.
    """

    def __init__(self, file: IO[str] | None = None, *, timeout: float = 5.0) -> None:
        self._file = file
        self._timeout = timeout
        self._turns = _Turns(self._write)
        self._whole = True
        """Whether the last line went out to its end."""

    def __call__(self, record: UsageRecord) -> None:
        """Write one line. Raises `OSError` or `ValueError` where that cannot be done."""
        self._turns.take(record)

    def _write(self, record: UsageRecord) -> None:
        line = record.model_dump_json() + "\n"
        file = sys.stdout if self._file is None else self._file
        if file is None:
            raise OSError("This program has no standard output to write records to")
        descriptor = _descriptor_of(file)
        if descriptor is None:
            file.write(line)
        file.flush()
        if descriptor is not None:
            self._send(descriptor, line.encode())

    def _send(self, descriptor: int, line: bytes) -> None:
        left = memoryview(line if self._whole else b"\n" + line)
        self._whole = False
        deadline = time.monotonic() + self._timeout
        while left:
            if not _takes_more(descriptor, deadline):
                raise TimeoutError(f"Standard output took nothing for {self._timeout:g} seconds")
            try:
                left = left[os.write(descriptor, left[:_PIPE_BUF]) :]
                deadline = time.monotonic() + self._timeout
            except BlockingIOError:
                time.sleep(0.002)
        self._whole = True


def _descriptor_of(file: IO[str]) -> int | None:
    """`None` for a stream in memory, as a notebook has it."""
    try:
        return file.fileno()
    except (AttributeError, OSError):
        return None


def _takes_more(descriptor: int, deadline: float) -> bool:
    """Wait until a write would not block, or time is up."""
    poll: Any = getattr(select, "poll", None)
    if poll is None:  # pragma: no cover - Windows
        return True
    waiting = poll()
    waiting.register(descriptor, select.POLLOUT)
    return bool(waiting.poll(max(0.0, deadline - time.monotonic()) * 1000))
