"""Folds what the wire says into one usage and one record. Does no I/O and reads no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from .chunk import Chunk
from .errors import (
    NotAStreamError,
    ProviderError,
    StreamError,
    StreamFailedError,
    StreamTruncatedError,
    UsageStreamError,
)
from .record import Outcome, RecordedError, UsageRecord
from .usage import Usage, UsageSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .adapter import Decoder, Head, Report, Target

__all__ = ["Call", "Meter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Who asked whom for what: the part of the record that is known before the request."""

    provider: str
    profile: str | None
    target: Target
    model: str
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


class Meter:
    """The running account of one stream.

    Times are passed in as seconds of one monotonic clock; `start` fixes them to the calendar.

    The provider's counts are folded field by field: the last one reported wins, and one that is
    absent or null never erases an earlier one. Counts are never added up over frames, since many
    servers send running totals. The chunk with the usage is made here, last, after everything else.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._decoder: Decoder | None = None
        self._head: Head | None = None
        self._started_at = datetime.fromtimestamp(0, UTC)
        self._started = 0.0
        self._first_chunk: float | None = None
        self._chunk_count = 0
        self._counts: dict[str, int] = {}
        self._wire_usage: dict[str, Any] | None = None
        self._wire_frame: dict[str, Any] = {}
        self._annotations: list[dict[str, Any]] = []
        self._response_id: str | None = None
        self._model: str | None = None
        self._service_tier: str | None = None
        self._indexes: set[int] = set()
        self._finish_reasons: dict[int, str] = {}
        self.over = False
        """The provider has said everything; what is left of the body is of no interest."""
        self.failure: StreamError | None = None
        """Why the stream ended badly; set when `over` is, and without its record until then."""

    def start(self, now: float, started_at: datetime) -> None:
        """The request is about to be sent."""
        self._started = now
        self._started_at = started_at

    def opened(self, head: Head, decoder: Decoder) -> None:
        """Take note that a response has begun."""
        self._head = head
        self._decoder = decoder

    @property
    def usage(self) -> Usage:
        """What is known now."""
        if not self._counts:
            return Usage()
        return Usage.model_validate({**self._counts, "source": UsageSource.REPORTED})

    def feed(self, data: bytes, now: float) -> list[Chunk]:
        """Take bytes as they come. Returns the chunks they complete."""
        assert self._decoder is not None, "feed() before opened()"
        return self._fold(self._decoder.feed(data), now)

    def close(self, now: float, interruption: StreamError | None = None) -> list[Chunk]:
        """The body has ended, or was interrupted. Returns what was still held back.

        Sets `failure` unless the answer had ended: by `[DONE]`, or by a finish reason for every
        choice where the body ended in good order (some servers never send `[DONE]`).
        """
        assert self._decoder is not None, "close() before opened()"
        chunks = self._fold(self._decoder.close(), now)
        if self.over:
            return chunks
        if interruption is not None:
            self.fail(interruption)
        elif self._answer_ended:
            chunks.append(self._last_chunk())
        else:
            self.fail(
                StreamTruncatedError(
                    f"The stream from {self._call.provider} ended before the answer did: "
                    "no finish reason for every choice, and no [DONE]."
                )
            )
        return chunks

    def fail(self, failure: StreamError) -> None:
        """End the account because the stream cannot go on."""
        self.over = True
        self.failure = failure

    def record(
        self, outcome: Outcome, *, now: float, error: BaseException | None = None
    ) -> UsageRecord:
        """Close the account."""
        head = self._head
        first = self._first_chunk
        return UsageRecord(
            provider=self._call.provider,
            profile=self._call.profile,
            endpoint=self._call.target.endpoint,
            model=self._call.model,
            deployment=self._call.target.deployment,
            response_model=self._model or (head.response_model if head else None),
            response_id=self._response_id,
            request_ids=dict(_request_ids(head, error)),
            service_tier=self._service_tier,
            outcome=outcome,
            finish_reasons=self._finish_reasons,
            error=None if error is None else _recorded(error, self._head),
            started_at=self._started_at,
            first_chunk_at=None if first is None else self._at(first),
            ended_at=self._at(now),
            chunk_count=self._chunk_count,
            usage=self.usage,
            wire_usage=self._wire_usage,
            tags=dict(self._call.tags),
        )

    def _at(self, moment: float) -> datetime:
        return self._started_at + timedelta(seconds=moment - self._started)

    @property
    def _answer_ended(self) -> bool:
        """Every choice that was seen has a finish reason, and one was seen."""
        return bool(self._finish_reasons) and self._indexes <= self._finish_reasons.keys()

    def _fold(self, items: Iterable[Chunk | Report], now: float) -> list[Chunk]:
        chunks: list[Chunk] = []
        for item in items:
            if isinstance(item, Chunk):
                self._indexes.add(item.index)
                if item.finish_reason is not None:
                    self._finish_reasons[item.index] = item.finish_reason
                if self._annotations:
                    item.annotations = tuple(self._annotations)
                    self._annotations.clear()
                chunks.append(item)
                self._chunk_count += 1
            else:
                self._note(item)
                if item.done:
                    chunks.append(self._last_chunk())
                if self.over:
                    break
        if chunks and self._first_chunk is None:
            self._first_chunk = now
        return chunks

    def _note(self, report: Report) -> None:
        self._response_id = self._response_id or report.response_id
        self._model = report.model or self._model
        self._service_tier = report.service_tier or self._service_tier
        frame = report.annotation
        if report.counts:
            self._counts.update(report.counts)
            self._wire_usage = report.wire_usage
            self._wire_frame, frame = frame or {}, self._wire_frame
        if frame:
            self._annotations.append(frame)
        if report.failure is not None:
            self.fail(report.failure)

    def _last_chunk(self) -> Chunk:
        self.over = True
        self._chunk_count += 1
        return Chunk(usage=self.usage, raw=self._wire_frame, annotations=tuple(self._annotations))


def _request_ids(head: Head | None, error: BaseException | None) -> Mapping[str, str]:
    if head is not None:
        return head.request_ids
    return error.request_ids if isinstance(error, ProviderError) else {}


def _recorded(error: BaseException, head: Head | None) -> RecordedError:
    status = head.status if head is not None else None
    code = None
    if isinstance(error, ProviderError):
        status, code = error.status, error.code
    elif isinstance(error, StreamFailedError | NotAStreamError):
        code = error.code
    return RecordedError(
        type=type(error).__name__,
        message=str(error) if isinstance(error, UsageStreamError) else None,
        status=status,
        code=code,
    )
