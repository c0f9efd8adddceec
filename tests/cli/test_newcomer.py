"""What somebody new types: every command and option, right and wrong."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import click
import pytest
from click.testing import CliRunner, Result
from tests._support.terminal import on_a_terminal

from usagestream_adapters import cli
from usagestream_adapters.cli import endings
from usagestream_adapters.cli.command import main
from usagestream_adapters.emulator import Emulator

pytestmark = pytest.mark.usefixtures("openai_environment")


def run(*arguments: str, typed: str | None = None) -> Result:
    """Run a command. Whatever is typed, nobody sees a traceback."""
    result = CliRunner().invoke(main, list(arguments), input=typed, prog_name="usagestream")
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return result


def commands(group: click.Group, *before: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All commands, by what is typed for them."""
    for name, command in group.commands.items():
        yield (*before, name), command
        if isinstance(command, click.Group):
            yield from commands(command, *before, name)


def shown(part: object) -> str | None:
    """What a test is called by."""
    if isinstance(part, click.Option):
        return part.opts[0]
    words = cast("list[object]", part) if isinstance(part, list | tuple) else []
    return " ".join(map(str, words))[:60]


ALL = dict(commands(main))
OPTIONS = [
    (path, option)
    for path, command in ALL.items()
    for option in command.params
    if isinstance(option, click.Option)
]
WRONG = {
    "integer range": "many",
    "float range": "slow",
    "datetime": "tomorrow",
    "choice": "nowhere",
    "file": "/",
}
"""What none of these types takes."""


@pytest.mark.parametrize("path", [(), *ALL], ids=" ".join)
def test_help(path: tuple[str, ...]) -> None:
    """Each command has help, by both options, that fits into 60 columns; no command is cut off."""
    helped = run(*path, "--help")
    assert helped.output == run(*path, "-h").output
    assert helped.exit_code == 0
    narrow = CliRunner().invoke(main, [*path, "--help"], terminal_width=60, prog_name="usagestream")
    assert max(len(line) for line in narrow.output.splitlines()) <= 60
    if not path:
        assert "..." not in narrow.output.partition("Commands:")[2]


@pytest.mark.parametrize("path", [(), *ALL], ids=" ".join)
def test_an_option_that_is_none(path: tuple[str, ...]) -> None:
    """It is named, with where to look."""
    refused = run(*path, "--nosuch")
    assert refused.exit_code == 2
    assert re.search("No such option:? '?--nosuch", refused.stderr)
    assert re.search("Try '.+ (--help|-h)' for help", refused.stderr)


@pytest.mark.parametrize(
    ("path", "option"),
    [(path, option) for path, option in OPTIONS if option.type.name in WRONG],
    ids=shown,
)
def test_an_option_of_another_kind(path: tuple[str, ...], option: click.Option) -> None:
    """What cannot be meant is refused, and the option named."""
    refused = run(*path, option.opts[0], WRONG[option.type.name])
    assert refused.exit_code == 2
    assert f"Invalid value for '{option.opts[0]}'" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["nosuch"], 2, "No such command 'nosuch'"),
        (["demo", "extra"], 2, "unexpected extra argument"),
        (["chat", ""], 2, "There is no question"),
        (["chat"], 2, "There is no question"),
        (["chat", "hi", "--tag", "search"], 2, "as team=search: 'search'"),
        (["chat", "hi", "--provider", "opnai"], 2, "Did you mean 'openai'?"),
        (["chat", "hi", "--profile", "nosuch"], 2, "usagestream.toml"),
        (["chat", "hi", "--save", "nowhere/x"], 2, "nowhere/x cannot be written: No such file"),
        (["check", "nosuch"], 1, "no provider 'nosuch'"),
        (["emulate", "--scenario", "nosuch"], 2, "there are: "),
        (["emulate", "--fault", "nosuch"], 2, "there are: "),
        (["emulate", "--host", "192.0.2.1"], 1, "Cannot listen on 192.0.2.1:8765"),
        (["emulate", "--host", "n" * 400], 1, "n:8765: Name or service not known. Choose"),
        (["trust"], 1, "or above it: profiles stand in usagestream.toml, or in [tool.usagestream]"),
        (["trust", "junk"], 1, "junk is not valid TOML"),
        (["prices", "nosuch"], 1, "No price is known of 'nosuch' of openai"),
        (["prices", "--provider", "nosuch"], 1, "No price is known of any model of 'nosuch'"),
        (["prices", "gpt-5", "--cached", "9"], 2, "--cached counts some of --input"),
        (["prices", "gpt-5", "--cache-write-12h", "9"], 2, "--cache-write-12h counts some of"),
        (["prices", "gpt-5", "--audio-out", "9"], 2, "--audio-out counts some of --output"),
        (["prices", "gpt-5", "--check", "junk"], 2, "Give MODEL or --check, not both"),
        (["prices", "--check", "junk"], 1, "There is no record in junk"),
        (["prices", "--prices", "junk"], 1, "junk is not valid TOML"),
        (["prices", "--check", "nosuch"], 2, "'nosuch' does not exist"),
        (["prices", "--check", "sqlite:///nosuch.db"], 1, "There is no ledger sqlite:///nosuch.db"),
        (["prices", "--check", "mysql://nosuch"], 1, "sqlite:///usage.db"),
        (["reprice", "nosuch"], 2, "'nosuch' does not exist"),
        (["reprice", "sqlite:///nosuch.db"], 1, "There is no ledger sqlite:///nosuch.db"),
        (["reprice", "sqlite:///x.db", "--output", "y"], 2, "--output is for a file"),
        (["reprice", "empty", "--output", "y", "--dry-run"], 2, "--output is for a file"),
        (["reprice", "junk"], 1, "There is no record in junk"),
        (["reprice", "empty", "--output", "nowhere/x"], 1, "nowhere/x cannot be written: No such"),
        (["cassettes", "check", "nosuch"], 2, "'nosuch' does not exist"),
        (["cassettes", "show", "junk"], 1, "junk is not a cassette"),
        (["cassettes", "serve", "junk"], 1, "junk is not a cassette"),
    ],
    ids=shown,
)
def test_what_is_wrong_is_said(
    arguments: list[str], status: int, says: str, tmp_path: Path
) -> None:
    """In a sentence that says what to do, with a status that a script can go by."""
    (tmp_path / "junk").write_text("{")
    (tmp_path / "empty").touch()
    result = run(*arguments)
    assert result.exit_code == status
    assert says in result.output.replace("\n", " ")


def test_a_file_without_records_yet(tmp_path: Path) -> None:
    """An empty one is no mistake."""
    (tmp_path / "empty").touch()
    assert run("prices", "--check", "empty").exit_code == 0
    assert run("reprice", "empty").exit_code == 0


@pytest.mark.parametrize("loaded", [True, False])
def test_ctrl_c_while_the_program_is_loaded(loaded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends as it does later: with 130, and without a word."""
    name = "usagestream_adapters.cli.command"

    def interrupt() -> None:
        raise KeyboardInterrupt

    def exit_with(status: int) -> None:
        raise SystemExit(status)

    class Interrupt:
        def find_spec(self, sought: str, *_: object) -> None:
            if sought == name:
                interrupt()

    if loaded:
        monkeypatch.setattr(sys.modules[name], "main", exit_with)
    else:
        monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(sys, "meta_path", [Interrupt(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        cli.run(status=7)
    assert ended.value.code == (7 if loaded else 130)


def test_the_room_has_no_other_names() -> None:
    """What is loaded on use is asked for by name."""
    with pytest.raises(AttributeError, match="has no attribute 'nosuch'"):
        _ = cli.nosuch


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_nobody_reads_the_demo() -> None:
    """It ends as whatever writes to a closed pipe does; 1 would say that the usages differ."""
    reading, writing = os.pipe()
    os.close(reading)
    program = [sys.executable, "-m", "usagestream", "demo"]
    ended = subprocess.run(program, stdout=writing, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.parametrize("words", [["chat", "{}"], ["chat", "hi", "--system", "{}"]], ids=shown)
def test_letters_that_the_locale_does_not_have(words: list[str], server: Emulator) -> None:
    """Python keeps their bytes; they go out as the UTF-8 that they are."""
    kept = "caf\udcc3\udca9"
    assert run(*(word.format(kept) for word in words), "--tag", f"place={kept}").exit_code == 0
    assert "caf\u00e9" in json.dumps(server.requests[-1].body, ensure_ascii=False)


@pytest.mark.parametrize(
    ("written", "status", "says"),
    [
        ("", 0, "There is no profile in the file."),
        ('ledger = "usage.db"', 1, "usagestream.toml:1: ledger must be a URL, as in ledger ="),
        ('ledger = "mysql:///usage.db"', 1, "ledger is not trusted: it would keep records in"),
        ('ledger = "sqlite:///usage.db"', 0, "There is no profile in the file."),
        ('telemetry = "lgo"', 1, "usagestream.toml:1: telemetry: there is no telemetry 'lgo'"),
    ],
)
def test_what_is_wrong_beside_the_profiles(
    written: str, status: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`profiles` says it, for no client can be made; and opens no ledger."""
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL")
    (tmp_path / "usagestream.toml").write_text(written)
    result = run("profiles")
    assert result.exit_code == status
    assert says in result.output.replace("\n", " ")
    assert not (tmp_path / "usage.db").exists()


def test_a_profile_file_that_is_no_text(tmp_path: Path) -> None:
    """Where it ends to be text is said, and nothing of what is in it."""
    (tmp_path / "usagestream.toml").write_bytes(b"a = '\xff'")
    result = run("profiles")
    assert result.exit_code == 1
    assert "usagestream.toml cannot be read: it is not UTF-8 at byte 5." in result.output


def test_what_the_library_logs_is_a_line(server: Emulator) -> None:
    """A record that cannot be saved has its reason in a line, and no traceback."""
    result = run("chat", "hi", "--model", "nosuch", "--save", "/dev/full")
    assert result.exit_code == 1
    warned, lost, told, failed = result.stderr.splitlines()
    assert warned.startswith("Warning: No price is known of the model 'nosuch'")
    assert lost.startswith("Error: on_record raised; ")
    assert lost.endswith(" is lost: [Errno 28] No space left on device")
    assert told.endswith("no price known")
    assert failed == "Error: The record could not be saved to /dev/full."


def test_what_the_library_logs_is_logged_as_ever_afterwards() -> None:
    """A program that runs the command keeps its own logging."""
    run("profiles")
    handlers = logging.getLogger("usagestream").handlers
    assert not [each for each in handlers if type(each).__module__ == endings.__name__]


def test_json_of_trust(tmp_path: Path) -> None:
    """The file, whether it is trusted now, and what each of its profiles sends where."""
    profiles = '[profiles.far]\nprovider = "openai"\nbase_url = "https://far.example/v1"\n'
    (tmp_path / "usagestream.toml").write_text(profiles)
    trusted = json.loads(run("trust", "--json").stdout)
    assert trusted["file"] == str(tmp_path / "usagestream.toml")
    assert trusted["trusted"] is True
    assert "https://far.example" in trusted["profiles"]["far"]
    assert "far: " in run("trust").stdout
    forgotten = json.loads(run("trust", "--forget", "--json").stdout)
    assert forgotten == {**trusted, "trusted": False, "profiles": {}}


def test_json_of_cassettes_check(tmp_path: Path) -> None:
    """Each finding, by file and line."""
    (tmp_path / "notes.txt").write_text(f"key: sk-{'a1B2' * 8}\n")
    result = run("cassettes", "check", "notes.txt", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["files"] == 1
    (finding,) = found["findings"]
    assert (finding["file"], finding["line"]) == ("notes.txt", 1)
    assert "a1B2a1B2" not in result.output


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["profiles"], ["check"], ["demo"]], ids=" ".join)
def test_nothing_is_wider_than_a_narrow_terminal(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables and sentences wrap at 60 columns; a word that cannot is alone on its line."""
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL")
    broken = '[profiles.a]\nprovider = "azure"\n[profiles.b]\nprovider = "openai"\n'
    (tmp_path / "usagestream.toml").write_text(broken)
    seen = on_a_terminal(*arguments, columns=60)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", seen.output.decode()).splitlines()
    assert [line for line in lines if len(line) > 60] == []
    assert len(lines) > 1


@pytest.mark.parametrize(
    ("shell", "says"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete ")]
)
def test_completion_in_a_shell(shell: str, says: str) -> None:
    """What the docs have a shell read is there, and completes names of commands."""
    asked = {"_USAGESTREAM_COMPLETE": f"{shell}_source"}
    source = CliRunner(env=asked).invoke(main, prog_name="usagestream")
    assert says in source.output
    documented = (Path(__file__).parents[2] / "docs" / "start.md").read_text("utf-8")
    assert f"_USAGESTREAM_COMPLETE={shell}_source usagestream" in documented
    typed = {
        "_USAGESTREAM_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "usagestream pro",
        "COMP_CWORD": "pro" if shell == "fish" else "1",
    }
    completed = CliRunner(env=typed).invoke(main, prog_name="usagestream")
    assert "profiles" in completed.output
