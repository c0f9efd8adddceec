"""How the cost grows: with the length of a stream, with streams at once, with pauses; and imports.

Each is measured in rounds, taking turns, like everything else.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable

from .contestants import Field

__all__ = ["first", "imports", "length", "paced", "streams"]

Figures = dict[str, dict[str, float]]
"""Medians, by row and column."""

IMPORTS = {
    "import pydantic": "import pydantic; pydantic.BaseModel",
    "from usagestream import Client": "from usagestream import Client",
    "import openai": "import openai",
}
MANY = ("raw_async", "sdk_async", "ours_async", "ours_aiohttp")
PACED = ("raw_sync", "sdk_sync", "ours_sync", *MANY)


def length(field: Field, rounds: int) -> Figures:
    """CPU microseconds per frame of ever longer streams, one frame in each read."""

    def each(name: str, frames: str) -> float:
        return _cpu(field, name, f"openai/{frames}/1") / int(frames)

    names = ("raw_sync", "ours_sync", "raw_async", "ours_async", "ours_aiohttp")
    return _medians(names, ("2000", "20000", "200000"), each, rounds)


def streams(field: Field, rounds: int) -> Figures:
    """CPU microseconds per frame of ever more streams at once, each of 200 frames."""

    def each(name: str, count: str) -> float:
        return _cpu(field, name, "openai/200/1", streams=int(count)) / (200 * int(count))

    return _medians(MANY, ("1", "10", "100", "1000"), each, rounds)


def paced(field: Field, rounds: int) -> Figures:
    """CPU microseconds per frame where one comes every 0.6 ms, so that each is waited for."""

    def each(name: str, shape: str) -> float:
        return _cpu(field, name, f"{shape}/1000/1", pause=600) / 1000

    return _medians(PACED, ("openai",), each, rounds)


def first(field: Field, rounds: int) -> Figures:
    """Milliseconds, by the clock, from the request to the first chunk of a stream of eight."""

    def each(name: str, shape: str) -> float:
        answer = field.contestants[name].run(field.server.url(f"{shape}/8/1"))
        return float(answer["first"]) * 1e3

    return _medians(PACED, ("openai",), each, rounds)


def imports(rounds: int) -> Figures:
    """CPU milliseconds of an import in a fresh interpreter, beyond starting one."""

    def each(name: str, _: str) -> float:
        program = f"import time; t = time.process_time(); {IMPORTS[name]}"
        program += "; print(time.process_time() - t)"
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
        return float(ran.stdout) * 1e3

    return _medians(IMPORTS, ("ms",), each, rounds)


def _cpu(field: Field, name: str, case: str, *, pause: int = 0, streams: int = 1) -> float:
    return float(field.contestants[name].run(field.server.url(case, pause), streams)["cpu"]) * 1e6


def _medians(
    rows: Iterable[str], columns: Iterable[str], each: Callable[[str, str], float], rounds: int
) -> Figures:
    """Take turns at every cell, round by round. The first round is not counted."""
    cells = [(row, column) for column in columns for row in rows]
    taken: dict[tuple[str, str], list[float]] = {cell: [] for cell in cells}
    for round_number in range(rounds + 1):
        for cell in cells:
            value = each(*cell)
            if round_number:
                taken[cell].append(value)
    figures: Figures = {}
    for (row, column), values in taken.items():
        figures.setdefault(row, {})[column] = round(statistics.median(values), 2)
    return figures
