"""The line below an answer on a terminal."""

from __future__ import annotations

import re
import time
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner
from tests._support.terminal import on_a_terminal

from usagestream import Cost, Emulator, Price, Rates, Scenario, Usage, UsageSource
from usagestream_adapters.cli import chat as chat_module
from usagestream_adapters.cli import live, screen
from usagestream_adapters.cli.command import main
from usagestream_adapters.cli.figures import so_far

pytestmark = pytest.mark.usefixtures("openai_environment")

LINES = "".join(f"line {number}\n" for number in range(30)) + "the last"


def priced(total: str) -> Cost:
    """A cost of so much."""
    price = Price(source="a list", model="m", rates=Rates())
    return Cost(total=Decimal(total), price=price, basis=UsageSource.ESTIMATED)


def test_what_the_line_says() -> None:
    """What is known, and no more."""
    unknown = Usage()
    known = Usage(output_tokens=30, source=UsageSource.ESTIMATED)
    reported = known.model_copy(update={"source": UsageSource.REPORTED})
    cost = priced("0.0000183")
    assert so_far(unknown, None, 10, None, 11.5) == "waiting for 1.5 s"
    assert so_far(unknown, None, 10, 10.5, 20) == "first after 0.50 s"
    assert so_far(Usage(output_tokens=0), None, 10, 10.5, 20) == "first after 0.50 s"
    assert so_far(known, None, 10, 10.5, 11) == "~30 tokens so far; first after 0.50 s"
    assert so_far(unknown, cost, 10, 10.5, 11) == "~0.000018 USD so far; first after 0.50 s"
    line = so_far(known, cost, 10, 10.5, 12.5)
    assert line == "~30 tokens, ~0.000018 USD so far; first after 0.50 s; 15/s"
    assert len(line) < 60
    assert so_far(reported, cost, 10, 10.5, 11).startswith("30 tokens, 0.000018 USD so far")


@pytest.mark.parametrize(
    ("total", "shown"),
    [("0", "0.00"), ("12.3456", "12.35"), ("1234", "1234.00"), ("0.0994", "0.099"), ("1E-9", None)],
)
def test_money_so_far_is_rounded(total: str, shown: str | None) -> None:
    """To two figures, and in full cents, never with an exponent."""
    line = so_far(Usage(), priced(total), 0, 0, 0)
    assert line.startswith(f"~{shown or '0.0000000010'} USD so far")


@pytest.mark.slow
def test_an_answer_on_a_terminal(server: Emulator) -> None:
    """The line is drawn below it, ten times a second at most, and gone at the end."""
    pieces = re.findall(r"\S+\s*", LINES)
    server.script(Scenario(text=pieces, delay=0.05))
    began = time.monotonic()
    seen = on_a_terminal("chat", "count", columns=60)
    lasted = time.monotonic() - began
    drawn = seen.output.count(b"first after")
    assert seen.status == 0
    assert 1 <= drawn <= 10 * lasted + 2
    plain = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", seen.output)
    for line in LINES.encode().split(b"\n"):
        assert line in plain
    assert b"completed, " in plain.splitlines()[-1]


def test_what_is_counted_is_on_the_line() -> None:
    """Tokens and money, as the stream has them at the moment."""
    usage = Usage(output_tokens=30, source=UsageSource.ESTIMATED)
    line: Any = live.Live(cast("Any", SimpleNamespace(so_far=usage, cost=priced("0.0000183"))))
    line._show("Two")
    line._count()
    assert line._under_way("").plain.startswith("~30 tokens, ~0.000018 USD so far; first after")


@pytest.mark.slow
def test_without_colour_and_on_a_dumb_terminal(server: Emulator) -> None:
    """NO_COLOR leaves no colour; a terminal that cannot be drawn on gets plain lines."""
    server.script(Scenario(text="Two"))
    seen = on_a_terminal("chat", "hello", variables={"TERM": "dumb", "NO_COLOR": "1"})
    assert b"\x1b" not in seen.output
    assert seen.output.startswith(b"Two\r\n")


@pytest.mark.parametrize("text", [True, False])
def test_where_standard_error_alone_is_looked_at(
    server: Emulator, monkeypatch: pytest.MonkeyPatch, text: bool
) -> None:
    """The answer goes to its file untouched; nothing is lost or doubled in either case."""
    monkeypatch.setattr(chat_module, "is_live", lambda *, err=False: err or text)
    monkeypatch.setattr(live, "_EVERY", 0.001)
    server.script(Scenario(text=re.findall(r"\S+\s*", LINES), delay=0.002))
    result = CliRunner().invoke(main, ["chat", "count"])
    assert result.exit_code == 0
    shown = result.stdout.replace("\n", "") if text else result.stdout
    assert LINES.replace("\n", "") in shown if text else shown == LINES + "\n"


def test_a_terminal_that_goes_away_does_not_stop_the_reading(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is drawn cannot be; the answer is read to its end, and its cost is known."""

    def gone(self: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(chat_module, "is_live", lambda *, err=False: True)
    monkeypatch.setattr(live, "_EVERY", 0.001)
    monkeypatch.setattr(live.Live, "_draw", gone)
    server.script(Scenario(text=["one ", "two"], delay=0.01))
    result = CliRunner().invoke(main, ["chat", "count"])
    assert result.stdout.endswith("one two\n")
    assert "completed, " in result.stderr


def test_whether_there_is_something_to_draw_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that is not a dumb one."""
    monkeypatch.setattr(screen, "is_terminal", lambda *, err=False: err)
    monkeypatch.setenv("TERM", "xterm")
    assert (screen.is_live(), screen.is_live(err=True)) == (False, True)
    monkeypatch.setenv("TERM", "dumb")
    assert not screen.is_live(err=True)
