"""The page about dashboards, its picture and its dashboard show what is told, by its names."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from benchmarks.dashboard import draw
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import create_model
from tests._support.telemetry import Told, make_record

from usagestream import OpenTelemetrySink, Outcome, Usage, UsageRecord, UsageSource
from usagestream_core.record import RecordedError

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "dashboard.md").read_text("utf-8")
GRAFANA = (DOCS / "dashboard" / "grafana.json").read_text("utf-8")
OF_THE_QUERY = {"le", "by", "sum", "rate", "histogram_quantile"}


def records() -> list[UsageRecord]:
    """Records that have all that is told."""
    cost = SimpleNamespace(total=0.5, currency="USD", basis="reported")
    priced: Any = create_model("Priced", __base__=UsageRecord, cost=(Any, None))
    usage = Usage(
        input_tokens=9,
        output_tokens=5,
        cache_read_tokens=4,
        cache_write_tokens=2,
        reasoning_tokens=3,
        source=UsageSource.REPORTED,
    )
    whole = make_record(usage=usage, reopenings=1)
    error = RecordedError(type="StreamTruncatedError")
    return [
        priced(**{**dict(whole), "cost": cost}),
        make_record(outcome=Outcome.TRUNCATED, error=error),
    ]


@pytest.fixture(scope="module")
def scrape() -> str:
    """What Prometheus gets of them."""
    meters = MeterProvider([PrometheusMetricReader()], shutdown_on_exit=False)
    sink = OpenTelemetrySink(meter_provider=meters, spans=False)
    for record in records():
        sink(record)
    text = generate_latest().decode()
    meters.shutdown()
    return text


def test_the_page_names_every_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of metrics is of those that are told, with either set of names."""
    told = Told()
    for opt_in in ("", "gen_ai_latest_experimental"):
        monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", opt_in)
        sink = told.sink()
        for record in records():
            sink(record)
    assert set(re.findall(r"^\| `([\w.]+\.client\.[\w.]+)` \|", PAGE, re.MULTILINE)) == set(
        told.metrics()
    )


def test_the_page_names_every_attribute_of_our_own() -> None:
    """What a span says under our names is on the page."""
    told = Told()
    sink = told.sink()
    for record in records():
        sink(record)
    own = {
        name
        for span in told.spans
        for name in span.attributes or {}
        if name.startswith("usagestream.") and not name.startswith("usagestream.cost")
    }
    assert {name for name in own if f"`{name}`" not in PAGE} == set()


def test_every_query_of_the_dashboard_finds_something(scrape: str) -> None:
    """Each panel asks for metrics and labels that a scrape has."""
    has: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(scrape):
        for sample in family.samples:
            has.setdefault(sample.name, set()).update(sample.labels)
    panels = json.loads(GRAFANA)["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    assert len(queries) >= 8
    for query in queries:
        for metric, selected in re.findall(r"(\w+)\{([^}]*)\}", query):
            assert metric in has, query
            grouped = re.findall(r"by \(([^)]*)\)", query)
            labels = {name.strip() for group in grouped for name in group.split(",")}
            labels |= set(re.findall(r"(\w+)(?:=~|!=|=)", selected))
            assert labels <= has[metric], query


def test_the_panels_that_were_asked_for() -> None:
    """Cost by model, tokens, outcomes and the 95th percentile to the first chunk are there."""
    for metric in (
        "usagestream_client_cost_total",
        "usagestream_client_tokens_total",
        "usagestream_client_streams_total",
        "gen_ai_client_operation_time_to_first_chunk_seconds_bucket",
    ):
        assert metric in GRAFANA


def test_the_picture_is_one(scrape: str) -> None:
    """The page shows a picture that is there, and that the command draws of a scrape."""
    assert "](dashboard/dashboard.svg)" in PAGE
    for text in (draw(scrape), (DOCS / "dashboard" / "dashboard.svg").read_text("utf-8")):
        words = [element.text or "" for element in ET.fromstring(text).iter()]
        assert "Streams, by how they ended" in words
        assert "truncated" in words
