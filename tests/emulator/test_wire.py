"""The shapes of both wires, written as WIRE.md writes them.

c: choices, c0: none, f: a finish reason, u-: no usage key, uN: null usage, U: a usage, p: Azure's
prompt filter results, D: `[DONE]`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from usagestream_adapters.emulator import DEMO_QUESTION, Answer, Emulator, Scenario, scenarios

Post = Callable[..., httpx2.Response]
SURFACES = ("openai", "azure", "azure-v1")
DEMO = [{"role": "user", "content": DEMO_QUESTION}]


def events(response: httpx2.Response) -> list[Any]:
    """Return the frames, parsed; `[DONE]` as a string."""
    assert response.status_code == 200, response.text
    blocks = [block.removeprefix("data: ") for block in response.text.split("\n\n") if block]
    return [block if block == "[DONE]" else json.loads(block) for block in blocks]


def kind(event: Any) -> str:
    """Return the notation of one frame."""
    if event == "[DONE]":
        return "D"
    choices = event["choices"]
    shape = "c" if choices else "c0"
    shape += "f" if choices and choices[0]["finish_reason"] else ""
    shape += "u-" if "usage" not in event else "U" if event["usage"] else "uN"
    return shape + ("p" if "prompt_filter_results" in event else "")


def pattern(response: httpx2.Response) -> str:
    """Return the sequence of frames, repeated ones as one with a star."""
    found = " ".join(kind(event) for event in events(response))
    return re.sub(r"\b(c\S*)(?: \1)+(?= |$)", r"\1*", found)


def usage(response: httpx2.Response) -> Any:
    """Return the only usage of a stream."""
    (found,) = [e["usage"] for e in events(response) if e != "[DONE]" and e.get("usage")]
    return found


def text(response: httpx2.Response, index: int = 0, key: str = "content") -> str:
    """Return the text of one choice."""
    choices = [c for e in events(response) if e != "[DONE]" for c in e["choices"]]
    pieces = [c.get("delta", {}).get(key) or "" for c in choices if c["index"] == index]
    return "".join(pieces)


def test_openai_shape(post: Post) -> None:
    """OpenAI reports usage once, after the finish frame and before `[DONE]`."""
    assert pattern(post(messages=DEMO)) == "cuN* cfuN c0U D"


@pytest.mark.parametrize("surface", ["azure", "azure-v1"])
def test_azure_shape(post: Post, surface: str) -> None:
    """Azure sends the same after a frame that is not a chunk."""
    assert pattern(post(surface, messages=DEMO)) == "c0u-p cuN* cfuN c0U D"


@pytest.mark.parametrize("options", [None, {"include_usage": False}])
@pytest.mark.parametrize(
    ("surface", "expected"),
    [("openai", "cu-* cfu- D"), ("azure", "c0u-p cu-* cfu- D")],
)
def test_no_usage_key_unless_asked(
    post: Post, surface: str, expected: str, options: dict[str, bool] | None
) -> None:
    """Without `include_usage` no frame has a usage key at all."""
    assert pattern(post(surface, stream_options=options)) == expected


@pytest.mark.parametrize("surface", SURFACES)
def test_demo_question(post: Post, surface: str) -> None:
    """The demo question gets the answer and the numbers that real models gave."""
    response = post(surface, messages=DEMO)
    assert text(response) == "Two"
    assert usage(response) == {
        "prompt_tokens": 18,
        "completion_tokens": 2,
        "total_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def test_openai_keys_in_order(post: Post) -> None:
    """OpenAI's keys come in the order in which it was recorded."""
    first, *_, last, _ = events(post(messages=DEMO))
    top = ["id", "object", "created", "model", "service_tier", "system_fingerprint", "choices"]
    assert list(first) == list(last) == [*top, "usage", "obfuscation"]
    assert list(first["choices"][0]) == ["index", "delta", "logprobs", "finish_reason"]
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert list(last["usage"]) == [
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
    ]


def test_newer_openai_models_send_no_logprobs(post: Post) -> None:
    """Newer models leave out `logprobs` and have no fingerprint."""
    first = events(post(model="gpt-5-mini"))[0]
    assert list(first["choices"][0]) == ["index", "delta", "finish_reason"]
    assert (first["model"], first["system_fingerprint"]) == ("gpt-5-mini-2025-08-07", None)


def test_azure_keys_in_order(post: Post) -> None:
    """Azure sorts its keys, adds filter results to choices, and timings to the usage frame."""
    prompt, first, *_, last, _ = events(post("azure", messages=DEMO))
    assert {k: prompt[k] for k in ("id", "model", "object", "created")} == {
        "id": "",
        "model": "",
        "object": "",
        "created": 0,
    }
    assert list(prompt["prompt_filter_results"][0]) == ["prompt_index", "content_filter_results"]
    for frame in (first, last):
        assert list(frame) == sorted(frame)
    assert set(last) - set(first) == {"latency_checkpoint"}
    assert list(first["choices"][0]) == [
        "content_filter_results",
        "delta",
        "finish_reason",
        "index",
        "logprobs",
    ]
    assert list(last["usage"]) == sorted(last["usage"])


@pytest.mark.parametrize("surface", SURFACES)
def test_obfuscation_can_be_turned_off(post: Post, surface: str) -> None:
    """Frames are padded unless the request says not to."""
    options = {"include_usage": True, "include_obfuscation": False}
    frames = events(post(surface, stream_options=options))[:-1]
    assert not any("obfuscation" in frame for frame in frames)


def test_service_tier_can_be_left_out(post: Post, server: Emulator) -> None:
    """A tier is reported as given, and absent if it is `None`."""
    server.script(Scenario(service_tier="priority"), Scenario(service_tier=None))
    assert events(post())[0]["service_tier"] == "priority"
    assert "service_tier" not in events(post())[0]


def test_openai_headers(post: Post) -> None:
    """OpenAI's ids begin with `req_` and its resets are durations."""
    headers = post().headers
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["x-request-id"].startswith("req_")
    assert headers["x-ratelimit-reset-requests"] == "4ms"
    assert "openai-processing-ms" in headers


def test_azure_headers(post: Post) -> None:
    """Azure has two ids, and names the deployment, the model and the region."""
    sent = {"api-key": "k", "x-ms-client-request-id": "mine"}
    headers = post("azure", headers=sent).headers
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["x-request-id"] != headers["apim-request-id"]
    assert headers["x-ms-deployment-name"] == "chat-mini"
    assert headers["x-ms-served-model"] == "gpt-4o-mini-2024-07-18"
    assert headers["azureai-fe-is-streaming"] == "True"
    assert headers["x-ratelimit-reset-tokens"] == "0"
    assert headers["x-ms-client-request-id"] == "mine"
    assert "x-ms-client-request-id" not in post("azure").headers


def test_scenario_headers(post: Post, server: Emulator) -> None:
    """A scenario's headers win over the provider's."""
    server.script(Scenario(headers={"x-request-id": "mine"}))
    assert post().headers["x-request-id"] == "mine"


@pytest.mark.parametrize("surface", SURFACES)
def test_two_choices(post: Post, server: Emulator, surface: str) -> None:
    """Choices interleave, each has its finish frame, and one usage counts the prompt once."""
    server.script(scenarios.two_choices, Scenario(text="The first of two choices."))
    response = post(surface)
    assert pattern(response).removeprefix("c0u-p ") == "cuN* cfuN* c0U D"
    assert text(response, 0) == "The first of two choices."
    assert text(response, 1) == "The second."
    alone = usage(post(surface))
    assert usage(response)["prompt_tokens"] == alone["prompt_tokens"]
    assert usage(response)["completion_tokens"] == alone["completion_tokens"] + 4


def test_choices_may_be_strings(post: Post, server: Emulator) -> None:
    """A choice may be its text alone, and takes the scenario's finish reason."""
    own = Answer(text="b", finish_reason="stop")
    server.script(Scenario(choices=("a", own), finish_reason="length"))
    frames = events(post())[:-1]
    reasons = [c["finish_reason"] for f in frames for c in f["choices"] if c["finish_reason"]]
    assert reasons == ["length", "stop"]


@pytest.mark.parametrize("surface", SURFACES)
def test_one_tool_call(post: Post, server: Emulator, surface: str) -> None:
    """A single tool call starts in the first delta, and its arguments come in pieces."""
    server.script(scenarios.tool_calls)
    frames = [e for e in events(post(surface)) if e != "[DONE]" and e["choices"]]
    first = frames[0]["choices"][0]["delta"]
    assert (first["role"], first["content"], first["refusal"]) == ("assistant", None, None)
    (start,) = first["tool_calls"]
    assert start["id"].startswith("call_")
    assert start["function"] == {"name": "get_weather", "arguments": ""}
    parts = [f["choices"][0]["delta"]["tool_calls"][0] for f in frames[1:-1]]
    assert all(set(part) == {"index", "function"} for part in parts)
    arguments = "".join(part["function"]["arguments"] for part in parts)
    assert json.loads(arguments) == {"city": "Oslo", "unit": "celsius"}
    assert frames[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_parallel_tool_calls(post: Post, server: Emulator) -> None:
    """Parallel calls start in frames of their own, told apart by their index."""
    server.script(scenarios.parallel_tool_calls)
    deltas = [e["choices"][0]["delta"] for e in events(post())[:-2]]
    assert deltas[0] == {"role": "assistant", "content": None}
    starts = [p for d in deltas for p in d.get("tool_calls", ()) if "id" in p]
    assert [part["index"] for part in starts] == [0, 1]


def test_text_before_a_tool_call(post: Post, server: Emulator) -> None:
    """Text may come before the call."""
    server.script(Scenario(text="Let me see.", tool_calls=scenarios.tool_calls.tool_calls))
    response = post()
    assert text(response) == "Let me see."
    assert usage(response)["completion_tokens"] > 8


def test_refusal(post: Post, server: Emulator) -> None:
    """A refusal comes in its own key and ends with `stop`."""
    server.script(scenarios.refusal)
    response = post()
    assert text(response) == ""
    assert text(response, key="refusal") == "The emulator would rather not."
    assert events(response)[-3]["choices"][0]["finish_reason"] == "stop"


def test_reasoning_is_inside_completion(post: Post, server: Emulator) -> None:
    """Reasoning tokens are part of the completion tokens, and the sum holds."""
    server.script(scenarios.reasoning)
    found = usage(post())
    assert found["completion_tokens_details"]["reasoning_tokens"] == 64
    assert found["completion_tokens"] > 64
    assert found["total_tokens"] == found["prompt_tokens"] + found["completion_tokens"]


def test_cache_details(post: Post, server: Emulator) -> None:
    """Cached tokens change no sum, and cache writes are a key only where they are given."""
    server.script(Scenario(cached_tokens=4), Scenario(cache_write_tokens=5))
    cached, written, plain = (usage(post()) for _ in range(3))
    assert cached["prompt_tokens"] == written["prompt_tokens"] == plain["prompt_tokens"]
    assert cached["prompt_tokens_details"] == {"cached_tokens": 4, "audio_tokens": 0}
    details = {"cached_tokens": 0, "cache_write_tokens": 5, "audio_tokens": 0}
    assert written["prompt_tokens_details"] == details


@pytest.mark.parametrize("scenario", [scenarios.cached, scenarios.cache_write])
def test_usage_override(post: Post, server: Emulator, scenario: Scenario) -> None:
    """A scenario's own usage is sent untouched."""
    server.script(scenario)
    assert usage(post("azure")) == scenario.usage


def test_usage_can_be_omitted(post: Post, server: Emulator) -> None:
    """A server may accept the option and never report."""
    server.script(Scenario(omit_usage=True), scenarios.content_filter_finish_without_usage)
    assert pattern(post()) == "cuN* cfuN D"
    assert "U" not in pattern(post("azure"))


def test_moderation_after_usage(post: Post, server: Emulator) -> None:
    """On OpenAI a moderation frame follows the usage, also where the request asked for it."""
    server.script(scenarios.moderation)
    assert pattern(post()) == "cuN* cfuN c0U c0uN D"
    asked = post(moderation={"model": "omni-moderation-latest"})
    assert pattern(asked) == "cuN* cfuN c0U c0uN D"
    assert list(events(asked)[-2]["moderation"]) == ["input", "output"]


def test_async_filter(post: Post, server: Emulator) -> None:
    """Azure's annotations have no delta and no model, and one comes after the finish frame."""
    server.script(scenarios.async_filter)
    response = post("azure")
    assert pattern(response) == "c0u-p cuN* cu- cuN* cfuN cu- c0U D"
    (last,) = events(response)[-3]["choices"]
    assert list(last) == [
        "content_filter_offsets",
        "content_filter_results",
        "finish_reason",
        "index",
    ]


def test_content_filter_finish(post: Post, server: Emulator) -> None:
    """A blocked completion ends with its own reason; with the async filter, without a delta."""
    blocked = scenarios.content_filter_finish
    server.script(blocked, Scenario(text="no", finish_reason="content_filter", async_filter=True))
    (choice,) = events(post("azure"))[-3]["choices"]
    verdict = {"protected_material_text": {"detected": True, "filtered": True}}
    assert (choice["finish_reason"], choice["delta"]) == ("content_filter", {})
    assert choice["content_filter_results"] == verdict
    (bare,) = events(post("azure"))[-4]["choices"]
    assert (bare["finish_reason"], "delta" in bare) == ("content_filter", False)


def test_prompt_filter_can_be_absent(post: Post, server: Emulator) -> None:
    """Azure's first frame is not always there."""
    server.script(Scenario(prompt_filter=False))
    assert pattern(post("azure")) == "cuN* cfuN c0U D"


@pytest.mark.parametrize("surface", SURFACES)
def test_not_streamed(post: Post, server: Emulator, surface: str) -> None:
    """Without `stream` the answer is one object that always has its usage."""
    server.script(scenarios.plain, scenarios.tool_calls, scenarios.refusal)
    response = post(surface, stream=None, stream_options=None)
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"]["content"] == "The emulator says hello."
    assert body["usage"]["total_tokens"] > 0
    assert ("prompt_filter_results" in body) == surface.startswith("azure")
    assert ("latency_checkpoint" in body["usage"]) == surface.startswith("azure")
    called = post(surface, stream=False).json()["choices"][0]
    assert called["finish_reason"] == "tool_calls"
    assert called["message"]["tool_calls"][0]["function"]["name"] == "get_weather"
    refused = post(surface, stream=False).json()["choices"][0]["message"]
    assert (refused["content"], refused["refusal"]) == (None, "The emulator would rather not.")
