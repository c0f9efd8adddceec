"""A machine without a price list."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from usagestream_adapters.prices import _prices


@pytest.fixture
def without_list(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Take genai-prices away, when this is called."""

    def missing(_name: str) -> None:
        return None

    def take_away() -> None:
        monkeypatch.setattr(_prices, "find_spec", missing)
        monkeypatch.setitem(sys.modules, "genai_prices", None)

    return take_away
