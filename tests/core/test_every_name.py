"""Every public name has one home, says what it is, and is on a page that explains it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import usagestream
import usagestream_adapters
import usagestream_core
import usagestream_core.adapter

DOCS = Path(__file__).parents[2] / "docs"
PLANS = ("architecture.md", "wire.md")
"""Pages about the code and about the wire: who looks for a name does not look there."""
DOORS = (usagestream, usagestream_core, usagestream_core.adapter, usagestream_adapters)
NAMES = [
    pytest.param(module, name, id=f"{module.__name__}.{name}")
    for module in DOORS
    for name in module.__all__
]


@cache
def prose() -> frozenset[str]:
    """Each word of the pages that explain the library."""
    pages = [page for page in DOCS.glob("*.md") if page.name not in PLANS]
    text = "\n".join(page.read_text("utf-8") for page in [*pages, DOCS.parent / "README.md"])
    return frozenset(re.findall(r"\w+", text))


def members(kind: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties of a class, inherited ones too, if they are ours."""
    for name in dir(kind):
        owner = next((base for base in kind.__mro__ if name in vars(base)), kind)
        if name.startswith("_") or not owner.__module__.startswith("usagestream"):
            continue
        member: Any = inspect.getattr_static(kind, name)
        member = getattr(member, "__func__", member)
        if inspect.isfunction(member) or isinstance(member, property | cached_property):
            yield name, member


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_a_name_has_one_home(module: ModuleType, name: str) -> None:
    """What the door and the core show is the same thing, which says that it lives at the door."""
    value = getattr(module, name)
    if isinstance(value, str | ModuleType):
        return
    if module in (usagestream, usagestream_core):
        assert getattr(usagestream, name) is value
        assert value.__module__ == "usagestream"
    else:
        assert value.__module__.startswith(module.__name__)


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_a_name_says_what_it_is(module: ModuleType, name: str) -> None:
    """So does each method and property of it: `help()` shows no blank."""
    value = getattr(module, name)
    if isinstance(value, str):
        return
    assert (value.__doc__ or "").strip(), name
    if isinstance(value, type):
        blank = [each for each, member in members(value) if not inspect.getdoc(member)]
        assert blank == []


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_a_name_is_on_a_page(module: ModuleType, name: str) -> None:
    """On one that explains something; the list of all names does not count."""
    assert name in prose(), f"explain {module.__name__}.{name} on a page of docs/"
