"""What telling costs: nothing for a chunk, and for a stream no more than this."""

from __future__ import annotations

from typing import Any

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import NoOpTracerProvider
from tests._support.calls import calls
from tests._support.chat import body, choice, frame
from tests._support.fakes import FakeAdapter
from tests._support.telemetry import Told, make_record

from usagestream import Client, OpenTelemetrySink, Usage, UsageSource

USUAL = Usage(
    input_tokens=18,
    output_tokens=200,
    total_tokens=218,
    cache_read_tokens=0,
    input_audio_tokens=0,
    reasoning_tokens=0,
    output_audio_tokens=0,
    source=UsageSource.REPORTED,
)
# Calls of Python functions for a record with OpenTelemetry's API alone, and measurements for it.
# Raise a figure only for something that each stream is worth.
CALLS, MEASUREMENTS = 78, 11


def test_a_record_with_the_api_alone() -> None:
    """Without an SDK a record costs some dozen calls; `benchmarks.telemetry` has the time."""
    sink = OpenTelemetrySink(
        meter_provider=NoOpMeterProvider(), tracer_provider=NoOpTracerProvider()
    )
    record = make_record(usage=USUAL)
    sink(record)
    assert calls(lambda: sink(record))["call"] <= CALLS


def test_a_record_with_metrics(told: Told) -> None:
    """With an SDK its measurements are what costs, some 5 to 10 microseconds each."""
    told.sink(spans=False)(make_record(usage=USUAL))
    points = [point for metric in told.metrics().values() for point in metric.data.data_points]
    assert len(points) <= MEASUREMENTS


def test_a_chunk_costs_nothing(told: Told) -> None:
    """Telling of a stream costs the same however long it is."""

    def read(sink: Any, frames: int) -> None:
        reads = [body(frame(choice(content="x")), done=False)] * frames
        adapter = FakeAdapter.of(*reads, body(frame(choice(finish="stop"))))
        with Client(adapter, on_record=sink, token_counter=None) as client:
            client.stream(model="gpt-4o", messages=[]).drain()

    def more(sink: Any) -> int:
        read(sink, 2)  # what is made once is made
        return calls(lambda: read(sink, 300))["call"] - calls(lambda: read(sink, 100))["call"]

    assert more(told.sink()) == more(None)
