"""Any records, asked about in any way: a ledger says what a file of the same records says."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests._support.kept import keep, mark

from usagestream import (
    Cost,
    JsonLinesSink,
    Outcome,
    Price,
    Rates,
    RecordedError,
    Usage,
    UsageRecord,
    UsageReport,
    UsageSource,
    cost_of,
)
from usagestream_adapters.ledger import Database, LedgerReader
from usagestream_adapters.ledger._schema import rolled_days, rollups, streams
from usagestream_core.records.report import FIELDS, TIMES

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
ZONES = [UTC, UTC, ZoneInfo("Asia/Kolkata"), ZoneInfo("America/St_Johns")]

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
"""What a database keeps as it is: NUL and halves of a character are replaced."""
TAGS = st.sampled_from(["customer", "team", "a\"b'\\c", "gr\u00f6\u00dfe", "$.x[0]", "%(x)s :x"])
FEW = st.sampled_from(["a", "b", "a'b\"c", ""]) | TEXTS
COUNTS = st.none() | st.integers(0, 2**40)
MOMENTS = st.timedeltas(timedelta(days=-6), timedelta(hours=5)).map(TODAY.__add__)
"""Of days that are rolled up, and of some that are not yet."""


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """With any of the counts that reports have."""
    source = draw(st.sampled_from(UsageSource))
    if source is UsageSource.UNKNOWN:
        return Usage(source=source)
    names = ("input_tokens", "output_tokens", "total_tokens", "cache_read_tokens")
    more = ("cache_write_tokens", "reasoning_tokens")
    counts = {name: draw(COUNTS) for name in (*names, *more)}
    return Usage.model_validate({"source": source, "lower_bound": draw(st.booleans()), **counts})


def costs(usage: Usage) -> st.SearchStrategy[Cost | None]:
    """None, or one at some rate."""
    rates = st.decimals(0, 100, places=4).map(lambda rate: Rates(input=rate, output=rate * 4))
    currencies = st.sampled_from(["USD", "EUR"])
    prices = st.builds(Price, source=FEW, model=FEW, currency=currencies, rates=rates)
    return st.none() | prices.map(lambda price: cost_of(usage, price))


@st.composite
def records(draw: st.DrawFn) -> UsageRecord:
    """Of the last days, ended in any way."""
    usage, began = draw(usages()), draw(MOMENTS)
    first = draw(st.none() | st.timedeltas(timedelta(0), timedelta(hours=1)))
    errors = st.sampled_from(["ContentFilterError", "RateLimitError"])
    error = draw(st.none() | errors.map(lambda name: RecordedError(type=name)))
    return UsageRecord(
        provider=draw(FEW),
        profile=draw(st.none() | FEW),
        endpoint=draw(st.none() | FEW),
        region=draw(st.none() | FEW),
        service_tier=draw(st.none() | FEW),
        model=draw(FEW),
        response_model=draw(st.none() | FEW),
        deployment=draw(st.none() | FEW),
        outcome=draw(st.sampled_from(Outcome)),
        error=error,
        started_at=began,
        first_chunk_at=None if first is None else began + first,
        ended_at=began + timedelta(hours=2),
        usage=usage,
        cost=draw(costs(usage)),
        tags=draw(st.dictionaries(TAGS, FEW, max_size=3)),
    )


@st.composite
def asked(draw: st.DrawFn) -> dict[str, Any]:
    """What a report can be asked: by any names, of any span, of any values, in any time zone."""
    tags = TAGS.map("tag:{}".format)
    fields = st.sampled_from(FIELDS) | tags
    values = {"outcome": st.sampled_from(Outcome), "source": st.sampled_from(UsageSource)}
    where = {
        name: draw(st.sets(values.get(name, FEW), min_size=1, max_size=3))
        for name in draw(st.lists(fields, max_size=2, unique=True))
    }
    days = MOMENTS.map(lambda each: each.replace(hour=0, minute=0, second=0, microsecond=0))
    since, until = draw(st.none() | MOMENTS | days), draw(st.none() | MOMENTS | days)
    names = st.lists(fields | st.sampled_from(TIMES), max_size=3, unique=True)
    zone = draw(st.sampled_from(ZONES))
    return {"by": draw(names), "since": since, "until": until, "where": where, "timezone": zone}


def of_file(kept: Sequence[UsageRecord], question: dict[str, Any]) -> list[dict[str, Any]]:
    """The report of a file of these records."""
    report = UsageReport(**question)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "usage.jsonl"
        path.write_text("".join(f"{each.model_dump_json()}\n" for each in kept), "utf-8")
        for record in JsonLinesSink.read(path):
            report.add(record)
    return report.rows()


def of_ledger(reader: LedgerReader, question: dict[str, Any]) -> list[dict[str, Any]]:
    """The report of the ledger."""
    report = UsageReport(**question)
    reader.fill([report])
    return report.rows()


@given(
    kept=st.lists(records(), max_size=8),
    late=st.lists(records(), max_size=3),
    questions=st.lists(asked(), min_size=1, max_size=3),
)
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_ledger_says_what_a_file_says(
    database: Database,
    url: str,
    kept: list[UsageRecord],
    late: list[UsageRecord],
    questions: list[dict[str, Any]],
) -> None:
    """Of roll-ups, of streams, and of both; and again when more streams have come."""
    with database.writing() as connection:  # one database for all examples, emptied for each
        for table in (streams, rollups, rolled_days):
            connection.execute(table.delete())
    reader = LedgerReader(url)
    try:
        keep(database, kept)
        for question in questions:
            assert of_ledger(reader, question) == of_file(kept, question)
        keep(database, late)
        for record in late:
            mark(database, record.started_at)
        for question in questions:
            assert of_ledger(reader, question) == of_file([*kept, *late], question)
    finally:
        reader.close()
