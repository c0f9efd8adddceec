"""One way to call an SDK client, sync or async, tracked or bare, on every surface."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest

from usagestream import UsageRecord
from usagestream_adapters.emulator import Emulator
from usagestream_adapters.track import track

# Under a bare `pytest` the project's root is not importable, as it is under `python -m pytest`.
ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.append(ROOT)

KEY = "tracked-key"
SURFACES = ("openai", "azure-classic", "azure-v1")


def make_client(server: Emulator, surface: str, *, asynchronous: bool, **more: Any) -> Any:
    """An SDK client as users make it for this surface."""
    more = {"api_key": KEY, "max_retries": 0, **more}
    if surface == "azure-classic":
        kind: Any = openai.AsyncAzureOpenAI if asynchronous else openai.AzureOpenAI
        address = {"azure_endpoint": server.azure_endpoint, "api_version": "2025-03-01-preview"}
        return kind(**{**address, **more})
    kind = openai.AsyncOpenAI if asynchronous else openai.OpenAI
    base_url = server.openai_base_url if surface == "openai" else server.azure_v1_base_url
    return kind(**{"base_url": base_url, **more})


async def result(value: Any) -> Any:
    """What an async client is awaited for, and a sync one gives at once."""
    return await value if inspect.isawaitable(value) else value


async def each(stream: Any) -> list[Any]:
    """All items of a stream of either kind."""
    if hasattr(stream, "__aiter__"):
        return [item async for item in stream]
    return list(stream)


class Entered:
    """`async with` for context managers of either kind."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager

    async def __aenter__(self) -> Any:
        if hasattr(self._manager, "__aenter__"):
            return await self._manager.__aenter__()
        return self._manager.__enter__()

    async def __aexit__(self, *exc: Any) -> Any:
        if hasattr(self._manager, "__aexit__"):
            return await self._manager.__aexit__(*exc)
        return self._manager.__exit__(*exc)


@dataclass
class Bench:
    """A surface and a kind of client to try things on, and the records that come of it."""

    server: Emulator
    surface: str
    asynchronous: bool
    records: list[UsageRecord] = field(default_factory=list[UsageRecord])

    def run(
        self, way: Callable[[Any], Awaitable[Any]], *, tracked: bool = True, **more: Any
    ) -> Any:
        """Do something with a fresh client."""

        async def whole() -> Any:
            client = make_client(self.server, self.surface, asynchronous=self.asynchronous, **more)
            async with Entered(client):
                used = client
                if tracked:  # without estimates, which have tests of their own
                    used = track(client, on_record=self.records.append, token_counter=None)
                return await way(used)

        return asyncio.run(whole())

    @property
    def record(self) -> UsageRecord:
        """The one record there is."""
        (record,) = self.records
        return record


@pytest.fixture
def server() -> Iterator[Emulator]:
    """An emulator with nothing scripted and nothing logged."""
    with Emulator() as running:
        yield running


@pytest.fixture(params=SURFACES)
def surface(request: pytest.FixtureRequest) -> str:
    """Each surface in turn."""
    return str(request.param)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def asynchronous(request: pytest.FixtureRequest) -> bool:
    """Each kind of client in turn."""
    return bool(request.param)


@pytest.fixture
def bench(server: Emulator, surface: str, asynchronous: bool) -> Bench:
    """Each kind of client on each surface."""
    return Bench(server, surface, asynchronous)


@pytest.fixture
def desk(server: Emulator, asynchronous: bool) -> Bench:
    """Each kind of client, on OpenAI alone."""
    return Bench(server, "openai", asynchronous)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the machine reaches an SDK client."""
    for name in ("OPENAI_API_VERSION", "OPENAI_CUSTOM_HEADERS", "AZURE_OPENAI_AD_TOKEN"):
        monkeypatch.delenv(name, raising=False)
