"""`usagestream report` over files of JSON lines."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests._support.terminal import on_a_terminal

from usagestream import ConfigError, Outcome, UsageReport, UsageSource
from usagestream_adapters.cli import main
from usagestream_adapters.cli.lines import table
from usagestream_adapters.report import moment, zone

from .conftest import NOON, Filer, Recorder


@pytest.fixture(autouse=True)
def _nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("USAGESTREAM_LEDGER", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def run(*words: str | Path, **more: Any) -> Result:
    """What the command says."""
    return CliRunner().invoke(main, ["report", *map(str, words)], **more)


def rows(*words: str | Path) -> list[dict[str, Any]]:
    """The rows that it gives as JSON."""
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_json_is_an_array_of_objects(record: Recorder, filed: Filer) -> None:
    """The group's names, then the figures; the cost as a string."""
    path = filed([record(tags={"customer": "acme"}), record("o3", rate=None)])
    acme, other = rows(path, "--by", "model, tag:customer")
    assert (acme["model"], acme["tag:customer"], acme["cost"]) == ("gpt-4o", "acme", "0.00101")
    assert (other["tag:customer"], other["cost"], other["unpriced"]) == (None, None, 1)


def test_several_files_and_standard_input_are_one_report(record: Recorder, filed: Filer) -> None:
    """`-` is standard input."""
    one, two = filed([record()], "one"), filed([record(), record()], "two")
    assert rows(one, two)[0]["streams"] == 3
    result = run("-", one, "--json", input=two.read_text("utf-8"))
    assert json.loads(result.stdout)[0]["streams"] == 3


def test_picks_by_time_and_by_tag(record: Recorder, filed: Filer) -> None:
    """What `--since`, `--until` and `--where` leave out is not counted."""
    tags = {"team": "search"}
    records = [record(at=NOON + timedelta(days=day), tags=tags) for day in range(4)]
    path = filed([*records, record()])
    assert rows(path, "--since", "2026-11-21", "--until", "2026-11-23")[0]["streams"] == 2
    assert rows(path, "--where", "tag:team=search")[0]["streams"] == 4
    assert rows(path, "--since", "2026-11-20T14:00", "--timezone", "Europe/Berlin") != []
    assert rows(path, "--where", "model=o3") == []


def test_days_ago_are_counted_from_now(record: Recorder, filed: Filer) -> None:
    """As most people ask for it."""
    now = datetime.now(UTC)
    path = filed([record(at=now - timedelta(days=days)) for days in (0, 2, 9)])
    assert rows(path, "--since", "7d")[0]["streams"] == 2


def test_lines_that_are_no_records_are_counted(record: Recorder, filed: Filer) -> None:
    """The report is made of the others; the first is named."""
    path = filed([record()])
    path.write_text('{"model": "half\n\n' + path.read_text("utf-8") + "[]\n", "utf-8")
    result = run(path, "--json")
    assert json.loads(result.stdout)[0]["streams"] == 1
    assert f"{path}: 2 lines are no record; the first is line 1." in result.stderr
    path.write_text("nonsense", "utf-8")
    assert "1 line is no record" in run(path).stderr


def test_a_table_has_a_line_for_each_group_and_a_total(record: Recorder, filed: Filer) -> None:
    """Columns in which there is nothing are left out."""
    path = filed([record(tags={"a": "x\ny"}), record("o3", rate=None)])
    head, first, second, total = run(path, "--by", "model,tag:a").output.splitlines()
    assert head.split() == [
        *("model", "tag:a", "streams", "input", "output"),
        *("cost", "USD", "unpriced", "p50", "p95"),
    ]
    assert first.split()[:7] == ["gpt-4o", "x\\ny", "1", "1,000", "100", "0.001010", "-"]
    assert second.split()[:7] == ["o3", "-", "1", "1,000", "100", "-", "1"]
    assert total.split()[:6] == ["total", "2", "2,000", "200", "0.001010", "1"]
    assert first.endswith("  0.49 s  0.49 s")


def test_a_table_of_one_line_has_no_total(record: Recorder, filed: Filer) -> None:
    """It would say the same."""
    assert len(run(filed([record()])).output.splitlines()) == 2
    assert run(filed([])).output == "No streams.\n"


def test_a_table_says_what_is_not_reported(record: Recorder, filed: Filer) -> None:
    """Shares of all streams, and that there may have been more."""
    guess = record(source=UsageSource.ESTIMATED, counts={"lower_bound": True})
    text = run(filed([record(), record(), record(), guess])).output
    assert text.endswith("Usage: 75 % reported, 25 % estimated. Some of it may have been more.\n")


def test_a_name_that_is_long_is_cut(record: Recorder, filed: Filer) -> None:
    """Nobody's tag makes the table unreadable."""
    text = run(filed([record("m" * 500)])).output
    assert f"{'m' * 57}..." in text
    assert "m" * 58 not in text


def test_a_table_fits_a_narrow_terminal(record: Recorder) -> None:
    """Each line of the report below the other, with all that the columns say."""
    report = UsageReport(["model", "tag:customer"])
    guess = record(
        "b", source=UsageSource.ESTIMATED, outcome=Outcome.FAILED, tags={"customer": "c"}
    )
    unknown = {"source": UsageSource.UNKNOWN, "read": None, "written": None, "first": None}
    for each in (record(), record(currency="EUR"), guess, guess, record("u", **unknown)):
        report.add(each)
    text = table(report, width=60)
    assert max(map(len, text.splitlines())) <= 60
    assert "b, c\n  2 streams, 2 failed, 0.002020 USD estimated, 2,000 in," in text
    assert "0.001010 EUR besides" in text
    assert "u, -\n  1 stream, 1 unpriced, 100 % unknown" in text
    assert "\ntotal\n  5 streams" in text


def test_a_report_of_everything_is_one_line(record: Recorder, filed: Filer) -> None:
    """Grouped by nothing."""
    path = filed([record(), record("o3")])
    assert rows(path, "--by", "")[0]["streams"] == 2
    assert run(path, "--by", "").output.splitlines()[0].split()[0] == "streams"
    report = UsageReport([])
    report.add(record())
    assert table(report, width=30).startswith("total\n  1 stream, ")


def test_money_is_shown_with_four_digits_or_cents(record: Recorder, filed: Filer) -> None:
    """In full there is JSON."""
    path = filed([record("a", rate="123456.789", written=0), record("b", rate="0", written=0)])
    lines = run(path).output.splitlines()
    assert [line.split()[4] for line in lines[1:3]] == ["123.46", "0.00"]


@pytest.mark.slow
def test_a_terminal_gives_its_width(record: Recorder, filed: Filer) -> None:
    """At 60 columns nothing is broken by the terminal."""
    path = filed([record(), record("o3", source=UsageSource.ESTIMATED)])
    seen = on_a_terminal("report", str(path), columns=60)
    lines = seen.output.decode().splitlines()
    assert seen.status == 0
    assert max(map(len, lines)) <= 60
    assert "o3" in lines


def test_csv_has_the_same_rows(record: Recorder, filed: Filer) -> None:
    """What is not known is an empty cell."""
    path = filed([record(), record(currency="EUR"), record("o3", rate=None)])
    found = list(csv.DictReader(io.StringIO(run(path, "--csv").output)))
    expected = rows(path)
    assert list(found[0]) == list(expected[0])
    assert [row["cost"] for row in found] == ["0.00101", ""]
    assert json.loads(found[0]["other_costs"]) == expected[0]["other_costs"]
    assert found[0]["lower_bound"] == "false"


def test_parquet_has_the_same_rows(record: Recorder, filed: Filer, tmp_path: Path) -> None:
    """Money is decimal."""
    parquet: Any = pytest.importorskip("pyarrow.parquet")
    path, out = filed([record(), record("o3", rate=None)]), tmp_path / "out.parquet"
    assert run(path, "--parquet", out).exit_code == 0
    found = parquet.read_table(out).to_pylist()
    assert [row["cost"] for row in found] == [Decimal("0.00101"), None]
    for each, expected in zip(found, rows(path), strict=True):
        same = {name: each[name] for name in expected if name not in _MONEY}
        assert same == {name: expected[name] for name in same} | {"other_costs": "{}"}
    assert "cannot be written" in run(path, "--parquet", tmp_path / "no" / "where").stderr


_MONEY = ("cost", "cost_reported", "cost_estimated")


def test_parquet_names_what_is_missing(
    record: Recorder, filed: Filer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its pip line."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = run(filed([record()]), "--parquet", tmp_path / "out")
    assert result.exit_code == 1
    assert 'pip install "usagestream[parquet]"' in result.stderr


def test_focus_has_a_row_for_each_kind_of_token(record: Recorder, filed: Filer) -> None:
    """A day of it, and the sums of the costs."""
    counts = {"cache_read_tokens": 400, "output_audio_tokens": 10}
    more: dict[str, Any] = {
        "counts": counts,
        "provider": "azure",
        "deployment": "chat",
        "endpoint": "x.openai.azure.com",
        "profile": "prod",
        "region": "East US 2",
        "tags": {"team": "ads"},
    }
    result = run(filed([record(**more), record(**more), record(rate=None)]), "--focus")
    assert "1 stream has no cost, and no row here." in result.stderr
    found = {row["SkuMeter"]: row for row in csv.DictReader(io.StringIO(result.stdout))}
    assert {kind: row["ConsumedQuantity"] for kind, row in found.items()} == {
        "cache_read": "800.0",
        "input": "1200.0",
        "output": "180.0",
        "output_audio": "20.0",
    }
    row = found["input"]
    assert (row["BilledCost"], row["BillingCurrency"], row["x_Streams"]) == ("0.0012", "USD", "2")
    assert (row["ListUnitPrice"], row["PricingUnit"]) == ("0.000001", "Tokens")
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == (
        *("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"),
    )
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == (
        *("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
    )
    assert (row["ProviderName"], row["ServiceName"]) == ("Microsoft", "Azure OpenAI")
    assert (row["ResourceId"], row["SubAccountId"]) == ("chat", "prod")
    assert (row["RegionId"], row["RegionName"]) == ("East US 2", "East US 2")
    assert (row["x_Basis"], json.loads(row["Tags"])) == ("reported", {"team": "ads"})
    assert row["ServiceSubcategory"] == "Generative AI"


def test_focus_takes_what_the_report_takes(record: Recorder, filed: Filer) -> None:
    """Tokens that contradict each other give no negative quantity; those without cost, no row."""
    odd = record(read=100, written=0, counts={"cache_read_tokens": 300}, provider="other")
    result = run(filed([odd, record("o3")]), "--focus", "--where", "model=gpt-4o")
    found = {row["SkuMeter"]: row for row in csv.DictReader(io.StringIO(result.stdout))}
    assert {kind: row["ConsumedQuantity"] for kind, row in found.items()} == {"cache_read": "300.0"}
    assert found["cache_read"]["ProviderName"] == "other"
    unpriced = run(filed([record(rate=None), record(rate=None)]), "--focus")
    assert unpriced.stderr == "2 streams have no cost, and no row here.\n"


def test_a_focus_row_without_tokens_has_no_price_of_one(record: Recorder, filed: Filer) -> None:
    """A part that cost something, of which the counts say that there was none."""
    written = {"cache_write_30m_tokens": 50}
    result = run(filed([record(read=100, written=0, counts=written)]), "--focus")
    found = {row["SkuMeter"]: row for row in csv.DictReader(io.StringIO(result.stdout))}
    assert (found["cache_write"]["BilledCost"], found["cache_write"]["ListUnitPrice"]) == (
        *("0.00005", ""),
    )


def test_a_pipe_is_read_as_a_file_is(record: Recorder, filed: Filer, tmp_path: Path) -> None:
    """As `<(zcat old.gz)` is one; nothing of it is lost to finding out what it is."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    lines = filed([record(), record()]).read_bytes()
    with ThreadPoolExecutor() as pool:
        written = pool.submit(pipe.write_bytes, lines)
        (line,) = json.loads(run(pipe, "--json").stdout)
        assert written.result(20) == len(lines)
    assert line["streams"] == 2


def test_a_page_that_cannot_be_written(record: Recorder, filed: Filer, tmp_path: Path) -> None:
    """The reason is a sentence."""
    page = tmp_path / "none" / "page.html"
    failed = run(filed([record()]), "--html", page)
    assert failed.exit_code == 1
    assert f"{page} cannot be written: No such file or directory." in failed.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no.jsonl"], "There is no file no.jsonl. Name a file of JSON lines, or a ledger"),
        (["."], ". is a folder. Name a file of JSON lines, or a ledger: sqlite:///usage.db."),
        ([], "none is configured: name a file of JSON lines or a ledger, as sqlite:///usage.db"),
        (["-", "--by", "modle"], "knows no 'modle'"),
        (["-", "--since", "7x"], "'7x' is no time. Write a day"),
        (["-", "--since", "999999d"], "is no time"),
        (["-", "--since", "2026-11-02", "--until", "2026-11-01"], "is not after --since"),
        (["-", "--where", "team"], "--where takes NAME=VALUE"),
        (["-", "--timezone", "Mars"], "No time zone 'Mars' is known here"),
        (["-", "--timezone", "../etc"], "No time zone '../etc' is known here"),
        (["-", "--json", "--csv"], "--json and --csv do not go together"),
    ],
)
def test_wrong_input_says_what_is_right(words: list[str], said: str) -> None:
    """Before anything is read."""
    result = run(*words)
    assert result.exit_code in (1, 2)
    assert said in result.stderr


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A folder, or one that is not ours."""
    assert f"{tmp_path} is a folder." in run(tmp_path).stderr
    from usagestream_adapters.report import RecordFile

    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        list(RecordFile(str(tmp_path)))


def test_times_as_people_write_them() -> None:
    """Days begin at midnight of the time zone, also where its clock was turned since."""
    berlin = zone("Europe/Berlin")
    now = datetime(2026, 10, 26, 12, 30, tzinfo=UTC)

    def read(text: str) -> str:
        return moment(text, berlin, now=now).isoformat()

    assert read("today") == "2026-10-26T00:00:00+01:00"
    assert read("yesterday") == "2026-10-25T00:00:00+02:00"
    assert read("2w") == "2026-10-12T00:00:00+02:00"
    assert read("48h") == "2026-10-24T14:30:00+02:00"
    assert read("2026-10-01") == "2026-10-01T00:00:00+02:00"
    assert read("2026-10-01T10:00Z") == "2026-10-01T10:00:00+00:00"
    assert read("now") == "2026-10-26T13:30:00+01:00"
    assert moment("now", UTC).tzinfo is UTC
