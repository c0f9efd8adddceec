"""HTTP clients that replay: the SDK's own above, no network below."""

from __future__ import annotations

import math
import threading
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from ..sdk.http_library import http_library

if TYPE_CHECKING:
    from typing import Protocol

    from ._playback import Playback

    class Answers(Protocol):
        """A `Replay`, as far as its clients need one."""

        def answer(self, method: str, uri: str, body: bytes) -> Playback: ...


__all__ = ["replaying_async_client", "replaying_client"]


def replaying_client(replay: Answers) -> Any:
    """Make a client that asks `replay` instead of a server."""
    from openai import DefaultHttpxClient

    return DefaultHttpxClient(transport=_kinds().transport(replay))


def replaying_async_client(replay: Answers) -> Any:
    """`replaying_client` for async code."""
    from openai import DefaultAsyncHttpxClient

    return DefaultAsyncHttpxClient(transport=_kinds().async_transport(replay))


class _Waiting:
    """What is waited for, within the time that the request allows for a read."""

    def __init__(self, playback: Playback, request: Any) -> None:
        self._playback = playback
        timeouts: dict[str, float | None] = request.extensions.get("timeout") or {}
        allowed = timeouts.get("read")
        self._allowed = math.inf if allowed is None else float(allowed)
        self._aborted = threading.Event()

    def abort(self) -> None:
        """End what waits, from any thread."""
        self._aborted.set()

    def _within(self, seconds: float) -> tuple[float, bool]:
        """How long to wait, and whether that is all the time there is."""
        return min(seconds, self._allowed), seconds > self._allowed

    def wait(self, seconds: float) -> None:
        wait, too_long = self._within(seconds)
        if self._aborted.wait(None if math.isinf(wait) else wait):
            raise http_library().ReadError("the connection was closed")
        if too_long:
            raise http_library().ReadTimeout("The read operation timed out")

    async def wait_async(self, seconds: float) -> None:
        import anyio

        wait, too_long = self._within(seconds)
        await anyio.sleep(wait)
        if too_long:
            raise http_library().ReadTimeout("The read operation timed out")

    def end(self) -> None:
        """Raise what the body ends with, if that is no good end."""
        if self._playback.error is not None:
            library = http_library()
            kind = getattr(library, self._playback.error, None)
            if not (isinstance(kind, type) and issubclass(kind, library.TransportError)):
                kind = library.ReadError
            raise kind(self._playback.reason)


class _Body(_Waiting):
    def __iter__(self) -> Iterator[bytes]:
        for pause, data in self._playback.steps:
            self.wait(pause)
            yield data
        self.wait(self._playback.end_after)
        self.end()


class _AsyncBody(_Waiting):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        for pause, data in self._playback.steps:
            await self.wait_async(pause)
            yield data
        await self.wait_async(self._playback.end_after)
        self.end()


class _Transport:
    def __init__(self, replay: Answers) -> None:
        self._replay = replay

    def _answer(self, request: Any, body: bytes) -> Playback:
        return self._replay.answer(request.method, str(request.url), body)

    def handle_request(self, request: Any) -> Any:
        playback = self._answer(request, request.read())
        body = _kinds().body(playback, request)
        body.wait(playback.head_after)
        return _response(playback, body)

    async def handle_async_request(self, request: Any) -> Any:
        playback = self._answer(request, await request.aread())
        body = _kinds().async_body(playback, request)
        await body.wait_async(playback.head_after)
        return _response(playback, body)


def _response(playback: Playback, body: Any) -> Any:
    return http_library().Response(
        playback.status,
        headers=list(playback.headers),
        stream=body,
        extensions={"usagestream_abort": body.abort},
    )


class _Kinds:
    """The same classes, as the library's own: it asks what a body is an instance of."""

    def __init__(self) -> None:
        library = http_library()
        self.body: Any = type("ReplayedBody", (_Body, library.SyncByteStream), {})
        self.async_body: Any = type("ReplayedAsyncBody", (_AsyncBody, library.AsyncByteStream), {})
        self.transport: Any = type("ReplayTransport", (_Transport, library.BaseTransport), {})
        self.async_transport: Any = type(
            "AsyncReplayTransport", (_Transport, library.AsyncBaseTransport), {}
        )


@cache
def _kinds() -> _Kinds:
    return _Kinds()
