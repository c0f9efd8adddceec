"""The page about reports shows what the command prints."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from usagestream import (
    JsonLinesSink,
    Outcome,
    Price,
    Rates,
    Usage,
    UsageRecord,
    UsageSource,
    cost_of,
)
from usagestream_adapters.cli.command import main

PAGE = Path(__file__).parents[2] / "docs" / "report.md"
RATES = {"gpt-4o": ("2.5", "1.25", "10"), "gpt-4o-mini": ("0.15", "0.075", "0.6")}


def record(model: str, number: int) -> UsageRecord:
    """Stream so many of a model."""
    began = datetime(2026, 11, 20, 9, tzinfo=UTC) + timedelta(minutes=number)
    is_cut = number % 25 == 24
    source = UsageSource.ESTIMATED if is_cut else UsageSource.REPORTED
    read, written = 800 + number % 7 * 100, 40 + number % 11 * 10
    cached = None if is_cut else read // 4
    usage = Usage(input_tokens=read, output_tokens=written, cache_read_tokens=cached, source=source)
    cost = None
    if model in RATES:
        rates = dict(
            zip(("input", "cache_read", "output"), map(Decimal, RATES[model]), strict=True)
        )
        cost = cost_of(usage, Price(source="list", model=model, rates=Rates(**rates)))  # type: ignore[arg-type]
    return UsageRecord(
        provider="openai",
        model=model,
        outcome=Outcome.TRUNCATED if is_cut else Outcome.COMPLETED,
        started_at=began,
        first_chunk_at=began + timedelta(milliseconds=250 + number % 20 * 30),
        ended_at=began + timedelta(seconds=3),
        usage=usage,
        cost=cost,
    )


def test_the_table_is_what_the_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last digit."""
    monkeypatch.chdir(tmp_path)
    sink = JsonLinesSink("usage.jsonl")
    for model, count in {"gpt-4o": 120, "gpt-4o-mini": 900, "o3": 4}.items():
        for number in range(count):
            sink(record(model, number))
    sink.close()
    shown = CliRunner().invoke(main, ["report", "usage.jsonl"]).output
    assert f"```console\n$ usagestream report usage.jsonl\n{shown}```" in PAGE.read_text("utf-8")
