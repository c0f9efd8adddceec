"""What was measured, in words: for a terminal, and as the tables of the page about speed."""

from __future__ import annotations

from typing import Final

from .aims import PEERS_TOO, RATIOS, Results, aims, cell_of, ratio, single

__all__ = ["insert", "label", "tables", "verdicts"]

NAMES: Final = {
    "raw": "the HTTP client alone, bytes untouched",
    "ours": "**usagestream**",
    "sdk": "openai, `create(stream=True)`",
    "helper": "openai, `stream()`",
    "langchain": "langchain-openai",
    "any_llm": "any-llm",
    "pydantic_ai": "pydantic-ai",
    "litellm": "litellm",
    "response": "the SDK's open response, bytes untouched",
}
GROWTH: Final = {
    "length": "CPU µs per chunk, by chunks in the stream",
    "streams": "CPU µs per chunk, by streams at once",
    "paced": "CPU µs per chunk, one every 0.6 ms",
    "first": "ms until the first chunk",
    "asking": "CPU ms of a stream of one word, by messages asked with",
    "memory": "bytes that an open stream holds, by chunks read",
    "imports": "CPU ms of an import",
}
"""Titles of what is measured beside the cases."""
_KINDS: Final = ("sync", "async", "aiohttp")


def tables(results: Results) -> list[str]:
    """Give every case, with its spread, and how the cost grows."""
    lines: list[str] = []
    for case in results["cases"]:
        shape, frames, group, *peers = case.split("/")
        beside = ", peers taking turns too" if peers else ""
        lines.append(f"\n{shape}, {frames} frames, {group} in each read{beside}")
        lines.append(f"{'':<18}{'CPU us/frame':>14}{'min':>8}{'max':>8}{'x SDK':>8}{'x raw':>8}")
        for name in results["contestants"]:
            cell = cell_of(results, name, case)
            if cell is None:
                continue
            kind = "sync" if name.endswith("_sync") else "async"
            ratios = [ratio(results, name, f"{base}_{kind}", case) for base in ("sdk", "raw")]
            lines.append(
                f"{name:<18}{cell['cpu_us']:>14.1f}{cell['min']:>8.1f}{cell['max']:>8.1f}"
                f"{ratios[0]:>8.3f}{ratios[1]:>8.2f}"
            )
    for name, figures in results.get("growth", {}).items():
        lines.append(f"\n{GROWTH[name]}")
        columns = list(next(iter(figures.values())))
        lines.append(" " * 32 + "".join(f"{column:>10}" for column in columns))
        for row, cells in figures.items():
            lines.append(f"{row:<32}" + "".join(f"{cells[column]:>10.1f}" for column in columns))
    return lines


def verdicts(results: Results) -> list[str]:
    """Say whether what is aimed at was reached."""
    return [
        f"{aim.what}: {aim.shown}, aim {aim.limit:g}: {'reached' if aim.reached else 'MISSED'}"
        for aim in aims(results)
    ]


def insert(page: str, results: Results) -> str:
    """Give a page with its tables as they were measured, between the comments that mark them."""
    texts = {"summary": _summary(results), "aims": _aims(results), "growth": _growth(results)}
    for name, text in texts.items():
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
    rows = {key: [cell_of(results, f"{key}_{kind}", case) for kind in _KINDS] for key in NAMES}
    measured = {key: row for key, row in rows.items() if any(row)}
    for key in sorted(measured, key=lambda key: min(c["cpu_us"] for c in measured[key] if c)):
        cells = [f"{cell['cpu_us']:.1f}" if cell else "" for cell in measured[key]]
        lines.append(f"| {NAMES[key]} | {' | '.join(cells)} |")
    cases = single(results)
    lines += [
        "",
        "| usagestream, as a part of | " + " | ".join(map(_shown, cases)) + " |",
        "|---|" + "---|" * len(cases),
    ]
    for ours, theirs in RATIOS:
        cells = [f"{ratio(results, ours, theirs, case):.3f}" for case in cases]
        lines.append(f"| {_said(ours)} / {_said(theirs)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _aims(results: Results) -> str:
    lines = ["| what | aim, at most | measured | |", "|---|---|---|---|"]
    for aim in aims(results):
        word = "reached" if aim.reached else "**missed**"
        lines.append(f"| {aim.what} | {aim.limit:g} | {aim.shown} | {word} |")
    return "\n".join(lines)


def _shown(case: str) -> str:
    shape, frames, _ = case.split("/")
    return f"{shape}, {frames}"


def _said(name: str) -> str:
    who, _, kind = name.partition("_")
    words = {"ours": "ours", "sdk": "the SDK", "raw": "the HTTP client"}
    return f"{words[who]}, {kind}"


def _growth(results: Results) -> str:
    lines: list[str] = []
    for name, figures in results["growth"].items():
        columns = list(next(iter(figures.values())))
        lines += [
            "",
            f"| {GROWTH[name]} | {' | '.join(columns)} |",
            "|---|" + "---|" * len(columns),
        ]
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
