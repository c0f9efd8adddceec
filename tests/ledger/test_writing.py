"""What is written, how often it may be said, and what becomes of it where it cannot be written."""

# Tests look behind the door.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import DataError, OperationalError
from tests._support.databases import postgres_server, postgres_url
from tests._support.records import begun, price_of, record_of

from usagestream import RecordedError, Usage, UsageRecord
from usagestream_adapters.ledger import _database, _writer
from usagestream_adapters.ledger._database import Database
from usagestream_adapters.ledger._schema import COUNTS, processes, rolled_days
from usagestream_core.locks import at_path, file_lock
from usagestream_core.records import line_spool
from usagestream_core.records.line_spool import LineSpool
from usagestream_core.usage import COUNT_FIELDS

from .conftest import Kept


def wait_until(true: Callable[[], object]) -> None:
    """Wait for something that another thread does, for a minute at most."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def test_a_relative_file_is_of_the_folder_it_was_named_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the program goes later: each thread connects when it first has something to say."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    with Kept("sqlite:///usage.db", spool=tmp_path / "spool.jsonl") as ledger:
        assert str(ledger) == "<SqlLedger sqlite:///usage.db>"
        monkeypatch.chdir(elsewhere)
        ledger.end(record_of())
        assert ledger.row()["state"] == "ended"
    assert list(elsewhere.iterdir()) == []


def test_each_column_has_what_the_record_says(ledger: Kept) -> None:
    """Money in whole nano-units, times in microseconds."""
    beginning = begun(tags={"customer": "acme"}, service_tier_asked="flex", deployment="d")
    record = record_of(
        beginning,
        profile="prod",
        endpoint="api.openai.com",
        region="East US",
        response_model="m-1",
        service_tier="default",
        reason="drained",
        error=RecordedError(type="StreamFailedError", message="said", code="c"),
        usage=Usage(**{name: number for number, name in enumerate(COUNT_FIELDS)}),  # type: ignore[arg-type]
        cost=price_of("12.345678901", lower_bound=True),
    )
    assert ledger.begin(beginning).wait(60)
    ledger.end(record)
    row = ledger.row()
    assert {name: row[name] for name in COUNTS} == {n: i for i, n in enumerate(COUNT_FIELDS)}
    assert {name: row[name] for name in row.keys() - {*COUNTS, "record", "process"}} == {
        "id": record.id,
        "state": "ended",
        "begun_at": round(record.started_at.timestamp() * 1e6),
        "ended_at": round(record.started_at.timestamp() * 1e6) + 1_000_000,
        "api": "chat",
        "provider": "openai",
        "profile": "prod",
        "endpoint": "api.openai.com",
        "region": "East US",
        "model": "m",
        "deployment": "d",
        "response_model": "m-1",
        "tier_asked": "flex",
        "tier": "default",
        "outcome": "completed",
        "reason": "drained",
        "error": "StreamFailedError",
        "source": "unknown",
        "lower_bound": False,
        "cost_nano": 12_345_678_901,
        "currency": "USD",
        "cost_basis": "reported",
        "cost_lower_bound": True,
        "price_source": "file:prices.toml#1",
        "first_chunk_us": 250_000,
        "first_chunk_bucket": 286,
        "chunks": 4,
        "tags": {"customer": "acme"},
    }
    kept = UsageRecord.model_validate_json(row["record"])
    assert record.error is not None
    wordless = record.error.model_copy(update={"message": None})
    assert kept == record.model_copy(update={"error": wordless})


def test_saying_it_again_changes_nothing(ledger: Kept) -> None:
    """Neither a second beginning, before the end or after it, nor a second end."""
    beginning = begun()
    for _ in range(2):
        assert ledger.begin(beginning).wait(60)
    ledger.end(record_of(beginning))
    ledger.end(record_of(beginning, outcome="failed"))
    assert ledger.flush(60)
    assert ledger.begin(beginning).wait(60)
    ledger.end(record_of(beginning, outcome="cancelled"))
    assert (ledger.row()["state"], ledger.row()["outcome"]) == ("ended", "completed")


def test_an_end_without_a_beginning_is_a_row(ledger: Kept) -> None:
    """What has ended is known in full."""
    ledger.end(record_of())
    assert ledger.row()["state"] == "ended"


def test_a_record_that_is_known_better_takes_the_place_of_the_old(ledger: Kept) -> None:
    """Recovered or priced anew; also one that nobody had."""
    record = record_of()
    ledger.end(record)
    ledger.replace(record.model_copy(update={"cost": price_of("1")}))
    assert ledger.row()["cost_nano"] == 10**9
    ledger.replace(record_of())
    assert ledger.flush(60)
    assert len(ledger.rows()) == 2


def test_what_comes_late_marks_its_day(ledger: Kept) -> None:
    """So that a roll-up of that day is made anew; those of today and yesterday are made later."""
    now = datetime.now(UTC)
    for days in (0, 1, 2, 40):
        ledger.end(record_of(begun(started_at=now - timedelta(days=days))))
    assert ledger.flush(60)
    today = int(now.timestamp()) // 86_400
    with ledger._database.reading() as connection:
        marked = connection.execute(select(rolled_days.c.day, rolled_days.c.dirty)).all()
    assert sorted(tuple(each) for each in marked) == [(today - 40, True), (today - 2, True)]


def test_what_no_database_takes_is_made_fit(ledger: Kept) -> None:
    """NUL, halves of a character, and numbers of more than 64 bits."""
    beginning = begun(model="m\x00\ud800", tags={"a\ud800": "b\x00"})
    assert ledger.begin(beginning).wait(60)
    record = record_of(
        beginning, usage=Usage(input_tokens=2**70, output_tokens=1), cost=price_of("1e30")
    )
    ledger.end(record)
    row = ledger.row()
    assert (row["model"], row["tags"]) == ("m\ufffd\ufffd", {"a\ufffd": "b\ufffd"})
    assert (row["input_tokens"], row["output_tokens"], row["cost_nano"]) == (None, 1, None)
    assert json.loads(row["record"])["usage"]["input_tokens"] == 2**70
    assert ledger.lost == 0


def test_many_threads_are_written_together(ledger: Kept) -> None:
    """Each waits for its own, and none is missing."""

    def one() -> None:
        for _ in range(5):
            beginning = begun()
            assert ledger.begin(beginning).wait(60)
            ledger.end(record_of(beginning))

    threads = [threading.Thread(target=one) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.flush(60)
    assert [row["state"] for row in ledger.rows().values()] == ["ended"] * 100


def test_a_process_is_known_while_it_may_write(ledger: Kept, url: str, tmp_path: Path) -> None:
    """From its first stream until it closes the ledger."""

    def known() -> int:
        with ledger._database.reading() as connection:
            return len(connection.execute(select(processes)).all())

    assert known() == 0
    with Kept(url, spool=tmp_path / "other.jsonl") as other:
        assert other.begin(begun()).wait(60)
        assert known() == 1
    assert known() == 0


@contextmanager
def _refusing(_: Database) -> Generator[Connection]:
    raise OperationalError("INSERT", {}, OSError("no such server"))
    yield  # pragma: no cover


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The database refuses, until this is undone; it is tried again at once."""
    monkeypatch.setattr(_writer, "_RETRY", 0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "writing", _refusing)
        yield patch


def test_while_the_database_is_away_all_waits_in_the_spool(
    ledger: Kept, away: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And comes into it once it is back, in order, each once."""
    first, second = begun(), begun()
    assert ledger.begin(first).wait(60)
    ledger.end(record_of(first))
    ledger.replace(record_of(first, recovered=True))
    assert ledger.begin(second).wait(60)
    assert ledger.flush(60)
    assert ledger.away == "no such server"
    assert len(ledger._spool) == 4
    assert ledger.rows() == {}
    away.undo()
    third = begun()
    assert ledger.begin(third).wait(60)
    rows = ledger.rows()
    assert {key: row["state"] for key, row in rows.items()} == {
        first.id: "ended",
        second.id: "open",
        third.id: "open",
    }
    assert json.loads(rows[first.id]["record"])["recovered"] is True
    assert not ledger.away
    assert (ledger._spool.size, ledger.lost) == (0, 0)
    assert f"waits in {ledger._spool.path}. Why: no such server" in caplog.text
    assert "is back" in caplog.text


def test_the_heartbeat_hands_in_what_waits(url: str, tmp_path: Path) -> None:
    """Also what another process has left."""
    with Kept(url, spool=tmp_path / "spool.jsonl", beat_every=0.01) as ledger:
        assert ledger.begin(begun()).wait(60)
        entry = _writer.Entry("end", record_of(), "another")
        ledger._spool.append([entry.line(), b"a piece of a li\n"])
        wait_until(lambda: len(ledger.rows()) == 2)
        wait_until(lambda: ledger._spool.size == 0)


def test_a_ledger_can_be_opened_while_its_database_is_away(
    url: str, tmp_path: Path, away: pytest.MonkeyPatch
) -> None:
    """Streams go on; the schema is made when it is back."""
    with Kept(url, spool=tmp_path / "spool.jsonl") as ledger:
        assert ledger.away
        ledger.end(record_of())
        assert ledger.flush(60)
        away.undo()
        ledger.end(record_of())
        assert ledger.flush(60)
        assert len(ledger.rows()) == 2


def test_what_finds_no_room_is_lost_and_counted(
    url: str, tmp_path: Path, away: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The spool has a bound."""
    record = record_of()
    with Kept(url, spool=tmp_path / "spool.jsonl", spool_limit=2_000) as ledger:
        for _ in range(3):
            ledger.end(record)
            assert ledger.flush(60)
        assert ledger.lost == 2
        assert len(ledger._spool) == 1
    assert "1 entries of the ledger are lost" in caplog.text


def test_a_spool_that_cannot_be_written_loses_it(
    url: str, tmp_path: Path, away: pytest.MonkeyPatch
) -> None:
    """And the stream goes on."""
    (tmp_path / "file").touch()
    with Kept(url, spool=tmp_path / "file" / "spool.jsonl") as ledger:
        assert ledger.begin(begun()).wait(60)
        assert ledger.lost == 1


def test_a_database_that_is_slow_is_not_waited_for_long(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What it is given meanwhile is spooled by whoever has it, and comes in later."""
    going = threading.Event()
    writing = Database.writing

    @contextmanager
    def slow(database: Database) -> Generator[Connection]:
        assert going.wait(60)
        with writing(database) as connection:
            yield connection

    with Kept(url, spool=tmp_path / "spool.jsonl", patience=0.05) as ledger:
        monkeypatch.setattr(Database, "writing", slow)
        first, second, third, fourth = begun(), begun(), begun(), begun()
        with monkeypatch.context() as patient:
            patient.setattr(ledger._writer, "_patience", 60)
            waiting = ledger.begin(first)
        assert not waiting.wait(0)
        assert not waiting.wait(0.001)
        both = [ledger.begin(third), ledger.begin(fourth)]
        assert [each.wait(60) for each in both] == [True, True]
        assert len(ledger._spool) == 2
        assert ledger.begin(second).wait(0)
        ledger.end(record_of(first))
        assert len(ledger._spool) == 4
        assert not ledger.flush(0)
        assert not ledger.flush(0.001)
        going.set()
        assert ledger.flush(60)
        ledger.end(record_of(second))
        assert ledger.flush(60)
        assert ledger._writer.hand_in()
        assert {key: row["state"] for key, row in ledger.rows().items()} == {
            first.id: "ended",
            second.id: "ended",
            third.id: "open",
            fourth.id: "open",
        }
    assert caplog.text.count("is slow") == 1


def test_what_is_too_much_for_memory_is_spooled(
    ledger: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whoever brings it."""
    monkeypatch.setattr(_writer, "_MOST_WAITING", 0)
    ledger.end(record_of())
    assert len(ledger._spool) == 1


def test_what_the_collector_ends_in_the_middle_of_spooling_is_not_waited_for(
    ledger: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would wait for itself: it is kept in memory, for the thread that writes."""
    monkeypatch.setattr(_writer, "_MOST_WAITING", 0)
    write = os.write

    def collecting(file: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", write)
        ledger.end(record_of())
        return write(file, data)

    monkeypatch.setattr(os, "write", collecting)
    ledger.end(record_of())
    assert ledger.flush(60)
    ledger._writer.hand_in()
    wait_until(lambda: len(ledger.rows()) == 2)


@pytest.mark.parametrize("why", [DataError("INSERT", {}, ValueError("odd")), ZeroDivisionError()])
def test_one_that_the_database_does_not_take_keeps_no_other_out(
    ledger: Kept, why: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged and counted."""
    write = _writer.Writer._write
    odd = record_of()

    def refusing(self: _writer.Writer, connection: Connection, group: Any) -> None:
        if any(entry.what.id == odd.id for entry in group):
            raise why
        write(self, connection, group)

    monkeypatch.setattr(_writer.Writer, "_write", refusing)
    lines = [_writer.Entry("end", each, None).line() for each in (record_of(), odd, record_of())]
    ledger._spool.append(lines)
    assert ledger._writer.hand_in()
    assert len(ledger.rows()) == 2
    assert ledger.lost == 1
    assert f"The ledger does not take {odd.id}" in caplog.text
    ledger.end(odd)
    ledger.end(record_of())
    assert ledger.flush(60)
    assert len(ledger.rows()) == 3


def test_handing_in_stops_where_the_database_goes_away(
    ledger: Kept, away: pytest.MonkeyPatch
) -> None:
    """Everything stays where it is."""
    ledger._spool.append([_writer.Entry("end", record_of(), None).line()])
    with pytest.raises(OperationalError):
        ledger._writer.hand_in()
    assert len(ledger._spool) == 1
    away.undo()
    assert ledger._writer.hand_in()
    assert len(ledger._spool) == 0


def test_a_spool_that_somebody_else_holds_does_not_keep_the_ledger_from_its_database(
    url: str, tmp_path: Path
) -> None:
    """What waits there goes on waiting."""
    spool = LineSpool(tmp_path / "spool.jsonl", limit=10_000)
    spool.append([_writer.Entry("end", record_of(), None).line()])
    with (
        spool.path.open("rb") as holder,
        file_lock(holder.fileno(), spool.path, 0),
        Kept(url, spool=spool.path) as ledger,
    ):
        assert ledger.away is None
        assert ledger.begin(begun()).wait(60)
        assert len(ledger.rows()) == 1
    assert len(spool) == 1


def test_only_one_hands_in_at_a_time(ledger: Kept) -> None:
    """Whoever finds another at it leaves it to that one."""
    spool = ledger._spool
    spool.append([b"{}\n"])
    seen: list[object] = []

    def take(lines: list[bytes]) -> None:
        seen.append(lines)
        seen.append(spool.hand_in(seen.append))

    assert spool.hand_in(take)
    assert seen == [[b"{}\n"], False]


def test_the_piece_that_a_kill_left_does_not_spoil_the_next_line(ledger: Kept) -> None:
    """A line begins on a line of its own."""
    spool = ledger._spool
    spool.append([b'{"kind": "e'])
    spool.append([_writer.Entry("end", record_of(), None).line()])
    assert ledger._writer.hand_in()
    assert len(ledger.rows()) == 1


def test_a_full_disk_leaves_no_piece_in_the_spool(
    ledger: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line is there as a whole, or not."""
    spool = ledger._spool
    spool.append([b"first\n"])
    write = os.write

    def write_a_piece(file: int, data: bytes) -> int:
        return write(file, data[:3])

    monkeypatch.setattr(os, "write", write_a_piece)
    with pytest.raises(OSError, match="no room"):
        spool.append([b"second\n"])
    assert spool.path.read_bytes() == b"first\n"


def test_a_full_database_is_away_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound of SQLite's own stands for the disk's, and is lifted."""
    monkeypatch.setattr(_writer, "_RETRY", 0.0)
    with Kept(f"sqlite:///{tmp_path / 'usage.db'}", spool=tmp_path / "spool.jsonl") as ledger:
        with ledger._database.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 4}")
        records = [record_of() for _ in range(60)]
        for record in records:
            ledger.end(record)
            assert ledger.flush(60)
        assert ledger.away == "database or disk is full"
        assert 0 < len(ledger.rows()) < 60
        with ledger._database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 100000")
        ledger.end(record_of())
        assert ledger.flush(60)
        assert len(ledger.rows()) == 61
        assert not ledger.away
        assert ledger.lost == 0


def test_a_server_that_turns_us_out_is_away_and_back(postgres: Any, tmp_path: Path) -> None:
    """In the middle of the load: it ends our connections, and takes none."""
    uri: str = postgres.get_uri()
    name = f"away_{os.getpid()}_{time.time_ns()}"
    with psycopg.connect(uri, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
        url = uri.replace("/postgres?", f"/{name}?")
        with Kept(url, spool=tmp_path / "spool.jsonl", patience=5, beat_every=0.05) as ledger:
            began: list[str] = []
            stop = threading.Event()

            def load() -> None:
                while not stop.is_set():
                    beginning = begun()
                    assert ledger.begin(beginning).wait(60)
                    began.append(beginning.id)
                    ledger.end(record_of(beginning))
                    stop.wait(0.002)

            threads = [threading.Thread(target=load) for _ in range(3)]
            for thread in threads:
                thread.start()
            wait_until(lambda: len(began) > 10)
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
            admin.execute(
                b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                (name,),
            )
            wait_until(lambda: ledger.away)
            before = len(began)
            wait_until(lambda: len(began) > before + 10)
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
            wait_until(lambda: ledger.away is None)
            stop.set()
            for thread in threads:
                thread.join()
            assert ledger.flush(60)
            wait_until(lambda: ledger._spool.size == 0)
            rows = ledger.rows()
            assert rows.keys() == set(began)
            assert {row["state"] for row in rows.values()} == {"ended"}
            assert ledger.lost == 0


def test_a_forked_copy_begins_anew(ledger: Kept) -> None:
    """It has nothing of its parent's to write, and connections of its own."""
    assert ledger.begin(begun()).wait(60)
    before = ledger._writer.process.id
    ledger.close()
    ledger.leave_to_parent()
    assert ledger.begin(begun()).wait(60)
    assert ledger._writer.process.id != before
    assert len(ledger.rows()) == 2
    engine = ledger._database.engine
    for _ in range(2):
        ledger._database.forked()
    assert ledger._database.engine is not engine
    assert _database._left_alone.pop() is engine
    engine.dispose()


def test_where_no_thread_can_be_started_closing_writes(
    ledger: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at the end of the interpreter."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    with monkeypatch.context() as ending:
        ending.setattr(threading.Thread, "start", refuse)
        ledger.end(record_of())
        ledger.close()
    assert len(ledger.rows()) == 1


def test_what_comes_after_closing_is_spooled(ledger: Kept) -> None:
    """It is not lost, and nobody waits for it."""
    ledger.begin(begun())
    ledger.close()
    assert ledger.begin(begun()).wait(0)
    assert len(ledger._spool) == 1


def test_what_is_left_when_closing_fails_is_spooled(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread is stuck, and time is up."""
    ledger = Kept(url, spool=tmp_path / "spool.jsonl")
    going = threading.Event()
    held = threading.Event()

    def hold() -> None:
        with ledger._writer._working:
            held.set()
            assert going.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(60)
    ledger.end(record_of())
    monkeypatch.setattr("usagestream_adapters.ledger._ledger._LEAVING", 0.01)
    ledger.close()
    assert len(ledger._spool) == 1
    going.set()
    holder.join()


def test_what_is_written_while_closing_gives_up_on_it_is_written_once(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread is in the middle of it: it goes on, and what was spooled meanwhile is the same."""
    begun, going, raised = threading.Event(), threading.Event(), list[object]()
    writing = Database.writing

    @contextmanager
    def slow(database: Database) -> Generator[Connection]:
        begun.set()
        assert going.wait(60)
        with writing(database) as connection:
            yield connection

    monkeypatch.setattr(threading, "excepthook", raised.append)
    monkeypatch.setattr("usagestream_adapters.ledger._ledger._LEAVING", 0.01)
    ledger = Kept(url, spool=tmp_path / "spool.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr(Database, "writing", slow)
        ledger.end(record_of())
        assert begun.wait(60)
        thread = ledger._writer._thread
        assert thread is not None
        ledger.close()
        assert len(ledger._spool) == 1
        going.set()
        thread.join(60)
    assert (thread.is_alive(), raised) == (False, [])
    assert ledger._writer.hand_in()
    assert len(ledger.rows()) == 1
    ledger._database.close()


def test_a_ledger_says_which_it_is(ledger: Kept) -> None:
    """Without a password."""
    assert repr(ledger).startswith(("<SqlLedger sqlite:///", "<SqlLedger postgresql+psycopg://"))


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """As a file of JSON lines is."""
    path = tmp_path / "usage.db"
    with Kept(f"sqlite:///{path}", spool=tmp_path / "spool.jsonl", fsync=True) as ledger:
        ledger.end(record_of())
        assert ledger.flush(60)
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_server_that_is_stopped_and_started_loses_nothing(tmp_path: Path) -> None:
    """In the middle of the load; with ends that nobody could write meanwhile."""
    folder = Path(tempfile.mkdtemp(prefix="usagestream-pg-"))
    server = postgres_server(folder)
    began: list[str] = []
    stop = threading.Event()
    url = postgres_url(server)
    with Kept(url, spool=tmp_path / "spool.jsonl", patience=5, beat_every=0.05) as ledger:

        def load() -> None:
            while not stop.wait(0.002):
                beginning = begun()
                assert ledger.begin(beginning).wait(60)
                began.append(beginning.id)
                ledger.end(record_of(beginning))

        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(began) > 20)
        server.stop()
        wait_until(lambda: ledger.away)
        before = len(began)
        wait_until(lambda: len(began) > before + 100)
        server.start()
        wait_until(lambda: not ledger.away)
        stop.set()
        for thread in threads:
            thread.join()
        assert ledger.flush(60)
        wait_until(lambda: ledger._spool.size == 0)
        assert ledger.rows().keys() == set(began)
        assert {row["state"] for row in ledger.rows().values()} == {"ended"}
        assert ledger.lost == 0


def test_what_somebody_set_aside_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waited for the file finds other lines on their way out: they go first."""
    spool = LineSpool(tmp_path / "spool", limit=100)
    spool.append([b"second\n"])
    opened = spool._open

    @contextmanager
    def late(seconds: float) -> Generator[int]:
        with opened(seconds) as descriptor:
            if not taken:
                (tmp_path / "spool.out").write_bytes(b"first\n")
            yield descriptor

    taken: list[bytes] = []
    monkeypatch.setattr(spool, "_open", late)
    assert spool.hand_in(taken.extend)
    assert taken == [b"first\n", b"second\n"]


def test_a_file_that_was_set_aside_while_it_was_waited_for_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is put in goes into the one that has the path by then."""
    spool = LineSpool(tmp_path / "spool", limit=100)
    moved = tmp_path / "moved"

    def at_path_after_all(descriptor: int, path: Path) -> bool:
        if not moved.exists():
            path.rename(moved)
        return at_path(descriptor, path)

    monkeypatch.setattr(line_spool, "at_path", at_path_after_all)
    spool.append([b"line\n"])
    assert (moved.read_bytes(), (tmp_path / "spool").read_bytes()) == (b"", b"line\n")
