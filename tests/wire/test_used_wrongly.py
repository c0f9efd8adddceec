"""A client that is closed, or used in another event loop: it works, or says what to do."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from tests._support.sdk_http import client_of, streamed

from usagestream import AsyncClient, Client, ClientClosedError, ConfigError, OpenAIProfile
from usagestream_adapters.emulator import Emulator
from usagestream_adapters.openai import OpenAIAdapter
from usagestream_core.adapter import Request

ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
KEY = "sk-used-wrongly"


@pytest.fixture(scope="module")
def profile() -> Iterator[OpenAIProfile]:
    """One of a server that answers."""
    with Emulator() as server:
        yield OpenAIProfile(api_key=KEY, base_url=server.openai_base_url, max_retries=0)


@pytest.mark.parametrize("used", [False, True])
def test_a_closed_client_says_so(profile: OpenAIProfile, used: bool) -> None:
    """Whether it was used before or not; nothing is sent."""
    client = Client(profile)
    if used:
        client.stream(**ASK).drain()
    client.close()
    with pytest.raises(ClientClosedError, match="make a new one"):
        client.stream(**ASK).drain()


def test_a_closed_async_client_says_so(profile: OpenAIProfile) -> None:
    """As `Client` does."""

    async def whole() -> None:
        async with AsyncClient(profile) as client:
            await client.stream(**ASK).drain()
        with pytest.raises(ClientClosedError):
            await client.stream(**ASK).drain()

    asyncio.run(whole())


def test_a_closed_adapter_says_so(profile: OpenAIProfile) -> None:
    """Also one that is used without a client."""
    adapter = OpenAIAdapter(profile)
    adapter.close()
    with pytest.raises(ClientClosedError):
        adapter.open(Request(model="gpt-4o", params=ASK))


def test_an_http_client_that_is_closed() -> None:
    """It is the one that the caller gave which is named."""
    mine = client_of(lambda _: streamed([]))
    with Client(OpenAIProfile(api_key=KEY), http_client=mine) as client:
        mine.close()
        with pytest.raises(ConfigError, match="The http_client of this client has been closed"):
            client.stream(**ASK).drain()


async def total(client: AsyncClient) -> int | None:
    """What one stream costs."""
    return (await client.stream(**ASK).drain()).total_tokens


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the connections that a dead loop had
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_one_client_in_one_loop_after_the_other(profile: OpenAIProfile, run: Any) -> None:
    """Each has connections of its own."""
    client = AsyncClient(profile)

    async def once() -> int | None:
        return await total(client)

    async def last() -> int | None:
        async with client:
            return await total(client)

    assert run(once) if run is trio.run else run(once())
    assert run(once) if run is trio.run else run(once())
    assert run(last) if run is trio.run else run(last())
    gc.collect()  # what is left of the loops, while its warnings are not looked at


def test_one_client_in_two_loops_at_once(profile: OpenAIProfile) -> None:
    """Neither closes what the other uses."""
    client = AsyncClient(profile)
    turns = [threading.Event() for _ in range(4)]
    totals: list[int | None] = []

    async def here() -> None:
        totals.append(await total(client))
        turns[0].set()
        await asyncio.to_thread(turns[1].wait, 10)
        totals.append(await total(client))
        await client.close()
        turns[2].set()

    async def there() -> None:
        await asyncio.to_thread(turns[0].wait, 10)
        totals.append(await total(client))
        inner = vars(client)["_adapter"]._async_client
        turns[1].set()
        await asyncio.to_thread(turns[2].wait, 10)
        await inner.close()

    thread = threading.Thread(target=lambda: asyncio.run(there()))
    thread.start()
    asyncio.run(here())
    thread.join(60)
    assert len(set(totals)) == 1
    assert len(totals) == 3


def test_an_http_client_of_another_loop() -> None:
    """One of the caller's own cannot be made anew: the error says what to do."""

    def reply(_: Any) -> Any:
        raise RuntimeError("Event loop is closed")

    async def whole() -> None:
        mine = client_of(reply, asynchronous=True)
        async with AsyncClient(OpenAIProfile(api_key=KEY), http_client=mine) as client:
            with pytest.raises(ConfigError, match="Make a client for each loop"):
                await client.stream(**ASK).drain()

    asyncio.run(whole())
