"""Tags of the calls made in a block, of a client, and of one call."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import openai
import pytest

from usagestream import (
    AsyncClient,
    Client,
    Emulator,
    OpenAIProfile,
    UsageRecord,
    meter,
    track,
    usage_tags,
)

ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello?"}]}


def sdk(server: Emulator) -> openai.OpenAI:
    """A client of the SDK."""
    return openai.OpenAI(base_url=server.openai_base_url, api_key="k", max_retries=0)


def drained(client: Client) -> None:
    """One stream, to its end."""
    with client.stream(**ASK) as stream:
        stream.drain()


def test_each_way_of_streaming() -> None:
    """`Client`, a tracked client and `meter` put the block's tags on their records."""
    records: list[UsageRecord] = []
    with Emulator() as server:
        profile = OpenAIProfile(base_url=server.openai_base_url, api_key="k")
        with (
            Client(profile, on_record=records.append) as client,
            sdk(server) as bare,
            usage_tags(customer="acme"),
        ):
            with client.stream(**ASK, tags={"step": "1"}) as stream:
                stream.drain()
            tracked = track(bare, on_record=records.append, tags={"customer": "all", "team": "a"})
            tracked.chat.completions.create(**ASK)
            list(meter(bare.chat.completions.create(**ASK, stream=True), on_record=records.append))
    assert [record.tags for record in records] == [
        {"customer": "acme", "step": "1"},
        {"customer": "acme", "team": "a"},
        {"customer": "acme"},
    ]


def test_blocks_nest() -> None:
    """The inner one wins, the outer one comes back; a call's own tags win over both."""
    records: list[UsageRecord] = []
    with Emulator() as server:
        profile = OpenAIProfile(base_url=server.openai_base_url, api_key="k")
        with Client(profile, on_record=records.append) as client:

            def call(**tags: str) -> dict[str, str]:
                with client.stream(**ASK, tags=tags) as stream:
                    stream.drain()
                return dict(records[-1].tags)

            with usage_tags({"a.b": "1"}, c="2"):
                with usage_tags(c="3", d="4"):
                    assert call() == {"a.b": "1", "c": "3", "d": "4"}
                    assert call(c="5") == {"a.b": "1", "c": "5", "d": "4"}
                assert call() == {"a.b": "1", "c": "2"}
            assert call() == {}


def test_tasks_and_threads_have_their_own() -> None:
    """A task starts with those of whoever started it; what it sets is seen nowhere else."""
    records: list[UsageRecord] = []

    async def one(client: AsyncClient, customer: str) -> None:
        with usage_tags(customer=customer):
            async with client.stream(**ASK) as stream:
                await asyncio.sleep(0)
                await stream.drain()

    async def run(profile: OpenAIProfile) -> None:
        async with AsyncClient(profile, on_record=records.append) as client:
            with usage_tags(team="a"):
                await asyncio.gather(*(one(client, str(number)) for number in range(4)))

    with Emulator() as server:
        profile = OpenAIProfile(base_url=server.openai_base_url, api_key="k")
        asyncio.run(run(profile))
        with Client(profile, on_record=records.append) as client, usage_tags(team="b"):
            thread = threading.Thread(target=lambda: drained(client))
            thread.start()
            thread.join()
    *tasks, threaded = (record.tags for record in records)
    assert sorted(tags["customer"] for tags in tasks) == ["0", "1", "2", "3"]
    assert {tags["team"] for tags in tasks} == {"a"}
    assert threaded == {}


def test_a_copy_with_tags() -> None:
    """One tracked client serves many customers, and a copy of a copy has the tags of both."""
    records: list[UsageRecord] = []
    with Emulator() as server, sdk(server) as bare:
        tracked: Any = track(bare, on_record=records.append, tags={"team": "a"})
        acme = tracked.with_tags(customer="acme")
        for client in (acme, acme.with_tags({"a.b": "1"}, team="b"), acme.with_options(), tracked):
            client.chat.completions.create(**ASK)
    assert [record.tags for record in records] == [
        {"team": "a", "customer": "acme"},
        {"team": "b", "customer": "acme", "a.b": "1"},
        {"team": "a", "customer": "acme"},
        {"team": "a"},
    ]


def test_a_tag_that_is_no_string() -> None:
    """It is said where it is given, and not when the record is made."""
    wrong: Any = 7
    with (
        pytest.raises(TypeError, match="tags are strings; 'customer' is 7"),
        usage_tags(customer=wrong),
    ):
        pass
