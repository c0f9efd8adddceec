"""Programs that read a stream in every way there is, on three kinds of code."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
from pydantic import SecretStr

from usagestream import (
    AsyncClient,
    AsyncUsageStream,
    Client,
    Profile,
    UsageRecord,
    UsageStream,
    UsageStreamError,
)
from usagestream_adapters.azure import AzureProfile
from usagestream_adapters.emulator import Emulator
from usagestream_adapters.openai import OpenAIProfile

QUESTION: Any = [{"role": "user", "content": "Say something."}]
KEY = SecretStr("endings-suite-key")


@dataclass
class Ended:
    """What a program left behind."""

    records: list[UsageRecord] = field(default_factory=list[UsageRecord])
    error: BaseException | None = None

    @property
    def record(self) -> UsageRecord:
        """The one record."""
        (record,) = self.records
        return record


@dataclass(frozen=True)
class Way:
    """One program, as it is written in sync and in async code."""

    sync: Callable[[UsageStream], None]
    asynchronous: Callable[[AsyncUsageStream], Awaitable[None]]


def openai(server: Emulator, **more: Any) -> Profile:
    """Make a profile of OpenAI."""
    return OpenAIProfile(api_key=KEY, base_url=server.openai_base_url, max_retries=0, **more)


def azure(server: Emulator, **more: Any) -> Profile:
    """Make a profile of Azure."""
    return AzureProfile(
        api_key=KEY,
        endpoint=server.azure_endpoint,
        api_version="2024-10-21",
        max_retries=0,
        **more,
    )


PROVIDERS = {"openai": openai, "azure": azure}


class BrokenCounter:
    """A tokenizer that cannot count."""

    def count(self, text: str, model: str) -> int | None:
        """Count nothing."""
        raise RuntimeError(f"no tokenizer for {model!r}")


def options_of(ended: Ended, params: dict[str, Any]) -> dict[str, Any]:
    """The options of a client; `fails`, among the parameters, says what of it is broken."""
    fails = params.pop("fails", None)

    def sink(record: UsageRecord) -> None:
        ended.records.append(record)
        if fails == "sink":
            raise RuntimeError("no room")

    counter = BrokenCounter() if fails == "estimate" else "auto"
    return {"on_record": sink, "token_counter": counter}


def run_sync(profile: Profile, way: Way, params: dict[str, Any]) -> Ended:
    """Run the program on threads."""
    ended = Ended()
    with Client(profile, **options_of(ended, params)) as client:
        try:
            way.sync(client.stream(model="gpt-4o", messages=QUESTION, **params))
        except (UsageStreamError, ZeroDivisionError, KeyboardInterrupt) as exc:
            ended.error = exc
    return ended


async def _run_async(profile: Profile, way: Way, params: dict[str, Any]) -> Ended:
    ended = Ended()
    async with AsyncClient(profile, **options_of(ended, params)) as client:
        try:
            await way.asynchronous(client.stream(model="gpt-4o", messages=QUESTION, **params))
        except (UsageStreamError, ZeroDivisionError, TimeoutError) as exc:
            ended.error = exc
        await anyio.lowlevel.checkpoint()
    return ended


KEPT: list[AsyncUsageStream] = []
"""Streams that outlive their event loop, and are dropped after it."""


def run_asyncio(profile: Profile, way: Way, params: dict[str, Any]) -> Ended:
    """Run the program on asyncio."""
    ended = asyncio.run(_run_async(profile, way, params))
    if KEPT:
        KEPT.clear()
        gc.collect()  # the connection too, of which the loop will not take care any more
    return ended


def run_trio(profile: Profile, way: Way, params: dict[str, Any]) -> Ended:
    """Run the program on trio."""
    ended = trio.run(_run_async, profile, way, params)
    if KEPT:
        KEPT.clear()
        gc.collect()  # the connection too, of which the loop will not take care any more
    return ended


CODE = {"sync": run_sync, "asyncio": run_asyncio, "trio": run_trio}
Run = Callable[..., Ended]


@pytest.fixture
def server() -> Iterator[Emulator]:
    """A running emulator."""
    with Emulator() as running:
        yield running


# How a stream ends does not depend on who sends it: the quick loop asks one, all tests ask both.
@pytest.fixture(params=["openai", pytest.param("azure", marks=pytest.mark.slow)])
def provider(request: pytest.FixtureRequest) -> str:
    """Each provider in turn."""
    return str(request.param)


@pytest.fixture(params=CODE)
def code(request: pytest.FixtureRequest) -> str:
    """Each kind of code in turn."""
    return str(request.param)


@pytest.fixture
def run(server: Emulator, provider: str, code: str) -> Run:
    """Run a program against this provider, on this kind of code."""

    def ran(way: Way, *, timeout: float | None = None, **params: Any) -> Ended:
        with warnings.catch_warnings():
            # What is dropped warns, and on trio so does what is left to the garbage collector.
            warnings.simplefilter("ignore", ResourceWarning)
            return CODE[code](PROVIDERS[provider](server, timeout=timeout), way, params)

    return ran
