"""The account of one call: from the request to the one record, whatever comes between."""

# The response is httpx2's or httpx's.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from usagestream_core.adapter import Decoder, Head, Target
from usagestream_core.errors import (
    ProviderError,
    StreamError,
    StreamInterruptedError,
    StreamTruncatedError,
)
from usagestream_core.estimates.estimate import TokenCounter, as_messages
from usagestream_core.pricing import CostOf
from usagestream_core.record import Api, Outcome, UsageRecord
from usagestream_core.records.shutdown import streams
from usagestream_core.streams.meter import Call, Meter

from ..sdk.errors import translate
from ..wire.document import ChatDocument, ResponsesDocument
from ..wire.responses import ResponsesDecoder
from .body import body_of_kind, head_of, plain_bytes
from .events import NULL_USAGE, EventSplitter, without_usage
from .place import deployment_in, host, provider_of
from .skim import SkimmingChatDecoder

__all__ = ["Account", "Facts", "outcome_of"]

_DECODERS: Mapping[tuple[str, bool], Callable[[Head], Decoder]] = {
    ("chat", True): SkimmingChatDecoder,
    ("chat", False): ChatDocument,
    ("responses", True): ResponsesDecoder,
    ("responses", False): ResponsesDocument,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a call before it is made."""

    api: Api
    base_url: str
    model: str
    body: Mapping[str, Any]
    secrets: tuple[str, ...]
    """What must not show in a record."""
    tags: Mapping[str, str]
    is_azure: bool
    costs: CostOf | None = None

    @property
    def is_stream(self) -> bool:
        """Whether a stream was asked for."""
        return self.body.get("stream") is True

    @property
    def choices(self) -> int:
        """How many choices were asked for."""
        n = self.body.get("n")
        return n if isinstance(n, int) else 1

    @property
    def params(self) -> Mapping[str, Any]:
        """What was asked for, as an estimate of its input reads it."""
        if self.api == "chat":
            return self.body
        return {**self.body, "messages": as_messages(self.body)}

    def call(self, provider: str) -> Call:
        """The part of the record that is known, once it is known who answers."""
        model = self.model
        deployment = (deployment_in(self.base_url) or model) if provider == "azure" else None
        return Call(
            provider=provider,
            profile=None,
            target=Target(endpoint=host(self.base_url), deployment=deployment),
            model=model or deployment or "",
            api=self.api,
            tags=self.tags,
            secrets=lambda: self.secrets,
            costs=self.costs,
            params=self.params,
        )


def outcome_of(failure: StreamError | None) -> Outcome:
    """How a stream ended that ended by itself."""
    if failure is None:
        return Outcome.COMPLETED
    cut = isinstance(failure, StreamTruncatedError | StreamInterruptedError)
    return Outcome.TRUNCATED if cut else Outcome.FAILED


class Account:
    """Watches the bytes of one call go by, and settles once. Never raises what is wrong with them.

    Bytes are handed on event by event, so that what the caller has taken is known whatever the
    reads were. The outcome follows from that; the usage from all that was received.
    """

    def __init__(
        self,
        facts: Facts,
        deliver: Callable[[UsageRecord], None],
        *,
        hides_usage: bool,
        counter: TokenCounter | None,
    ) -> None:
        self._facts = facts
        self._counter = counter
        self._deliver = deliver
        self._started = time.monotonic()
        self._started_at = datetime.now(UTC)
        self._meter: Meter | None = None
        self._splitter = EventSplitter()
        self._waiting: deque[bytes] = deque()
        self._finished: set[int] = set()
        self._document: list[bytes] = []
        self._unpack: Callable[[bytes], bytes] = bytes
        self._skim: Callable[[bytes], bool] | None = None
        self.hides_usage = hides_usage
        """Whether the usage was asked for by us, and not by the caller."""
        self.settled = False

    def answered(self, response: Any) -> None:
        """A response has come, and the SDK is about to get it: put ourselves in its way."""
        if self._opened(response):
            response.stream = body_of_kind("SyncByteStream", response, self)

    def aanswered(self, response: Any) -> None:
        """`answered` for async code."""
        if self._opened(response):
            response.stream = body_of_kind("AsyncByteStream", response, self)

    def _opened(self, response: Any) -> bool:
        """Begin to meter. True if the body has yet to be read."""
        head = head_of(response)
        meter = self._begun(head.request_ids)
        decoder = _DECODERS[self._facts.api, self._facts.is_stream](head)
        meter.opened(head, decoder)
        if isinstance(decoder, SkimmingChatDecoder):
            self._skim = decoder.skim
        if not response.is_stream_consumed:
            self._unpack = partial(plain_bytes, response)
            return True
        meter.feed(response.content, time.monotonic())
        self.ended()
        return False

    def _begun(self, header_names: Mapping[str, str]) -> Meter:
        facts = self._facts
        provider = provider_of(facts.base_url, header_names, is_azure=facts.is_azure)
        self._meter = meter = Meter(facts.call(provider), self._counter)
        meter.start(self._started, self._started_at)
        streams.add(self)
        return meter

    @property
    def is_stream(self) -> bool:
        """Whether the body is to be events."""
        return self._facts.is_stream

    def broke(self, exc: BaseException) -> None:
        """Something went wrong while the next bytes were awaited."""
        if isinstance(exc, Exception):
            self._interrupted(exc)
        else:
            self.left(Outcome.CANCELLED)

    def quick(self, data: bytes) -> bytes | None:
        """The short way for most reads: one event, like one before but for its text.

        Gives what the caller is to get, or `None` where `pieces` has to be asked.
        """
        skim = self._skim
        if skim is None or self._splitter.held or not skim(data):
            return None
        return data.replace(NULL_USAGE, b"") if self.hides_usage else data

    def pieces(self, data: bytes | None) -> Iterator[bytes]:
        """Take bytes as they come, or `None` for their end; give what the caller is to get.

        What is not taken has not been given: this is a generator for that reason.
        """
        if not self._facts.is_stream:
            if data is not None:
                self._document.append(data)
                yield data
        else:
            splitter = self._splitter
            waiting = self._waiting
            waiting += splitter.close() if data is None else splitter.feed(data)
            while waiting:
                event = waiting.popleft()
                if not self.settled:
                    self._note(event)
                shown = without_usage(event) if self.hides_usage else event
                if shown:
                    yield shown

    def _note(self, data: bytes) -> None:
        meter = self._meter
        assert meter is not None, "bytes without a response"
        for chunk in meter.feed(data, time.monotonic()):
            if chunk.finish_reason is not None:
                self._finished.add(chunk.index)
        if meter.over:
            self._close(None)

    def ended(self) -> None:
        """The body was read to its end."""
        if self._document:
            self._note(self._unpack(b"".join(self._document)))
        self._close(None)

    def _interrupted(self, exc: Exception) -> None:
        failure = StreamInterruptedError(
            f"The connection broke mid-stream: {type(exc).__name__}: {exc}"
        )
        failure.__cause__ = exc
        self._close(failure)

    def _close(self, interruption: StreamInterruptedError | None) -> None:
        meter = self._meter
        if self.settled or meter is None:
            return
        if not meter.over:
            meter.close(time.monotonic(), interruption)
        self._settle(outcome_of(meter.failure), meter.failure)

    def leave_at_exit(self) -> None:
        """The interpreter ends while the caller still has the response."""
        self.left(Outcome.ABANDONED, reason="exit")

    def left(self, outcome: Outcome, *, reason: str | None = None) -> None:
        """The caller wants no more. The answer may have been given all the same."""
        if self.settled:
            return
        given = outcome is not Outcome.CANCELLED and len(self._finished) >= self._facts.choices
        meter = self._meter
        assert meter is not None, "left before there was a response"
        waiting = [b"", *self._waiting]  # the first for what was skimmed
        while waiting and not meter.over:
            meter.feed(waiting.pop(0), time.monotonic())
        self._settle(Outcome.COMPLETED if given else outcome, reason=reason)

    def refused(self, exc: BaseException) -> None:
        """The call has failed before there was a body to read."""
        if self._meter is not None:
            return
        provider = provider_of(self._facts.base_url, (), is_azure=self._facts.is_azure)
        error = exc
        if isinstance(exc, Exception):
            error = translate(exc, provider, self._facts.secrets)
        ids = error.request_ids if isinstance(error, ProviderError) else {}
        self._begun(ids)
        refused = isinstance(exc, Exception)
        self._settle(Outcome.REJECTED if refused else Outcome.CANCELLED, error)

    def _settle(
        self, outcome: Outcome, error: BaseException | None = None, *, reason: str | None = None
    ) -> None:
        assert self._meter is not None, "an end without a beginning"
        record = None
        if self in streams:
            # Made before it is claimed: should making it be interrupted, the call is still open.
            now = time.monotonic()
            record = self._meter.record(outcome, now=now, error=error, reason=reason)
        self.settled = True
        self._skim = None
        if record is not None and streams.remove(self):
            self._deliver(record)
