"""From what the core says of a stream to its row."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any, Final

from usagestream_core.record import Outcome, UsageRecord
from usagestream_core.records.latency import bucket_of
from usagestream_core.records.ledger import Begun

from ._schema import COUNTS, DAY, ENDED, LOST, OPEN

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["begun_row", "day_of", "ended_row", "killed", "micros", "moment"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_NANO: Final = Decimal(10) ** 9
_LARGEST: Final = 2**63 - 1
_UNKEPT: Final = re.compile("[\x00\ud800-\udfff]")
"""What PostgreSQL takes in no text: NUL, and halves of a character."""


def micros(time: datetime) -> int:
    """Microseconds since 1970."""
    return (time - _EPOCH) // _MICROSECOND


def moment(time: int) -> datetime:
    """The time that is so many microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=time)


def day_of(row: Mapping[str, Any]) -> int:
    """The day that a stream began, in UTC, counted from 1970-01-01."""
    return int(row["begun_at"]) // DAY


def begun_row(begun: Begun, process: str | None) -> dict[str, Any]:
    """The row of a stream whose request is about to be sent."""
    return {
        "id": _text(begun.id),
        "state": OPEN,
        "process": process,
        "begun_at": micros(begun.started_at),
        **_texts(begun, "api", "provider", "profile", "endpoint", "model", "deployment"),
        "tier_asked": _text(begun.service_tier_asked),
        "tags": _tags(begun.tags),
        "record": _json(begun),
    }


def ended_row(
    record: UsageRecord, process: str | None = None, state: str = ENDED
) -> dict[str, Any]:
    """The row of a stream that has ended. What its error says in words is left out.

    A provider may quote there what it was asked.
    """
    error, usage, cost = record.error, record.usage, record.cost
    if error is not None and error.message is not None:
        update = {"error": error.model_copy(update={"message": None})}
        record = record.model_copy(update=update)
    first = record.first_chunk_at
    begun_at = micros(record.started_at)
    first_us = None if first is None else micros(first) - begun_at
    return {
        "id": _text(record.id),
        "state": state,
        "process": process,
        "begun_at": begun_at,
        "ended_at": micros(record.ended_at),
        **_texts(record, "api", "provider", "profile", "endpoint", "region", "model", "deployment"),
        **_texts(record, "response_model", "outcome", "reason"),
        "tier_asked": _text(record.service_tier_asked),
        "tier": _text(record.service_tier),
        "error": None if error is None else _text(error.type),
        **{name: _whole(getattr(usage, name)) for name in COUNTS},
        "source": usage.source.value,
        "lower_bound": usage.lower_bound,
        "cost_nano": None if cost is None else _nano(cost.total),
        "currency": None if cost is None else _text(cost.currency),
        "cost_basis": None if cost is None else cost.basis.value,
        "cost_lower_bound": None if cost is None else cost.lower_bound,
        "price_source": None if cost is None else _text(cost.price.source),
        "first_chunk_us": first_us,
        "first_chunk_bucket": None if first_us is None else bucket_of(first_us),
        "chunks": _whole(record.chunk_count),
        "tags": _tags(record.tags),
        "record": _json(record),
    }


def killed(row: Mapping[str, Any], last_seen: int | None) -> dict[str, Any]:
    """The row of a stream whose process is gone; it was last seen then, if at all."""
    begun = Begun.model_validate_json(row["record"])
    record = UsageRecord(
        **begun.model_dump(),
        outcome=Outcome.ABANDONED,
        reason="killed",
        ended_at=moment(max(micros(begun.started_at), last_seen or 0)),
        usage={},  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - validated
    )
    return ended_row(record, row["process"], LOST)


def _text(value: str | None) -> str | None:
    return None if value is None else _UNKEPT.sub("\ufffd", value)


def _texts(source: object, *names: str) -> dict[str, str | None]:
    return {name: _text(getattr(source, name)) for name in names}


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {_UNKEPT.sub("\ufffd", k): _UNKEPT.sub("\ufffd", v) for k, v in tags.items()}


def _json(kept: Begun | UsageRecord) -> str:
    try:
        return kept.model_dump_json()
    except ValueError:  # halves of a character, which JSON is not written with
        kind = type(kept)
        return kind.model_validate(_whole_text(kept.model_dump())).model_dump_json()


def _whole_text(value: Any) -> Any:
    if isinstance(value, str):
        return _UNKEPT.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_whole_text(k): _whole_text(v) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [_whole_text(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def _whole(count: int | None) -> int | None:
    """A count that the column takes; of one that it does not, the record has it."""
    return count if count is not None and -_LARGEST <= count <= _LARGEST else None


def _nano(amount: Decimal) -> int | None:
    scaled = (amount * _NANO).to_integral_value(ROUND_HALF_EVEN)
    return _whole(int(scaled)) if scaled.is_finite() else None
