"""Fixtures of these tests: an emulator, and an OpenTelemetry that keeps what it is told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests._support.telemetry import Told

from usagestream_adapters.emulator import Emulator
from usagestream_adapters.telemetry import otel


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no file of the machine's user is seen, and nothing was said yet."""
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "AZURE_", "OTEL_", "USAGESTREAM_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(otel, "_said", dict[str, object]())


@pytest.fixture
def told() -> Told:
    """A program's OpenTelemetry, in memory."""
    return Told()


@pytest.fixture
def server() -> Iterator[Emulator]:
    """A running emulator."""
    with Emulator() as running:
        yield running
