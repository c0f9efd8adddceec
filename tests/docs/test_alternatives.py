"""What libraries say a stream has used: the table's last column is what this one says."""

from __future__ import annotations

import asyncio
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ALTERNATIVES: Any = import_module("benchmarks.alternatives")  # of libraries that are not here
LIBRARIES, WAYS, seen = ALTERNATIVES.LIBRARIES, ALTERNATIVES.WAYS, ALTERNATIVES.seen
PAGE = (Path(__file__).parents[2] / "docs" / "alternatives.md").read_text("utf-8")
ROWS = {
    cells[0]: cells[1:]
    for row in re.findall(r"^\| (.+) \|$", PAGE, re.MULTILINE)
    if len(cells := row.split(" | ")) == len(LIBRARIES) + 1
}


def test_the_table_has_every_way_and_library() -> None:
    """As the command writes it, versions apart."""
    head, *ways = ROWS
    assert ways == list(WAYS)
    assert [re.sub(r" [\d.]+$", "", each) for each in ROWS[head]] == list(LIBRARIES)


@pytest.mark.parametrize("way", WAYS)
def test_what_this_library_says(way: str) -> None:
    """The last column, each time."""
    assert asyncio.run(seen("usagestream", way)) == ROWS[way][-1]


@pytest.mark.parametrize("library", ["openai", "openai, `stream()`"])
def test_what_the_sdk_says_of_a_stream_that_is_whole(library: str) -> None:
    """It is asked rightly: it says the same as the provider where nothing goes wrong."""
    assert asyncio.run(seen(library, "read to the end")) == ROWS["read to the end"][0]
