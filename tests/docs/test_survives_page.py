"""The page about what this library survives shows what came out, and names tests that are there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.attacks import KINDS, SOAKS, insert, nodes

ROOT = Path(__file__).parents[2]
RESULTS = json.loads((ROOT / "docs" / "survives" / "results.json").read_text("utf-8"))


def test_the_page_shows_the_results() -> None:
    """Its tables are those of the results that lie beside it."""
    page = (ROOT / "docs" / "survives.md").read_text("utf-8")
    assert insert(page, RESULTS) == page


def test_every_kind_was_tried_and_came_out_right() -> None:
    """None is left out, or was skipped."""
    names = {kind.what for kinds in KINDS.values() for kind in kinds}
    assert set(RESULTS["kinds"]) == names
    assert set(RESULTS["soak"]) == set(SOAKS)
    figures = [*RESULTS["kinds"].values(), *RESULTS["soak"].values()]
    assert not any(found["wrong"] for found in figures)
    assert all(found["tests"] for found in RESULTS["kinds"].values())


@pytest.mark.parametrize("node", list(nodes()))
def test_the_tests_it_names_are_there(node: str) -> None:
    """By their files and names."""
    place, _, name = node.partition("::")
    assert f"def {name}" in (ROOT / "tests" / place).read_text("utf-8")
