"""What a stream that was cut has cost, asked for afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr
from tests._support.fakes import FakeAdapter
from tests._support.sdk_http import client_of
from tests._support.worlds import World, make_world

from usagestream import (
    AsyncClient,
    AuthenticationError,
    Client,
    Outcome,
    Profile,
    RecoveryError,
    StreamTruncatedError,
    UsageRecord,
    UsageSource,
    UsageStream,
)
from usagestream_adapters.azure import AzureProfile
from usagestream_adapters.emulator import Emulator, Scenario
from usagestream_adapters.openai import OpenAIProfile
from usagestream_adapters.track import track

CUT = Scenario(text="One two three", reasoning_tokens=7, cut_after_frames=3)
ASK: dict[str, Any] = {"model": "gpt-4o-mini", "input": "Count."}
CHAT: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Count."}],
    "store": True,
}


ZEROS = '{"input_tokens":0,"output_tokens":0,"total_tokens":0}'


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    """The emulator, for all of these tests."""
    with Emulator() as running:
        yield running


@pytest.fixture(params=["sync", "async"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Each kind of client in turn."""
    with make_world(asynchronous=request.param == "async") as made:
        yield made


def profile(server: Emulator, surface: str = "openai", **more: Any) -> Profile:
    """Make a profile of a surface."""
    if surface == "openai":
        key = more.pop("key", "recover-suite-key")
        return OpenAIProfile(api_key=key, base_url=server.openai_base_url, max_retries=0, **more)
    if "credential" not in more:
        more["api_key"] = SecretStr("recover-suite-key")
    return AzureProfile(
        endpoint=server.azure_endpoint,
        api_version="v1" if surface == "azure-v1" else "2025-03-01-preview",
        deployments={"gpt-4o-mini": "chat-mini"},
        max_retries=0,
        **more,
    )


def cut(world: World, made: Profile, **params: Any) -> UsageStream:
    """A stream that has broken off."""
    stream = world.stream(made, **params)
    with pytest.raises(StreamTruncatedError):
        stream.drain()
    return stream


SURFACES = ["openai", "azure-v1", "azure-preview"]


@pytest.mark.parametrize("surface", SURFACES)
def test_a_cut_response_is_settled(world: World, server: Emulator, surface: str) -> None:
    """The provider's own figure, under the same id."""
    server.script(CUT)
    stream = cut(world, profile(server, surface), **ASK)
    before = stream.record
    assert before is not None
    assert before.api == "responses"
    assert before.usage.source is UsageSource.UNKNOWN
    after = stream.recover()
    assert after is stream.record
    assert after.id == before.id
    assert after.outcome is Outcome.TRUNCATED
    assert after.recovered
    assert after.usage == stream.usage
    assert after.usage.source is UsageSource.REPORTED
    assert after.usage.reasoning_tokens == 7
    assert after.usage.total_tokens == sum(
        count or 0 for count in (after.usage.input_tokens, after.usage.output_tokens)
    )
    assert after.wire_usage
    assert len(world.records) == 1
    assert UsageRecord.model_validate_json(after.model_dump_json()) == after
    asked = len(server.requests)
    assert stream.recover() is after
    assert len(server.requests) == asked


def test_a_stored_chat_completion_is_settled(world: World, server: Emulator) -> None:
    """One that was asked for with `store=True`."""
    server.script(CUT)
    stream = cut(world, profile(server), **CHAT)
    after = stream.recover()
    assert after.api == "chat"
    assert after.usage.source is UsageSource.REPORTED
    assert after.usage.reasoning_tokens == 7


@pytest.mark.parametrize("asked", [{**CHAT, "store": False}, {**ASK, "store": False}])
def test_what_was_not_stored(world: World, server: Emulator, asked: dict[str, Any]) -> None:
    """The error says what would have been needed, and the record stays."""
    server.script(CUT)
    stream = cut(world, profile(server), **asked)
    before = stream.record
    with pytest.raises(RecoveryError, match=r"openai has no answer \w+-?\w+: .* store=True"):
        stream.recover()
    assert stream.record is before


@pytest.mark.slow
def test_what_is_still_written_is_waited_for(world: World, server: Emulator) -> None:
    """For as long as the caller likes."""
    server.script(Scenario(text="Two", cut_after_frames=3, unfinished_retrievals=1))
    stream = cut(world, profile(server), **ASK, background=True)
    with pytest.raises(RecoveryError, match="is still 'in_progress'"):
        stream.recover()
    server.script(Scenario(text="Two", cut_after_frames=3, unfinished_retrievals=2))
    stream = cut(world, profile(server), **ASK, background=True)
    begun = time.monotonic()
    assert stream.recover(timeout=60).usage.source is UsageSource.REPORTED
    assert 1.0 < time.monotonic() - begun < 30


def test_what_is_still_written_is_cancelled(world: World, server: Emulator) -> None:
    """It reports no usage then: what is known stays."""
    server.script(Scenario(text="Two", cut_after_frames=3, unfinished_retrievals=9))
    stream = cut(world, profile(server), **ASK, background=True)
    before = stream.record
    assert before is not None
    after = stream.recover(cancel=True)
    assert server.requests[-1].path.endswith("/cancel")
    assert after.usage == before.usage
    assert after.recovered


def test_a_record_is_enough(server: Emulator) -> None:
    """Read from a file, say, and with a client made since: sync or async."""
    server.script(CUT)
    with make_world(asynchronous=False) as world:
        cut(world, profile(server), **ASK)
        record = UsageRecord.model_validate_json(world.records[0].model_dump_json())
    with Client(profile(server)) as client:
        after = record.recover(client)

    async def arecover() -> UsageRecord:
        async with AsyncClient(profile(server)) as client:
            return await record.recover(client)

    assert after.usage.source is UsageSource.REPORTED
    assert asyncio.run(arecover()) == after


def test_of_a_tracked_client(server: Emulator) -> None:
    """Its records are like any other."""
    from openai import OpenAI

    server.script(CUT)
    records: list[UsageRecord] = []
    with OpenAI(api_key="key", base_url=server.openai_base_url) as inner:
        client = track(inner, on_record=records.append)
        for _ in client.responses.create(**ASK, stream=True):
            pass
    (record,) = records
    assert record.outcome is Outcome.TRUNCATED
    with Client(profile(server)) as ours:
        assert record.recover(ours).usage.source is UsageSource.REPORTED


def test_a_refused_token_is_renewed_once(world: World, server: Emulator) -> None:
    """As it is for a stream."""
    tokens = iter(["good-token", "expired-token", "new-token", "expired-1", "expired-2"])
    held = [next(tokens)]
    made = profile(server, "azure-v1", credential=lambda: held[0])
    server.script(CUT)
    stream = cut(world, made, **ASK)
    fresh = profile(server, "azure-v1", credential=lambda: next(tokens))
    if world.asynchronous:
        record = stream.record

        async def ask() -> UsageRecord:
            async with AsyncClient(fresh) as client:
                return await record.recover(client)

        assert asyncio.run(ask()).recovered
        with pytest.raises(AuthenticationError):
            asyncio.run(ask())
        return
    with Client(fresh) as client:
        assert stream.record.recover(client).recovered
    with Client(fresh) as client, pytest.raises(AuthenticationError):
        stream.record.recover(client)


def test_a_key_that_is_refused(server: Emulator) -> None:
    """A typed error, as for a stream."""
    server.script(CUT)
    with make_world(asynchronous=False) as world:
        stream = cut(world, profile(server), **ASK)
    for surface in ("openai", "azure-v1"):
        made = profile(server, "openai", key="wrong-key")
        if surface != "openai":
            made = profile(server, surface, credential=lambda: "wrong-token")
        with Client(made) as client, pytest.raises(AuthenticationError):
            stream.record.recover(client)


class TestNothingIsAsked:
    """Where it is known beforehand that it would be in vain."""

    def test_before_the_end(self, world: World, server: Emulator) -> None:
        stream = world.stream(profile(server), **ASK)
        next(iter(stream))
        with pytest.raises(RecoveryError, match="has not ended"):
            stream.recover()
        stream.close()

    def test_without_an_id(self, world: World, server: Emulator) -> None:
        server.script(Scenario(body="<html>", content_type="text/html"))
        stream = world.stream(profile(server), **ASK)
        with pytest.raises(Exception, match="html"):
            stream.drain()
        with pytest.raises(RecoveryError, match="before the provider gave it an id"):
            stream.recover()

    def test_an_adapter_that_cannot(self) -> None:
        adapter = FakeAdapter()
        adapter.reads = adapter.reads[:0] or [b'data: {"id":"1","choices":[]}\n\n']
        with Client(adapter, token_counter=None) as client:
            stream = client.stream(**CHAT)
            with pytest.raises(StreamTruncatedError):
                stream.drain()
            with pytest.raises(RecoveryError, match="adapter 'fake' cannot ask"):
                stream.recover()

    def test_at_another_address(self, server: Emulator) -> None:
        server.script(CUT)
        with make_world(asynchronous=False) as world:
            record = cut(world, profile(server), **ASK).record
        assert record is not None
        made = OpenAIProfile(api_key="key", base_url="https://elsewhere.example/v1")
        with (
            Client(made) as client,
            pytest.raises(RecoveryError, match="this client asks elsewhere"),
        ):
            record.recover(client)

    def test_to_cancel_a_chat_completion(self, world: World, server: Emulator) -> None:
        server.script(CUT)
        stream = cut(world, profile(server), **CHAT)
        with pytest.raises(RecoveryError, match="cannot be cancelled"):
            stream.recover(cancel=True)


@pytest.mark.parametrize(
    ("body", "source", "anomaly"),
    [
        ('{"id":"resp_1","status":"failed","usage":null,"output":[]}', "unknown", False),
        (
            f'{{"id":"resp_1","status":"incomplete","output":[{{}}],"usage":{ZEROS}}}',
            "unknown",
            True,
        ),
        (
            f'{{"id":"resp_1","status":"incomplete","output":[],"usage":{ZEROS}}}',
            "reported",
            False,
        ),
    ],
)
def test_what_is_not_believed(
    world: World, server: Emulator, body: str, source: str, *, anomaly: bool
) -> None:
    """Null is unknown; zeros beside output are an anomaly, as at a stream's end."""
    record = _record(world, server)
    after = _answered(world, record, body)
    assert after.usage.source == source
    assert bool(after.anomalies) is anomaly
    assert after.recovered


@pytest.mark.parametrize("body", ["<html>", "[]"])
def test_what_is_no_answer(world: World, server: Emulator, body: str) -> None:
    """A proxy's page is not a figure."""
    record = _record(world, server)
    with pytest.raises(RecoveryError, match="is no JSON object"):
        _answered(world, record, body)


def test_a_key_that_is_echoed_in_what_is_kept(world: World, server: Emulator) -> None:
    """It is covered in all that the record takes of it."""
    key = "recover-suite-key"
    usage = f'{{"input_tokens":"7 {key}","output_tokens":2,"{key}":"{key}"}}'
    body = f'{{"status":"completed","model":"{key}","service_tier":"{key}","usage":{usage}}}'
    record = _answered(world, _record(world, server), body)
    assert record.recovered
    assert key not in record.model_dump_json()
    assert record.response_model == record.service_tier == "***"


def _record(world: World, server: Emulator) -> UsageRecord:
    server.script(CUT)
    record = cut(world, profile(server), **ASK).record
    assert record is not None
    return record


def _answered(world: World, record: UsageRecord, body: str) -> UsageRecord:
    """Recover with a client that gets this body."""
    from tests._support.sdk_http import http

    def reply(_: Any) -> Any:
        return http.Response(200, text=body, headers={"content-type": "application/json"})

    made = OpenAIProfile(api_key="recover-suite-key", base_url=f"http://{record.endpoint}/v1")
    http_client = client_of(reply, asynchronous=world.asynchronous)
    if not world.asynchronous:
        with Client(made, http_client=http_client) as client:
            return record.recover(client)

    async def ask() -> UsageRecord:
        async with AsyncClient(made, http_client=http_client) as client:
            return await record.recover(client)

    return asyncio.run(ask())
