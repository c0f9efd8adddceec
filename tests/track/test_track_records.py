"""What is estimated of tracked calls, and who gets the records."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from usagestream import Outcome, UsageRecord, UsageSource
from usagestream_adapters.emulator import Emulator, Scenario
from usagestream_adapters.track import track

ASK: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Count to four."}],
}
TEXT = "one two three four"
CUT = Scenario(text=TEXT, cut_after_frames=4)


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    """The emulator, for all of these tests."""
    with Emulator() as running:
        yield running


def test_a_cut_stream_is_estimated(server: Emulator) -> None:
    """The input by the recipe, the output by what was seen: skimmed frames as well."""
    records: list[UsageRecord] = []
    with openai.OpenAI(api_key="key", base_url=server.openai_base_url) as inner:
        client = track(inner, on_record=records.append)
        server.script(Scenario(text=TEXT))
        list(client.chat.completions.create(**ASK, stream=True))
        server.script(CUT)
        list(client.chat.completions.create(**ASK, stream=True))
    whole, cut = records
    assert whole.usage.source is UsageSource.REPORTED
    assert cut.outcome is Outcome.TRUNCATED
    assert cut.usage.source is UsageSource.ESTIMATED
    assert cut.usage.input_tokens == whole.usage.input_tokens
    assert cut.usage.output_tokens == 3


def test_a_cut_response_is_estimated(server: Emulator) -> None:
    """Its input and its instructions are counted as messages."""
    records: list[UsageRecord] = []
    asked = {"model": "gpt-4o-mini", "input": "Count to four.", "instructions": "Be brief."}
    with openai.OpenAI(api_key="key", base_url=server.openai_base_url) as inner:
        client = track(inner, on_record=records.append)
        server.script(Scenario(text=TEXT, cut_after_frames=7))
        list(client.responses.create(**asked, stream=True))  # type: ignore[call-overload]
    (cut,) = records
    assert cut.usage.source is UsageSource.ESTIMATED
    assert (cut.usage.input_tokens or 0) > 10
    assert (cut.usage.output_tokens or 0) > 0


def test_nothing_is_estimated_without_a_counter(server: Emulator) -> None:
    """As `None` says."""
    records: list[UsageRecord] = []
    with openai.OpenAI(api_key="key", base_url=server.openai_base_url) as inner:
        client = track(inner, on_record=records.append, token_counter=None)
        server.script(CUT)
        list(client.chat.completions.create(**ASK, stream=True))
    assert records[0].usage.source is UsageSource.UNKNOWN


def test_an_async_sink_is_awaited(server: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """In the background, in order; what it raises is logged."""
    records: list[UsageRecord] = []

    async def keep(record: UsageRecord) -> None:
        await asyncio.sleep(0)
        records.append(record)
        if len(records) == 2:
            raise RuntimeError("full")

    async def main() -> None:
        async with openai.AsyncOpenAI(api_key="key", base_url=server.openai_base_url) as inner:
            client = track(inner, on_record=keep)
            for _ in range(2):
                stream = await client.chat.completions.create(**ASK, stream=True)
                async for _ in stream:
                    pass
            async with asyncio.timeout(60):
                while "on_record raised" not in caplog.text:  # noqa: ASYNC110 - said by a task
                    await asyncio.sleep(0.001)

    with caplog.at_level(logging.ERROR, "usagestream"):
        asyncio.run(main())
    assert [record.outcome for record in records] == [Outcome.COMPLETED] * 2
    assert f"on_record raised; the record {records[1].id}" in caplog.text


def test_an_async_sink_of_a_sync_client_is_refused() -> None:
    """Nobody would await it."""

    async def keep(record: UsageRecord) -> None:
        """Keep nothing."""

    with (
        openai.OpenAI(api_key="key") as client,
        pytest.raises(TypeError, match="ordinary function"),
    ):
        track(client, on_record=keep)
