"""`usagestream cassettes`: finding what should not be in a file, and showing what is."""

from __future__ import annotations

import base64
import gzip
import json
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from usagestream_adapters.cli.command import main

CASSETTES = Path(__file__).parents[2] / "cassettes"
KEY = "sk-proj-Zx81kfLq0934mnbvPoiu"


def run(*arguments: str | Path) -> Result:
    """Run the group of commands."""
    return CliRunner().invoke(main, ["cassettes", *map(str, arguments)])


def found(file: Path, text: str | bytes) -> list[tuple[int, str]]:
    """Check a file with this content: the lines, and what was found there."""
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    result = run("check", file)
    findings = [line.removeprefix(f"{file}:") for line in result.stdout.splitlines()]
    assert result.exit_code == (1 if findings else 0)
    assert all(len(line) < 120 for line in findings)
    split = [line.partition(": ") for line in findings]
    return [(int(line), what.partition(" (")[0]) for line, _, what in split]


def test_our_own_cassettes_hold_nothing() -> None:
    """Nor does the check see in them what is not there."""
    result = run("check", CASSETTES)
    assert result.output.startswith("Nothing found in ")
    assert result.exit_code == 0


def test_a_cassette_of_plain_vcrpy(tmp_path: Path) -> None:
    """A key in a header, an organisation, a resource's name: each with its line."""
    text = f"""interactions:
- request:
    body: '{{"input": "my password"}}'
    headers:
      Authorization:
      - Bearer {KEY}
      User-Agent: [OpenAI/Python]
    uri: https://fabrikam.openai.azure.com/openai/deployments/a/chat/completions?api-key=0a1b2c3d4e
  response:
    headers:
      openai-organization:
      - user-ab12cd34
      Set-Cookie: ["__cf_bm=abc; path=/"]
      X-Trace: [REDACTED]
    body:
      string: |
        data: {{"a": 1}}

        data: {{"id": "{KEY}"}}
"""
    assert found(tmp_path / "a.yaml", text) == [
        (6, "the value of authorization"),
        (8, "a named secret"),
        (8, "a resource name"),
        (12, "the value of openai-organization"),
        (13, "the value of set-cookie"),
        (19, "an API key"),
    ]


def test_what_is_masked_is_no_finding(tmp_path: Path) -> None:
    """Placeholders of other tools are seen for what they are."""
    text = """
headers:
  authorization: ["**REDACTED**"]
  api-key: [DUMMY]
  cookie: ["<COOKIE>"]
  openai-organization: [test]
uri: https://your-resource.openai.azure.com/openai/v1
message: "the password: string"
"""
    assert found(tmp_path / "a.yml", text) == []


def test_compressed_and_binary_bodies(tmp_path: Path) -> None:
    """A recorder that keeps bytes as they came keeps secrets in them."""
    body = base64.b64encode(gzip.compress(f'{{"key": "{KEY}"}}'.encode())).decode()
    plain = base64.b64encode(KEY.encode()).decode()
    broken = base64.b64encode(b"\x1f\x8bnothing").decode()
    text = f"a:\n  string: !!binary |\n    {body}\nb: !!binary {plain}\nc: !!binary {broken}\n"
    assert found(tmp_path / "a.yaml", text) == [(2, "an API key"), (4, "an API key")]


def test_json_of_another_tool(tmp_path: Path) -> None:
    """Bodies in base64 and headers in lists, as betamax and HAR have them."""
    body = base64.b64encode(gzip.compress(KEY.encode())).decode()
    document = {
        "http_interactions": [
            {
                "request": {
                    "headers": {"Api-Key": ["0a1b2c3d4e5f"]},
                    "body": {"base64_string": "not base64", "encoding": "utf-8"},
                },
                "response": {"body": {"base64_string": body, "encoding": "utf-8"}},
                "har": [{"name": "authorization", "value": "Basic dXNlcjpwYXNz"}],
                "schema": {"password": {"type": "string"}, "n": 1},
            }
        ]
    }
    assert [what for _, what in found(tmp_path / "a.json", json.dumps(document, indent=1))] == [
        "the value of api-key",
        "an API key",
        "the value of authorization",
    ]


def test_json_lines_are_counted(tmp_path: Path) -> None:
    """The line is that of the value, also where it is written with escapes."""
    text = '{\n "a": "x",\n "b": "é 🤔",\n\n "c": "' + KEY + '"\n}'
    assert found(tmp_path / "a.json", text) == [(5, "an API key")]


def test_plain_text_is_read_by_lines(tmp_path: Path) -> None:
    """Logs, and files that are not what they are called."""
    text = f"> POST /v1\n> Authorization: Basic dXNlcjpwYXNz\n\nit said {KEY}\n"
    expected = [(2, "a name and a password"), (4, "an API key")]
    assert found(tmp_path / "a.log", text) == expected
    assert found(tmp_path / "a.json", text) == expected
    assert found(tmp_path / "a.yaml", "\t" + text) == expected
    assert found(tmp_path / "a.bin", b"\xff\n" + KEY.encode()) == [(2, "an API key")]
    assert found(tmp_path / "a.txt.gz", gzip.compress(text.encode())) == expected


def test_values_of_the_environment_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret of any shape is found where a variable holds it."""
    monkeypatch.setenv("MY_SERVICE_TOKEN", "correct-horse-battery")
    assert found(tmp_path / "a.txt", "\nthe correct-horse-battery\n") == [
        (2, "the value of MY_SERVICE_TOKEN")
    ]


def test_a_folder_is_checked_but_for_hidden_files(tmp_path: Path) -> None:
    """As git's own are."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text(KEY)
    (tmp_path / "empty.yaml").write_text("")
    result = run("check", tmp_path)
    assert (result.exit_code, result.output) == (0, "Nothing found in 1 file.\n")


def test_show_prints_the_exchange() -> None:
    """The request, each frame, the usage."""
    result = run("show", CASSETTES / "openai" / "two-choices.yaml")
    assert result.exit_code == 0
    assert "recorded_against: usagestream emulator" in result.output
    assert "1. POST https://api.openai.com/v1/chat/completions" in result.output
    assert '     "n": 2' in result.output
    assert "   frame 2: choice 1" in result.output
    assert "finish stop" in result.output
    assert "usage: input_tokens 18, " in result.output


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("openai/tool-calls", "tool call 0 get_weather('')"),
        ("openai/refusal", "refusal 'The'"),
        ("openai/bad-key", "401 application/json"),
        ("openai/truncated-stream", "ended badly: "),
        ("openai/usage-not-asked", "usage: not reported"),
        ("azure-v1/async-filter", "after 1 of no choice"),
    ],
)
def test_show_prints_every_kind(name: str, shown: str) -> None:
    """Whatever the answer was."""
    result = run("show", CASSETTES / f"{name}.yaml")
    assert result.exit_code == 0
    assert shown in result.output


def test_show_reads_vcrpys_json(tmp_path: Path) -> None:
    """And bodies that are no text, and answers of no declared type."""
    request: dict[str, object] = {"method": "GET", "uri": "https://a/", "body": None, "headers": {}}
    response = {"status": {"code": 200}, "headers": {}, "body": {"string": "plain"}}
    document = {"interactions": [{"request": request, "response": response}], "version": 1}
    file = tmp_path / "a.json"
    file.write_text(json.dumps(document))
    assert run("show", file).output == (
        "\n1. GET https://a/\n\n   200 a body of undeclared type\n   plain\n"
    )


@pytest.mark.parametrize("text", ["[]", "- request: 1", "{", "a: 1"])
def test_show_refuses_what_is_no_cassette(tmp_path: Path, text: str) -> None:
    """In one sentence."""
    file = tmp_path / "a.yaml"
    file.write_text(text)
    result = run("show", file)
    assert result.exit_code == 1
    assert "a.yaml is not a cassette of vcrpy" in result.output


@pytest.mark.parametrize("command", ["check", "show"])
def test_the_extra_is_named_where_it_is_missing(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands are there without it, and say what to install."""
    for name in ("check", "show"):
        monkeypatch.delitem(sys.modules, f"usagestream_adapters.cassettes.{name}", raising=False)
        monkeypatch.setitem(sys.modules, f"usagestream_adapters.cassettes.{name}", None)
    import usagestream_adapters.cassettes as package

    for name in ("check", "show"):
        monkeypatch.delattr(package, name, raising=False)
    result = run(command, __file__)
    assert result.exit_code == 1
    assert 'pip install "usagestream[replay]"' in result.output


def test_show_tells_how_a_stream_was_read(tmp_path: Path) -> None:
    """Of a recording that kept it."""
    text = (CASSETTES / "openai" / "plain-answer.yaml").read_text("utf-8")
    document = yaml.safe_load(text)
    reads = [[0.2, 5], [0.5, 7]]
    document["interactions"][0]["timing"] = {"head": 0.1, "reads": reads, "end": 1, "ended": "left"}
    file = tmp_path / "timed.yaml"
    file.write_text(yaml.dump(document), "utf-8")
    result = run("show", file)
    assert "2 reads in 1 s, the first after 0.2 s" in result.output
    assert "ended: left" in result.output


@pytest.mark.parametrize("surface", ["openai", "azure-v1"])
def test_show_reads_the_responses_wire(surface: str) -> None:
    """Its text, its calls, its usage."""
    shown = run("show", CASSETTES / surface / "responses-plain-answer.yaml").output
    assert "finish completed" in shown
    assert "usage: input_tokens" in shown
    shown = run("show", CASSETTES / surface / "responses-tool-calls.yaml").output
    assert "tool call 0 get_weather" in shown


def test_serve_needs_a_cassette(tmp_path: Path) -> None:
    """It says so before it listens."""
    result = run("serve", tmp_path)
    assert result.exit_code == 1
    assert "There are no cassettes in" in result.output
