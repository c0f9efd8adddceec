"""However `usagestream chat` ends, what it has cost is shown and saved, with a shell's status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import IO, Any

import pytest
from click.testing import CliRunner

from usagestream import Emulator, JsonLinesSink, Scenario, UsageRecord
from usagestream_adapters.cli import answers, endings
from usagestream_adapters.cli.command import main
from usagestream_core.records.interrupts import uninterrupted

SLOW = Scenario(text=["one ", "two ", *["more "] * 500], delay=0.02)

pytestmark = pytest.mark.usefixtures("openai_environment")


def start(*arguments: str, stdout: int | IO[bytes] = subprocess.PIPE) -> subprocess.Popen[bytes]:
    """Start the command with a handler for Ctrl-C, which a shell's background may ignore."""
    return subprocess.Popen(
        [sys.executable, "-m", "usagestream", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),
    )


def read_some(process: subprocess.Popen[bytes]) -> bytes:
    """Wait until the answer has begun."""
    assert process.stdout is not None
    return os.read(process.stdout.fileno(), 100)


@pytest.mark.slow
def test_ctrl_c(server: Emulator, tmp_path: Path) -> None:
    """The answer so far, a line with what it has cost, and the record in the file."""
    server.script(SLOW)
    with start("chat", "count", "--save", "records.jsonl") as process:
        began = read_some(process)
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert (began + rest).startswith(b"one ")
    assert (began + rest).endswith(b"\n")
    assert b"(estimated), cancelled, " in said
    assert said.count(b"\n") == 1
    (record,) = JsonLinesSink.read(tmp_path / "records.jsonl")
    assert record.outcome == "cancelled"
    assert record.usage.output_tokens


@pytest.mark.slow
def test_sigterm_where_json_is_asked_for(server: Emulator) -> None:
    """The record is printed all the same, whole."""
    server.script(SLOW)
    with start("chat", "count", "--json") as process:
        wait_for_request(server)
        process.terminate()
        shown, said = process.communicate(timeout=120)
    assert process.returncode == 143
    assert UsageRecord.model_validate_json(shown).outcome == "cancelled"
    assert said == b""


def wait_for_request(server: Emulator) -> None:
    """Wait until the emulator was asked."""
    deadline = time.monotonic() + 60
    while not server.requests and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)


@pytest.mark.slow
def test_a_reader_that_is_gone(server: Emulator, tmp_path: Path) -> None:
    """`usagestream chat ... | head -c 4`: no traceback, the cost, and 141."""
    server.script(SLOW)
    with start("chat", "count", "--save", "records.jsonl") as process:
        read_some(process)
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, said = process.communicate(timeout=120)
    assert process.returncode == 141
    assert b"closed, " in said
    assert said.count(b"\n") == 1
    (record,) = JsonLinesSink.read(tmp_path / "records.jsonl")
    assert record.outcome == "closed"


def test_a_disk_that_is_full(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer cannot be written: an error, and what it has cost."""

    def full(piece: str) -> None:
        raise OSError(28, "No space left on device")

    server.script(Scenario(text="Two"))
    monkeypatch.setattr(answers, "write", full)
    result = CliRunner().invoke(main, ["chat", "count"])
    assert result.exit_code == 1
    assert "closed, " in result.stderr
    assert "Error: [Errno 28] No space left on device" in result.stderr


@pytest.mark.parametrize(
    ("stop", "status"),
    [(None, 0), (KeyboardInterrupt(), 130), (SystemExit(143), 143), (SystemExit("x"), 1)],
)
def test_the_status_of_an_ending(stop: BaseException | None, status: int) -> None:
    """As a shell has it."""
    assert endings.exit_status(stop) == status


def test_a_signal_while_the_cost_is_told(request: pytest.FixtureRequest) -> None:
    """It is told to its end first."""
    # Where a run is in the background, Ctrl-C is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    other = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    request.addfinalizer(lambda: signal.signal(signal.SIGTERM, other))
    told: list[int] = []

    def tell(number: signal.Signals) -> None:
        def step() -> None:
            signal.raise_signal(number)
            told.append(number)

        with endings.signals_as_exits():
            uninterrupted(step)

    with pytest.raises(KeyboardInterrupt):
        tell(signal.SIGINT)
    with pytest.raises(SystemExit) as ended:
        tell(signal.SIGTERM)
    assert told == [signal.SIGINT, signal.SIGTERM]
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_signals_that_others_take_are_left_to_them() -> None:
    """What is ignored stays ignored: `nohup usagestream chat`."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}

    def step() -> None:
        for number in before:
            signal.raise_signal(number)

    try:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        with endings.signals_as_exits():
            uninterrupted(step)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_what_is_left_in_line_for_a_closed_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes nowhere, and the interpreter's end has nothing to complain of."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        pipe.write("what nobody reads")
        assert endings.exit_status(BrokenPipeError()) == 141
        pipe.flush()


def test_interrupted_before_anything_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no record then, and that is said."""

    def interrupt(self: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(answers.Plain, "_begin", interrupt)
    result = CliRunner().invoke(main, ["chat", "hello"])
    assert result.exit_code == 130
    assert result.stderr == "Nothing was sent.\n"


@pytest.mark.parametrize(("stop", "status"), [(KeyboardInterrupt, 130), (BrokenPipeError, 141)])
def test_any_command_ends_quietly(
    stop: type[BaseException], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a traceback nor `Aborted!` on Ctrl-C, or where nobody reads."""

    def interrupt(*args: Any) -> None:
        raise stop

    monkeypatch.setattr("usagestream_adapters.cli.check._lines", interrupt)
    result = CliRunner().invoke(main, ["check"])
    assert (result.exit_code, result.output) == (status, "")
