"""A bar chart as an SVG file."""

from __future__ import annotations

from html import escape

ROW, LEFT, WIDTH = 26, 330, 860


def draw(bars: dict[str, float], title: str) -> str:
    """Draw horizontal bars, shortest first, each with its figure."""
    longest = max(bars.values())
    rows = sorted(bars.items(), key=lambda bar: bar[1])
    height = ROW * (len(rows) + 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="8" y="20" font-weight="600" fill="#1f2328">{escape(title)}</text>',
    ]
    for number, (marked, value) in enumerate(rows, 1):
        name = marked.replace("*", "").replace("`", "")
        y = ROW * number + 8
        width = max(1.0, (WIDTH - LEFT - 70) * value / longest)
        colour = "#0a7d5a" if name.startswith("usagestream") else "#8c959f"
        parts += [
            f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end" fill="#1f2328">'
            f"{escape(name)}</text>",
            f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="18" fill="{colour}"/>',
            f'<text x="{LEFT + width + 6:.1f}" y="{y + 14}" fill="#1f2328">{value:.1f}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"
