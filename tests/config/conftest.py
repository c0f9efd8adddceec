"""Fixtures of these tests: a clean environment, and a folder with nothing above it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no file of the machine's user is seen."""
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "AZURE_", "USAGESTREAM_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)


@pytest.fixture
def write() -> Write:
    """Write a file into the current folder, or where a path says."""

    def written(text: str, path: str | Path = "usagestream.toml") -> Path:
        target = Path.cwd() / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")
        return target

    return written
