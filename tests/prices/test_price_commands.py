"""`usagestream prices` and `usagestream reprice`; what demo, chat and check say of money."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from usagestream import JsonLinesSink, Outcome, Usage, UsageRecord, UsageSource
from usagestream_adapters.cli import check as check_module
from usagestream_adapters.cli import main
from usagestream_adapters.cli import prices as prices_module
from usagestream_adapters.emulator import Emulator

NOW = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that the command runs in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    """What the command says."""
    return CliRunner().invoke(main, words)


def record(model: str = "gpt-4o", **more: Any) -> UsageRecord:
    """A record of OpenAI's, unless it says otherwise."""
    usage = Usage(input_tokens=1000, output_tokens=100, source=UsageSource.REPORTED)
    facts: dict[str, Any] = {"provider": "openai", "started_at": NOW, "usage": usage, **more}
    return UsageRecord(model=model, outcome=Outcome.COMPLETED, ended_at=NOW, **facts)


def kept(folder: Path, *records: UsageRecord) -> Path:
    """A file with these records."""
    path = folder / "records.jsonl"
    sink = JsonLinesSink(path)
    for each in records:
        sink(each)
    sink.close()
    return path


def test_what_a_model_costs() -> None:
    """Its rates, whence they are and of when; a long input's too."""
    shown = run("prices", "gpt-5.6-sol", "--date", "2026-09-01")
    lines = {line[:21].rstrip(): line[22:] for line in shown.output.splitlines()}
    assert shown.exit_code == 0
    assert lines["model"] == "gpt-5.6-sol"
    assert lines["source"].startswith("genai-prices 0.2.")
    assert lines["days"] == "since 2026-08-21, until 2026-11-22"
    assert (lines["tier"], lines["  input"], lines["  output"]) == ("standard", "4", "20")
    assert lines["  past"] == "272,000 input tokens, for the whole request:"
    assert lines["    cache_read"] == "0.8"
    assert "cost" not in lines


def test_what_so_many_tokens_cost() -> None:
    """At a tier, with a part of them cached."""
    asked = ["gpt-4o-mini", "--input", "1000", "--cached", "800", "--output", "200"]
    assert run("prices", *asked).output.splitlines()[-1].split() == ["cost", "0.00021", "USD"]
    flex = run("prices", "gpt-5", "--input", "1000", "--output", "100", "--tier", "flex")
    # 1,000 at 0.625 and 100 at 5
    assert flex.output.splitlines()[-1].split() == ["cost", "0.001125", "USD"]


def test_what_is_assumed_is_said() -> None:
    """Of an Azure deployment of a kind that nobody named, and of one in a data zone."""
    plain = run("prices", "gpt-4o", "--provider", "azure")
    assert "assumed               openai_list, global_deployment" in plain.output
    zone = run(
        *("prices", "gpt-5.4-mini", "--provider", "azure", "--scope", "data-zone"),
        *("--region", "Japan East", "--input", "1000000", "--output", "0", "--json"),
    )
    found = json.loads(zone.output)
    assert found["cost"]["total"] == "0.9"
    assert found["price"]["scope"] == "data-zone"
    text = run("prices", "gpt-4o", "--provider", "azure", "--scope", "global", "--output", "1")
    assert "scope                 global" in text.output
    assert "assumed               openai_list" in text.output


def test_what_has_no_price() -> None:
    """Said, with what to do about it."""
    shown = run("prices", "gpt-9")
    assert shown.exit_code == 1
    assert shown.output == (
        "Error: No price is known of 'gpt-9' of openai: a price file can give one.\n"
    )


def test_a_price_file_is_asked(folder: Path) -> None:
    """The one named, or the one in force."""
    entry = 'model = "mine"\ninput = "1"\noutput = "1"\n'
    (folder / "p.toml").write_text(f"[[price]]\n{entry}")
    named = run("prices", "mine", "--prices", "p.toml", "--json")
    assert json.loads(named.output)["price"]["source"].startswith("file:p.toml#")
    assert json.loads(named.output)["cost"] is None
    (folder / "usagestream.toml").write_text(f"[[prices.price]]\n{entry}")
    assert "file:usagestream.toml#" in run("prices", "mine").output
    (folder / "p.toml").write_text("[[price]]\n")
    wrong = run("prices", "mine", "--prices", "p.toml")
    assert wrong.exit_code == 1
    assert "p.toml:1: price: says no price" in wrong.output


def test_all_models_of_a_provider(folder: Path) -> None:
    """Those that have a price, the file's first."""
    (folder / "p.toml").write_text('[[price]]\nmodel = "mine"\ninput = "1"\noutput = "2"\n')
    shown = run("prices", "--prices", "p.toml")
    lines = shown.stdout.splitlines()
    assert lines[0].split(maxsplit=1) == ["mine", "input 1, output 2 USD"]
    assert any(
        line.split(maxsplit=1) == ["gpt-4o", "input 2.5, cache_read 1.25, output 10 USD"]
        for line in lines
    )
    assert not [line for line in lines if line.startswith("whisper")]
    assert shown.stderr == f"{len(lines)} models, for 1,000,000 tokens.\n"
    listed = json.loads(run("prices", "--provider", "azure", "--json").output)
    assert listed["o3-2025-04-16"]["rates"]["input"] == "2"
    nobody = run("prices", "--provider", "nobody", "--json")
    assert (json.loads(nobody.output), nobody.exit_code) == ({}, 1)


def test_models_without_a_price_are_named(folder: Path) -> None:
    """Of a file of records; the most frequent first."""
    own = [record("gpt-9"), record("m", response_model="gpt-10"), record("gpt-9"), record()]
    path = kept(folder, *own)
    shown = run("prices", "--check", str(path))
    assert shown.exit_code == 1
    assert shown.stdout == "openai gpt-9: no price, 2 records\nopenai gpt-10: no price, 1 record\n"
    assert shown.stderr == "3 of 4 records without a price.\n"
    found = json.loads(run("prices", "--check", str(path), "--json").output)
    assert found["records"] == 4
    assert found["unpriced"][0] == {"provider": "openai", "model": "gpt-9", "records": 2}
    path.unlink()
    fine = run("prices", "--check", str(kept(folder, record())))
    assert (fine.exit_code, fine.stdout) == (0, "")
    assert fine.stderr == "None of 1 records without a price.\n"


def test_no_list_and_no_file(without_list: Callable[[], None]) -> None:
    """A sentence that names the extra."""
    without_list()
    shown = run("prices", "gpt-4o")
    assert shown.exit_code == 1
    assert 'pip install "usagestream[prices]"' in shown.output


CHEAPER = '[[price]]\nmodel = "gpt-4o"\ninput = "1"\noutput = "1"\n'


def test_records_are_repriced_into_another_file(folder: Path) -> None:
    """From a day on; what is no record is kept as it is, and the old cost beside the new one."""
    (folder / "p.toml").write_text(CHEAPER)
    early = record(started_at=datetime(2026, 10, 1, tzinfo=UTC))
    path = kept(folder, early, record())
    first = run("reprice", str(path), "--output", "priced.jsonl")
    assert (
        first.output
        == "2 of 2 records cost something else.\nbefore  2 unpriced\nafter   0.007 USD reported\n"
    )
    priced = folder / "priced.jsonl"
    with priced.open("ab") as file:
        file.write(b"torn {\n")
    again = ("--since", "2026-11-01", "--prices", "p.toml")
    second = run("reprice", str(priced), *again, "--output", "again.jsonl", "--json")
    assert json.loads(second.output) == {
        "records": 2,
        "changed": 1,
        "before": "0.0035 USD reported",
        "after": "0.0011 USD reported",
    }
    assert (folder / "again.jsonl").read_bytes().endswith(b"torn {\n")
    assert not list(folder.glob("*.part"))
    old, new = JsonLinesSink.read(folder / "again.jsonl")
    assert [str(each) for each in new.earlier_costs] == ["0.0035 USD"]
    assert (str(new.cost), str(old.cost), old.earlier_costs) == ("0.0011 USD", "0.0035 USD", ())


def test_without_output_nothing_is_written(folder: Path) -> None:
    """What would change is said."""
    path = kept(folder, record("gpt-9"))
    before = path.read_bytes()
    assert run("reprice", str(path)).stdout == "0 of 1 records cost something else.\n"
    assert path.read_bytes() == before
    assert [each.name for each in folder.iterdir()] == ["records.jsonl"]


def test_no_file_is_written_over(folder: Path) -> None:
    """Above all not the one that is read, which a program may be adding to."""
    path = kept(folder, record())
    (folder / "other").write_text("")
    for name, says in (("records.jsonl", "may be adding to it"), ("other", "is there already:")):
        shown = run("reprice", str(path), "--output", name)
        assert shown.exit_code == 1
        assert says in shown.output
    nowhere = run("reprice", str(path), "--output", "no/such/folder")
    assert "cannot be written" in nowhere.output


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    """OpenAI, played by the emulator."""
    with Emulator() as server:
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        monkeypatch.setenv("OPENAI_BASE_URL", server.openai_base_url)
        yield server


def test_chat_says_what_it_cost(environment: Emulator) -> None:
    """In money, or that no price is known."""
    question = "What's 1+1? Answer in one word."
    known = run("chat", question, "--provider", "openai")
    assert known.stderr.endswith(" s, 0.0000039 USD\n")
    unknown = run("chat", question, "--provider", "openai", "--model", "gpt-4o-fantasy")
    assert unknown.stderr.endswith(" s, no price known\n")


def test_check_says_what_it_cost(environment: Emulator, without_list: Callable[[], None]) -> None:
    """By which list, and what that assumes; that a price is missing is no fault of a profile."""
    shown = run("check", "openai")
    assert shown.exit_code == 0
    assert "(reported); cost 0.0000039 USD by genai-prices 0.2." in shown.output
    assert ", assuming openai_list" in shown.output
    unknown = run("check", "openai", "--model", "gpt-4o-fantasy")
    assert unknown.exit_code == 0
    assert "cost not known: no price of this model, or no count of it" in unknown.output
    without_list()
    without = run("check", "openai")
    assert without.exit_code == 0
    assert 'cost not known: There is no price list here: pip install "usagestream[prices]"' in (
        without.output
    )


def test_an_own_list_has_no_assumption() -> None:
    """Nothing is appended where nothing was assumed."""
    from usagestream_adapters.prices import PriceList
    from usagestream_core.pricing import costs_by
    from usagestream_core.streams.parts import Parts

    priced = Parts().priced(record(), costs_by(PriceList()))
    assert check_module._cost(priced).startswith("cost 0.0035 USD by genai-prices")
    assert "assuming" not in check_module._cost(priced)
    assert prices_module.price_list(None) is not None


def test_the_demo_shows_costs(without_list: Callable[[], None]) -> None:
    """Of both; without a list there is no such line."""
    assert "cost                        0.0000039 USD  0.0000039 USD" in run("demo").output
    without_list()
    assert "cost" not in run("demo").output
