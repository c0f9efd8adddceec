"""`python -m benchmarks`: measure, print the tables, and write JSON and a chart.

Every contestant runs in a process of its own, peers in environments of their own that are made
here; the server in another. Contestants take turns, round by round, so that a machine that slows
down slows all of them. The figure is CPU time of the contestant's process per frame; the first
round is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from . import track
from .aims import PEERS_TOO
from .chart import draw
from .contestants import MEASURED, OWN, Field
from .growth import FIGURES
from .report import insert, label, tables, verdicts


def main() -> None:
    """Run as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="ours, the SDK and raw, in a minute")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--frames", type=int, nargs="+", default=[2000, 20000])
    parser.add_argument("--out", type=Path, default=Path("docs/speed"))
    parser.add_argument("--environments", type=Path, default=Path(".benchmarks"))
    arguments = parser.parse_args()
    frames = arguments.frames[:1] if arguments.quick else arguments.frames
    cases = [
        f"{shape}/{count}/{group}"
        for count in frames
        for shape in ("openai", "azure")
        for group in (1, 8)
    ]
    with Field() as field:
        field.add(sys.executable, MEASURED if arguments.quick else OWN)
        field.measure(cases, arguments.rounds, MEASURED)
        if not arguments.quick:
            field.add_peers(arguments.environments)
            # At the shorter streams only: some peers would take most of an hour for the longer.
            few = [case for case in cases if int(case.split("/")[1]) == frames[0]]
            field.measure(few, arguments.rounds, list(field.contestants), PEERS_TOO)
            cases += [case + PEERS_TOO for case in few]
        results = _results(field, cases)
        if not arguments.quick:
            results["growth"] = {name: measure(field) for name, measure in FIGURES.items()}
    if not arguments.quick:
        results["tracked"] = track.measure(arguments.rounds)
    lines = [results["machine"]]
    lines += [f"{name}: {each['versions']}" for name, each in results["contestants"].items()]
    lines += [f"{peer} could not be installed: {why}" for peer, why in field.left_out.items()]
    lines += [*tables(results), "", *verdicts(results)]
    print("\n".join(lines))
    if not arguments.quick:
        _write(arguments.out, results, "\n".join(lines))


def _results(field: Field, cases: list[str]) -> dict[str, Any]:
    return {
        "machine": f"Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"{platform.machine()}",
        "cases": cases,
        "left_out": field.left_out,
        "contestants": {
            contestant.name: {
                "versions": contestant.versions,
                "cases": {
                    case: {
                        "cpu_us": round(contestant.median(case), 2),
                        "min": round(min(cpu), 2),
                        "max": round(max(cpu), 2),
                        "rounds": len(cpu),
                    }
                    for case, cpu in contestant.cpu.items()
                },
            }
            for contestant in field.contestants.values()
        },
    }


def _write(out: Path, results: dict[str, Any], text: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (out / "tables.txt").write_text(text + "\n")
    case = next(case for case in results["cases"] if case.endswith(PEERS_TOO))
    measured = results["contestants"].items()
    bars = {label(name): each["cases"][case]["cpu_us"] for name, each in measured}
    (out / "chart.svg").write_text(draw(bars, "CPU microseconds per chunk, one in each read"))
    page = out.with_suffix(".md")
    if page.exists():
        page.write_text(insert(page.read_text("utf-8"), results), "utf-8")
    tracked = page.with_name("track.md")
    if tracked.exists():
        tracked.write_text(track.insert(tracked.read_text("utf-8"), results["tracked"]), "utf-8")


if __name__ == "__main__":
    main()
