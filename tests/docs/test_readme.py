"""The README: its picture is of the command as it is, and it leads to everything there is."""

from __future__ import annotations

import re
import shlex
import tomllib
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from docs.terminal import COMMANDS, PICTURE, SCENARIOS, Screen, svg, variables

from usagestream import Emulator
from usagestream_adapters.cli.command import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def _texts(picture: str) -> list[str]:
    root = ET.fromstring(picture)
    return ["".join(each.itertext()) for each in root.iter() if each.tag.endswith("}text")]


def _in_shape(line: str) -> str:
    return re.sub(r"\d+", "0", line.rstrip())


def test_the_picture_shows_what_the_command_prints() -> None:
    """Its last frame has each command and what it writes now; times and counts apart."""
    expected: list[str] = []
    with Emulator() as server:
        for command, scenario in zip(COMMANDS, SCENARIOS, strict=True):
            server.script(replace(scenario, delay=0))
            arguments = shlex.split(command)[1:]
            result = CliRunner().invoke(main, arguments, env=variables(server))
            expected += [f"$ {command}", *result.output.splitlines()]
    shown = _texts(PICTURE.read_text("utf-8"))[-len(expected) - 1 : -1]
    assert [_in_shape(line) for line in shown] == [_in_shape(line) for line in expected]


def test_the_picture_moves_without_a_script() -> None:
    """And asks nobody for a font or a style."""
    picture = PICTURE.read_text("utf-8")
    assert "](docs/terminal.svg)" in README
    assert "@keyframes" in picture
    assert "<script" not in picture
    assert re.findall(r"(?:url\(|href=|src=)", picture) == []


def test_a_line_that_is_written_anew_is_seen_anew() -> None:
    """Returns, lines up and erased lines are done as a terminal does them; dim parts stay dim."""
    screen = Screen()
    screen.write("\x1b[?25lOne\r\n\x1b[2m1 token\x1b[0m")
    before = screen.frame()
    screen.write("\r\x1b[2K\x1b[1A\x1b[2KOne two\r\n\x1b[2m2 tokens\x1b[0m\r\n")
    assert before == ((("One", False),), (("1 token", True),))
    assert screen.frame() == ((("One two", False),), (("2 tokens", True),), ())
    assert _texts(svg([(0.1, before), (0.1, screen.frame())])) == [
        *("One", "1 token"),
        *("One two", "2 tokens"),
    ]


def test_every_extra_is_in_the_table() -> None:
    """Each with what it is for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    table = README.partition("| extra |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(
        project["optional-dependencies"]
    )


@pytest.mark.parametrize("page", sorted(each.name for each in (ROOT / "docs").glob("*.md")))
def test_every_page_is_linked(page: str) -> None:
    """Whoever has the README alone finds the rest."""
    assert f"](docs/{page}" in README


def test_the_table_of_alternatives_has_a_cell_for_each() -> None:
    """Twelve ways that a stream can go, and what each library does then."""
    rows = README.partition("| what happens |")[2].partition("\n\n")[0].splitlines()
    names = re.findall(r"[\w-]+", rows[0])
    ways = [row.strip("|").split("|") for row in rows[2:]]
    assert names == [
        *("openai", "litellm", "langchain-openai", "pydantic-ai", "openai-agents", "usagestream")
    ]
    assert len(ways) == 12
    assert all(len(way) == 7 and all(cell.strip() for cell in way) for way in ways)
