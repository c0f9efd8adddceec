"""Keeping signals out of the few steps that must not be cut in two."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

__all__ = ["uninterrupted"]

_HELD: Final = (signal.SIGINT, signal.SIGTERM)


def uninterrupted(step: Callable[[], None]) -> None:
    """Call `step` while an interrupt waits for its end. A second one does not wait.

    Python runs the handlers of signals between any two steps of its main thread, and what they
    raise, `KeyboardInterrupt` above all, comes out there. Elsewhere nothing has to be held off.
    """
    if threading.get_ident() != threading.main_thread().ident:
        step()
        return
    held = _Held()
    # Given back twice: should anything be raised in the first, the second does it.
    try:
        try:
            held.take()
            step()
        finally:
            held.give_back()
    finally:
        held.give_back()
        held.let_through()


class _Held:
    """The handlers that were there, and the signals that came meanwhile."""

    def __init__(self) -> None:
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._came: list[tuple[int, FrameType | None]] = []
        self._given_back = False

    def take(self) -> None:
        """Put ourselves in the place of the handlers that are Python's."""
        for number in _HELD:
            handler = signal.getsignal(number)
            if callable(handler) and not isinstance(getattr(handler, "__self__", None), _Held):
                self._handlers[number] = handler
                try:
                    signal.signal(number, self._note)
                except ValueError:  # no main thread after all, as in a subinterpreter
                    del self._handlers[number]

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._given_back or self._came:
            self._handlers[number](number, frame)
        else:
            self._came.append((number, frame))

    def give_back(self) -> None:
        """Let the handlers be what they were, unless somebody changed them meanwhile."""
        for number, handler in self._handlers.items():
            if signal.getsignal(number) == self._note:
                signal.signal(number, handler)
        self._given_back = True

    def let_through(self) -> None:
        """Handle what came, as it would have been handled then. May raise what handlers raise."""
        while self._came:
            number, frame = self._came.pop()
            self._handlers[number](number, frame)
