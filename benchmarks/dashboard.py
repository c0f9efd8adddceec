"""The picture of the dashboard: streams against the emulator, a scrape, and the panels drawn.

    python -m benchmarks.dashboard

Each panel is one query of `docs/dashboard/grafana.json` over the whole run, as bars.
"""

from __future__ import annotations

import random
import warnings
from collections import defaultdict
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from usagestream import (
    AzureProfile,
    Client,
    Emulator,
    OpenAIProfile,
    OpenTelemetrySink,
    Scenario,
    UsageStreamError,
    scenarios,
)

PICTURE = Path("docs/dashboard/dashboard.svg")
COLOURS = {
    "completed": "#0a7d5a",
    "closed": "#6e7781",
    "cancelled": "#6e7781",
    "truncated": "#bc4c00",
    "failed": "#cf222e",
    "rejected": "#a40e26",
    "abandoned": "#9a6700",
}
BLUE = "#0969da"
WIDTH, PANEL, ROW, LEFT = 920, 450, 22, 210

Samples = list[tuple[str, dict[str, str], float]]


def main(streams: int = 80) -> None:
    """Make the streams and write the picture."""
    PICTURE.write_text(draw(scrape(streams)), "utf-8")
    print(PICTURE)


def scrape(streams: int) -> str:
    """Open streams that end in every way, and give what Prometheus would get."""
    meters = MeterProvider([PrometheusMetricReader()], shutdown_on_exit=False)
    try:
        with Emulator() as server:
            _run(server, OpenTelemetrySink(meter_provider=meters, spans=False), streams)
        return generate_latest().decode()
    finally:
        meters.shutdown()


def _run(server: Emulator, sink: OpenTelemetrySink, streams: int) -> None:
    key = SecretStr("none")
    common: dict[str, Any] = {"api_key": key, "max_retries": 0}
    azure = AzureProfile(endpoint=server.azure_endpoint, api_version="2024-10-21", **common)
    clients = [
        Client(OpenAIProfile(base_url=server.openai_base_url, **common), on_record=sink),
        Client(azure, on_record=sink),
    ]
    chance = random.Random(7)
    for number in range(streams):
        model = chance.choice(["gpt-4o", "gpt-4o-mini", "gpt-4o-mini"])
        way = chance.choices(["read", "leave", "drop"], [16, 3, 1])[0]
        text = " word" * chance.randint(5, 40)
        plain = Scenario(text=text, delay=chance.uniform(0.0005, 0.004))
        awkward = (scenarios.broken_off, scenarios.error_mid_stream, scenarios.rate_limited)
        server.script(chance.choices([plain, *awkward], [17, 1, 1, 1])[0])
        with suppress(UsageStreamError), warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            stream = clients[number % 2].stream(
                model=model, messages=[{"role": "user", "content": "Say something. " * 5}]
            )
            if way == "read":
                stream.drain()
            else:
                next(stream)
            if way == "leave":
                stream.close()
            del stream
    for client in clients:
        client.close()


def draw(text: str) -> str:
    """Draw the panels of what was scraped."""
    samples: Samples = [
        (sample.name, dict(sample.labels), sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]
    costs = _sums(samples, "usagestream_client_cost_total", "gen_ai_request_model")
    tokens = _sums(
        samples, "usagestream_client_tokens_total", "gen_ai_token_type", "usagestream_usage_source"
    )
    ended = _sums(samples, "usagestream_client_streams_total", "usagestream_outcome")
    errors = _sums(samples, "usagestream_client_streams_total", "error_type")
    errors.pop("", None)
    panels = [
        ("Cost, by model", costs, "{:.4f}"),
        ("Streams, by how they ended", ended, "{:.0f}"),
        ("Tokens, by type and source", tokens, "{:,.0f}"),
        ("Seconds to the first chunk, 95th percentile", _p95(samples), "{:.3f}"),
        ("Errors, by kind", errors, "{:.0f}"),
    ]
    panels = [panel for panel in panels if panel[1]][:4]
    rows = max(len(bars) for _, bars, _ in panels)
    height = 60 + ROW * rows
    lines = (len(panels) + 1) // 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height * lines + 10}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        "<title>Model calls: tokens, cost, outcomes</title>",
        f'<rect width="{WIDTH}" height="{height * lines + 10}" fill="#f6f8fa"/>',
    ]
    for number, (title, bars, form) in enumerate(panels):
        x, y = 10 + (number % 2) * (PANEL + 5), 10 + (number // 2) * height
        parts += _panel(x, y, height - 10, title, bars, form)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(x: int, y: int, height: int, title: str, bars: dict[str, float], form: str) -> list[str]:
    parts = [
        f'<rect x="{x}" y="{y}" width="{PANEL - 5}" height="{height}" rx="4" fill="#ffffff" '
        'stroke="#d0d7de"/>',
        f'<text x="{x + 12}" y="{y + 22}" font-weight="600" fill="#1f2328">{escape(title)}</text>',
    ]
    longest = max(bars.values()) or 1.0
    for row, (name, value) in enumerate(sorted(bars.items(), key=lambda bar: -bar[1])):
        top = y + 36 + ROW * row
        width = max(1.0, (PANEL - LEFT - 80) * value / longest)
        colour = COLOURS.get(name, BLUE)
        parts += [
            f'<text x="{x + LEFT - 8}" y="{top + 13}" text-anchor="end" fill="#1f2328">'
            f"{escape(name)}</text>",
            f'<rect x="{x + LEFT}" y="{top}" width="{width:.1f}" height="16" fill="{colour}"/>',
            f'<text x="{x + LEFT + width + 6:.1f}" y="{top + 13}" fill="#1f2328">'
            f"{form.format(value)}</text>",
        ]
    return parts


def _sums(samples: Samples, name: str, *labels: str) -> dict[str, float]:
    """Add up a metric by these labels."""
    found: dict[str, float] = defaultdict(float)
    for sample, said, value in samples:
        if sample == name:
            found[", ".join(said.get(label, "") for label in labels)] += value
    return dict(found)


def _p95(samples: Samples) -> dict[str, float]:
    """The 95th percentile by model, as Prometheus works it out of buckets."""
    name = "gen_ai_client_operation_time_to_first_chunk_seconds_bucket"
    counts: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for sample, said, value in samples:
        if sample == name:
            counts[said["gen_ai_request_model"]][float(said["le"])] += value
    return {model: _quantile(0.95, sorted(buckets.items())) for model, buckets in counts.items()}


def _quantile(part: float, buckets: list[tuple[float, float]]) -> float:
    rank = part * buckets[-1][1]
    below, passed = 0.0, 0.0
    for bound, count in buckets:
        if count >= rank:
            if bound == float("inf"):
                return below
            return below + (bound - below) * (rank - passed) / ((count - passed) or 1.0)
        below, passed = bound, count
    return below


if __name__ == "__main__":
    main()
