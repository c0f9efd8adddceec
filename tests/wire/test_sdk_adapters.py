"""The adapters: profiles, addresses, credentials and what is put on the wire."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import copy
import gzip
import json
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from tests._support.chat import HELLO, USAGE
from tests._support.sdk_http import client_of, http, streamed
from tests._support.worlds import ASK, World

from usagestream import AsyncClient, Client, ConfigError, Profile, StreamInterruptedError
from usagestream_adapters.azure import AzureAdapter, AzureProfile
from usagestream_adapters.azure._surface import Surface, find_surface
from usagestream_adapters.openai import OpenAIAdapter, OpenAIProfile
from usagestream_adapters.sdk.adapter import SdkAdapter
from usagestream_adapters.sdk.addresses import host_of, split_url
from usagestream_adapters.sdk.service import Service
from usagestream_core.adapter import Target

KEY = SecretStr("sk-secret-0123456789")
OPENAI = OpenAIProfile(api_key=KEY, base_url="http://provider.test/v1")
CLASSIC = AzureProfile(
    endpoint="https://contoso.openai.azure.com",
    api_version="2024-10-21",
    api_key=KEY,
    deployments={"gpt-4o-mini": "chat-mini-prod"},
)
V1 = CLASSIC.model_copy(update={"api_version": "v1"})


def sent_by(world: World, profile: Any, **params: Any) -> Any:
    """The one request that a stream makes."""
    seen: list[Any] = []

    def reply(request: Any) -> Any:
        seen.append(request)
        return streamed([HELLO], asynchronous=world.asynchronous)

    world.ask(profile, reply, **params).drain()
    (request,) = seen
    return request


# --- addresses


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://api.openai.com/v1", "api.openai.com"),
        ("api.openai.com", "api.openai.com"),
        ("  HTTP://User:pw@LocalHost:8080/v1 ", "localhost:8080"),
        ("https://[::1]:80/", "[::1]:80"),
    ],
)
def test_the_host_of_an_address(url: str, host: str) -> None:
    """With its port, in lower case, and without a password."""
    assert host_of(url, "base_url") == host


@pytest.mark.parametrize("url", ["", "ftp://x", "https://", "https://[bad", "file:///x"])
def test_what_is_no_address(url: str) -> None:
    """The setting is named."""
    with pytest.raises(ConfigError, match="base_url must be an address"):
        split_url(url, "base_url")


ROOT = "https://contoso.openai.azure.com"


@pytest.mark.parametrize(
    ("endpoint", "version", "fallback", "expected"),
    [
        (ROOT, None, None, (ROOT, None)),
        (ROOT + "/", "v1", "2024-10-21", (ROOT, None)),
        (ROOT + "/openai", "2024-10-21", None, (ROOT, "2024-10-21")),
        (ROOT + "/openai/v1", None, "2024-10-21", (ROOT, None)),
        (ROOT + "/openai/v1/chat/completions", None, None, (ROOT, None)),
        (ROOT + "/openai/v10", None, "2024-10-21", (ROOT, "2024-10-21")),
        (ROOT, None, "2024-10-01-preview", (ROOT, "2024-10-01-preview")),
        (ROOT + "/gw/openai/v1/", None, None, (ROOT + "/gw", None)),
        (ROOT + "/openai-gateway", None, None, (ROOT + "/openai-gateway", None)),
        ("contoso.openai.azure.com", None, None, (ROOT, None)),
    ],
)
def test_an_azure_endpoint_as_users_paste_it(
    endpoint: str, version: str | None, fallback: str | None, expected: tuple[str, str | None]
) -> None:
    """Whatever was copied from the portal, the root and the surface are found."""
    root, found = expected
    surface = find_surface(endpoint, version, fallback=fallback)
    assert surface == Surface(root=root, host="contoso.openai.azure.com", api_version=found)
    assert surface.v1_base_url == f"{root}/openai/v1/"


@pytest.mark.parametrize(
    ("endpoint", "version", "message"),
    [
        (ROOT, "preview", "must be 'v1' or a date"),
        (ROOT, "2024-10-21-beta", "must be 'v1' or a date"),
        (ROOT + "/openai/v1", "2024-10-21", "takes no dated api version"),
        ("ftp://x", None, "endpoint must be an address"),
    ],
)
def test_an_azure_endpoint_that_cannot_work(
    endpoint: str, version: str | None, message: str
) -> None:
    """The mistake is named before anything is sent."""
    with pytest.raises(ConfigError, match=message):
        find_surface(endpoint, version)


@pytest.mark.parametrize(
    ("profile", "url", "model"),
    [
        (OPENAI, "http://provider.test/v1/chat/completions", "gpt-4o-mini"),
        (
            CLASSIC,
            f"{ROOT}/openai/deployments/chat-mini-prod/chat/completions?api-version=2024-10-21",
            "chat-mini-prod",
        ),
        (V1, f"{ROOT}/openai/v1/chat/completions", "chat-mini-prod"),
    ],
    ids=["openai", "classic", "v1"],
)
def test_where_a_request_goes(world: World, profile: Profile, url: str, model: str) -> None:
    """Address, deployment and body of each surface (WIRE §2.3)."""
    request = sent_by(world, profile)
    assert str(request.url) == url
    assert json.loads(request.content) == {
        "model": model,
        "messages": ASK["messages"],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("profile", "header", "value"),
    [
        (OPENAI, "authorization", f"Bearer {KEY.get_secret_value()}"),
        (CLASSIC, "api-key", KEY.get_secret_value()),
        (V1, "authorization", f"Bearer {KEY.get_secret_value()}"),
    ],
    ids=["openai", "classic", "v1"],
)
def test_how_the_key_is_sent(world: World, profile: Profile, header: str, value: str) -> None:
    """Where each surface wants it (WIRE §3.1)."""
    assert sent_by(world, profile).headers[header] == value


@pytest.mark.parametrize("profile", [OPENAI, CLASSIC, V1], ids=["openai", "classic", "v1"])
def test_invariant_7_no_repr_shows_the_key(profile: Profile) -> None:
    """Neither a profile's nor a client's."""
    assert KEY.get_secret_value() not in f"{profile!r} {profile!s} {Client(profile)!r}"


# --- usage options


@pytest.mark.parametrize(
    ("setting", "options", "expected"),
    [
        ("auto", None, {"include_usage": True}),
        ("always", {"include_usage": False}, {"include_usage": True}),
        ("auto", {"include_obfuscation": False},
         {"include_obfuscation": False, "include_usage": True}),
        ("never", {"include_obfuscation": False}, {"include_obfuscation": False}),
        ("never", None, None),
    ],
)  # fmt: skip
def test_stream_options(world: World, setting: Any, options: Any, expected: Any) -> None:
    """The caller's keys survive, `include_usage` is ours, and the caller's dict is not touched."""
    asked = {**ASK, **({"stream_options": options} if options else {})}
    before = copy.deepcopy(asked)
    request = sent_by(world, OPENAI.model_copy(update={"include_usage": setting}), **asked)
    assert json.loads(request.content).get("stream_options") == expected
    assert asked == before


# --- the response


def test_the_head_of_a_response_is_on_the_record(world: World) -> None:
    """The served model stands in where no frame names one."""
    headers = {
        "x-request-id": "r",
        "apim-request-id": "a",
        "x-ms-served-model": "gpt-5.2-2025-12-11",
        "content-type": "text/event-stream",
    }
    stream = world.replay(CLASSIC, [b"data: [DONE]\n\n"], headers=headers)
    stream.drain()
    record = stream.record
    assert record is not None
    assert record.request_ids == {"x-request-id": "r", "apim-request-id": "a"}
    assert (record.response_model, record.deployment) == ("gpt-5.2-2025-12-11", "chat-mini-prod")
    assert record.endpoint == "contoso.openai.azure.com"


def test_a_compressed_body_is_decompressed(world: World) -> None:
    """Some gateways compress event streams."""
    headers = {"content-encoding": "gzip", "content-type": "text/event-stream"}
    assert world.replay(OPENAI, [gzip.compress(HELLO)], headers=headers).text() == "Hello"


def test_a_body_that_does_not_decompress_is_interrupted(world: World) -> None:
    """The transport's exception is the cause, as for any other break."""
    headers = {"content-encoding": "gzip", "content-type": "text/event-stream"}
    with pytest.raises(StreamInterruptedError) as caught:
        world.replay(OPENAI, [b"not gzip"], headers=headers).drain()
    assert isinstance(caught.value.__cause__, http.DecodingError)


def test_invariant_4_same_work_same_usage(world: World) -> None:
    """One exchange through each surface gives equal chunks, text and usage."""
    results = [list(world.replay(profile, [HELLO])) for profile in (OPENAI, CLASSIC, V1)]
    assert results[0] == results[1] == results[2]
    assert results[0][-1].usage is not None
    assert [record.wire_usage for record in world.records] == [USAGE] * 3


# --- profiles


def test_openai_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the SDK reads is read."""
    environ = {
        "OPENAI_API_KEY": "k",
        "OPENAI_BASE_URL": "http://here/v1",
        "OPENAI_ORG_ID": "o",
        "OPENAI_PROJECT_ID": "p",
    }
    assert OpenAIProfile.from_environment(environ) == OpenAIProfile(
        name="openai",
        api_key=SecretStr("k"),
        base_url="http://here/v1",
        organization="o",
        project="p",
    )
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert OpenAIAdapter(OpenAIProfile()).target("m") == Target(endpoint="api.openai.com")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://here:1/v1")
    assert OpenAIAdapter(OpenAIProfile()).target("m") == Target(endpoint="here:1")


def test_azure_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of the SDK's own Azure client are enough."""
    environ = {"AZURE_OPENAI_ENDPOINT": ROOT, "AZURE_OPENAI_API_KEY": "k"}
    assert AzureProfile.from_environment(environ) == AzureProfile(
        name="azure", endpoint=ROOT, api_key=SecretStr("k")
    )
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    target = Target(endpoint="contoso.openai.azure.com", deployment="m")
    assert AzureAdapter(AzureProfile()).target("m") == target


@pytest.mark.parametrize(
    ("profile", "variable"),
    [
        (OpenAIProfile(), "OPENAI_API_KEY"),
        (OpenAIProfile(api_key=SecretStr("")), "OPENAI_API_KEY"),
        (AzureProfile(), "AZURE_OPENAI_ENDPOINT"),
        (AzureProfile(endpoint=ROOT), "AZURE_OPENAI_API_KEY"),
        (AzureProfile(endpoint=ROOT, api_key=SecretStr("")), "AZURE_OPENAI_API_KEY"),
    ],
)
def test_what_is_missing_is_named(profile: Profile, variable: str) -> None:
    """An empty key is none."""
    with pytest.raises(ConfigError, match=variable):
        Client(profile)


@pytest.mark.parametrize(
    "fields", [{"timeout": 0}, {"max_retries": -1}, {"api_keys": "x"}, {"provider": "azure"}]
)
def test_a_profile_that_makes_no_sense(fields: dict[str, Any]) -> None:
    """Wrong values and misspelt names are refused on making."""
    with pytest.raises(ValidationError):
        OpenAIProfile(**fields)


def test_the_timeout_reaches_the_sdk(world: World) -> None:
    """Without one the SDK's own default stands."""
    slow = OPENAI.model_copy(update={"timeout": 7.0})
    assert sent_by(world, slow).extensions["timeout"]["read"] == 7.0
    assert sent_by(world, OPENAI).extensions["timeout"]["read"] == 600


def test_what_the_sdk_refuses_to_make_is_a_configuration_error() -> None:
    """Its complaint is the cause."""
    from openai import OpenAIError

    def conflict(options: dict[str, Any]) -> Any:
        raise OpenAIError("conflict")

    class Impossible(SdkAdapter):
        provider = "openai"

    service = Service(
        name="openai",
        client=conflict,
        async_client=conflict,
        target=lambda model: Target(endpoint="nowhere"),
        secrets=("sk-not-to-be-shown",),
    )
    assert "sk-not" not in repr(service)
    adapter: Any = Impossible(OPENAI, service)
    with pytest.raises(ConfigError, match="openai profile cannot be used: conflict") as caught:
        Client(adapter).stream(**ASK).drain()
    assert isinstance(caught.value.__cause__, OpenAIError)


# --- connections


def test_a_callers_http_client_stays_open(world: World) -> None:
    """Who made it closes it."""
    mine = client_of(lambda _: streamed([HELLO], asynchronous=world.asynchronous),
                     asynchronous=world.asynchronous)  # fmt: skip

    async def use() -> None:
        async with AsyncClient(OPENAI, http_client=mine) as client:
            await client.stream(**ASK).drain()
        assert not mine.is_closed
        await mine.aclose()

    if world.asynchronous:
        asyncio.run(use())
    else:
        with Client(OPENAI, http_client=mine) as client:
            client.stream(**ASK).drain()
        assert not mine.is_closed
        mine.close()


def test_our_own_http_client_is_closed() -> None:
    """Once it was made; a client that was never used has none."""
    used = OpenAIAdapter(OPENAI)
    inner = used._client
    used.close()
    assert inner.is_closed()
    unused = OpenAIAdapter(OPENAI)
    unused.close()
    assert "_client" not in vars(unused)

    async def twin() -> None:
        other = OpenAIAdapter(OPENAI)
        await other.aclose()
        assert "_async_client" not in vars(other)
        made = other._async_client
        await other.aclose()
        assert made.is_closed()

    asyncio.run(twin())


def test_a_profile_of_no_provider_says_where_it_may_be_written() -> None:
    """The environment describes none."""
    with pytest.raises(ConfigError, match="in code, or in a profile file"):
        Profile.from_environment({})
