"""Fixtures of these tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from usagestream_adapters.emulator import Emulator


@pytest.fixture
def server() -> Iterator[Emulator]:
    """A running emulator."""
    with Emulator() as running:
        yield running


@pytest.fixture
def openai_environment(server: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only OpenAI is configured, and it is the emulator; the folder is empty."""
    for name in [name for name in os.environ if name.startswith(("OPENAI_", "AZURE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    monkeypatch.setenv("OPENAI_BASE_URL", server.openai_base_url)
    monkeypatch.chdir(tmp_path)
