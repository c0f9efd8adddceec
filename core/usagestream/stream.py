"""The stream a consumer holds: two protocols, and the two thin shells that implement them.

Everything that does not wait lives once, in `_Account` and below it. The shells only move bytes
and exceptions.
"""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from .chunk import Chunk
from .errors import StreamInterruptedError, StreamTruncatedError, UsageStreamError
from .meter import Call, Meter
from .record import Outcome, UsageRecord
from .usage import Usage

if TYPE_CHECKING:
    from .adapter import Adapter, AsyncByteStream, ByteStream, Head, Request

__all__ = ["AsyncUsageStream", "UsageStream"]


@runtime_checkable
class UsageStream(Protocol):
    """A streamed answer that ends with what it cost.

    The request is sent on entering the `with` block, or on the first chunk. Read to the end, the
    last chunk, and only it, has `usage`. However the stream ends, it leaves exactly one `record`.
    """

    @property
    def usage(self) -> Usage:
        """What is known now; final once the stream has ended. Never `None`: see `Usage.source`."""
        ...

    @property
    def record(self) -> UsageRecord | None:
        """The accounting record; `None` until the stream has ended."""
        ...

    def __iter__(self) -> Iterator[Chunk]: ...

    def __next__(self) -> Chunk:
        """Wait for the next chunk.

        Raises `ProviderError` if the stream cannot be opened, `StreamError` if it ends badly.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def text(self) -> str:
        """Read to the end and return the text of the first choice that had not been read yet."""
        ...

    def drain(self) -> Usage:
        """Read to the end, drop what comes, and return the usage."""
        ...

    def close(self) -> None:
        """Stop here and let the connection go. Does nothing to a stream that has ended."""
        ...


@runtime_checkable
class AsyncUsageStream(Protocol):
    """`UsageStream` for async code: the same, with `async for`, `async with` and `await`."""

    @property
    def usage(self) -> Usage: ...
    @property
    def record(self) -> UsageRecord | None: ...
    def __aiter__(self) -> AsyncIterator[Chunk]: ...
    async def __anext__(self) -> Chunk: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    async def text(self) -> str: ...
    async def drain(self) -> Usage: ...
    async def close(self) -> None: ...


class _Account:
    """What both shells share: the chunks that are ready, the meter, and the one record."""

    def __init__(
        self,
        adapter: Adapter,
        request: Request,
        call: Call,
        on_record: Callable[[UsageRecord], None],
    ) -> None:
        self._adapter = adapter
        self._request = request
        self._on_record = on_record
        self._meter = Meter(call)
        self._ready: deque[Chunk] = deque()
        self._sent = False
        self._closed = False
        self._record: UsageRecord | None = None

    @property
    def usage(self) -> Usage:
        return self._meter.usage if self._record is None else self._record.usage

    @property
    def record(self) -> UsageRecord | None:
        return self._record

    def _start(self) -> None:
        self._sent = True
        self._meter.start(time.monotonic(), datetime.now(UTC))

    def _opened(self, head: Head) -> None:
        self._meter.opened(head, self._adapter.decoder(head))

    def _refused(self, exc: BaseException) -> None:
        self._closed = True
        self._settle(Outcome.REJECTED if isinstance(exc, Exception) else Outcome.CANCELLED, exc)

    def _received(self, data: bytes | None) -> None:
        """Take the next bytes of the body, or `None` for its end."""
        now = time.monotonic()
        meter = self._meter
        self._ready.extend(meter.close(now) if data is None else meter.feed(data, now))

    def _interrupted(self, exc: Exception) -> None:
        """The transport broke while the next bytes were awaited."""
        failure = StreamInterruptedError(
            f"The connection broke mid-stream: {type(exc).__name__}: {exc}"
        )
        failure.__cause__ = exc
        self._ready.extend(self._meter.close(time.monotonic(), failure))

    def _take(self) -> Chunk:
        chunk = self._ready.popleft()
        if chunk.usage is not None:
            self._settle(Outcome.COMPLETED)
        return chunk

    def _finish(self) -> None:
        """Everything was read: raise the failure that ended the stream, if there was one, once."""
        failure = self._meter.failure
        if failure is None or self._record is not None:
            return
        cut = isinstance(failure, StreamTruncatedError | StreamInterruptedError)
        self._settle(Outcome.TRUNCATED if cut else Outcome.FAILED, failure)
        raise failure

    def _left(self, exc: BaseException | None) -> None:
        """The consumer left, of its own accord or because of an exception in its code."""
        self._closed = True
        self._ready.clear()
        if self._sent:
            stopped = exc is None or isinstance(exc, Exception | GeneratorExit)
            self._settle(Outcome.CLOSED if stopped else Outcome.CANCELLED, exc)

    def _abandoned(self) -> bool:
        """The consumer dropped the stream. True if it had not ended, and a warning is due."""
        if not self._sent or self._record is not None:
            return False
        self._settle(Outcome.ABANDONED)
        return True

    def _warn(self) -> None:
        warnings.warn(
            f"{type(self).__name__} was dropped before its end: use `with`, or close() it",
            ResourceWarning,
            stacklevel=3,
            source=self,
        )

    def _settle(self, outcome: Outcome, error: BaseException | None = None) -> None:
        """Write the record, the first time this is called. What comes later changes nothing."""
        if self._record is not None:
            return
        self._record = self._meter.record(outcome, now=time.monotonic(), error=error)
        if isinstance(error, UsageStreamError) and error.record is None:
            error.record = self._record
        self._on_record(self._record)


class SyncStream(_Account):
    """`UsageStream` over an adapter's `open`."""

    _body: ByteStream | None = None
    _bytes: Iterator[bytes] = iter(())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        while not self._ready:
            if self._closed or self._meter.over:
                self._finish()
                raise StopIteration
            self._advance()
        return self._take()

    def __enter__(self) -> Self:
        if not self._sent and not self._closed:
            self._open()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left(exc)
        self._drop()

    def __del__(self) -> None:
        if self._abandoned():
            self._drop()
            self._warn()

    def text(self) -> str:
        return "".join([chunk.text for chunk in self if chunk.index == 0])

    def drain(self) -> Usage:
        for _ in self:
            pass
        return self.usage

    def close(self) -> None:
        self._left(None)
        self._drop()

    def _open(self) -> None:
        self._start()
        try:
            self._body = self._adapter.open(self._request)
        except BaseException as exc:
            self._refused(exc)
            raise
        self._opened(self._body.head)
        self._bytes = iter(self._body)

    def _advance(self) -> None:
        if not self._sent:
            self._open()
        try:
            data = next(self._bytes, None)
        except Exception as exc:  # noqa: BLE001 - only the transport runs here, and any may be used
            self._interrupted(exc)
        except BaseException as exc:
            self._left(exc)
            self._drop()
            raise
        else:
            self._received(data)
        if self._meter.over:
            self._drop()

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()


class AsyncStream(_Account):
    """`AsyncUsageStream` over an adapter's `aopen`."""

    _body: AsyncByteStream | None = None
    _bytes: AsyncIterator[bytes]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        while not self._ready:
            if self._closed or self._meter.over:
                self._finish()
                raise StopAsyncIteration
            await self._advance()
        return self._take()

    async def __aenter__(self) -> Self:
        if not self._sent and not self._closed:
            await self._open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left(exc)
        await self._drop()

    def __del__(self) -> None:
        if self._abandoned():
            self._warn()

    async def text(self) -> str:
        return "".join([chunk.text async for chunk in self if chunk.index == 0])

    async def drain(self) -> Usage:
        async for _ in self:
            pass
        return self.usage

    async def close(self) -> None:
        self._left(None)
        await self._drop()

    async def _open(self) -> None:
        self._start()
        try:
            self._body = await self._adapter.aopen(self._request)
        except BaseException as exc:
            self._refused(exc)
            raise
        self._opened(self._body.head)
        self._bytes = aiter(self._body)

    async def _advance(self) -> None:
        if not self._sent:
            await self._open()
        try:
            data = await anext(self._bytes, None)
        except Exception as exc:  # noqa: BLE001 - only the transport runs here, and any may be used
            self._interrupted(exc)
        except BaseException as exc:
            self._left(exc)
            await self._drop()
            raise
        else:
            self._received(data)
        if self._meter.over:
            await self._drop()

    async def _drop(self) -> None:
        if self._body is not None:
            await self._body.close()
