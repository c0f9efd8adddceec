"""One suite over every surface and both kinds of client, through real HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from usagestream import AsyncClient, Chunk, Client, Profile, Usage, UsageRecord, UsageStreamError
from usagestream_adapters.azure import AzureProfile
from usagestream_adapters.emulator import Emulator
from usagestream_adapters.openai import OpenAIProfile

MODEL = "gpt-4o-mini"
DEPLOYMENT = "chat-mini"
KEY = "contract-suite-key"
QUESTION = [{"role": "user", "content": "What's 1+1? Answer in one word."}]


@dataclass
class Reading:
    """What reading a stream to its end gave."""

    chunks: list[Chunk] = field(default_factory=list[Chunk])
    usage: Usage | None = None
    record: UsageRecord | None = None
    error: UsageStreamError | None = None
    delivered: list[UsageRecord] = field(default_factory=list[UsageRecord])

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return "".join(chunk.text for chunk in self.chunks if chunk.index == 0)


Ask = Callable[..., Reading]


def openai(server: Emulator, **more: Any) -> Profile:
    """Make a profile of OpenAI."""
    return OpenAIProfile(
        api_key=SecretStr(KEY), base_url=server.openai_base_url, max_retries=0, **more
    )


def azure_classic(server: Emulator, **more: Any) -> Profile:
    """Make a profile of Azure's classic surface."""
    return _azure(server, api_version="2024-10-21", **more)


def azure_v1(server: Emulator, **more: Any) -> Profile:
    """Make a profile of Azure's v1 surface."""
    return _azure(server, api_version="v1", **more)


def _azure(server: Emulator, **more: Any) -> Profile:
    fields: dict[str, Any] = {"api_key": SecretStr(KEY), "max_retries": 0, **more}
    return AzureProfile(endpoint=server.azure_endpoint, deployments={MODEL: DEPLOYMENT}, **fields)


def ask_sync(profile: Profile, **params: Any) -> Reading:
    """Read a stream to its end with `Client`."""
    answer = Reading()
    asked: dict[str, Any] = {"model": MODEL, "messages": QUESTION, **params}
    with Client(profile, on_record=answer.delivered.append) as client:
        stream = client.stream(**asked)
        try:
            with stream:
                for chunk in stream:
                    answer.chunks.append(chunk)
        except UsageStreamError as exc:
            answer.error = exc
    answer.usage, answer.record = stream.usage, stream.record
    return answer


def ask_async(profile: Profile, **params: Any) -> Reading:
    """Read a stream to its end with `AsyncClient`."""
    return asyncio.run(_ask_async(profile, **params))


async def _ask_async(profile: Profile, **params: Any) -> Reading:
    answer = Reading()
    asked: dict[str, Any] = {"model": MODEL, "messages": QUESTION, **params}
    async with AsyncClient(profile, on_record=answer.delivered.append) as client:
        stream = client.stream(**asked)
        try:
            async with stream:
                async for chunk in stream:
                    answer.chunks.append(chunk)
        except UsageStreamError as exc:
            answer.error = exc
    answer.usage, answer.record = stream.usage, stream.record
    return answer


class Identity:
    """A `TokenCredential`, as azure-identity's are."""

    def get_token(self, *scopes: str, **options: Any) -> Any:
        """Give a token for an hour. azure-identity itself is tested in `tests/azure`."""
        return SimpleNamespace(token=KEY, expires_on=int(time.time()) + 3600)


def azure_classic_entra(server: Emulator, **more: Any) -> Profile:
    """Make a profile of Azure's classic surface, signed in to with an identity."""
    return _azure(server, api_version="2024-10-21", api_key=None, credential=Identity(), **more)


def azure_v1_entra(server: Emulator, **more: Any) -> Profile:
    """Make a profile of Azure's v1 surface, signed in to with an identity."""
    return _azure(server, api_version="v1", api_key=None, credential=Identity(), **more)


SURFACES = {
    "openai": openai,
    "azure-classic": azure_classic,
    "azure-v1": azure_v1,
    "azure-classic-entra": azure_classic_entra,
    "azure-v1-entra": azure_v1_entra,
}
SHELLS = {"sync": ask_sync, "async": ask_async}


@pytest.fixture
def server() -> Iterator[Emulator]:
    """An emulator with nothing scripted and nothing logged."""
    with Emulator() as running:
        yield running


@pytest.fixture(params=SURFACES)
def surface(request: pytest.FixtureRequest) -> str:
    """Each surface in turn."""
    return str(request.param)


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    """Each kind of client in turn."""
    return str(request.param)


@pytest.fixture
def ask(server: Emulator, surface: str, shell: str) -> Ask:
    """Ask this surface with this kind of client."""

    def asked(*, profile: dict[str, Any] | None = None, **params: Any) -> Reading:
        return SHELLS[shell](SURFACES[surface](server, **(profile or {})), **params)

    return asked
