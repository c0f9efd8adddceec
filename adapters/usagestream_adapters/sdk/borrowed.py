"""An HTTP client that sends through another one, and can be told to do more than that.

The SDK takes clients of its HTTP library only, so that one of ours has to be of its type. Nothing
of the other client is changed, and nothing of it is owned: state is read from it by name, so that
there is one of each thing.
"""

from __future__ import annotations

import functools
from typing import Any

from .http_library import library_type

__all__ = ["Borrowed", "borrow"]


class Borrowed:
    """What both kinds share. A subclass says how to `send` and how to close."""

    def __init__(self, inner: Any) -> None:
        self._borrowed = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._borrowed, name)

    def build_request(self, *args: Any, **kwargs: Any) -> Any:
        return self._borrowed.build_request(*args, **kwargs)


def borrow(inner: object, sync_kind: type[Borrowed], async_kind: type[Borrowed]) -> Any:
    """Make a client of the library's type around `inner`, of one kind or the other."""
    own = type(inner)
    base = library_type(own)
    kind: type = async_kind if base.__name__ == "AsyncClient" else sync_kind
    return _both(kind, base, own.__name__)(inner)


@functools.cache
def _both(kind: type, base: type, name: str) -> type:
    return type(name, (kind, base), {})
