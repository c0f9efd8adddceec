"""Tests that replay the folder `cassettes`, and record it.

With `--record-mode=rewrite` each cassette is recorded anew: against a real service where the
variables of its SDK are set and a request alone brings the behaviour about, else against the
emulator. docs/testing.md says which variables.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest
from pydantic import SecretStr

from usagestream import AsyncClient, Chunk, Client, Profile, Usage, UsageRecord, UsageStreamError
from usagestream_adapters.azure import AzureProfile
from usagestream_adapters.emulator import Emulator, Scenario
from usagestream_adapters.openai import OpenAIProfile

CASSETTES = Path(__file__).parents[2] / "cassettes"
MODEL = "gpt-4o-mini"
DEPLOYMENT = "chat-mini"
QUESTION = [{"role": "user", "content": "What's 1+1? Answer in one word."}]
API_VERSION = "2024-10-21"
ENVIRONMENT = dict(os.environ)
"""As it was when the run began; the tests themselves see none of the SDKs' variables."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """Where a surface is asked, and with what; by default its real address and no real key."""

    address: str
    credential: str = "replayed-credential"


REPLAYED = {
    "openai": Service(address="https://api.openai.com/v1"),
    "azure-classic": Service(address="https://example.openai.azure.com"),
    "azure-entra": Service(address="https://example.openai.azure.com"),
    "azure-v1": Service(address="https://example.openai.azure.com"),
}
CREDENTIALS = {
    "openai": "OPENAI_API_KEY",
    "azure-classic": "AZURE_OPENAI_API_KEY",
    "azure-entra": "AZURE_OPENAI_AD_TOKEN",
    "azure-v1": "AZURE_OPENAI_API_KEY",
}


def real_service(surface: str, environ: Mapping[str, str]) -> Service | None:
    """Give the service that the environment describes for a surface, if it does."""
    credential = environ.get(CREDENTIALS[surface])
    address = environ.get("AZURE_OPENAI_ENDPOINT")
    if surface == "openai":
        address = environ.get("OPENAI_BASE_URL") or REPLAYED["openai"].address
    return Service(address=address, credential=credential) if address and credential else None


@dataclass
class Answer:
    """What reading a stream to its end gave."""

    chunks: list[Chunk] = field(default_factory=list[Chunk])
    usage: Usage = field(default_factory=Usage)
    error: UsageStreamError | None = None
    records: list[UsageRecord] = field(default_factory=list[UsageRecord])

    def text(self, index: int = 0) -> str:
        """The text of one choice."""
        return "".join(chunk.text for chunk in self.chunks if chunk.index == index)

    @property
    def record(self) -> UsageRecord:
        """The stream's record."""
        (record,) = self.records
        return record


class Ask(Protocol):
    """Asks the surface of the test; `scenario` is what the emulator plays while recording."""

    def __call__(
        self,
        *scenario: Scenario,
        profile: Mapping[str, Any] | None = None,
        credential: str | None = None,
        **params: Any,
    ) -> Answer:
        """Ask with chat completions, or with the Responses API where there is an `input`."""
        ...


def make_profile(surface: str, service: Service, **more: Any) -> Profile:
    """Make a profile of a surface."""
    options: dict[str, Any] = {"max_retries": 0, **more}
    key = SecretStr(service.credential)
    if surface == "openai":
        return OpenAIProfile(api_key=key, base_url=service.address, **options)
    if surface == "azure-entra":
        options["credential"] = lambda: service.credential
    else:
        options["api_key"] = key
    return AzureProfile(
        endpoint=service.address,
        deployments={MODEL: DEPLOYMENT},
        api_version="v1" if surface == "azure-v1" else API_VERSION,
        **options,
    )


def ask_sync(profile: Profile, params: Mapping[str, Any]) -> Answer:
    """Read a stream to its end with `Client`."""
    answer = Answer()
    with Client(profile, on_record=answer.records.append) as client:
        ask = client.responses.stream if "input" in params else client.stream
        stream = ask(**params)
        try:
            with stream:
                answer.chunks.extend(stream)
        except UsageStreamError as exc:
            answer.error = exc
    answer.usage = stream.usage
    return answer


def ask_async(profile: Profile, params: Mapping[str, Any]) -> Answer:
    """Read a stream to its end with `AsyncClient`."""
    return asyncio.run(_ask_async(profile, params))


async def _ask_async(profile: Profile, params: Mapping[str, Any]) -> Answer:
    answer = Answer()
    async with AsyncClient(profile, on_record=answer.records.append) as client:
        ask = client.responses.stream if "input" in params else client.stream
        stream = ask(**params)
        try:
            async with stream:
                async for chunk in stream:
                    answer.chunks.append(chunk)
        except UsageStreamError as exc:
            answer.error = exc
    answer.usage = stream.usage
    return answer


SHELLS: dict[str, Callable[[Profile, Mapping[str, Any]], Answer]] = {
    "sync": ask_sync,
    "async": ask_async,
}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what would add to a profile, or beat it in some versions of the SDK."""
    for name in ENVIRONMENT:
        if name.startswith(("OPENAI_", "AZURE_")):
            monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def emulator(record_mode: str) -> Iterator[Emulator | None]:
    """The emulator, only while recording."""
    if record_mode == "none":
        yield None
        return
    with Emulator() as server:
        yield server


@pytest.fixture
def surface() -> str:
    """The surface that a test asks; it is a parameter of most tests."""
    return "openai"


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    """Each kind of client in turn. Both replay the same cassette."""
    return str(request.param)


@pytest.fixture(scope="module")
def vcr_cassette_dir() -> str:
    """Where pytest-recording looks for cassettes."""
    return str(CASSETTES)


@pytest.fixture
def default_cassette_name(request: pytest.FixtureRequest, surface: str) -> str:
    """Name a cassette by its surface and its behaviour."""
    name: str = request.node.originalname
    return f"{surface}/{name.removeprefix('test_').replace('_', '-')}"


@pytest.fixture
def ask(emulator: Emulator | None, surface: str, shell: str) -> Ask:
    """Ask this surface with this kind of client."""

    def asked(
        *scenario: Scenario,
        profile: Mapping[str, Any] | None = None,
        credential: str | None = None,
        **params: Any,
    ) -> Answer:
        service = REPLAYED[surface]
        if emulator is not None:
            service = _recorded_from(emulator, surface, scenario)
        if credential:
            service = Service(address=service.address, credential=credential)
        made = make_profile(surface, service, **(profile or {}))
        question = {} if "input" in params else {"messages": QUESTION}
        return SHELLS[shell](made, {"model": MODEL, **question, **params})

    return asked


def _recorded_from(emulator: Emulator, surface: str, scenario: tuple[Scenario, ...]) -> Service:
    real = None if scenario else real_service(surface, ENVIRONMENT)
    if real is not None:
        return real
    emulator.script(*scenario)
    address = emulator.openai_base_url if surface == "openai" else emulator.azure_endpoint
    return Service(address=address, credential="recording-credential")
