"""OpenTelemetry's SDK in memory, and what it was told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from usagestream import OpenTelemetrySink, Outcome, Usage, UsageRecord, UsageSource

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


class Told:
    """What a program's OpenTelemetry was told."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.exporter = InMemorySpanExporter()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))

    def sink(self, **options: Any) -> OpenTelemetrySink:
        """A sink that tells it."""
        return OpenTelemetrySink(
            meter_provider=self.meters, tracer_provider=self.tracers, **options
        )

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended and are ours."""
        return [
            span
            for span in self.exporter.get_finished_spans()
            if span.instrumentation_scope and span.instrumentation_scope.name == "usagestream"
        ]

    @property
    def span(self) -> ReadableSpan:
        """The one span."""
        (span,) = self.spans
        return span

    def metrics(self) -> dict[str, Any]:
        """All metrics by name."""
        data = self.reader.get_metrics_data()
        return {
            metric.name: metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str, **having: Any) -> list[tuple[dict[str, Any], float]]:
        """What a metric holds for each set of attributes with these; of a histogram, the sum."""
        metric = self.metrics().get(name)
        found = [] if metric is None else list(metric.data.data_points)
        wanted = {key.replace("__", "."): value for key, value in having.items()}
        return [
            (dict(point.attributes), point.value if hasattr(point, "value") else point.sum)
            for point in found
            if wanted.items() <= dict(point.attributes).items()
        ]

    def total(self, name: str, **having: Any) -> float:
        """The sum of what a metric holds."""
        return sum(value for _, value in self.points(name, **having))

    def everything(self) -> str:
        """All that was told, as text."""
        data = self.reader.get_metrics_data()
        spans = "".join(span.to_json() for span in self.exporter.get_finished_spans())
        return spans + ("" if data is None else data.to_json())


def make_record(**fields: Any) -> UsageRecord:
    """A record of a stream that went well, but for these fields."""
    usual: Mapping[str, Any] = {
        "provider": "openai",
        "endpoint": "api.openai.com",
        "model": "gpt-4o-mini",
        "outcome": Outcome.COMPLETED,
        "streamed": True,
        "started_at": NOW,
        "first_chunk_at": NOW + timedelta(seconds=0.5),
        "ended_at": NOW + timedelta(seconds=2),
        "usage": Usage(
            input_tokens=18, output_tokens=2, total_tokens=20, source=UsageSource.REPORTED
        ),
    }
    return UsageRecord(**{**usual, **fields})
