"""Fixtures of these tests. What they share with others is in `tests._support`."""

from __future__ import annotations

import sys
from pathlib import Path

# Under a bare `pytest` the project's root is not importable, as it is under `python -m pytest`.
ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.append(ROOT)

from collections.abc import Iterator  # noqa: E402

import pytest  # noqa: E402
from tests._support.worlds import World, make_world  # noqa: E402


@pytest.fixture(params=["sync", "async"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The same test over `Client` and over `AsyncClient`."""
    with make_world(asynchronous=request.param == "async") as made:
        yield made


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the machine reaches a profile or an SDK client."""
    for name in (
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "OPENAI_ORG_ID",
        "OPENAI_PROJECT_ID",
        "OPENAI_API_VERSION",
        "OPENAI_CUSTOM_HEADERS",
        "AZURE_OPENAI_API_KEY",
        "AZURE_OPENAI_AD_TOKEN",
        "AZURE_OPENAI_ENDPOINT",
        "USAGESTREAM_PROFILE",
    ):
        monkeypatch.delenv(name, raising=False)
