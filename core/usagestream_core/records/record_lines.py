"""The records among lines of JSON, and how many lines are none."""

from __future__ import annotations

import logging
from codecs import BOM_UTF8
from typing import TYPE_CHECKING

from ..record import UsageRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Junk", "record_of_line", "records_and_junk", "records_in"]

logger = logging.getLogger("usagestream")


class Junk:
    """Lines that were no record, of those read so far; empty ones are not counted."""

    def __init__(self) -> None:
        self.count = 0
        self.first: int | None = None
        """The number of the first of them, of which 1 is the first line; `None` for none."""

    def __str__(self) -> str:
        lines = "1 line that is" if self.count == 1 else f"{self.count} lines that are"
        return f"{lines} no record"

    def add(self, number: int) -> None:
        """Count the line with this number."""
        self.count += 1
        self.first = self.first or number


def record_of_line(line: bytes) -> UsageRecord | None:
    """Give the record that a line is; `None` for a line that is none.

    A byte order mark that an editor put before it is no part of it.
    """
    try:
        return UsageRecord.model_validate_json(line.removeprefix(BOM_UTF8))
    except ValueError:
        return None


def records_and_junk(lines: Iterable[bytes], junk: Junk) -> Iterator[UsageRecord]:
    """Give the records among lines; what is none is counted in `junk`."""
    for number, line in enumerate(lines, start=1):
        record = record_of_line(line)
        if record is not None:
            yield record
        elif line.strip():
            junk.add(number)


def records_in(lines: Iterable[bytes], path: object) -> Iterator[UsageRecord]:
    """Give the records among lines; how many are none, and where, is logged at the end."""
    junk = Junk()
    yield from records_and_junk(lines, junk)
    if junk.count:
        logger.warning("%s has %s; the first is line %d", path, junk, junk.first)
