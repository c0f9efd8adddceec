"""The streams that are open, so that none is forgotten when the interpreter ends."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import weakref
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["exit_on_signals", "open_stream_count"]


class Leavable(Protocol):
    """What has something to finish before the interpreter ends."""

    def leave_at_exit(self) -> None: ...


class Register:
    """Holds weakly what is open. Taking out succeeds once: whoever does it writes the record."""

    def __init__(self) -> None:
        self._open: dict[int, weakref.ref[Leavable]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, one: Leavable) -> bool:
        return id(one) in self._open

    def add(self, one: Leavable) -> None:
        self._open[id(one)] = weakref.ref(one)

    def remove(self, one: Leavable) -> bool:
        """Take out; false where it was out already.

        Atomic, and safe in `__del__` and in signal handlers, where a lock is not.
        """
        return self._open.pop(id(one), None) is not None

    def clear(self) -> None:
        self._open.clear()

    def leave_all(self) -> None:
        """End everything that is still open."""
        for reference in list(self._open.values()):
            one = reference()
            if one is not None:
                one.leave_at_exit()


streams = Register()
outboxes = Register()


def open_stream_count() -> int:
    """How many streams of this process have been sent and have no record yet."""
    return len(streams)


def _at_exit() -> None:
    streams.leave_all()
    outboxes.leave_all()


def _forget() -> None:
    """A forked child shares its parent's connections and files, which are not its own to end."""
    streams.clear()
    outboxes.clear()


atexit.register(_at_exit)
if sys.platform != "win32":  # pragma: no branch
    os.register_at_fork(after_in_child=_forget)


def exit_on_signals(*numbers: signal.Signals) -> None:
    """Let these signals, `SIGTERM` if none is named, end the program as `sys.exit` does.

    By default `SIGTERM` ends a Python program on the spot: no block is left, no record written.
    With this, streams that are being read end as `cancelled`, others as `abandoned`, sinks are
    flushed, and the exit status is 128 plus the signal's number, as shells have it. Replaces the
    handlers these signals have; to be called in the main thread.

    Raises `ValueError` in any other thread.
    """
    for number in numbers or (signal.SIGTERM,):
        signal.signal(number, _exit)


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
