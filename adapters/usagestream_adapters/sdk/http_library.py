"""The HTTP library that the installed openai SDK stands on: httpx2, or httpx before version 3."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

__all__ = ["http_library", "library_type"]


@cache
def http_library() -> Any:
    """Import it. The SDK accepts HTTP clients of this library only."""
    from openai import DefaultHttpxClient

    return importlib.import_module(library_type(DefaultHttpxClient).__module__.partition(".")[0])


def library_type(kind: type) -> type:
    """Give the library's own class of an HTTP client, since the SDK accepts its instances only.

    Not the SDK's subclass of it, which closes its connections when it is dropped.
    """
    return next(
        base
        for base in kind.__mro__
        if base.__module__.partition(".")[0] in ("httpx", "httpx2")
        and base.__name__ in ("Client", "AsyncClient")
    )
