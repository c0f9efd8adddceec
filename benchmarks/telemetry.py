"""What telling OpenTelemetry of a record costs: CPU of one call of the sink.

    python -m benchmarks.telemetry [rounds]

The best of many rounds, since other work on the machine can only make it more. Beside it stands
what one measurement costs OpenTelemetry's own SDK, to compare machines by.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import NoOpTracerProvider

from usagestream import OpenTelemetrySink, Outcome, Usage, UsageRecord, UsageSource

CALLS = 1_000
NO_SDK, METRICS = 30, 150
"""Microseconds that are aimed at."""


class Nowhere(SpanExporter):
    """Exports nothing."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def usual_record() -> UsageRecord:
    """Make the record of a stream as both services have it."""
    now = datetime.now(UTC)
    return UsageRecord(
        provider="openai",
        endpoint="api.openai.com",
        model="gpt-4o-mini",
        response_model="gpt-4o-mini-2024-07-18",
        response_id="chatcmpl-1",
        request_ids={"x-request-id": "req_1"},
        service_tier="default",
        outcome=Outcome.COMPLETED,
        finish_reasons={0: "stop"},
        streamed=True,
        started_at=now,
        first_chunk_at=now + timedelta(seconds=0.3),
        ended_at=now + timedelta(seconds=2),
        chunk_count=203,
        usage=Usage(
            input_tokens=18,
            output_tokens=200,
            total_tokens=218,
            cache_read_tokens=0,
            input_audio_tokens=0,
            reasoning_tokens=0,
            output_audio_tokens=0,
            source=UsageSource.REPORTED,
        ),
    )


def microseconds(call: Callable[[], object], rounds: int) -> float:
    """CPU of one call, in the best round."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(CALLS):
            call()
        best = min(best, (time.process_time() - start) / CALLS * 1e6)
    return best


def main(rounds: int) -> None:
    """Print the figures, and whether the aims are reached."""
    record = usual_record()
    meters = MeterProvider([InMemoryMetricReader()])
    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(Nowhere()))
    histogram = meters.get_meter("benchmark").create_histogram("one")
    attributes = {f"attribute.{number}": "value" for number in range(8)}
    no_sdk = OpenTelemetrySink(
        meter_provider=NoOpMeterProvider(), tracer_provider=NoOpTracerProvider()
    )
    metrics = OpenTelemetrySink(meter_provider=meters, spans=False)
    both = OpenTelemetrySink(meter_provider=meters, tracer_provider=tracers)
    for what, call, aim in (
        ("one measurement of OpenTelemetry's", lambda: histogram.record(1, attributes), None),
        ("a record, no SDK", lambda: no_sdk(record), NO_SDK),
        ("a record, with metrics", lambda: metrics(record), METRICS),
        ("a record, with metrics and a span", lambda: both(record), None),
    ):
        cost = microseconds(call, rounds)
        verdict = "" if aim is None else f"  (aim {aim}: {'reached' if cost <= aim else 'missed'})"
        print(f"{what:<36} {cost:6.1f} us{verdict}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
