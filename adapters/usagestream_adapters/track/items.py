"""Metering one stream that somebody else has opened, item by item."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import Any, Self, overload
from urllib.parse import urlsplit

from usagestream_core.adapter import Head, Target
from usagestream_core.cost import Cost
from usagestream_core.errors import StreamNotEndedError
from usagestream_core.json_types import Json
from usagestream_core.pricing import PricerChoice, costs_by, find_pricer
from usagestream_core.profiles.configuration import Configuration
from usagestream_core.profiles.ledgers import find_ledger
from usagestream_core.record import Outcome, UsageRecord, UsageRequest
from usagestream_core.records.ledger import LedgerChoice
from usagestream_core.records.outbox import Outbox
from usagestream_core.records.tags import joined_tags
from usagestream_core.streams.lifecycle import Lifecycle
from usagestream_core.streams.meter import Call
from usagestream_core.usage import Usage

from ..sdk.bodies import head_of
from ._objects import make_objects_of
from .body import body_sent
from .frames import ItemDecoder, error_of
from .place import deployment_in, host, provider_of

__all__ = ["MeteredAsyncItems", "MeteredItems", "meter"]


@overload
def meter(
    stream: Iterable[Any],
    *,
    model: str | None = None,
    on_record: Callable[[UsageRecord], object] | None = None,
    tags: Mapping[str, str] | None = None,
    pricer: PricerChoice = "auto",
    ledger: LedgerChoice = "auto",
) -> MeteredItems: ...
@overload
def meter(
    stream: AsyncIterable[Any],
    *,
    model: str | None = None,
    on_record: Callable[[UsageRecord], object] | None = None,
    tags: Mapping[str, str] | None = None,
    pricer: PricerChoice = "auto",
    ledger: LedgerChoice = "auto",
) -> MeteredAsyncItems: ...
def meter(
    stream: Iterable[Any] | AsyncIterable[Any],
    *,
    model: str | None = None,
    on_record: Callable[[UsageRecord], object] | None = None,
    tags: Mapping[str, str] | None = None,
    pricer: PricerChoice = "auto",
    ledger: LedgerChoice = "auto",
) -> MeteredItems | MeteredAsyncItems:
    """Pass a stream's items through as they are, and count what they say.

    Takes what chat completions come in: the SDK's `Stream` and `AsyncStream`, any iterable of
    chunks or of dicts like them, and LangChain's message chunks. It cannot ask for usage: a stream
    that was opened without `include_usage` has none to count, and its usage is unknown.

    `model` is the model that was asked for; if `None`, the one that the stream's own request or
    its items name. `on_record`, `tags`, `pricer` and `ledger` are as for `track`.
    """
    if isinstance(stream, AsyncIterable):
        return MeteredAsyncItems(
            stream, model=model, on_record=on_record, tags=tags, pricer=pricer, ledger=ledger
        )
    return MeteredItems(
        stream, model=model, on_record=on_record, tags=tags, pricer=pricer, ledger=ledger
    )


class _Items:
    """What both kinds share. What goes wrong with the stream is raised by the stream itself."""

    def __init__(
        self,
        stream: Any,
        *,
        model: str | None,
        on_record: Callable[[UsageRecord], object] | None,
        tags: Mapping[str, str] | None,
        pricer: PricerChoice,
        ledger: LedgerChoice,
    ) -> None:
        self._stream = stream
        make_objects_of(stream)
        self._readers = 0
        """Who waits for the next item; more than one where threads or tasks share the stream."""
        response = getattr(stream, "response", None)
        head = Head(status=200) if response is None else head_of(response)
        address = "" if response is None else str(response.request.url)
        asked = {} if response is None else body_sent(response.request)
        provider = "openai"
        if address:
            provider = provider_of(address, head.request_ids, is_azure=False)
        deployment = deployment_in(address) if provider == "azure" else None
        configuration = Configuration()
        call = Call(
            provider=provider,
            profile=None,
            target=Target(endpoint=host(address) if address else "", deployment=deployment),
            model=model or str(asked.get("model") or deployment or ""),
            params={name: asked[name] for name in ("n",) if name in asked},
            api="responses" if urlsplit(address).path.endswith("/responses") else "chat",
            tags=joined_tags(tags),
            costs=costs_by(find_pricer(pricer, configuration)),
        )
        kept_in = find_ledger(ledger, configuration)
        self._life = Lifecycle(call, Outbox(on_record, ledger=kept_in))
        self._life.ask(self)
        self._life.open(replace(head, usage_request=_usage_request(asked)), ItemDecoder())

    @property
    def usage(self) -> Usage:
        """What is known now; final once the stream has ended. Never `None`: see `Usage.source`."""
        return self._life.usage

    @property
    def cost(self) -> Cost | None:
        """What the stream has cost; until it has ended, what is known of that, as an estimate."""
        return self._life.cost

    @property
    def record(self) -> UsageRecord:
        """The accounting record. Raises `StreamNotEndedError` until the stream has ended."""
        return self._life.record

    def _took(self, item: Any) -> Any:
        if self._life.owes_record:
            self._life.feed(item)
        return item

    def _ended(self) -> None:
        self._life.end()
        self._life.settle_end()

    def _broke(self, exc: BaseException) -> None:
        """The stream itself raised."""
        if self._readers > 1 and isinstance(exc, Exception):
            return  # as a generator does to a second reader: the first one has the stream
        if not isinstance(exc, Exception):
            self._left(exc)
            return
        failure = error_of(exc)
        if failure is None:
            self._life.broke(exc)
        else:
            self._life.meter.fail(failure)
        self._life.settle_end()

    def _left(self, exc: BaseException | None = None) -> None:
        error = None if isinstance(exc, GeneratorExit) else exc
        self._life.settle(self._life.left_with(exc), error)

    def leave_at_exit(self) -> None:
        """The interpreter ends while the caller still has the stream."""
        self._life.settle(self._life.left_with(otherwise=Outcome.ABANDONED), reason="exit")

    def __getattr__(self, name: str) -> Any:
        """The stream's own attributes, such as the SDK's `response`."""
        if name == "record":  # asked for too early: what `record` raised is an AttributeError
            raise StreamNotEndedError
        return getattr(self._stream, name)


def _usage_request(asked: Mapping[str, Any]) -> UsageRequest | None:
    """Whether a request asked for usage; `None` where it is not known, or comes unasked."""
    options: Json = asked.get("stream_options")
    if "messages" not in asked:
        return None
    return "asked" if isinstance(options, dict) and options.get("include_usage") else "not_asked"


class MeteredItems(_Items):
    """A stream of somebody else's, metered. Has the attributes of that stream as well.

    Use it as a context manager, or read it to its end: a stream that is left before has its record
    when it is closed or dropped.
    """

    @cached_property
    def _items(self) -> Iterator[Any]:
        return iter(self._stream)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        self._readers += 1
        try:
            item = next(self._items)
        except StopIteration:
            self._ended()
            raise
        except BaseException as exc:
            self._broke(exc)
            raise
        finally:
            self._readers -= 1
        if self._life.is_being_written:
            try:
                self._life.written()
            except BaseException as exc:
                self._left(exc)
                raise
        return self._took(item)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left(exc)
        self.close()

    def close(self) -> None:
        """Stop here, and close the stream where it can be closed."""
        self._left()
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()


class MeteredAsyncItems(_Items):
    """`MeteredItems` for async code."""

    @cached_property
    def _items(self) -> AsyncIterator[Any]:
        return aiter(self._stream)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        self._readers += 1
        try:
            item = await anext(self._items)
        except StopAsyncIteration:
            self._ended()
            raise
        except BaseException as exc:
            self._broke(exc)
            raise
        finally:
            self._readers -= 1
        if self._life.is_being_written:
            try:
                await self._life.awritten()
            except BaseException as exc:
                self._left(exc)
                raise
        return self._took(item)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left(exc)
        await self.close()

    async def close(self) -> None:
        """Stop here, and close the stream where it can be closed."""
        self._left()
        close = getattr(self._stream, "close", None) or getattr(self._stream, "aclose", None)
        if close is not None:
            await close()
