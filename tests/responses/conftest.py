"""One way to stream a response, with either client on every surface."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

# Under a bare `pytest` the project's root is not importable, as it is under `python -m pytest`.
ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.append(ROOT)

from usagestream import (  # noqa: E402
    AsyncClient,
    Chunk,
    Client,
    Profile,
    Usage,
    UsageRecord,
    UsageStreamError,
)
from usagestream_adapters.azure import AzureProfile  # noqa: E402
from usagestream_adapters.emulator import Emulator  # noqa: E402
from usagestream_adapters.openai import OpenAIProfile  # noqa: E402

MODEL = "gpt-4o-mini"
DEPLOYMENT = "chat-mini"
KEY = SecretStr("responses-key")
SURFACES = ("openai", "azure-preview", "azure-v1")


@dataclass
class Answer:
    """What reading a response to its end gave."""

    usage: Usage
    record: UsageRecord
    chunks: list[Chunk] = field(default_factory=list[Chunk])
    error: UsageStreamError | None = None
    delivered: list[UsageRecord] = field(default_factory=list[UsageRecord])

    @property
    def text(self) -> str:
        """All of the text."""
        return "".join(chunk.text for chunk in self.chunks)

    @property
    def said(self) -> list[Chunk]:
        """The chunks that say something."""
        return [
            chunk
            for chunk in self.chunks
            if chunk.text or chunk.refusal or chunk.tool_calls or chunk.finish_reason
        ]


Ask = Callable[..., Answer]


def profile_of(server: Emulator, surface: str) -> Profile:
    """A profile of the emulator on this surface; dated previews have the API too (WIRE §2.3)."""
    if surface == "openai":
        return OpenAIProfile(api_key=KEY, base_url=server.openai_base_url, max_retries=0)
    return AzureProfile(
        api_key=KEY,
        endpoint=server.azure_endpoint,
        api_version="v1" if surface == "azure-v1" else "2025-03-01-preview",
        deployments={MODEL: DEPLOYMENT},
        max_retries=0,
    )


def ask_sync(profile: Profile, asked: dict[str, Any]) -> Answer:
    """Read a response to its end with `Client`."""
    chunks: list[Chunk] = []
    delivered: list[UsageRecord] = []
    error = None
    with Client(profile, on_record=delivered.append) as client:
        stream = client.responses.stream(**asked)
        try:
            with stream:
                chunks.extend(stream)
        except UsageStreamError as exc:
            error = exc
    return Answer(stream.usage, stream.record, chunks, error, delivered)


async def ask_async(profile: Profile, asked: dict[str, Any]) -> Answer:
    """Read a response to its end with `AsyncClient`."""
    chunks: list[Chunk] = []
    delivered: list[UsageRecord] = []
    error = None
    async with AsyncClient(profile, on_record=delivered.append) as client:
        stream = client.responses.stream(**asked)
        try:
            async with stream:
                async for chunk in stream:
                    chunks.append(chunk)  # noqa: PERF401 - what came before an error counts
        except UsageStreamError as exc:
            error = exc
    return Answer(stream.usage, stream.record, chunks, error, delivered)


@pytest.fixture
def server() -> Iterator[Emulator]:
    """An emulator with nothing scripted and nothing logged."""
    with Emulator() as running:
        yield running


@pytest.fixture(params=SURFACES)
def surface(request: pytest.FixtureRequest) -> str:
    """Each surface in turn."""
    return str(request.param)


@pytest.fixture(params=["sync", "async"])
def shell(request: pytest.FixtureRequest) -> str:
    """Each kind of client in turn."""
    return str(request.param)


@pytest.fixture
def ask(server: Emulator, surface: str, shell: str) -> Ask:
    """Ask this surface with this kind of client."""

    def asked(**params: Any) -> Answer:
        whole = {"model": MODEL, "input": "Hello?", **params}
        profile = profile_of(server, surface)
        return (
            ask_sync(profile, whole) if shell == "sync" else asyncio.run(ask_async(profile, whole))
        )

    return asked
