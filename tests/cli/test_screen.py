"""Nothing that others wrote is obeyed by a terminal, or read as markup, whatever prints it."""

from __future__ import annotations

import io
import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests._support.terminal import on_a_terminal

from usagestream import Emulator, Scenario
from usagestream_adapters.cli import screen
from usagestream_adapters.cli.command import main
from usagestream_adapters.emulator.errors import ErrorReply

ATTACKS = (
    "\x1b]0;owned\x07",
    "\x1b[2J",
    "\x9b2J",
    "m[/oops]",
    "[bold]x[/bold]",
    ":smile:",
    "a\rb\x08c",
    "\u202etxt.exe",
    "\u2028",
    "\x7f\x00",
)
HOSTILE = st.one_of(st.sampled_from(ATTACKS), st.text(max_size=20)).filter(
    lambda text: text.strip()
)


def obeyed(text: str) -> list[str]:
    """Give the characters of a text that a terminal obeys, found by another way than the code's."""
    return [
        c
        for c in text
        if (unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") and c not in "\n\t")
        or unicodedata.bidirectional(c) in {"LRE", "RLE", "LRO", "RLO", "PDF"}
        or unicodedata.bidirectional(c) in {"LRI", "RLI", "FSI", "PDI"}
    ]


def run(*arguments: str) -> Result:
    """Run the command in this process, where somebody looks at what it prints."""
    return CliRunner().invoke(main, arguments)


@pytest.fixture(autouse=True)
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody looks at what is printed."""
    monkeypatch.setattr(screen, "is_terminal", lambda *, err=False: True)
    monkeypatch.setattr(screen, "is_live", lambda *, err=False: False)


@given(st.text())
def test_what_is_shown_is_obeyed_by_nobody(text: str) -> None:
    """Whatever the text; and what is harmless stays as it was."""
    shown = screen.visible(text)
    assert obeyed(shown) == []
    assert screen.visible(shown) == shown
    if not obeyed(text):
        assert shown == text


def _frames(text: str) -> dict[str, Any]:
    return {"text": [text], "model": text, "finish_reason": text or "stop"}


def _error(text: str) -> ErrorReply:
    return ErrorReply(status=400, body={"error": {"message": text, "code": text, "type": text}})


@pytest.mark.slow
@given(HOSTILE)
@example("".join(ATTACKS))
@settings(
    deadline=None,
    max_examples=3,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@pytest.mark.usefixtures("openai_environment")
def test_a_hostile_server(server: Emulator, text: str) -> None:
    """In its text, its name, its finish reason, its error, its error in mid-stream."""
    frame = {"error": {"message": text, "code": text}}
    for command in ("chat hello", "check", "check --json"):
        for scenario in (
            Scenario(**_frames(text), usage={"prompt_tokens": 1, "completion_tokens": 1}),
            Scenario(error=_error(text)),
            Scenario(text="hello", error_frame=frame, cut_after_frames=1),
            Scenario(body=text, content_type="text/plain"),
        ):
            server.script(scenario)
            result = run(*command.split())
            assert isinstance(result.exception, SystemExit | None), result.exception
            assert obeyed(result.output) == []
            if "--json" in command:
                assert json.loads(result.stdout)


@pytest.mark.usefixtures("openai_environment")
@pytest.mark.parametrize("text", ["m[/oops]", "[bold]x[/bold]", ":smile:"])
def test_markup_is_shown_as_it_is(server: Emulator, text: str) -> None:
    """A name in brackets is a name."""
    server.script(Scenario(**_frames(text), usage={"prompt_tokens": 1, "completion_tokens": 1}))
    result = run("chat", "hello")
    assert result.stdout == text + "\n"
    assert f"openai {text}: input 1" in result.stderr


@given(HOSTILE)
@example("".join(ATTACKS))
@settings(
    deadline=None,
    max_examples=3,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_hostile_files(tmp_path: Path, text: str) -> None:
    """Their names, and what stands in them: profiles, cassettes, anything."""
    name = re.sub(r"[/\x00\ud800-\udfff]", "", text)[:20]
    folder = tmp_path / "folder"
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    (folder / f"{name}.txt").write_text(f"api_key = sk-abcdef0123456789abcdef{name}\n", "utf-8")
    cassette: dict[str, Any] = {
        "version": 1,
        "interactions": [
            {
                "request": {
                    "method": "POST",
                    "uri": f"http://h/{name}",
                    "body": text,
                    "headers": {},
                },
                "response": {
                    "status": {"code": 200, "message": "OK"},
                    "headers": {"content-type": ["text/plain"]},
                    "body": {"string": text.encode("utf-8", "replace").decode()},
                },
            }
        ],
    }
    (folder / "one.json").write_text(json.dumps(cassette), "utf-8")
    quoted = json.dumps(name)
    (tmp_path / "usagestream.toml").write_text(
        f'[profiles.{quoted}]\nprovider = "openai"\nbase_url = {quoted}\nx = {quoted}\n', "utf-8"
    )
    runner = CliRunner()
    for command in (
        ["cassettes", "check", str(folder)],
        ["cassettes", "show", str(folder / "one.json")],
        ["profiles"],
        ["profiles", "--json"],
        ["check", name],
        ["chat", "x", "--profile", name],
        [name],
        [f"--{name}"],
        ["chat", f"--{name}"],
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            result = runner.invoke(main, command)
        assert isinstance(result.exception, SystemExit | None), result.exception
        assert obeyed(result.output) == [], command


@pytest.mark.usefixtures("openai_environment")
def test_a_pipe_gets_the_answer_as_it_is(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody looks at is not changed, control characters included."""
    monkeypatch.setattr(screen, "is_terminal", lambda *, err=False: False)
    server.script(Scenario(text=["\x1b[1mbold\x1b[0m\r\n"]))
    assert run("chat", "hello").stdout_bytes == b"\x1b[1mbold\x1b[0m\r\n\n"


def test_an_encoding_without_a_word_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is escaped, and nothing breaks off."""
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, "ascii"))
    screen.say("Zwölf €")
    assert raw.getvalue() == b"Zw\\xf6lf \\u20ac\n"


ROWS = [("ok", "configuration", "one two three four"), ("FAIL", "stream", "first\nsecond")]


def test_rows_in_columns() -> None:
    """What follows a newline stays in its column, so that no line can be forged."""
    assert screen.lay_out(ROWS, width=200).splitlines() == [
        "ok    configuration  one two three four",
        "FAIL  stream         first",
        "                     second",
    ]


def test_rows_wrap_at_the_width_of_the_terminal() -> None:
    """The last column, in its place."""
    assert screen.lay_out([("name", "words " * 10)], width=40, indent=2).splitlines() == [
        "  name  words words words words words",
        "        words words words words words",
    ]


def test_rows_are_stacked_where_it_is_narrow() -> None:
    """Each column below the one before."""
    assert screen.lay_out([("a name that is long", "words " * 4)], width=30).splitlines() == [
        "a name that is long",
        "  words words words words",
    ]


def test_a_line_feed_in_a_name_makes_no_row() -> None:
    """Only the last column has lines."""
    assert screen.lay_out([("a\nb", "c")], width=80) == "a\\nb  c"


@given(st.lists(st.tuples(st.text(), st.text(), st.text()), min_size=1), st.integers(20, 100))
def test_no_row_is_wider_than_the_terminal(rows: list[tuple[str, str, str]], width: int) -> None:
    """At any width, for any text; nothing is lost but blanks."""
    shown = screen.lay_out(rows, width=width)
    assert max(map(len, shown.split("\n")), default=0) <= width
    kept = "".join(
        "".join(map(screen.visible, (a.replace("\n", "\\n"), b.replace("\n", "\\n"), c)))
        for a, b, c in rows
    )
    assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", kept)


@pytest.mark.slow
@pytest.mark.usefixtures("openai_environment")
def test_a_real_terminal(server: Emulator) -> None:
    """It gets the title of its window from nobody."""
    server.script(Scenario(text=["\x1b]0;owned\x07", "\x1b[2J", "done"], model="m[/oops]"))
    shown = on_a_terminal("chat", "hello").output
    assert b"\x1b]0;" not in shown
    assert b"\x1b[2J" not in shown
    assert rb"\x1b]0;owned\x07\x1b[2Jdone" in shown
    assert b"m[/oops]" in shown


def test_a_console_whose_reader_has_gone() -> None:
    """The command hears of it, and ends as one does whose pipe was closed."""

    class Gone(io.StringIO):
        def write(self, text: str, /) -> int:
            raise BrokenPipeError

    made = screen.console()
    made.file = Gone()
    with pytest.raises(BrokenPipeError):
        made.print("Is anybody there?")
