"""The bodies of responses that the SDK opened: read here, and let go here on every path."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import Any, Final

from usagestream_core.adapter import Head

from .errors import REQUEST_ID_HEADERS
from .http_library import unread_encoding

__all__ = ["SdkAsyncByteStream", "SdkByteStream", "bounded", "head_of"]

_SPILLOVER_HEADERS: Final = (
    "x-ms-spillover-from-deployment",
    "x-ms-deployment-name",
    "x-ms-spillover-error",
    "x-ms-is-spilled-over",
)


class _Body:
    """What both kinds share."""

    def __init__(self, manager: Any, response: Any) -> None:
        self._manager = manager
        self._response = response.http_response
        self._closed = False
        self.head = head_of(self._response)

    @property
    def _needs_decoding(self) -> bool:
        """Compressed, or read beforehand, as a mock transport's may be; raw bytes are cheaper."""
        response = self._response
        return "content-encoding" in response.headers or response.is_stream_consumed

    def abort(self) -> None:
        """Break the connection, unless it was let go: then it may be another response's by now."""
        if not self._closed:
            _abort(self._response.extensions)


class SdkByteStream(_Body):
    """Satisfies `usagestream.adapter.ByteStream` and `Interruptible`."""

    def __init__(self, manager: Any) -> None:
        super().__init__(manager, manager.__enter__())

    def __iter__(self) -> Iterator[bytes]:
        response = self._response
        chunks: Iterator[bytes] = response.iter_bytes() if self._needs_decoding else _raw(response)
        return chunks

    def within(self, seconds: float) -> AbstractContextManager[object]:
        """Bound the reading inside; see `bounded`."""
        return _bounded(self.abort, seconds)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._manager.__exit__(None, None, None)


class SdkAsyncByteStream(_Body):
    """Satisfies `usagestream.adapter.AsyncByteStream` and `Interruptible`."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        # aiter_raw() closes the response when what it gives is collected: nobody else does, where
        # a stream was dropped.
        response = self._response
        chunks: AsyncIterator[bytes] = (
            response.aiter_bytes() if self._needs_decoding else response.aiter_raw()
        )
        return chunks

    def within(self, seconds: float) -> AbstractContextManager[object]:
        """Bound the reading inside, on asyncio and trio alike."""
        import anyio

        return anyio.fail_after(seconds)

    async def close(self) -> None:
        import anyio

        if not self._closed:
            self._closed = True
            # A task that is being cancelled must still close, or the provider goes on writing.
            with anyio.CancelScope(shield=True):
                await self._manager.__aexit__(None, None, None)


def _raw(response: Any) -> Iterator[bytes]:
    """`response.iter_raw()`, spared what it does for each read so as to cut to a size."""
    try:
        yield from response.stream
    except Exception as exc:
        if hasattr(type(exc), "request"):
            exc.request = response.request  # type: ignore[attr-defined]
        raise
    finally:
        response.close()


class _Watchdog:
    """Aborts a read after some seconds, unless it was dismissed before."""

    def __init__(self, abort: Callable[[], None], seconds: float) -> None:
        self._abort = abort
        self._deciding = threading.Lock()
        self._decided = False
        self._timer = threading.Timer(seconds, self._bite)
        self._timer.daemon = True
        self._timer.start()

    def _bite(self) -> None:
        if self._decide():
            self._abort()

    def dismiss(self) -> bool:
        """Call it off. False where it is too late."""
        self._timer.cancel()
        return self._decide()

    def _decide(self) -> bool:
        with self._deciding:
            first = not self._decided
            self._decided = True
            return first


def bounded(extensions: Mapping[str, Any], seconds: float) -> AbstractContextManager[object]:
    """Bound the reading inside, by breaking the connection when the time is up.

    A blocking read cannot be bounded otherwise, once it has begun. A body without a connection (a
    cassette's, a mock's) is not bounded, and does not block. `extensions` are the response's.
    """
    return _bounded(partial(_abort, extensions), seconds)


@contextmanager
def _bounded(abort: Callable[[], None], seconds: float) -> Generator[None]:
    watchdog = _Watchdog(abort, seconds)
    try:
        yield
    except Exception as exc:
        if watchdog.dismiss():
            raise
        raise TimeoutError(f"the rest did not come within {seconds:g} s") from exc
    except BaseException:
        watchdog.dismiss()
        raise
    if not watchdog.dismiss():
        raise TimeoutError(f"the rest did not come within {seconds:g} s")


def _abort(extensions: Mapping[str, Any]) -> None:
    """Break the connection of a response, by its extensions."""
    if "usagestream_abort" in extensions:  # A replayed body's own way.
        extensions["usagestream_abort"]()
    elif "network_stream" in extensions:
        _shut_down(extensions["network_stream"])


def _shut_down(stream: Any) -> None:
    connection = stream.get_extra_info("socket")
    if connection is not None:
        # By a descriptor of our own: what stands for the socket may be a TLS socket, whose methods
        # are not for another thread, or an event loop's stand-in for one.
        with suppress(OSError, ValueError):
            twin = socket.socket(fileno=os.dup(connection.fileno()))
            with twin:
                twin.shutdown(socket.SHUT_RDWR)


def head_of(response: Any) -> Head:
    """What a response of the HTTP library says before its body."""
    headers: Mapping[str, str] = response.headers
    return Head(
        status=response.status_code,
        content_type=headers.get("content-type"),
        request_ids={name: headers[name] for name in REQUEST_ID_HEADERS if name in headers},
        response_model=headers.get("x-ms-served-model"),
        spillover=_spillover(headers),
        unread_encoding=unread_encoding(response),
        region=headers.get("x-ms-region"),
    )


def _spillover(headers: Mapping[str, str]) -> dict[str, str]:
    """What Azure says of a request that another deployment took over (WIRE §2.6)."""
    if (
        "x-ms-spillover-from-deployment" not in headers
        and headers.get("x-ms-is-spilled-over", "").lower() != "true"
    ):
        return {}
    return {name: headers[name] for name in _SPILLOVER_HEADERS if name in headers}
