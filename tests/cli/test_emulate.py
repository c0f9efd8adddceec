"""`usagestream emulate`: what is played, and what goes wrong in it, by options."""

from __future__ import annotations

import importlib
import shlex
from typing import Any

import pytest
from click.testing import CliRunner, Result
from openai import OpenAI
from pydantic import SecretStr

from usagestream import Client, OpenAIProfile, StreamTruncatedError
from usagestream_adapters.cli import main
from usagestream_adapters.emulator import Emulator
from usagestream_core.errors import ProviderError, RateLimitError

SERVE = "serve_until_interrupted"
ASK: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "What's 1+1? Answer in one word."}],
}


def play(monkeypatch: pytest.MonkeyPatch, *options: str) -> tuple[Emulator | None, Result]:
    """Run the command without serving: the emulator it made, and what it printed."""
    made: list[Emulator] = []

    def serve(server: Emulator, host: str, port: int) -> None:
        made.append(server)

    monkeypatch.setattr(importlib.import_module("usagestream_adapters.cli.emulate"), SERVE, serve)
    # At a port that is free: the command's own may be that of a test beside this one.
    result = CliRunner().invoke(main, ["emulate", "--port=0", *options])
    return (made[0] if made else None), result


def answer(server: Emulator | None) -> str:
    """Ask it."""
    assert server is not None
    with server:
        key = SecretStr("any-key")
        made = OpenAIProfile(api_key=key, max_retries=0, base_url=server.openai_base_url)
        with Client(made) as client, client.stream(**ASK) as stream:
            return stream.text()


def test_by_default_it_answers_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's question has an answer of one word."""
    server, _ = play(monkeypatch)
    assert answer(server) == "Two"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--text", "Four."], "Four."),
        (["--scenario", "length"], "This answer stops in the"),
        (["--scenario", "two_choices", "--text", "Four."], "Four."),
        (["--scenario", "tool-calls", "--text", "Four.", "--delay", "0.01"], "Four."),
    ],
)
def test_what_is_said(monkeypatch: pytest.MonkeyPatch, options: list[str], said: str) -> None:
    """By its text, or by what happens, in either spelling of its name; the text wins."""
    server, _ = play(monkeypatch, *options)
    assert answer(server) == said


def test_what_is_said_may_be_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause stands between two frames."""
    server, _ = play(monkeypatch, "--delay", "0.05")
    assert server is not None
    with server:
        client = OpenAI(base_url=server.openai_base_url, api_key="any-key")
        chunks = list(client.chat.completions.create(**ASK, stream=True))
        assert len(chunks) >= 3


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("cut", StreamTruncatedError),
        ("rate-limit", RateLimitError),
        ("server_error", ProviderError),
    ],
)
def test_what_goes_wrong(
    monkeypatch: pytest.MonkeyPatch, fault: str, error: type[Exception]
) -> None:
    """Whatever is said."""
    server, _ = play(monkeypatch, "--fault", fault, "--text", "one two three four")
    with pytest.raises(error):
        answer(server)


@pytest.mark.parametrize("option", ["--scenario", "--fault"])
def test_every_name_is_listed_and_can_be_played(
    monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    """One a line."""
    _, result = play(monkeypatch, option, "list")
    names = result.output.split()
    assert len(names) > 8
    for name in names:
        server, played = play(monkeypatch, option, name)
        assert server is not None, played.output


@pytest.mark.parametrize("option", ["--scenario", "--fault"])
def test_a_name_that_is_none_is_refused_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    """In one message."""
    server, result = play(monkeypatch, option, "earthquake")
    assert server is None
    assert result.exit_code == 2
    assert "there is no 'earthquake'; there are: " in " ".join(result.output.split())


def test_the_lines_are_ready_for_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """With keys, so that no real one is sent to it."""
    monkeypatch.setattr(Emulator, "serve_forever", _only_shown)
    result = CliRunner().invoke(main, ["emulate", "--port", "0"])
    words = [shlex.split(line) for line in result.stdout.splitlines()]
    assert [line[0] for line in words] == ["export", "export"]
    names = [word.partition("=")[0] for line in words for word in line[1:]]
    assert names == [
        "OPENAI_BASE_URL",
        "OPENAI_API_KEY",
        "AZURE_OPENAI_ENDPOINT",
        "AZURE_OPENAI_API_KEY",
    ]


def _only_shown(self: Emulator, on_ready: Any) -> None:
    with self:
        on_ready(self)
