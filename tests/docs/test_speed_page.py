"""The page about speed shows what was measured."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import track
from benchmarks.report import insert

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_shows_the_results() -> None:
    """Its tables are those of the results that lie beside it."""
    page = (DOCS / "speed.md").read_text("utf-8")
    assert insert(page, json.loads((DOCS / "speed" / "results.json").read_text("utf-8"))) == page


def test_the_page_of_tracked_clients_shows_them_too() -> None:
    """And says how they compare with bare ones."""
    page = (DOCS / "track.md").read_text("utf-8")
    results = json.loads((DOCS / "speed" / "results.json").read_text("utf-8"))
    assert track.insert(page, results["tracked"]) == page
