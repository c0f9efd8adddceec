"""Days are pruned while their streams are repriced: nobody is refused, and nothing counts twice."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event
from tests._support.databases import postgres_url
from tests._support.kept import keep
from tests._support.records import begun, price_of, record_of

from usagestream import UsageRecord, UsageReport
from usagestream_adapters.ledger import Database, LedgerReader

from .conftest import Kept

OLD = datetime.now(UTC).replace(hour=12) - timedelta(days=6)
BORDER = OLD + timedelta(days=1)


@pytest.fixture
def reader(url: str, database: Database) -> Iterator[LedgerReader]:
    """Reads the same database; it is there and empty."""
    opened = LedgerReader(url)
    yield opened
    opened.close()


def records(count: int = 20) -> list[UsageRecord]:
    """Streams of one day that is long over, at a dollar each."""
    return [record_of(begun(started_at=OLD), cost=price_of("1")) for _ in range(count)]


def repriced(record: UsageRecord) -> UsageRecord:
    """At two dollars."""
    return record.model_copy(update={"cost": price_of("2")})


def told(reader: LedgerReader) -> tuple[int, Decimal | None]:
    """How many streams there are, and what they cost."""
    report = UsageReport()
    reader.fill([report])
    (row,) = report.rows()
    return row["streams"], Decimal(row["cost"])


def test_what_was_pruned_is_not_put_back(
    database: Database, reader: LedgerReader, ledger: Kept
) -> None:
    """Its day has it already; what came to that day since is replaced like any other."""
    old, late = records(), record_of(begun(started_at=OLD), cost=price_of("1"))
    keep(database, old)
    assert list(reader.prune(BORDER)) == [(1, 20)]
    for each in old:
        ledger.replace(repriced(each))
    assert ledger.flush(60)
    assert ledger.rows() == {}
    ledger.end(late)
    ledger.replace(repriced(late))
    ledger.replace(repriced(old[0]))
    assert ledger.flush(60)
    assert list(ledger.rows()) == [late.id]
    assert told(reader) == (21, Decimal(22))


class Held:
    """Holds a database's connection once it has executed such a statement, till it is waited for.

    Then goes on, or after some seconds where nobody waits.
    """

    def __init__(self, url: str, database: Database, statement: str) -> None:
        self.is_reached = threading.Event()
        self.was_waited_for = False
        self._url = url
        self._statement = statement
        event.listen(database.engine, "after_cursor_execute", self._executed)

    def _executed(self, connection: Any, cursor: Any, statement: str, *_: object) -> None:
        if statement.startswith(self._statement) and not self.is_reached.is_set():
            self.is_reached.set()
            self.was_waited_for = self._wait(cursor.connection.info.backend_pid)

    def _wait(self, pid: int) -> bool:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
        deadline = time.monotonic() + 10
        with psycopg.connect(self._url, autocommit=True) as looking:
            while time.monotonic() < deadline:
                if looking.execute(asked, [pid]).fetchone() != (0,):
                    return True
                time.sleep(0.01)
        return False


@pytest.fixture
def side_by_side(
    postgres: Any, tmp_path: Path
) -> Iterator[tuple[str, Kept, LedgerReader, list[UsageRecord]]]:
    """A ledger of a day that is rolled up, its writer and its reader."""
    url = postgres_url(postgres)
    with Kept(url, spool=tmp_path / "spool.jsonl", beat_every=3600) as ledger:
        reader = LedgerReader(url)
        found = records()
        keep(reader._database, found)
        assert told(reader) == (20, Decimal(20))
        yield url, ledger, reader, found
        reader.close()


def reprice(ledger: Kept, found: list[UsageRecord]) -> None:
    """Give each a new price, and wait until that is kept."""
    for each in found:
        ledger.replace(repriced(each))
    assert ledger.flush(20)


def beside(held: Held, work: Callable[[], Any], then: Callable[[], Any]) -> Any:
    """Do one thing, and the other when the first is held; give what the other gave."""
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(work)
        assert held.is_reached.wait(60)
        found = then()
        first.result()
    assert held.was_waited_for, "the other did not come across the first"
    return found


def test_pruning_waits_for_who_reprices(
    side_by_side: tuple[str, Kept, LedgerReader, list[UsageRecord]],
) -> None:
    """And leaves the day, whose roll-up is not true any more."""
    url, ledger, reader, found = side_by_side
    held = Held(url, ledger._database, "INSERT INTO usagestream_streams")
    work = partial(reprice, ledger, found)
    assert beside(held, work, lambda: list(reader.prune(BORDER))) == [(1, 0)]
    assert (ledger.away, len(ledger._spool), ledger.lost) == (None, 0, 0)
    assert told(reader) == (20, Decimal(40))
    assert len(ledger.rows()) == 20


def test_who_reprices_waits_for_pruning(
    side_by_side: tuple[str, Kept, LedgerReader, list[UsageRecord]],
) -> None:
    """What it comes too late for stays as it was added up."""
    url, ledger, reader, found = side_by_side
    held = Held(url, reader._database, "UPDATE usagestream_rolled_days")
    pruned: list[tuple[int, int]] = []
    beside(held, lambda: pruned.extend(reader.prune(BORDER)), partial(reprice, ledger, found))
    assert pruned == [(1, 20)]
    assert (ledger.away, len(ledger._spool), ledger.lost) == (None, 0, 0)
    assert ledger.rows() == {}
    assert told(reader) == (20, Decimal(20))
