"""A `World` for real sockets: its clients are closed when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from usagestream import AsyncClient, Client, UsageRecord
from usagestream import UsageStream as _UsageStream

from .worlds import ASK, Blocking, World


class ClosingWorld(World):
    """Keeps one client for each profile, so that what a client remembers can be seen."""

    def __init__(self, runner: asyncio.Runner | None) -> None:
        super().__init__(runner)
        self._clients: list[tuple[Any, Any]] = []

    def stream(
        self,
        profile: Any,
        *,
        http_client: Any = None,
        on_record: Callable[[UsageRecord], object] | None = None,
        tags: Mapping[str, str] | None = None,
        **params: Any,
    ) -> _UsageStream:
        asked = params or ASK
        client: Any = next((made for known, made in self._clients if known is profile), None)
        if client is None:
            kind: Any = Client if self._runner is None else AsyncClient
            client = kind(profile, on_record=self.records.append, http_client=http_client)
            self._clients.append((profile, client))
        stream: Any = client.stream(tags=tags, **asked)
        return stream if self._runner is None else Blocking(stream, self._runner)

    def close(self) -> None:
        """Close every client."""
        for _, client in self._clients:
            if self._runner is None:
                client.close()
            else:
                self._runner.run(client.close())


@contextmanager
def closing_world(*, asynchronous: bool) -> Generator[ClosingWorld]:
    """A world, and its event loop if it needs one."""
    runner = asyncio.Runner() if asynchronous else None
    world = ClosingWorld(runner)
    try:
        yield world
    finally:
        world.close()
        if runner is not None:
            runner.close()
