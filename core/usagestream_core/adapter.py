"""The seam: what a provider's adapter does, and what the core does for all of them.

An adapter opens byte streams and names the decoder of its wire. It does not count, time, fold or
record: the meter does, once, for every provider.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

from .chunk import Chunk
from .cost import Scope
from .errors import StreamError
from .profile import Profile
from .record import Api, UsageRequest

__all__ = [
    "Adapter",
    "AdapterType",
    "AsyncByteStream",
    "ByteStream",
    "Decoder",
    "Head",
    "Interruptible",
    "Report",
    "Request",
    "RetrieveRequest",
    "Retrieved",
    "Retriever",
    "Target",
    "Warmable",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the caller asked for."""

    api: Api = "chat"
    """Chat completions, or the Responses API."""
    model: str
    params: Mapping[str, Any]
    """Every other parameter, as the caller passed it. Not to be changed in place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a request for some model goes; known before anything is sent."""

    endpoint: str
    """Host, and port where it is not the default."""
    deployment: str | None = None
    provider: str | None = None
    """Who answers there, where the address shows that it is not the adapter's own provider."""
    scope: Scope | None = None
    """What kind of deployment it is, where the profile says so."""
    provisioned: bool = False
    """Whether it is paid for by the hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What is known of a response before its first byte."""

    status: int
    content_type: str | None = None
    request_ids: Mapping[str, str] = field(default_factory=dict[str, str])
    """By header name."""
    response_model: str | None = None
    """The model that answers, where a header says so."""
    api: Api = "chat"
    """Whose wire the body is in: that of the request."""
    spillover: Mapping[str, str] = field(default_factory=dict[str, str])
    """Headers about a request that another deployment took over; empty otherwise."""
    usage_request: UsageRequest | None = None
    """Whether usage was asked for; `None` where the adapter does not say."""
    reopenings: int = 0
    """How often the request was sent anew, changed, because the provider refused it."""
    unread_encoding: str | None = None
    """How the body is compressed, where that cannot be undone here; `None` where it can."""
    region: str | None = None
    """Where the answer comes from, where a header says so."""


class ByteStream(Protocol):
    """An open response, decompressed. Iterating it may raise the transport's own exceptions."""

    @property
    def head(self) -> Head:
        """What was known before the first byte."""
        ...

    def __iter__(self) -> Iterator[bytes]: ...
    def close(self) -> None:
        """Give the connection back or drop it. Safe to call twice, and before the end."""
        ...


class AsyncByteStream(Protocol):
    """`ByteStream` for async code."""

    @property
    def head(self) -> Head:
        """What was known before the first byte."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    async def close(self) -> None:
        """Give the connection back or drop it, and do so in a task that is being cancelled."""
        ...


@runtime_checkable
class Interruptible(Protocol):
    """What a byte stream, sync or async, should be able to do beside that.

    Without it, reading what is left of a body cannot be bounded, and an async stream that is
    dropped leaves its connection to the garbage collector.
    """

    def abort(self) -> None:
        """Break the connection at once, from any thread, without waiting. What reads it ends."""
        ...

    def within(self, seconds: float) -> AbstractContextManager[object]:
        """Bound the reading inside: `TimeoutError` once it has taken so many seconds."""
        ...


@dataclass(slots=True, kw_only=True)
class Report:
    """What the wire says of the stream as a whole rather than of one choice.

    A field left at its default says nothing. The meter folds reports in order.
    """

    response_id: str | None = None
    model: str | None = None
    service_tier: str | None = None
    counts: Mapping[str, int] | None = None
    """Reported token counts by `Usage` field name; counts that were null or absent are left out."""
    wire_usage: dict[str, Any] | None = None
    """The object the counts were read from."""
    annotation: dict[str, Any] | None = None
    """A frame that no chunk was made of."""
    anomaly: str | None = None
    """What was reported and cannot be true; `counts` are left out then."""
    written: str = ""
    """What the model wrote that is in no chunk: an estimate counts it as output."""
    done: bool = False
    """The provider said that the stream is over."""
    failure: StreamError | None = None
    """The stream cannot go on: a reported error, or bytes that are not this wire."""
    failing: StreamError | None = None
    """It has failed, and what comes next may say more of that: the usage, or a better reason. The
    stream ends with it where the body does, or where nothing more comes for a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrieveRequest:
    """An answer to ask for after its stream."""

    api: Api
    response_id: str
    cancel: bool = False
    """Stop it, if it is still being written. Only a response can be stopped."""
    after: float = 0.0
    """Seconds to wait before asking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieved:
    """What the provider says of an answer that it kept."""

    status: str | None
    """`queued` and `in_progress` are not final; `None` where there is none, as for chat."""
    report: Report


@runtime_checkable
class Retriever(Protocol):
    """What an adapter may be able to do beside opening streams."""

    def retrieve(self, stored: RetrieveRequest) -> Retrieved:
        """Ask for an answer, without its text.

        Raises `NotFoundError` where it was not kept, `ProviderError` where the provider refuses or
        cannot be reached.
        """
        ...

    async def aretrieve(self, stored: RetrieveRequest) -> Retrieved:
        """`retrieve` for async code."""
        ...


@runtime_checkable
class Warmable(Protocol):
    """What an adapter may be able to do beside that."""

    def warm(self, request: Request, *, asynchronous: bool) -> None:
        """Load and make what opening this request takes, so that its time is not the stream's.

        Sends nothing. Does nothing the second time. Raises what `open` would raise.
        """
        ...


class Decoder(Protocol):
    """Bytes to chunks for one response: no I/O, no clock. Any split of the bytes gives the same."""

    def feed(self, data: bytes) -> Sequence[Chunk | Report]:
        """Take the next bytes, in any split; give what they complete.

        Raises nothing for what the bytes say: a failure is a `Report`, so that what came before it
        counts.
        """
        ...

    def close(self) -> Sequence[Chunk | Report]:
        """The body has ended: give what was still held back."""
        ...


class Adapter(Protocol):
    """The smallest thing a new provider must write.

    Made as `AdapterType(profile, http_client=...)`, where `http_client` is `None` or an HTTP
    client of the caller's (sync for `Client`, async for `AsyncClient`), which stays the caller's
    to close. Raises `ConfigError` on making where the profile cannot work.
    """

    provider: ClassVar[str]
    """The name on records, and of the entry point."""

    def target(self, model: str) -> Target:
        """Say where a request for this model goes, or raise `ConfigError`. Sends nothing."""
        ...

    def open(self, request: Request) -> ByteStream:
        """Send the request and wait for the response's head.

        Raises `ProviderError` where the provider refuses or cannot be reached.
        """
        ...

    async def aopen(self, request: Request) -> AsyncByteStream:
        """`open` for async code."""
        ...

    def decoder(self, head: Head) -> Decoder:
        """Make a decoder for a response with this head."""
        ...

    def close(self) -> None:
        """Close what `open` keeps between requests."""
        ...

    async def aclose(self) -> None:
        """Close what `aopen` keeps between requests."""
        ...


class AdapterType(Protocol):
    """What an entry point names: in practice, the class of an adapter."""

    @property
    def profile_type(self) -> type[Profile]:
        """The class of its profiles."""
        ...

    def __call__(self, profile: Any, *, http_client: Any = None) -> Adapter:
        """Make an adapter. Raises `ConfigError` where the profile cannot work."""
        ...
