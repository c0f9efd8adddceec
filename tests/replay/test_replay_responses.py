"""The Responses wire, replayed from what each surface sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from usagestream import AuthenticationError, Outcome, StreamTruncatedError, UsageSource
from usagestream_adapters.emulator import Scenario

from .conftest import Ask

pytestmark = pytest.mark.vcr

every_surface = pytest.mark.parametrize("surface", ["openai", "azure-v1"])

INPUT = "What's 1+1? Answer in one word."
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@every_surface
def test_responses_plain_answer(ask: Ask) -> None:
    """A response ends with its usage, on the last chunk only."""
    answer = ask(input=INPUT, temperature=0)
    assert "two" in answer.text().lower()
    assert [chunk.usage for chunk in answer.chunks if chunk.usage] == [answer.usage]
    assert answer.chunks[-1].usage == answer.usage
    assert answer.usage.source == UsageSource.REPORTED
    assert answer.record.outcome == Outcome.COMPLETED
    assert answer.record.response_id
    assert answer.record.response_id.startswith("resp_")


@every_surface
def test_responses_tool_calls(ask: Ask) -> None:
    """A tool's arguments come in pieces, and are whole at the end."""
    answer = ask(input=INPUT, tools=[WEATHER], tool_choice="required")
    calls = [call for chunk in answer.chunks for call in chunk.tool_calls]
    assert "get_weather" in [call.name for call in calls]
    assert "city" in json.loads("".join(call.arguments for call in calls))
    assert answer.usage.source == UsageSource.REPORTED


@every_surface
def test_responses_reasoning(ask: Ask) -> None:
    """Hidden work is counted apart."""
    answer = ask(Scenario(text="Two", reasoning_tokens=64), input=INPUT)
    assert answer.usage.reasoning_tokens == 64


@every_surface
def test_responses_incomplete(ask: Ask) -> None:
    """A response that met its limit says so, and what it cost."""
    answer = ask(Scenario(text="One, two, th", finish_reason="length"), input=INPUT)
    assert answer.record.finish_reasons == {0: "max_output_tokens"}
    assert answer.usage.source == UsageSource.REPORTED
    assert answer.record.outcome == Outcome.COMPLETED


@every_surface
def test_responses_truncated(ask: Ask) -> None:
    """A body that ends before the response does is an error, and no cost is made up."""
    answer = ask(Scenario(text="Two", cut_after_frames=6, cut="clean"), input=INPUT)
    assert isinstance(answer.error, StreamTruncatedError)
    assert answer.record.outcome == Outcome.TRUNCATED
    assert answer.usage.source != UsageSource.REPORTED


@every_surface
def test_responses_bad_key(ask: Ask) -> None:
    """A key that is not accepted is refused before the first byte."""
    answer = ask(input=INPUT, credential="wrong-key-of-nobody")
    assert isinstance(answer.error, AuthenticationError)
    assert answer.record.outcome == Outcome.REJECTED
