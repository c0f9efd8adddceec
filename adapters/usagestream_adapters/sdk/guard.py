"""What stands between the SDK and whoever answers it: bounds what a refusal or a redirect can do.

The SDK reads the body of a refusal whole, decompresses it and decodes it by whatever charset it
names; and it follows redirects with every header that it was given, keys of the caller's included.
"""

# The HTTP library is httpx2 or httpx, whichever the client comes from.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from __future__ import annotations

import functools
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from .borrowed import Borrowed, borrow
from .plain_text import MOST_BYTES, charset_of, plain

__all__ = ["guarded"]

_MOST_SECONDS: Final = 10.0
"""For which the body of a refusal is read, should it come in drops."""
_MOST_REDIRECTS: Final = 5


def guarded(inner: Any) -> Any:
    """Make an HTTP client around this one, which stays as it is.

    Of the body of a refusal it reads 64 KB at most, decompressed, for 10 seconds at most. It
    follows redirects only within one origin and only as the same method: others come as they are.
    """
    return borrow(inner, _Guarded, _AsyncGuarded)


class _Guarded(Borrowed):
    def send(self, request: Any, *, stream: bool = False, **how: Any) -> Any:
        how["follow_redirects"] = False
        response = self._borrowed.send(request, stream=True, **how)
        for _ in range(_MOST_REDIRECTS):
            if not _may_follow(response):
                break
            response.close()
            response = self._borrowed.send(response.next_request, stream=True, **how)
        _bound(response, "SyncByteStream")
        if not stream:
            try:
                response.read()
            except BaseException:
                response.close()
                raise
        return response

    def close(self) -> None:
        self._borrowed.close()


class _AsyncGuarded(Borrowed):
    async def send(self, request: Any, *, stream: bool = False, **how: Any) -> Any:
        how["follow_redirects"] = False
        response = await self._borrowed.send(request, stream=True, **how)
        for _ in range(_MOST_REDIRECTS):
            if not _may_follow(response):
                break
            await response.aclose()
            response = await self._borrowed.send(response.next_request, stream=True, **how)
        _bound(response, "AsyncByteStream")
        if not stream:
            try:
                await response.aread()
            except BaseException:
                await response.aclose()
                raise
        return response

    async def aclose(self) -> None:
        await self._borrowed.aclose()


def _may_follow(response: Any) -> bool:
    """Whether a redirect stays with whom the request was meant for, and is the same request."""
    following = response.next_request
    if following is None:
        return False
    asked = response.request
    return following.method == asked.method and _origin(following.url) == _origin(asked.url)


def _origin(url: Any) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _bound(response: Any, kind: str) -> None:
    """Put ourselves in the way of the body of a refusal. One that was read is there already."""
    if response.is_success or response.is_stream_consumed:
        return
    codings = response.headers.pop("content-encoding", "")
    content_type = response.headers.get("content-type", "text/plain")
    response.headers["content-type"] = f"{content_type.partition(';')[0]}; charset=utf-8"
    own = response.stream
    library_type = next(base for base in type(own).__mro__ if base.__name__ == kind)
    response.stream = _bounded_kind(library_type)(own, codings, charset_of(content_type))


@functools.cache
def _bounded_kind(library_type: type) -> type:
    """The library takes only streams of its own type."""
    base = _AsyncBounded if library_type.__name__ == "AsyncByteStream" else _Bounded
    return type(base.__name__.lstrip("_"), (base, library_type), {})


class _Taken:
    """The beginning of a body, as it comes; the SDK gets it in UTF-8."""

    def __init__(self, own: Any, codings: str, charset: str) -> None:
        self._own = own
        self._codings = codings
        self._charset = charset
        self._data = bytearray()
        self._until = time.monotonic() + _MOST_SECONDS

    def _takes(self, data: bytes) -> bool:
        """Take more of it; whether that is not enough yet."""
        self._data += data[: MOST_BYTES - len(self._data)]
        return len(self._data) < MOST_BYTES and time.monotonic() < self._until

    def _plain(self) -> bytes:
        data = plain(bytes(self._data), self._codings)
        return data.decode(self._charset, "replace").encode()


class _Bounded(_Taken):
    def __iter__(self) -> Iterator[bytes]:
        for data in self._own:
            if not self._takes(data):
                break
        yield self._plain()

    def close(self) -> None:
        self._own.close()


class _AsyncBounded(_Taken):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._own:
            if not self._takes(data):
                break
        yield self._plain()

    async def aclose(self) -> None:
        await self._own.aclose()
