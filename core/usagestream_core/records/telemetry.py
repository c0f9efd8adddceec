"""Sinks that the configuration adds beside a program's own, and what they may ask of a client."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, cast

from ..adapter import Retriever
from .outbox import is_async, require_sink

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ..adapter import (
        Adapter,
        AsyncByteStream,
        ByteStream,
        Decoder,
        Head,
        Request,
        Retrieved,
        RetrieveRequest,
        Target,
    )
    from ..record import UsageRecord

__all__ = ["Telemetry", "beside", "opened_by_us", "to_tracked"]

logger = logging.getLogger("usagestream")


_FUNCTIONS: Final = (FunctionType, MethodType, BuiltinFunctionType, partial)
"""What has a type that says nothing of what it does."""


class Telemetry(Protocol):
    """What a sink may be able to do beside taking records, if it is not the only one to report."""

    def opening(self) -> AbstractContextManager[None]:
        """Around each request that a client of ours sends."""
        ...

    def for_tracked(self) -> Callable[[UsageRecord], object]:
        """The same sink for calls that a program makes itself, with a client that is tracked."""
        ...


def beside(
    on_record: Callable[[UsageRecord], object] | None,
    telemetry: Sequence[Callable[[UsageRecord], object]],
) -> Callable[[UsageRecord], object] | None:
    """Make one sink of a program's own and those that the configuration names.

    Where the program has one of the same type, its own is the one. What the others raise is logged,
    and does not keep the record from the program's. Raises `TypeError` for what is no sink.
    """
    require_sink(on_record)
    kind = type(on_record)
    others = [sink for sink in telemetry if kind in _FUNCTIONS or type(sink) is not kind]
    if not others:
        return on_record

    def tell(record: UsageRecord) -> None:
        for sink in others:
            try:
                sink(record)
            except Exception:
                logger.exception("telemetry raised; it was not told of the record %s", record.id)

    def tell_all(record: UsageRecord) -> object:
        tell(record)
        return None if on_record is None else on_record(record)

    async def tell_all_async(record: UsageRecord) -> None:
        tell(record)
        await cast("Callable[[UsageRecord], Awaitable[object]]", on_record)(record)

    return tell_all_async if is_async(on_record) else tell_all


def to_tracked(sink: Callable[[UsageRecord], object]) -> Callable[[UsageRecord], object]:
    """What a tracked client is to hand its records to, instead of this sink."""
    return cast("Telemetry", sink).for_tracked() if _reports(sink) else sink


def opened_by_us(adapter: Adapter, *sinks: Callable[[UsageRecord], object] | None) -> Adapter:
    """An adapter like this one, that opens streams with these sinks around it."""
    around = [cast("Telemetry", sink) for sink in sinks if _reports(sink)]
    if not around:
        return adapter
    kind = _RetrievingAround if isinstance(adapter, Retriever) else _Around
    return cast("Adapter", kind(adapter, around))


def _reports(sink: object) -> bool:
    """Whether this is `Telemetry`. Its class says so: a mock has every attribute."""
    return hasattr(type(sink), "opening") and hasattr(type(sink), "for_tracked")


class _Around:
    provider: ClassVar[str]

    def __init__(self, adapter: Adapter, sinks: Sequence[Telemetry]) -> None:
        self._adapter: Any = adapter
        self._sinks = sinks

    def _opening(self) -> ExitStack:
        stack = ExitStack()
        for sink in self._sinks:
            stack.enter_context(sink.opening())
        return stack

    def open(self, request: Request) -> ByteStream:
        with self._opening():
            return cast("ByteStream", self._adapter.open(request))

    async def aopen(self, request: Request) -> AsyncByteStream:
        with self._opening():
            return cast("AsyncByteStream", await self._adapter.aopen(request))

    def target(self, model: str) -> Target:
        return cast("Target", self._adapter.target(model))

    def decoder(self, head: Head) -> Decoder:
        return cast("Decoder", self._adapter.decoder(head))

    def close(self) -> None:
        self._adapter.close()

    async def aclose(self) -> None:
        await self._adapter.aclose()

    def __getattr__(self, name: str) -> Any:
        """What an adapter may have besides, such as `provider` and `secrets`."""
        return getattr(self._adapter, name)


class _RetrievingAround(_Around):
    def retrieve(self, stored: RetrieveRequest) -> Retrieved:
        with self._opening():
            return cast("Retrieved", self._adapter.retrieve(stored))

    async def aretrieve(self, stored: RetrieveRequest) -> Retrieved:
        with self._opening():
            return cast("Retrieved", await self._adapter.aretrieve(stored))
