"""What both streams of a client hold: all of reading and leaving that does not wait."""

from __future__ import annotations

import time
import warnings
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..adapter import Interruptible, Warmable
from ..errors import (
    ClientClosedError,
    RecoveryError,
    StreamBusyError,
    UsageLimitExceededError,
)
from ..record import Outcome
from .lifecycle import Lifecycle

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

    from ..adapter import Adapter, Head, Request
    from ..chunk import Chunk
    from ..estimates.estimate import TokenCounter
    from ..record import UsageRecord
    from ..records.outbox import Outbox
    from ..records.shutdown import Leavable
    from .limit import OutputLimit
    from .meter import Call

__all__ = [
    "OnLeave",
    "PendingDrain",
    "StreamPolicy",
    "StreamState",
    "bounded",
    "warm",
    "warn_of_drop",
]

OnLeave = Literal["close", "drain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPolicy:
    """What the client and its caller agreed on for one stream."""

    outbox: Outbox
    client_closed: Callable[[], bool] = bool
    """Whether the client was closed, so that nothing can be sent."""
    connections_closed: Callable[[], bool] = bool
    """Whether its connections were, too: not before what was drained then had its time."""
    counter: TokenCounter | None = None
    limit: OutputLimit | None = None
    on_leave: OnLeave = "close"
    rest_timeout: float = 1.0
    """Seconds that reading what is left after the end of the answer may take."""
    drain_timeout: float | None = None
    """Seconds that `on_leave="drain"` may take; `None` for as long as the provider sends."""


@dataclass(frozen=True, slots=True)
class PendingDrain:
    """What is left to do when the consumer has left: read on for so long, then settle."""

    outcome: Outcome
    error: BaseException | None = None
    seconds: float | None = None
    """`None`: without end."""
    is_drain: bool = False
    """The answer is still being written, so that what it comes to is not known yet."""


class StreamState:
    """The chunks that are ready, whether the consumer is still there, and the stream's life."""

    def __init__(self, adapter: Adapter, call: Call, policy: StreamPolicy) -> None:
        self._adapter = adapter
        self.costs = call.costs
        self._stopped: UsageLimitExceededError | None = None
        self.policy = policy
        self.limit = policy.limit
        self.life = Lifecycle(call, policy.outbox, policy.counter)
        self.meter = self.life.meter
        self.ready: list[Chunk] = []
        """Chunks to hand over, the next one last."""
        self.asked = False
        """The request was sent."""
        self.closed = False
        """The consumer gets nothing more."""
        self.busy = False
        """Somebody waits for the next bytes."""
        self._failing_since: float | None = None

    def ask(self, holder: Leavable) -> None:
        """The request is about to be sent. Raises `ClientClosedError` where it cannot be."""
        if self.policy.client_closed():
            raise ClientClosedError
        self.asked = True
        self.life.ask(holder)

    @contextmanager
    def alone(self) -> Generator[None]:
        """Wait for the response. Raises `StreamBusyError` where somebody does already."""
        if self.busy:
            raise StreamBusyError
        self.busy = True
        try:
            yield
        finally:
            self.busy = False

    def open(self, head: Head) -> None:
        """A response has begun."""
        self.life.open(head, self._adapter.decoder(head))

    def refused(self, exc: BaseException) -> None:
        """There will be no response."""
        self.closed = True
        self.life.refused(exc)

    def receive(self, data: bytes | None) -> None:
        """Take the next bytes of the body, or `None` for its end."""
        decoding = self.life.decoding
        if data is None or decoding is None:
            chunks = self.life.end()
        else:  # `life.feed`, spared a call for each read
            chunks = self.meter.take(decoding.feed(data), time.monotonic())
        chunks.reverse()
        self.ready = self.life.pending = chunks

    def last_words(self, body: object) -> AbstractContextManager[object]:
        """Bound the wait for what more is said of a failure, over all reads."""
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        left = self._failing_since + self.policy.rest_timeout - now
        return bounded(body, max(left, 0.0))

    def broke(self, exc: Exception) -> None:
        """The transport broke while the next bytes were awaited."""
        chunks = self.life.broke(exc)
        chunks.reverse()
        self.ready = self.life.pending = chunks

    def handing_over(self, chunk: Chunk) -> None:
        """A chunk is about to be handed over that may end the stream: the last, or by a limit."""
        if chunk.usage is not None:
            self.life.settle(Outcome.COMPLETED)
        elif self.limit is not None and self.limit.passed(chunk):
            self._stop(self.limit)

    def _stop(self, limit: OutputLimit) -> None:
        """The chunk about to be handed over passed the limit. No stopping what has ended."""
        if self.meter.answer_ended(self.ready):
            return
        error = UsageLimitExceededError(limit.tokens, limit.seen)
        self.closed = True
        self.ready.clear()
        settled = None if limit.quiet else error
        self.life.settle(Outcome.CLOSED, settled, reason="output_tokens_limit")
        if not limit.quiet:
            self._stopped = error

    def finish(self) -> None:
        """Everything was read: raise what ended the stream badly, if something did, once."""
        error, self._stopped = self._stopped, None
        if error is not None:
            raise error
        failure = self.meter.failure
        if failure is not None and not self.life.is_settled:
            self.life.settle_end()
            raise failure

    @property
    def has_tail(self) -> bool:
        """The answer is whole and the body has not ended: a short wait saves the connection."""
        meter = self.meter
        return meter.over and meter.failure is None and not self.life.body_ended

    def leave(self, exc: BaseException | None) -> PendingDrain | None:
        """The consumer left, of its own accord or because of an exception in its code.

        Settles the record where nothing is left to wait for; else says what is.
        """
        outcome = self.life.left_with(exc)
        self.closed = True
        self.ready.clear()
        if not self.life.owes_record:
            return None
        meter = self.meter
        error = None if isinstance(exc, GeneratorExit) else exc
        if outcome is not Outcome.CANCELLED and not meter.over and not self.life.body_ended:
            if meter.answer_ended():
                return PendingDrain(outcome, error, self.policy.rest_timeout)
            if self.policy.on_leave == "drain":
                seconds = self.policy.drain_timeout
                return PendingDrain(Outcome.CLOSED, error, seconds, is_drain=True)
        self.life.settle(outcome, error)
        return None

    def drained(self, drain: PendingDrain) -> None:
        """What was left was read, or could not be. Settle by it."""
        if not drain.is_drain or drain.error is not None:
            self.life.settle(drain.outcome, drain.error)
        elif self.meter.over:
            self.life.settle_end(reason="drained")
        else:
            closed = self.policy.connections_closed()
            reason = "client_closed" if closed else "drain_timeout"
            self.life.settle(Outcome.CLOSED, reason=reason)

    @property
    def has_rest(self) -> bool:
        """Whether there is anything to read that nobody waits for."""
        return not self.meter.over and not self.life.body_ended

    def receive_rest(self, data: bytes | None) -> None:
        """Take bytes that nobody waits for, or `None` for the end of the body."""
        self.receive(data)
        self.ready.clear()

    def rest_broke(self, exc: Exception) -> None:
        """What nobody waits for did not come.

        A time-out of ours says nothing of the stream, nor do connections that the client closed.
        """
        if not (isinstance(exc, TimeoutError) or self.policy.connections_closed()):
            self.broke(exc)
            self.ready.clear()

    def read_out(self) -> None:
        """The consumer let the rest be read, for so long."""
        self.closed = True
        self.ready.clear()
        if not self.meter.over:
            self.life.settle(Outcome.CLOSED, reason="drain_timeout")
        elif self.meter.failure is None:
            self.life.settle(Outcome.COMPLETED)

    def dropped(self) -> bool:
        """The consumer dropped the stream. True if it had not ended."""
        if not self.life.owes_record:
            return self.life.was_dropped
        self.life.settle(self.life.left_with(otherwise=Outcome.ABANDONED))
        return True

    def leave_at_exit(self, body: object) -> None:
        """The interpreter ends while this stream is open."""
        self.closed = True
        outcome = self.life.left_with(otherwise=Outcome.ABANDONED)
        self.life.settle(outcome, reason="exit")
        if isinstance(body, Interruptible):
            body.abort()

    def to_recover(self) -> UsageRecord:
        """The record to recover. Raises `RecoveryError` before there is one."""
        if not self.life.is_settled:
            raise RecoveryError("This stream has not ended: read it to its end, or close it first.")
        return self.life.record


def warm(adapter: object, request: Request, *, asynchronous: bool) -> None:
    """Load what opening takes, before the stream's time begins. What fails, opening says."""
    if isinstance(adapter, Warmable):
        with suppress(Exception):
            adapter.warm(request, asynchronous=asynchronous)


def warn_of_drop(stream: object) -> None:
    """Say that a stream was left to the garbage collector."""
    warnings.warn(
        f"{type(stream).__name__} was dropped before its end: use `with`, or close() it",
        ResourceWarning,
        stacklevel=3,
        source=stream,
    )


def bounded(body: object, seconds: float | None) -> AbstractContextManager[object]:
    """Bound what is read of this body inside, as far as it can be bounded."""
    if seconds is None or not isinstance(body, Interruptible):
        return nullcontext()
    limit: AbstractContextManager[object] = body.within(seconds)
    return limit
