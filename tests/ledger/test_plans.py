"""What PostgreSQL does for what it is asked: by its indexes, and adding up without sorting."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event
from tests._support.databases import postgres_url
from tests._support.kept import keep
from tests._support.records import begun, record_of

from usagestream import UsageReport
from usagestream_adapters.ledger import LedgerReader, _keeping


@pytest.fixture
def reader(postgres: Any) -> Iterator[LedgerReader]:
    """Reads a ledger of some streams of this month."""
    opened = LedgerReader(postgres_url(postgres))
    now = datetime.now(UTC)
    records = [
        record_of(begun(started_at=now - timedelta(hours=hour), tags={"customer": f"c{hour % 90}"}))
        for hour in range(720)
    ]
    keep(opened._database, records)
    with opened._database.engine.connect() as connection:
        vacuuming = connection.execution_options(isolation_level="AUTOCOMMIT")
        vacuuming.exec_driver_sql("VACUUM ANALYZE usagestream_streams")
    yield opened
    opened.close()


def plans(reader: LedgerReader, work: Callable[[], object]) -> list[str]:
    """How each question of this work about streams is answered where indexes are worth it."""
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: object) -> None:
        if statement.startswith("SELECT") and "FROM usagestream_streams" in statement:
            asked.append((statement, parameters))

    engine = reader._database.engine
    event.listen(engine, "before_cursor_execute", note)
    work()
    event.remove(engine, "before_cursor_execute", note)
    with reader._database.reading() as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return [
            "\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars())
            for statement, parameters in asked
        ]


def test_streams_of_one_tag_are_found_by_the_index_of_tags(reader: LedgerReader) -> None:
    """Whatever their time: of ten million streams, those of a small customer."""
    report = UsageReport(["hour"], where={"tag:customer": ["c7", "c11"]})
    found = plans(reader, lambda: reader.fill([report]))
    assert sum(row["streams"] for row in report.rows()) == 16
    of_tags = [each for each in found if "@>" in each]
    assert of_tags
    assert all("Index Scan on usagestream_streams_tags" in each for each in of_tags)


def test_streams_of_some_time_are_found_by_the_index_of_times(reader: LedgerReader) -> None:
    """The others are not looked at."""
    report = UsageReport(["hour"], since=datetime.now(UTC) - timedelta(hours=30.5))
    found = plans(reader, lambda: reader.fill([report]))
    assert sum(row["streams"] for row in report.rows()) == 31
    assert any("usagestream_streams_begun" in each for each in found)
    assert not any("Seq Scan on usagestream_streams" in each for each in found)


def test_how_a_ledger_stands_is_read_off_its_indexes(reader: LedgerReader) -> None:
    """No row is read: they are wide, and there may be many."""
    url = str(reader._database.url.render_as_string(hide_password=False))
    assert _keeping.status(url).ended == 720

    def count() -> None:
        with reader._database.reading() as connection:
            connection.execute(_keeping._counted())

    (plan,) = plans(reader, count)
    assert "Index Only Scan using usagestream_streams_" in plan
    assert "Seq Scan on usagestream_streams" not in plan


def test_a_reader_has_room_to_add_up(reader: LedgerReader) -> None:
    """In its own transactions, whatever the server gives to others."""
    with reader._database.reading() as connection:
        assert connection.exec_driver_sql("SHOW work_mem").scalar_one() == "64MB"
