"""`usagestream profiles`: what there is, where it comes from, and what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from usagestream_adapters.cli.command import main
from usagestream_core.profiles.listing import list_profiles

Write = Callable[..., Path]

SEEDED = "sk-seeded-0123456789"


def run(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["profiles", *arguments])


def test_with_nothing_configured_it_says_what_to_set() -> None:
    """The two ways in, and no error."""
    result = run()
    assert result.exit_code == 0
    assert "AZURE_OPENAI_ENDPOINT" in result.output
    assert "OPENAI_API_KEY" in result.output


def test_it_shows_where_each_value_comes_from(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File and line, environment variable, or default; no secret."""
    path = write(
        'default = "prod"\n'
        "[profiles.prod]\n"
        'provider = "azure"\n'
        'endpoint = "https://me:pass-word@contoso.openai.azure.com"\n'
        'api_key = { env = "SEEDED" }\n'
        'headers = { x-key = { env = "SEEDED" } }\n'
        'deployments = { "gpt-4o" = "chat" }\n'
        "[profiles.second]\n"
        'provider = "openai"\n'
        'api_key = { file = "key.txt" }\n'
    )
    write(SEEDED, "key.txt")
    monkeypatch.setenv("SEEDED", SEEDED)
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    monkeypatch.setenv("OPENAI_API_KEY", SEEDED)
    result = run()
    assert result.exit_code == 0
    for secret in (SEEDED, "pass-word"):
        assert secret not in result.output
    lines = {tuple(line.split()[:2]): line for line in result.output.splitlines() if line.strip()}
    assert lines["*", "prod"] == f"* prod  ({path})"
    assert lines["second", f"({path})"] == f"  second  ({path})"
    assert ("openai", "(environment)") in lines
    assert (
        f"{path}:4: profiles.prod.endpoint"
        in lines["endpoint", "https://***@contoso.openai.azure.com"]
    )
    assert "environment variable OPENAI_API_VERSION" in lines["api_version", "2024-10-21"]
    assert lines["max_retries", "2"].endswith("default")
    assert "(environment variable SEEDED)" in result.output
    assert "(file key.txt)" in result.output
    assert '{"gpt-4o": "chat"}' in result.output
    assert '{"x-key": "********"}' in result.output


def test_json(write: Write) -> None:
    """The same for programs, with what is left open as null."""
    write('[profiles.x]\nprovider = "openai"\nbase_url = "http://here/v1"')
    (listed,) = json.loads(run("--json").output)
    values = {each["field"]: (each["value"], each["origin"]) for each in listed["values"]}
    assert (listed["name"], listed["chosen"]) == ("x", True)
    assert "OPENAI_API_KEY" in listed["problem"]
    assert values["base_url"][0] == "http://here/v1"
    assert values["api_key"] == (None, "default")


def test_a_wrong_profile_does_not_hide_the_others(write: Write) -> None:
    """Its problem is shown in its place."""
    write(
        '[profiles.bad]\nprovider = "openai"\ntimout = 1\n'
        '[profiles.good]\nprovider = "openai"\napi_key = { env = "K" }\n'
    )
    bad, good = list_profiles({"K": "k"})
    assert bad.problem is not None
    assert "did you mean 'timeout'" in bad.problem
    assert good.problem is None
    assert not good.chosen
    result = run()
    assert "! " in result.output
    assert "timout" in result.output


@pytest.mark.parametrize(
    "text",
    ['provider = "azure"\nendpoint = "ftp://x"', 'provider = "openai"\nbase_url = "ftp://x"'],
)
def test_an_address_that_cannot_be_one(write: Write, text: str) -> None:
    """It is a problem like any other."""
    write(f"[profiles.x]\n{text}\n")
    (listed,) = (each for each in list_profiles({}) if each.name == "x")
    assert listed.problem is not None
    assert "must be an address" in listed.problem
    assert "ftp://x" in [each.value for each in listed.values]


def test_a_profile_that_is_broken_fails_the_command(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every mistake in its place; what nobody configured is not broken."""
    path = write('[profiles.bad]\nprovider = "openai"\ntimout = 1\nmax_retries = -1\n')
    result = run()
    assert result.exit_code == 1
    for each in (f"! {path}:3: profiles.bad.timout", f"! {path}:4: profiles.bad.max_retries"):
        assert each in result.output
    assert run("--json").exit_code == 1
    path.unlink()
    assert run().exit_code == 0
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_BASE_URL", "ftp://x")
    assert run().exit_code == 1


def test_a_file_that_cannot_be_read_at_all(write: Write) -> None:
    """There is nothing to list."""
    write("default = ")
    result = run()
    assert result.exit_code == 1
    assert "is not valid TOML" in result.output


def test_credentials_made_in_code_have_no_place_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment alone: which variable made the choice is said."""
    environ = {"AZURE_OPENAI_ENDPOINT": "https://c.openai.azure.com", "AZURE_CLIENT_ID": "c"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    azure = next(each for each in list_profiles() if each.name == "azure")
    assert azure.chosen
    assert azure.problem is None
    origins = {each.field: each.origin for each in azure.values}
    assert "AZURE_CLIENT_ID" in origins["credential"]


def test_it_names_all_mistakes_of_a_file_at_once(write: Write) -> None:
    """Those of the file itself, and those of each profile in it."""
    write(
        'default = "none"\n'
        "[profiles]\n"
        "odd = 1\n"
        "[profiles.first]\n"
        'provider = "opena"\n'
        "[profiles.second]\n"
        'provider = "openai"\n'
        "api_keys = 1\n"
        "[profiles.good]\n"
        'provider = "openai"\n'
        'api_key = { env = "SEEDED" }\n',
    )
    result = run()
    assert result.exit_code == 1
    for mistake in (":1: default names", "profiles.odd must be", ":5: ", ":8: "):
        assert result.stderr.count(mistake) == 1
