"""What the two stream shells share: everything that does not wait."""

from __future__ import annotations

import time
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from ..adapter import Interruptible
from ..errors import (
    RecoveryError,
    StreamInterruptedError,
    StreamNotEndedError,
    StreamTruncatedError,
    UsageLimitExceededError,
    UsageStreamError,
)
from ..record import Outcome, UsageRecord
from ..records.shutdown import streams
from .meter import Call, Meter

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from ..adapter import Adapter, Head, Request
    from ..chunk import Chunk
    from ..cost import Cost
    from ..estimates.estimate import TokenCounter
    from ..usage import Usage
    from .limit import OutputLimit

__all__ = ["Account", "Ending", "OnLeave", "Terms", "within"]

OnLeave = Literal["close", "drain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the client and its caller agreed on for one stream."""

    on_record: Callable[[UsageRecord], None]
    counter: TokenCounter | None = None
    limit: OutputLimit | None = None
    on_leave: OnLeave = "close"
    rest_timeout: float = 1.0
    """Seconds that reading what is left after the end of the answer may take."""
    drain_timeout: float | None = None
    """Seconds that `on_leave="drain"` may take; `None` for as long as the provider sends."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What is left to do when the consumer has left: read on for so long, then settle."""

    outcome: Outcome
    error: BaseException | None = None
    seconds: float | None = None
    """`None`: without end."""
    is_drain: bool = False
    """The answer is still being written, so that what it comes to is not known yet."""


class Account:
    """The chunks that are ready, the meter, and the one record.

    What the outcome is depends on what the consumer was given, never on how the bytes were split
    into reads. What the usage is depends on all that was received.
    """

    def __init__(self, adapter: Adapter, request: Request, call: Call, terms: Terms) -> None:
        self._adapter = adapter
        self._request = request
        self._terms = terms
        self._limit = terms.limit
        self._costs = call.costs
        self._meter = Meter(call, terms.counter)
        self._ready: list[Chunk] = []
        """Chunks to hand over, the next one last."""
        self._sent = False
        self._closed = False
        self._body_ended = False
        self._stopped: UsageLimitExceededError | None = None
        self._record: UsageRecord | None = None

    @property
    def usage(self) -> Usage:
        return self._meter.usage if self._record is None else self._record.usage

    @property
    def cost(self) -> Cost | None:
        if self._record is not None:
            return self._record.cost
        return self._meter.cost_so_far(time.monotonic())

    @property
    def record(self) -> UsageRecord:
        if self._record is None:
            raise StreamNotEndedError
        return self._record

    def _to_recover(self) -> UsageRecord:
        """The record to recover. Raises `RecoveryError` before there is one."""
        if self._record is None:
            raise RecoveryError("This stream has not ended: read it to its end, or close it first.")
        return self._record

    def _start(self) -> None:
        self._sent = True
        self._meter.start(time.monotonic(), datetime.now(UTC))
        streams.add(self)

    def _opened(self, head: Head) -> None:
        self._meter.opened(head, self._adapter.decoder(head))

    def _refused(self, exc: BaseException) -> None:
        self._closed = True
        self._settle(Outcome.REJECTED if isinstance(exc, Exception) else Outcome.CANCELLED, exc)

    def _received(self, data: bytes | None) -> None:
        """Take the next bytes of the body, or `None` for its end."""
        now = time.monotonic()
        meter = self._meter
        if data is None:
            self._body_ended = True
            self._ready = meter.close(now)
        else:
            self._ready = meter.feed(data, now)
        self._ready.reverse()

    def _interrupted(self, exc: Exception) -> None:
        """The transport broke while the next bytes were awaited."""
        self._body_ended = True
        what = "stalled" if "timeout" in type(exc).__name__.lower() else "broke"
        failure = StreamInterruptedError(
            f"The connection {what} mid-stream: {type(exc).__name__}: {exc}".removesuffix(": ")
        )
        failure.__cause__ = exc
        self._ready = self._meter.close(time.monotonic(), failure)
        self._ready.reverse()

    def _handing_over(self, chunk: Chunk) -> None:
        """A chunk is about to be handed over that may end the stream: the last, or by a limit."""
        if chunk.usage is not None:
            self._settle(Outcome.COMPLETED)
        elif self._limit is not None and self._limit.passed(chunk):
            self._stop(self._limit)

    def _stop(self, limit: OutputLimit) -> None:
        """The chunk about to be handed over passed the limit. No stopping what has ended."""
        if self._meter.answer_ended(self._ready):
            return
        error = UsageLimitExceededError(limit.tokens, limit.seen)
        self._closed = True
        self._ready.clear()
        self._settle(Outcome.CLOSED, None if limit.quiet else error, reason="output_tokens_limit")
        if not limit.quiet:
            self._stopped = error

    def _finish(self) -> None:
        """Everything was read: raise what ended the stream badly, if something did, once."""
        error, self._stopped = self._stopped, None
        if error is not None:
            raise error
        failure = self._meter.failure
        if failure is not None and self._record is None:
            self._settle_end()
            raise failure

    def _settle_end(self, reason: str | None = None) -> None:
        """Settle by how the stream itself ended."""
        failure = self._meter.failure
        if failure is None:
            self._settle(Outcome.COMPLETED, reason=reason)
            return
        cut = isinstance(failure, StreamTruncatedError | StreamInterruptedError)
        self._settle(Outcome.TRUNCATED if cut else Outcome.FAILED, failure, reason=reason)

    @property
    def _has_tail(self) -> bool:
        """The answer is whole and the body has not ended: a short wait saves the connection."""
        return self._meter.over and self._meter.failure is None and not self._body_ended

    def _leave(self, exc: BaseException | None) -> Ending | None:
        """The consumer left, of its own accord or because of an exception in its code.

        Settles the record where nothing is left to wait for; else says what is.
        """
        pending = tuple(self._ready)
        self._closed = True
        self._ready.clear()
        if not self._sent or self._record is not None:
            return None
        if exc is not None and not isinstance(exc, Exception | GeneratorExit):
            self._settle(Outcome.CANCELLED, exc)
            return None
        error = exc if isinstance(exc, Exception) else None
        meter = self._meter
        given = error is None and meter.answer_ended(pending)
        ending = Ending(
            Outcome.COMPLETED if given else Outcome.CLOSED, error, self._terms.rest_timeout
        )
        if not meter.over and not self._body_ended:
            if meter.answer_ended():
                return ending
            if self._terms.on_leave == "drain":
                return Ending(Outcome.CLOSED, error, self._terms.drain_timeout, is_drain=True)
        self._settle(ending.outcome, ending.error)
        return None

    def _ended(self, ending: Ending) -> None:
        """What was left was read, or could not be. Settle by it."""
        if not ending.is_drain or ending.error is not None:
            self._settle(ending.outcome, ending.error)
        elif self._meter.over:
            self._settle_end("drained")
        else:
            self._settle(Outcome.CLOSED, reason="drain_timeout")

    def _read_rest(self, data: bytes | None) -> None:
        """Take bytes that nobody waits for, or `None` for the end of the body."""
        self._received(data)
        self._ready.clear()

    def _rest_broke(self, exc: Exception) -> None:
        """What nobody waits for did not come. A time-out of ours says nothing of the stream."""
        if not isinstance(exc, TimeoutError):
            self._interrupted(exc)
            self._ready.clear()

    def _drained(self) -> None:
        """The consumer let the rest be read, for so long."""
        self._closed = True
        self._ready.clear()
        if not self._meter.over:
            self._settle(Outcome.CLOSED, reason="drain_timeout")
        elif self._meter.failure is None:
            self._settle(Outcome.COMPLETED)

    def _dropped(self) -> bool:
        """The consumer dropped the stream. True if it had not ended."""
        if not self._sent or self._record is not None:
            return False
        self._settle(Outcome.ABANDONED)
        return self._record is not None

    def leave_at_exit(self) -> None:
        """Called when the interpreter ends and this stream is open."""
        raise NotImplementedError

    def _leave_at_exit(self, body: object) -> None:
        """The interpreter ends while this stream is open."""
        self._closed = True
        self._settle(Outcome.ABANDONED, reason="exit")
        if isinstance(body, Interruptible):
            body.abort()

    def _warn(self) -> None:
        warnings.warn(
            f"{type(self).__name__} was dropped before its end: use `with`, or close() it",
            ResourceWarning,
            stacklevel=3,
            source=self,
        )

    def _settle(
        self, outcome: Outcome, error: BaseException | None = None, *, reason: str | None = None
    ) -> None:
        """Write the record, the first time this is called. What comes later changes nothing."""
        if self not in streams:
            return
        # Made before it is claimed: should making it be interrupted, the stream is still open.
        record = self._meter.record(outcome, now=time.monotonic(), error=error, reason=reason)
        if not streams.remove(self):  # settled meanwhile, by a signal handler or another thread
            return
        self._record = record
        if isinstance(error, UsageStreamError) and error.record is None:
            error.record = record
        self._terms.on_record(record)


def within(body: object, seconds: float | None) -> AbstractContextManager[object]:
    """Bound what is read of this body inside, as far as it can be bounded."""
    if seconds is None or not isinstance(body, Interruptible):
        return nullcontext()
    return body.within(seconds)
