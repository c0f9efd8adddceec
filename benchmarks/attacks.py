"""`python -m benchmarks.attacks`: every kind of attack, how often it was tried, and what came out.

Each kind is tried by tests, named here. This command runs them, those that `poe exhaustive` runs
among them, and writes what came out to `docs/survives/results.json` and the page beside it. A test
that tries many things says how many (`record_property("tried", ...)`); any other counts as one.
Exits with 1 if anything came out wrong.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["KINDS", "insert", "nodes"]

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "survives.md"
RESULTS: Final = ROOT / "docs" / "survives" / "results.json"
Results = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """A kind of attack, what is right, and the tests that try it: a folder, a file, or a test."""

    what: str
    right: str
    tests: tuple[str, ...]


def _kind(what: str, right: str, *tests: str) -> Kind:
    return Kind(what, right, tests)


KINDS: Final[Mapping[str, tuple[Kind, ...]]] = {
    "Lost records": (
        _kind(
            "Something is raised at each line of reading, settling, handing over and leaving",
            "one record",
            "endings/test_settling.py::test_invariant_6_one_record_wherever_it_is_interrupted",
        ),
        _kind(
            "Each part of the record cannot be made, on every ending",
            "the rest of it, and the part is named",
            "endings/test_settling.py::test_invariant_8_a_part_that_cannot_be_made_is_named_and_loses_nothing",
        ),
        _kind(
            "Opened, read, by two, closed, left, cancelled, dropped, forked, ended: in any order",
            "one record, errors of ours",
            "endings/test_any_order.py",
        ),
        _kind(
            "Dropped in a circle of references; a browser that goes, in a web framework",
            "one record",
            "wire/test_odd_usage.py::test_a_stream_in_a_reference_cycle_leaves_its_record",
            "frameworks/test_disconnects.py",
        ),
        _kind(
            "The program ends: exit, `SIGTERM`, fork; threads, asyncio, uvloop, trio",
            "one record, flushed, no traceback",
            "sinks/test_end_of_program.py",
            "endings/test_uvloop.py",
            "endings/test_settling.py::test_what_cannot_be_ended_keeps_nothing_else_from_it",
        ),
        _kind(
            "Sinks that raise, hang, are cancelled, wait for their client, are left by their loop",
            "bounded, counted, called again",
            "sinks/test_sinks.py",
        ),
        _kind(
            "The collector, or a fork, in the middle of a write; a reader that is gone",
            "nobody waits for himself",
            "sinks/test_stdout.py",
            "core/test_locks.py",
        ),
    ),
    "Files": (
        _kind(
            "`kill -9` while records are written and handed in; a full disk, rotation, junk, locks",
            "none lost, none twice, nothing cut",
            "sinks/test_spool.py",
            "sinks/test_sinks.py::test_a_kill_loses_no_record_that_was_written",
            "sinks/test_sinks.py::test_a_foreign_file_is_not_cut",
            "sinks/test_sinks.py::test_the_file_is_rotated",
            "sinks/test_sinks.py::test_a_full_disk_leaves_no_piece",
        ),
    ),
    "Secrets": (
        _kind(
            "A server echoes the key, in every place and spelling; keys that cannot be sent",
            "covered, causes included",
            "wire/test_masking.py",
        ),
        _kind(
            "A profile file that was merely found asks for secrets of yours",
            "refused until it is trusted",
            "config/test_trust.py",
        ),
        _kind(
            "Redirects to another origin, or of another method",
            "not followed",
            "wire/test_redirects.py",
        ),
        _kind(
            "Secrets in what is recorded, by kind and place; in pieces, packed, escaped",
            "not written, and found by `cassettes check`",
            "testing_plugin/test_placements.py",
            "testing_plugin/test_scrubbing_properties.py",
        ),
    ),
    "Terminals": (
        _kind(
            "A model, a server or a file that writes control sequences and markup",
            "shown, and not obeyed",
            "cli/test_screen.py",
        ),
    ),
    "Memory and time": (
        _kind(
            "Events and lines without an end, bombs, through `track`",
            "bounded; passed on, unmeasured, and said so",
            "track/test_track_bounds.py",
        ),
        _kind(
            "Refusals that are endless, come in drops, or grow when they are unpacked",
            "64 KiB are read",
            "wire/test_error_bodies.py",
        ),
        _kind(
            "Cassettes that grow, or take long to be looked through",
            "refused; linear time",
            "testing_plugin/test_bounds_of_cassettes.py",
        ),
        _kind(
            "Local servers: large bodies and heads, half requests, other hosts",
            "refused, and they still answer",
            "local/test_bounds.py",
        ),
    ),
    "Errors": (
        _kind(
            "Any bytes, any split, any frame; connections that break anywhere",
            "our errors only, the same record for any split",
            "wire/test_decoder_properties.py",
            "endings/test_cut.py",
            "endings/test_fault_matrix.py",
        ),
        _kind(
            "Any status, head, charset and coding, in four ways of asking",
            "our errors only",
            "wire/test_four_ways.py",
            "wire/test_errors_table.py",
        ),
        _kind(
            "Closed clients, other loops, two readers",
            "an error that says what to do",
            "wire/test_used_wrongly.py",
            "endings/test_corners.py",
        ),
        _kind(
            "Usage that is no number, infinite, negative, past 64 bits, zero",
            "named, and the record can be read back",
            "wire/test_odd_usage.py",
        ),
    ),
}


SOAKS: Final = ("", "--loop uvloop", "--loop uvloop --interrupts", "--interrupts --collect")
"""How `benchmarks.soak` is run, beside its length."""
_SOAK: Final = re.compile(
    r"sent (?P<sent>\d+), recorded (?P<recorded>\d+), twice (?P<twice>\d+)\n"
    r"interrupts (?P<interrupts>\d+), collections (?P<collections>\d+)"
)


def nodes() -> Iterator[str]:
    """Every test that is named."""
    for kinds in KINDS.values():
        for kind in kinds:
            yield from kind.tests


def _run(tests: tuple[str, ...]) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        program = [sys.executable, "-m", "pytest", "-q", "-n0", "-m", "", f"--junitxml={report}"]
        program += ["-o", "junit_family=xunit1"]  # which takes what a test says beside
        said = subprocess.run(
            [*program, *(f"tests/{test}" for test in tests)],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
        )
        if not report.exists():
            raise SystemExit(said.stdout + said.stderr)
        suite = ET.parse(report).getroot()
    found = {"tests": 0, "tried": 0, "wrong": 0, "skipped": 0}
    for case in suite.iter("testcase"):
        tried = [
            int(one.get("value", 0)) for one in case.iter("property") if one.get("name") == "tried"
        ]
        wrong = case.find("failure") is not None or case.find("error") is not None
        skipped = case.find("skipped") is not None
        found["tests"] += not skipped
        found["skipped"] += skipped
        found["tried"] += 0 if skipped else sum(tried) or 1
        found["wrong"] += wrong
        if wrong:
            print(f"wrong: {case.get('classname')} {case.get('name')}", file=sys.stderr)
    return found


def _soak(options: str, seconds: int) -> dict[str, int]:
    program = [sys.executable, "-m", "benchmarks.soak", "--seconds", str(seconds)]
    said = subprocess.run(
        [*program, "--streams", "100", *options.split()],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    found = _SOAK.search(said.stdout)
    if found is None:
        raise SystemExit(said.stdout + said.stderr)
    return {
        **{name: int(figure) for name, figure in found.groupdict().items()},
        "wrong": said.returncode,
    }


def _soak_table(results: Results) -> Iterator[str]:
    yield "| `python -m benchmarks.soak` | sent | recorded | twice | Ctrl-C | collections | |"
    yield "|---|---|---|---|---|---|---|"
    for options, figures in results["soak"].items():
        counts = " | ".join(f"{figure:,}" for name, figure in figures.items() if name != "wrong")
        yield f"| `{options or ' '}` | {counts} | {'wrong' if figures['wrong'] else 'right'} |"


def _table(results: Results) -> Iterator[str]:
    for heading, kinds in KINDS.items():
        yield ""
        yield f"### {heading}"
        yield ""
        yield "| attack | right | tests | tried | wrong |"
        yield "|---|---|---|---|---|"
        for kind in kinds:
            figures = results["kinds"].get(kind.what)
            if figures is not None:
                yield (
                    f"| {kind.what} | {kind.right} | {figures['tests']:,} | {figures['tried']:,} "
                    f"| {figures['wrong']} |"
                )
    yield ""


def insert(page: str, results: Results) -> str:
    """Give the page with these results in its tables."""
    for name, made in (
        ("scorecard", "\n" + "\n".join(_table(results)) + "\n"),
        ("soak", "\n" + "\n".join(_soak_table(results)) + "\n"),
        ("made", results["made"]),
    ):
        first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, _, rest = page.partition(first)
        page = before + first + made + last + rest.partition(last)[2]
    return page


def main() -> None:
    """Try every kind, or some, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attacks", description=__doc__)
    parser.add_argument("--only", metavar="WORD", help="kinds with this word; others stay as were")
    parser.add_argument("--seconds", type=int, default=30, help="of each soak")
    arguments = parser.parse_args()
    word: str = (arguments.only or "").lower()
    results: dict[str, Any] = {"made": "", "kinds": {}, "soak": {}}
    if word and RESULTS.exists():
        results = json.loads(RESULTS.read_text("utf-8"))
    results["made"] = f"Python {platform.python_version()}, {platform.system()}"
    tried: list[dict[str, int]] = []
    for kind in (kind for kinds in KINDS.values() for kind in kinds if word in kind.what.lower()):
        results["kinds"][kind.what] = found = _run(kind.tests)
        tried.append(found)
        _write(results, f"{kind.what}: {found}")
    for options in (each for each in SOAKS if word in f"soak {each}"):
        results["soak"][options] = found = _soak(options, arguments.seconds)
        tried.append(found)
        _write(results, f"soak {options}: {found}")
    raise SystemExit(any(found["wrong"] for found in tried))


def _write(results: Results, said: str) -> None:
    print(said, flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(insert(PAGE.read_text("utf-8"), results))


if __name__ == "__main__":
    main()
