"""Everything that talks to a provider, or to the outside at all; no counting and no records."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .wire.chat import ChatDecoder

__all__ = ["ChatDecoder"]


def __getattr__(name: str) -> object:
    # On use, since the pytest plugin imports this package in every run of pytest.
    if name == "ChatDecoder":
        from .wire.chat import ChatDecoder

        return ChatDecoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
