"""The body of a response, read by the SDK through the account of its call."""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from jiter import from_json

from usagestream_core.json_types import Json
from usagestream_core.record import Outcome

from ..sdk.bodies import bounded
from ..sdk.plain_text import plain
from ..wire.sse import MAX_EVENT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    class BodyWatcher(Protocol):
        """What watches a body; see `TrackedCall`."""

        @property
        def is_stream(self) -> bool: ...
        def quick(self, data: bytes) -> bytes | None: ...
        def pieces(self, data: bytes | None) -> Iterable[bytes]: ...
        def broke(self, exc: BaseException) -> None: ...
        def ended(self) -> None: ...
        @property
        def is_failing(self) -> bool: ...
        def heard(self, data: bytes | None) -> None: ...
        def left(self, outcome: Outcome, *, unread: Exception | None = None) -> None: ...


__all__ = ["body_of_kind", "body_sent", "plain_bytes"]

_LAST_WORDS: Final = 1.0
"""Seconds to wait for what more is said of an error, once the SDK has raised it: the next event may
put a code and a usage to it (WIRE §4)."""


def body_sent(request: Any) -> dict[str, Any]:
    """The JSON object that a request was sent with; empty where it cannot be told."""
    try:
        body: Json = from_json(request.content)
    except Exception:  # noqa: BLE001 - not read beforehand, not JSON: as its library has it
        return {}
    return body if isinstance(body, dict) else {}


def plain_bytes(response: Any, data: bytes) -> bytes:
    """Decompress a whole body; of one that is too long, one byte more than is looked at."""
    return plain(data, response.headers.get("content-encoding", ""), MAX_EVENT_BYTES + 1)


def body_of_kind(kind: str, response: Any, account: BodyWatcher) -> Any:
    """Make the stream of a response: `kind` is what its library calls one, sync or async."""
    own = response.stream
    library_type = next(base for base in type(own).__mro__ if base.__name__ == kind)
    iterated = own
    if account.is_stream and "content-encoding" in response.headers:
        # Events are found in plain bytes, so that these are what the SDK gets as well.
        packed = type(response)(response.status_code, headers=response.headers, stream=own)
        iterated = packed.iter_bytes() if kind == "SyncByteStream" else packed.aiter_bytes()
        del response.headers["content-encoding"]
    return _metered_kind(library_type)(own, iterated, response.extensions, account)


@functools.cache
def _metered_kind(library_type: type) -> type:
    """The library takes only streams of its own type."""
    base = _AsyncBody if library_type.__name__ == "AsyncByteStream" else _Body
    return type(base.__name__, (base, library_type), {})


def _raised_by_sdk() -> Exception | None:
    """The exception because of which the SDK closes the body, where it is the SDK's own doing.

    One that the caller's code raised, or handles, passed through that code first.
    """
    exc = sys.exception()
    if not isinstance(exc, Exception) or exc.__traceback__ is None:
        return None
    module = str(exc.__traceback__.tb_frame.f_globals.get("__name__"))
    return exc if module.partition(".")[0] == "openai" else None


class _Watched:
    def __init__(
        self, own: Any, iterated: Any, extensions: Mapping[str, Any], account: BodyWatcher
    ) -> None:
        self._own = own
        self._iterated = iterated
        self._extensions = extensions
        self._account = account
        self._reads: Any = None

    def __del__(self) -> None:
        self._account.left(Outcome.ABANDONED)


class _Body(_Watched):
    def __iter__(self) -> Iterator[bytes]:
        account = self._account
        reads = self._reads = iter(self._iterated)
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
        account = self._account
        try:
            if account.is_failing:
                with suppress(Exception), bounded(self._extensions, _LAST_WORDS):
                    account.heard(b"")
                    while account.is_failing:
                        account.heard(next(self._reads, None))
        finally:
            account.left(Outcome.CLOSED, unread=_raised_by_sdk())
            self._own.close()


class _AsyncBody(_Watched):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        account = self._account
        reads = self._reads = aiter(self._iterated)
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
        account = self._account
        try:
            if account.is_failing:
                import anyio

                with suppress(Exception), anyio.fail_after(_LAST_WORDS):
                    account.heard(b"")
                    while account.is_failing:
                        account.heard(await anext(self._reads, None))
        finally:
            account.left(Outcome.CLOSED, unread=_raised_by_sdk())
            await self._own.aclose()
