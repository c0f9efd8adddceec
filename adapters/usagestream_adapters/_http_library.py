"""The HTTP library that the installed openai SDK stands on: httpx2, or httpx before version 3."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

__all__ = ["http_library"]


@cache
def http_library() -> Any:
    """Import it. The SDK accepts HTTP clients of this library only."""
    from openai import DefaultHttpxClient

    base = next(
        each
        for each in DefaultHttpxClient.__mro__
        if each.__module__.partition(".")[0] in ("httpx", "httpx2")
    )
    return importlib.import_module(base.__module__.partition(".")[0])
