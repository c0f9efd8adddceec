"""What a tracked client saves: CPU per chunk against the bare SDK, both taking turns.

    python -m benchmarks.track [rounds]

As `python -m benchmarks` does it: each in a process of its own, the server in another. The bare
client asks for usage, the tracked one is asked for nothing, as most calls are made. Writes
`docs/speed/track.json`, and the table of docs/track.md from it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from .contestants import Field

OUT = Path("docs/speed/track.json")
PAGE = Path("docs/track.md")
CASES = ("openai/2000/1", "openai/2000/8", "responses/2000/1")
AIMS = (
    ("sync", "tracked_sync", "sdk_sync", "openai/2000/1", 0.25),
    ("sync, eight in each read", "tracked_sync", "sdk_sync", "openai/2000/8", 0.22),
    ("async", "tracked_async", "sdk_async", "openai/2000/1", 0.25),
    ("async over aiohttp", "tracked_aiohttp", "sdk_async", "openai/2000/1", 0.15),
    ("the `stream()` helper", "trackedhelper_sync", "helper_sync", "openai/2000/1", 0.6),
    ("Responses, text", "trackedresponses_sync", "responses_sync", "responses/2000/1", 0.25),
)
"""What is compared: who, against whom, at which case, and at most what part of it is aimed at."""


def measure(rounds: int) -> dict[str, Any]:
    """Let all take turns; give their medians in CPU microseconds per chunk."""
    with Field() as field:
        field.add(sys.executable, sorted({name for aim in AIMS for name in aim[1:3]}))
        for case in CASES:
            names = sorted({name for aim in AIMS if aim[3] == case for name in aim[1:3]})
            field.measure([case], rounds, names)
        return {
            "versions": field.contestants["tracked_sync"].versions,
            "rounds": rounds,
            "cpu_us": {
                f"{name} {case}": round(contestant.median(case), 2)
                for name, contestant in field.contestants.items()
                for case in contestant.cpu
            },
        }


def table(results: dict[str, Any]) -> str:
    """The table of the page."""
    lines = [
        "| CPU µs per chunk | bare | tracked | part | aim, at most | |",
        "|---|---|---|---|---|---|",
    ]
    for what, ours, theirs, case, limit in AIMS:
        mine, bare = (results["cpu_us"][f"{name} {case}"] for name in (ours, theirs))
        word = "reached" if mine / bare <= limit else "**missed**"
        lines.append(
            f"| {what} | {bare:.1f} | {mine:.1f} | {mine / bare:.3f} | {limit:g} | {word} |"
        )
    return "\n".join(lines)


def insert(page: str, results: dict[str, Any]) -> str:
    """Give a page with its table as it was measured, between the comments that mark it."""
    before, _, rest = page.partition("<!-- tracked -->")
    after = rest.partition("<!-- /tracked -->")[2]
    return f"{before}<!-- tracked -->\n{table(results)}\n<!-- /tracked -->{after}"


def main(rounds: int) -> None:
    """Measure, print, and write."""
    results = measure(rounds)
    print(f"{results['versions']}, median of {rounds} rounds\n{table(results)}")
    OUT.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(insert(PAGE.read_text("utf-8"), results), "utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
