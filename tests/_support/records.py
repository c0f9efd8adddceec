"""Records and beginnings, made quickly."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from usagestream import Begun, Cost, Price, Rates, Usage, UsageRecord, UsageSource

__all__ = ["begun", "price_of", "record_by", "record_of"]


def begun(**fields: Any) -> Begun:
    """A stream that begins now."""
    made: dict[str, Any] = {"id": uuid.uuid4().hex, "provider": "openai", "model": "m"}
    return Begun.model_validate({**made, "started_at": datetime.now(UTC), **fields})


def record_of(beginning: Begun | None = None, **fields: Any) -> UsageRecord:
    """The record of this stream, or of one that nobody began."""
    beginning = beginning or begun()
    counts: dict[str, Any] = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    made: dict[str, Any] = {
        "outcome": "completed",
        "first_chunk_at": beginning.started_at + timedelta(seconds=0.25),
        "ended_at": beginning.started_at + timedelta(seconds=1),
        "chunk_count": 4,
        "usage": Usage(**counts, source=UsageSource.REPORTED),
    }
    return UsageRecord(**{**beginning.model_dump(), **made, **fields})


def record_by(model: str = "gpt-4o", **fields: Any) -> UsageRecord:
    """A record that says little more than its model, of a moment ago."""
    now = datetime.now(UTC)
    made: dict[str, Any] = {"outcome": "completed", "started_at": now, "ended_at": now, **fields}
    return UsageRecord(provider="fake", model=model, usage=Usage(), **made)


def price_of(total: str, **fields: Any) -> Cost:
    """A cost of so much."""
    price = Price(source="file:prices.toml#1", model="m", rates=Rates(input=Decimal(1)))
    return Cost(total=Decimal(total), price=price, basis=UsageSource.REPORTED, **fields)
