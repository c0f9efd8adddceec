"""What one provider has beside another, as a value: who is asked, where, with what credential."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from usagestream_core.adapter import Request, Target

from .credentials import TokenSource
from .usage_option import RefusedOption

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

__all__ = ["Service"]


def _nothing_known(request: Request) -> RefusedOption | None:
    return None


def _no_headers(key: str | None) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service that the openai SDK is asked to talk to."""

    name: str
    """Who is asked, as errors call it."""
    client: Callable[[dict[str, Any]], OpenAI]
    """Makes the SDK's client, of the options that every client takes. Called once, when needed."""
    async_client: Callable[[dict[str, Any]], AsyncOpenAI]
    """`client` for async code; called once for each event loop."""
    target: Callable[[str], Target]
    """Says where a request for a model goes, or raises `ConfigError`."""
    query: str = ""
    """What the address has behind a `?`, which goes with each request."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """The keys in use."""
    tokens: TokenSource | None = None
    """Gives what the SDK sends as a bearer, where that is fetched; `None` for a key."""
    keys: TokenSource | None = None
    """Gives the header `api-key`, where the SDK would not ask a function for it."""
    known_refusal: Callable[[Request], RefusedOption | None] = _nothing_known
    """What this surface is known to refuse of `stream_options`; `None` where nothing is."""
    headers: Callable[[str | None], Mapping[str, Any]] = _no_headers
    """Headers of this service's own, given what `keys` gave; the caller's go before."""
