"""Redirects: followed where a request stays what it is and stays at its origin.

The HTTP library goes wherever a server sends it: it takes along every header but the SDK's own
credentials, so that a gateway's key in a profile's headers is shown to whoever is named; and it
makes a GET of a POST, whose answer is to another question. A redirect that is not followed is a
refusal, which says where to.
"""

# The HTTP library is httpx2 or httpx, whichever the client comes from.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from __future__ import annotations

import functools
from typing import Any, Final
from urllib.parse import quote

from .addresses import shown_url, without
from .http_library import library_type

__all__ = ["asend", "guarded", "send", "where_to"]

_HARMLESS: Final = frozenset({"accept", "accept-encoding", "connection", "host", "user-agent"})
"""Headers that a GET takes along to another origin."""

_RESERVED: Final = "%/?:@!$&'()*+,;=~"
"""What stands for itself in a query."""

_PORTS: Final = {"http": 80, "https": 443}


def guarded(inner: Any, query: str = "") -> Any:
    """Make an HTTP client of the same library that uses all of `inner`, and goes nowhere else.

    A query goes with each request as it was written: names that come twice, and all. What a request
    has of the same names goes before.
    """
    kind: type = type(inner)
    return _kind(kind)(inner, query)


def send(inner: Any, request: Any, **how: Any) -> Any:
    """Send through `inner`, following the redirects that may be followed."""
    hops = _hops(inner, how)
    while True:
        response = inner.send(request, **how)
        following = _following(response) if hops > 0 else None
        if following is None:
            return response
        response.close()
        request, hops = following, hops - 1


async def asend(inner: Any, request: Any, **how: Any) -> Any:
    """`send` for async code."""
    hops = _hops(inner, how)
    while True:
        response = await inner.send(request, **how)
        following = _following(response) if hops > 0 else None
        if following is None:
            return response
        await response.aclose()
        request, hops = following, hops - 1


def where_to(response: Any) -> str | None:
    """Where a response redirects to, without what may be secret; `None` for any other."""
    if not response.has_redirect_location:
        return None
    following = response.next_request
    return shown_url(response.headers["location"] if following is None else str(following.url))


def _hops(inner: Any, how: dict[str, Any]) -> int:
    """How many redirects may be followed; `how` is told that the library follows none."""
    asked = how.get("follow_redirects")
    how["follow_redirects"] = False
    follows = asked if isinstance(asked, bool) else inner.follow_redirects
    return inner.max_redirects if follows else 0


def _following(response: Any) -> Any:
    """The request to send next; `None` where that is none, or none that may be sent."""
    request, following = response.request, response.next_request
    if following is None or following.method != request.method:
        return None
    if _origin(following.url) != _origin(request.url):
        if request.method not in ("GET", "HEAD"):
            return None
        for name in set(following.headers) - _HARMLESS:
            del following.headers[name]
    return following


def _origin(url: Any) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or _PORTS.get(url.scheme)


@functools.cache
def _kind(kind: type) -> type:
    base = library_type(kind)
    guard = _AsyncGuard if base.__name__ == "AsyncClient" else _Guard
    return type(f"Guarded{kind.__name__}", (guard, base), {})


class _Borrowed:
    """State is read from the borrowed client, by name, so that there is one of each thing."""

    def __init__(self, inner: Any, query: str) -> None:
        self._borrowed = inner
        self._query = quote(query, safe=_RESERVED)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._borrowed, name)

    def build_request(self, *args: Any, **kwargs: Any) -> Any:
        request = self._borrowed.build_request(*args, **kwargs)
        query = without(self._query, *request.url.params)
        if query:
            before = request.url.query
            both = before + b"&" + query.encode() if before else query.encode()
            request.url = request.url.copy_with(query=both)
        return request


class _Guard(_Borrowed):
    def send(self, request: Any, **how: Any) -> Any:
        return send(self._borrowed, request, **how)

    def close(self) -> None:
        self._borrowed.close()


class _AsyncGuard(_Borrowed):
    async def send(self, request: Any, **how: Any) -> Any:
        return await asend(self._borrowed, request, **how)

    async def aclose(self) -> None:
        await self._borrowed.aclose()
