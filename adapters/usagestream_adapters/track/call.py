"""One tracked call: what its caller is given of the body, and what its life takes of it."""

# The response is httpx2's or httpx's.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from usagestream_core.adapter import Decoder, Head, Target
from usagestream_core.errors import ProviderError
from usagestream_core.estimates.estimate import TokenCounter, as_messages
from usagestream_core.record import Api, Outcome, UsageRequest
from usagestream_core.records.outbox import Outbox
from usagestream_core.streams.lifecycle import Lifecycle, Phase
from usagestream_core.streams.meter import Call

from ..sdk.bodies import head_of
from ..sdk.errors import translate
from ..wire.document import ChatDocument, ResponsesDocument
from ..wire.responses import ResponsesDecoder
from .body import body_of_kind, plain_bytes
from .events import NULL_USAGE, EventSplitter, without_usage
from .place import deployment_in, host, provider_of
from .skim import SkimmingChatDecoder

__all__ = ["Facts", "TrackedCall"]

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
            params=self.params,
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
        self._life = Lifecycle(facts.call(facts.provider()), outbox, counter)
        self._splitter = EventSplitter()
        self._waiting: deque[bytes] = deque()
        self._document: list[bytes] = []
        self._unpack: Callable[[bytes], bytes] = bytes
        self._skim: Callable[[bytes], bool] | None = None
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

    def _opened(self, response: Any) -> bool:
        """Begin to read. True if the body has yet to be read."""
        head = head_of(response)
        decoder = _DECODERS[self._facts.api, self._facts.is_stream](head)
        provider = self._facts.provider(head.request_ids)
        head = replace(head, usage_request=self.usage_request, reopenings=self.reopenings)
        self._life.open(head, decoder, self._facts.call(provider))
        if isinstance(decoder, SkimmingChatDecoder):
            self._skim = decoder.skim
        if not response.is_stream_consumed:
            self._unpack = partial(plain_bytes, response)
            return True
        self._life.feed(response.content)
        self.ended()
        return False

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
                if self._life.owes_record:
                    self._note(event)
                shown = without_usage(event) if self.hides_usage else event
                if shown:
                    yield shown

    def _note(self, data: bytes) -> None:
        self._life.feed(data)
        if self._life.meter.over:
            self._settle_end()

    def ended(self) -> None:
        """The body was read to its end."""
        if self._document and self._life.owes_record:
            self._note(self._unpack(b"".join(self._document)))
        if self._life.owes_record:
            self._life.end()
            self._settle_end()

    def _settle_end(self) -> None:
        self._skim = None
        self._life.settle_end()

    def leave_at_exit(self) -> None:
        """The interpreter ends while the caller still has the response, or waits for it."""
        self.left(Outcome.ABANDONED, reason="exit")

    def left(
        self, outcome: Outcome, exc: BaseException | None = None, *, reason: str | None = None
    ) -> None:
        """The caller wants no more. The answer may have been given all the same."""
        life = self._life
        if not life.owes_record:
            return
        outcome = life.left_with(exc, otherwise=outcome)
        self._skim = None
        life.take_rest((b"", *self._waiting))  # the first for what was skimmed
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
        self._life.refused(error, self._facts.call(provider))
