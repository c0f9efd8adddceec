"""Records as lines of a log, with fields that a JSON formatter prints."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from ._describe import error_type, money

if TYPE_CHECKING:
    from collections.abc import Iterator

    from usagestream_core.record import UsageRecord

__all__ = ["LogSink"]

_FIELDS: Final = (
    "id",
    "api",
    "provider",
    "profile",
    "endpoint",
    "model",
    "deployment",
    "response_model",
    "response_id",
    "request_ids",
    "service_tier",
    "outcome",
    "reason",
    "reopenings",
    "duration",
    "time_to_first_chunk",
    "chunk_count",
    "tags",
)
_COUNTS: Final = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)


class LogSink:
    """Writes a line for each record through `logging`: `on_record=LogSink()`, or by configuration.

    The line is for people; its `extra` fields are for machines, each named `usagestream_` and then
    as on the record: `usagestream_outcome`, `usagestream_input_tokens`, `usagestream_duration` in
    seconds. What is not known is left out. `usagestream_error` is the kind of error; neither its
    text nor anything that was asked or answered is written. Tags are, as `usagestream_tags`.

    `logger` is a logger or the name of one. Streams that ended well, or as the caller wished, are
    logged at `level`, a number or a name of `logging`'s; those that failed at `WARNING`, if that is
    higher.

    Raises `ValueError` for a level that is none.
    """

    def __init__(
        self, logger: logging.Logger | str = "usagestream.records", *, level: int | str = "INFO"
    ) -> None:
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger
        self._level = logging.getLevelNamesMapping().get(level) if isinstance(level, str) else level
        if self._level is None:
            raise ValueError(f"{level!r} is no level of logging's")

    def __call__(self, record: UsageRecord) -> None:
        """Write one line."""
        level = self._level
        assert level is not None, "a level that was refused"
        if error_type(record) is not None:
            level = max(level, logging.WARNING)
        if self._logger.isEnabledFor(level):
            said = dict(_fields(record))
            self._logger.log(level, "%s", _line(record), extra=said)


def _fields(record: UsageRecord) -> Iterator[tuple[str, Any]]:
    found = {name: getattr(record, name) for name in _FIELDS}
    found |= {name: getattr(record.usage, name) for name in _COUNTS}
    found["usage_source"] = record.usage.source.value
    found["outcome"] = record.outcome.value
    found["started_at"] = record.started_at.isoformat()
    found["error"] = error_type(record)
    cost = money(record)
    if cost is not None:
        found |= {"cost": cost.total, "cost_currency": cost.currency, "cost_basis": cost.basis}
    for name, value in found.items():
        if value is not None and value != {}:
            yield f"usagestream_{name}", value


def _line(record: UsageRecord) -> str:
    counts = " in, ".join(
        "?" if count is None else str(count)
        for count in (record.usage.input_tokens, record.usage.output_tokens)
    )
    error = error_type(record)
    return (
        f"{record.provider} {record.model}: {record.outcome.value}"
        f"{'' if error is None else f' ({error})'}, {counts} out ({record.usage.source.value}), "
        f"{record.duration:.2f} s"
    )
