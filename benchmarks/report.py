"""What was measured, in words: for a terminal, and as the tables of the page about speed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["LIMITS", "PEERS_TOO", "insert", "label", "tables", "verdicts"]

Results = Mapping[str, Any]
"""What the command writes to `results.json`."""

LIMITS: Final = {
    ("ours_sync", "sdk_sync"): 0.15,
    ("ours_async", "sdk_async"): 0.17,
    ("ours_aiohttp", "sdk_async"): 0.06,
    ("ours_sync", "raw_sync"): 1.7,
    ("ours_async", "raw_async"): 1.7,
}
"""What is aimed at, one frame in each read."""
NAMES: Final = {
    "raw": "the HTTP client alone, bytes untouched",
    "ours": "**usagestream**",
    "sdk": "openai, `create(stream=True)`",
    "helper": "openai, `stream()`",
    "langchain": "langchain-openai",
    "any_llm": "any-llm",
    "pydantic_ai": "pydantic-ai",
    "litellm": "litellm",
}
PEERS_TOO: Final = "/peers"
"""Marks a case at which peers took turns too."""
_KINDS: Final = ("sync", "async", "aiohttp")


def _cell(results: Results, name: str, case: str) -> Mapping[str, float] | None:
    found: Mapping[str, float] | None = (
        results["contestants"].get(name, {}).get("cases", {}).get(case)
    )
    return found


def tables(results: Results) -> list[str]:
    """Give every case, with its spread."""
    lines: list[str] = []
    for case in results["cases"]:
        shape, frames, group, *peers = case.split("/")
        beside = ", peers taking turns too" if peers else ""
        lines.append(f"\n{shape}, {frames} frames, {group} in each read{beside}")
        lines.append(f"{'':<18}{'CPU us/frame':>14}{'min':>8}{'max':>8}{'x SDK':>8}{'x raw':>8}")
        for name in results["contestants"]:
            cell = _cell(results, name, case)
            if cell is None:
                continue
            kind = "sync" if name.endswith("_sync") else "async"
            ratios = [_ratio(results, name, f"{base}_{kind}", case) for base in ("sdk", "raw")]
            lines.append(
                f"{name:<18}{cell['cpu_us']:>14.1f}{cell['min']:>8.1f}{cell['max']:>8.1f}"
                f"{ratios[0]:>8.3f}{ratios[1]:>8.2f}"
            )
    for title, figures in results.get("growth", {}).items():
        lines.append(f"\n{title}")
        columns = list(next(iter(figures.values())))
        lines.append(" " * 32 + "".join(f"{column:>10}" for column in columns))
        for row, cells in figures.items():
            lines.append(f"{row:<32}" + "".join(f"{cells[column]:>10.1f}" for column in columns))
    return lines


def verdicts(results: Results) -> list[str]:
    """Say whether what is aimed at was reached."""
    said: list[str] = []
    for (ours, theirs), limit in LIMITS.items():
        for case in results["cases"]:
            if case.endswith("/1") and _cell(results, ours, case):
                ratio = _ratio(results, ours, theirs, case)
                word = "reached" if ratio <= limit else "MISSED"
                said.append(f"{ours} / {theirs}, {case}: {ratio:.3f}, aim {limit}: {word}")
    return said


def _ratio(results: Results, name: str, base: str, case: str) -> float:
    one, other = _cell(results, name, case), _cell(results, base, case)
    assert one is not None
    assert other is not None
    return one["cpu_us"] / other["cpu_us"]


def insert(page: str, results: Results) -> str:
    """Give a page with its tables as they were measured, between the comments that mark them."""
    for name, text in (("summary", _summary(results)), ("growth", _growth(results))):
        before, _, rest = page.partition(f"<!-- {name} -->")
        after = rest.partition(f"<!-- /{name} -->")[2]
        page = f"{before}<!-- {name} -->\n{text}\n<!-- /{name} -->{after}"
    return page


def _summary(results: Results) -> str:
    case = next(case for case in results["cases"] if case.endswith(PEERS_TOO))
    lines = [
        "| CPU µs per chunk | sync | async | async, aiohttp |",
        "|---|---|---|---|",
    ]
    rows = {key: [_cell(results, f"{key}_{kind}", case) for kind in _KINDS] for key in NAMES}
    measured = {key: row for key, row in rows.items() if any(row)}
    for key in sorted(measured, key=lambda key: min(c["cpu_us"] for c in measured[key] if c)):
        cells = [f"{cell['cpu_us']:.1f}" if cell else "" for cell in measured[key]]
        lines.append(f"| {NAMES[key]} | {' | '.join(cells)} |")
    lines += [
        "",
        "| usagestream, as a part of | " + " | ".join(_shown(c) for c in _single(results)) + " |",
        "|---|" + "---|" * len(_single(results)),
    ]
    for ours, theirs in LIMITS:
        cells = [f"{_ratio(results, ours, theirs, case):.3f}" for case in _single(results)]
        lines.append(f"| {_said(ours)} / {_said(theirs)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _single(results: Results) -> list[str]:
    return [case for case in results["cases"] if case.endswith("/1")]


def _shown(case: str) -> str:
    shape, frames, _ = case.split("/")
    return f"{shape}, {frames}"


def _said(name: str) -> str:
    who, _, kind = name.partition("_")
    words = {"ours": "ours", "sdk": "the SDK", "raw": "the HTTP client"}
    return f"{words[who]}, {kind}"


def _growth(results: Results) -> str:
    lines: list[str] = []
    for title, figures in results["growth"].items():
        columns = list(next(iter(figures.values())))
        lines += ["", f"| {title} | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
        for row, cells in figures.items():
            shown = [f"{cells[column]:.1f}" for column in columns]
            lines.append(f"| {_name(row)} | {' | '.join(shown)} |")
    return "\n".join(lines).strip()


def _name(row: str) -> str:
    return label(row) if label(row) != row else f"`{row}`"


def label(name: str) -> str:
    """What a contestant is called for people."""
    who, _, kind = name.rpartition("_")
    return f"{NAMES[who]}, {kind}" if who in NAMES else name
