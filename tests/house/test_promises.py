"""What is promised is written down, and a break of it is found."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest
import yaml
from docs.api import LIST, breaks, listed

import usagestream

ROOT = Path(__file__).parents[2]
TASKS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["poe"]["tasks"]


def test_the_list_of_what_is_promised_is_current() -> None:
    """A change of a public name, parameter or member shows in a diff."""
    assert listed() == LIST.read_text("utf-8"), "run `uv run poe api`, and say it in the changelog"


def test_the_list_has_every_name_of_the_door() -> None:
    """Each export, with nothing about it unresolved."""
    lines = LIST.read_text("utf-8").splitlines()
    names = {line.split("(")[0].split(":")[0].split()[-1] for line in lines if line[0] != " "}
    assert names == set(usagestream.__all__)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("file", "before", "after", "found"),
    [
        ("core/usagestream_core/client.py", "def close(", "def shut(", "Client.close: Public obj"),
        (
            "core/usagestream_core/client.py",
            "timeout: float = 0.0",
            "timeout: float = 1.0",
            "Client.recover(timeout): Parameter default was changed",
        ),
        ("adapters/usagestream/__init__.py", '"Client",', "", "Client: Public object was removed"),
    ],
)
def test_a_break_is_found(tmp_path: Path, file: str, before: str, after: str, found: str) -> None:
    """In what the door shows of the core too."""
    for source in ("core", "adapters"):
        shutil.copytree(ROOT / source, tmp_path / source)
    text = (tmp_path / file).read_text("utf-8")
    assert before in text
    (tmp_path / file).write_text(text.replace(before, after), "utf-8")
    assert any(sentence.startswith(found) for sentence in breaks(ROOT, tmp_path))


@pytest.mark.slow
def test_no_break_is_found_where_nothing_changed() -> None:
    """The same sources twice."""
    assert breaks(ROOT, ROOT) == []


def test_contributing_names_every_task() -> None:
    """`uv run poe` lists them, and so does the page."""
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert [name for name in TASKS if name not in page] == []
    assert all(task["help"] for task in TASKS.values())


def test_the_hooks_fetch_nothing() -> None:
    """They are the environment's own tools."""
    text = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    repos = yaml.safe_load(text)["repos"]
    assert [repo["repo"] for repo in repos] == ["local"]
    assert all(hook["entry"].startswith("uv run --no-sync ") for hook in repos[0]["hooks"])
