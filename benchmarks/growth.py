"""How the cost grows: with a stream's length, with streams at once, with pauses, with the question.

And what an open stream holds, and an import takes. Each is measured in rounds, taking turns, like
everything else.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from .contestants import Field

__all__ = ["FIGURES", "Figures", "cpu", "held", "medians"]

Figures = dict[str, dict[str, float]]
"""Medians, by row and column."""

IMPORTS = {
    "import pydantic": "import pydantic; pydantic.BaseModel",
    "from usagestream import Client": "from usagestream import Client",
    "import openai": "import openai",
}
MANY = ("raw_async", "sdk_async", "ours_async", "ours_aiohttp")
PACED = ("raw_sync", "sdk_sync", "ours_sync", *MANY)


def length(field: Field) -> Figures:
    """CPU microseconds per frame of ever longer streams, one frame in each read."""

    def each(name: str, frames: str) -> float:
        return cpu(field, name, f"openai/{frames}/1") / int(frames)

    names = ("raw_sync", "ours_sync", "raw_async", "ours_async", "ours_aiohttp")
    return medians(names, ("2000", "20000", "200000"), each, rounds=3)


def streams(field: Field) -> Figures:
    """CPU microseconds per frame of ever more streams at once, each of 200 frames."""

    def each(name: str, count: str) -> float:
        return cpu(field, name, "openai/200/1", streams=int(count)) / (200 * int(count))

    return medians(MANY, ("1", "10", "100", "1000"), each, rounds=5)


def paced(field: Field) -> Figures:
    """CPU microseconds per frame where one comes every 0.6 ms, so that each is waited for."""

    def each(name: str, shape: str) -> float:
        return cpu(field, name, f"{shape}/1000/1", pause=600) / 1000

    return medians(PACED, ("openai",), each, rounds=3)


def first(field: Field) -> Figures:
    """Milliseconds, by the clock, from the request to the first chunk of a stream of eight."""

    def each(name: str, shape: str) -> float:
        answer = field.contestants[name].run(field.server.url(f"{shape}/8/1"))
        return float(answer["first"]) * 1e3

    return medians(PACED, ("openai",), each, rounds=50)


def asking(field: Field) -> Figures:
    """CPU milliseconds of a stream of one word that ever longer conversations ask for."""

    def each(name: str, messages: str) -> float:
        return cpu(field, name, "openai/1/1", messages=int(messages)) / 1e3

    return medians(PACED, ("1", "10", "100"), each, rounds=30)


def memory(field: Field) -> Figures:
    """Bytes of Python's that an open stream holds, by chunks read, as tracemalloc counts them."""
    return held(field, ("response_sync", "sdk_sync", "ours_sync"))


def held(field: Field, names: Iterable[str]) -> Figures:
    """The same of these."""
    found: Figures = {}
    for name in names:
        program = [sys.executable, str(Path(__file__).with_name("held.py")), name]
        url = field.server.url("openai/2000/1", 600)
        ran = subprocess.run([*program, url], capture_output=True, check=True, text=True)
        found[name] = json.loads(ran.stdout)
    return found


def imports(_: Field) -> Figures:
    """CPU milliseconds of an import in a fresh interpreter, beyond starting one.

    Bytecode is there already, as it is where a program has been started before.
    """
    with tempfile.TemporaryDirectory() as compiled:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)

        def each(name: str, _: str) -> float:
            program = f"import time; t = time.process_time(); {IMPORTS[name]}"
            program += "; print(time.process_time() - t)"
            command = [sys.executable, "-c", program]
            ran = subprocess.run(command, capture_output=True, check=True, env=environment)
            return float(ran.stdout) * 1e3

        return medians(IMPORTS, ("ms",), each, rounds=15)


FIGURES: dict[str, Callable[[Field], Figures]] = {
    each.__name__: each for each in (length, streams, paced, first, asking, memory, imports)
}
"""What is measured beside the cases, by name."""


def cpu(
    field: Field, name: str, case: str, *, pause: int = 0, streams: int = 1, messages: int = 1
) -> float:
    """CPU microseconds of one turn."""
    contestant = field.contestants[name]
    answer = contestant.run(field.server.url(case, pause), streams=streams, messages=messages)
    return float(answer["cpu"]) * 1e6


def medians(
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
