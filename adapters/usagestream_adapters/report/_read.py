"""Records out of a file of JSON lines, one at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

from usagestream_core.errors import ConfigError
from usagestream_core.record import UsageRecord
from usagestream_core.records.record_lines import Junk, records_and_junk

__all__ = ["RecordFile"]


class RecordFile:
    """A file of records, or `-` for standard input. Iterating it again reads it again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.junk = Junk()
        """What was no record, when it was read last."""

    def __iter__(self) -> Iterator[UsageRecord]:
        """Give each record. Raises `ConfigError` where the file cannot be read."""
        self.junk = Junk()
        try:
            with nullcontext(sys.stdin.buffer) if self.name == "-" else self._open() as lines:
                yield from records_and_junk(lines, self.junk)
        except OSError as exc:
            raise ConfigError(f"{self.name} cannot be read: {exc.strerror}") from exc

    def _open(self) -> BinaryIO:
        return Path(self.name).open("rb")
