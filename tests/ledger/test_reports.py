"""Reports of a ledger: what they would be of the same records in a file, from sums of sums."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import event
from tests._support.kept import keep, mark

from usagestream import (
    ConfigError,
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
from usagestream_adapters.cli import main
from usagestream_adapters.ledger import Database, LedgerReader, SqlLedger, _rollups
from usagestream_adapters.ledger import _read as read_module

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def made(count: int, seed: int = 7) -> list[UsageRecord]:
    """Records of some days, of all kinds."""
    chance = random.Random(seed)
    return [_made(chance) for _ in range(count)]


def _made(chance: random.Random) -> UsageRecord:
    source = chance.choice([UsageSource.REPORTED] * 5 + [*UsageSource])
    known = source is not UsageSource.UNKNOWN
    read, written = chance.randint(0, 5000), chance.randint(0, 900)
    total = chance.choice([None, read + written, read + written + 7])
    counts = {
        "input_tokens": chance.choice([read, read, None]),
        "output_tokens": written,
        "total_tokens": total,
        "cache_read_tokens": chance.choice([None, read // 2]),
        "reasoning_tokens": chance.choice([None, written // 3]),
        "lower_bound": chance.random() < 0.1,
    }
    usage = Usage.model_validate({"source": source, **(counts if known else {})})
    model = chance.choice(["gpt-4o", "o3", "gpt-4o-mini"])
    rate = Decimal(chance.choice(["2.5", "0.15", "0.0375"]))
    currency = chance.choice(["USD", "USD", "USD", "EUR"])
    price = Price(source="x", model=model, currency=currency, rates=Rates(input=rate, output=rate))
    began = TODAY + timedelta(seconds=chance.uniform(-9 * 86400, 3600))
    first = chance.choice([None, 10, 10**6 * chance.lognormvariate(-1, 1)])
    tags = {"customer": chance.choice(["acme", "globex", ""])} if chance.random() < 0.8 else {}
    odd = {"a\"b'\\c": chance.choice(["x'); --", "\u00e9"])} if chance.random() < 0.2 else {}
    error = chance.choice(["ContentFilterError", "RateLimitError"])
    return UsageRecord(
        provider=chance.choice(["openai", "azure"]),
        profile=chance.choice([None, "prod"]),
        endpoint="api.openai.com",
        region=chance.choice([None, "East US 2"]),
        service_tier=chance.choice([None, "flex"]),
        model=model,
        outcome=chance.choice([Outcome.COMPLETED] * 6 + [*Outcome]),
        error=RecordedError(type=error) if chance.random() < 0.3 else None,
        started_at=began,
        first_chunk_at=None if first is None else began + timedelta(microseconds=int(first)),
        ended_at=began + timedelta(seconds=2),
        usage=usage,
        cost=cost_of(usage, price) if known and chance.random() < 0.8 else None,
        tags={**tags, **odd},
    )


def of_records(records: list[UsageRecord], asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The report of records one by one."""
    report = UsageReport(**asked)
    for each in records:
        report.add(each)
    return report.rows()


@pytest.fixture
def reader(url: str, database: Database) -> Iterator[LedgerReader]:
    """Reads the same database; it is there and empty."""
    opened = LedgerReader(url)
    yield opened
    opened.close()


def of_ledger(reader: LedgerReader, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The report of the ledger."""
    report = UsageReport(**asked)
    reader.fill([report])
    return report.rows()


def test_tags_may_have_any_name(database: Database, reader: LedgerReader) -> None:
    """In any letters, with quotes and what JSON writes with a backslash."""
    names = ["gr\u00f6\u00dfe", "a\"b'\\c", "a\tb", "plain name"]
    record = made(1)[0].model_copy(update={"tags": {name: f"of {name}" for name in names}})
    keep(database, [record])
    asked: dict[str, Any] = {"by": [f"tag:{name}" for name in names]}
    asked["where"] = {f"tag:{name}": [f"of {name}", ""] for name in names}
    assert of_ledger(reader, asked) == of_records([record], asked)
    assert of_ledger(reader, asked)[0]["tag:a\tb"] == "of a\tb"


def test_roll_ups_stay_true_when_streams_come_and_change(
    database: Database, reader: LedgerReader
) -> None:
    """Whoever writes marks the day; it is added up anew."""
    records = made(150)
    keep(database, records)
    of_ledger(reader, {})
    late = [each for each in made(60, seed=8) if each.started_at < TODAY - timedelta(days=3)]
    keep(database, late)
    for each in late:
        mark(database, each.started_at)
    asked = {"by": ["model", "tag:customer"]}
    assert of_ledger(reader, asked) == of_records([*records, *late], asked)


def test_several_reports_are_read_at_once(database: Database, reader: LedgerReader) -> None:
    """Days are rolled up once for all of them, and that is said."""
    records = made(100)
    keep(database, records)
    reports, said = [UsageReport(["day"]), UsageReport(["hour"])], list[int]()
    read = reader.fill(reports, progress=said.append)
    assert [report.rows() for report in reports] == [
        of_records(records, {"by": ["day"]}),
        of_records(records, {"by": ["hour"]}),
    ]
    assert 5 < said[0] < 10
    assert (read.open, read.pruned_days) == (0, 0)
    reader.fill([UsageReport()], progress=said.append)
    assert len(said) == 1


def test_streams_without_an_end_are_in_no_report(database: Database, reader: LedgerReader) -> None:
    """They are counted instead."""
    keep(database, made(3), state="open")
    report = UsageReport()
    assert reader.fill([report]).open == 3
    assert (report.rows(), list(reader.records(UsageReport()))) == ([], [])


def test_an_empty_ledger_has_nothing(reader: LedgerReader) -> None:
    """And nothing to prune."""
    assert of_ledger(reader, {}) == []
    assert reader.tags() == []
    assert list(reader.prune(TODAY - timedelta(days=3))) == []


def test_pruned_days_keep_what_they_came_to(database: Database, reader: LedgerReader) -> None:
    """Reports by day, model and tag stay as they were; finer ones say what is missing."""
    records = made(200)
    keep(database, records)
    border = TODAY - timedelta(days=5)
    of_ledger(reader, {"by": ["model"], "until": border})
    old = [each for each in records if each.started_at < border]
    steps = list(reader.prune(border + timedelta(hours=5)))
    assert steps[-1][1] == len(old)
    assert [done for done, _ in steps] == list(range(1, len(steps) + 1))
    for asked in ({"by": ["day", "model"]}, {"by": ["tag:customer"], "where": {"model": "o3"}}):
        assert of_ledger(reader, asked) == of_records(records, asked)
    kept = [each for each in records if each.started_at >= border]
    hours = UsageReport(["hour"])
    read = reader.fill([hours])
    assert hours.rows() == of_records(kept, {"by": ["hour"]})
    assert read.pruned_days == len(steps)
    found = [each.id for each in reader.records(UsageReport())]
    assert found == [each.id for each in sorted(kept, key=lambda each: each.started_at)]
    assert set(reader.tags()) == {"customer", "a\"b'\\c"}
    assert list(reader.prune(border)) == []


def test_what_comes_to_a_pruned_day_is_added_to_it(
    database: Database, reader: LedgerReader
) -> None:
    """Its roll-up is all that is known of what was there, so it is not made anew."""
    records = made(100)
    keep(database, records)
    list(reader.prune(TODAY - timedelta(days=5)))
    late = [each for each in made(60, seed=9) if each.started_at < TODAY - timedelta(days=6)]
    keep(database, late)
    for each in late:
        mark(database, each.started_at)
    asked = {"by": ["day", "model"]}
    assert of_ledger(reader, asked) == of_records([*records, *late], asked)
    assert list(reader.prune(TODAY - timedelta(days=5))) == []


def test_a_day_that_changes_while_it_is_pruned_is_left(
    database: Database, reader: LedgerReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its roll-up would not say what is deleted."""
    records = [each for each in made(200) if each.started_at < TODAY - timedelta(days=6)]
    keep(database, records)
    roll_up = _rollups.roll_up

    def and_mark(database: Database, day: int) -> None:
        roll_up(database, day)
        mark(database, datetime.fromtimestamp(day * 86400, UTC))

    monkeypatch.setattr(read_module, "roll_up", and_mark)
    assert list(reader.prune(TODAY - timedelta(days=6)))[-1][1] == 0
    assert len(list(reader.records(UsageReport()))) == len(records)


def test_days_that_may_still_grow_are_not_pruned(reader: LedgerReader) -> None:
    """Today, and the two before it."""
    with pytest.raises(ConfigError, match="once they are over for two"):
        list(reader.prune(TODAY))


def test_records_are_those_that_the_report_is_about(
    database: Database, reader: LedgerReader
) -> None:
    """As they were kept, the oldest first."""
    records = made(80)
    keep(database, records)
    asked: dict[str, Any] = {"where": {"model": ["o3", "gpt-4o"]}}
    asked |= {"since": TODAY - timedelta(days=5), "until": TODAY}
    report = UsageReport(**asked)
    expected = [each for each in records if report.add(each)]
    found = list(reader.records(UsageReport(**asked)))
    assert found == sorted(expected, key=lambda each: each.started_at)


def test_reports_of_roll_ups_go_through_few_streams(file: Path) -> None:
    """Those of days that are not over for two, and those that have no end: both by an index."""
    reader = LedgerReader(f"sqlite:///{file}")
    of_ledger(reader, {"by": ["model"]})
    asked: list[tuple[str, Any]] = []

    def note(*said: Any) -> None:
        asked.append((said[2], said[3]))

    event.listen(reader._database.engine, "before_cursor_execute", note)
    of_ledger(reader, {"by": ["model", "day"], "since": TODAY - timedelta(days=8)})
    of_ledger(reader, {"by": ["model", "day"]})
    reader.close()
    connection = sqlite3.connect(file)
    plans = [
        connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
        for statement, values in asked
        if statement.startswith("SELECT")
    ]
    connection.close()
    steps = [step for plan in plans for *_, step in plan if "usagestream_streams" in step]
    assert len([step for step in steps if "usagestream_streams_unended" in step]) == 2
    assert [step for step in steps if "USING" not in step] == []


def test_who_may_not_write_reads_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report takes longer then, and says the same."""
    url = f"sqlite:///{tmp_path / 'usage.db'}"
    database = Database(url)
    database.open()
    records = made(60)
    keep(database, records)
    reader = LedgerReader(url)
    with database.writing() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER no BEFORE INSERT ON usagestream_rollups "
            "BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    assert of_ledger(reader, {}) == of_records(records, {})
    reader.close()
    database.close()


def test_a_database_that_refuses_is_quoted(
    database: Database, reader: LedgerReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a sentence, whatever was to be done; daily sums that cannot be made are done without."""
    keep(database, made(30))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(read_module, "roll_up", refuse)
    assert of_ledger(reader, {}) == of_records(made(30), {})
    with pytest.raises(ConfigError, match=r"The ledger .* says: .*Permission denied"):
        list(reader.prune(TODAY - timedelta(days=3)))
    with database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE usagestream_rolled_days")
    with pytest.raises(ConfigError, match=r"The ledger .* says: .*usagestream_rolled_days"):
        of_ledger(reader, {"by": ["hour"]})


def test_a_ledger_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """Nor is something else taken for one."""
    with pytest.raises(ConfigError, match="There is no ledger"):
        LedgerReader(f"sqlite:///{tmp_path / 'no.db'}")
    other = tmp_path / "other.db"
    other.write_bytes(b"SQLite format 3\0" + b"\0" * 200)
    with pytest.raises(ConfigError, match=r"other\.db says: "):
        LedgerReader(f"sqlite:///{other}")


def run(*words: str | Path) -> Result:
    """What the command says."""
    return CliRunner().invoke(main, [*map(str, words)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A ledger in a file, with records of some days."""
    path = tmp_path / "kept.db"
    database = Database(f"sqlite:///{path}")
    database.open()
    keep(database, made(120))
    database.close()
    return path


def test_the_command_reads_ledgers_by_their_url_and_file(file: Path) -> None:
    """The same as of the records in a file; days are added up once."""
    first = run("report", f"sqlite:///{file}", "--json", "--by", "model,tag:customer")
    expected = of_records(made(120), {"by": ["model", "tag:customer"]})
    assert json.loads(first.stdout) == expected
    assert "days for this report and those to come" in first.stderr
    second = run("report", file, "--json", "--by", "model,tag:customer")
    assert (second.stdout, second.stderr) == (first.stdout, "")


@pytest.mark.slow
def test_a_report_loads_no_more_than_it_needs(file: Path) -> None:
    """Start-up is what a small report takes longest for."""
    run("report", file)
    unneeded = ("sqlalchemy.dialects.postgresql", "alembic", "rich", "openai", "psycopg")
    script = f"""if True:
        import sys
        from usagestream_adapters.cli import main
        main(["report", {str(file)!r}, "--json"], standalone_mode=False)
        print([name for name in {unneeded} if name in sys.modules], file=sys.stderr)
    """
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stderr.strip() == "[]"
    assert len(json.loads(done.stdout)) == 3


def test_the_configured_ledger_is_reported_of(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no source is named: by a variable, or the profile file."""
    expected = run("report", file, "--json").stdout
    monkeypatch.setenv("USAGESTREAM_LEDGER", f"sqlite:///{file}")
    assert run("report", "--json").stdout == expected
    monkeypatch.delenv("USAGESTREAM_LEDGER")
    (tmp_path / "usagestream.toml").write_text('ledger = "sqlite:///kept.db"\n', "utf-8")
    assert run("report", "--json").stdout == expected


def test_without_sqlalchemy_it_is_said_how_to_get_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files can be reported of without it."""
    for name in [name for name in sys.modules if name.startswith("usagestream_adapters.ledger")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    result = run("report", file)
    assert result.exit_code == 1
    assert 'pip install "usagestream[ledger]"' in result.stderr


def test_what_a_ledger_writes_is_what_is_reported(url: str, reader: LedgerReader) -> None:
    """By the ledger itself: streams that end, and one of long ago whose cost is another now."""
    ledger = SqlLedger(url)
    records = [each for each in made(40) if each.started_at < TODAY - timedelta(days=4)]
    for each in records:
        ledger.end(each)
    assert ledger.flush(60)
    asked = {"by": ["day", "model"]}
    assert of_ledger(reader, asked) == of_records(records, asked)
    dearer = Rates(input=Decimal(900), output=Decimal(900))
    price = Price(source="new", model="o3", rates=dearer)
    changed = records[0].model_copy(update={"cost": cost_of(records[0].usage, price)})
    ledger.replace(changed)
    assert ledger.flush(60)
    assert of_ledger(reader, asked) == of_records([changed, *records[1:]], asked)
    ledger.close()


def test_the_command_adds_files_to_ledgers(file: Path, tmp_path: Path) -> None:
    """One report of all sources."""
    lines = tmp_path / "more.jsonl"
    lines.write_text("".join(f"{each.model_dump_json()}\n" for each in made(5, 3)), "utf-8")
    rows = json.loads(run("report", file, lines, "--json", "--by", "").stdout)
    assert rows == of_records([*made(120), *made(5, 3)], {"by": []})


def test_the_command_writes_pages_and_focus_of_a_ledger(file: Path, tmp_path: Path) -> None:
    """With its tags."""
    page = tmp_path / "page.html"
    assert run("report", file, "--html", page).exit_code == 0
    assert "By customer" in page.read_text("utf-8")
    costs = [each for each in made(120) if each.cost is not None]
    focus = run("report", file, "--focus")
    assert f"{120 - len(costs)} streams have no cost" in focus.stderr
    assert focus.stdout.count("\n") > 20


def ago(days: int) -> str:
    """A day so long ago, also where midnight passes in between."""
    return (TODAY - timedelta(days=days)).date().isoformat()


def test_the_command_says_what_is_not_in_a_report(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams without an end, and days that were pruned."""
    database = Database(f"sqlite:///{file}")
    keep(database, made(1, seed=1), state="open")
    pruned = run("ledger", "prune", "--ledger", f"sqlite:///{file}", "--before", ago(8))
    database.close()
    assert pruned.exit_code == 0, pruned.output
    assert "of 1 day; what each of them came to is kept." in pruned.stdout
    said = run("report", file, "--by", "hour").stderr
    assert "1 stream has no end yet, and is not in this." in said
    assert "1 day was pruned: they can be reported by day in UTC, and are not in this." in said
    monkeypatch.setenv("USAGESTREAM_LEDGER", f"sqlite:///{file}")
    pruned = run("ledger", "prune", "--before", ago(5))
    assert "of 3 days; what" in pruned.stdout
    database = Database(f"sqlite:///{file}")
    keep(database, made(2, seed=2), state="open")
    database.close()
    said = run("report", file, "--by", "hour").stderr
    assert "3 streams have no end yet, and are not in this." in said
    assert "4 days were pruned" in said


def test_one_day_is_said_as_one(tmp_path: Path) -> None:
    """Of roll-ups."""
    path = tmp_path / "one.db"
    database = Database(f"sqlite:///{path}")
    database.open()
    (record,) = made(1)
    keep(database, [record.model_copy(update={"started_at": TODAY - timedelta(days=2, hours=-1)})])
    database.close()
    assert "Adding up 1 day for this" in run("report", path).stderr or datetime.now(UTC).hour == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["report", "mysql://x/y"], "A ledger is kept in SQLite or PostgreSQL"),
        (["report", "sqlite:///no.db"], "There is no ledger sqlite:///no.db"),
        (["ledger", "prune", "--before", "90d"], "No ledger is named"),
        (["ledger", "prune", "--ledger", "sqlite:///no.db", "--before", "x"], "'x' is no time"),
    ],
)
def test_wrong_input_says_what_is_right(words: list[str], said: str) -> None:
    """Before anything is made."""
    result = run(*words)
    assert result.exit_code == 1
    assert said in result.stderr
    assert not Path("no.db").exists()
