"""What the command shows: the one way that text goes to a terminal, a pipe or a file.

What others wrote (a model, a server, a file) may hold what a terminal obeys. Nothing of that is
obeyed: it is shown, as Python would escape it.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "is_live", "is_terminal", "lay_out", "say", "say_json", "visible", "write"]

_OBEYED: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1, but the tab and the newline; DEL
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # what turns the direction of text; odd newlines
    "\ud800-\udfff]"  # halves of a character, which no encoding takes
)
_NARROWEST: Final = 24
"""Columns under which a last column is not wrapped, but put below the others."""


def visible(text: str) -> str:
    """Escape what a terminal would obey, or could not show; newlines and tabs stay."""
    return _OBEYED.sub(lambda found: ascii(found[0])[1:-1], text)


def say(text: str = "", *, err: bool = False) -> None:
    """Print a line, or several, to standard output or error."""
    _put(visible(text) + "\n", sys.stderr if err else sys.stdout)


def say_json(text: str) -> None:
    """Print JSON, with what a terminal would obey in JSON's own escapes: the value is the same."""
    _put(_OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n", sys.stdout)


def write(text: str) -> None:
    """Write a piece of an answer to standard output at once; as it is, unless to a terminal."""
    _put(visible(text) if is_terminal() else text, sys.stdout)


def is_terminal(*, err: bool = False) -> bool:
    """Whether somebody looks at standard output, or error."""
    return (sys.stderr if err else sys.stdout).isatty()


def is_live(*, err: bool = False) -> bool:
    """Whether it is a terminal that can draw over what it shows."""
    return is_terminal(err=err) and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


def console(*, err: bool = False) -> Console:
    """A console of rich that takes no markup: styles are given as styles, never in the text.

    What is printed with it goes through `visible` first, where it is not our own.
    """
    from rich.console import Console

    class Ours(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # which the command ends with; rich would exit with 1

    return Ours(stderr=err, markup=False, emoji=False, highlight=False, soft_wrap=True)


def lay_out(
    rows: Sequence[Sequence[str]], *, width: int | None = None, indent: int = 0, gap: int = 2
) -> str:
    """Give rows in columns. What follows a newline in a cell stays in its column.

    `width` is that of the terminal: the last column is wrapped at it or, where too little is left
    for it, put below. `None` asks the terminal, and wraps nothing where there is none. `gap` is
    the number of spaces between two columns.
    """
    if width is None and is_terminal():
        width = shutil.get_terminal_size().columns
    shown = [
        [*(visible(cell).replace("\n", "\\n") for cell in cells), visible(last)]
        for *cells, last in rows
    ]
    widths = [max(len(cell) for cell in column) for column in zip(*shown, strict=True)][:-1]
    start = indent + sum(each + gap for each in widths)
    is_stacked = width is not None and width - start < _NARROWEST
    lines: list[str] = []
    for *cells, last in shown:
        if is_stacked:
            for depth, cell in enumerate((*cells, last)):
                lines += _wrapped(cell, width, " " * (indent + 2 * min(depth, 1)))
        else:
            padded = [
                f"{cell:<{each}}{' ' * gap}" for cell, each in zip(cells, widths, strict=True)
            ]
            first, *more = _wrapped(last, width, " " * start)
            lines += [" " * indent + "".join(padded) + first[start:], *more]
    return "\n".join(line.rstrip() for line in lines)


def _wrapped(text: str, width: int | None, margin: str) -> list[str]:
    """The lines of a cell, each behind the margin; at least one."""
    lines: list[str] = []
    for line in text.split("\n"):
        pieces = [line] if width is None else textwrap.wrap(line, max(width - len(margin), 1))
        lines += [margin + piece for piece in pieces or [""]]
    return lines


def _put(text: str, stream: TextIO) -> None:
    """Write now, in the stream's encoding; what that has no word for is escaped."""
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()
