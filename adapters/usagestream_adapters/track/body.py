"""The body of a response, read by the SDK through the account of its call."""

# The response is httpx2's or httpx's.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from usagestream_core.adapter import Head
from usagestream_core.record import Outcome

from ..sdk.errors import REQUEST_ID_HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    class BodyAccount(Protocol):
        """What keeps account of a body; see `Account`."""

        @property
        def is_stream(self) -> bool: ...
        def quick(self, data: bytes) -> bytes | None: ...
        def pieces(self, data: bytes | None) -> Iterable[bytes]: ...
        def broke(self, exc: BaseException) -> None: ...
        def ended(self) -> None: ...
        def left(self, outcome: Outcome) -> None: ...


__all__ = ["body_of_kind", "head_of", "plain_bytes"]


def head_of(response: Any) -> Head:
    """What a response says before its body."""
    headers: Mapping[str, str] = response.headers
    return Head(
        status=response.status_code,
        content_type=headers.get("content-type"),
        request_ids={name: headers[name] for name in REQUEST_ID_HEADERS if name in headers},
        response_model=headers.get("x-ms-served-model"),
        region=headers.get("x-ms-region"),
    )


def plain_bytes(response: Any, data: bytes) -> bytes:
    """Decompress a whole body as the HTTP library does."""
    if "content-encoding" not in response.headers:
        return data
    whole: bytes = type(response)(200, headers=response.headers, content=data).content
    return whole


def body_of_kind(kind: str, response: Any, account: BodyAccount) -> Any:
    """Make the stream of a response: `kind` is what its library calls one, sync or async."""
    own = response.stream
    library_type = next(base for base in type(own).__mro__ if base.__name__ == kind)
    iterated = own
    if account.is_stream and "content-encoding" in response.headers:
        # Events are found in plain bytes, so that these are what the SDK gets as well.
        packed = type(response)(response.status_code, headers=response.headers, stream=own)
        iterated = packed.iter_bytes() if kind == "SyncByteStream" else packed.aiter_bytes()
        del response.headers["content-encoding"]
    return _metered_kind(library_type)(own, iterated, account)


@functools.cache
def _metered_kind(library_type: type) -> type:
    """The library takes only streams of its own type."""
    base = _AsyncBody if library_type.__name__ == "AsyncByteStream" else _Body
    return type(base.__name__, (base, library_type), {})


class _Watched:
    def __init__(self, own: Any, iterated: Any, account: BodyAccount) -> None:
        self._own = own
        self._iterated = iterated
        self._account = account

    def __del__(self) -> None:
        self._account.left(Outcome.ABANDONED)


class _Body(_Watched):
    def __iter__(self) -> Iterator[bytes]:
        account = self._account
        reads = iter(self._iterated)
        data: bytes | None = b""
        while data is not None:
            try:
                data = next(reads, None)
            except BaseException as exc:
                account.broke(exc)
                raise
            shown = None if data is None else account.quick(data)
            if shown is None:
                yield from account.pieces(data)
            else:
                yield shown
        account.ended()

    def close(self) -> None:
        self._account.left(Outcome.CLOSED)
        self._own.close()


class _AsyncBody(_Watched):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        account = self._account
        reads = aiter(self._iterated)
        data: bytes | None = b""
        while data is not None:
            try:
                data = await anext(reads, None)
            except BaseException as exc:
                account.broke(exc)
                raise
            shown = None if data is None else account.quick(data)
            if shown is None:
                for piece in account.pieces(data):
                    yield piece
            else:
                yield shown
        account.ended()

    async def aclose(self) -> None:
        self._account.left(Outcome.CLOSED)
        await self._own.aclose()
