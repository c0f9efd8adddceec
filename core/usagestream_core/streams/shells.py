"""The two shells: they move bytes and exceptions, and let the connection go. Nothing else waits."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..adapter import Interruptible
from ..record import Outcome
from .protocols import AsyncUsageStream, UsageStream
from .recovery import arecover, recover
from .state import Account, Ending, Terms, within

if TYPE_CHECKING:
    from ..adapter import Adapter, AsyncByteStream, ByteStream, Request
    from ..chunk import Chunk
    from ..record import UsageRecord
    from ..usage import Usage
    from .meter import Call

__all__ = ["AsyncStream", "Background", "SyncStream"]

Background = Callable[[Coroutine[Any, Any, None]], bool]
"""Runs a coroutine without being waited for, and says so; or cannot, and leaves it alone."""


class SyncStream(Account, UsageStream):
    """`UsageStream` over an adapter's `open`."""

    _body: ByteStream | None = None
    _bytes: Iterator[bytes] = iter(())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        while not self._ready:
            if self._closed or self._meter.over:
                self._release()
                self._finish()
                raise StopIteration
            if not self._sent:
                self._open()
            try:
                data = next(self._bytes, None)
            except Exception as exc:  # noqa: BLE001 - only the transport runs here
                self._interrupted(exc)
            except BaseException as exc:
                self._left(exc)
                raise
            else:
                self._received(data)
        chunk = self._ready.pop()
        if chunk.usage is not None or self._limit is not None:
            self._handing_over(chunk)
        if self._closed:
            self._release()
        return chunk

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

    def __del__(self) -> None:
        if sys.is_finalizing():
            return
        dropped = self._dropped()
        self._drop()
        if dropped:
            self._warn()

    def text(self) -> str:
        return "".join([chunk.text for chunk in self if chunk.index == 0])

    def drain(self, timeout: float | None = None) -> Usage:
        if timeout is None:
            for _ in self:
                pass
            return self.usage
        if not self._sent and not self._closed:
            self._open()
        if not self._closed:
            self._read_on(timeout)
            self._drained()
        self._release()
        self._finish()
        return self.usage

    def recover(self, *, cancel: bool = False, timeout: float = 0.0) -> UsageRecord:
        record = self._to_recover()
        self._record = record = recover(
            self._adapter, record, cancel=cancel, timeout=timeout, costs=self._costs
        )
        return record

    def close(self) -> None:
        self._left(None)

    def leave_at_exit(self) -> None:
        self._leave_at_exit(self._body)

    def _open(self) -> None:
        self._start()
        try:
            self._body = self._adapter.open(self._request)
        except BaseException as exc:
            self._refused(exc)
            raise
        self._opened(self._body.head)
        self._bytes = iter(self._body)

    def _left(self, exc: BaseException | None) -> None:
        ending = self._leave(exc)
        if ending is not None:
            try:
                self._read_on(ending.seconds)
            except BaseException as stop:
                self._settle(Outcome.CANCELLED, stop)
                self._drop()
                raise
            self._ended(ending)
        self._release()

    def _read_on(self, seconds: float | None) -> None:
        """Read to the end of the answer what nobody waits for."""
        try:
            with within(self._body, seconds):
                while not self._meter.over and not self._body_ended:
                    self._read_rest(next(self._bytes, None))
        except Exception as exc:  # noqa: BLE001 - only the transport runs here
            self._rest_broke(exc)

    def _release(self) -> None:
        """Let the connection go; back to the pool, if the end of the body is near."""
        if self._has_tail:
            self._body_ended = True
            with suppress(Exception), within(self._body, self._terms.rest_timeout):
                for _ in self._bytes:
                    pass
        self._drop()

    def _drop(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()


class AsyncStream(Account, AsyncUsageStream):
    """`AsyncUsageStream` over an adapter's `aopen`."""

    _body: AsyncByteStream | None = None
    _bytes: AsyncIterator[bytes]

    def __init__(
        self, adapter: Adapter, request: Request, call: Call, terms: Terms, background: Background
    ) -> None:
        super().__init__(adapter, request, call, terms)
        self._background = background

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        while not self._ready:
            if self._closed or self._meter.over:
                await self._release()
                self._finish()
                raise StopAsyncIteration
            if not self._sent:
                await self._open()
            try:
                data = await self._bytes.__anext__()  # anext() with a default takes a step more
            except StopAsyncIteration:
                self._received(None)
            except Exception as exc:  # noqa: BLE001 - only the transport runs here
                self._interrupted(exc)
            except BaseException as exc:
                await self._left(exc)
                raise
            else:
                self._received(data)
        chunk = self._ready.pop()
        if chunk.usage is not None or self._limit is not None:
            self._handing_over(chunk)
        if self._closed:
            await self._release()
        return chunk

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
        await self._left(exc)

    def __del__(self) -> None:
        if sys.is_finalizing():
            return
        dropped = self._dropped()
        if isinstance(self._body, Interruptible):
            self._body.abort()  # closing it would have to be awaited
        if dropped:
            self._warn()

    async def text(self) -> str:
        return "".join([chunk.text async for chunk in self if chunk.index == 0])

    async def drain(self, timeout: float | None = None) -> Usage:  # noqa: ASYNC109 - ends well
        if timeout is None:
            async for _ in self:
                pass
            return self.usage
        if not self._sent and not self._closed:
            await self._open()
        if not self._closed:
            await self._read_on(timeout)
            self._drained()
        await self._release()
        self._finish()
        return self.usage

    async def recover(
        self,
        *,
        cancel: bool = False,
        timeout: float = 0.0,  # noqa: ASYNC109 - polling, which no cancel scope does
    ) -> UsageRecord:
        record = self._to_recover()
        record = await arecover(
            self._adapter, record, cancel=cancel, timeout=timeout, costs=self._costs
        )
        self._record = record
        return record

    async def close(self) -> None:
        await self._left(None)

    def leave_at_exit(self) -> None:
        self._leave_at_exit(self._body)

    async def _open(self) -> None:
        self._start()
        try:
            self._body = await self._adapter.aopen(self._request)
        except BaseException as exc:
            self._refused(exc)
            raise
        self._opened(self._body.head)
        self._bytes = aiter(self._body)

    async def _left(self, exc: BaseException | None) -> None:
        ending = self._leave(exc)
        if ending is None:
            await self._release()
            return
        work = self._carry_on(ending)
        if not (ending.is_drain and self._background(work)):
            await work

    async def _carry_on(self, ending: Ending) -> None:
        try:
            await self._read_on(ending.seconds)
        except BaseException as stop:
            self._settle(Outcome.CANCELLED, stop)
            await self._drop()
            raise
        self._ended(ending)
        await self._release()

    async def _read_on(self, seconds: float | None) -> None:
        """Read to the end of the answer what nobody waits for."""
        try:
            with within(self._body, seconds):
                while not self._meter.over and not self._body_ended:
                    self._read_rest(await anext(self._bytes, None))
        except Exception as exc:  # noqa: BLE001 - only the transport runs here
            self._rest_broke(exc)

    async def _release(self) -> None:
        """Let the connection go; back to the pool, if the end of the body is near."""
        try:
            if self._has_tail:
                self._body_ended = True
                with suppress(Exception), within(self._body, self._terms.rest_timeout):
                    async for _ in self._bytes:
                        pass
        finally:
            await self._drop()

    async def _drop(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            await body.close()
