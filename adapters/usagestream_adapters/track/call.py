"""One tracked call: what its caller is given of the body, and what its life takes of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from usagestream_core.adapter import Decoder, Head, Target
from usagestream_core.errors import ProviderError, StreamFailedError
from usagestream_core.estimates.estimate import TokenCounter, as_messages
from usagestream_core.pricing import CostOf
from usagestream_core.record import Api, Outcome, UsageRequest
from usagestream_core.records.outbox import Outbox
from usagestream_core.streams.lifecycle import Lifecycle, Phase
from usagestream_core.streams.meter import Call

from ..sdk.bodies import head_of
from ..sdk.errors import translate
from ..wire.document import ChatDocument, ResponsesDocument
from ..wire.responses import ResponsesDecoder
from ..wire.sse import MAX_EVENT_BYTES
from .body import body_of_kind, plain_bytes
from .events import NULL_USAGE, EventSplitter, without_usage
from .fed import Frame, FrameFed, FrameTaker
from .place import deployment_in, host, provider_of
from .skim import SkimmingChatDecoder

__all__ = ["Facts", "TrackedCall"]

_STREAMS: Mapping[Api, Callable[[Head], FrameTaker]] = {
    "chat": SkimmingChatDecoder,
    "responses": ResponsesDecoder,
}
_DOCUMENTS: Mapping[Api, Callable[[Head], Decoder]] = {
    "chat": ChatDocument,
    "responses": ResponsesDocument,
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

    def provider(self, header_names: Collection[str] = ()) -> str:
        """Who answers, as far as is known without, or with, the names of a response's headers."""
        return provider_of(self.base_url, header_names, is_azure=self.is_azure)

    @property
    def params(self) -> Mapping[str, Any]:
        """What was asked for, as an estimate of its input reads it."""
        if self.api == "chat":
            return self.body
        return {**self.body, "messages": as_messages(self.body)}

    def call(self, provider: str, *, hides_usage: bool) -> Call:
        """The part of the record that is known, once it is known who answers."""
        model = self.model
        deployment = (deployment_in(self.base_url) or model) if provider == "azure" else None
        return Call(
            provider=provider,
            profile=None,
            target=Target(endpoint=host(self.base_url), deployment=deployment),
            model=model or deployment or "",
            api=self.api,
            streamed=self.is_stream,
            usage_hidden=hides_usage,
            tags=self.tags,
            secrets=lambda: self.secrets,
            costs=self.costs,
            params=self.params,
        )


def _unreadable(exc: Exception) -> StreamFailedError:
    """What the SDK raised over an event. Its text may be the conversation's, and is not kept."""
    code = getattr(exc, "code", None)
    return StreamFailedError(
        f"The openai SDK could not read what the provider sent: {type(exc).__name__}.",
        code=None if code is None else str(code),
    )


class TrackedCall:
    """Watches the bytes of one call go by. Never raises what is wrong with them.

    Bytes are handed on event by event, so that what the caller has taken is known whatever the
    reads were. The outcome follows from that; the usage from all that was received.
    """

    def __init__(
        self,
        facts: Facts,
        outbox: Outbox,
        *,
        hides_usage: bool,
        usage_request: UsageRequest | None,
        counter: TokenCounter | None,
    ) -> None:
        self._facts = facts
        self._life = Lifecycle(
            facts.call(facts.provider(), hides_usage=hides_usage), outbox, counter
        )
        self._splitter = EventSplitter()
        self._waiting: deque[bytes] = deque()
        self._document: list[bytes] = []
        self._document_bytes = 0
        self._unpack: Callable[[bytes], bytes] = bytes
        self._skim: Callable[[bytes], bool] | None = None
        self._by_frames = False
        self.hides_usage = hides_usage
        """Whether the usage was asked for by us, and not by the caller."""
        self.usage_request: UsageRequest | None = usage_request
        """Whether it was asked for by anybody, as the record says it."""
        self.reopenings = 0
        """How often the call was made anew, without what was refused."""
        self._life.ask(self)

    def answered(self, response: Any) -> None:
        """A response has come, and the SDK is about to get it: put ourselves in its way."""
        if self._opened(response):
            response.stream = body_of_kind("SyncByteStream", response, self)

    def aanswered(self, response: Any) -> None:
        """`answered` for async code."""
        if self._opened(response):
            response.stream = body_of_kind("AsyncByteStream", response, self)

    def written(self) -> None:
        """Wait until the ledger has it: before the caller is given anything."""
        self._life.written()

    async def awritten(self) -> None:
        """`written` for async code."""
        await self._life.awritten()

    def _opened(self, response: Any) -> bool:
        """Begin to read. True if the body has yet to be read."""
        head = head_of(response)
        provider = self._facts.provider(head.request_ids)
        head = replace(head, usage_request=self.usage_request, reopenings=self.reopenings)
        self._life.open(head, self._reader(head), self._call(provider))
        if not response.is_stream_consumed:
            self._unpack = partial(plain_bytes, response)
            return True
        self._look_at(response.content)
        return False

    def _reader(self, head: Head) -> Any:
        """What decodes the answer: of a stream, bytes and what the SDK has decoded."""
        if not self._facts.is_stream:
            return _DOCUMENTS[self._facts.api](head)
        decoder = _STREAMS[self._facts.api](head)
        if isinstance(decoder, SkimmingChatDecoder):
            self._skim = decoder.skim
        return FrameFed(decoder)

    def _call(self, provider: str) -> Call:
        return self._facts.call(provider, hides_usage=self.hides_usage)

    @property
    def is_stream(self) -> bool:
        """Whether the body is to be events."""
        return self._facts.is_stream

    def broke(self, exc: BaseException) -> None:
        """Something went wrong while the next bytes were awaited."""
        if isinstance(exc, Exception):
            self._life.broke(exc)
            self._settle_end()
        else:
            self.left(Outcome.CANCELLED, exc)

    def quick(self, data: bytes) -> bytes | None:
        """The short way for most reads: one event, like one before but for its text.

        Gives what the caller is to get, or `None` where `pieces` has to be asked.
        """
        if self._by_frames:
            return data
        skim = self._skim
        if skim is None or not self._splitter.is_between or not skim(data):
            return None
        return data.replace(NULL_USAGE, b"") if self.hides_usage else data

    def pieces(self, data: bytes | None) -> Iterator[bytes]:
        """Take bytes as they come, or `None` for their end; give what the caller is to get.

        What is not taken has not been given: this is a generator for that reason.
        """
        if not self._facts.is_stream:
            if data is not None:
                self._document_bytes += len(data)
                if self._document_bytes <= MAX_EVENT_BYTES:
                    self._document.append(data)
                else:
                    self._document.clear()
                yield data
        else:
            splitter = self._splitter
            waiting = self._waiting
            waiting += splitter.close() if data is None else splitter.feed(data)
            if splitter.passed:
                yield from self._passed_over(splitter)
            while waiting:
                event = waiting.popleft()
                if self._life.owes_record:
                    self._note(event)
                shown = without_usage(event) if self.hides_usage else event
                if shown and not self._by_frames:
                    yield shown

    def _passed_over(self, splitter: EventSplitter) -> Iterator[bytes]:
        """Give on what there is of an event that is too long to be looked at."""
        passed, splitter.passed = splitter.passed, []
        if self._life.owes_record:
            self._life.meter.pass_over(
                f"an event was longer than {MAX_EVENT_BYTES} bytes, and was not looked at"
            )
        yield from passed

    def read_frames(self, *, yes: bool) -> None:
        """From now on, who reads the body tells us what is in it; or does so no more.

        It has the bytes as they come, gives them to `received`, takes the events out of
        `next_event`, and says what it `took`. What is left at the end of the body is noted here.
        """
        self._by_frames = yes

    def received(self, data: bytes) -> None:
        """Take bytes as they come; what they complete waits in `next_event`."""
        self._waiting += self._splitter.feed(data)

    @property
    def passes_over(self) -> bool:
        """An event was too long to be looked at: what there is of it is to be given on as bytes."""
        return bool(self._splitter.passed)

    @property
    def owes_record(self) -> bool:
        """Whether the call has no record yet."""
        return self._life.owes_record

    def next_event(self) -> bytes | None:
        """The next whole event; `None` where none is waiting."""
        return self._waiting.popleft() if self._waiting else None

    def back(self, event: bytes) -> None:
        """Put back what `next_event` gave: it was not taken."""
        self._waiting.appendleft(event)

    def took(self, event: bytes, frame: dict[str, Any] | None, kind: bytes | None) -> None:
        """The caller is about to get this event; `frame` is its JSON, if it has any."""
        if self._life.owes_record:
            self._note(event if frame is None else (frame, kind))

    def _note(self, data: bytes | Frame) -> None:
        self._life.feed(data)  # which decodes bytes, and takes what was decoded as it is
        if self._life.meter.over:
            self._settle_end()

    def ended(self) -> None:
        """The body was read to its end."""
        if self._document_bytes:
            whole = self._document_bytes <= MAX_EVENT_BYTES
            self._look_at(self._unpack(b"".join(self._document)) if whole else None)
        elif self._life.owes_record:
            self._life.end()
            self._settle_end()

    def _look_at(self, document: bytes | None) -> None:
        """Take an answer that is whole, unless it is too long; `None` for one that was not kept."""
        life = self._life
        if document is not None and len(document) <= MAX_EVENT_BYTES:
            if life.owes_record:
                life.feed(document)
                life.end()
                self._settle_end()
        else:
            most = f"longer than {MAX_EVENT_BYTES} bytes"
            life.meter.pass_over(f"the answer was {most}, and was not looked at")
            life.settle(Outcome.COMPLETED)

    def _settle_end(self) -> None:
        self._skim = None
        self._life.settle_end()

    def leave_at_exit(self) -> None:
        """The interpreter ends while the caller still has the response, or waits for it."""
        self.left(Outcome.ABANDONED, reason="exit")

    @property
    def is_failing(self) -> bool:
        """The provider has reported a failure, and may say more of it in what was not read."""
        return self._life.owes_record and self._life.meter.failing is not None

    def heard(self, data: bytes | None) -> None:
        """Take bytes that the caller will not get, or `None` for their end."""
        deque(self.pieces(data), maxlen=0)  # taking each is what notes it
        if data is None:
            self.ended()

    def left(
        self,
        outcome: Outcome,
        exc: BaseException | None = None,
        *,
        reason: str | None = None,
        unread: Exception | None = None,
    ) -> None:
        """The caller wants no more. The answer may have been given all the same.

        `unread` is what the SDK raised over what it was given, if that is why.
        """
        life = self._life
        if not life.owes_record:
            return
        outcome = life.left_with(exc, otherwise=outcome)
        failing = life.meter.failing is not None or unread is not None
        self._skim = None
        life.take_rest((b"", *self._waiting))  # the first for what was skimmed
        if failing:
            # What the caller was shown was a failure, whatever came after it.
            unreadable = None if unread is None else _unreadable(unread)
            life.end(unreadable)
            if unreadable is not None and life.meter.failure is None:
                life.meter.fail(unreadable)
            self._settle_end()
        else:
            life.settle(outcome, exc, reason=reason)

    def refused(self, exc: BaseException) -> None:
        """The call has failed before there was a body to read."""
        if self._life.phase > Phase.ASKED:
            return
        response = getattr(exc, "response", None)
        provider = self._facts.provider(() if response is None else response.headers)
        error = exc
        if isinstance(exc, Exception):
            error = translate(exc, provider, self._facts.secrets)
        if isinstance(error, ProviderError):
            error.usage_request = self.usage_request
            error.reopenings = self.reopenings
        self._life.refused(error, self._call(provider))
