"""Every example in the README and the docs runs, and says what it is said to say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from click.testing import CliRunner

from usagestream_adapters.cli.command import main
from usagestream_adapters.emulator import Emulator

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ELSEWHERE = {"notest", "notebook", "frameworks"}
"""Marks of blocks that other tests run, or `python -m benchmarks.frameworks --page`."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    words: tuple[str, ...]
    source: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(language: str) -> list[Block]:
    """Find the blocks of a language in all pages."""
    found: list[Block] = []
    for page in PAGES:
        text = page.read_text("utf-8")
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 2
            words = tuple(match[2].split())
            found.append(Block(page.name, line, match[1], words, match[3]))
    return [block for block in found if block.language == language]


def programs() -> list[ParameterSet]:
    """Give each python block with what it continues; `ELSEWHERE` marks what cannot run here."""
    before = ""
    found: list[ParameterSet] = []
    for block in blocks("python"):
        if ELSEWHERE.intersection(block.words):
            continue
        before = before + "\n" + block.source if "continued" in block.words else block.source
        found.append(pytest.param(before, id=str(block)))
    return found


@pytest.fixture(autouse=True)
def both_providers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the emulator behind the variables that both SDKs read."""
    with Emulator() as server:
        monkeypatch.setenv("OPENAI_API_KEY", "example-key")
        monkeypatch.setenv("OPENAI_BASE_URL", server.openai_base_url)
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", "example-key")
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.azure_endpoint)
        yield


@pytest.mark.parametrize("program", programs())
def test_a_python_example_runs(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block of Python in the docs runs as it stands."""
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "example", "exec", dont_inherit=True), {"__name__": "__main__"})


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_a_toml_example_parses(block: Block) -> None:
    """A block of TOML in the docs is TOML."""
    assert tomllib.loads(block.source)


def test_the_readme_shows_what_the_demo_prints() -> None:
    """The demo's output in the README is the demo's output."""
    shown = next(
        block.source.removeprefix("$ uv run usagestream demo\n")
        for block in blocks("console")
        if block.page == "README.md" and block.source.startswith("$ uv run usagestream demo\n")
    )
    assert shown == CliRunner().invoke(main, ["demo"]).output
