"""The records among lines of JSON, and how many lines are none."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..record import UsageRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Junk", "records_and_junk", "records_in"]

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


def records_and_junk(lines: Iterable[bytes], junk: Junk) -> Iterator[UsageRecord]:
    """Give the records among lines; what is none is counted in `junk`."""
    for number, line in enumerate(lines, start=1):
        try:
            record = UsageRecord.model_validate_json(line)
        except ValueError:
            if line.strip():
                junk.add(number)
        else:
            yield record


def records_in(lines: Iterable[bytes], path: object) -> Iterator[UsageRecord]:
    """Give the records among lines; how many are none, and where, is logged at the end."""
    junk = Junk()
    yield from records_and_junk(lines, junk)
    if junk.count:
        logger.warning("%s has %s; the first is line %d", path, junk, junk.first)
