"""One way to write a test for `Client` and `AsyncClient`: the async one, seen without `await`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from usagestream import AsyncClient, AsyncUsageStream, Chunk, Client, Cost, Usage, UsageRecord
from usagestream import UsageStream as _UsageStream

from .sdk_http import Reply, client_of, streamed

ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}


class Blocking(_UsageStream):
    """An `AsyncUsageStream` driven step by step on an event loop."""

    def __init__(self, inner: AsyncUsageStream, runner: asyncio.Runner) -> None:
        self.inner = inner
        self._runner = runner

    @property
    def usage(self) -> Usage:
        return self.inner.usage

    @property
    def so_far(self) -> Usage:
        return self.inner.so_far

    @property
    def cost(self) -> Cost | None:
        return self.inner.cost

    @property
    def record(self) -> UsageRecord:
        return self.inner.record

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        async def step() -> Chunk | None:
            try:
                return await anext(self.inner)
            except StopAsyncIteration:
                return None

        chunk = self._runner.run(step())
        if chunk is None:
            raise StopIteration
        return chunk

    def __enter__(self) -> Self:
        async def enter() -> None:
            await self.inner.__aenter__()

        self._runner.run(enter())
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        async def leave() -> None:
            await self.inner.__aexit__(exc_type, exc, traceback)

        self._runner.run(leave())

    def text(self) -> str:
        async def read() -> str:
            return await self.inner.text()

        return self._runner.run(read())

    def drain(self, timeout: float | None = None) -> Usage:
        async def read() -> Usage:
            return await self.inner.drain(timeout)

        return self._runner.run(read())

    def recover(self, *, cancel: bool = False, timeout: float = 0.0) -> UsageRecord:
        async def ask() -> UsageRecord:
            return await self.inner.recover(cancel=cancel, timeout=timeout)

        return self._runner.run(ask())

    def close(self) -> None:
        async def leave() -> None:
            await self.inner.close()

        self._runner.run(leave())


class World:
    """Makes clients and streams of one kind, and looks alike for both."""

    def __init__(self, runner: asyncio.Runner | None) -> None:
        self._runner = runner
        self.asynchronous = runner is not None
        self.records: list[UsageRecord] = []
        self._open: list[Any] = []

    def kept(self, client: Any) -> Any:
        """Close this client, sync or async, when the world ends."""
        self._open.append(client)
        return client

    def close(self) -> None:
        """Close what is kept, the last first."""
        while self._open:
            client = self._open.pop()
            if self._runner is None:
                client.close()
            else:
                self._runner.run(_closing(client))

    def stream(
        self,
        profile: Any,
        *,
        http_client: Any = None,
        on_record: Callable[[UsageRecord], object] | None = None,
        tags: Mapping[str, str] | None = None,
        token_counter: Any = None,
        pricer: Any = "auto",
        **params: Any,
    ) -> _UsageStream:
        """A stream of a fresh client; its records are kept in `records`."""
        asked = params or ASK
        options: dict[str, Any] = {
            "on_record": on_record or self.records.append,
            "http_client": http_client,
            "token_counter": token_counter,
            "pricer": pricer,
        }
        if self._runner is None:
            client = Client(profile, **options)
            self.kept(client)
            ask = client.responses.stream if "input" in asked else client.stream
            return ask(tags=tags, **asked)
        other = AsyncClient(profile, **options)
        self.kept(other)
        aask = other.responses.stream if "input" in asked else other.stream
        return Blocking(aask(tags=tags, **asked), self._runner)

    def ask(self, profile: Any, reply: Reply, **params: Any) -> _UsageStream:
        """A stream whose requests a function answers."""
        client = client_of(reply, asynchronous=self.asynchronous)
        return self.stream(profile, http_client=client, **params)

    def replay(self, profile: Any, reads: Sequence[bytes], **reply: Any) -> _UsageStream:
        """A stream that is answered with this body."""
        return self.ask(profile, lambda _: streamed(reads, asynchronous=self.asynchronous, **reply))


async def _closing(client: Any) -> None:
    await (client.aclose() if hasattr(client, "aclose") else client.close())


@contextmanager
def make_world(*, asynchronous: bool) -> Generator[World]:
    """A world, and its event loop if it needs one."""
    with asyncio.Runner() as runner:
        world = World(runner if asynchronous else None)
        yield world
        world.close()
