"""A machine without a price list."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from usagestream_adapters.prices import _prices


@pytest.fixture
def without_list(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Take genai-prices away, when this is called."""

    def missing(_name: str) -> None:
        return None

    def take_away() -> None:
        monkeypatch.setattr(_prices, "find_spec", missing)
        monkeypatch.setitem(sys.modules, "genai_prices", None)
        _prices._in_force.cache_clear()

    yield take_away
    _prices._in_force.cache_clear()
