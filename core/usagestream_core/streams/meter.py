"""Folds what the wire says into one usage and one record. Does no I/O and reads no clock."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

from ..chunk import Chunk
from ..errors import (
    NotAStreamError,
    ProviderError,
    StreamError,
    StreamFailedError,
    StreamTruncatedError,
    UsageStreamError,
)
from ..estimates.estimate import WHOLES, estimate
from ..estimates.running import RunningEstimate
from ..json_types import is_array, is_object
from ..masking import Mask
from ..record import Outcome, RecordedError, UsageRecord
from ..records.ledger import Begun
from ..usage import Usage, UsageSource
from .parts import Parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..adapter import Head, Report, Target
    from ..cost import Cost
    from ..estimates.estimate import TokenCounter
    from ..pricing import CostOf
    from ..record import Api

__all__ = ["Call", "Meter"]

_ZEROS: Final = "usage is all zeros, and something was sent"
_MOST_ANOMALIES: Final = 10
"""Anomalies that are kept: the first ones, and one more, the last."""
_LONGEST_TEXT: Final = 4_000
"""Characters of each text of a server's that a record keeps."""
_MOST_ITEMS: Final = 200
"""Entries of each object and list that it keeps."""
_DEEPEST: Final = 5
_MOST_ANNOTATIONS: Final = 1_000
"""Frames without a chunk that are kept for the next one; of more, the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Who asked whom for what: the part of the record that is known before the request."""

    provider: str
    profile: str | None
    target: Target
    model: str
    api: Api = "chat"
    streamed: bool = True
    usage_hidden: bool = False
    """The usage was asked for on our account, and the caller does not see it."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The other parameters of the request: what an estimate of its input reads."""

    secrets: Callable[[], tuple[str, ...]] = tuple
    """What must not show in the record or in an error, asked for when there is one."""
    costs: CostOf | None = None
    """What gives the record its cost; `None` for none."""

    @property
    def choices(self) -> int:
        """How many choices were asked for."""
        n = self.params.get("n")
        return n if isinstance(n, int) and n > 0 else 1


class Meter:
    """The running account of one stream.

    Times are passed in as seconds of one monotonic clock; `start` fixes them to the calendar.

    The provider's counts are folded field by field: the last one reported wins, and one that is
    absent or null never erases an earlier one. Counts are never added up over frames, since many
    servers send running totals. The chunk with the usage is made here, last, after everything else.

    With a `counter`, what was seen is kept, so that the record can estimate what nobody reported.
    """

    # Of the class until they are needed, which they seldom are: each of a stream takes memory.
    _counted: tuple[Sequence[int], int] = ((), 0)
    """How many pieces there were, by choice and of other things, when the output was reported last:
    what was written since is in no report."""
    _written: Sequence[str] = ()
    """What else the model wrote, that is in no chunk."""
    _untrue: Sequence[str] = ()
    """Counts that were reported as zero after something was sent."""

    def __init__(self, call: Call, counter: TokenCounter | None = None) -> None:
        self._id = uuid.uuid4().hex
        self._call = call
        self._counter = counter
        self._head: Head | None = None
        self._started_at = datetime.fromtimestamp(0, UTC)
        self._started = 0.0
        self._first_chunk: float | None = None
        self._chunk_count = 0
        self._counts: dict[str, int] = {}
        self._wire_usage: dict[str, Any] | None = None
        self._wire_frame: dict[str, Any] = {}
        self._anomalies: tuple[str, ...] = ()
        self._passed_over = False
        self._annotations: list[dict[str, Any]] = []
        self._response_id: str | None = None
        self._model: str | None = None
        self._service_tier: str | None = None
        self._writers: dict[int, Callable[[str], object]] = {}
        self._texts: list[list[str]] = []
        """What was written, by choice, as plain strings: settling may run in the garbage collector,
        which may have closed any object that can be closed."""
        self._said = False
        self._zeros: dict[str, int] | None = None
        """Counts that are all zero: believed only of a stream that sent nothing."""
        self._tool_calls: dict[tuple[int, int], list[str]] = {}
        self._final: Usage | None = None
        self._running: RunningEstimate | None = None
        """Made when it is first asked for: what nobody asks for costs nothing."""
        self._failed_parts: Sequence[str] = ()
        self._finish_reasons: dict[int, str] = {}
        self.over = False
        """The provider has said everything; what is left of the body is of no interest."""
        self.failure: StreamError | None = None
        """Why the stream ended badly; set when `over` is, and without its record until then."""
        self.failing: StreamError | None = None
        """Why it is about to end badly, unless what comes next says it better."""

    def start(self, now: float, started_at: datetime) -> None:
        """The request is about to be sent."""
        self._started = now
        self._started_at = started_at

    def begun(self) -> Begun:
        """What is known of the record before there is a response."""
        call = self._call
        tier = _tier_asked(call.params)
        return Begun(
            id=self._id,
            api=call.api,
            streamed=call.streamed,
            provider=call.provider,
            profile=call.profile,
            endpoint=call.target.endpoint,
            model=call.model,
            deployment=call.target.deployment,
            scope=call.target.scope,
            provisioned=call.target.provisioned,
            service_tier_asked=None if tier is None else self._mask.text(tier),
            started_at=self._started_at,
            tags=dict(call.tags),
        )

    def opened(self, head: Head, call: Call | None = None) -> None:
        """Take note that a response has begun; `call` is who was asked, where that tells."""
        self._head = head
        self._call = call or self._call

    def refused(self, call: Call | None = None) -> None:
        """Take note that there is no response; `call` as for `opened`."""
        self._call = call or self._call

    @property
    def usage(self) -> Usage:
        """What was reported until now."""
        counts = self._reported()
        source = UsageSource.REPORTED if counts else UsageSource.UNKNOWN
        return self._noted(Usage.model_validate({**counts, "source": source}))

    @property
    def so_far(self) -> Usage:
        """What was reported until now, and an estimate of the rest: counts only what is new."""
        if self._final is not None:
            return self._final
        if self._counter is None or self._head is None:
            return self.usage
        model = self._answering
        if self._running is None or self._running.model != model:
            self._running = RunningEstimate(self._counter, model, self._call.params)
        running = self._running
        calls = list(self._tool_calls.values())
        texts = [*self._texts, *calls, self._written]
        try:
            estimated = self._filled_in(
                lambda reported: running.usage(reported, texts, has_tool_calls=bool(calls))
            )
        except Exception:  # noqa: BLE001 - the record names what could not be counted
            estimated = None
        return estimated or self.usage

    @property
    def _answering(self) -> str:
        return self._response_model or self._call.model

    def _reported(self) -> dict[str, int]:
        """What was reported and can be true: who sent something has read and written something."""
        if not self._said:
            return self._counts or self._zeros or {}
        return {name: n for name, n in self._counts.items() if n or name not in WHOLES}

    def _filled_in(self, fill_in: Callable[[dict[str, int]], Usage | None]) -> Usage | None:
        """What was reported, and an estimate of the rest.

        Of the output too, where it is known to be more than was reported before it was written.
        """
        reported = self._reported()
        if "output_tokens" in reported and self._written_since():
            before = {n: reported[n] for n in reported.keys() - {"output_tokens", "total_tokens"}}
            since = fill_in(before)
            if since and since.output_tokens and since.output_tokens > reported["output_tokens"]:
                return since
        return fill_in(reported)

    def _written_since(self) -> bool:
        """Whether something was written since the output was reported last."""
        by_choice, others = self._counted
        of_others = [*self._tool_calls.values(), self._written]
        starts = dict(enumerate(by_choice))
        return sum(map(len, of_others)) > others or any(
            any(text[starts.get(place, 0) :]) for place, text in enumerate(self._texts)
        )

    def take(self, items: Iterable[Chunk | Report], now: float) -> list[Chunk]:
        """Take what a decoder gives. Returns the chunks in it, and the last one once it is due."""
        chunks: list[Chunk] = []
        writers = self._writers
        for item in items:
            if isinstance(item, Chunk):
                try:
                    writers[item.index](item.text)
                except KeyError:
                    self._meet(item)
                if (
                    item.finish_reason is not None
                    or item.refusal
                    or item.tool_calls
                    or item.reasoning
                ):
                    self._keep(item)
                if self._annotations:
                    item.annotations = tuple(self._annotations)
                    self._annotations.clear()
                chunks.append(item)
            else:
                self._note(item)
                if item.done:
                    chunks.append(self._last_chunk())
                if self.over:
                    break
        if chunks:
            self._chunk_count += len(chunks)
            if self._first_chunk is None:
                self._first_chunk = now
        return chunks

    def close(
        self,
        items: Iterable[Chunk | Report],
        now: float,
        interruption: StreamError | None = None,
    ) -> list[Chunk]:
        """The body has ended, or was interrupted; `items` are what the decoder still held back.

        Sets `failure` unless the answer had ended: by `[DONE]`, or by a finish reason for every
        choice where the body ended in good order (some servers never send `[DONE]`).
        """
        chunks = self.take(items, now)
        if self.over:
            return chunks
        if self.failing is not None:
            self.fail(self.failing)
        elif interruption is not None:
            self.fail(interruption)
        elif self.answer_ended():
            chunks.append(self._last_chunk())
            self._chunk_count += 1
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
        self._mask.error(failure)

    @property
    def _mask(self) -> Mask:
        try:
            return Mask.of(self._call.secrets())
        except Exception:  # noqa: BLE001 - said when the record is made
            return Mask.of_everything()

    def pass_over(self, anomaly: str) -> None:
        """Part of the body was not looked at: what is counted may be too low."""
        self._passed_over = True
        self._anomaly(anomaly)

    def record(
        self,
        outcome: Outcome,
        *,
        now: float,
        error: BaseException | None = None,
        reason: str | None = None,
    ) -> UsageRecord:
        """Close the account. Whatever part of it cannot be made is left out, and named."""
        call, head = self._call, self._head
        parts = Parts(self._failed_parts)
        mask = parts.part("secrets", lambda: Mask.of(call.secrets()), Mask.of_everything())

        def said(value: Any) -> Any:
            """What a server says, as a record takes it."""
            return mask.value(_bounded(value))

        parts.add("request_ids", lambda: said(dict(_request_ids(head, error))))
        parts.add("spillover", lambda: said(dict(getattr(head or error, "spillover", {}))))
        parts.add("finish_reasons", lambda: said(self._finish_reasons))
        parts.add("usage_request", lambda: getattr(head or error, "usage_request", None))
        parts.add("reopenings", lambda: getattr(head or error, "reopenings", 0))
        parts.add("response_model", lambda: said(self._response_model))
        parts.add("response_id", lambda: said(self._response_id))
        parts.add("service_tier", lambda: said(self._service_tier))
        parts.add("service_tier_asked", lambda: mask.value(_tier_asked(call.params)))
        parts.add("region", lambda: said(head.region) if head else None)
        parts.add("error", lambda: None if error is None else _recorded(error, head, mask))
        usage = parts.add("usage", lambda: self._final_usage(outcome), lambda: self.usage)
        parts.add("wire_usage", lambda: said(self._wire_usage))
        parts.add("anomalies", lambda: (usage or Usage()).anomalies())
        first = self._first_chunk
        record = parts.record(
            id=self._id,
            api=call.api,
            streamed=call.streamed,
            usage_hidden=call.usage_hidden,
            provider=call.provider,
            profile=call.profile,
            endpoint=call.target.endpoint,
            model=call.model or self._response_model or "",
            deployment=call.target.deployment,
            scope=call.target.scope,
            provisioned=call.target.provisioned,
            outcome=outcome,
            reason=reason,
            started_at=self._started_at,
            first_chunk_at=None if first is None else self._at(first),
            ended_at=self._at(now),
            chunk_count=self._chunk_count,
            tags=dict(call.tags),
        )
        return parts.priced(record, self._call.costs)

    def cost_so_far(self, now: float) -> Cost | None:
        """What the stream cost until now: an estimate that it will exceed. `None` as on a record.

        What was seen is counted anew each time this is asked.
        """
        if self._head is None or self._call.costs is None:
            return None
        cost = self.record(Outcome.CLOSED, now=now).cost
        if cost is None:
            return None
        return cost.model_copy(update={"basis": UsageSource.ESTIMATED, "lower_bound": True})

    @property
    def _response_model(self) -> str | None:
        return self._model or (self._head.response_model if self._head else None)

    def _at(self, moment: float) -> datetime:
        return self._started_at + timedelta(seconds=moment - self._started)

    def answer_ended(self, pending: Iterable[Chunk] = ()) -> bool:
        """Whether every choice has a finish reason: those that were asked for, and any other.

        What comes with the `pending` chunks does not count.
        """
        finished = self._finish_reasons.keys() - {c.index for c in pending if c.finish_reason}
        return len(finished) >= self._call.choices and self._writers.keys() <= finished

    def _final_usage(self, outcome: Outcome) -> Usage:
        if self._final is not None:
            return self._final
        estimated = self._estimate(outcome)
        return self.usage if estimated is None else self._noted(estimated)

    def _estimate(self, outcome: Outcome) -> Usage | None:
        """Fill in what was not reported; `None` where there is nothing to go by.

        Not for a request that opened no stream, nor for a stream that failed before its first
        chunk: nobody outside knows what, if anything, was read then.
        """
        if self._counter is None or self._head is None:
            return None
        if not self._chunk_count and (outcome is Outcome.FAILED or self._passed_over):
            return None
        counter = self._counter
        texts = [*self._texts, *self._tool_calls.values(), self._written]
        return self._filled_in(
            lambda reported: estimate(
                reported,
                counter=counter,
                model=self._answering,
                params=self._call.params,
                pieces=["".join(text) for text in texts],
                has_tool_calls=bool(self._tool_calls),
            )
        )

    def _meet(self, chunk: Chunk) -> None:
        """A choice that was not seen before. Its text goes nowhere if nobody will count it."""
        write: Callable[[str], object] = len
        if self._counter is not None:
            self._texts.append([])
            write = self._texts[-1].append

        def write_first(text: str) -> None:
            if text:
                self._said = True
                self._writers[chunk.index] = write
                write(text)

        self._writers[chunk.index] = write_first
        write_first(chunk.text)

    def _keep(self, chunk: Chunk) -> None:
        """Keep what a chunk says beside its text."""
        if chunk.finish_reason is not None:
            self._finish_reasons[chunk.index] = chunk.finish_reason
        self._said = self._said or bool(chunk.refusal or chunk.tool_calls or chunk.reasoning)
        if self._counter is None:
            return
        self._writers[chunk.index](chunk.refusal or "")
        self._writers[chunk.index](chunk.reasoning)
        for call in chunk.tool_calls:
            pieces = self._tool_calls.setdefault((chunk.index, call.index), [])
            pieces += [call.name or "", call.arguments]

    def _note(self, report: Report) -> None:
        self._response_id = self._response_id or report.response_id
        self._model = report.model or self._model
        self._service_tier = report.service_tier or self._service_tier
        frame = report.annotation
        if report.written:
            self._said = True
            if self._counter is not None:
                vars(self).setdefault("_written", []).append(report.written)
        if report.anomaly is not None:
            self._anomaly(report.anomaly)
            self._wire_usage = _writable(report.wire_usage) or self._wire_usage
        if report.counts and not any(report.counts.values()):
            # Many servers send zeros until they know, or again once they do: WIRE §5.
            self._zeros = dict(report.counts)
            if not self._counts:
                self._wire_usage = report.wire_usage
                self._wire_frame, frame = frame or {}, self._wire_frame
        elif report.counts:
            self._zeros = None
            self._counts.update(report.counts)
            zeros = [name for name in WHOLES if self._counts.get(name) == 0]
            self._untrue = zeros if self._said else ()
            if "output_tokens" in report.counts:
                others = [*self._tool_calls.values(), self._written]
                self._counted = (list(map(len, self._texts)), sum(map(len, others)))
            self._wire_usage = _writable(report.wire_usage) if report.anomaly else report.wire_usage
            self._wire_frame, frame = frame or {}, self._wire_frame
        if frame:
            self._annotations.append(frame)
            del self._annotations[:-_MOST_ANNOTATIONS]
        self.failing = report.failing or self.failing
        if report.failure is not None:
            self.fail(report.failure)

    def _anomaly(self, anomaly: str) -> None:
        if anomaly not in self._anomalies:
            found = (*self._anomalies, anomaly)
            self._anomalies = found[:_MOST_ANOMALIES] + found[_MOST_ANOMALIES:][-1:]

    def _noted(self, usage: Usage) -> Usage:
        """The same usage, with what was reported oddly."""
        odd = self._anomalies
        if self._said:
            odd += (_ZEROS,) if self._zeros is not None else ()
            odd += tuple(f"{name} is 0, and something was sent" for name in self._untrue)
        if not odd:
            return usage
        mask = self._mask
        noted: dict[str, Any] = {"odd": tuple(map(mask.text, odd))}
        if usage.source is UsageSource.ESTIMATED and self._passed_over:
            noted["lower_bound"] = True
        return usage.model_copy(update=noted)

    def _last_chunk(self) -> Chunk:
        self.over = True
        parts = Parts()
        final = parts.part("usage", lambda: self._final_usage(Outcome.COMPLETED), self.usage)
        self._final, self._failed_parts = final, parts.failed
        return Chunk(usage=self._final, raw=self._wire_frame, annotations=tuple(self._annotations))


def _bounded(value: Any, depth: int = 0) -> Any:
    """The same without what no server has a reason to say: a record is kept, and sent on."""
    if isinstance(value, str):
        return value[:_LONGEST_TEXT]
    below = depth + 1
    if is_array(value):
        most = _MOST_ITEMS if depth < _DEEPEST else 0
        return [_bounded(each, below) for each in value[:most]]
    if is_object(value):
        most = _MOST_ITEMS if depth < _DEEPEST else 0
        items = islice(value.items(), most)
        return {_bounded(name): _bounded(each, below) for name, each in items}
    return value


def _writable(value: Any) -> Any:
    """The same without numbers that JSON has no word for, which a record could not be read with."""
    if isinstance(value, dict):
        return {name: _writable(each) for name, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_writable(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _tier_asked(params: Mapping[str, Any]) -> str | None:
    """The service tier that a request names, in the SDK's parameter or beside it."""
    extra = params.get("extra_body")
    beside = cast("dict[str, Any]", extra) if isinstance(extra, dict) else {}
    asked = beside.get("service_tier", params.get("service_tier"))
    return asked if isinstance(asked, str) else None


def _request_ids(head: Head | None, error: BaseException | None) -> Mapping[str, str]:
    if head is not None:
        return head.request_ids
    return error.request_ids if isinstance(error, ProviderError) else {}


def _recorded(error: BaseException, head: Head | None, mask: Mask) -> RecordedError:
    status = head.status if head is not None else None
    code = None
    if isinstance(error, ProviderError):
        status, code = error.status, error.code
    elif isinstance(error, StreamFailedError | NotAStreamError):
        code = error.code
    return RecordedError(
        type=type(error).__name__,
        message=mask.text(_bounded(str(error))) if isinstance(error, UsageStreamError) else None,
        status=status,
        code=mask.value(_bounded(code)),
    )
