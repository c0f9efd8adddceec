"""The aiohttp transport of the SDK: the same endings, by a profile's one word."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import openai as sdk
import pytest
from tests._support.sdk_http import OPENAI_3

from usagestream import (
    AsyncClient,
    Client,
    ConfigError,
    Outcome,
    StreamInterruptedError,
    StreamTruncatedError,
    UsageRecord,
    UsageSource,
)
from usagestream_adapters.emulator import Emulator, Scenario

from .conftest import QUESTION, azure, openai

PROVIDERS = {"openai": openai, "azure": azure}
TEXT = "one two three"


async def ask(profile: Any, **params: Any) -> tuple[list[str], UsageRecord]:
    """Read a stream as far as it goes."""
    records: list[UsageRecord] = []
    async with (
        AsyncClient(profile, on_record=records.append, token_counter=None) as client,
        client.stream(model="gpt-4o-mini", messages=QUESTION, **params) as stream,
    ):
        inner = vars(client)["_adapter"]._async_client._client
        assert "Aio" in type(inner).__name__
        texts = [chunk.text async for chunk in stream]
    (record,) = records
    return texts, record


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_stream_is_the_same(server: Emulator, provider: str) -> None:
    """Text, usage, ids."""
    server.script(Scenario(text=TEXT))
    profile = PROVIDERS[provider](server, async_http="aiohttp")
    texts, record = asyncio.run(ask(profile))
    assert "".join(texts) == TEXT
    assert record.usage.source is UsageSource.REPORTED
    assert record.outcome is Outcome.COMPLETED
    assert record.request_ids


@pytest.mark.parametrize(
    ("cut", "error"),
    [
        ("clean", StreamTruncatedError),
        ("drop", StreamInterruptedError),
        ("reset", StreamInterruptedError),
        ("stall", StreamInterruptedError),
    ],
)
def test_a_cut_stream_ends_badly(server: Emulator, cut: Any, error: type[Exception]) -> None:
    """Whatever cuts it."""
    server.script(Scenario(text=TEXT, cut_after_frames=3, cut=cut))
    profile = openai(server, async_http="aiohttp", timeout=1.0)
    with pytest.raises(error) as caught:
        asyncio.run(ask(profile))
    assert caught.value.record.outcome is Outcome.TRUNCATED  # type: ignore[attr-defined]
    assert server.wait_idle()


def test_a_stream_that_is_left_lets_go(server: Emulator) -> None:
    """The server sees its client leave."""
    server.script(Scenario(text=TEXT, delay=0.2))

    async def leave() -> None:
        async with AsyncClient(openai(server, async_http="aiohttp")) as client:
            async with client.stream(model="gpt-4o-mini", messages=QUESTION) as stream:
                await anext(stream)
            assert server.wait_idle()

    asyncio.run(leave())


def test_a_cancelled_task_lets_go(server: Emulator) -> None:
    """As with the default transport."""
    server.script(Scenario(text=TEXT, cut_after_frames=2, cut="stall"))
    records: list[UsageRecord] = []

    async def read(client: AsyncClient) -> None:
        async with client.stream(model="gpt-4o-mini", messages=QUESTION) as stream:
            async for _ in stream:
                pass

    async def cancel() -> None:
        profile = openai(server, async_http="aiohttp")
        async with AsyncClient(profile, on_record=records.append) as client:
            task = asyncio.create_task(read(client))
            await asyncio.sleep(0.3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert server.wait_idle()

    asyncio.run(cancel())
    assert [record.outcome for record in records] == [Outcome.CANCELLED]


@pytest.mark.skipif(not OPENAI_3, reason="below version 3 the transport lets go with the client")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_dropped_stream_is_let_go(server: Emulator) -> None:
    """Although the client stays open, the provider need not go on writing."""
    server.script(Scenario(text="word " * 100, delay=0.05))

    async def main() -> None:
        async with AsyncClient(openai(server, async_http="aiohttp")) as client:
            async for _ in client.stream(model="gpt-4o-mini", messages=QUESTION):
                break
            gc.collect()
            assert await asyncio.to_thread(server.wait_idle)

    asyncio.run(main())


def test_a_sync_client_does_not_mind(server: Emulator) -> None:
    """One profile serves both."""
    with Client(openai(server, async_http="aiohttp")) as client:
        assert client.stream(model="gpt-4o-mini", messages=QUESTION).drain().total_tokens


def test_without_the_extra(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install, before anything is sent."""

    def missing() -> None:
        raise RuntimeError("You must have installed the extra")

    name = (
        "DefaultAioHttpClient" if hasattr(sdk, "DefaultAioHttpClient") else "DefaultAioHttpxClient"
    )
    monkeypatch.setattr(sdk, name, missing)
    before = len(server.requests)
    with pytest.raises(ConfigError, match=r'pip install "usagestream\[aiohttp\]"'):
        asyncio.run(ask(openai(server, async_http="aiohttp")))
    assert len(server.requests) == before
