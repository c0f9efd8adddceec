"""Draw a diagram of rooms from its Mermaid, as SVG in the colours of the page.

It knows what `docs.rooms` writes and no more: boxes, and arrows that lead down.
"""

from __future__ import annotations

import re
from html import escape

ROW, GAP, HEIGHT, LETTER = 84, 22, 34, 8.2
_BOX = re.compile(r'^ +(\w+)\["(.+)"\]$', re.MULTILINE)
_ARROW = re.compile(r"^ +(\w+) --> (\w+)$", re.MULTILINE)


def svg(mermaid: str) -> str:
    """Give the drawing, in one line for each thing drawn and without a blank line."""
    names: dict[str, str] = dict(_BOX.findall(mermaid))
    arrows: list[tuple[str, str]] = _ARROW.findall(mermaid)
    rows = _rows(names, arrows)
    widths = {box: len(name) * LETTER + 24 for box, name in names.items()}
    spans = [sum(widths[box] + GAP for box in row) - GAP for row in rows]
    wide = max(spans) + 4
    places: dict[str, tuple[float, float]] = {}
    for number, (row, span) in enumerate(zip(rows, spans, strict=True)):
        left = (wide - span) / 2
        for box in row:
            places[box] = (left + widths[box] / 2, number * ROW + 2)
            left += widths[box] + GAP
    high = (len(rows) - 1) * ROW + HEIGHT + 4
    view = f'viewBox="0 0 {wide:.0f} {high}" xmlns="http://www.w3.org/2000/svg"'
    lines = [f'<svg class="rooms" role="img" {view}>']
    lines += [f"<title>{escape(', '.join(names.values()))}</title>"]
    for above, below in arrows:
        (x, y), (to_x, to_y) = places[above], places[below]
        y += HEIGHT
        bend = (to_y - y) / 2
        lines.append(
            f'<path d="M{x:.0f} {y:.0f}C{x:.0f} {y + bend:.0f} {to_x:.0f} {to_y - bend:.0f} '
            f'{to_x:.0f} {to_y:.0f}"/>'
        )
    for box, (x, y) in places.items():
        width = widths[box]
        size = f'width="{width:.0f}" height="{HEIGHT}" rx="5"'
        lines.append(f'<rect x="{x - width / 2:.0f}" y="{y}" {size}/>')
        lines.append(f'<text x="{x:.0f}" y="{y + 22}">{escape(names[box])}</text>')
    return "\n".join([*lines, "</svg>"])


def _rows(names: dict[str, str], arrows: list[tuple[str, str]]) -> list[list[str]]:
    """Sort boxes into rows, each arrow leading down, and near to what leads to them."""
    row_of = dict.fromkeys(names, 0)
    for _ in names:
        for above, below in arrows:
            row_of[below] = max(row_of[below], row_of[above] + 1)
    rows: list[list[str]] = [[] for _ in range(max(row_of.values()) + 1)]
    at: dict[str, float] = {}
    for number, row in enumerate(rows):
        here = [box for box in names if row_of[box] == number]
        led = {box: [at[one] for one, other in arrows if other == box] for box in here}
        middle = {box: sum(found) / len(found) if found else 0.5 for box, found in led.items()}
        row += sorted(here, key=middle.__getitem__)
        at |= {box: (place + 0.5) / len(row) for place, box in enumerate(row)}
    return rows
