"""The one life of a stream: asked, open, answered, over, settled.

Held, never inherited, by whatever moves a stream's bytes or items: the clients' streams, tracked
calls, metered iterables. It takes what comes, says what it came to, and writes the one record.
"""

from __future__ import annotations

import logging
import time
from contextvars import copy_context
from datetime import UTC, datetime
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import (
    StreamError,
    StreamInterruptedError,
    StreamNotEndedError,
    StreamTruncatedError,
    UsageStreamError,
)
from ..record import Outcome
from ..records.interrupts import uninterrupted
from ..records.ledger import asettled, settled
from ..records.shutdown import streams
from .meter import Meter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..adapter import Head, Report
    from ..chunk import Chunk
    from ..cost import Cost
    from ..estimates.estimate import TokenCounter
    from ..record import UsageRecord
    from ..records.ledger import Writing
    from ..records.outbox import Outbox, Parcel
    from ..records.shutdown import Leavable
    from ..usage import Usage
    from .meter import Call

    class Decoding(Protocol):
        """A decoder of anything: bytes, or the items that another library made of them."""

        def feed(self, data: Any) -> Sequence[Chunk | Report]: ...
        def close(self) -> Sequence[Chunk | Report]: ...


__all__ = ["Lifecycle", "Phase"]

logger = logging.getLogger("usagestream")


class Phase(IntEnum):
    """Where a stream stands. Some are left out where a stream ends early."""

    NEW = 0
    """Nothing was sent."""
    ASKED = 1
    """The request was sent, and there is no response yet."""
    OPEN = 2
    """A response has begun."""
    ANSWERED = 3
    """Every choice seen has its finish reason; the usage may be to come, or another choice."""
    OVER = 4
    """The provider has said everything, or can say nothing more."""
    SETTLED = 5
    """The record is made, and on its way."""


class Lifecycle:
    """Where one stream stands, what it came to until now, and its one record.

    What the outcome is depends on what the consumer was given, never on how the bytes were split
    into reads. What the usage is depends on all that was received. The record goes out in the
    context that this is made in: the opener's.
    """

    _parcel: Parcel | None = None
    """The record, once there is one. Set by a single step, whoever is first."""

    def __init__(
        self,
        call: Call,
        outbox: Outbox,
        counter: TokenCounter | None = None,
    ) -> None:
        self._outbox = outbox
        self._context = copy_context()
        self.decoding: Decoding | None = None
        """What reads the body, once there is one."""
        self._was_asked = False
        self._writing: Writing | None = None
        self._recovered: UsageRecord | None = None
        self.body_ended = False
        """Nothing of the body is left to be read."""
        self.pending: Sequence[Chunk] = ()
        """Chunks that are ready, and that the consumer was not given."""
        self.was_dropped = False
        """Nobody ended this stream before it was collected."""
        self.meter = Meter(call, counter)

    @property
    def phase(self) -> Phase:
        """Where the stream stands."""
        if self._parcel is not None:
            return Phase.SETTLED
        if self.meter.over:
            return Phase.OVER
        if self.decoding is not None:
            return Phase.ANSWERED if self.meter.answer_ended() else Phase.OPEN
        return Phase.ASKED if self._was_asked else Phase.NEW

    @property
    def is_settled(self) -> bool:
        """Whether the record is made."""
        return self._parcel is not None

    @property
    def owes_record(self) -> bool:
        """Whether the request was sent, and no record has gone out yet."""
        return self in streams

    @property
    def usage(self) -> Usage:
        """What is known now; the record's own, once there is one."""
        return self.meter.usage if self._parcel is None else self.record.usage

    @property
    def so_far(self) -> Usage:
        """`usage`, with an estimate of what was not reported until now."""
        return self.meter.so_far if self._parcel is None else self.record.usage

    @property
    def cost(self) -> Cost | None:
        """What the stream has cost until now, estimated; the record's own, once there is one."""
        if self._parcel is None:
            return self.meter.cost_so_far(time.monotonic())
        return self.record.cost

    @property
    def record(self) -> UsageRecord:
        """The record. Raises `StreamNotEndedError` until it is made."""
        if self._parcel is None:
            raise StreamNotEndedError
        return self._recovered or self._parcel.record

    def recovered(self, record: UsageRecord) -> None:
        """Give this record from now on: the same stream's, with what was learned since."""
        self._recovered = record
        self._outbox.replace(record)

    def ask(self, holder: Leavable) -> None:
        """The request is about to be sent. `holder` leaves the stream should the program end."""
        self._was_asked = True
        self.meter.start(time.monotonic(), datetime.now(UTC))
        streams.add(self, holder)
        self._writing = self._outbox.begin(self.meter.begun)

    @property
    def is_being_written(self) -> bool:
        """Whether the ledger has yet to keep that this stream begins."""
        return self._writing is not None

    def written(self) -> None:
        """Wait until the ledger has it that this stream begins: before anything is handed over."""
        writing, self._writing = self._writing, None
        if writing is not None:
            settled(writing)

    async def awritten(self) -> None:
        """`written` for async code."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await asettled(writing)

    def open(self, head: Head, decoder: Decoding, call: Call | None = None) -> None:
        """A response has begun, and this reads what it consists of.

        `call` is who was asked, in place of what was known of that before there was a response.
        """
        self.meter.opened(head, call)
        self.decoding = decoder

    def refused(self, exc: BaseException, call: Call | None = None) -> None:
        """There is no response: the provider refused, or the waiting was interrupted.

        `call` is as for `open`: a refusal too may tell who answers.
        """
        self.body_ended = True
        self.meter.refused(call)
        self.settle(Outcome.REJECTED if isinstance(exc, Exception) else Outcome.CANCELLED, exc)

    def feed(self, data: Any) -> list[Chunk]:
        """Take what came next. Gives the chunks that it completes."""
        assert self.decoding is not None, "a body without a response"
        return self.meter.take(self.decoding.feed(data), time.monotonic())

    def end(self, interruption: StreamError | None = None) -> list[Chunk]:
        """The body has ended, in good order or not. Gives the chunks that were held back."""
        assert self.decoding is not None, "a body without a response"
        self.body_ended = True
        if self.meter.over:
            return []
        return self.meter.close(self.decoding.close(), time.monotonic(), interruption)

    def broke(self, exc: Exception) -> list[Chunk]:
        """The transport broke while more was awaited. Gives the chunks that were held back."""
        what = "stalled" if "timeout" in type(exc).__name__.lower() else "broke"
        failure = StreamInterruptedError(
            f"The connection {what} mid-stream: {type(exc).__name__}: {exc}".removesuffix(": ")
        )
        failure.__cause__ = exc
        return self.end(failure)

    def take_rest(self, waiting: Iterable[Any]) -> None:
        """Take what came and nobody was given, as far as it can be read. For the usage in it."""
        if self.decoding is None:
            return
        try:
            for data in waiting:
                if not self.meter.over:
                    self.feed(data)
        except Exception:
            logger.exception("What a stream was left with could not be read")

    def settle_end(self, *, reason: str | None = None) -> None:
        """Settle by how the stream itself ended."""
        failure = self.meter.failure
        if failure is None:
            self.settle(Outcome.COMPLETED, reason=reason)
            return
        cut = isinstance(failure, StreamTruncatedError | StreamInterruptedError)
        self.settle(Outcome.TRUNCATED if cut else Outcome.FAILED, failure, reason=reason)

    def left_with(
        self,
        exc: BaseException | None = None,
        *,
        otherwise: Outcome = Outcome.CLOSED,
    ) -> Outcome:
        """The outcome for a consumer that leaves now, of its own accord or because of `exc`.

        One that was given the whole answer has what it came for, however it left; `otherwise` is
        for one that was not.
        """
        if exc is not None and not isinstance(exc, Exception | GeneratorExit):
            return Outcome.CANCELLED
        if not isinstance(exc, Exception) and self.meter.answer_ended(self.pending):
            return Outcome.COMPLETED
        return otherwise

    def settle(
        self, outcome: Outcome, error: BaseException | None = None, *, reason: str | None = None
    ) -> None:
        """Write the record, the first time this is called. What comes later changes nothing.

        Each step may be done again, and is, by whoever comes next, if one was interrupted: only
        after the last is the stream off the register.
        """
        if self not in streams:
            return
        step = partial(self._settle, outcome, error, reason)
        try:
            uninterrupted(step)
        except BaseException:
            step()
            raise

    def __del__(self) -> None:
        # Whoever held this stream is gone, or was interrupted while it took leave of it.
        if self in streams:
            self.was_dropped = True
            self.settle(self.left_with(otherwise=Outcome.ABANDONED))

    def _settle(self, outcome: Outcome, error: BaseException | None, reason: str | None) -> None:
        if self._parcel is None:
            now = time.monotonic()
            record = self.meter.record(outcome, now=now, error=error, reason=reason)
            # One step: a signal handler or another thread may be at the same.
            vars(self).setdefault("_parcel", self._outbox.parcel(record, self._context))
        parcel = self._parcel
        assert parcel is not None, "no record was made"
        if isinstance(error, UsageStreamError) and error.record is None:
            error.record = parcel.record
        self._outbox.put(parcel)
        streams.remove(self)
