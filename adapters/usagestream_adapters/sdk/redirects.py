"""Redirects: followed where a request stays what it is and stays at its origin.

The HTTP library goes wherever a server sends it: it takes along every header but the SDK's own
credentials, so that a gateway's key in a profile's headers is shown to whoever is named; and it
makes a GET of a POST, whose answer is to another question. A redirect that is not followed is a
refusal, which says where to.
"""

from __future__ import annotations

from typing import Any, Final

from .addresses import shown_url

__all__ = ["asend", "send", "where_to"]

_HARMLESS: Final = frozenset({"accept", "accept-encoding", "connection", "host", "user-agent"})
"""Headers that a GET takes along to another origin."""

_PORTS: Final = {"http": 80, "https": 443}


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
