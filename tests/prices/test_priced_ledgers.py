"""The commands about prices on a ledger: which models have no price, and records priced anew."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from usagestream import Outcome, SqlLedger, Usage, UsageRecord, UsageReport, UsageSource
from usagestream_adapters.cli import reprice as reprice_module
from usagestream_adapters.cli.command import main
from usagestream_adapters.ledger import LedgerReader

NOW = datetime(2026, 11, 27, tzinfo=UTC)
CHEAPER = '[[price]]\nmodel = "gpt-4o"\ninput = "1"\noutput = "1"\n'


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, and no spool of the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("USAGESTREAM_LEDGER_SPOOL", str(tmp_path / "spool"))
    (tmp_path / "p.toml").write_text(CHEAPER)


def kept(*models: str, **more: Any) -> str:
    """The URL of a ledger with a record of each model."""
    counts = {"input_tokens": 1000, "output_tokens": 100, "source": UsageSource.REPORTED}
    with SqlLedger("sqlite:///usage.db") as ledger:
        for model in models:
            facts: dict[str, Any] = {"started_at": NOW, "ended_at": NOW, **more}
            usage = Usage.model_validate(counts)
            ledger.end(
                UsageRecord(
                    provider="openai", model=model, outcome=Outcome.COMPLETED, usage=usage, **facts
                )
            )
    return "sqlite:///usage.db"


def costs() -> list[tuple[str, list[str]]]:
    """What each record costs, and what it cost before."""
    reader = LedgerReader("sqlite:///usage.db")
    found = [
        (str(each.cost), [str(cost) for cost in each.earlier_costs])
        for each in reader.records(UsageReport(["model"]))
    ]
    reader.close()
    return found


def run(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("source", ["sqlite:///usage.db", "usage.db"])
def test_models_without_a_price_are_named(source: str) -> None:
    """Those of a ledger, by its URL or by its file."""
    kept("gpt-9", "gpt-4o", "gpt-9")
    checked = run("prices", "--check", source)
    assert checked.exit_code == 1
    assert checked.stdout == "openai gpt-9: no price, 2 records\n"


def test_records_are_repriced_where_they_are() -> None:
    """The new cost is written back, the old one beside it; reports say the new one."""
    url = kept("gpt-4o", "gpt-9")
    first = run("reprice", url)
    assert first.stdout.splitlines()[0] == "1 of 2 records cost something else."
    assert ("0.0035 USD", []) in costs()
    second = json.loads(run("reprice", url, "--prices", "p.toml", "--json").stdout)
    assert second == {
        "records": 2,
        "changed": 1,
        "before": "0.0035 USD reported",
        "after": "0.0011 USD reported",
    }
    assert ("0.0011 USD", ["0.0035 USD"]) in costs()
    report = json.loads(run("report", url, "--json").stdout)
    assert {row["model"]: row["cost"] for row in report} == {"gpt-4o": "0.0011", "gpt-9": None}


def test_a_dry_run_and_what_began_before_change_nothing() -> None:
    """It is said all the same."""
    url = kept("gpt-4o")
    assert run("reprice", url, "--dry-run").stdout.startswith("1 of 1 records")
    assert run("reprice", url, "--since", "2026-11-28").stdout.startswith("0 of 0 records")
    assert costs() == [("None", [])]


def test_many_are_handed_over_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger is larger than what may wait."""
    monkeypatch.setattr(reprice_module, "_AT_ONCE", 2)
    url = kept(*["gpt-4o"] * 5)
    assert run("reprice", url).exit_code == 0
    assert costs() == [("0.0035 USD", [])] * 5


@pytest.mark.parametrize("flushed", [True, False])
def test_a_ledger_that_cannot_be_written_to(flushed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence, and a status; what was not written can be priced again."""
    url = kept("gpt-4o")
    away = "database is locked" if flushed else None

    def flush(ledger: SqlLedger, seconds: float) -> bool:
        return flushed

    monkeypatch.setattr(SqlLedger, "flush", flush)
    monkeypatch.setattr(SqlLedger, "away", away)
    failed = run("reprice", url)
    assert failed.exit_code == 1
    assert (away or "it takes too long") in failed.stderr
    assert "reprice again once it is back" in failed.stderr
