"""How a command ends, and what it logs until then: statuses as of a shell, warnings in a line."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, Final

import click

from .screen import say, visible

__all__ = [
    "INTERRUPTED",
    "UNREAD",
    "Commands",
    "exit_status",
    "leave_pipe",
    "signals_as_exits",
]

INTERRUPTED: Final = 128 + signal.SIGINT
"""The exit status of what Ctrl-C ended."""
UNREAD: Final = 128 + 13
"""The exit status of what wrote to a pipe that nobody reads: as by SIGPIPE."""


class Commands(click.Group):
    """A group whose commands show what others wrote and never let a terminal obey it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options of the group itself."""
        with _ending():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. Ctrl-C ends it with 130, a pipe that was closed with 141."""
        with _logging_in_lines(), _ending():
            return super().invoke(ctx)


class _Lines(logging.Handler):
    """Says what the library logs, in a line each; what was raised is named, and not where."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it on standard error."""
        raised = record.exc_info[1] if record.exc_info else None
        why = "" if raised is None else f": {raised}"
        say(f"{record.levelname.capitalize()}: {record.getMessage()}{why}", err=True)


@contextmanager
def _logging_in_lines() -> Generator[None]:
    logger, lines = logging.getLogger("usagestream"), _Lines(logging.WARNING)
    logger.addHandler(lines)
    try:
        yield
    finally:
        logger.removeHandler(lines)


@contextmanager
def _ending() -> Generator[None]:
    try:
        yield
    except click.ClickException as exc:
        vars(exc)["message"] = visible(exc.message)  # final, but for what it is made of
        raise
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        leave_pipe()
        raise SystemExit(UNREAD) from None


def leave_pipe() -> None:
    """Nobody reads: let what is still in line for there, here and at the exit, go nowhere."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


def exit_status(stop: BaseException | None) -> int:
    """The exit status of what was stopped by this, as a shell has it."""
    if isinstance(stop, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(stop, SystemExit):
        return stop.code if isinstance(stop.code, int) else 1
    if isinstance(stop, BrokenPipeError):
        leave_pipe()
        return UNREAD
    return 0 if stop is None else 1


@contextmanager
def signals_as_exits() -> Generator[None]:
    """Let what asks the command to end, or closes its terminal, end it as `sys.exit` does."""
    from usagestream import exit_on_signals

    ends = [signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else [])]
    ours = [each for each in ends if signal.getsignal(each) is signal.SIG_DFL]
    for number in ours:
        exit_on_signals(number)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
