"""The streams that are open, so that none is forgotten when the interpreter ends."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType, TracebackType

__all__ = ["exit_on_signals", "open_stream_count"]

logger = logging.getLogger("usagestream")


class Leavable(Protocol):
    """What has something to finish before the interpreter ends."""

    def leave_at_exit(self) -> None: ...


class Box(Leavable, Protocol):
    """What has something in line, of which a forked child has a copy."""

    def leave_to_parent(self) -> None: ...


class Register:
    """The streams that are open. Held weakly: one that is dropped ends by that.

    Each step is one of a dict's own: safe in `__del__` and in signal handlers, where a lock is not.
    """

    def __init__(self) -> None:
        self._open: dict[int, weakref.ref[Leavable]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, stream: object) -> bool:
        return id(stream) in self._open

    def add(self, stream: object, holder: Leavable) -> None:
        """Put in a stream, and who is to leave it when the interpreter ends."""
        self._open[id(stream)] = weakref.ref(holder)

    def remove(self, stream: object) -> None:
        """Take out, if it is in."""
        self._open.pop(id(stream), None)

    def clear(self) -> None:
        self._open.clear()

    def leave_all(self) -> None:
        """End everything that is still open."""
        holders = [reference() for reference in list(self._open.values())]
        _leave_each([holder for holder in holders if holder is not None])


def _leave_each(items: Iterable[Leavable]) -> None:
    """End each on its own. Raises at last what interrupted one of them."""
    interrupt = None
    for item in items:
        try:
            item.leave_at_exit()
        except Exception:
            logger.exception("%s could not be ended at exit", type(item).__name__)
        except BaseException as exc:  # noqa: BLE001 - raised below
            interrupt = exc
    if interrupt is not None:
        raise interrupt


streams: Final = Register()
outboxes: Final[dict[int, Box]] = {}
"""Those with something in line, by id. Held: the records in them may have no other holder."""
last: Final[list[Box]] = []
"""What records end up in, and has to be left after all of them."""


def open_stream_count() -> int:
    """How many streams of this process have been sent and have no record yet."""
    return len(streams)


def _at_exit() -> None:
    try:
        streams.leave_all()
    finally:
        try:
            _leave_each(list(outboxes.values()))
        finally:
            _leave_each(last)


def _forget() -> None:
    """A forked child shares its parent's connections and files, which are not its own to end."""
    streams.clear()
    for outbox in outboxes.values():
        outbox.leave_to_parent()
    outboxes.clear()
    for box in last:
        box.leave_to_parent()


atexit.register(_at_exit)
if sys.platform != "win32":  # pragma: no branch
    os.register_at_fork(after_in_child=_forget)


def exit_on_signals(*numbers: signal.Signals) -> None:
    """Let these signals, `SIGTERM` if none is named, end the program as `sys.exit` does.

    By default `SIGTERM` ends a Python program on the spot: no block is left, no record written.
    With this, streams that are being read end as `cancelled`, others as `abandoned`, sinks are
    flushed, and the exit status is 128 plus the signal's number, as shells have it. Replaces the
    handlers these signals have; to be called in the main thread.

    On trio, whose own steps must not be cut in two, all tasks are cancelled, and the program ends
    when they have ended; a second signal does not wait.

    Raises `ValueError` in any other thread.
    """
    for number in numbers or (signal.SIGTERM,):
        signal.signal(number, _exit)


def _exit(number: int, frame: FrameType | None) -> None:
    if not _ended_by_trio(128 + number):
        raise SystemExit(128 + number)


def _ended_by_trio(status: int) -> bool:
    """Whether trio runs here, and was told to cancel everything. It is asked once in each run.

    What a handler raises while trio waits would come out in the middle of its own loop.
    """
    trio: Any = sys.modules.get("trio")
    try:
        token: Any = None if trio is None else trio.lowlevel.current_trio_token()
    except RuntimeError:
        token = None
    if token is None or token in _cancelled:
        return False
    _cancelled.add(token)
    token.run_sync_soon(_cancel_all, trio, status)
    return True


def _cancel_all(trio: Any, status: int) -> None:
    # The innermost nursery of trio's own is the one that holds the main task.
    trio.lowlevel.current_root_task().child_nurseries[-1].cancel_scope.cancel()
    sys.excepthook = partial(_exit_hook, status, trio.Cancelled, sys.excepthook)


_cancelled: Final[WeakSet[Any]] = WeakSet()
"""The runs of trio that a signal has ended."""


def _exit_hook(
    status: int,
    cancelled: type[BaseException],
    before: Callable[..., object],
    kind: type[BaseException],
    exc: BaseException,
    traceback: TracebackType | None,
) -> None:
    """End the program with a status, if what ends it is that everything was cancelled."""
    group: Any = exc
    if not isinstance(exc, BaseExceptionGroup):
        group = BaseExceptionGroup("", [exc])
    if group.split(cancelled)[1] is None:
        raise SystemExit(status)
    before(kind, exc, traceback)
