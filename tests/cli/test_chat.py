"""What `usagestream chat` takes, asks and keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from usagestream import Emulator, JsonLinesSink, Scenario, UsageReport
from usagestream_adapters.cli import chat as chat_module
from usagestream_adapters.cli.answers import Plain
from usagestream_adapters.cli.command import DEMO_QUESTION, main
from usagestream_adapters.ledger import LedgerReader
from usagestream_adapters.openai import OpenAIAdapter

pytestmark = pytest.mark.usefixtures("openai_environment")


def run(*arguments: str, piped: str | bytes | None = None) -> Result:
    """Run `chat` in this process."""
    return CliRunner().invoke(main, ["chat", *arguments], input=piped)


@pytest.mark.parametrize("arguments", [["-"], []])
def test_the_question_can_be_piped_in(arguments: list[str], server: Emulator) -> None:
    """With `-`, or without a question; however it is encoded."""
    result = run(*arguments, piped=b"\xef\xbb\xbfWhat's 1+1?\xff\n")
    assert result.exit_code == 0
    (request,) = server.requests
    assert request.body["messages"] == [{"role": "user", "content": "What's 1+1?\ufffd"}]


def test_a_pipe_without_a_question() -> None:
    """Nothing is asked."""
    result = run(piped=" \n")
    assert result.exit_code == 2
    assert "There is no question" in result.stderr


def test_the_sdk_is_loaded_before_the_clock_runs(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The seconds on the screen are the provider's."""
    done: list[str] = []
    warm, read = OpenAIAdapter.warm, Plain.read

    def warmed(self: OpenAIAdapter, *request: Any, **how: Any) -> None:
        done.append("loaded")
        warm(self, *request, **how)

    def reading(self: Plain) -> BaseException | None:
        done.append("asked")
        return read(self)

    monkeypatch.setattr(OpenAIAdapter, "warm", warmed)
    monkeypatch.setattr(Plain, "read", reading)
    assert run("hi").exit_code == 0
    assert done[:2] == ["loaded", "asked"]


def test_what_is_asked(server: Emulator, tmp_path: Path) -> None:
    """The system message, the limit and the model are sent; the tags are on the saved record."""
    arguments = "--system Short. --max-tokens 5 --model gpt-4o --tag team=search --tag k=a=b"
    result = run("Hello", *arguments.split(), "--save", str(tmp_path / "records.jsonl"))
    assert result.exit_code == 0
    body = server.requests[0].body
    assert body["messages"][0] == {"role": "system", "content": "Short."}
    assert (body["model"], body["max_completion_tokens"]) == ("gpt-4o", 5)
    (record,) = JsonLinesSink.read(tmp_path / "records.jsonl")
    assert record.tags == {"team": "search", "k": "a=b"}


@pytest.mark.parametrize("tag", ["team", "=search", ""])
def test_a_tag_without_a_name_or_a_value(tag: str) -> None:
    """It is refused, and shown."""
    result = run("Hello", "--tag", tag)
    assert result.exit_code == 2
    assert f"{tag!r}" in result.stderr


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """Said before anything is asked, or after."""
    result = run("Hello", "--save", str(tmp_path / "missing" / "records.jsonl"))
    assert result.exit_code == 2
    assert "--save: " in result.stderr


def test_a_record_that_could_not_be_saved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The answer and its cost are shown, and the exit status is 1."""

    def full(self: JsonLinesSink, record: object) -> None:
        raise OSError("There is no room")

    monkeypatch.setattr(JsonLinesSink, "__call__", full)
    result = run("Hello", "--save", str(tmp_path / "records.jsonl"))
    assert result.exit_code == 1
    assert "completed, " in result.stderr
    assert "could not be saved to" in result.stderr


def test_a_conversation_needs_a_terminal() -> None:
    """Where questions would come from a pipe, each would be the last."""
    result = run("Hello", "--continue")
    assert result.exit_code == 2
    assert "--continue needs a terminal" in result.stderr


def test_a_deployment_that_is_not_mapped(tmp_path: Path) -> None:
    """A mistake in the configuration that shows late is a sentence too."""
    (tmp_path / "usagestream.toml").write_text(
        '[profiles.mine]\nprovider = "azure"\nendpoint = "https://contoso.openai.azure.com"\n'
        'api_key = { env = "OPENAI_API_KEY" }\ndeployments = { "gpt-4o" = "chat" }\n'
        "listed_models_only = true\n",
        "utf-8",
    )
    result = run("Hello", "--profile", "mine")
    assert result.exit_code == 2
    assert "No deployment is listed for the model 'gpt-4o-mini'" in result.stderr


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lines that somebody types at a terminal; at their end, Ctrl-D."""
    lines: list[str] = []
    left: Iterator[str] = iter(())

    def read(prompt: str) -> str:
        nonlocal left
        if lines:
            left = iter([*lines])
            lines.clear()
        try:
            return next(left)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr(chat_module, "_is_typing", lambda: True)
    monkeypatch.setattr("builtins.input", read)
    return lines


def test_a_conversation(server: Emulator, typed: list[str]) -> None:
    """Each question goes with those before and their answers."""
    typed += ["And twice that?", "", "Thanks"]
    server.script(Scenario(text="Two"), Scenario(text="Four"), Scenario(text="Bye"))
    result = run("What's 1+1?", "--continue")
    assert result.exit_code == 0
    assert result.stdout == "Two\nFour\nBye\n\n"
    said = [message["content"] for message in server.requests[2].body["messages"]]
    assert said == ["What's 1+1?", "Two", "And twice that?", "Four", "Thanks"]


def test_a_conversation_without_a_first_question(server: Emulator, typed: list[str]) -> None:
    """At a terminal, `usagestream chat` is one."""
    typed += ["Hello"]
    server.script(Scenario(text="Hi"))
    assert run("--json").exit_code == 0
    assert len(server.requests) == 1


def test_a_question_that_failed_is_no_part_of_the_conversation(
    server: Emulator, typed: list[str]
) -> None:
    """It can be asked anew."""
    typed += ["Second"]
    server.script(Scenario(text=["half"], cut_after_frames=2), Scenario(text="Whole"))
    result = run("First", "--continue")
    assert "Error: " in result.stderr
    assert server.requests[1].body["messages"] == [{"role": "user", "content": "Second"}]
    assert result.exit_code == 0


def test_a_record_can_be_kept_in_a_ledger(
    server: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named by its URL."""
    monkeypatch.setenv("USAGESTREAM_LEDGER_SPOOL", str(tmp_path / "spool"))
    kept = CliRunner().invoke(main, ["chat", DEMO_QUESTION, "--save", "sqlite:///usage.db"])
    assert kept.exit_code == 0
    reader = LedgerReader("sqlite:///usage.db")
    (record,) = reader.records(UsageReport(["model"]))
    reader.close()
    assert record.usage.input_tokens == 18
    wrong = CliRunner().invoke(main, ["chat", DEMO_QUESTION, "--save", "mysql://nosuch"])
    assert wrong.exit_code == 2
    assert "sqlite:///usage.db" in wrong.stderr
