"""Where records wait that could not be put where they belong: a file with a bound."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .line_spool import LineSpool, lines_in
from .record_lines import Junk, records_and_junk, records_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..record import UsageRecord

__all__ = ["SPOOL_LIMIT", "Spool"]

logger = logging.getLogger("usagestream")

SPOOL_LIMIT: Final = 64 * 2**20
"""Bytes that a spool takes by default: some 50,000 records."""


class Spool:
    """A `LineSpool` of records. Each id comes out once, whoever put it in twice."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        limit: int = SPOOL_LIMIT,
        lock_timeout: float = 5.0,
    ) -> None:
        self.path = Path(path)
        self._lines = LineSpool(self.path, limit=limit, lock_timeout=lock_timeout)

    @property
    def size(self) -> int:
        """Bytes that wait; 0 where there is no file."""
        return self._lines.size

    def __len__(self) -> int:
        """How many records wait. Reads the file."""
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        """Whether anything waits: cheap to ask."""
        return bool(self._lines)

    def __iter__(self) -> Iterator[UsageRecord]:
        """Give the records that wait, the oldest first; nothing is taken out."""
        seen: set[str] = set()
        for path in self._lines.files:
            yield from _new(records_in(lines_in(path), path), seen)

    def append(self, *records: UsageRecord) -> None:
        """Put records at the end, all or none. Raises as `LineSpool.append` does."""
        self._lines.append([record.model_dump_json().encode() + b"\n" for record in records])

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
        junk = Junk()
        seen: set[str] = set()

        def take(lines: list[bytes]) -> None:
            nonlocal count
            records = list(_new(records_and_junk(lines, junk), seen))
            if records:
                deliver(records)
                count += len(records)

        try:
            self._lines.hand_in(take, at_once=at_once)
        finally:
            if junk.count:
                logger.warning("%s has %s", self.path, junk)
        return count


def _new(records: Iterable[UsageRecord], seen: set[str]) -> Iterator[UsageRecord]:
    for record in records:
        if record.id not in seen:
            seen.add(record.id)
            yield record
