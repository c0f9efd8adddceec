"""The two shells: they move bytes and exceptions, and let the connection go. Nothing else waits."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..adapter import Interruptible
from ..errors import StreamBusyError
from ..record import Outcome
from .outliving import Outliving, is_asyncio_cancellation, outliving
from .protocols import AsyncUsageStream, UsageStream
from .recovery import arecover, recover
from .state import PendingDrain, StreamPolicy, StreamState, bounded, warm, warn_of_drop

if TYPE_CHECKING:
    from ..adapter import Adapter, AsyncByteStream, ByteStream, Request
    from ..chunk import Chunk
    from ..cost import Cost
    from ..record import UsageRecord
    from ..usage import Usage
    from .meter import Call

__all__ = ["AsyncStream", "Background", "SyncStream"]

Background = Callable[[Coroutine[Any, Any, None]], bool]
"""Runs a coroutine without being waited for, and says so; or cannot, and leaves it alone."""


class _Held:
    """What both shells show of the state that they hold."""

    def __init__(
        self, adapter: Adapter, request: Request, call: Call, policy: StreamPolicy
    ) -> None:
        self._adapter = adapter
        self._request = request
        self._state = StreamState(adapter, call, policy)

    @property
    def usage(self) -> Usage:
        """What is known now; final once the stream has ended. Never `None`: see `Usage.source`."""
        return self._state.life.usage

    @property
    def so_far(self) -> Usage:
        """`usage`, with an estimate of what was not reported until now."""
        return self._state.life.so_far

    @property
    def cost(self) -> Cost | None:
        """What the stream has cost; until it has ended, an estimate of that, marked as one."""
        return self._state.life.cost

    @property
    def record(self) -> UsageRecord:
        """The accounting record. Raises `StreamNotEndedError` until the stream has ended."""
        return self._state.life.record


class SyncStream(_Held, UsageStream):
    """`UsageStream` over an adapter's `open`."""

    _body: ByteStream | None = None
    _bytes: Iterator[bytes] = iter(())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        state = self._state
        while not state.ready:
            if state.closed or state.meter.over:
                self._release()
                self._state.finish()
                raise StopIteration
            if not state.asked:
                self._open()
                continue  # it may have been closed meanwhile
            if state.busy:
                raise StreamBusyError
            state.busy = True
            try:
                failing = state.meter.failing is not None
                data = self._heard_out() if failing else next(self._bytes, None)
            except Exception as exc:  # noqa: BLE001 - only the transport runs here
                state.broke(exc)
            except BaseException as exc:
                state.busy = False
                self._left(exc)
                raise
            else:
                state.receive(data)
            state.busy = False
        chunk = state.ready.pop()
        if chunk.usage is not None or state.limit is not None:
            state.handing_over(chunk)
        if state.closed:
            self._release()
        return chunk

    def _heard_out(self) -> bytes | None:
        with self._state.last_words(self._body):
            return next(self._bytes, None)

    def __enter__(self) -> Self:
        if not self._state.asked and not self._state.closed:
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
        if sys.is_finalizing() or "_state" not in vars(self):  # interrupted while it was made
            return
        dropped = self._state.dropped()
        self._drop()
        if dropped:
            warn_of_drop(self)

    def text(self) -> str:
        return "".join([chunk.text for chunk in self if chunk.index == 0])

    def drain(self, timeout: float | None = None) -> Usage:
        if timeout is None:
            for _ in self:
                pass
            return self.usage
        if not self._state.asked and not self._state.closed:
            self._open()
        if not self._state.closed:
            self._read_on(timeout)
            self._state.read_out()
        self._release()
        self._state.finish()
        return self.usage

    def recover(self, *, cancel: bool = False, timeout: float = 0.0) -> UsageRecord:
        record = self._state.to_recover()
        record = recover(
            self._adapter, record, cancel=cancel, timeout=timeout, costs=self._state.costs
        )
        self._state.life.recovered(record)
        return record

    def close(self) -> None:
        if not (self._state.busy and self._state.asked):
            self._left(None)
            return
        # Another thread waits for the next bytes: it ends at once, and lets the connection go.
        self._state.closed = True
        self._state.life.settle(self._state.life.left_with())
        if isinstance(self._body, Interruptible):
            self._body.abort()

    def leave_at_exit(self) -> None:
        self._state.leave_at_exit(self._body)

    def _open(self) -> None:
        with self._state.alone():
            self._ask()

    def _ask(self) -> None:
        warm(self._adapter, self._request, asynchronous=False)
        if self._state.closed:  # by another thread, while the adapter was loaded
            return
        self._state.ask(self)
        try:
            self._body = self._adapter.open(self._request)
        except BaseException as exc:
            self._state.refused(exc)
            raise
        self._state.open(self._body.head)
        self._bytes = iter(self._body)
        try:
            self._state.life.written()
        except BaseException as exc:
            self._left(exc)
            raise

    def _left(self, exc: BaseException | None) -> None:
        drain = self._state.leave(exc)
        if drain is not None:
            try:
                self._read_on(drain.seconds)
            except BaseException as stop:
                self._state.life.settle(Outcome.CANCELLED, stop)
                self._drop()
                raise
            self._state.drained(drain)
        self._release()

    def _read_on(self, seconds: float | None) -> None:
        """Read to the end of the answer what nobody waits for."""
        try:
            with bounded(self._body, seconds):
                while self._state.has_rest:
                    self._state.receive_rest(next(self._bytes, None))
        except Exception as exc:  # noqa: BLE001 - only the transport runs here
            self._state.rest_broke(exc)

    def _release(self) -> None:
        """Let the connection go; back to the pool, if the end of the body is near."""
        if self._state.has_tail:
            self._state.life.body_ended = True
            with suppress(Exception), bounded(self._body, self._state.policy.rest_timeout):
                for _ in self._bytes:
                    pass
        self._drop()

    def _drop(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()


class AsyncStream(_Held, AsyncUsageStream):
    """`AsyncUsageStream` over an adapter's `aopen`."""

    _body: AsyncByteStream | None = None
    _bytes: AsyncIterator[bytes]
    _read: Callable[[], Awaitable[bytes | None]]
    """Gives the next bytes; at their end `None`, or raises `StopAsyncIteration`."""

    def __init__(
        self,
        adapter: Adapter,
        request: Request,
        call: Call,
        policy: StreamPolicy,
        background: Background,
    ) -> None:
        super().__init__(adapter, request, call, policy)
        self._background = background
        self._outliving: Outliving | None = None
        """With `on_leave="drain"`: what is read goes on when the consumer's task is cancelled."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:  # noqa: C901 - calls are spared for each chunk
        state = self._state
        while not state.ready:
            if state.closed or state.meter.over:
                await self._release()
                self._state.finish()
                raise StopAsyncIteration
            if not state.asked:
                await self._open()
                continue  # it may have been closed meanwhile
            if state.busy:
                raise StreamBusyError
            state.busy = True
            try:
                failing = state.meter.failing is not None
                data = await (self._heard_out() if failing else self._read())
            except StopAsyncIteration:
                state.receive(None)
            except Exception as exc:  # noqa: BLE001 - only the transport runs here
                state.broke(exc)
            except BaseException as exc:
                state.busy = False
                await self._left(exc)
                raise
            else:
                state.receive(data)
            state.busy = False
        chunk = state.ready.pop()
        if chunk.usage is not None or state.limit is not None:
            state.handing_over(chunk)
        if state.closed:
            await self._release()
        return chunk

    async def _heard_out(self) -> bytes | None:
        with self._state.last_words(self._body):
            return await self._read()

    async def __aenter__(self) -> Self:
        if not self._state.asked and not self._state.closed:
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
        if sys.is_finalizing() or "_state" not in vars(self):  # interrupted while it was made
            return
        dropped = self._state.dropped()
        if isinstance(self._body, Interruptible):
            self._body.abort()  # closing it would have to be awaited
        if dropped:
            warn_of_drop(self)

    async def text(self) -> str:
        return "".join([chunk.text async for chunk in self if chunk.index == 0])

    async def drain(self, timeout: float | None = None) -> Usage:  # noqa: ASYNC109 - ends well
        if timeout is None:
            async for _ in self:
                pass
            return self.usage
        if not self._state.asked and not self._state.closed:
            await self._open()
        if not self._state.closed:
            await self._read_on(timeout)
            self._state.read_out()
        await self._release()
        self._state.finish()
        return self.usage

    async def recover(
        self,
        *,
        cancel: bool = False,
        timeout: float = 0.0,  # noqa: ASYNC109 - polling, which no cancel scope does
    ) -> UsageRecord:
        record = self._state.to_recover()
        record = await arecover(
            self._adapter, record, cancel=cancel, timeout=timeout, costs=self._state.costs
        )
        self._state.life.recovered(record)
        return record

    async def close(self) -> None:
        await self._left(None)

    def leave_at_exit(self) -> None:
        self._state.leave_at_exit(self._body)

    async def _open(self) -> None:
        with self._state.alone():
            await self._ask()

    async def _ask(self) -> None:
        warm(self._adapter, self._request, asynchronous=True)
        self._state.ask(self)
        if self._state.policy.on_leave == "drain":
            self._outliving = outliving()
        try:
            await self._wait_for_body()
        except BaseException as exc:
            if self._survives(exc):
                self._state.closed = True
                self._background(self._open_and_leave())
            else:
                self._state.refused(exc)
            raise
        try:
            await self._state.life.awritten()
        except BaseException as exc:
            await self._left(exc)
            raise

    async def _wait_for_body(self) -> None:
        if self._outliving is None:
            self._body = await self._adapter.aopen(self._request)
        else:
            self._body = await self._outliving.wait(partial(self._adapter.aopen, self._request))
        self._state.open(self._body.head)
        self._bytes = aiter(self._body)
        if self._outliving is None:
            self._read = self._bytes.__anext__  # anext() with a default takes a step more
        else:
            self._read = partial(self._outliving.wait, partial(anext, self._bytes, None))

    async def _open_and_leave(self) -> None:
        """The consumer was cancelled while it waited for the response: wait, and drain that."""
        try:
            await self._wait_for_body()
        except Exception as exc:  # noqa: BLE001 - on the record, and nobody is there to be told
            self._state.refused(exc)
        except BaseException as exc:
            self._state.refused(exc)
            raise
        else:
            await self._left(None)

    async def _next(self) -> bytes | None:
        """The next bytes of the body; `None` at its end."""
        try:
            return await self._read()
        except StopAsyncIteration:
            return None

    def _survives(self, exc: BaseException | None) -> bool:
        """Whether reading goes on: a consumer whose task is cancelled has left, and no more."""
        return self._outliving is not None and is_asyncio_cancellation(exc)

    async def _left(self, exc: BaseException | None) -> None:
        survives = self._survives(exc)
        drain = self._state.leave(None if survives else exc)
        if drain is None:
            await self._release()
            return
        work = self._carry_on(drain)
        if not ((drain.is_drain or survives) and self._background(work)):
            await work

    async def _carry_on(self, drain: PendingDrain) -> None:
        try:
            await self._read_on(drain.seconds)
        except BaseException as stop:
            self._state.life.settle(Outcome.CANCELLED, stop)
            await self._drop()
            raise
        self._state.drained(drain)
        await self._release()

    async def _read_on(self, seconds: float | None) -> None:
        """Read to the end of the answer what nobody waits for."""
        try:
            with bounded(self._body, seconds):
                while self._state.has_rest:
                    self._state.receive_rest(await self._next())
        except Exception as exc:  # noqa: BLE001 - only the transport runs here
            self._state.rest_broke(exc)

    async def _release(self) -> None:
        """Let the connection go; back to the pool, if the end of the body is near."""
        try:
            if self._state.has_tail:
                self._state.life.body_ended = True
                with suppress(Exception), bounded(self._body, self._state.policy.rest_timeout):
                    async for _ in self._bytes:
                        pass
        finally:
            await self._drop()

    async def _drop(self) -> None:
        body, self._body = self._body, None
        if self._outliving is not None:
            await self._outliving.stop()
        if body is not None:
            await body.close()
