"""How a record gets from the end of its stream to those who want it: once, whatever interrupts."""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from types import coroutine
from typing import TYPE_CHECKING, Any, Final

from ..errors import UsageStreamError
from .ledger import PAUSE, apause
from .shutdown import outboxes
from .totals import totals_in

if TYPE_CHECKING:
    import asyncio
    from contextvars import Context

    from ..record import UsageRecord
    from .ledger import Begun, Ledger, Writing

__all__ = ["FLUSH_TIMEOUT", "Outbox", "Parcel", "Sink", "is_async", "require_sink"]

logger = logging.getLogger("usagestream")

Sink = Callable[["UsageRecord"], object]

FLUSH_TIMEOUT: Final = 10.0
"""Seconds that closing a client, and the end of the interpreter, wait for sinks by default."""

_PIECE: Final = 0.1

_delivering: ContextVar[tuple[Outbox, ...]] = ContextVar("usagestream_delivering", default=())
"""The outboxes whose sink is running in this context."""


class Parcel:
    """A record on its way, and what is still to be done with it.

    A step is taken off and called in one line, and a parcel leaves its queue after its last step:
    whatever interrupts in between finds each step done, or still to be done.
    """

    __slots__ = ("context", "holder", "record", "steps")

    def __init__(self, record: UsageRecord, context: Context) -> None:
        self.record = record
        self.context = context
        """The opener's context, in which the sinks run."""
        self.steps: list[Callable[[], object]] = []
        """What is still to be called, the next one last."""
        self.holder: object = None
        """The task that awaits its async sink now."""

    @property
    def is_held(self) -> bool:
        """Whether somebody awaits its sink, who may still come to an end with it."""
        loop_of = getattr(self.holder, "get_loop", None)
        return self.holder is not None and not (loop_of is not None and loop_of().is_closed())


class Outbox:
    """Hands each record over once, in the order the streams ended. A failure stays in here.

    An ordinary function is called at once, where the stream ends; if another thread is at it, that
    one carries on. What an async function has to do waits in line until it is awaited. Both run in
    the context that their stream was asked for in, whatever thread or task they run on.

    `timeout` is how many seconds closing a client and the end of the interpreter wait for a sink,
    each; `None` waits for as long as it takes. An async function that is cancelled in the middle is
    called again, at the latest when the interpreter ends: it may see a record twice, under the same
    id.

    A `ledger` is told before a stream begins, and of each record before the sink is.
    """

    def __init__(
        self,
        sink: Sink | None,
        *,
        timeout: float | None = FLUSH_TIMEOUT,
        ledger: Ledger | None = None,
    ) -> None:
        require_sink(sink)
        self._sink = sink
        self._ledger = ledger
        self._is_async = is_async(sink)
        self._timeout = timeout
        self._parcels: deque[Parcel] = deque()
        """Those with steps left, the first of which may be in hand."""
        self._turn: dict[str, tuple[int, object]] = {}
        """Who hands over now: which thread, and which call. A dict for its atomic `setdefault`."""
        self._line: deque[Parcel] = deque()
        """Those whose async sink has yet to return."""
        self._worker: asyncio.Task[None] | None = None
        self.failures = 0
        """Records that the sink raised on, or did not take in time."""

    def begin(self, begun: Callable[[], Begun]) -> Writing | None:
        """A request is about to be sent: note what this gives, which is called for a ledger only.

        `None` where nothing is to be waited for.
        """
        if self._ledger is None:
            return None
        try:
            return self._ledger.begin(begun())
        except Exception:
            logger.exception("A stream could not be written down before it begins")
            return None

    def replace(self, record: UsageRecord) -> None:
        """More is known of a stream whose record was handed over."""
        if self._ledger is not None:
            try:
                self._ledger.replace(record)
            except Exception:
                logger.exception("The ledger raised; it has an older state of %s", record.id)

    def _end(self, ledger: Ledger, record: UsageRecord) -> None:
        try:
            ledger.end(record)
        except Exception:
            self.failures += 1
            logger.exception("The ledger raised; it does not have the end of %s", record.id)

    def parcel(self, record: UsageRecord, context: Context) -> Parcel:
        """Make a record ready to go to the totals of its context, then to the sink."""
        parcel = Parcel(record, context)
        if self._sink is not None and self._is_async:
            parcel.steps.append(partial(self._line.append, parcel))
        elif self._sink is not None:
            run: Callable[..., object] = context.run
            parcel.steps.append(partial(run, self._sink, record))
        if self._ledger is not None:
            parcel.steps.append(partial(self._end, self._ledger, record))
        parcel.steps += [partial(total.add, record) for total in totals_in(context)]
        return parcel

    def put(self, parcel: Parcel) -> None:
        """Take a parcel. Never raises what a sink does; doing it again changes nothing."""
        if parcel.steps:
            self._parcels.append(parcel)
            outboxes[id(self)] = self
            self._hand_over()

    def _hand_over(self) -> None:
        me = (threading.get_ident(), object())
        # Given up twice: should anything be raised in the first, the second does it.
        try:
            try:
                self._take_turns(me)
            finally:
                self._give_up_turn(me)
        finally:
            self._give_up_turn(me)
        if self._line:
            self._wake()
        elif not self._parcels:
            outboxes.pop(id(self), None)
            if self._parcels:  # put in meanwhile, by another thread
                outboxes[id(self)] = self

    def _take_turns(self, me: tuple[int, object]) -> None:
        # After each turn, look again: another thread may have put something in, and found it taken.
        while self._parcels and self._turn.setdefault("of", me) is me:
            while self._parcels:
                self._finish(self._parcels[0])
                self._parcels.popleft()
            self._give_up_turn(me)

    def _give_up_turn(self, me: tuple[int, object]) -> None:
        if self._turn.get("of") is me:
            del self._turn["of"]

    def _finish(self, parcel: Parcel) -> None:
        """Do what is left to be done with a parcel."""
        while parcel.steps:
            try:
                result = parcel.steps.pop()()
                if inspect.iscoroutine(result):
                    result.close()
                    raise TypeError("on_record gave a coroutine, which nobody awaits here")  # noqa: TRY301 - counted as any other failure
            except Exception as exc:  # noqa: BLE001 - logged there
                self._failed(parcel.record, exc)

    def _failed(self, record: UsageRecord, exc: BaseException) -> None:
        self.failures += 1
        logger.error(
            "on_record raised; the record %s of this stream is lost", record.id, exc_info=exc
        )

    def _wake(self) -> asyncio.Task[None] | None:
        """Work in the background, where there is an asyncio loop; else `flush` does it."""
        import asyncio  # slow to import, and loaded already where it is of use

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return None
        worker = self._worker
        if worker is None or worker.done() or worker.get_loop() is not loop:
            self._worker = worker = loop.create_task(self._work())
        return worker

    async def _work(self) -> None:
        """Await the async sink for each parcel in line that nobody else is at."""
        me = _current_task() or object()
        while (parcel := next((one for one in self._line if not one.is_held), None)) is not None:
            parcel.holder = me
            try:
                await _in_context(parcel.context, self._delivered(parcel.record))
            except Exception as exc:  # noqa: BLE001 - logged there
                self._failed(parcel.record, exc)
            except BaseException as exc:
                if not _is_the_sinks_own(exc):
                    parcel.holder = None
                    raise
                self._failed(parcel.record, exc)
            self._line.remove(parcel)
        self._hand_over()  # which takes this outbox off the register, if it is empty

    async def _delivered(self, record: UsageRecord) -> None:
        _delivering.set((*_delivering.get(), self))
        sink: Any = self._sink
        await sink(record)

    def wait(self) -> None:
        """Return once every record put in until now is handed over, by whatever thread, or in time.

        In a sink it returns at once: that cannot wait for itself.
        """
        deadline = _Deadline(self._timeout)
        self._wait_for_sink(deadline)
        self._flush_ledger(deadline)

    def _wait_for_sink(self, deadline: _Deadline) -> None:
        self._hand_over()
        while self._parcels and self._turn.get("of", (0, None))[0] != threading.get_ident():
            if deadline.passed:
                self._tell_late(len(self._parcels))
                return
            time.sleep(PAUSE)
            self._hand_over()

    def _flush_ledger(self, deadline: _Deadline) -> None:
        while not self._is_kept(_PIECE) and not self._is_late(deadline):
            pass

    async def _aflush_ledger(self, deadline: _Deadline) -> None:
        while not self._is_kept(0) and not self._is_late(deadline):
            await apause(PAUSE)

    def _is_kept(self, seconds: float) -> bool:
        try:
            return self._ledger is None or self._ledger.flush(seconds)
        except Exception:
            logger.exception("The ledger raised while it was waited for")
            return True

    def _is_late(self, deadline: _Deadline) -> bool:
        late = deadline.passed
        if late:
            logger.error(
                "The ledger did not keep all that it was given within %g s; it goes on until the "
                "interpreter ends",
                self._timeout,
            )
        return late

    async def flush(self) -> None:
        """`wait` for async code, and for async sinks. On trio, a cancel scope bounds those.

        Raises `UsageStreamError` in the sink itself, which would wait for its own end.
        """
        if self in _delivering.get():
            raise UsageStreamError(
                "on_record waits for its own client to be closed, which waits for on_record: close "
                "the client elsewhere"
            )
        deadline = _Deadline(self._timeout)
        self._wait_for_sink(deadline)
        await self._wait_for_line(deadline)
        await self._aflush_ledger(deadline)

    async def _wait_for_line(self, deadline: _Deadline) -> None:
        while self._line:
            worker = self._wake()
            if worker is None:
                await self._work()
                return
            import asyncio

            await asyncio.wait([worker], timeout=deadline.left)
            if deadline.passed:
                worker.cancel()
                self._tell_late(len(self._line))
                return
            if self._line:  # in the hands of another loop
                await asyncio.sleep(PAUSE)

    def leave_at_exit(self) -> None:
        """The interpreter ends: what is still in line goes out now, on a loop made for it."""
        self._wait_for_sink(_Deadline(self._timeout))
        if self._line:
            import asyncio

            for parcel in self._line:
                parcel.holder = None
            with suppress(TimeoutError):
                asyncio.run(asyncio.wait_for(self._work(), self._timeout))
        late = len(self._line) + len(self._parcels)
        if late:
            self.failures += late
            logger.error("%d records are lost: on_record did not take them in time", late)

    def leave_to_parent(self) -> None:
        """The process was forked: what was in line is the parent's to hand over."""
        self._parcels.clear()
        self._line.clear()
        self._turn.clear()
        self._worker = None

    def _tell_late(self, count: int) -> None:
        logger.error(
            "on_record did not take %d records within %g s; they are tried once more when the "
            "interpreter ends",
            count,
            self._timeout,
        )


class _Deadline:
    """A moment some seconds from now; never, where that is `None`."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    @property
    def left(self) -> float | None:
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        return self._end is not None and time.monotonic() >= self._end


def _current_task() -> asyncio.Task[None] | None:
    import asyncio

    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _is_the_sinks_own(exc: BaseException) -> bool:
    """Whether a cancellation is one that the sink met or made: nobody has cancelled its task."""
    import asyncio

    task = _current_task()
    return isinstance(exc, asyncio.CancelledError) and task is not None and not task.cancelling()


@coroutine
def _in_context(context: Context, work: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    """Await a coroutine with each of its steps in this context, whatever drives it."""
    step: Callable[[], Any] = partial(work.send, None)
    while True:
        try:
            awaited = context.run(step)
        except StopIteration:
            return
        try:
            answer = yield awaited
        except GeneratorExit:
            context.run(work.close)  # nothing, if the collector took that one first
            raise
        except BaseException as exc:  # noqa: BLE001 - passed on to whom it is for
            step = partial(work.throw, exc)
        else:
            step = partial(work.send, answer)


def require_sink(sink: object) -> None:
    """Raise `TypeError` for what cannot be called, before a record is lost to it."""
    if sink is not None and not callable(sink):
        raise TypeError(
            f"on_record must be None or a function that takes a record, unlike {sink!r}"
        )


def is_async(sink: object) -> bool:
    """Whether this is called to give a coroutine."""
    return inspect.iscoroutinefunction(sink) or inspect.iscoroutinefunction(
        getattr(sink, "__call__", None)  # noqa: B004 - not whether it can be called, but how
    )
