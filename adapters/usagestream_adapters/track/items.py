"""Metering one stream that somebody else has opened, item by item."""

# Items are of any library.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from types import TracebackType
from typing import Any, Self, cast, overload
from urllib.parse import urlsplit

from usagestream_core.adapter import Head, Target
from usagestream_core.cost import Cost
from usagestream_core.errors import StreamInterruptedError, StreamNotEndedError
from usagestream_core.pricing import PricerChoice, costs_by, find_pricer
from usagestream_core.record import Outcome, UsageRecord
from usagestream_core.records.shutdown import streams
from usagestream_core.records.sinks import Outbox
from usagestream_core.records.totals import also_to_totals
from usagestream_core.streams.meter import Call, Meter
from usagestream_core.usage import Usage

from .account import outcome_of
from .body import head_of
from .frames import ItemDecoder
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
) -> MeteredItems: ...
@overload
def meter(
    stream: AsyncIterable[Any],
    *,
    model: str | None = None,
    on_record: Callable[[UsageRecord], object] | None = None,
    tags: Mapping[str, str] | None = None,
    pricer: PricerChoice = "auto",
) -> MeteredAsyncItems: ...
def meter(
    stream: Iterable[Any] | AsyncIterable[Any],
    *,
    model: str | None = None,
    on_record: Callable[[UsageRecord], object] | None = None,
    tags: Mapping[str, str] | None = None,
    pricer: PricerChoice = "auto",
) -> MeteredItems | MeteredAsyncItems:
    """Pass a stream's items through as they are, and count what they say.

    Takes what chat completions come in: the SDK's `Stream` and `AsyncStream`, any iterable of
    chunks or of dicts like them, and LangChain's message chunks. It cannot ask for usage: a stream
    that was opened without `include_usage` has none to count, and its usage is unknown.

    `model` is the model that was asked for; if `None`, the one that the stream's own request or
    its items name. `on_record`, `tags` and `pricer` are
    as for `track`.
    """
    if isinstance(stream, AsyncIterable):
        return MeteredAsyncItems(stream, model=model, on_record=on_record, tags=tags, pricer=pricer)
    return MeteredItems(stream, model=model, on_record=on_record, tags=tags, pricer=pricer)


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
    ) -> None:
        self._stream = stream
        self._deliver = also_to_totals(Outbox(on_record).put)
        self._record: UsageRecord | None = None
        self._finished = False
        response = getattr(stream, "response", None)
        head = Head(status=200) if response is None else head_of(response)
        address = "" if response is None else str(response.request.url)
        self._model = model
        provider = "openai"
        if address:
            provider = provider_of(address, head.request_ids, is_azure=False)
        deployment = deployment_in(address) if provider == "azure" else None
        self._meter = Meter(
            Call(
                provider=provider,
                profile=None,
                target=Target(endpoint=host(address) if address else "", deployment=deployment),
                model=model or deployment or "",
                api="responses" if urlsplit(address).path.endswith("/responses") else "chat",
                tags=dict(tags or {}),
                costs=costs_by(find_pricer(pricer)),
            )
        )
        self._meter.start(time.monotonic(), datetime.now(UTC))
        self._meter.opened(head, ItemDecoder())
        streams.add(self)

    @property
    def usage(self) -> Usage:
        """What is known now; final once the stream has ended. Never `None`: see `Usage.source`."""
        return self._meter.usage if self._record is None else self._record.usage

    @property
    def cost(self) -> Cost | None:
        """What the stream has cost; until it has ended, what is known of that, as an estimate."""
        if self._record is not None:
            return self._record.cost
        return self._meter.cost_so_far(time.monotonic())

    @property
    def record(self) -> UsageRecord:
        """The accounting record. Raises `StreamNotEndedError` until the stream has ended."""
        if self._record is None:
            raise StreamNotEndedError
        return self._record

    def _took(self, item: Any) -> Any:
        # The meter hands what it is fed to its decoder, which here reads items instead of bytes.
        chunks = self._meter.feed(cast("bytes", item), time.monotonic())
        self._finished = self._finished or any(c.finish_reason is not None for c in chunks)
        return item

    def _ended(self) -> None:
        if not self._meter.over:
            self._meter.close(time.monotonic())
        self._settle(outcome_of(self._meter.failure), self._meter.failure)

    def _broke(self, exc: BaseException) -> None:
        """The stream itself raised."""
        if not isinstance(exc, Exception):
            self._settle(Outcome.CANCELLED, exc)
            return
        failure = StreamInterruptedError(f"The stream raised {type(exc).__name__}.")
        self._settle(Outcome.TRUNCATED, failure)

    def _left(self, exc: BaseException | None = None) -> None:
        cancelled = exc is not None and not isinstance(exc, Exception | GeneratorExit)
        outcome = Outcome.COMPLETED if self._finished else Outcome.CLOSED
        self._settle(Outcome.CANCELLED if cancelled else outcome, exc)

    def leave_at_exit(self) -> None:
        """The interpreter ends while the caller still has the stream."""
        self._settle(Outcome.ABANDONED, reason="exit")

    def _settle(
        self, outcome: Outcome, error: BaseException | None = None, *, reason: str | None = None
    ) -> None:
        record = None
        if self in streams:
            # Made before it is claimed: should making it be interrupted, the stream is still open.
            record = self._meter.record(outcome, now=time.monotonic(), error=error, reason=reason)
        if record is None or not streams.remove(self):
            return
        if not record.model:
            record = record.model_copy(update={"model": record.response_model or ""})
        self._record = record
        self._deliver(record)

    def __del__(self) -> None:
        self._settle(Outcome.ABANDONED)

    def __getattr__(self, name: str) -> Any:
        """The stream's own attributes, such as the SDK's `response`."""
        if name == "record":  # asked for too early: what `record` raised is an AttributeError
            raise StreamNotEndedError
        return getattr(self._stream, name)


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
        try:
            item = next(self._items)
        except StopIteration:
            self._ended()
            raise
        except BaseException as exc:
            self._broke(exc)
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
        try:
            item = await anext(self._items)
        except StopAsyncIteration:
            self._ended()
            raise
        except BaseException as exc:
            self._broke(exc)
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
