"""Where records wait that could not be put where they belong: a file with a bound."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..locks import at_path, file_lock, try_file_lock
from ..record import UsageRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

__all__ = ["SPOOL_LIMIT", "Spool", "append_lines", "records_in"]

logger = logging.getLogger("usagestream")

SPOOL_LIMIT: Final = 64 * 2**20
"""Bytes that a spool takes by default: some 50,000 records."""

_FLAGS: Final = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)


class Spool:
    """Records that wait in a file, the oldest first, until `hand_in` gets rid of them.

    The file can be shared by threads, processes and forked children: `append` from any of them
    loses nothing, and one of them hands in at a time, while others go on appending. What is handed
    in is first set aside in a file of its own (`.out`), so that a process that is killed loses
    nothing: the next one begins with that.

    `limit` is how many bytes may wait. What would go beyond it is refused, and nothing that waits
    is dropped for it. Files are made readable for their owner only, with the first record.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        limit: int = SPOOL_LIMIT,
        lock_timeout: float = 5.0,
    ) -> None:
        self.path = Path(path)
        self.limit = limit
        self._outgoing = self.path.with_name(self.path.name + ".out")
        self._lock_timeout = lock_timeout

    @property
    def size(self) -> int:
        """Bytes that wait; 0 where there is no file."""
        return _size(self._outgoing) + _size(self.path)

    def __len__(self) -> int:
        """How many records wait. Reads the file."""
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        """Whether anything waits: cheap to ask."""
        return self.size > 0

    def __iter__(self) -> Iterator[UsageRecord]:
        """Give the records that wait, the oldest first, and each id once; nothing is taken out."""
        seen: set[str] = set()
        for path in (self._outgoing, self.path):
            try:
                with path.open("rb") as lines:
                    yield from _new(records_in(lines, path), seen)
            except FileNotFoundError:
                continue

    def append(self, *records: UsageRecord) -> None:
        """Put records at the end, all or none.

        Raises `OSError` where there is no room, in the bound or on the disk, and `TimeoutError`
        where somebody else holds the file for `lock_timeout` seconds.
        """
        lines = b"".join(record.model_dump_json().encode() + b"\n" for record in records)
        with self._open() as descriptor:
            waiting = self.size
            if waiting + len(lines) > self.limit:
                raise OSError(
                    f"{self.path} has no room for more records: {waiting} of {self.limit} bytes "
                    "are taken by those that wait"
                )
            append_lines(descriptor, lines, self.path)

    def hand_in(
        self, deliver: Callable[[Sequence[UsageRecord]], object], *, at_once: int = 500
    ) -> int:
        """Give what waits to `deliver`, so many at once, and take it out once that returns.

        Gives how many were handed in: 0 where nothing waits, or somebody else is at it. What
        `deliver` raises is raised here; what it had not taken stays. Each id is given once, but
        for a process that is killed after `deliver` took a record and before it is out of the file:
        that one is given again, to be known by its id.
        """
        count = 0
        while (descriptor := self._claim()) is not None:
            try:
                count += self._deliver(descriptor, deliver, at_once)
            finally:
                os.close(descriptor)
        return count

    @contextmanager
    def _open(self) -> Generator[int]:
        """Open the file alone. It may be set aside while its lock is waited for."""
        while True:
            descriptor = os.open(self.path, _FLAGS | os.O_CREAT, 0o600)
            try:
                with file_lock(descriptor, self.path, self._lock_timeout):
                    if at_path(descriptor, self.path):
                        yield descriptor
                        return
            finally:
                os.close(descriptor)

    def _claim(self) -> int | None:
        """Open what is on its way out, and lock it; `None` where nothing is, or others have it."""
        if not self._outgoing.exists() and self.path.exists():
            with self._open():
                if not self._outgoing.exists():  # set aside meanwhile
                    self.path.rename(self._outgoing)
        try:
            descriptor = os.open(self._outgoing, _FLAGS)
        except FileNotFoundError:
            return None
        if try_file_lock(descriptor) and at_path(descriptor, self._outgoing):
            return descriptor
        os.close(descriptor)
        return None

    def _deliver(
        self, descriptor: int, deliver: Callable[[Sequence[UsageRecord]], object], at_once: int
    ) -> int:
        with os.fdopen(os.dup(descriptor), "rb") as lines:
            waiting = list(_new(records_in(lines, self._outgoing), set()))
        done = 0
        try:
            while done < len(waiting):
                deliver(waiting[done : done + at_once])
                done += at_once
        except BaseException:
            self._keep(waiting[done:])
            raise
        self._outgoing.unlink()
        return len(waiting)

    def _keep(self, rest: Iterable[UsageRecord]) -> None:
        """Let only these be on their way out."""
        kept = self._outgoing.with_name(self._outgoing.name + ".new")
        descriptor = os.open(kept, _FLAGS | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            lines = b"".join(record.model_dump_json().encode() + b"\n" for record in rest)
            append_lines(descriptor, lines, kept)
        finally:
            os.close(descriptor)
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


def records_in(lines: Iterable[bytes], path: object) -> Iterator[UsageRecord]:
    """Give the records among lines; how many are none, and where, is logged at the end."""
    junk: list[int] = []
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


def _new(records: Iterable[UsageRecord], seen: set[str]) -> Iterator[UsageRecord]:
    for record in records:
        if record.id not in seen:
            seen.add(record.id)
            yield record


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
