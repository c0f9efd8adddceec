"""Answers, replayed from what each surface sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from usagestream import Outcome, UsageSource
from usagestream_adapters.emulator import Answer, Scenario, scenarios

from .conftest import Ask

pytestmark = pytest.mark.vcr

every_surface = pytest.mark.parametrize(
    "surface", ["openai", "azure-classic", "azure-entra", "azure-v1"]
)
on_azure = pytest.mark.parametrize("surface", ["azure-classic", "azure-entra", "azure-v1"])

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@every_surface
def test_plain_answer(ask: Ask) -> None:
    """A plain answer ends with its usage, on the last chunk only."""
    answer = ask(temperature=0)
    assert "two" in answer.text().lower()
    assert [chunk.usage for chunk in answer.chunks if chunk.usage] == [answer.usage]
    assert answer.chunks[-1].usage == answer.usage
    assert answer.usage.source == UsageSource.REPORTED
    assert answer.usage.total_tokens == _sum(answer.usage.input_tokens, answer.usage.output_tokens)
    assert answer.record.outcome == Outcome.COMPLETED


@every_surface
def test_usage_not_asked(ask: Ask) -> None:
    """Where usage was not asked for, none is reported, and none is made up to be."""
    answer = ask(profile={"include_usage": "never"}, temperature=0)
    assert "two" in answer.text().lower()
    assert answer.usage.source != UsageSource.REPORTED
    assert answer.record.wire_usage is None


@every_surface
def test_tool_calls(ask: Ask) -> None:
    """A tool's arguments come in pieces, and are whole at the end."""
    answer = ask(tools=[WEATHER], tool_choice="required")
    calls = [call for chunk in answer.chunks for call in chunk.tool_calls]
    assert "get_weather" in [call.name for call in calls]
    assert "city" in json.loads("".join(call.arguments for call in calls))
    assert answer.record.finish_reasons == {0: "tool_calls"}
    assert answer.usage.source == UsageSource.REPORTED


@every_surface
def test_two_choices(ask: Ask) -> None:
    """Two choices have a text each, and one usage."""
    answer = ask(n=2)
    assert answer.text(0)
    assert answer.text(1)
    assert answer.record.finish_reasons == {0: "stop", 1: "stop"}
    assert len([chunk for chunk in answer.chunks if chunk.usage]) == 1


@every_surface
def test_refusal(ask: Ask) -> None:
    """A refusal is told from a text, ends with `stop`, and costs tokens all the same."""
    answer = ask(scenarios.refusal)
    assert "".join(chunk.refusal or "" for chunk in answer.chunks)
    assert not answer.text()
    assert answer.record.finish_reasons == {0: "stop"}
    assert answer.usage.output_tokens


@every_surface
def test_reasoning_and_cached_details(ask: Ask) -> None:
    """Reasoning counts inside the output, cached tokens inside the input."""
    wire = {
        "prompt_tokens": 1100,
        "completion_tokens": 71,
        "total_tokens": 1171,
        "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 64,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    usage = ask(Scenario(text="Two.", model="gpt-5-mini-2025-08-07", usage=wire)).usage
    assert (usage.input_tokens, usage.cache_read_tokens) == (1100, 1024)
    assert (usage.output_tokens, usage.reasoning_tokens) == (71, 64)


@every_surface
def test_any_language(ask: Ask) -> None:
    """Text is recorded as text, in any language."""
    answer = ask(
        Scenario(choices=[Answer(text=["Zwei", " 二", " 👍🏽", " שתיים\n"])]),
        messages=[{"role": "user", "content": "Wie viel ist 1+1? 一加一等于几 🤔"}],
    )
    assert answer.text() == "Zwei 二 👍🏽 שתיים\n"


@on_azure
def test_prompt_filter(ask: Ask) -> None:
    """Azure's verdict on the prompt comes before the answer, and is kept beside it."""
    answer = ask(temperature=0)
    assert "prompt_filter_results" in answer.chunks[0].annotations[0]
    assert "two" in answer.text().lower()


@on_azure
def test_async_filter(ask: Ask) -> None:
    """Frames of the asynchronous filter, without a delta, change nothing."""
    answer = ask(scenarios.async_filter)
    frames = [frame for chunk in answer.chunks for frame in chunk.annotations]
    assert [frame for frame in frames if "content_filter_offsets" in str(frame)]
    assert answer.text() == "This is filtered as it is sent."
    assert answer.record.outcome == Outcome.COMPLETED
    assert answer.usage.source == UsageSource.REPORTED


@on_azure
def test_content_filter_finish(ask: Ask) -> None:
    """An answer that the filter ends says so, and reports what it cost."""
    answer = ask(scenarios.content_filter_finish)
    assert answer.record.finish_reasons == {0: "content_filter"}
    assert answer.usage.source == UsageSource.REPORTED


def _sum(*counts: int | None) -> int:
    return sum(count for count in counts if count is not None)
