"""What a ledger is kept in: one schema, brought up to date by whoever opens it first."""

# Tests look behind the door.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import cast

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from usagestream import ConfigError
from usagestream_adapters.ledger._database import Database
from usagestream_adapters.ledger._schema import VERSION_TABLE, metadata
from usagestream_core.locks import file_lock_if_free


def test_the_migrations_come_to_the_schema(database: Database) -> None:
    """What they make step by step is what the code reads and writes, and two indexes more."""
    with database.reading() as connection:
        options = {"version_table": VERSION_TABLE}
        found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    more = {("remove_index", "usagestream_streams_unended")}
    if not database.is_sqlite:
        more.add(("remove_index", "usagestream_streams_tags"))
    assert {(what, each.name) for what, each in found} == more


def test_many_open_a_new_ledger_at_once(url: str) -> None:
    """One of them makes it, the others find it made."""
    failures: list[BaseException] = []
    databases = [Database(url) for _ in range(6)]
    all_at_once = threading.Barrier(len(databases))

    def open_one(database: Database) -> None:
        all_at_once.wait()
        try:
            database.open()
        except BaseException as exc:  # noqa: BLE001 - shown below
            failures.append(exc)
        database.close()

    threads = [threading.Thread(target=open_one, args=(each,)) for each in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


class _Busy:
    """A cursor that is refused so often, as SQLite refuses one of two that change a new file."""

    def __init__(self, times: int, code: int = sqlite3.SQLITE_BUSY) -> None:
        self.times = times
        self.error = sqlite3.OperationalError("database is locked")
        self.error.sqlite_errorcode = code

    def execute(self, _: str) -> None:
        self.times -= 1
        if self.times >= 0:
            raise self.error


def test_who_is_refused_at_once_tries_again(tmp_path: Path) -> None:
    """SQLite waits for nobody where two change a new file at once, whatever its timeout."""
    url = f"sqlite:///{tmp_path}/usage.db"
    twice = _Busy(2, sqlite3.SQLITE_BUSY | 2 << 8)  # with more said in the upper bits
    Database(url)._write_ahead(cast("sqlite3.Cursor", twice))
    assert twice.times == -1
    with pytest.raises(sqlite3.OperationalError):
        Database(url, timeout=0.02)._write_ahead(cast("sqlite3.Cursor", _Busy(10_000)))
    full = _Busy(2, sqlite3.SQLITE_FULL)
    with pytest.raises(sqlite3.OperationalError):
        Database(url)._write_ahead(cast("sqlite3.Cursor", full))
    assert full.times == 1


def test_a_ledger_of_a_newer_version_is_refused(database: Database, url: str) -> None:
    """In a sentence that says what to do; the database stays as it is."""
    with database.writing() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    newer = Database(url)
    with pytest.raises(ConfigError, match=r"newer version of usagestream .*9999.*: upgrade"):
        newer.open()
    newer.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite://", "in memory is gone"),
        ("sqlite:///:memory:", "in memory is gone"),
        ("mysql://user:secret@host/db", r"not in mysql://user:\*\*\*@host/db"),
        ("postgresql://host", "not in postgresql://host"),
        ("usage.db", "not in that URL"),
    ],
)
def test_a_url_of_anything_else_is_refused(url: str, says: str) -> None:
    """Without showing a password."""
    with pytest.raises(ConfigError, match=says):
        Database(url)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """It is not made: it may be a slip."""
    with pytest.raises(ConfigError, match="in a folder that is not there"):
        Database(f"sqlite:///{tmp_path}/no/usage.db").open()


def test_a_page_of_sqlite_holds_more_than_one_row(tmp_path: Path) -> None:
    """With the usual size of pages, a third of the file would be empty."""
    database = Database(f"sqlite:///{tmp_path}/usage.db")
    database.open()
    with database.reading() as connection:
        assert connection.execute(text("PRAGMA page_size")).scalar() == 8192
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    database.close()


def test_who_writes_while_it_is_closed_is_alone_to_the_end(tmp_path: Path) -> None:
    """As where the interpreter ends before a slow write does."""
    closed = Database(f"sqlite:///{tmp_path / 'usage.db'}")
    lock = tmp_path / "usage.db.lock"
    with closed.writing(), lock.open("rb") as opened:
        closed.close()
        with file_lock_if_free(opened.fileno()) as is_free:
            assert not is_free
    with lock.open("rb") as opened, file_lock_if_free(opened.fileno()) as is_free:
        assert is_free
    closed.close()


def test_a_password_is_not_shown() -> None:
    """Neither in messages nor in reprs."""
    assert str(Database("postgres://me:secret@host/db")) == "postgresql+psycopg://me:***@host/db"


def test_the_database_has_its_own_clock(database: Database) -> None:
    """In microseconds, going forward."""
    with database.reading() as connection:
        first, second = database.now(connection), database.now(connection)
    assert 1_700_000_000_000_000 < first <= second
