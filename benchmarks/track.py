"""What a tracked client saves: CPU per chunk against the bare SDK, both taking turns.

    python -m benchmarks.track [rounds]

As `python -m benchmarks` does it, which does this too: each in a process of its own, the server in
another. The bare client asks for usage, the tracked one is asked for nothing, as most calls are
made. Puts its figures into `docs/speed/results.json`, and writes the tables of docs/track.md and
docs/speed.md from it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from .aims import ASKING, TRACKED, tracked_memory
from .contestants import Field
from .growth import cpu, held, medians
from .report import insert as insert_speed

__all__ = ["insert", "measure"]

RESULTS = Path("docs/speed/results.json")
SPEED = Path("docs/speed.md")
PAGE = Path("docs/track.md")
CASES = ("openai/2000/1", "openai/2000/8", "responses/2000/1")


def measure(rounds: int) -> dict[str, Any]:
    """Let all take turns; give medians in CPU microseconds per chunk, and of what is beside it."""
    with Field() as field:
        field.add(sys.executable, sorted({name for aim in TRACKED for name in aim[1:3]}))
        for case in CASES:
            names = sorted({name for aim in TRACKED if aim[3] == case for name in aim[1:3]})
            field.measure([case], rounds, names)

        def asked(name: str, messages: str) -> float:
            return cpu(field, name, "openai/1/1", messages=int(messages)) / 1e3

        askers = [name for aim in ASKING for name in aim[1:3]]
        asking = medians(askers, ("100",), asked, rounds=rounds)
        return {
            "versions": field.contestants["tracked_sync"].versions,
            "rounds": rounds,
            "cpu_us": {
                f"{name} {case}": round(contestant.median(case), 2)
                for name, contestant in field.contestants.items()
                for case in contestant.cpu
            },
            "asking_ms": {name: figures["100"] for name, figures in asking.items()},
            "memory": held(field, ("sdk_sync", "tracked_sync")),
        }


def table(tracked: dict[str, Any]) -> str:
    """The tables of the page."""
    lines = [
        "| CPU µs per chunk | bare | tracked | part | aim, at most | |",
        "|---|---|---|---|---|---|",
    ]
    figures = tracked["cpu_us"]
    for what, ours, theirs, case, limit in TRACKED:
        mine, bare = (figures[f"{name} {case}"] for name in (ours, theirs))
        lines.append(_row(what, bare, mine, limit))
    lines += ["", "| CPU ms of asking with 100 messages | bare | tracked | part | aim, at most | |"]
    lines.append("|---|---|---|---|---|---|")
    figures = tracked["asking_ms"]
    lines += [_row(what, figures[bare], figures[ours], limit) for what, ours, bare, limit in ASKING]
    kilobytes = max(tracked_memory(tracked))
    lines += [
        "",
        f"An open stream of a tracked client holds {kilobytes:.1f} KB more than a bare one.",
    ]
    return "\n".join(lines)


def _row(what: str, bare: float, mine: float, limit: float) -> str:
    word = "reached" if mine / bare <= limit else "**missed**"
    return f"| {what} | {bare:.1f} | {mine:.1f} | {mine / bare:.3f} | {limit:g} | {word} |"


def insert(page: str, tracked: dict[str, Any]) -> str:
    """Give a page with its tables as they were measured, between the comments that mark them."""
    before, _, rest = page.partition("<!-- tracked -->")
    after = rest.partition("<!-- /tracked -->")[2]
    return f"{before}<!-- tracked -->\n{table(tracked)}\n<!-- /tracked -->{after}"


def main(rounds: int) -> None:
    """Measure, print, and write."""
    results = json.loads(RESULTS.read_text("utf-8"))
    tracked = results["tracked"] = measure(rounds)
    print(f"{tracked['versions']}, median of {rounds} rounds\n{table(tracked)}")
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(insert(PAGE.read_text("utf-8"), tracked), "utf-8")
    SPEED.write_text(insert_speed(SPEED.read_text("utf-8"), results), "utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
