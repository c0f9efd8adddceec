"""Whatever form of an address is pasted, the request goes to the same place."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests._support.chat import HELLO
from tests._support.sdk_http import client_of, http

from usagestream import AsyncClient, AzureProfile, Client, ConfigError, OpenAIProfile
from usagestream_adapters.sdk.addresses import split_url
from usagestream_adapters.sdk.pasted import take_apart
from usagestream_adapters.track.place import deployment_in
from usagestream_core.profile import Profile

ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
PREFIXES = ["", "/gateway", "/openai2", "/openai-prod", "/my/openai/proxy", "/deployments", "/v1"]


def sent_to(profile: Profile, *, asynchronous: bool = False, **more: Any) -> str:
    """The address of the one request."""
    seen: list[str] = []

    def answer(request: Any) -> Any:
        seen.append(str(request.url))
        return http.Response(200, headers={"content-type": "text/event-stream"}, content=HELLO)

    async def ask() -> None:
        http_client = client_of(answer, asynchronous=True)
        async with AsyncClient(profile, http_client=http_client) as client:
            await client.stream(**ASK, **more).drain()

    if asynchronous:
        asyncio.run(ask())
    else:
        with Client(profile, http_client=client_of(answer)) as client:
            client.stream(**ASK, **more).drain()
    (url,) = seen
    return url


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("tail", ["", "/", "/chat/completions", "/chat/completions/", "/responses"])
@pytest.mark.parametrize("query", ["", "?x=1"])
def test_forms_of_a_base_url(prefix: str, tail: str, query: str) -> None:
    """The rest of a request's address is dropped, and the query goes behind the path."""
    url = f"https://host.test{prefix}/v1{tail}{query}"
    sent = sent_to(OpenAIProfile(api_key="k", base_url=url))
    assert sent == f"https://host.test{prefix}/v1/chat/completions{query}"


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    "tail", ["/openai/v1", "/openai/v1/", "/openai/v1/chat/completions", "", "/", "/openai"]
)
def test_forms_of_an_azure_v1_endpoint(prefix: str, tail: str) -> None:
    """A gateway's prefix is kept, even if it has the word in it."""
    profile = AzureProfile(
        endpoint=f"https://host.test{prefix}{tail}", api_version="v1", api_key="k"
    )
    assert sent_to(profile) == f"https://host.test{prefix}/openai/v1/chat/completions"


# The SDK itself puts no deployment into an address that has the word anywhere.
@pytest.mark.parametrize("prefix", [each for each in PREFIXES if each != "/deployments"])
@pytest.mark.parametrize(
    "tail",
    [
        "",
        "/openai",
        "/openai/deployments/m",
        "/openai/deployments/m/chat/completions?api-version=2024-10-21",
    ],
)
def test_forms_of_a_classic_endpoint(prefix: str, tail: str) -> None:
    """The deployment that the address names is not doubled."""
    endpoint = f"https://host.test{prefix}{tail}"
    sent = sent_to(AzureProfile(endpoint=endpoint, api_version="2024-10-21", api_key="k"))
    path = f"{prefix}/openai/deployments/m/chat/completions?api-version=2024-10-21"
    assert sent == f"https://host.test{path}"


# What a gateway may have before it: words that mean something elsewhere, and words that do not.
WORDS = (
    "gateway", "openai", "openai2", "v1", "v2beta", "api", "chat", "completions", "deployments",
    "models", "projects", "OpenAI", "a%20b", "x@y",
)  # fmt: skip
SEGMENTS = st.lists(st.sampled_from(WORDS), max_size=4)
OPERATIONS = ("", "/", "/chat/completions", "/responses", "/completions", "/embeddings", "/models")
MARKED: dict[str, tuple[str, ...]] = {
    "v1": tuple(f"/openai/v1{each}" for each in (*OPERATIONS, "//", "/files/id")),
    "classic": (
        *(f"/openai{each}" for each in (*OPERATIONS, "//", "/deployments", "/Deployments/m")),
        *(f"/openai/deployments/m{each}" for each in (*OPERATIONS[:-1], "//chat/completions/")),
    ),
}
UNMARKED = ("", "/", "/chat/completions", "/responses/", "/completions", "/embeddings")
VERSION = {"v1": "v1", "classic": "2024-10-21"}
REQUEST = {
    "v1": "/openai/v1/chat/completions",
    "classic": "/openai/deployments/m/chat/completions?api-version=2024-10-21",
}


def is_plain(prefix: str) -> bool:
    """Whether a prefix alone says nothing, so that it can be told from what stands behind it."""
    read = take_apart(prefix)
    return (read.surface, read.prefix, read.base) == ("none", prefix, prefix)


@settings(max_examples=80)
@given(segments=SEGMENTS, surface=st.sampled_from(["v1", "classic"]), data=st.data())
def test_every_form_after_every_prefix_at_azure(
    segments: list[str], surface: str, data: st.DataObject
) -> None:
    """All lead to the same request, whose address is the prefix and what the surface wants."""
    prefix = "".join(f"/{each}" for each in segments)
    forms = MARKED[surface] + (UNMARKED if is_plain(prefix) else ())
    form = data.draw(st.sampled_from(forms))
    # A deployment may be called anything; a project is its resource's; and the SDK itself puts no
    # deployment into an address that has the word anywhere.
    lower = [each.lower() for each in segments]
    assume(lower[-2:] != ["openai", "deployments"] and lower[-3:-1] != ["api", "projects"])
    assume(surface == "v1" or "deployments" not in prefix)
    assume(not (lower[-1:] == ["chat"] and form == "/completions"))  # one operation, put together
    profile = AzureProfile(
        endpoint=f"https://host.test{prefix}{form}", api_version=VERSION[surface], api_key="k"
    )
    assert sent_to(profile) == f"https://host.test{prefix}{REQUEST[surface]}"


@settings(max_examples=40)
@given(segments=SEGMENTS, form=st.sampled_from(["", "/", "/chat", "/chat/completions", "//"]))
def test_every_form_of_model_inference(segments: list[str], form: str) -> None:
    """It has no other mark than its own segment."""
    prefix = "".join(f"/{each}" for each in segments)
    assume(is_plain(prefix))
    profile = AzureProfile(
        endpoint=f"https://host.test{prefix}/models{form}",
        api_version="2024-05-01-preview",
        api_key="k",
    )
    path = f"{prefix}/models/chat/completions?api-version=2024-05-01-preview"
    assert sent_to(profile) == f"https://host.test{path}"


@settings(max_examples=80)
@given(
    segments=SEGMENTS,
    form=st.sampled_from([*OPERATIONS, "//", "/chat", "/audio/speech", "/files"]),
    query=st.sampled_from(["", "x=1", "x=1&x=2", "x=1&y=&x=2", "sig=a%2Fb+c", "b=\u00e9", "bare"]),
)
def test_every_form_after_every_prefix(segments: list[str], form: str, query: str) -> None:
    """The operation is dropped, and the query goes with the request as it was written."""
    prefix = "".join(f"/{each}" for each in segments)
    url = f"https://host.test{prefix}/v1{form}" + (f"?{query}" if query else "")
    sent, _, with_it = sent_to(OpenAIProfile(api_key="k", base_url=url)).partition("?")
    assert sent == f"https://host.test{prefix}/v1/chat/completions"
    assert with_it == query.replace("\u00e9", "%C3%A9")


@pytest.mark.parametrize(
    ("pasted", "base"),
    [
        ("/chat/completions", ""),
        ("/api/chat/completions", "/api"),
        ("/openai/models", "/openai"),
        ("/gw/openai/models", "/gw/openai"),
        ("/models", "/models"),
        ("/models/chat/completions", "/models"),
        ("/inference/embeddings", "/inference"),
        ("/chat", "/chat"),
        ("/openai/deployments/completions", "/openai/deployments/completions"),
        ("/openai/deployments/m/chat/completions", "/openai/deployments/m"),
        ("/v1/Chat/Completions", "/v1"),
        ("/v1beta/openai/chat/completions", "/v1beta/openai"),
    ],
)
def test_a_base_without_a_version(pasted: str, base: str) -> None:
    """What may be a gateway's own prefix is kept."""
    sent = sent_to(OpenAIProfile(api_key="k", base_url=f"https://host.test{pasted}"))
    assert sent == f"https://host.test{base}/chat/completions"


@pytest.mark.parametrize(
    ("pasted", "prefix"),
    [
        ("/openai/team-a", "/openai/team-a"),
        ("/openai/openai/v1", "/openai"),
        ("/openai/api/projects/p", "/openai"),
        ("/openai/api/projects/p/openai/v1", "/openai"),
        ("/openai/deployments/openai/v1", "/openai/deployments"),
        ("/openai/v10", ""),
    ],
)
def test_a_prefix_that_is_called_openai(pasted: str, prefix: str) -> None:
    """It is not lost, and nothing behind it is."""
    profile = AzureProfile(endpoint=f"https://host.test{pasted}", api_version="v1", api_key="k")
    assert sent_to(profile) == f"https://host.test{prefix}/openai/v1/chat/completions"


@pytest.mark.parametrize("path", ["", "/openai", "/openai/v1/", "/openai/responses", "/models/x"])
def test_a_base_url_of_azure(path: str) -> None:
    """Any form of its v1 surface, and no other."""
    profile = OpenAIProfile(api_key="k", base_url=f"https://a.openai.azure.com{path}")
    if "models" in path:
        with pytest.raises(ConfigError, match="not the v1 address of an Azure resource"):
            Client(profile)
    else:
        assert sent_to(profile) == "https://a.openai.azure.com/openai/v1/chat/completions"


@pytest.mark.parametrize(
    "path",
    ["/models", "/gw/openai/v1", "/openai/deployments/m", "/api/projects/p/openai/v1"],
)
def test_a_base_url_of_azures_other_surfaces(path: str) -> None:
    """The other provider takes them."""
    with pytest.raises(ConfigError, match="not the v1 address of an Azure resource"):
        Client(OpenAIProfile(api_key="k", base_url=f"https://a.openai.azure.com{path}"))


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("version", ["v1", "2024-10-21"])
def test_the_query_of_an_endpoint(asynchronous: bool, version: str) -> None:
    """A gateway's goes along; an api version is ours to say; and the caller's own goes before."""
    endpoint = "https://host.test/openai/deployments/m?api-version=2023-05-15&k=a%20b&k=c&mine=1"
    profile = AzureProfile(endpoint=endpoint, api_version=version, api_key="k" * 12)
    sent = sent_to(profile, asynchronous=asynchronous, extra_query={"mine": "2"})
    query = sent.partition("?")[2].split("&")
    ours = [] if version == "v1" else [f"api-version={version}"]
    assert sorted(query) == sorted([*ours, "mine=2", "k=a%20b", "k=c"])


@pytest.mark.parametrize(
    ("url", "deployment"),
    [
        ("https://h/openai/deployments/a/chat/completions?api-version=1", "a"),
        ("https://h/deployments/gw/openai/deployments/a", "a"),
        ("https://h/deployments/gw/openai/v1", None),
        ("https://h/openai/deployments/deployments", "deployments"),
        ("https://h/openai/deployments/a%2Fb/", "a/b"),
        ("https://h/openai/deployments", None),
        ("https://h/gw/deployments/a/chat/completions", "a"),
        ("https://h/deployments/a/models", None),
        ("https://h/openai/", None),
        ("https://h", None),
    ],
)
def test_the_deployment_in_an_address(url: str, deployment: str | None) -> None:
    """Of a tracked call: the one that the last surface names, or a gateway's own address."""
    assert deployment_in(url) == deployment


def test_a_deployment_that_is_called_openai() -> None:
    """A name is no marker."""
    endpoint = "https://host.test/openai/deployments/openai"
    profile = AzureProfile(
        endpoint=endpoint,
        api_version="2024-10-21",
        api_key="k",
        deployments={"m": "openai"},
    )
    assert "/openai/deployments/openai/chat/completions?" in sent_to(profile)


@pytest.mark.parametrize("around", ["\ufeff", "\u200b", "\u00a0", "\u2060 ", "\n", "<", '"', "\t'"])
def test_what_nobody_sees_around_an_address(around: str) -> None:
    """It came along when the address was copied, and is dropped."""
    assert split_url(f"{around}https://h/v1{around}", "base_url").path == "/v1"


@pytest.mark.parametrize(
    "text",
    [
        *("https://h\u200b/v1", "https://h/\u200bv1", "https://h/v1\u00ad/x", "https://h/v1 -H x"),
        *(
            "https:/h/v1",
            "https://https://h/v1",
            "http://http:80/v1",
            "https://h/v1\\x",
            "https:///v1",
        ),
        *("https://exa mple/v1", "https://h,x/v1", "https://h<x>/v1", "https://ü..de/v1"),
    ],
)
def test_what_is_no_address(text: str) -> None:
    """It is refused before anything is sent, by the setting's name."""
    with pytest.raises(ConfigError, match="base_url must be an address such as https://host"):
        split_url(text, "base_url")


@pytest.mark.parametrize(
    "text",
    ["http://[::1]:8000/v1", "https://münchen.de/v1", "https://h_x/v1", "https://a:b c@h/v1?k=a b"],
)
def test_odd_addresses_that_are_some(text: str) -> None:
    """A number, letters of another alphabet, a name in a local network, a blank where it may be."""
    assert split_url(text, "base_url").path == "/v1"
