"""The stream a consumer holds, as two protocols: sync and async."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from ..chunk import Chunk
from ..cost import Cost
from ..record import UsageRecord
from ..usage import Usage

__all__ = ["AsyncUsageStream", "UsageStream"]


@runtime_checkable
class UsageStream(Protocol):
    """A streamed answer that ends with what it used, and what that cost.

    The request is sent on entering the `with` block, or on the first chunk. Read to the end, the
    last chunk, and only it, has `usage`. However the stream ends, it leaves exactly one `record`.

    Leaving early closes the connection, so that the provider stops writing. Leaving after the last
    finish reason reads the frame or two that are left, for the usage in them costs nothing then.
    """

    @property
    def usage(self) -> Usage:
        """What is known now; final once the stream has ended. Never `None`: see `Usage.source`."""
        ...

    @property
    def so_far(self) -> Usage:
        """`usage`, with an estimate of what was not reported until now: `Usage.source` says which.

        Cheap to ask for at every chunk: counts only what is new. Without a token counter it is
        `usage`. To be asked for by one thread.
        """
        ...

    @property
    def cost(self) -> Cost | None:
        """What the stream has cost: that of its record, once it has ended.

        Until then an estimate of what it would cost to stop here, marked as one. It counts what was
        written anew each time it is asked: not for every chunk of a long answer. `None` where no
        price is known, or nothing can be counted.
        """
        ...

    @property
    def record(self) -> UsageRecord:
        """The accounting record. Raises `StreamNotEndedError` until the stream has ended."""
        ...

    def __iter__(self) -> Iterator[Chunk]: ...

    def __next__(self) -> Chunk:
        """Wait for the next chunk.

        Raises `ProviderError` if the stream cannot be opened, `StreamError` if it ends badly.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def text(self) -> str:
        """Read to the end and return the text of the first choice that had not been read yet."""
        ...

    def drain(self, timeout: float | None = None) -> Usage:
        """Read to the end, drop what comes, and return the usage: the provider's own figure.

        The provider goes on writing, and billing. After `timeout` seconds the stream is closed, and
        the usage is what is known then: `Usage.source` says whether it is an estimate.
        """
        ...

    def recover(self, *, cancel: bool = False, timeout: float = 0.0) -> UsageRecord:
        """Ask the provider for the usage of an answer that it kept, once the stream has ended.

        `record` and `usage` are what it gives from then on; see `UsageRecord.recover`.
        """
        ...

    def close(self) -> None:
        """Stop here and let the connection go. Does nothing to a stream that has ended."""
        ...


@runtime_checkable
class AsyncUsageStream(Protocol):
    """`UsageStream` for async code: the same, with `async for`, `async with` and `await`."""

    @property
    def usage(self) -> Usage:
        """What is known now; final once the stream has ended. Never `None`: see `Usage.source`."""
        ...

    @property
    def so_far(self) -> Usage:
        """`usage`, with an estimate of what was not reported until now, as for `UsageStream`."""
        ...

    @property
    def cost(self) -> Cost | None:
        """What the stream has cost; until it has ended, an estimate of stopping here.

        `None` where no price is known, or nothing can be counted. See `UsageStream.cost`.
        """
        ...

    @property
    def record(self) -> UsageRecord:
        """The accounting record. Raises `StreamNotEndedError` until the stream has ended."""
        ...

    def __aiter__(self) -> AsyncIterator[Chunk]: ...

    async def __anext__(self) -> Chunk:
        """Wait for the next chunk.

        Raises `ProviderError` if the stream cannot be opened, `StreamError` if it ends badly.
        """
        ...

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    async def text(self) -> str:
        """Read to the end and return the text of the first choice that had not been read yet."""
        ...

    async def drain(self, timeout: float | None = None) -> Usage:  # noqa: ASYNC109
        """Read to the end, drop what comes, and return the usage: the provider's own figure.

        The provider goes on writing, and billing. After `timeout` seconds the stream is closed, and
        the usage is what is known then: `Usage.source` says whether it is an estimate.
        """
        ...

    async def recover(
        self,
        *,
        cancel: bool = False,
        timeout: float = 0.0,  # noqa: ASYNC109
    ) -> UsageRecord:
        """Ask the provider for the usage of an answer that it kept, once the stream has ended.

        `record` and `usage` are what it gives from then on; see `UsageRecord.recover`.
        """
        ...

    async def close(self) -> None:
        """Stop here and let the connection go. Does nothing to a stream that has ended."""
        ...
