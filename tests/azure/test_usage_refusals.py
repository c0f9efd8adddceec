"""Asking for usage: where it is refused, how that is recognised, and what is done then."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from tests._support.worlds import ASK, World

from usagestream import BadRequestError, ProviderError
from usagestream_adapters.azure import AzureProfile
from usagestream_adapters.emulator import REFUSALS, Emulator, ErrorReply, Scenario, scenarios
from usagestream_adapters.openai import OpenAIProfile
from usagestream_adapters.sdk.attempts import RefusalMemory
from usagestream_adapters.sdk.usage_option import refused_option

MESSAGES = ASK["messages"]


def azure(server: Emulator, **more: Any) -> AzureProfile:
    """A profile of the emulator's Azure."""
    fields: dict[str, Any] = {"api_key": "refusal-suite-key", "max_retries": 0, **more}
    return AzureProfile(endpoint=server.azure_endpoint, **fields)


def openai(server: Emulator, **more: Any) -> OpenAIProfile:
    """A profile of the emulator as a server that speaks OpenAI's wire."""
    fields: dict[str, Any] = {"api_key": "refusal-suite-key", "max_retries": 0, **more}
    return OpenAIProfile(base_url=server.openai_base_url, **fields)


def options_sent(server: Emulator) -> list[Any]:
    """The `stream_options` of each request; `...` where the key was absent."""
    return [request.body.get("stream_options", ...) for request in server.requests]


# --- recognition


def error(message: str, param: Any = None, code: Any = None, **more: Any) -> dict[str, Any]:
    """OpenAI's envelope."""
    return {"error": {"message": message, "param": param, "code": code, **more}}


def forbidden(*loc: str | int, **more: Any) -> dict[str, Any]:
    """FastAPI's envelope."""
    found = {"type": "extra_forbidden", "loc": ["body", *loc], "msg": "Extra inputs", **more}
    return {"detail": [found]}


INNER = forbidden("stream_options", "include_usage")
RECOGNISED: list[tuple[int, Any, str]] = [
    *((reply.status, reply.body, "include_usage" if name in ("extra_forbidden", "invalid_input")
       else "stream_options") for name, reply in REFUSALS.items()),
    (400, error("1 validation error for Request\nbody -> stream_options\n  extra fields not "
                "permitted (type=value_error.extra)"), "stream_options"),
    (400, {"detail": "Extra parameters ['stream_options'] are not allowed when extra-parameters "
                     "is not set or set to be 'error'."}, "stream_options"),
    (400, error("stream_options is not supported by this model"), "stream_options"),
    (400, error("This model does not support `include_usage`."), "stream_options"),
    (400, error("", "stream_options.include_usage"), "include_usage"),
    (422, error("", "stream_options"), "stream_options"),
    (400, "Unknown field stream_options", "stream_options"),
    (422, [forbidden("stream_options")["detail"][0]], "stream_options"),
    (400, {"error": {"code": "Invalid input", "message": json.dumps(INNER)}}, "include_usage"),
]  # fmt: skip
NOT_MEANT: list[tuple[int, Any]] = [
    (401, error("Unknown parameter: 'stream_options'.", "stream_options")),
    (500, error("Unknown parameter: 'stream_options'.", "stream_options")),
    (400, error("Unsupported value: 'stream' does not support true with this model.", "stream")),
    (400, error("Unknown parameter: 'stream_options'.", "n")),
    (400, {"detail": "Extra parameters ['n'] are not allowed when extra-parameters is not set"}),
    (400, error("1 validation error for Request\nbody -> logprobs\n  extra fields not permitted")),
    (400, error("The response was filtered. stream_options", "prompt", "content_filter")),
    (400, error("Invalid message: 'Why is stream_options unsupported here?'")),
    (400, error("This echoes: Tell me why stream_options is unknown to Azure, please")),
    (400, error("Unknown parameter", "stream_options.include_obfuscation")),
    (400, error("Unknown parameter: 'stream_options.include_obfuscation'.")),
    (422, forbidden("stream_options", "include_obfuscation")),
    (422, forbidden("messages", 0, "content", input="unknown stream_options")),
    (400, error("We received: Is include_usage an unknown word?")),
    (400, error("We received: Is stream_options something unexpected?")),
    (400, error("stream_options")),
    (400, 17),
    (400, "[stream_options"),
    (400, {"error": None, "stream_options": "extra"}),
]
ASKED_ABOUT_IT = [
    {"role": "user", "content": "Tell me why stream_options is unknown to Azure, please"},
    {"role": "user", "content": [{"type": "text", "text": "Is include_usage an unknown word?"}]},
    {"role": "user", "content": ("Is stream_options something unexpected?", None)},
    {"role": "user", "content": "stream_options forbidden"},
]


@pytest.mark.parametrize(("status", "sent", "withheld"), RECOGNISED)
def test_a_refusal_is_recognised(status: int, sent: Any, withheld: str) -> None:
    """By status and by what is named as wrong, in every body of WIRE §2.2 and its kin."""
    text = sent if isinstance(sent, str) else json.dumps(sent)
    assert refused_option(status, text, MESSAGES) == withheld


@pytest.mark.parametrize(("status", "sent"), NOT_MEANT)
def test_a_refusal_of_something_else_is_not_mistaken(status: int, sent: Any) -> None:
    """Another parameter, another status, or the caller's own words."""
    text = sent if isinstance(sent, str) else json.dumps(sent)
    assert refused_option(status, text, ASKED_ABOUT_IT) is None


@pytest.mark.parametrize("message", ASKED_ABOUT_IT)
def test_what_is_taken_out_would_be_a_refusal(message: Any) -> None:
    """In each form of a message, it is the caller's having said so that makes the difference."""
    said = message["content"]
    said = said if isinstance(said, str) else said[0]
    text = json.dumps(error(f"We received: {said['text'] if isinstance(said, dict) else said}"))
    assert refused_option(400, text, []) == "stream_options"
    assert refused_option(400, text, [message]) is None
    assert refused_option(400, text, (message,)) is None


def test_a_refusal_in_a_talk_about_the_option_is_still_one() -> None:
    """The caller's words are taken out; the server's remain."""
    text = json.dumps(error("Unrecognized request argument supplied: stream_options"))
    talk = [{"role": "user", "content": "What is stream_options.include_usage for?"}]
    assert refused_option(400, text, talk) == "stream_options"


@pytest.mark.parametrize(
    "said",
    [
        "stream_options",
        "include_usage",
        " stream_options\n",
        "Unrecognized request argument supplied: stream_options",
        "What does 'Unrecognized request argument supplied: stream_options' mean?",
    ],
)
def test_words_that_are_the_servers_own_too(said: str) -> None:
    """A conversation that has the name alone, or the whole refusal, hides no refusal."""
    text = json.dumps(error("Unrecognized request argument supplied: stream_options"))
    messages = [{"role": "user", "content": said}]
    assert refused_option(400, text, messages) == "stream_options"


def test_words_about_the_flag_alone_are_the_callers_too() -> None:
    """A body that repeats what was said of `include_usage`, and nothing of `stream_options`."""
    said = "Why is include_usage unknown to some servers?"
    text = json.dumps(error(f"This request was not accepted: {said}"))
    assert refused_option(400, text, [{"role": "user", "content": said}]) is None
    assert refused_option(400, text, [{"role": "user", "content": "Hi"}]) == "stream_options"


# --- what is done


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("make", [azure, openai])
def test_the_stream_is_opened_once_more_and_the_refusal_remembered(
    world: World, server: Emulator, name: str, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """On Azure and on servers that speak OpenAI's wire; the second stream asks no more."""
    server.script(Scenario(text="Hi.", stream_options_refused=name))
    profile = make(server)
    with caplog.at_level(logging.WARNING, "usagestream"):
        assert world.stream(profile).text()
        assert world.stream(profile).text()
    asked = {"include_usage": True}
    assert options_sent(server) == [asked, ..., ...]
    first, second = world.records
    assert (first.usage_request, first.reopenings) == ("refused", 1)
    assert (second.usage_request, second.reopenings) == ("refused", 0)
    assert first.usage.source != "reported"
    (message,) = caplog.messages
    assert "gpt-4o-mini" in message
    assert "refusal-suite-key" not in caplog.text


@pytest.mark.parametrize(
    ("name", "remaining"),
    [("unknown_parameter", ...), ("extra_forbidden", {"include_obfuscation": False})],
)
def test_what_else_the_caller_asked_for_survives(
    world: World, server: Emulator, name: str, remaining: Any
) -> None:
    """Unless the whole object is refused."""
    server.script(Scenario(error=REFUSALS[name]))
    options = {"include_obfuscation": False}
    world.stream(azure(server), **ASK, stream_options=options).drain()
    assert options_sent(server)[1] == remaining
    assert options == {"include_obfuscation": False}


def test_each_deployment_is_remembered_for_itself(world: World, server: Emulator) -> None:
    """Another one is asked."""
    server.script(Scenario(stream_options_refused="unknown_parameter"))
    profile = azure(server)
    world.stream(profile).drain()
    world.stream(profile, model="other", messages=MESSAGES).drain()
    assert options_sent(server)[2] == {"include_usage": True}
    assert world.records[1].usage_request == "asked"


def test_what_is_remembered_is_bounded() -> None:
    """The oldest is forgotten."""
    memory = RefusalMemory()
    assert [memory.put(number, "stream_options") for number in range(300)] == [True] * 300
    assert not memory.put(299, "include_usage")
    assert (memory.get(0), memory.get(299)) == (None, "include_usage")


def test_a_refusal_for_another_reason_after_the_first(world: World, server: Emulator) -> None:
    """It is raised, with what was tried before."""
    server.script(
        Scenario(error=REFUSALS["unknown_parameter"]),
        Scenario(error=ErrorReply(status=400, body=error("Too long.", "messages"))),
    )
    with pytest.raises(BadRequestError, match="Too long") as caught:
        world.stream(azure(server)).drain()
    assert (caught.value.reopenings, caught.value.usage_request) == (1, "refused")
    assert (world.records[0].reopenings, world.records[0].usage_request) == (1, "refused")


def test_a_server_that_refuses_without_being_asked(world: World, server: Emulator) -> None:
    """There is nothing left to leave out."""
    refusal = Scenario(error=REFUSALS["unknown_parameter"])
    server.script(refusal, refusal)
    with pytest.raises(BadRequestError, match="Leave that parameter out"):
        world.stream(azure(server)).drain()
    assert len(server.requests) == 2


def test_always_raises_the_refusal(world: World, server: Emulator) -> None:
    """Who must have the usage would rather have no stream."""
    server.script(Scenario(stream_options_refused="unknown_parameter"))
    with pytest.raises(BadRequestError):
        world.stream(azure(server, include_usage="always")).drain()
    assert options_sent(server) == [{"include_usage": True}]
    assert world.records[0].usage_request == "asked"


def test_never_leaves_it_out(world: World, server: Emulator) -> None:
    """`include_usage` is ours, also where the caller passes it."""
    options = {"include_usage": True, "include_obfuscation": True}
    world.stream(azure(server, include_usage="never"), **ASK, stream_options=options).drain()
    assert options_sent(server) == [{"include_obfuscation": True}]
    assert world.records[0].usage_request == "not_asked"


def test_a_streaming_refusal_is_not_mistaken(world: World, server: Emulator) -> None:
    """o1 could not stream at all (WIRE §2.2)."""
    server.script(scenarios.streaming_unsupported)
    with pytest.raises(ProviderError, match="cannot stream"):
        world.stream(azure(server)).drain()


# --- known refusals


@pytest.mark.parametrize(
    ("version", "body", "asked"),
    [
        ("2024-06-01", None, False),
        ("2024-08-01-preview", None, False),
        ("2024-09-01-preview", None, True),
        ("2024-10-21", None, True),
        ("2024-10-21", {"data_sources": []}, False),
        ("2024-10-21", {"seed": 1}, True),
        ("v1", {"data_sources": []}, True),
        ("v1", None, True),
    ],
)
def test_known_refusals_are_avoided(
    world: World, server: Emulator, version: str, body: Any, asked: bool
) -> None:
    """The key is absent, not false, and no request is wasted (WIRE §2.1, §2.2)."""
    world.stream(
        azure(server, api_version=version), **ASK, extra_body=body,
        stream_options={"include_obfuscation": False},
    ).drain()  # fmt: skip
    whole = {"include_obfuscation": False, "include_usage": True}
    assert options_sent(server) == [whole if asked else ...]
    assert world.records[0].usage_request == ("asked" if asked else "not_asked")


def test_always_asks_even_where_a_refusal_is_known(world: World, server: Emulator) -> None:
    """Whether old dates still refuse is not known (WIRE §2.1): the profile can find out."""
    world.stream(azure(server, api_version="2024-06-01", include_usage="always")).drain()
    assert options_sent(server) == [{"include_usage": True}]
