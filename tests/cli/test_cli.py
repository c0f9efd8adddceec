"""The command does what its help says, piped and on a terminal."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from usagestream import Outcome, RecordedError, Usage, UsageRecord
from usagestream_adapters.cli import command as cli
from usagestream_adapters.cli.figures import summary
from usagestream_adapters.emulator import Emulator

QUESTION = cli.DEMO_QUESTION
CASSETTES = Path(__file__).parents[2] / "cassettes"


def run(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(cli.main, arguments)


def test_demo_shows_usage_on_the_last_chunk_of_each_provider_only() -> None:
    """Every chunk line says `usage -` but the last of each provider."""
    result = run("demo")
    lines = [line for line in result.output.splitlines() if line.startswith("  chunk")]
    with_usage = [line for line in lines if "usage -" not in line]
    assert result.exit_code == 0
    assert len(with_usage) == 2
    assert all("input 18, output 2, total 20 (reported)" in line for line in with_usage)


def test_demo_compares_the_two_usages() -> None:
    """The last line is the verdict."""
    assert run("demo").output.splitlines()[-1] == "The two usages agree."


def test_demo_prints_both_records_as_json() -> None:
    """`--json` gives two records that load again."""
    shown = json.loads(run("demo", "--json").output)
    records = [UsageRecord.model_validate(record) for record in shown["records"]]
    assert shown["agree"] is True
    assert [record.provider for record in records] == ["openai", "azure"]


def test_demo_exits_with_1_where_the_usages_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts can rely on the exit status."""
    profiles = cli.demo_profiles

    def uneven(openai_base_url: str, azure_endpoint: str) -> dict[str, object]:
        made = profiles(openai_base_url, azure_endpoint)
        made["Azure OpenAI"] = made["Azure OpenAI"].model_copy(update={"include_usage": "never"})
        return dict(made)

    monkeypatch.setattr(cli, "demo_profiles", uneven)
    result = run("demo")
    assert result.exit_code == 1
    assert result.output.splitlines()[-1] == "The two usages DIFFER."


@pytest.mark.slow
def test_demo_is_rich_on_a_terminal() -> None:
    """On a terminal the output is styled."""
    primary, secondary = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
    program = [sys.executable, "-m", "usagestream", "demo"]
    with subprocess.Popen(program, stdout=secondary, stderr=secondary, env=environment) as process:
        os.close(secondary)
        shown = b""
        while data := _read(primary):
            shown += data
    os.close(primary)
    assert process.returncode == 0
    assert b"\x1b[" in shown


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # Linux says the other side of a pseudo-terminal is gone this way
        return b""


@pytest.mark.usefixtures("openai_environment")
def test_chat_writes_the_answer_to_stdout_and_its_cost_to_stderr() -> None:
    """A pipe gets the answer alone."""
    result = run("chat", QUESTION)
    assert result.stdout == "Two\n"
    assert "openai gpt-4o-mini" in result.stderr
    assert "input 18, output 2, total 20 (reported), completed" in result.stderr


@pytest.mark.usefixtures("openai_environment")
def test_chat_prints_the_record_as_json() -> None:
    """`--json` gives the record alone."""
    result = run("chat", QUESTION, "--json", "--provider", "openai", "--model", "gpt-4o")
    record = UsageRecord.model_validate_json(result.stdout)
    assert record.model == "gpt-4o"
    assert result.stderr == ""


@pytest.mark.usefixtures("openai_environment")
def test_chat_through_azure(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--provider azure` reads Azure's variables."""
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.azure_endpoint)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "test-key")
    result = run("chat", QUESTION, "--provider", "azure")
    assert result.stdout == "Two\n"
    assert result.stderr.startswith("azure gpt-4o-mini")


@pytest.mark.usefixtures("openai_environment")
def test_chat_says_what_went_wrong_and_what_is_known() -> None:
    """A refusal is a sentence on standard error, with the outcome, and exit status 1."""
    result = run("chat", QUESTION, "--model", "missing-model")
    assert result.exit_code == 1
    assert "rejected" in result.stderr
    assert "Error: openai refused the request (404 model_not_found)" in result.stderr


def test_chat_without_configuration_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing configured, it names the variables and the demo, with exit status 2."""
    for name in [name for name in os.environ if name.startswith(("OPENAI_", "AZURE_"))]:
        monkeypatch.delenv(name)
    result = run("chat", QUESTION)
    assert result.exit_code == 2
    for word in ("OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "usagestream demo"):
        assert word in result.stderr


@pytest.mark.usefixtures("openai_environment")
def test_chat_takes_a_provider_or_a_profile() -> None:
    """Two answers to one question are refused."""
    result = run("chat", QUESTION, "--provider", "openai", "--profile", "azure")
    assert result.exit_code == 2
    assert "not both" in result.stderr


@pytest.mark.parametrize("command", ["emulate", f"cassettes serve {CASSETTES}"])
def test_a_port_that_is_taken(command: str, server: Emulator) -> None:
    """One line says so, and what to do."""
    port = server.url.rpartition(":")[2]
    result = run(*command.split(), "--port", port)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: Cannot listen on 127.0.0.1:{port}: Address already in")
    assert "Choose another --port" in result.stderr


def test_an_emulator_without_a_tokenizer_says_so(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before somebody asks it what it cannot count."""
    monkeypatch.setitem(sys.modules, "bpe_openai", None)
    result = run("emulate", "--port", server.url.rpartition(":")[2])
    assert result.stderr.startswith("There is no tokenizer here")
    assert 'pip install "usagestream[estimate]"' in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", ["emulate", f"cassettes serve {CASSETTES}"])
def test_a_server_prints_its_addresses_and_serves_until_interrupted(command: str) -> None:
    """It says where it listens, as variables to set, and stops quietly on Ctrl-C."""
    program = [sys.executable, "-m", "usagestream", *command.split(), "--port", "0"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A shell lets what it runs in the background ignore Ctrl-C, and that is inherited.
    pipes["preexec_fn"] = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(program, **pipes) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            shown = [process.stdout.readline(), process.stdout.readline()]
            said = process.stderr.readline()
            process.send_signal(signal.SIGINT)
            _, complaint = process.communicate(timeout=120)
        finally:
            process.kill()  # or a failure would wait for it without end
    assert [line.partition("=http://127.0.0.1:")[0] for line in shown] == [
        "export OPENAI_BASE_URL",
        "export AZURE_OPENAI_ENDPOINT",
    ]
    assert process.returncode == 0
    assert (said, complaint) == ("Any key will do. Press Ctrl-C to stop.\n", "")


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"usage": Usage(output_tokens=2)}, "no price known"),
        ({"usage": Usage()}, "no cost known"),
        ({"provider": "azure", "error": RecordedError(type="RateLimitError")}, "no cost known"),
        ({"error": RecordedError(type="ContentFilterError")}, "no cost known"),
        (
            {"provider": "azure", "error": RecordedError(type="ContentFilterError")},
            "charged for, and by how much is not reported",
        ),
    ],
)
def test_why_a_stream_has_no_cost(facts: dict[str, Any], says: str) -> None:
    """Nothing was counted, or nothing is known of the price; Azure charges for blocked prompts."""
    now = datetime(2026, 11, 28, tzinfo=UTC)
    told: dict[str, Any] = {"provider": "openai", "usage": Usage()}
    told |= {"started_at": now, "ended_at": now, **facts}
    record = UsageRecord(model="m", outcome=Outcome.REJECTED, **told)
    assert summary(record).endswith(f", rejected, 0.00 s, {says}")
