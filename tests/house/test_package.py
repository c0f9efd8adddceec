"""What an index is told of the package, and what holds for all its files and tests."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("core", "adapters", "docs", "tests")


def test_the_page_of_an_index_has_no_link_that_leads_nowhere() -> None:
    """What stands beside the README in a repository is named there, not linked."""
    page = metadata("usagestream")["Description"] or ""
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert links
    assert [link for link in links if not link.startswith("https://")] == []
    assert "Quickstart (`docs/start.md`)" in page
    assert "\nA terminal: one question to OpenAI" in page  # no "!" is left of the picture


def test_every_python_that_is_allowed_is_named() -> None:
    """In the classifiers, from the lowest that `requires-python` allows."""
    named = [
        version
        for classifier in metadata("usagestream").get_all("Classifier", [])
        if (version := classifier.removeprefix("Programming Language :: Python :: 3.")).isdigit()
    ]
    assert named == [str(minor) for minor in range(11, 11 + len(named))]
    assert metadata("usagestream")["Requires-Python"] == ">=3.11"


def test_no_file_is_spared_the_rules_about_what_is_unknown() -> None:
    """Of pyright, for all its length: what has no type is given one where it comes from."""
    files = [file for room in ROOMS for file in (ROOT / room).rglob("*.py")]
    assert len(files) > 300
    spared = re.compile(r"^# pyright: .*\breportUnknown", re.MULTILINE)
    assert [str(file) for file in files if spared.search(file.read_text("utf-8"))] == []


def test_no_test_of_the_quick_loop_starts_a_python() -> None:
    """One does it in many tests' time; whoever must, is marked slow."""
    with pytest.raises(AssertionError, match=r"quick_loop.* starts python.*: mark it so"):
        subprocess.run([sys.executable, "-c", ""], check=True)


@pytest.mark.slow
def test_a_slow_test_may() -> None:
    """It is left out of the quick loop."""
    assert subprocess.run([sys.executable, "-c", ""], check=True).returncode == 0
