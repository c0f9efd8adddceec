"""The promises of the library, by name, over every surface and both kinds of client."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from usagestream import (
    Chunk,
    NotAStreamError,
    Outcome,
    StreamError,
    StreamFailedError,
    StreamInterruptedError,
    StreamTruncatedError,
    Usage,
    UsageSource,
)
from usagestream_adapters.emulator import Answer, Emulator, Scenario, ToolCall
from usagestream_core.usage import COUNT_FIELDS

from .conftest import DEPLOYMENT, KEY, MODEL, QUESTION, SHELLS, SURFACES, Ask, Reading

WEATHER = ToolCall(name="weather", arguments='{"city":"Florence"}')
SCENARIOS = {
    "plain": Scenario(),
    "long": Scenario(text="A stream is a run of frames, and the last of them says what it cost."),
    "tools": Scenario(tool_calls=(WEATHER, ToolCall(name="time", arguments='{"zone":"CET"}'))),
    "two-choices": Scenario(choices=("Heads.", Answer(text="Tails, and longer."))),
    "refusal": Scenario(refusal="I can't help with that."),
    "reasoning": Scenario(text="Two", reasoning_tokens=64),
    "cached": Scenario(text="Two", cached_tokens=1024, cache_write_tokens=128),
    "length": Scenario(text="One, two, th", finish_reason="length"),
    "noise": Scenario(text="Calm in the storm.", moderation=True, async_filter=True),
    "no-prompt-filter": Scenario(text="Bare.", prompt_filter=False),
}


def frame(text: str | None, usage: Any, finish: str | None = None) -> dict[str, Any]:
    """A frame as a server of another make might send it."""
    delta = {} if text is None else {"content": text}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "c1", "model": "m", "object": "chat.completion.chunk", "choices": choices} | (
        {} if usage is ... else {"usage": usage}
    )


def counts(prompt: int | None, completion: int | None) -> dict[str, int | None]:
    """A wire usage object."""
    total = None if prompt is None or completion is None else prompt + completion
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}


ODD_PLACES: dict[str, list[Any]] = {
    "running totals": [
        frame("Tw", counts(18, 1)),
        frame("o", counts(18, 2)),
        frame(None, counts(18, 2), "stop"),
    ],
    "zeros until the end": [
        frame("Two", counts(0, 0)),
        frame(None, counts(18, 2), "stop"),
    ],
    "in the finish frame": [frame("Two", ...), frame(None, counts(18, 2), "stop")],
    "twice": [
        frame("Two", None),
        frame(None, counts(18, 2), "stop"),
        {"id": "c1", "model": "m", "choices": [], "usage": counts(18, 2)},
    ],
    "then null": [
        frame("Two", None),
        frame(None, None, "stop"),
        {"choices": [], "usage": counts(18, 2)},
        {"choices": [], "usage": None, "moderation": {}},
    ],
    "then nulls inside": [
        frame("Two", counts(18, 2)),
        frame(None, counts(None, None), "stop"),
    ],
    "then empty": [frame("Two", counts(18, 2)), frame(None, {}, "stop")],
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_invariant_1_the_last_chunk_carries_the_usage_and_only_the_last(
    ask: Ask, server: Emulator, name: str
) -> None:
    """Read to its end, a stream has one chunk with usage, and it is the last."""
    server.script(SCENARIOS[name])
    answer = ask()
    assert [chunk.usage is not None for chunk in answer.chunks] == [
        *[False] * (len(answer.chunks) - 1),
        True,
    ]
    assert answer.chunks[-1].usage == answer.usage


@pytest.mark.parametrize("name", ODD_PLACES)
def test_invariant_1_and_2_usage_in_odd_places_is_given_once_and_never_summed(
    ask: Ask, server: Emulator, name: str
) -> None:
    """Wherever a server puts its figures, the last it reported come once, at the end."""
    server.script(Scenario(raw_frames=[*ODD_PLACES[name], "data: [DONE]\n\n"]))
    answer = ask()
    assert [chunk.usage for chunk in answer.chunks if chunk.usage] == [
        Usage(input_tokens=18, output_tokens=2, total_tokens=20, source=UsageSource.REPORTED)
    ]
    assert answer.chunks[-1].usage is not None
    assert answer.text == "Two"


def test_invariant_2_a_detail_that_a_later_snapshot_omits_is_kept(
    ask: Ask, server: Emulator
) -> None:
    """Counts are folded one by one."""
    first = {**counts(18, 1), "prompt_tokens_details": {"cached_tokens": 16}}
    frames = [frame("Two", first), frame(None, counts(18, 2), "stop")]
    server.script(Scenario(raw_frames=[*frames, "data: [DONE]\n\n"]))
    usage = ask().usage
    assert usage is not None
    assert (usage.cache_read_tokens, usage.output_tokens) == (16, 2)


def test_invariant_3_unknown_is_not_zero(ask: Ask, server: Emulator) -> None:
    """Usage that was not asked for is unknown, and no count is 0."""
    answer = ask(profile={"include_usage": "never"})
    assert answer.usage is not None
    assert answer.usage.source != UsageSource.REPORTED
    assert 0 not in [getattr(answer.usage, name) for name in COUNT_FIELDS]
    assert "stream_options" not in server.requests[-1].body


def test_invariant_3_broken_sums_are_passed_on_and_named(ask: Ask, server: Emulator) -> None:
    """What the provider reports is kept, even where it cannot be right."""
    odd = {"prompt_tokens": 7, "completion_tokens": 8, "total_tokens": 99}
    server.script(
        Scenario(text="Hm.", usage={**odd, "prompt_tokens_details": {"cached_tokens": 161}})
    )
    usage = ask().usage
    assert usage is not None
    assert (usage.total_tokens, usage.cache_read_tokens) == (99, 161)
    assert usage.anomalies() == (
        "cache_read_tokens > input_tokens",
        "total_tokens != input_tokens + output_tokens",
    )


def without_ids(chunks: list[Chunk]) -> list[Chunk]:
    """The same chunks; the id of a tool call is new each time a question is asked."""
    return [
        replace(chunk, tool_calls=tuple(replace(call, id=None) for call in chunk.tool_calls))
        for chunk in chunks
    ]


@pytest.mark.parametrize("name", SCENARIOS)
def test_invariant_4_same_work_same_usage(server: Emulator, name: str) -> None:
    """Every surface, sync and async, gives equal usage, text and chunks for the same exchange."""
    answers: list[Reading] = []
    for surface in SURFACES.values():
        for ask in SHELLS.values():
            server.script(SCENARIOS[name])
            answers.append(ask(surface(server)))
    first = answers[0]
    for answer in answers[1:]:
        assert without_ids(answer.chunks) == without_ids(first.chunks)
        assert answer.usage == first.usage
        assert answer.text == first.text


BAD_ENDINGS: dict[str, tuple[Scenario, type[StreamError], Outcome]] = {
    "clean end of the body": (
        Scenario(text="One two three four", cut_after_frames=4),
        StreamTruncatedError,
        Outcome.TRUNCATED,
    ),
    "connection closed": (
        Scenario(text="One two three four", cut_after_frames=4, cut="drop"),
        StreamInterruptedError,
        Outcome.TRUNCATED,
    ),
    "error frame": (
        Scenario(
            text="One two three four",
            cut_after_frames=4,
            error_frame={"error": {"message": "it broke", "code": "server_error"}},
        ),
        StreamFailedError,
        Outcome.FAILED,
    ),
    "error as a string": (
        Scenario(text="One two", error_frame={"error": "it broke"}, cut_after_frames=3),
        StreamFailedError,
        Outcome.FAILED,
    ),
    "a web page": (
        Scenario(body="<html><body>Sign in</body></html>", content_type="text/html"),
        NotAStreamError,
        Outcome.FAILED,
    ),
}


@pytest.mark.parametrize("name", BAD_ENDINGS)
def test_invariant_5_a_cut_stream_never_looks_whole(ask: Ask, server: Emulator, name: str) -> None:
    """Each way of breaking off raises its own error, which carries the record."""
    scenario, error, outcome = BAD_ENDINGS[name]
    server.script(scenario)
    answer = ask()
    assert type(answer.error) is error
    assert answer.error is not None
    assert answer.record is not None
    assert answer.error.record is answer.record
    assert answer.record.outcome == outcome
    assert not any(chunk.usage for chunk in answer.chunks)
    assert answer.delivered == [answer.record]


def test_invariant_5_usage_in_the_frame_of_the_error_still_counts(
    ask: Ask, server: Emulator
) -> None:
    """The SDK raises on such a frame and the usage is lost; here it is on the record."""
    bad = {**frame("!", counts(18, 3)), "error": {"code": 400, "message": "Token limit reached"}}
    server.script(Scenario(raw_frames=[frame("Two", None), bad]))
    answer = ask()
    assert answer.text == "Two!"
    assert answer.record is not None
    assert answer.record.usage.output_tokens == 3


def test_invariant_5_usage_in_a_json_body_still_counts(ask: Ask, server: Emulator) -> None:
    """A gateway that does not stream is named as such, and its usage is kept."""
    body: dict[str, Any] = {"object": "chat.completion", "choices": [], "usage": counts(18, 2)}
    server.script(Scenario(body=json.dumps(body)))
    answer = ask()
    assert type(answer.error) is NotAStreamError
    assert answer.usage is not None
    assert answer.usage.total_tokens == 20


def test_the_record_says_who_what_and_when(ask: Ask, surface: str) -> None:
    """The record of a plain exchange has all its parts."""
    answer = ask(tags={"team": "search"})
    record = answer.record
    assert record is not None
    azure = surface != "openai"
    assert record.provider == ("azure" if azure else "openai")
    assert record.deployment == (DEPLOYMENT if azure else None)
    assert record.model == MODEL
    assert record.response_model
    assert record.response_id
    assert record.endpoint
    assert record.endpoint.startswith("127.0.0.1:")
    assert set(record.request_ids) == (
        {"x-request-id", "apim-request-id"} if azure else {"x-request-id"}
    )
    assert record.service_tier == "default"
    assert record.outcome == Outcome.COMPLETED
    assert record.finish_reasons == {0: "stop"}
    assert record.chunk_count == len(answer.chunks)
    assert record.first_chunk_at is not None
    assert record.started_at <= record.first_chunk_at <= record.ended_at
    assert record.wire_usage is not None
    assert record.wire_usage["total_tokens"] == 20
    assert record.tags == {"team": "search"}
    assert answer.delivered == [record]
    assert KEY not in record.model_dump_json()


def test_what_the_caller_passes_is_never_changed(ask: Ask, server: Emulator) -> None:
    """Messages and stream options stay the caller's; their other keys reach the wire."""
    messages = copy.deepcopy(QUESTION)
    options = {"include_usage": False, "include_obfuscation": False}
    ask(messages=messages, stream_options=options)
    assert messages == QUESTION
    assert options == {"include_usage": False, "include_obfuscation": False}
    assert server.requests[-1].body["stream_options"] == {
        "include_usage": True,
        "include_obfuscation": False,
    }


def test_the_deployment_is_asked_where_the_surface_wants_it(
    ask: Ask, server: Emulator, surface: str
) -> None:
    """Classic Azure has the deployment in the path, v1 in the body, OpenAI has none."""
    ask()
    request = server.requests[-1]
    assert (
        request.path
        == {
            "openai": "/v1/chat/completions",
            "azure-classic": f"/openai/deployments/{DEPLOYMENT}/chat/completions",
            "azure-v1": "/openai/v1/chat/completions",
        }[surface.removesuffix("-entra")]
    )
    if surface != "azure-classic":
        assert request.body["model"] == (MODEL if surface == "openai" else DEPLOYMENT)
    assert dict(request.query) == ({"api-version": "2024-10-21"} if "classic" in surface else {})
