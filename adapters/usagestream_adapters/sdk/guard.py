"""What stands between the SDK and whoever answers it: bounds what a refusal or a redirect can do.

The SDK reads the body of a refusal whole, decompresses it and decodes it by whatever charset it
names; and it follows redirects with every header that it was given, keys of the caller's included.
"""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final
from urllib.parse import quote

from .addresses import without
from .borrowed import Borrowed, borrow
from .plain_text import MOST_BYTES, charset_of, plain
from .redirects import asend, send

__all__ = ["guarded"]

_MOST_SECONDS: Final = 10.0
"""For which the body of a refusal is read, should it come in drops."""
_RESERVED: Final = "%/?:@!$&'()*+,;=~"
"""What stands for itself in a query."""


def guarded(inner: Any, query: str = "") -> Any:
    """Make an HTTP client around this one, which stays as it is.

    Of the body of a refusal it reads 64 KB at most, decompressed, for 10 seconds at most. It
    follows redirects only where a request stays what it is: see `redirects`. A query goes with each
    request as it was written: names that come twice, and all. What a request has of the same names
    goes before.
    """
    made = borrow(inner, _Guarded, _AsyncGuarded)
    made.query = quote(query, safe=_RESERVED)
    return made


class _Querying(Borrowed):
    query = ""

    def build_request(self, *args: Any, **kwargs: Any) -> Any:
        request = self._borrowed.build_request(*args, **kwargs)
        query = without(self.query, *request.url.params)
        if query:
            before = request.url.query
            both = before + b"&" + query.encode() if before else query.encode()
            request.url = request.url.copy_with(query=both)
        return request


class _Guarded(_Querying):
    def send(self, request: Any, *, stream: bool = False, **how: Any) -> Any:
        response = send(self._borrowed, request, stream=True, **how)
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


class _AsyncGuarded(_Querying):
    async def send(self, request: Any, *, stream: bool = False, **how: Any) -> Any:
        response = await asend(self._borrowed, request, stream=True, **how)
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
