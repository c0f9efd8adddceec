"""What is asked reaches the provider as the SDK itself would have sent it, for less."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseOutputMessage
from tests._support.calls import calls
from tests._support.chat import HELLO
from tests._support.conversations import CONVERSATION, HI, SHAPES, TOOL
from tests._support.sdk_http import client_of, http, streamed
from tests._support.worlds import World

from usagestream import Client
from usagestream_adapters.openai import OpenAIProfile

URL = "http://provider.test/v1"
PROFILE = OpenAIProfile.model_validate({"api_key": "k", "base_url": URL})


def bodies(asked: Callable[[], dict[str, Any]], world: World) -> tuple[bytes, bytes]:
    """What we send of this, and what the SDK does."""
    seen: list[bytes] = []

    def reply(request: Any) -> Any:
        seen.append(request.content)
        return streamed([HELLO], asynchronous=world.asynchronous)

    def reply_sync(request: Any) -> Any:
        seen.append(request.content)
        return streamed([HELLO])

    world.ask(PROFILE, reply, **asked()).drain()
    sdk: Any = openai.OpenAI(api_key="k", base_url=URL, http_client=client_of(reply_sync))
    usage = {"include_usage": True}
    for _ in sdk.chat.completions.create(stream=True, stream_options=usage, **asked()):
        pass
    ours, theirs = seen
    return ours, theirs


@pytest.mark.parametrize("make", SHAPES.values(), ids=list(SHAPES))
def test_the_body_is_the_sdks_own(world: World, make: Callable[[], dict[str, Any]]) -> None:
    """Byte for byte, whatever the conversation is made of."""
    ours, theirs = bodies(lambda: {"model": "gpt-4o", **make()}, world)
    assert ours == theirs


def test_a_response_is_asked_for_as_the_sdk_would(world: World) -> None:
    """Its input and tools are spared too, as text, as items, and beside the SDK's objects."""
    item: Any = {"type": "message", "role": "assistant", "id": "m", "status": "completed"}
    item["content"] = []
    said: Any = ResponseOutputMessage.model_validate(item)
    for given in ("Hi", [HI, item], [HI, said]):
        asked: dict[str, Any] = {"model": "gpt-4o", "input": given, "tools": [TOOL]}
        seen: list[bytes] = []

        def reply(request: Any, seen: list[bytes] = seen) -> Any:
            seen.append(request.content)
            return streamed([])

        with Client(PROFILE, http_client=client_of(reply)) as client:
            client.responses.stream(**asked).close()
            stream = client.responses.stream(**asked)
            with pytest.raises(Exception, match="ended before"):
                stream.drain()
        sdk: Any = openai.OpenAI(api_key="k", base_url=URL, http_client=client_of(reply))
        for _ in sdk.responses.create(stream=True, **asked):
            pass
        ours, theirs = seen
        assert ours == theirs


def test_a_parameter_nobody_knows_is_refused_before_anything_is_sent() -> None:
    """The SDK's own check of names still sees every parameter."""
    with Client(PROFILE, http_client=client_of(pytest.fail)) as client:
        asked: dict[str, Any] = {"messages": [HI], "mesages": []}
        with pytest.raises(TypeError, match="mesages"):
            client.stream(model="gpt-4o", **asked).drain()


def test_what_was_passed_is_not_changed(world: World) -> None:
    """Neither the conversation nor the caller's `extra_body`."""
    asked = {"messages": CONVERSATION, "tools": [TOOL], "extra_body": {"top_k": 3}}
    before = copy.deepcopy(asked)
    bodies(lambda: {"model": "gpt-4o", **asked}, world)
    assert json.dumps(asked) == json.dumps(before)


def test_a_retry_sends_what_was_asked(world: World) -> None:
    """Whatever the caller does to the conversation while the SDK waits to try again."""
    said: dict[str, Any] = {"role": "user", "content": "Hi"}
    conversation = [said]
    seen: list[bytes] = []

    def reply(request: Any) -> Any:
        seen.append(request.content)
        if len(seen) == 2:
            return streamed([HELLO], asynchronous=world.asynchronous)
        conversation.append(HI)
        said["content"] = "Bye"
        return http.Response(500, headers={"retry-after-ms": "1"}, text="{}")

    world.ask(PROFILE, reply, model="gpt-4o", messages=conversation).drain()
    first, second = seen
    assert first == second


def test_opening_costs_little_for_each_message() -> None:
    """The SDK calls some 700 functions of Python's for each; here it is the look at its values."""

    def reply(_request: Any) -> Any:
        return streamed([HELLO])

    def count(messages: int) -> int:
        with client.stream(model="gpt-4o", messages=[HI] * messages) as stream:
            pass
        stream = client.stream(model="gpt-4o", messages=[HI] * messages)
        return calls(stream.drain)["call"]

    # Without prices: the list is loaded with the first of them.
    http_client = client_of(reply)
    with Client(PROFILE, token_counter=None, pricer=None, http_client=http_client) as client:
        assert (count(101) - count(1)) / 100 <= 10
