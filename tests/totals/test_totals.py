"""`track_usage` adds up what is begun inside, and makes no number of what is unknown."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from typing import Any

import openai
import pytest
from pydantic import SecretStr

from usagestream import (
    AsyncClient,
    Client,
    Outcome,
    RecordedError,
    Usage,
    UsageRecord,
    UsageSource,
    UsageTotal,
    track_usage,
)
from usagestream_adapters.emulator import Emulator, Scenario
from usagestream_adapters.openai import OpenAIProfile
from usagestream_adapters.track import meter, track

ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello?"}]}
WIRE = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
ANSWER = Scenario(text="Hello.", usage=WIRE)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def record(usage: Usage, *, model: str = "m", **more: Any) -> UsageRecord:
    """A record with this usage."""
    about: dict[str, Any] = {"outcome": Outcome.COMPLETED, "started_at": NOW, "ended_at": NOW}
    return UsageRecord(provider="p", model=model, usage=usage, **{**about, **more})


def reported(**counts: int) -> Usage:
    """A usage that a provider reported."""
    return Usage.model_validate({**counts, "source": UsageSource.REPORTED})


def test_nothing_is_nothing() -> None:
    """An empty total has no counts, rather than zeros."""
    total = UsageTotal()
    assert (str(total), total.count) == ("0 records", 0)
    assert total.reported.usage == Usage()
    assert repr(total) == "<UsageTotal 0 records>"


def test_sources_are_kept_apart() -> None:
    """Reported, estimated and unknown."""
    total = UsageTotal()
    total.add(record(reported(input_tokens=5, output_tokens=1, reasoning_tokens=1)))
    total.add(record(reported(input_tokens=7, output_tokens=2)))
    total.add(
        record(Usage(source=UsageSource.ESTIMATED, output_tokens=4, lower_bound=True), model="n")
    )
    total.add(record(Usage()))
    assert total.reported.usage == reported(input_tokens=12, output_tokens=3, reasoning_tokens=1)
    assert total.reported.partial == {"reasoning_tokens"}
    assert (total.estimated.usage.output_tokens, total.estimated.usage.input_tokens) == (4, None)
    assert total.estimated.usage.lower_bound
    assert (total.unmeasured, total.count) == (1, 4)
    assert str(total) == "4 records: 12 in, 3 out reported; ? in, 4 out estimated; 1 unmeasured"
    models = total.by_model
    assert {name: one.count for name, one in models.items()} == {"m": 3, "n": 1}
    assert str(models["n"]) == "1 record: ? in, 4 out estimated"


def test_what_was_refused_cost_nothing() -> None:
    """Unless the provider read the prompt to refuse it (WIRE §2.5)."""
    total = UsageTotal()
    total.add(record(Usage(), outcome=Outcome.REJECTED))
    blocked = RecordedError(type="ContentFilterError")
    total.add(record(Usage(), outcome=Outcome.REJECTED, error=blocked))
    assert (total.rejected, total.unmeasured) == (1, 1)
    assert str(total) == "2 records: 1 unmeasured; 1 rejected"


def profile(server: Emulator) -> OpenAIProfile:
    """A profile of the emulator."""
    return OpenAIProfile(api_key=SecretStr("k"), base_url=server.openai_base_url)


@pytest.fixture
def server() -> Any:
    """An emulator that always reports the same."""
    with Emulator(scenario=ANSWER) as running:
        yield running


def test_clients_and_tracked_clients_are_added(server: Emulator) -> None:
    """And each record still goes to `on_record`."""
    seen: list[UsageRecord] = []
    sdk = openai.OpenAI(api_key="k", base_url=server.openai_base_url)
    with sdk, Client(profile(server), on_record=seen.append) as client, track_usage() as total:
        client.stream(**ASK).drain()
        with track_usage() as inner:
            track(sdk).chat.completions.create(**ASK)
            for _ in meter(sdk.chat.completions.create(**ASK, stream=True)):
                pass
    measured = "10 in, 3 out reported; 1 unmeasured"
    assert str(inner) == f"2 records: {measured}; 0.0000033 USD reported, 1 unpriced"
    measured = "20 in, 6 out reported; 1 unmeasured"
    assert str(total) == f"3 records: {measured}; 0.0000066 USD reported, 1 unpriced"
    assert set(total.by_model) == {"gpt-4o-mini"}
    assert len(seen) == 1


def test_a_client_that_was_tracked_elsewhere_is_added(server: Emulator) -> None:
    """What counts is where a call is made, not where its client was."""
    sdk = openai.OpenAI(api_key="k", base_url=server.openai_base_url)
    with sdk:
        before = track(sdk)
        with track_usage() as total:
            before.chat.completions.create(**ASK)
            inside = track(sdk)
        inside.chat.completions.create(**ASK)
    assert str(total) == "1 record: 10 in, 3 out reported; 0.0000033 USD reported"


def test_what_is_outside_is_not_added(server: Emulator) -> None:
    """Begun before the block, or after it; begun inside, it may end later."""
    with Client(profile(server)) as client:
        before = client.stream(**ASK)
        with track_usage() as total:
            before.drain()
            inside = client.stream(**ASK)
        client.stream(**ASK).drain()
        assert total.count == 0
        inside.drain()
    assert total.count == 1


def test_tasks_are_in_and_threads_are_not(server: Emulator) -> None:
    """As it is with context variables."""

    async def whole() -> list[int]:
        async with AsyncClient(profile(server)) as client:

            async def alone() -> int:
                with track_usage() as total:
                    await client.stream(**ASK).drain()
                    await asyncio.sleep(0)
                return total.count

            with track_usage() as total:
                return [*await asyncio.gather(alone(), alone()), total.count]

    assert asyncio.run(whole()) == [1, 1, 2]
    with Client(profile(server)) as client, track_usage() as total:
        thread = threading.Thread(target=lambda: client.stream(**ASK).drain())
        thread.start()
        thread.join()
    assert total.count == 0
