"""An answer on a terminal, with a line below it that says what it has used and cost so far."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from usagestream import Usage

from .answers import Plain
from .figures import so_far
from .screen import console, visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from usagestream import Cost, UsageStream

__all__ = ["Live"]

_EVERY: Final = 0.1
"""Seconds between two drawings."""


class Live(Plain):
    """Draws at most ten times a second, whatever comes; a line that is whole is printed for good.

    `shows_text=False` shows the line alone, on standard error, where the answer goes elsewhere.
    """

    def __init__(self, stream: UsageStream, *, shows_text: bool = True) -> None:
        from rich.live import Live as RichLive

        super().__init__(stream)
        self._shows_text = shows_text
        self._screen = console(err=not shows_text)
        self._live = RichLive(console=self._screen, auto_refresh=False, transient=True)
        self._waiting = ""
        """What came and is not printed for good: at most the line under way, at each drawing."""
        self._taking = threading.Lock()
        self._over = threading.Event()
        # Two, since the first count loads a tokenizer and a list of prices.
        self._threads = [
            threading.Thread(target=self._go_on, args=(step,), name="usagestream-live", daemon=True)
            for step in (self._draw, self._count)
        ]
        self._started = time.monotonic()
        self._first: float | None = None
        self._usage = Usage()
        self._cost: Cost | None = None

    def _begin(self) -> None:
        self._live.start()
        for thread in self._threads:
            thread.start()

    def _show(self, piece: str) -> None:
        if self._first is None:
            self._first = time.monotonic()
        if self._shows_text:
            with self._taking:
                self._waiting += visible(piece)
        else:
            super()._show(piece)

    def _end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._live.stop()
        if self._shows_text:
            self._print(self._waiting)
        else:
            super()._end()

    def _go_on(self, step: Callable[[], None]) -> None:
        with suppress(OSError, ValueError):  # of a terminal that is gone: the reading goes on
            while not self._over.wait(_EVERY):
                step()

    def _count(self) -> None:
        self._usage = self._stream.so_far
        self._cost = self._stream.cost

    def _draw(self) -> None:
        with self._taking:
            whole, newline, rest = self._waiting.rpartition("\n")
            self._waiting = rest
        self._live.update(self._under_way(rest))
        if newline:
            self._print(whole)  # which draws what is under way anew
        else:
            self._live.refresh()

    def _under_way(self, rest: str) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        said = so_far(self._usage, self._cost, self._started, self._first, time.monotonic())
        line = Text(said, style="dim")
        line.truncate(self._screen.width, overflow="ellipsis")
        if not rest:
            return line
        room = self._screen.width * max(self._screen.height - 3, 1)
        return Group(Text(rest[-room:], overflow="fold"), line)

    def _print(self, text: str) -> None:
        from rich.text import Text

        self._screen.print(Text(text))
