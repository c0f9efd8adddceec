"""The promises of the library hold for the Responses API, on every surface, with both clients."""

from __future__ import annotations

import json
from typing import Any

import pytest

from usagestream import (
    AuthenticationError,
    BadRequestError,
    Client,
    Outcome,
    StreamError,
    StreamFailedError,
    StreamInterruptedError,
    StreamTruncatedError,
    ToolCallDelta,
    Usage,
    UsageSource,
)
from usagestream_adapters.emulator import Emulator, Scenario, ToolCall, scenarios

from .conftest import DEPLOYMENT, MODEL, Ask, ask_sync, profile_of

USAGE = {
    "input_tokens": 1220,
    "input_tokens_details": {
        "cached_tokens": 3,
        "cache_write_tokens": 1217,
        "cache_write_tokens_details": {"ttl_30m_tokens": 1000, "ttl_12h_tokens": 217},
    },
    "output_tokens": 100,
    "output_tokens_details": {"reasoning_tokens": 64},
    "total_tokens": 1320,
}
ZEROS = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}
WEATHER = ToolCall(name="weather", arguments='{"city":"Florence"}')
SCENARIOS = {
    "plain": Scenario(text="A stream is a run of events."),
    "tools": Scenario(tool_calls=(WEATHER, ToolCall(name="time", arguments='{"zone":"CET"}'))),
    "refusal": Scenario(refusal="I can't help with that."),
    "reasoning": Scenario(text="Two", reasoning_tokens=64),
    "cached": Scenario(text="Two", usage=USAGE),
    "length": Scenario(text="One, two, th", finish_reason="length"),
}


def events(*frames: dict[str, Any]) -> list[str]:
    """Events as they are sent."""
    return [f"event: {frame['type']}\ndata: {json.dumps(frame)}\n\n" for frame in frames]


CREATED = {"type": "response.created", "response": {"id": "resp_1", "model": "m-1", "usage": None}}
DELTA = {"type": "response.output_text.delta", "delta": "Hi", "output_index": 0}


def last(status: str, usage: Any, **more: Any) -> dict[str, Any]:
    """The event that ends a response."""
    response = {"id": "resp_1", "model": "m-1", "status": status, "usage": usage, **more}
    return {"type": f"response.{status}", "response": response}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_last_chunk_carries_the_usage(server: Emulator, ask: Ask, name: str) -> None:
    """And only it, whatever the answer is; there is no `[DONE]`, and nothing is missing for it."""
    server.script(SCENARIOS[name])
    answer = ask()
    assert answer.error is None
    assert [chunk.usage is not None for chunk in answer.chunks] == (
        [False] * (len(answer.chunks) - 1) + [True]
    )
    assert answer.chunks[-1].usage == answer.usage == answer.record.usage
    assert (answer.usage.source, answer.usage.anomalies()) == (UsageSource.REPORTED, ())
    assert answer.record.outcome == Outcome.COMPLETED
    assert answer.delivered == [answer.record]


@pytest.mark.parametrize("name", SCENARIOS)
def test_same_work_same_chunks(server: Emulator, name: str) -> None:
    """OpenAI's and Azure's stream of the same exchange are equal."""
    server.script(*[SCENARIOS[name]] * 3)
    asked = {"model": MODEL, "input": "Hello?"}
    answers = [
        ask_sync(profile_of(server, surface), asked)
        for surface in ("openai", "azure-preview", "azure-v1")
    ]
    first = answers[0]
    for other in answers[1:]:
        assert other.usage == first.usage
        assert [c for c in other.said if not c.tool_calls] == [
            c for c in first.said if not c.tool_calls
        ]
        assert other.text == first.text


def test_the_address_and_the_record(server: Emulator, ask: Ask, surface: str) -> None:
    """Each surface at its own address; the record says who answered."""
    record = ask().record
    (request,) = server.requests
    path = {
        "openai": "/v1/responses",
        "azure-preview": "/openai/responses",
        "azure-v1": "/openai/v1/responses",
    }
    assert request.path == path[surface]
    version = "2025-03-01-preview" if surface == "azure-preview" else None
    assert request.query.get("api-version") == version
    deployment = None if surface == "openai" else DEPLOYMENT
    assert request.body == {"model": deployment or MODEL, "input": "Hello?", "stream": True}
    assert (record.model, record.deployment) == (MODEL, deployment)
    assert record.response_model == (deployment or "gpt-4o-mini-2024-07-18")
    assert (record.response_id or "").startswith("resp_")
    assert record.finish_reasons == {0: "completed"}


def test_lifetimes_of_cache_writes_are_kept(server: Emulator, ask: Ask) -> None:
    """All that the usage says has its place (WIRE §4)."""
    server.script(Scenario(text="Two", usage=USAGE))
    answer = ask()
    assert answer.usage == Usage(
        source=UsageSource.REPORTED,
        input_tokens=1220,
        cache_read_tokens=3,
        cache_write_tokens=1217,
        cache_write_30m_tokens=1000,
        cache_write_12h_tokens=217,
        output_tokens=100,
        reasoning_tokens=64,
        total_tokens=1320,
    )
    assert answer.record.wire_usage == USAGE


def test_tool_calls(server: Emulator, ask: Ask) -> None:
    """Numbered in the order they begin, whatever else is in the output."""
    server.script(Scenario(text="Wait.", reasoning_tokens=8, tool_calls=(WEATHER, WEATHER)))
    pieces = [piece for chunk in ask().chunks for piece in chunk.tool_calls]
    for index in (0, 1):
        own = [piece for piece in pieces if piece.index == index]
        assert (own[0].name, own[0].type) == ("weather", "function")
        assert (own[0].id or "").startswith("call_")
        assert "".join(piece.arguments for piece in own) == '{"city":"Florence"}'


def test_reasoning_and_custom_tools(server: Emulator, ask: Ask) -> None:
    """Events of less common kinds have their place in a chunk, or beside the next one."""
    item = {"type": "custom_tool_call", "call_id": "call_1", "name": "shell"}
    server.script(
        Scenario(
            raw_frames=events(
                CREATED,
                {"type": "response.reasoning_summary_text.delta", "delta": "Hm", "output_index": 0},
                {"type": "response.reasoning_text.delta", "delta": "m.", "output_index": 0},
                {"type": "response.web_search_call.searching", "output_index": 1},
                {"type": "response.output_item.added", "output_index": 2, "item": item},
                {"type": "response.custom_tool_call_input.delta", "delta": "ls", "output_index": 2},
                {"type": "response.output_item.done", "output_index": 2, "item": item},
                {"type": "response.output_item.done", "output_index": 3, "item": None},
                last("completed", USAGE),
            )
        )
    )
    chunks = ask().chunks
    assert "".join(chunk.reasoning for chunk in chunks) == "Hmm."
    assert chunks[0].annotations == (CREATED,)
    assert chunks[2].annotations[0]["type"] == "response.web_search_call.searching"
    assert [piece for chunk in chunks for piece in chunk.tool_calls] == [
        ToolCallDelta(index=0, id="call_1", name="shell", type="custom"),
        ToolCallDelta(index=0, arguments="ls"),
    ]
    assert [chunk.raw["type"] for chunk in chunks[4:6]] == ["response.output_item.done"] * 2


@pytest.mark.parametrize(
    ("details", "finish"),
    [
        ({"reason": "max_output_tokens"}, "max_output_tokens"),
        ({"reason": "content_filter"}, "content_filter"),
        (None, "incomplete"),
    ],
)
def test_an_incomplete_response(server: Emulator, ask: Ask, details: Any, finish: str) -> None:
    """Is an answer that was given, with its reason; its usage counts."""
    ending = last("incomplete", USAGE, incomplete_details=details)
    server.script(Scenario(raw_frames=events(CREATED, DELTA, ending)))
    answer = ask()
    assert (answer.record.outcome, answer.record.finish_reasons) == ("completed", {0: finish})
    assert answer.usage.total_tokens == 1320


@pytest.mark.parametrize("status", ["incomplete", "completed"])
def test_zeros_after_text_are_not_believed(server: Emulator, ask: Ask, status: str) -> None:
    """They have been recorded (WIRE §4): the usage is unknown, and the record says why."""
    server.script(Scenario(raw_frames=events(CREATED, DELTA, last(status, ZEROS))))
    answer = ask()
    assert answer.error is None
    assert answer.usage.input_tokens is None
    assert answer.usage.source != UsageSource.REPORTED
    assert answer.record.anomalies == ("usage is all zeros, and something was sent",)
    assert answer.record.wire_usage == ZEROS


def test_zeros_after_nothing_are_a_report(server: Emulator, ask: Ask) -> None:
    """Where nothing was sent, they may be true."""
    server.script(Scenario(raw_frames=events(CREATED, last("incomplete", ZEROS))))
    answer = ask()
    assert (answer.usage.source, answer.usage.total_tokens) == (UsageSource.REPORTED, 0)
    assert answer.record.anomalies == ()


ERROR = {"code": "server_error", "message": "It broke."}


@pytest.mark.parametrize("usage", [None, USAGE], ids=["unknown", "known"])
@pytest.mark.parametrize("announced", [False, True])
def test_a_failed_response(server: Emulator, ask: Ask, usage: Any, announced: bool) -> None:
    """Raises, with the usage if it is there: null is unknown, and not zero."""
    announcement = [{"type": "error", "error": ERROR}] if announced else []
    frames = events(CREATED, DELTA, *announcement, last("failed", usage, error=ERROR))
    server.script(Scenario(raw_frames=frames))
    answer = ask()
    assert isinstance(answer.error, StreamFailedError)
    assert answer.error.code == "server_error"
    assert answer.record.outcome == Outcome.FAILED
    assert answer.usage.total_tokens == (None if usage is None else 1320)


def test_a_failed_response_that_says_nothing(server: Emulator, ask: Ask) -> None:
    """Raises all the same."""
    server.script(Scenario(raw_frames=events({"type": "response.failed"})))
    assert isinstance(ask().error, StreamFailedError)


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "error", "code": "server_error", "message": "It broke.", "param": None},
        {"type": "error", "error": ERROR},
        {"type": "other", "error": ERROR},
    ],
)
def test_a_bare_error_event(server: Emulator, ask: Ask, frame: dict[str, Any]) -> None:
    """In either of its shapes it ends the stream, if nothing else does."""
    server.script(Scenario(raw_frames=events(CREATED, DELTA, frame)))
    answer = ask()
    assert isinstance(answer.error, StreamFailedError)
    assert answer.error.code == "server_error"
    assert answer.text == "Hi"


@pytest.mark.parametrize(
    ("scenario", "error"),
    [(scenarios.broken_off, StreamTruncatedError), (scenarios.dropped, StreamInterruptedError)],
    ids=["broken-off", "dropped"],
)
def test_a_cut_stream_never_looks_whole(
    server: Emulator, ask: Ask, scenario: Scenario, error: type[StreamError]
) -> None:
    """Without its last event, a response was cut."""
    server.script(scenario)
    answer = ask()
    assert type(answer.error) is error
    assert answer.record.outcome == Outcome.TRUNCATED


def test_a_whole_response_in_place_of_a_stream(server: Emulator, ask: Ask) -> None:
    """Is no stream; what it says of the usage is kept."""
    body = json.dumps({"id": "resp_1", "model": "m-1", "usage": USAGE})
    server.script(Scenario(body=body))
    answer = ask()
    assert answer.record.outcome == Outcome.FAILED
    assert answer.usage.total_tokens == 1320


def test_a_refused_response(server: Emulator) -> None:
    """Raises the provider's error, and leaves a record."""
    profile = profile_of(server, "openai").model_copy(update={"api_key": None})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "wrong-key")
        answer = ask_sync(profile, {"model": MODEL, "input": "Hello?"})
    assert isinstance(answer.error, AuthenticationError)
    assert answer.record.outcome == Outcome.REJECTED


def test_the_input_may_be_messages(server: Emulator, ask: Ask) -> None:
    """The emulator counts them as those of chat completions, tools included."""
    tool: Any = {"type": "function", "name": "weather", "parameters": {}, "strict": False}
    answer = ask(input=[{"role": "user", "content": "Call weather."}], tools=[tool])
    assert [piece.name for c in answer.chunks for piece in c.tool_calls if piece.name] == [
        "weather"
    ]
    assert (answer.usage.input_tokens or 0) > 0
    assert ask(instructions="Be brief.").error is None
    assert isinstance(ask(input="").error, BadRequestError)
    assert isinstance(ask(input=7).error, BadRequestError)


def test_what_cannot_be_asked(server: Emulator) -> None:
    """Is refused before anything is sent."""
    with Client(profile_of(server, "openai")) as client:
        with pytest.raises(TypeError, match="model"):
            client.responses.stream(input="Hello?")
        with pytest.raises(TypeError, match="always streams"):
            client.responses.stream(model=MODEL, input="Hello?", stream=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert server.requests == []
