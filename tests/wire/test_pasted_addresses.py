"""Whatever form of an address is pasted, the request goes to the same place."""

from __future__ import annotations

from typing import Any

import pytest
from tests._support.chat import HELLO
from tests._support.sdk_http import client_of, http

from usagestream import AzureProfile, Client, OpenAIProfile
from usagestream_core.profile import Profile

ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
PREFIXES = ["", "/gateway", "/openai2", "/openai-prod", "/my/openai/proxy", "/deployments", "/v1"]


def sent_to(profile: Profile) -> str:
    """The address of the one request."""
    seen: list[str] = []

    def answer(request: Any) -> Any:
        seen.append(str(request.url))
        return http.Response(200, headers={"content-type": "text/event-stream"}, content=HELLO)

    with Client(profile, http_client=client_of(answer)) as client:
        client.stream(**ASK).drain()
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
