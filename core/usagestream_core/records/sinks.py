"""Where records go: how a client hands them over, and the sink that ships with it."""

from __future__ import annotations

import inspect
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..record import UsageRecord
from .shutdown import outboxes

if TYPE_CHECKING:
    import asyncio
    from types import ModuleType

try:
    import fcntl as _fcntl
except ImportError:  # pragma: no cover - Windows, where appending processes are not kept apart
    _locks: ModuleType | None = None
else:
    _locks = _fcntl

__all__ = ["JsonLinesSink", "Outbox"]

logger = logging.getLogger("usagestream")

Sink = Callable[[UsageRecord], object]


class Outbox:
    """Hands each record over once, in the order the streams ended. A failure stays in here.

    An ordinary function is called at once, where the stream ends; if another thread is at it, that
    one carries on. What an async function has to do waits in line until it is awaited.
    """

    def __init__(self, sink: Sink | None) -> None:
        self._sink = sink
        self._is_async = is_async(sink)
        self._records: deque[UsageRecord] = deque()
        self._busy = threading.Lock()
        self._busy_thread: int | None = None
        self._worker: asyncio.Task[None] | None = None
        self.failures = 0
        """Records that the sink raised on."""

    def put(self, record: UsageRecord) -> None:
        """Take a record. Never raises what a sink does."""
        if self._sink is None:
            return
        self._records.append(record)
        outboxes.add(self)
        if self._is_async:
            self._wake()
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        # After letting go, look again: another thread may have put a record and found it busy.
        while self._records and self._busy.acquire(blocking=False):
            self._busy_thread = threading.get_ident()
            try:
                while self._records:
                    self._call(self._records.popleft())
            finally:
                self._busy_thread = None
                self._busy.release()

    def _call(self, record: UsageRecord) -> None:
        assert self._sink is not None, "a record without a sink"
        try:
            result = self._sink(record)
            if inspect.iscoroutine(result):
                result.close()
                raise TypeError("on_record gave a coroutine, which nobody awaits here")  # noqa: TRY301 - counted as any other failure
        except Exception as exc:  # noqa: BLE001 - logged there
            self._failed(record, exc)

    def _wake(self) -> None:
        """Work in the background, where there is an asyncio loop; else `flush` does it."""
        if self._worker is not None and not self._worker.done():
            return
        import asyncio  # slow to import, and loaded already where it is of use

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._worker = loop.create_task(self._work())

    async def _work(self) -> None:
        while self._records:
            await self._await(self._records.popleft())

    async def _await(self, record: UsageRecord) -> None:
        try:
            await cast("Callable[[UsageRecord], Awaitable[object]]", self._sink)(record)
        except Exception as exc:  # noqa: BLE001 - logged there
            self._failed(record, exc)
        except BaseException as exc:
            self._failed(record, exc)
            raise

    def _failed(self, record: UsageRecord, exc: BaseException) -> None:
        self.failures += 1
        logger.error(
            "on_record raised; the record %s of this stream is lost", record.id, exc_info=exc
        )

    def wait(self) -> None:
        """Return once every record put in until now is handed over, by whatever thread."""
        if not self._is_async and self._busy_thread != threading.get_ident():
            self._hand_over()
            with self._busy:
                pass

    async def flush(self) -> None:
        """`wait` for async code."""
        if not self._is_async:
            self.wait()
            return
        if self._worker is not None:
            import asyncio

            await asyncio.wait([self._worker])
        await self._work()

    def leave_at_exit(self) -> None:
        """The interpreter ends: what is still in line goes out now, on a loop made for it."""
        if self._is_async and self._records:
            import asyncio

            asyncio.run(self._work())


def is_async(sink: object) -> bool:
    """Whether this is called to give a coroutine."""
    return inspect.iscoroutinefunction(sink) or inspect.iscoroutinefunction(
        getattr(sink, "__call__", None)  # noqa: B004 - not whether it can be called, but how
    )


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
