"""The folder of cassettes as a whole: all of it is used, and any of it can be recorded again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from usagestream_adapters.emulator import Emulator

from .conftest import CASSETTES

ROOT = CASSETTES.parent
TESTS = [
    "test_replay_answers.py",
    "test_replay_refusals.py",
    "test_replay_responses.py",
    "test_replay_swap.py",
]
SDK_VARIABLES = re.compile(r"(AZURE_)?OPENAI_.*|COVERAGE_.*|COV_.*")

# Reverses the order of the tests; as a plugin, since a conftest would change the folder.
REVERSED = """
def pytest_collection_modifyitems(items):
    items.reverse()
"""


class Copy:
    """A copy of the tests and their cassettes, to run and to record in."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        shutil.copytree(CASSETTES, folder / "cassettes")
        shutil.copytree(ROOT / "tests" / "replay", folder / "tests" / "replay")
        shutil.copy(ROOT / "pyproject.toml", folder)
        (folder / "reversed_order.py").write_text(REVERSED)

    def start(self, report: str, *options: str, **variables: str) -> subprocess.Popen[str]:
        """Run the tests that replay, in a process of their own."""
        files = [f"tests/replay/{name}" for name in TESTS]
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-n0",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:randomly",
        ]
        kept = {k: v for k, v in os.environ.items() if not SDK_VARIABLES.fullmatch(k)}
        return subprocess.Popen(
            [*command, *files, *options, f"--junit-xml={self.path / report}"],
            cwd=self.path,
            env={**kept, "PYTHONPATH": str(self.path), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def results(self, process: subprocess.Popen[str], report: str) -> dict[str, str]:
        """Wait for a run: the outcome of each test."""
        output, _ = process.communicate()
        assert process.returncode == 0, output
        cases = ET.parse(self.path / report).iter("testcase")
        return {f"{c.get('classname')}.{c.get('name')}": _outcome(c) for c in cases}

    def recorded_against(self) -> set[str]:
        """What the cassettes say of where they were recorded."""
        files = (self.path / "cassettes").rglob("*.yaml")
        return {yaml.safe_load(file.read_text("utf-8"))["recorded_against"] for file in files}


def _outcome(case: ET.Element) -> str:
    return ",".join(child.tag for child in case if child.tag != "properties") or "passed"


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """A copy for this test."""
    return Copy(tmp_path)


@pytest.mark.slow
def test_every_cassette_is_used() -> None:
    """A cassette that no test replays is an error, and so is a test without one."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n0"]
    listed = subprocess.run(
        [*command, "tests/replay", "-m", "vcr"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = re.findall(r"::test_(\w+)\[(?:sync|async)-([\w-]+)\]", listed.stdout)
    expected = {f"{surface}/{name.replace('_', '-')}" for name, surface in names}
    there = {
        file.relative_to(CASSETTES).with_suffix("").as_posix()
        for file in CASSETTES.rglob("*")
        if file.is_file()
    }
    assert there == expected


def test_cassettes_hold_the_real_addresses() -> None:
    """And say of themselves where they were recorded."""
    for file in CASSETTES.rglob("*.yaml"):
        document = yaml.safe_load(file.read_text("utf-8"))
        host = "api.openai.com" if file.parent.name == "openai" else "example.openai.azure.com"
        uris = [interaction["request"]["uri"] for interaction in document["interactions"]]
        assert all(uri.startswith(f"https://{host}/") for uri in uris)
        assert document["recorded_against"]
        assert document["recorded_with"].startswith("usagestream ")


@pytest.mark.slow
@pytest.mark.exhaustive
def test_replaying_twice_shuffled_and_in_parallel_is_the_same(copy: Copy) -> None:
    """Two runs at once over the same folder, one of them in reverse, and nothing changes."""
    before = {file: file.read_bytes() for file in (copy.path / "cassettes").rglob("*.yaml")}
    one = copy.start("one.xml", "-kentra")
    two = copy.start("two.xml", "-kentra", "-p", "reversed_order")
    results = copy.results(one, "one.xml")
    assert set(results.values()) == {"passed"}
    assert copy.results(two, "two.xml") == results
    assert {file: file.read_bytes() for file in before} == before


@pytest.mark.slow
@pytest.mark.exhaustive
def test_cassettes_are_recorded_again_by_the_documented_command(copy: Copy) -> None:
    """First from the emulator, then from "the real service", as the environment names it."""
    with Emulator() as service:
        recorded = copy.start(
            "recorded.xml",
            # The async half records the same cassettes once more.
            "-k(openai or entra) and not async",
            "--record-mode=rewrite",
            OPENAI_API_KEY="sk-the-key-of-somebody-1",
            OPENAI_BASE_URL=service.openai_base_url,
            AZURE_OPENAI_AD_TOKEN="the-azure-token-of-somebody",
            AZURE_OPENAI_ENDPOINT=service.azure_endpoint,
        )
        results = copy.results(recorded, "recorded.xml")
        credentials = {request.bearer or request.api_key for request in service.requests}
    assert {"sk-the-key-of-somebody-1", "the-azure-token-of-somebody"} <= credentials
    assert copy.recorded_against() == {"usagestream emulator"}
    texts = "".join(file.read_text("utf-8") for file in (copy.path / "cassettes").rglob("*.yaml"))
    assert "somebody" not in texts
    assert "127.0.0.1" not in texts
    replayed = copy.start("replayed.xml", "-k(openai or entra) and not async")
    assert copy.results(replayed, "replayed.xml") == results
