"""Addresses in every form people paste, deployments, gateways, and OpenAI clients at Azure."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from tests._support.chat import HELLO
from tests._support.sdk_http import streamed
from tests._support.worlds import ASK, World

from usagestream import Client, ConfigError
from usagestream_adapters.azure import AzureAdapter, AzureProfile
from usagestream_adapters.azure._surface import find_surface
from usagestream_adapters.emulator import Emulator, Scenario
from usagestream_adapters.openai import OpenAIProfile
from usagestream_adapters.sdk.addresses import is_azure, shown_url, split_url
from usagestream_core.adapter import Target

ROOT = "https://contoso.openai.azure.com"
FOUNDRY = "https://contoso.services.ai.azure.com"
CLASSIC = "{root}/openai/deployments/{name}/chat/completions?api-version={version}"


def sent_by(world: World, profile: Any, **params: Any) -> Any:
    """The one request that a stream makes."""
    seen: list[Any] = []

    def reply(request: Any) -> Any:
        seen.append(request)
        return streamed([HELLO], asynchronous=world.asynchronous)

    world.ask(profile, reply, **{**ASK, **params}).drain()
    (request,) = seen
    return request


@pytest.mark.parametrize(
    ("endpoint", "version", "url"),
    [
        # the portal's Target URI, for the deployment it names
        (CLASSIC.format(root=ROOT, name="gpt-4o-mini", version="2024-10-21"), None,
         CLASSIC.format(root=ROOT, name="gpt-4o-mini", version="2024-10-21")),
        (CLASSIC.format(root=ROOT, name="gpt%2D4o-mini", version="2024-10-21"),
         "2025-01-01-preview",
         CLASSIC.format(root=ROOT, name="gpt-4o-mini", version="2025-01-01-preview")),
        (CLASSIC.format(root=ROOT, name="gpt-4o-mini", version="2024-10-21"), "v1",
         f"{ROOT}/openai/v1/chat/completions"),
        (f"{ROOT}/?api-version=2024-10-21", None,
         CLASSIC.format(root=ROOT, name="gpt-4o-mini", version="2024-10-21")),
        # v1, in the forms of both portals; it takes no api version, whatever was pasted
        (f"{ROOT}/openai/v1/chat/completions?api-version=preview", None,
         f"{ROOT}/openai/v1/chat/completions"),
        (f'"{FOUNDRY}/"', None, f"{FOUNDRY}/openai/v1/chat/completions"),
        (f"{FOUNDRY}/api/projects/search", None, f"{FOUNDRY}/openai/v1/chat/completions"),
        (f"{FOUNDRY}/api/projects/search/", "2024-10-21",
         CLASSIC.format(root=FOUNDRY, name="gpt-4o-mini", version="2024-10-21")),
        (f"{FOUNDRY}/api/projects/search/openai/v1", None,
         f"{FOUNDRY}/openai/v1/chat/completions"),
        # other hosts
        ("https://c.cognitiveservices.azure.com", "2024-10-21",
         CLASSIC.format(root="https://c.cognitiveservices.azure.com", name="gpt-4o-mini",
                        version="2024-10-21")),
        ("contoso.openai.azure.us", None,
         "https://contoso.openai.azure.us/openai/v1/chat/completions"),
        # gateways
        ("https://gw.example/team/a", None,
         "https://gw.example/team/a/openai/v1/chat/completions"),
        ("http://gw:8080/team/openai", "2024-10-21",
         CLASSIC.format(root="http://gw:8080/team", name="gpt-4o-mini", version="2024-10-21")),
        # model inference
        (f"{FOUNDRY}/models/chat/completions?api-version=2024-05-01-preview", None,
         f"{FOUNDRY}/models/chat/completions?api-version=2024-05-01-preview"),
        (f"{FOUNDRY}/models", "2024-05-01-preview",
         f"{FOUNDRY}/models/chat/completions?api-version=2024-05-01-preview"),
    ],
)  # fmt: skip
def test_where_a_request_goes(world: World, endpoint: str, version: str | None, url: str) -> None:
    """Whatever was pasted, the request goes to the right address (WIRE §2.3)."""
    profile = AzureProfile(endpoint=endpoint, api_version=version, api_key="k" * 12)
    request = sent_by(world, profile)
    assert str(request.url) == url
    assert b'"include_usage":true' in request.content.replace(b" ", b"")


def test_the_environments_api_version_is_a_fallback(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is used where the address does not decide."""
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    for endpoint, url in [
        (ROOT, CLASSIC.format(root=ROOT, name="gpt-4o-mini", version="2024-10-21")),
        (f"{ROOT}/openai/v1", f"{ROOT}/openai/v1/chat/completions"),
    ]:
        request = sent_by(world, AzureProfile(endpoint=endpoint, api_key="k" * 12))
        assert str(request.url) == url


def test_model_inference_takes_a_key_in_its_own_header(world: World) -> None:
    """The key is not sent as a bearer there, be it text or a function."""
    keys: list[Any] = ["model-key-123", lambda: "model-key-123"]
    for key in keys:
        profile = AzureProfile(
            endpoint=f"{FOUNDRY}/models", api_version="2024-05-01-preview", api_key=key,
            headers={"x-team": "search"},
        )  # fmt: skip
        headers = sent_by(world, profile).headers
        assert headers["api-key"] == "model-key-123"
        assert headers["x-team"] == "search"
        assert "authorization" not in headers


def test_model_inference_takes_a_token(world: World) -> None:
    """A token is a bearer everywhere."""
    profile = AzureProfile(
        endpoint=f"{FOUNDRY}/models", api_version="2024-05-01-preview", ad_token="a-token"
    )
    headers = sent_by(world, profile).headers
    assert headers["authorization"] == "Bearer a-token"
    assert "api-key" not in headers


@pytest.mark.parametrize("version", ["v1", "2024-10-21"])
def test_a_gateways_headers_are_sent(world: World, version: str) -> None:
    """And the caller's own win over them."""
    profile = AzureProfile(
        endpoint="https://gw.example", api_version=version, api_key="k" * 12,
        headers={"Ocp-Apim-Subscription-Key": "gateway-key", "x-team": "search"},
    )  # fmt: skip
    headers = sent_by(world, profile, extra_headers={"x-team": "ads"}).headers
    assert headers["ocp-apim-subscription-key"] == "gateway-key"
    assert headers["x-team"] == "ads"


@pytest.mark.parametrize(
    ("endpoint", "version", "message"),
    [
        ("https://portal.azure.com/#home", None, "the portal's own address"),
        ("https://ai.azure.com/build?tid=seeded-secret", None, "the portal's own address"),
        (f"{ROOT}/models", "v1", "model inference"),
        ("https://me:seeded-secret@contoso.example/openai/v1?key=seeded-secret", "2024-10-21",
         "takes no dated api version"),
        ("https://me:seeded-secret@host:port/", None, "must be an address"),
        (f"{ROOT}?api-version=latest", None, "must be 'v1' or a date"),
    ],
)  # fmt: skip
def test_an_endpoint_that_cannot_work(endpoint: str, version: str | None, message: str) -> None:
    """The mistake is named, without what may be secret in an address."""
    with pytest.raises(ConfigError, match=message) as caught:
        Client(AzureProfile(endpoint=endpoint, api_version=version, api_key="k" * 12))
    assert "seeded-secret" not in str(caught.value)


def test_an_address_is_shown_without_secrets() -> None:
    """Password and query are left out."""
    assert shown_url("https://a:b@host/p?q=1") == "https://***@host/p"
    assert split_url(" <https://host> ", "endpoint").hostname == "host"


@pytest.mark.parametrize(
    ("url", "azure"),
    [
        (ROOT, True),
        ("https://contoso.openai.azure.us", True),
        ("https://azure.com.example", False),
        ("https://api.openai.com/v1", False),
        ("http://127.0.0.1:1", False),
    ],
)
def test_azures_own_domains(url: str, azure: bool) -> None:
    """A name that only looks like one is not."""
    assert is_azure(url, "base_url") is azure


# --- deployments


def adapter(**fields: Any) -> AzureAdapter:
    """An adapter of this profile."""
    given: dict[str, Any] = {"endpoint": ROOT, "api_key": "k" * 12, **fields}
    return AzureAdapter(AzureProfile(**given))


def test_a_model_that_is_not_listed_names_its_deployment() -> None:
    """The default rule is identity; the map goes before it."""
    found = adapter(deployments={"gpt-4o": "prod"})
    host = "contoso.openai.azure.com"
    assert found.target("gpt-4o") == Target(endpoint=host, deployment="prod")
    assert found.target("other") == Target(endpoint=host, deployment="other")


def test_a_scope_is_a_kind_of_deployment_or_an_audience() -> None:
    """An address is the audience of tokens, as before; anything else is named as wrong."""
    zone = AzureProfile(endpoint=ROOT, api_key=SecretStr("k"), scope="data-zone", provisioned=True)
    assert AzureAdapter(zone).target("m") == Target(
        endpoint="contoso.openai.azure.com", deployment="m", scope="data-zone", provisioned=True
    )
    assert AzureProfile.model_validate(zone) == zone
    for audience in ("https://ai.azure.com/.default", "api://mine/.default"):
        old = AzureProfile.model_validate({"endpoint": ROOT, "scope": audience})
        assert (old.scope, old.token_scope) == (None, audience)
    with pytest.raises(ValidationError, match="'global', 'data-zone' or 'regional'"):
        AzureProfile.model_validate({"endpoint": ROOT, "scope": "zone"})


@pytest.mark.parametrize(
    ("model", "says"),
    [("gpt-4o-mni", "Did you mean 'gpt-4o-mini'"), ("claude", "Listed: gpt-4o-mini, o3")],
)
def test_a_closed_map_refuses_before_any_request(
    world: World, server: Emulator, model: str, says: str
) -> None:
    """A near name is suggested, or all are listed."""
    profile = AzureProfile(
        endpoint=server.azure_endpoint, api_key="k" * 12, listed_models_only=True,
        deployments={"gpt-4o-mini": "mini", "o3": "o3"},
    )  # fmt: skip
    with pytest.raises(ConfigError, match="Listed: none"):
        adapter(listed_models_only=True).target("m")
    with pytest.raises(ConfigError, match=says):
        world.stream(profile, model=model, messages=ASK["messages"])
    assert server.requests == []


def test_a_pasted_deployment_never_changes_the_model_silently() -> None:
    """The model asked for must be it, or be mapped."""
    pasted = CLASSIC.format(root=ROOT, name="prod", version="2024-10-21")
    with pytest.raises(ConfigError, match=r"deployments = \{ 'gpt-4o' = 'prod' \}"):
        adapter(endpoint=pasted).target("gpt-4o")
    assert adapter(endpoint=pasted).target("prod").deployment == "prod"
    mapped = adapter(endpoint=pasted, deployments={"gpt-4o": "other"})
    assert mapped.target("gpt-4o").deployment == "other"
    assert find_surface(pasted, None).deployment == "prod"


def test_several_deployments_of_one_model_by_profile(world: World, server: Emulator) -> None:
    """The record tells which one it was."""
    for name, deployment in [("eu", "mini-eu"), ("us", "mini-us")]:
        profile = AzureProfile(
            name=name, endpoint=server.azure_endpoint, api_key="k" * 12,
            deployments={"gpt-4o-mini": deployment},
        )  # fmt: skip
        world.stream(profile).drain()
    seen = [(each.profile, each.model, each.deployment) for each in world.records]
    assert seen == [("eu", "gpt-4o-mini", "mini-eu"), ("us", "gpt-4o-mini", "mini-us")]


def test_the_record_names_the_model_that_answered(world: World, server: Emulator) -> None:
    """By the frames; by the header where they name none (WIRE §2.6)."""
    profile = AzureProfile(endpoint=server.azure_endpoint, api_key="k" * 12)
    frame = 'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n'
    server.script(
        Scenario(text="Hi.", model="gpt-4o-mini-2024-07-18", headers={"x-ms-served-model": "else"}),
        Scenario(raw_frames=[frame], model="gpt-4o-mini-2024-07-18"),
    )
    for _ in range(2):
        world.stream(profile).drain()
    assert {record.response_model for record in world.records} == {"gpt-4o-mini-2024-07-18"}


@pytest.mark.parametrize(
    ("headers", "spillover"),
    [
        ({}, {}),
        ({"x-ms-spillover-from-deployment": "ptu", "x-ms-deployment-name": "standard"},
         {"x-ms-spillover-from-deployment": "ptu", "x-ms-deployment-name": "standard",
          "x-ms-is-spilled-over": "false"}),
        ({"x-ms-is-spilled-over": "True", "x-ms-deployment-name": "standard",
          "x-ms-spillover-error": "429"},
         {"x-ms-is-spilled-over": "True", "x-ms-deployment-name": "standard",
          "x-ms-spillover-error": "429"}),
    ],
)  # fmt: skip
def test_spillover_is_on_the_record(
    world: World, server: Emulator, headers: dict[str, str], spillover: dict[str, str]
) -> None:
    """A request that another deployment took over costs differently (WIRE §2.6)."""
    server.script(Scenario(text="Hi.", headers=headers))
    world.stream(AzureProfile(endpoint=server.azure_endpoint, api_key="k" * 12)).drain()
    assert world.records[0].spillover == spillover


# --- OpenAI's variables, pointed at Azure


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        (ROOT, f"{ROOT}/openai/v1/chat/completions"),
        (f"{ROOT}/openai", f"{ROOT}/openai/v1/chat/completions"),
        (f"{ROOT}/openai/v1/", f"{ROOT}/openai/v1/chat/completions"),
        (f"{FOUNDRY}/openai/v1", f"{FOUNDRY}/openai/v1/chat/completions"),
        ("https://gw.example/openai/v1", "https://gw.example/openai/v1/chat/completions"),
    ],
)
def test_openai_base_url_at_azure(
    world: World, base_url: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It works, and the record says who answered and by which deployment."""
    monkeypatch.setenv("OPENAI_BASE_URL", base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "azure-key-as-microsoft-says")
    request = sent_by(world, "openai")
    assert str(request.url) == url
    assert request.headers["authorization"] == "Bearer azure-key-as-microsoft-says"
    (record,) = world.records
    gateway = "gw.example" in base_url
    assert record.provider == ("openai" if gateway else "azure")
    assert record.deployment == (None if gateway else "gpt-4o-mini")


def test_azures_key_goes_to_azure_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands in for OpenAI's on an Azure address, and nowhere else."""
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-own-key")
    request = sent_by(world, OpenAIProfile(base_url=ROOT))
    assert request.headers["authorization"] == "Bearer azure-own-key"
    for base_url in (None, "https://gw.example/v1"):
        with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
            Client(OpenAIProfile(base_url=base_url))


@pytest.mark.parametrize(
    "pasted",
    [CLASSIC.format(root=ROOT, name="prod", version="2024-10-21"), f"{FOUNDRY}/models"],
)
def test_another_azure_address_for_an_openai_client(pasted: str) -> None:
    """It needs the other provider, and the error says so."""
    with pytest.raises(ConfigError, match='use provider "azure"'):
        Client(OpenAIProfile(base_url=pasted, api_key="k" * 12))


def test_a_function_gives_openais_key(world: World, server: Emulator) -> None:
    """Sync functions serve async clients too, which the SDK's own do not (WIRE §3.2)."""
    profile = OpenAIProfile(base_url=server.openai_base_url, api_key=lambda: "given-key")
    world.stream(profile).drain()
    assert server.requests[0].bearer == "given-key"
