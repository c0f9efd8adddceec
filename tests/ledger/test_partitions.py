"""The ledger on a table that was partitioned as the docs say: nothing else changes."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection
from tests._support.databases import postgres_url
from tests._support.kept import keep
from tests._support.records import begun, price_of, record_of

from usagestream import UsageRecord, UsageReport
from usagestream_adapters.ledger import Database, LedgerReader

from .conftest import Kept

PAGE = Path(__file__).parents[2] / "docs/ledger.md"
NOW = datetime.now(UTC)
THIS_MONTH = NOW.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
NEXT_MONTH = (THIS_MONTH + timedelta(days=32)).replace(day=1)


def recipes() -> list[str]:
    """To partition, to make months, to drop one."""
    found = re.findall(r"```postgresql\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(found) == 3
    return found


def run(url: str, recipe: str) -> None:
    """Run a recipe, as somebody would who looks after the database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(recipe.encode())


def records_at(moment: datetime, count: int) -> list[UsageRecord]:
    """Streams that began then, at a dollar each, an hour after the other."""
    return [
        record_of(begun(started_at=moment + timedelta(hours=hour)), cost=price_of("1"))
        for hour in range(count)
    ]


def partitions(url: str) -> dict[str, int]:
    """How many streams each partition has."""
    named = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass"
    with psycopg.connect(url) as connection:
        names = [name for (name,) in connection.execute(named, ["usagestream_streams"])]
        counts = {
            name: connection.execute(f"SELECT count(*) FROM {name}".encode()).fetchone()
            for name in names
        }
    return {name.rpartition("streams_")[2]: row[0] for name, row in counts.items() if row}


@pytest.fixture
def url(postgres: Any) -> str:
    """An empty schema."""
    return postgres_url(postgres)


@pytest.fixture
def ledger(url: str, tmp_path: Path) -> Iterator[Kept]:
    """A ledger that was open, and had streams, when its table was partitioned."""
    with Kept(url, spool=tmp_path / "spool.jsonl", beat_every=3600) as made:
        for each in records_at(NOW - timedelta(days=9), 20):
            made.end(each)
        assert made.flush(60)
        partition, months, _ = recipes()
        for recipe in (partition, months, months):
            run(url, recipe)
        yield made


def test_what_is_there_stays_and_what_comes_goes_by_its_month(ledger: Kept, url: str) -> None:
    """What has no month of its own yet comes to the rest."""
    months = [NEXT_MONTH]
    while len(months) < 3:
        months.append((months[-1] + timedelta(days=32)).replace(day=1))
    names = [f"{month:%Y_%m}" for month in months]
    assert partitions(url) == {"before": 20, "rest": 0, **dict.fromkeys(names, 0)}
    for moment in (NEXT_MONTH, NEXT_MONTH - timedelta(microseconds=1), NOW + timedelta(days=400)):
        ledger.end(record_of(begun(started_at=moment)))
    assert ledger.flush(60)
    later = {names[0]: 1, names[1]: 0, names[2]: 0}
    assert partitions(url) == {"before": 21, "rest": 1, **later}
    assert (ledger.away, ledger.lost) == (None, 0)
    with psycopg.connect(url) as connection:
        seen = connection.execute("SELECT count(*), max(begun_at) FROM usagestream_usage")
        assert seen.fetchone() == (23, NOW + timedelta(days=400))


def test_saying_it_again_still_changes_nothing(ledger: Kept) -> None:
    """A stream is begun once, ended once, and replaced where it is known better."""
    beginning = begun()
    record = record_of(beginning, cost=price_of("1"))
    for _ in range(2):
        assert ledger.begin(beginning).wait(60)
        ledger.end(record)
    ledger.end(record.model_copy(update={"cost": price_of("3")}))
    ledger.replace(record.model_copy(update={"cost": price_of("2")}))
    assert ledger.flush(60)
    rows = ledger.rows()
    assert len(rows) == 21
    assert (rows[record.id]["state"], rows[record.id]["cost_nano"]) == ("ended", 2_000_000_000)


def test_reports_and_pruning_go_on(ledger: Kept, url: str) -> None:
    """Days are added up, pruned, and told of as before."""
    reader = LedgerReader(url)
    report, after = UsageReport(["day"]), UsageReport(["day"])
    reader.fill([report])
    assert sum(row["streams"] for row in report.rows()) == 20
    assert list(reader.prune(NOW - timedelta(days=4)))[-1][1] == 20
    reader.fill([after])
    assert after.rows() == report.rows()
    assert ledger.rows() == {}
    reader.close()


def test_a_month_is_dropped_once_its_days_are_added_up(
    ledger: Kept, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before; what it came to is kept."""
    drop = recipes()[2].replace("2027-01-01", f"{NEXT_MONTH:%Y-%m-%d}")
    assert f"{NEXT_MONTH:%Y-%m-%d}" in drop
    reader = LedgerReader(url)
    keep(reader._database, records_at(NEXT_MONTH + timedelta(days=3), 50))
    now = Database.now

    def then(database: Database, connection: Connection) -> int:
        return now(database, connection) + 70 * 86_400_000_000

    monkeypatch.setattr(Database, "now", then)
    with pytest.raises(psycopg.errors.RaiseException, match="Not all days of usagestream_streams_"):
        run(url, drop)
    report, after = UsageReport(["day", "model"]), UsageReport(["day", "model"])
    reader.fill([report])
    assert sum(row["streams"] for row in report.rows()) == 70
    run(url, drop)
    assert f"{NEXT_MONTH:%Y_%m}" not in partitions(url)
    assert len(ledger.rows()) == 20
    reader.fill([after])
    assert after.rows() == report.rows()
    reader.close()
