"""The instruments, and what one record adds to them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from usagestream_core.usage import UsageSource

from . import _names
from ._describe import FAILURES, by_modality, error_type, money

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.metrics import Histogram
    from opentelemetry.metrics import Meter as OtelMeter

    from usagestream_core.record import UsageRecord

    from ._describe import Attributes

__all__ = ["Metrics"]

_BOTH: Final = {"input_tokens": "input", "output_tokens": "output"}
"""The counts that every answer has, and what the conventions call their type."""


class Metrics:
    """What is counted and measured of streams.

    `gen_ai.*` holds what providers reported, and nothing else: estimates and money go by names of
    our own. Beside the counters there is the histogram of tokens that they replace, or, with
    `latest`, those that replace it.
    """

    def __init__(self, meter: OtelMeter, *, latest: bool) -> None:
        def histogram(
            unit: str, buckets: Sequence[float], name: str, description: str
        ) -> Histogram:
            return meter.create_histogram(
                name,
                unit=unit,
                description=description,
                explicit_bucket_boundaries_advisory=buckets,
            )

        tokens = partial(histogram, "{token}", _names.TOKEN_BUCKETS)
        seconds = partial(histogram, "s", _names.SECOND_BUCKETS)
        self._duration = seconds(_names.DURATION, "How long a call took, to its last byte")
        self._first_chunk = seconds(_names.FIRST_CHUNK, "How long the first chunk took")
        self._usage: Histogram | None = None
        self._by_call: dict[str, Histogram] = {}
        if latest:
            self._by_call = {
                "input_tokens": tokens(_names.CALL_INPUT, "Input tokens of a call"),
                "output_tokens": tokens(_names.CALL_OUTPUT, "Output tokens of a call"),
            }
        else:
            self._usage = tokens(_names.TOKEN_USAGE, "Tokens that a call is reported to use")
        self._counters = {
            field: meter.create_counter(name, unit="{token}", description=f"Reported {field}")
            for field, name in _names.USAGE_COUNTERS.items()
        }
        self._streams = meter.create_counter(
            _names.STREAMS, unit="{stream}", description="Streams and calls, by how they ended"
        )
        self._tokens = meter.create_counter(
            _names.TOKENS, unit="{token}", description="Tokens, by where the count comes from"
        )
        self._reopenings = meter.create_counter(
            _names.REOPENINGS,
            unit="{reopening}",
            description="Requests sent anew without what was refused",
        )
        self._cost = meter.create_counter(
            _names.COST, unit="{currency}", description="What streams cost, in their currency"
        )

    def own(self, record: UsageRecord, call: Attributes) -> None:
        """Add what nobody else counts."""
        usage = record.usage
        source = {**call, "usagestream.usage.source": usage.source.value}
        ended: Attributes = {**source, "usagestream.outcome": record.outcome.value}
        error = error_type(record)
        if error is not None:
            ended["error.type"] = error
        cost = money(record)
        ended["usagestream.priced"] = cost is not None
        self._streams.add(1, ended)
        for field, kind in _BOTH.items():
            count = getattr(usage, field)
            if count is not None and count >= 0:
                self._tokens.add(count, {**source, "gen_ai.token.type": kind})
        if record.reopenings:
            self._reopenings.add(record.reopenings, call)
        if cost is not None:
            about = {
                "usagestream.cost.currency": cost.currency,
                "usagestream.cost.basis": cost.basis,
            }
            self._cost.add(cost.total, {**call, **about})

    def times(self, record: UsageRecord, call: Attributes) -> None:
        """Measure how long the call took, and its first chunk."""
        ended: Attributes = {**call, "usagestream.outcome": record.outcome.value}
        error = error_type(record)
        if error is not None:
            ended["error.type"] = error
        self._duration.record(record.duration, ended)
        if record.streamed and record.time_to_first_chunk is not None:
            self._first_chunk.record(record.time_to_first_chunk, call)

    def tokens(self, record: UsageRecord, call: Attributes) -> None:
        """Count the tokens that the provider reported; none, of modality unknown, where it did not.

        A count that is below zero is no count, and is left out.
        """
        usage = record.usage
        is_reported = usage.source is UsageSource.REPORTED
        for field, counter in self._counters.items():
            count = getattr(usage, field) if is_reported else None
            if count is None or count < 0:
                if field in _BOTH:
                    counter.add(0, {**call, "gen_ai.token.modality": "unknown"})
                continue
            for modality, part in by_modality(usage, field):
                counter.add(part, {**call, "gen_ai.token.modality": modality})
            if field in _BOTH:
                self._distribute(record, call, field, count)

    def _distribute(self, record: UsageRecord, call: Attributes, field: str, count: int) -> None:
        if self._usage is not None:
            self._usage.record(count, {**call, "gen_ai.token.type": _BOTH[field]})
        elif record.outcome not in FAILURES:
            self._by_call[field].record(count, call)
