"""The streams of processes that are gone are settled; those of living ones are let be."""

# Tests look behind the door.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, update
from tests._support.fakes import raising
from tests._support.records import begun, record_of
from tests._support.streaming import fork

from usagestream import Begun, UsageRecord
from usagestream_adapters.ledger import _settle, _writer
from usagestream_adapters.ledger._database import Database
from usagestream_adapters.ledger._schema import processes, rolled_days
from usagestream_adapters.ledger._settle import Process

from .conftest import Kept

Opener = Callable[[], Kept]


def began(ledger: Kept, **fields: Any) -> Begun:
    """Have a stream begin, and be written."""
    beginning = begun(**fields)
    assert ledger.begin(beginning).wait(60)
    return beginning


@pytest.fixture
def opener(url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Opener:
    """Opens the same ledger, as another process would."""

    def opened() -> Kept:
        made = Kept(url, spool=tmp_path / "spool.jsonl", beat_every=3600)
        request.addfinalizer(made.close)
        return made

    return opened


def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, processes that were known are on another machine."""
    monkeypatch.setattr(_settle, "_machine", lambda: "another machine")


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the database's clock go on."""
    now = Database.now

    def then(database: Database, connection: Connection) -> int:
        return now(database, connection) + int(seconds * 1e6)

    monkeypatch.setattr(Database, "now", then)


@pytest.fixture
def settled_elsewhere(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Has the ledger opened on another machine, a minute after ours was last heard of."""

    def settle() -> None:
        with monkeypatch.context() as asleep:
            elsewhere(asleep)
            later(asleep, 61)
            opener()

    return settle


def test_a_stream_of_a_killed_process_is_settled_as_unknown(opener: Opener) -> None:
    """By whoever opens the ledger next, at once: there is no such process any more."""
    started_at = datetime.now(UTC) - timedelta(days=3)
    ended, left = begun(), begun(tags={"team": "search"}, started_at=started_at)
    ledger = opener()

    def die() -> None:  # pragma: no cover - in another process
        for each in (ended, left):
            assert ledger.begin(each).wait(60)
        ledger.end(record_of(ended))
        assert ledger.flush(60)
        os._exit(9)

    pid = fork(die)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert ledger.rows()[left.id]["state"] == "open"
    rows = opener().rows()
    assert (rows[ended.id]["state"], rows[ended.id]["outcome"]) == ("ended", "completed")
    row = rows[left.id]
    assert (row["state"], row["outcome"], row["reason"]) == ("lost", "abandoned", "killed")
    assert (row["source"], row["input_tokens"]) == ("unknown", None)
    assert row["tags"] == {"team": "search"}
    record = UsageRecord.model_validate_json(row["record"])
    assert (record.id, record.reason, record.usage.source) == (left.id, "killed", "unknown")
    assert started_at < record.ended_at <= datetime.now(UTC)
    with opener()._database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(processes)).scalar() == 0
        assert connection.execute(select(rolled_days.c.dirty)).scalars().all() == [True]


def test_living_streams_are_let_be(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """However old the heartbeat: a machine's sleep ends no process of it."""
    ours = opener()
    began(ours)
    later(monkeypatch, 3600)
    assert opener().settle() == []
    assert ours.row()["state"] == "open"


def test_one_of_another_machine_lives_while_its_heart_beats(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the database's clock; it is gone a minute after its last beat."""
    ours = opener()
    beginning = began(ours)
    elsewhere(monkeypatch)
    later(monkeypatch, 30)
    theirs = opener()
    assert theirs.settle() == []
    later(monkeypatch, 31)
    assert theirs.settle() == [beginning.id]
    assert theirs.settle() == []


def test_one_that_wakes_up_takes_its_streams_back(
    opener: Opener, settled_elsewhere: Callable[[], None]
) -> None:
    """With its next heartbeat; the streams end as they would have."""
    ours = opener()
    beginning = began(ours)
    settled_elsewhere()
    assert ours.row()["state"] == "lost"
    ours._writer._beat()
    row = ours.row()
    assert (row["state"], row["outcome"], row["reason"], row["ended_at"]) == (
        "open",
        None,
        None,
        None,
    )
    assert opener().settle() == []
    ours.end(record_of(beginning))
    assert (ours.row()["state"], ours.row()["outcome"]) == ("ended", "completed")


def test_an_end_stands_against_what_was_guessed(
    opener: Opener, settled_elsewhere: Callable[[], None]
) -> None:
    """Also where no heartbeat came between."""
    ours = opener()
    beginning = began(ours)
    settled_elsewhere()
    ours.end(record_of(beginning))
    row = ours.row()
    assert (row["state"], row["outcome"], row["input_tokens"]) == ("ended", "completed", 3)
    assert json.loads(row["record"])["reason"] is None


def test_one_that_was_lost_twice_is_read_again(
    opener: Opener, settled_elsewhere: Callable[[], None]
) -> None:
    """Its row holds what its beginning said, either time."""
    ours = opener()
    began(ours)
    for _ in range(2):
        settled_elsewhere()
        assert ours.row()["state"] == "lost"
        ours._writer._beat()
    assert ours.row()["state"] == "open"


def test_a_number_that_was_given_anew_is_another_process(opener: Opener) -> None:
    """What began at another time is not the one that we know."""
    ours = opener()
    began(ours)
    with ours._database.writing() as connection:
        connection.execute(update(processes).values(pid_began="1"))
    opener()
    assert ours.row()["state"] == "lost"


def test_where_no_process_can_be_looked_at_the_heartbeat_decides(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where there is no /proc."""

    def unknown(_: int) -> None:
        return None

    monkeypatch.setattr(_settle, "_began", unknown)
    ours = opener()
    began(ours)
    assert opener().settle() == []
    later(monkeypatch, 61)
    assert len(opener().rows()) == 1
    assert ours.row()["state"] == "lost"


def test_a_running_process_looks_for_the_dead_now_and_then(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only when it opens the ledger."""
    ours, theirs = opener(), opener()
    began(ours)
    with ours._database.writing() as connection:
        connection.execute(update(processes).values(pid_began="1"))
    theirs._writer._beat()
    assert ours.row()["state"] == "open"
    theirs._writer._settle_at = 0.0
    theirs._writer._beat()
    assert ours.row()["state"] == "lost"


def test_a_heartbeat_is_written(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the database's time."""
    ours = opener()
    began(ours)

    def beats() -> list[int]:
        with ours._database.reading() as connection:
            return list(connection.execute(select(processes.c.beat_at)).scalars())

    (before,) = beats()
    later(monkeypatch, 100)
    ours._writer._beat()
    assert [beat - before > 99_000_000 for beat in beats()] == [True]


def test_a_heartbeat_that_fails_is_no_failure(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is away then, until it is tried again."""
    ours = opener()
    began(ours)
    monkeypatch.setattr(Process, "beat", raising(OSError("gone")))
    ours._writer._beat()
    assert ours.away == "gone"
    ours._writer._beat()
    monkeypatch.undo()
    monkeypatch.setattr(_writer, "_RETRY", 0.0)
    ours._writer._retry_at = 0.0
    ours._writer._beat()
    assert ours.away is None


def test_leaving_while_the_database_is_away(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row of the process stays, to be found dead."""
    ours = opener()
    began(ours)
    monkeypatch.setattr(Process, "leave", raising(OSError("gone")))
    ours.close()
    assert ours.away == "gone"


def test_a_forked_child_is_a_process_of_its_own(opener: Opener) -> None:
    """It writes its own streams, and leaves the parent's to the parent."""
    ours = opener()
    first, second, third = begun(), begun(), begun()
    assert ours.begin(first).wait(60)

    def write() -> None:  # pragma: no cover - in another process
        assert ours.begin(second).wait(60)
        ours.end(record_of(second))
        assert ours.flush(60)
        ours._writer._spool.append([])

    with ours._spool._open(0):
        pid = fork(write)
    assert os.waitpid(pid, 0)[1] == 0
    assert ours.begin(third).wait(60)
    ours.end(record_of(first))
    assert ours.flush(60)
    rows = ours.rows()
    assert [rows[each.id]["state"] for each in (first, second, third)] == ["ended", "ended", "open"]
    assert rows[first.id]["process"] == rows[third.id]["process"] != rows[second.id]["process"]


def test_taking_old_streams_back_marks_their_day(
    opener: Opener, settled_elsewhere: Callable[[], None]
) -> None:
    """Daily sums have them as lost, which they are not any more."""
    ours = opener()
    began(ours, started_at=datetime.now(UTC) - timedelta(days=3))
    settled_elsewhere()
    with ours._database.writing() as connection:
        connection.execute(update(rolled_days).values(dirty=False))
    ours._writer._beat()
    assert ours.row()["state"] == "open"
    with ours._database.reading() as connection:
        assert connection.execute(select(rolled_days.c.dirty)).scalars().all() == [True]
