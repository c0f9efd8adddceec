"""Charts as inline SVG: bars only; their words are HTML, which stays readable on a phone.

Colours are classes, so that the page says which; each bar says itself what it is, where one points
at it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ._text import safe

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COLOURS", "Bar", "bar", "bars"]

COLOURS: Final = 8
"""Classes `c0` to `c7`; the last is for what is left."""
_HEIGHT: Final = 200
_FEW: Final = 4
"""Bars that are given less room: one day alone is no wall."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart: its parts from below, each with its colour and what it is."""

    label: str
    parts: Sequence[tuple[float, int, str]]

    @property
    def height(self) -> float:
        """Of all parts."""
        return sum(size for size, _, _ in self.parts)


def bars(title: str, made: Sequence[Bar], top: str) -> str:
    """A chart of upright bars; `top` is what the highest of them comes to, in words."""
    highest = max((each.height for each in made), default=0) or 1
    rects: list[str] = []
    for index, each in enumerate(made):
        y = float(_HEIGHT)
        for size, colour, words in each.parts:
            height = size / highest * _HEIGHT
            y -= height
            if height > 0:
                rects.append(
                    f'<rect class="c{colour}" x="{index + 0.1:g}" y="{y:.2f}" width="0.8" '
                    f'height="{height:.2f}"><title>{safe(words)}</title></rect>'
                )
    labels = [made[index].label for index in _some(len(made))]
    few = ' class="few"' if len(made) <= _FEW else ""
    return (
        f'<figure{few}><div class="top">{safe(top)}</div>'
        f'<svg class="bars" role="img" aria-label="{safe(title)}" preserveAspectRatio="none" '
        f'viewBox="0 0 {max(len(made), 1)} {_HEIGHT}">{"".join(rects)}</svg>'
        f'<div class="axis">{"".join(f"<span>{safe(label)}</span>" for label in labels)}</div>'
        "</figure>"
    )


def bar(share: float, colour: int = 0) -> str:
    """A bar that lies, of so much of its room; for a cell of a table that has the figure too."""
    width = min(max(share, 0), 1) * 100
    return (
        '<svg class="bar" aria-hidden="true" preserveAspectRatio="none" viewBox="0 0 100 1">'
        f'<rect class="c{colour}" width="{width:.2f}" height="1"/></svg>'
    )


def _some(count: int) -> list[int]:
    """The first, one in the middle, and the last."""
    return sorted({0, count // 2, count - 1}) if count else []
