"""Records to report of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from usagestream import Outcome, Price, Rates, Usage, UsageRecord, UsageSource, cost_of

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
Recorder = Callable[..., UsageRecord]
Filer = Callable[..., Path]


def make(
    model: str = "gpt-4o",
    *,
    read: int | None = 1000,
    written: int | None = 100,
    source: UsageSource = UsageSource.REPORTED,
    rate: str | None = "1",
    currency: str = "USD",
    first: float | None = 0.5,
    at: datetime = NOON,
    counts: dict[str, Any] | None = None,
    **more: Any,
) -> UsageRecord:
    """A record; `rate` is for a million tokens read, and a tenth of that for one written."""
    known: dict[str, Any] = {"input_tokens": read, "output_tokens": written, **(counts or {})}
    usage = Usage.model_validate({"source": source, **known})
    cost = None
    if rate is not None and read is not None:
        rates = Rates(input=Decimal(rate), output=Decimal(rate) / 10)
        price = Price(source="list", model=model, currency=currency, rates=rates)
        cost = cost_of(usage, price)
    facts: dict[str, Any] = {
        "provider": "openai",
        "outcome": Outcome.COMPLETED,
        "started_at": at,
        "first_chunk_at": None if first is None else at + timedelta(seconds=first),
        "ended_at": at + timedelta(seconds=2),
        "cost": cost,
        **more,
    }
    return UsageRecord(model=model, usage=usage, **facts)


@pytest.fixture
def record() -> Recorder:
    """Makes a record."""
    return make


@pytest.fixture
def filed(tmp_path: Path) -> Filer:
    """Writes records to a file of JSON lines."""

    def write(records: Iterable[UsageRecord], name: str = "usage.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(f"{each.model_dump_json()}\n" for each in records), "utf-8")
        return path

    return write
