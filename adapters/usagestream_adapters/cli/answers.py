"""One answer as it comes: shown as text, or kept to itself; and why it stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .screen import say, write

if TYPE_CHECKING:
    from usagestream import UsageStream

__all__ = ["Answer", "Plain", "Silent"]


class Answer:
    """Reads a stream to its end, or to what stops it. A subclass shows it."""

    def __init__(self, stream: UsageStream) -> None:
        self._stream = stream
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        """What came of the first choice."""
        return "".join(self._pieces)

    def read(self) -> BaseException | None:
        """Give what stopped it: an error of the provider's, a signal, a reader that is gone.

        The stream has its record then, unless nothing was sent.
        """
        from usagestream import UsageStreamError

        try:
            self._begin()
            try:
                with self._stream:
                    for chunk in self._stream:
                        if chunk.index == 0 and chunk.text:
                            self._pieces.append(chunk.text)
                            self._show(chunk.text)
            finally:
                self._end()
        except (UsageStreamError, OSError, KeyboardInterrupt, SystemExit) as stop:
            return stop
        return None

    def _begin(self) -> None:
        """Before the first piece."""

    def _show(self, piece: str) -> None:
        """Show a piece."""

    def _end(self) -> None:
        """After the last, whatever it was."""


class Silent(Answer):
    """Shows nothing."""


class Plain(Answer):
    """Writes each piece as it comes."""

    def _show(self, piece: str) -> None:
        write(piece)

    def _end(self) -> None:
        say()
