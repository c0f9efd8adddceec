"""Where a command reads records: a file of JSON lines, or a ledger."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING

import click

from .prune import reading

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from datetime import datetime

    from usagestream import UsageRecord

    from ..ledger import LedgerReader

__all__ = [
    "existing",
    "is_ledger",
    "ledger_records",
    "ledger_url",
    "opened",
    "records_of",
    "say_no_records",
]


def is_ledger(source: str) -> bool:
    """Whether it is a URL, or a file of SQLite."""
    return "://" in source or _is_sqlite(source)


def ledger_url(source: str) -> str:
    """The URL of a ledger that may be named by its file."""
    return source if "://" in source else f"sqlite:///{Path(source).absolute()}"


def records_of(source: str) -> Iterator[UsageRecord]:
    """The records of a file, or of a ledger. Says it where there is neither."""
    from usagestream import JsonLinesSink

    if is_ledger(source):
        with opened(ledger_url(source)) as reader:
            yield from ledger_records(reader, None)
    else:
        yield from JsonLinesSink.read(existing(source))


def ledger_records(reader: LedgerReader, since: datetime | None) -> Iterator[UsageRecord]:
    """The records of a ledger that began at a time or later, the oldest first."""
    from usagestream import UsageReport

    yield from reader.records(UsageReport(["model"], since=since))


def existing(source: str) -> Path:
    """The file of that name; or say that there is none."""
    path = Path(source)
    if not path.is_file():
        raise click.UsageError(
            f"File {source!r} does not exist. A ledger is named as sqlite:///usage.db."
        )
    return path


def say_no_records(source: str) -> None:
    """Say what a file should hold, unless it holds nothing."""
    if not is_ledger(source) and Path(source).stat().st_size:
        raise click.ClickException(
            f"There is no record in {source}: it takes lines of JSON, as JsonLinesSink and "
            "`usagestream chat --save` write them."
        )


@contextmanager
def opened(url: str) -> Generator[LedgerReader]:
    """A ledger to read; or say why it cannot be."""
    from usagestream import ConfigError

    try:
        with reading(url) as reader:
            yield reader
    except ConfigError as exc:
        raise click.ClickException(str(exc)) from exc


def _is_sqlite(source: str) -> bool:
    path = Path(source)
    try:
        if not S_ISREG(path.stat().st_mode):  # a pipe would lose what is read of it here
            return False
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False
