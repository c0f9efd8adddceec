"""A tracked stream asks for usage where it is accepted, and only there."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from usagestream import ConfigError, Outcome, UsageSource
from usagestream_adapters.emulator import REFUSALS, Emulator, Scenario, scenarios
from usagestream_adapters.track import track

from .conftest import Bench, Entered, each, make_client, result

ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello?"}]}


async def read(client: Any, **more: Any) -> list[Any]:
    """Read a stream to its end."""
    asked = {**ASK, "stream": True, **more}
    return await each(await result(client.chat.completions.create(**asked)))


def asked_for(server: Emulator) -> list[Any]:
    """The stream options of each request."""
    return [request.body.get("stream_options") for request in server.requests]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_is_met_by_asking_without(desk: Bench, refusal: str) -> None:
    """Whatever it looks like (WIRE §2.2), the caller does not notice; its usage is unknown."""
    desk.server.script(Scenario(stream_options_refused=refusal), Scenario(text="Hello."))
    items = desk.run(read)
    assert "".join(item.choices[0].delta.content or "" for item in items) == "Hello."
    assert asked_for(desk.server) == [{"include_usage": True}, None]
    record = desk.record
    assert (record.outcome, record.usage.source) == (Outcome.COMPLETED, UsageSource.UNKNOWN)


def test_a_refusal_is_remembered_for_its_model(desk: Bench) -> None:
    """The next stream does not ask; one of another model does."""

    async def way(client: Any) -> None:
        await read(client)
        await read(client)
        await read(client, model="gpt-4o")

    desk.server.script(scenarios.stream_options_refused)
    desk.run(way)
    assert asked_for(desk.server) == [{"include_usage": True}, None, None, {"include_usage": True}]


def test_what_is_refused_the_second_time_is_refused(desk: Bench) -> None:
    """One try without it, and no more."""
    desk.server.script(scenarios.stream_options_refused, scenarios.rate_limited)
    with pytest.raises(openai.RateLimitError):
        desk.run(read)
    assert len(desk.server.requests) == 2
    assert desk.record.outcome == Outcome.REJECTED


def test_a_caller_who_asks_gets_the_refusal(desk: Bench) -> None:
    """What was refused was not ours to take back."""
    desk.server.script(scenarios.stream_options_refused)
    with pytest.raises(openai.BadRequestError):
        desk.run(lambda client: read(client, stream_options={"include_usage": True}))
    assert len(desk.server.requests) == 1


@pytest.mark.parametrize(
    ("more", "sent"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": None}, {"include_usage": True}),
        ({"stream_options": {"include_usage": False}}, {"include_usage": True}),
        (
            {"stream_options": {"include_obfuscation": False}},
            {"include_obfuscation": False, "include_usage": True},
        ),
        (
            {"extra_body": {"stream_options": {"include_obfuscation": False}}},
            {"include_obfuscation": False, "include_usage": True},
        ),
        ({"extra_body": {"stream_options": "strange"}}, "strange"),
        ({"extra_body": {"data_sources": []}}, None),
    ],
)
def test_what_is_sent(desk: Bench, more: dict[str, Any], sent: Any) -> None:
    """The caller's options are kept; On Your Data refuses them (WIRE §2.1)."""
    desk.run(lambda client: read(client, **more))
    assert asked_for(desk.server) == [sent]


def test_early_api_versions_are_not_asked(server: Emulator, asynchronous: bool) -> None:
    """A dated version before the first that takes the option (WIRE §2.1)."""
    bench = Bench(server, "azure-classic", asynchronous)
    bench.run(read, api_version="2024-06-01")
    bench.run(read, api_version="2024-10-21")
    assert asked_for(server) == [None, {"include_usage": True}]
    assert [record.usage.source for record in bench.records] == ["unknown", "reported"]


def test_a_copy_of_a_tracked_client_is_tracked(bench: Bench) -> None:
    """`with_options` and `copy` give tracked clients with the same records."""

    async def way(client: Any) -> None:
        await read(client.with_options(timeout=30))
        await read(client.copy(default_headers={"x-mine": "1"}).with_options(max_retries=1))

    bench.run(way)
    assert [record.outcome for record in bench.records] == ["completed"] * 2
    assert bench.server.requests[1].headers["x-mine"] == "1"


def test_a_copy_with_another_http_client(desk: Bench) -> None:
    """Is tracked too, and uses that one."""

    async def way(client: Any) -> None:
        other = make_client(desk.server, "openai", asynchronous=desk.asynchronous)
        async with Entered(other):
            await read(client.with_options(http_client=other._client))

    desk.run(way)
    assert desk.record.outcome == Outcome.COMPLETED


def test_an_azure_client_keeps_its_address(server: Emulator, asynchronous: bool) -> None:
    """A client of one deployment finds what is in no deployment where it found it before."""

    async def whole() -> None:
        client = make_client(
            server, "azure-classic", asynchronous=asynchronous, azure_deployment="chat-mini"
        )
        async with Entered(client):
            tracked = track(client, on_record=records.append)
            for used in (client, tracked, tracked.with_options(timeout=9)):
                with pytest.raises(openai.NotFoundError):
                    await result(used.models.list())
                await read(used)
            moved = tracked.with_options(base_url=f"{server.url}/openai/deployments/other")
            await read(moved)

    records: list[Any] = []
    asyncio.run(whole())
    assert [request.path for request in server.requests[:6]] == [
        "/openai/models",
        "/openai/deployments/chat-mini/chat/completions",
    ] * 3
    assert server.requests[6].path == "/openai/deployments/other/chat/completions"
    assert [record.deployment for record in records] == ["chat-mini", "chat-mini", "other"]


def test_tags_are_copied(desk: Bench) -> None:
    """Each record has its own."""
    tags = {"team": "search"}

    async def way(client: Any) -> None:
        tracked = track(client, on_record=desk.records.append, tags=tags)
        tags["team"] = "changed"
        await read(tracked)

    desk.run(way, tracked=False)
    assert desk.record.tags == {"team": "search"}


def test_a_tracked_client_is_not_tracked_again(desk: Bench) -> None:
    """Its calls would be counted twice."""

    async def way(client: Any) -> None:
        with pytest.raises(ConfigError, match="tracked already"):
            track(client)

    desk.run(way)
