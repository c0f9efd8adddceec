"""What can be imported, and what importing it costs."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import usagestream

PUBLIC = sorted(
    f"usagestream.{module.name}"
    for module in pkgutil.iter_modules(usagestream.__path__)
    if not module.name.startswith("_")
)


def test_all_is_sorted_and_without_doubles() -> None:
    """The list can be read."""
    assert usagestream.__all__ == sorted(set(usagestream.__all__))


@pytest.mark.parametrize("name", usagestream.__all__)
def test_every_export_is_there(name: str) -> None:
    """What `__all__` names exists, and says where it lives."""
    assert getattr(usagestream, name).__module__.startswith("usagestream.")


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_module_says_what_it_exports(name: str) -> None:
    """Each has an `__all__`, sorted, of things that exist."""
    module = importlib.import_module(name)
    assert module.__all__ == sorted(module.__all__)
    assert [each for each in module.__all__ if not hasattr(module, each)] == []


def test_importing_the_library_loads_nothing_heavy() -> None:
    """An SDK, a server or a terminal library is imported on use only."""
    heavy = ("openai", "azure.identity", "starlette", "uvicorn", "click", "rich")
    code = (
        "import sys, usagestream; from usagestream import Client\n"
        f"print([m for m in {heavy!r} if m in sys.modules],"
        " [m for m in sys.modules if m.startswith('usagestream_adapters')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout == "[] []\n"


def test_types_for_checkers_cost_nothing_at_run_time() -> None:
    """The module of parameter types can be imported without the SDK that defines them."""
    module = importlib.import_module("usagestream._params")
    assert "ChatParams" not in vars(module)
