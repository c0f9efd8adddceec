"""`usagestream check` says what works, and stops at what does not."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from usagestream_adapters.cli.command import main
from usagestream_adapters.emulator import Emulator, Scenario


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator behind Azure's variables."""
    with Emulator() as running:
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", running.azure_endpoint)
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", "test-key")
        yield running


def run(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, ["check", *arguments])


def begins(result: Result) -> list[str]:
    """The first two words of each line."""
    return [" ".join(line.split()[:2]) for line in result.output.splitlines()]


@pytest.mark.usefixtures("server")
def test_a_profile_that_works() -> None:
    """Configuration, credential, stream and usage, each with what was found."""
    result = run("azure")
    assert begins(result) == ["ok configuration", "ok credential", "ok stream", "ok usage"]
    assert "deployment gpt-4o-mini" in result.output
    assert "asked for: input 18, output 2 (reported)" in result.output
    assert result.exit_code == 0


@pytest.mark.usefixtures("server")
def test_json() -> None:
    """For scripts."""
    shown = json.loads(run("azure", "--json").output)
    assert shown["ok"] is True
    assert [each["what"] for each in shown["checks"]][-1] == "usage"


def test_openai_has_no_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its line names the address alone."""
    with Emulator() as running:
        monkeypatch.setenv("OPENAI_API_KEY", "test-key")
        monkeypatch.setenv("OPENAI_BASE_URL", running.openai_base_url)
        result = run()
    assert result.exit_code == 0
    assert "deployment" not in result.output


def test_nothing_is_configured() -> None:
    """It says what to set."""
    result = run()
    assert begins(result) == ["FAIL configuration"]
    assert result.exit_code == 1


@pytest.mark.usefixtures("server")
def test_a_wrong_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The credential is what fails."""
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "wrong-key")
    assert begins(run("azure")) == ["ok configuration", "FAIL credential"]


@pytest.mark.usefixtures("server")
def test_an_unknown_deployment() -> None:
    """The stream is what fails, with what to do."""
    result = run("azure", "--model", "missing-model")
    assert begins(result) == ["ok configuration", "FAIL stream"]
    assert "DeploymentNotFound" in result.output


def test_usage_that_never_comes(server: Emulator) -> None:
    """A stream without usage does not do, even if all else does."""
    server.script(Scenario(text="Two", omit_usage=True, model=""))
    result = run("azure")
    assert begins(result)[-1] == "FAIL usage"
    assert "asked for: no counts (unknown)" in result.output
    assert result.exit_code == 1


def test_a_model_that_the_profile_does_not_have(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed map of deployments is part of the configuration."""
    lines = [
        "[profiles.work]",
        'provider = "azure"',
        f'endpoint = "{server.azure_endpoint}"',
        "listed_models_only = true",
        'deployments = { "gpt-4o" = "chat" }',
    ]
    with open("usagestream.toml", "w", encoding="utf-8") as file:  # noqa: PTH123 - cwd is a test's
        file.write("\n".join(lines))
    monkeypatch.setenv("USAGESTREAM_CONFIG", "usagestream.toml")
    assert begins(run("work")) == ["FAIL configuration"]
    assert server.requests == []
