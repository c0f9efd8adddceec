"""Runs the SDK's own tests on bare clients and on tracked ones, and names the tests that differ.

    python -m benchmarks.sdk_suite CHECKOUT [test ...]

CHECKOUT is a folder with the SDK's source and its tests: a clone, or an unpacked source archive.
What follows it goes to pytest. An environment is made, once, with what the tests need. By default
all of them are run but those of `api_resources`, which need a server of the SDK's own. Ends with 1
where a test passes on bare clients, fails on tracked ones, and is not among those explained.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

HERE = Path(__file__).parent
EXTRAS = "aiohttp,bedrock,datalib,realtime,vertex"
"""What some of its tests import; uv passes over those that a version does not have."""
KNOWN: dict[str, str] = {
    "tests.lib.chat.test_stream_moderation::test_stream_moderation": (
        "its server sends usage unasked in a chunk without choices, which is hidden; "
        "`hide_usage=False` shows it"
    ),
}
"""Tests that differ, by their name without parameters, and why; docs/track.md says it too."""


def environment(checkout: Path, folder: Path) -> str:
    """Make the environment, once; give its interpreter."""
    home = (folder / f"sdk-{checkout.name}").absolute()
    python = home / "bin" / "python"
    if not python.exists():
        install = ["uv", "pip", "install", "-q", "--python", str(python)]
        subprocess.run(["uv", "venv", "-q", "--python", sys.executable, str(home)], check=True)
        group = f"{checkout / 'pyproject.toml'}:dev"
        subprocess.run([*install, f"{checkout}[{EXTRAS}]", "--group", group], check=True)
        subprocess.run([*install, "-e", str(HERE.parent)], check=True)
    return str(python)


def outcomes(python: str, checkout: Path, tests: list[str], *, tracked: bool) -> dict[str, str]:
    """Run tests; give what came of each: nothing where it passed, or how it did not."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [python, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider"]
        command += ["-p", "no:usagestream", f"--junitxml={report}"]
        command += ["--continue-on-collection-errors"]
        if tracked:
            command += ["-p", "sdk_suite_plugin"]
        subprocess.run(
            [*command, *tests],
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            check=False,
        )
        if not report.exists():
            raise SystemExit(f"pytest could not run the tests in {checkout}")
        return read(report.read_text("utf-8"))


def read(report: str) -> dict[str, str]:
    """What came of each test, of a report in JUnit's form."""
    found: dict[str, str] = {}
    for case in ET.fromstring(report).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        bad = [each for each in case if each.tag in ("failure", "error", "skipped")]
        found[name] = f"{bad[0].tag}: {bad[0].get('message')}" if bad else ""
    return found


def differing(bare: dict[str, str], tracked: dict[str, str]) -> dict[str, str]:
    """The tests that pass on bare clients and not on tracked ones, and how they fail there."""
    return {
        name: tracked.get(name, "not run")
        for name, outcome in bare.items()
        if not outcome and tracked.get(name, "not run")
    }


def reason_of(name: str) -> str | None:
    """Why a test differs; `None` where that is not known."""
    return KNOWN.get(name.partition("[")[0])


def explained() -> str:
    """The table of docs/track.md."""
    rows = [f"| `{name}` | {reason} |" for name, reason in KNOWN.items()]
    return "\n".join(["| test | why it differs |", "|---|---|", *rows])


def main() -> None:
    """Run as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sdk_suite", description=__doc__)
    parser.add_argument("--environments", type=Path, default=Path(".benchmarks"))
    parser.add_argument("checkout", type=Path)
    parser.add_argument("test", nargs=argparse.REMAINDER, help="these alone, as pytest takes them")
    arguments = parser.parse_args()
    checkout: Path = arguments.checkout.absolute()
    if not (checkout / "tests" / "conftest.py").exists():
        parser.error(f"{arguments.checkout} has no tests/conftest.py: name a checkout of the SDK")
    tests = arguments.test or ["tests", "--ignore=tests/api_resources"]
    python = environment(checkout, arguments.environments)
    bare = outcomes(python, checkout, tests, tracked=False)
    tracked = outcomes(python, checkout, tests, tracked=True)
    passed = [sum(not outcome for outcome in each.values()) for each in (bare, tracked)]
    print(f"{passed[0]} pass on bare clients, {passed[1]} on tracked ones; of {len(bare)}")
    new = 0
    for name, how in sorted(differing(bare, tracked).items()):
        reason = reason_of(name)
        new += reason is None
        print(f"{name}: {reason or how.splitlines()[0]}")
    if new:
        raise SystemExit(f"{new} of them without a known reason")


if __name__ == "__main__":
    main()
