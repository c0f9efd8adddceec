"""Records out of a file of JSON lines, one at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

from usagestream_core.errors import ConfigError
from usagestream_core.record import UsageRecord

__all__ = ["RecordFile"]


class RecordFile:
    """A file of records, or `-` for standard input. Iterating it again reads it again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.junk = 0
        """Lines that were no record, of those read so far; empty ones are not counted."""
        self.first_junk: int | None = None
        """The number of the first of them."""

    def __iter__(self) -> Iterator[UsageRecord]:
        """Give each record. Raises `ConfigError` where the file cannot be read."""
        self.junk, self.first_junk = 0, None
        try:
            with nullcontext(sys.stdin.buffer) if self.name == "-" else self._open() as lines:
                for number, line in enumerate(lines, start=1):
                    try:
                        record = UsageRecord.model_validate_json(line)
                    except ValueError:
                        if line.strip():
                            self.junk += 1
                            self.first_junk = self.first_junk or number
                    else:
                        yield record
        except OSError as exc:
            raise ConfigError(f"{self.name} cannot be read: {exc.strerror}") from exc

    def _open(self) -> BinaryIO:
        return Path(self.name).open("rb")
