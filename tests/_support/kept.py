"""Rows of a ledger, for tests of reading it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import insert

from usagestream import UsageRecord
from usagestream_adapters.ledger import Database
from usagestream_adapters.ledger._rows import ended_row, micros
from usagestream_adapters.ledger._schema import DAY, ENDED, rolled_days, streams

__all__ = ["keep", "mark"]


def keep(database: Database, records: Iterable[UsageRecord], state: str = ENDED) -> None:
    """Write these, and mark no day."""
    rows = [ended_row(record, state=state) for record in records]
    if rows:
        with database.writing() as connection:
            connection.execute(insert(streams), rows)


def mark(database: Database, moment: datetime) -> None:
    """Mark a day, as who writes a row of it does."""
    with database.writing() as connection:
        where = rolled_days.c.day == micros(moment) // DAY
        connection.execute(rolled_days.update().where(where).values(dirty=True))
