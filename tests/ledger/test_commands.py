"""`usagestream ledger`: how it stands, what goes in, what comes out."""

# Tests look behind the door.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import update
from tests._support.records import begun, price_of, record_of

from usagestream import JsonLinesSink, UsageRecord
from usagestream_adapters.cli.command import main
from usagestream_adapters.ledger import _keeping
from usagestream_adapters.ledger._database import Database
from usagestream_adapters.ledger._schema import processes
from usagestream_adapters.ledger._writer import Entry

from .conftest import Kept
from .test_writing import _refusing


def run(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, ["ledger", *arguments])


@pytest.fixture
def configured(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment names the ledger, and where what waits for it is."""
    monkeypatch.setenv("USAGESTREAM_LEDGER", url)
    spool = tmp_path / "spool.jsonl"
    monkeypatch.setenv("USAGESTREAM_LEDGER_SPOOL", str(spool))
    return spool


def test_status_says_how_it_stands(ledger: Kept, configured: Path) -> None:
    """What ended, what is open since when, what waits."""
    beginning = begun()
    assert ledger.begin(beginning).wait(60)
    ledger.end(record_of())
    assert ledger.flush(60)
    ledger._spool.append([Entry("end", record_of(), None).line()])
    said = run("status")
    assert said.exit_code == 0
    assert "ended      1\n" in said.output
    assert f"open       1, the oldest since {beginning.started_at}\n" in said.output
    assert "processes  1\n" in said.output
    assert f"spool      {configured}\n" in said.output
    assert "waiting    1, in " in said.output
    found = json.loads(run("status", "--json").output)
    assert (found["ended"], found["open"], found["lost"], found["spooled"]) == (1, 1, 0, 1)
    assert found["away"] is None


@pytest.mark.usefixtures("configured")
def test_status_of_a_ledger_that_is_empty() -> None:
    """Nothing is open."""
    said = run("status")
    assert "open       0\n" in said.output


@pytest.mark.usefixtures("configured")
def test_status_says_that_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """And fails; what waits is shown all the same."""
    monkeypatch.setattr(Database, "reading", _refusing)
    said = run("status")
    assert said.exit_code == 1
    assert "away     no such server\n" in said.output
    assert "waiting  0, in 0 of 268,435,456 bytes\n" in said.output
    assert run("status", "--json").exit_code == 1
    refused = run("settle")
    assert refused.exit_code == 1
    assert "cannot be used: no such server" in refused.output


@pytest.mark.usefixtures("configured")
def test_settle_settles_the_streams_of_the_dead(ledger: Kept) -> None:
    """And says how many."""
    assert ledger.begin(begun()).wait(60)
    with ledger._database.writing() as connection:
        connection.execute(update(processes).values(pid_began="1"))
    assert run("settle").output == "1 stream was settled.\n"
    assert run("settle").output == "0 streams were settled.\n"


@pytest.mark.usefixtures("configured")
def test_what_is_imported_comes_out_again(
    ledger: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each once, however often it goes in; in the order in which they began."""
    monkeypatch.setattr(_keeping, "_GROUP", 2)
    records = [record_of(cost=price_of("0.1")) for _ in range(3)]
    sink = JsonLinesSink(tmp_path / "usage.jsonl")
    for record in records:
        sink(record)
    sink.close()
    assert run("import", "usage.jsonl").output == "3 records are in the ledger.\n"
    assert run("import", "usage.jsonl", "usage.jsonl").exit_code == 0
    assert ledger.begin(begun()).wait(60)
    assert len(ledger.rows()) == 4
    lines = run("export").output.splitlines()
    assert [UsageRecord.model_validate_json(line) for line in lines] == records
    assert run("export", "--output", "out.jsonl").output == "3 records are in out.jsonl.\n"
    assert list(JsonLinesSink.read("out.jsonl")) == records
    assert Path("out.jsonl").stat().st_mode & 0o077 == 0
    again = run("export", "--output", "out.jsonl")
    assert again.exit_code == 1
    assert "out.jsonl is there already" in again.output


def test_one_record(url: str, tmp_path: Path) -> None:
    """Named on the command line."""
    sink = JsonLinesSink(tmp_path / "usage.jsonl")
    sink(record_of())
    sink.close()
    done = run("import", "usage.jsonl", "--ledger", url)
    assert done.output == "1 record is in the ledger.\n"


def test_without_a_ledger_it_says_how_to_name_one() -> None:
    """Nothing is made."""
    said = run("status")
    assert said.exit_code == 1
    assert "none is configured: name one, as sqlite:///usage.db" in said.output


def test_without_its_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the library does."""
    monkeypatch.setitem(sys.modules, "usagestream_adapters.ledger", None)
    monkeypatch.delattr("usagestream_adapters.ledger")
    said = run("status", "--ledger", "sqlite:///usage.db")
    assert said.exit_code == 1
    assert "usagestream_adapters" in said.output
