"""Rows of a ledger, for tests of reading it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert

from usagestream import UsageRecord
from usagestream_adapters.ledger import Database
from usagestream_adapters.ledger._schema import COUNTS, DAY, rolled_days, streams
from usagestream_core.records.report import nano

__all__ = ["keep", "mark"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SAME = (
    *("api", "provider", "profile", "endpoint", "region", "model", "deployment"),
    *("response_model", "outcome", "reason", "tags"),
)


def keep(database: Database, records: Iterable[UsageRecord], state: str = "ended") -> None:
    """Write these, as the ledger does."""
    rows = [_row(record, state) for record in records]
    if rows:
        with database.writing() as connection:
            connection.execute(insert(streams), rows)


def mark(database: Database, day: datetime) -> None:
    """Mark a day, as who writes a row of it does."""
    with database.writing() as connection:
        where = rolled_days.c.day == _micros(day) // DAY
        connection.execute(rolled_days.update().where(where).values(dirty=True))


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _row(record: UsageRecord, state: str) -> dict[str, Any]:
    cost, first = record.cost, record.first_chunk_at
    began = _micros(record.started_at)
    return {
        "id": record.id,
        "state": state,
        "begun_at": began,
        "ended_at": _micros(record.ended_at),
        **{name: getattr(record, name) for name in _SAME},
        "tier": record.service_tier,
        "error": None if record.error is None else record.error.type,
        **{name: getattr(record.usage, name) for name in COUNTS},
        "source": record.usage.source,
        "lower_bound": record.usage.lower_bound,
        "cost_nano": None if cost is None else nano(cost.total),
        "currency": None if cost is None else cost.currency,
        "cost_basis": None if cost is None else cost.basis,
        "cost_lower_bound": None if cost is None else cost.lower_bound,
        "first_chunk_us": None if first is None else _micros(first) - began,
        "record": record.model_dump_json(),
    }
