"""What leaves the process: over OTLP to a receiver, and by a scrape of Prometheus."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from prometheus_client import start_http_server
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from tests._support.telemetry import make_record

from usagestream import Client, Emulator, OpenAIProfile, OpenTelemetrySink, Outcome, UsageRecord
from usagestream_adapters.telemetry import _names


class Receiver(ThreadingHTTPServer):
    """Takes OTLP over HTTP, as a collector does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: dict[str, list[bytes]] = {"/v1/traces": [], "/v1/metrics": []}

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Keeps what is posted."""

    server: Any

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        self.server.bodies[self.path].append(self.rfile.read(length))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - so called by the server
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on the loopback."""
    with Receiver() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_receiver_gets_what_was_told(receiver: Receiver, server: Emulator) -> None:
    """Spans and metrics arrive over OTLP/HTTP with their names, values and schema."""
    tracers = TracerProvider()
    spans = OTLPSpanExporter(f"{receiver.url}/v1/traces")
    tracers.add_span_processor(BatchSpanProcessor(spans))
    metrics = OTLPMetricExporter(f"{receiver.url}/v1/metrics")
    meters = MeterProvider([PeriodicExportingMetricReader(metrics)])
    sink = OpenTelemetrySink(tracer_provider=tracers, meter_provider=meters)
    records: list[UsageRecord] = []

    def both(record: UsageRecord) -> None:
        records.append(record)
        sink(record)

    profile = OpenAIProfile(api_key=SecretStr("k"), base_url=server.openai_base_url)
    with Client(profile, on_record=both) as client:
        client.stream(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}]).drain()
    tracers.shutdown()
    meters.shutdown()

    (body,) = receiver.bodies["/v1/traces"]
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    (scope,) = resource.scope_spans
    (span,) = scope.spans
    assert (span.name, scope.schema_url) == ("chat gpt-4o", _names.SCHEMA_URL)
    said = {each.key: each.value for each in span.attributes}
    assert said["gen_ai.usage.input_tokens"].int_value == records[0].usage.input_tokens

    data = ExportMetricsServiceRequest.FromString(receiver.bodies["/v1/metrics"][-1])
    found = {
        metric.name: metric
        for each in data.resource_metrics
        for scope in each.scope_metrics
        for metric in scope.metrics
    }
    assert found[_names.TOKEN_USAGE].unit == "{token}"
    points = found[_names.TOKEN_USAGE].histogram.data_points
    assert sum(point.sum for point in points) == records[0].usage.total_tokens
    (streams,) = found[_names.STREAMS].sum.data_points
    assert streams.as_int == 1


def test_a_scrape_of_prometheus() -> None:
    """Without a collector: the names, values and labels that a scrape gets."""
    meters = MeterProvider([PrometheusMetricReader()], shutdown_on_exit=False)
    sink = OpenTelemetrySink(meter_provider=meters, spans=False, tags=["team"])
    httpd, thread = start_http_server(0, "127.0.0.1")
    try:
        sink(make_record(tags={"team": "search", "user": "nobody-4711"}))
        sink(make_record(outcome=Outcome.ABANDONED, tags={"team": "search"}))
        address = f"http://127.0.0.1:{httpd.server_port}/metrics"
        with urllib.request.urlopen(address, timeout=120) as answer:
            text = answer.read().decode()
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()
        meters.shutdown()

    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    def total(name: str, **having: str) -> float:
        return sum(
            value
            for (found, labels), value in samples.items()
            if found == name and set(having.items()) <= set(labels)
        )

    assert total("gen_ai_client_token_usage_sum", gen_ai_token_type="input") == 36
    assert total("gen_ai_client_inference_usage_output_tokens_total") == 4
    assert total("gen_ai_client_operation_duration_seconds_count") == 2
    assert total("gen_ai_client_operation_time_to_first_chunk_seconds_bucket", le="0.64") == 2
    assert total("usagestream_client_streams_total", usagestream_outcome="abandoned") == 1
    assert total("usagestream_client_tokens_total", usagestream_tag_team="search") == 40
    assert "nobody-4711" not in text


class Stuck(SpanExporter):
    """An exporter whose collector does not answer."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.let_go.wait(60)
        return SpanExportResult.FAILURE


def test_a_collector_that_does_not_answer_holds_up_nothing() -> None:
    """With the batching processor, as the docs say, a stream ends as if nobody were told."""
    stuck = Stuck()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(
        BatchSpanProcessor(
            stuck, max_queue_size=2, schedule_delay_millis=1, max_export_batch_size=1
        )
    )
    sink = OpenTelemetrySink(tracer_provider=tracers, metrics=False)
    for _ in range(10):
        sink(make_record())
    assert not stuck.let_go.is_set()
    stuck.let_go.set()
    tracers.shutdown()
