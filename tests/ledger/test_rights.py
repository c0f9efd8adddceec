"""What a service must be allowed on PostgreSQL, and a reader: no more than the docs say."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests._support.databases import postgres_url
from tests._support.records import begun, record_of

from usagestream import UsageReport
from usagestream_adapters.ledger import LedgerReader, _keeping
from usagestream_adapters.ledger._database import Database

from .conftest import Kept

OLD = datetime.now(UTC) - timedelta(days=5)
Allowing = Callable[..., str]


@pytest.fixture
def url(postgres: Any) -> str:
    """A ledger that somebody else has made."""
    made = postgres_url(postgres)
    database = Database(made)
    database.open()
    database.close()
    return made


@pytest.fixture
def allowing(url: str) -> Iterator[Allowing]:
    """Makes somebody who may do this with all tables, and more with some; gives the URL."""
    role = f"r{uuid.uuid4().hex}"
    schema = url.rpartition("%3D")[2]

    def allow(on_all: str, **more: str) -> str:
        grants = [f"GRANT {on_all} ON ALL TABLES IN SCHEMA {schema} TO {role}"]
        grants += [f"GRANT {what} ON usagestream_{table} TO {role}" for table, what in more.items()]
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {role} LOGIN".encode())
            connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}".encode())
            for grant in grants:
                connection.execute(grant.encode())
        assert "//postgres:@" in url
        return url.replace("//postgres:@", f"//{role}:@")

    yield allow
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP OWNED BY {role}".encode())
        connection.execute(f"DROP ROLE {role}".encode())


def test_a_service_writes_what_it_must(allowing: Allowing, tmp_path: Path) -> None:
    """It begins, ends and replaces streams, old ones too, beats, settles and leaves."""
    url = allowing("SELECT, INSERT, UPDATE", processes="DELETE")
    with Kept(url, spool=tmp_path / "spool.jsonl", beat_every=3600) as ledger:
        beginning, old = begun(), record_of(begun(started_at=OLD))
        assert ledger.begin(beginning).wait(60)
        ledger.end(record_of(beginning))
        ledger.end(old)
        ledger.replace(old)
        assert ledger.flush(60)
        ledger._writer._beat()
        assert ledger.settle() == []
        assert (ledger.away, ledger.lost, ledger._spool.size) == (None, 0, 0)
        assert len(ledger.rows()) == 2
    assert _keeping.status(url).processes == 0


@pytest.mark.parametrize(
    ("rights", "sums"),
    [({"on_all": "SELECT"}, 0), ({"on_all": "SELECT, INSERT, UPDATE", "rollups": "DELETE"}, 2)],
)
def test_who_reports_keeps_daily_sums_or_only_reads(
    url: str, allowing: Allowing, tmp_path: Path, rights: dict[str, str], sums: int
) -> None:
    """With what a service may, and deleting old sums; or with nothing but reading, by streams."""
    with Kept(url, spool=tmp_path / "spool.jsonl") as ledger:
        for _ in range(3):
            ledger.end(record_of(begun(started_at=OLD)))
    reader = LedgerReader(allowing(**rights))
    report = UsageReport(["day"])
    reader.fill([report])
    reader.close()
    assert [row["streams"] for row in report.rows()] == [3]
    with psycopg.connect(url) as connection:
        kept = connection.execute("SELECT count(*) FROM usagestream_rollups").fetchone()
    assert kept == (sums,)


def test_nothing_is_numbered_by_the_database(url: str) -> None:
    """A sequence would want rights of its own."""
    schema = url.rpartition("%3D")[2]
    with psycopg.connect(url) as connection:
        named = "SELECT sequencename FROM pg_sequences WHERE schemaname = %s"
        assert connection.execute(named, [schema]).fetchall() == []
