"""A tracked client asks for less than a bare one, and sends the same."""

# Tests look behind the door.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import copy
import inspect
import json
from collections.abc import Callable
from functools import wraps
from operator import attrgetter
from typing import Any

import openai
import pytest
from openai.resources.chat.completions import Completions
from openai.types.responses import ResponseOutputMessage
from tests._support.calls import calls
from tests._support.conversations import CONVERSATION, HI, SHAPES, TOOL
from tests._support.sdk_http import client_of, http, streamed
from tests.track.conftest import Entered, each, result

from usagestream_adapters.track import _sparing, track

CHAT: dict[str, Any] = {"model": "gpt-4o", "messages": [HI]}
ASKED = {"stream": True, "stream_options": {"include_usage": True}}
FRAME = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":['
    b'{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)
ITEM: dict[str, Any] = {"type": "message", "role": "assistant", "id": "m", "status": "completed"}
ITEM["content"] = []
RESPONSES: dict[str, Callable[[], dict[str, Any]]] = {
    "text": lambda: {"input": "Hi"},
    "items": lambda: {"input": [HI, ITEM], "tools": [{"type": "function", **TOOL["function"]}]},
    "object": lambda: {"input": [HI, ResponseOutputMessage.model_validate(ITEM)]},
    "extra_body": lambda: {"input": [HI], "extra_body": {"input": "Hi", "top_k": 3}},
}

Way = Callable[[Any, dict[str, Any]], Any]


class Wire:
    """What was sent, by clients whose provider answers at once."""

    def __init__(self, *, asynchronous: bool) -> None:
        self.sent: list[bytes] = []
        self.asynchronous = asynchronous

    def reply(self, request: Any) -> Any:
        """Note the body, and answer."""
        self.sent.append(request.content)
        return streamed([FRAME], asynchronous=self.asynchronous)

    def client(self, reply: Any = None, **more: Any) -> Any:
        """A client of the SDK's."""
        kind: Any = openai.AsyncOpenAI if self.asynchronous else openai.OpenAI
        transport = client_of(reply or self.reply, asynchronous=self.asynchronous)
        return kind(api_key="k", base_url="http://provider.test/v1", http_client=transport, **more)

    def send(self, client: Any, way: Way, asked: dict[str, Any]) -> bytes:
        """What a client sends of this."""
        asyncio.run(way(client, asked))
        return self.sent[-1]

    def tried(self, client: Any, way: Way, asked: dict[str, Any]) -> bytes | str:
        """The same, or what is raised: an early SDK's helper takes strict tools alone."""
        try:
            return self.send(client, way, asked)
        except ValueError as exc:
            return repr(exc)


@pytest.fixture
def wire(asynchronous: bool) -> Wire:
    """Each kind of client."""
    return Wire(asynchronous=asynchronous)


@pytest.fixture(autouse=True)
def _loaded() -> None:
    """Resources are spared once they are loaded, as they are in a program that uses them."""
    client: Any = openai.OpenAI(api_key="k")
    assert client.chat.completions
    assert client.responses


async def created(client: Any, asked: dict[str, Any]) -> None:
    """Ask for a streamed completion."""
    await each(await result(client.chat.completions.create(**ASKED, **asked)))


async def raw(client: Any, asked: dict[str, Any]) -> None:
    """Ask for one by way of the raw response."""
    await result(client.chat.completions.with_raw_response.create(**ASKED, **asked))


async def streamed_by_helper(client: Any, asked: dict[str, Any]) -> None:
    """Ask for one by the helper."""
    usage = {"stream_options": {"include_usage": True}}
    async with Entered(client.chat.completions.stream(**usage, **asked)) as stream:
        await each(stream)


async def whole(client: Any, asked: dict[str, Any]) -> None:
    """Ask for an answer that is not streamed."""
    await result(client.chat.completions.with_raw_response.create(**asked))


async def response(client: Any, asked: dict[str, Any]) -> None:
    """Ask for a streamed response."""
    await each(await result(client.responses.create(stream=True, **asked)))


async def response_by_helper(client: Any, asked: dict[str, Any]) -> None:
    """Ask for one by the helper."""
    async with Entered(client.responses.stream(**asked)):
        pass


@pytest.mark.parametrize("way", [created, raw, streamed_by_helper, whole])
@pytest.mark.parametrize("make", SHAPES.values(), ids=list(SHAPES))
def test_the_same_is_sent_for_a_completion(
    wire: Wire, way: Way, make: Callable[[], dict[str, Any]]
) -> None:
    """Byte for byte, whatever the conversation is made of, and for a copy of the client too."""
    bare = wire.client()
    tracked = track(bare, token_counter=None)
    sent = [
        wire.tried(client, way, {"model": "gpt-4o", **make()})
        for client in (bare, tracked, tracked.with_options(timeout=9))
    ]
    assert [sent[0]] * 3 == sent


@pytest.mark.parametrize("way", [response, response_by_helper])
@pytest.mark.parametrize("make", RESPONSES.values(), ids=list(RESPONSES))
def test_the_same_is_sent_for_a_response(
    wire: Wire, way: Way, make: Callable[[], dict[str, Any]]
) -> None:
    """As text, as items, and beside the SDK's objects."""
    bare = wire.client()
    sent = [
        wire.send(client, way, {"model": "gpt-4o", **make()})
        for client in (bare, track(bare, token_counter=None))
    ]
    assert [sent[0]] * 2 == sent


def calls_for_a_message(client: Any, name: str, given: str) -> float:
    """How many functions of Python's are called for one more message, given by this name."""
    create = attrgetter(name)(client).create

    def count(messages: int) -> int:
        asked: dict[str, Any] = {"model": "m", given: [HI] * messages}
        return calls(lambda: create(**asked))["call"]

    count(1)
    return (count(31) - count(1)) / 30


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("chat.completions", "messages"),
        ("responses", "input"),
    ],
    ids=["chat", "responses"],
)
def test_a_message_costs_little(name: str, given: str) -> None:
    """The SDK calls hundreds of functions for each; `fast=False` leaves it at that."""

    def reply(_request: Any) -> Any:
        return http.Response(200, json={})

    bare = Wire(asynchronous=False).client(reply)
    assert calls_for_a_message(bare, name, given) > 100
    assert calls_for_a_message(track(bare, token_counter=None), name, given) < 10
    slow = track(bare, token_counter=None, fast=False)
    assert calls_for_a_message(slow, name, given) > 100


def test_what_is_not_known_is_refused(wire: Wire) -> None:
    """By the SDK's own check of names, before anything is sent."""
    client = track(wire.client(pytest.fail), token_counter=None)
    with pytest.raises(TypeError, match="mesages"):
        asyncio.run(created(client, {**CHAT, "mesages": []}))
    with pytest.raises(TypeError, match="messages"):
        asyncio.run(created(client, {"model": "gpt-4o"}))


def test_what_was_passed_is_not_changed(wire: Wire) -> None:
    """Neither the conversation nor the caller's `extra_body`."""
    asked: dict[str, Any] = {"model": "gpt-4o", "messages": CONVERSATION}
    asked |= {"tools": [TOOL], "extra_body": {"top_k": 3}}
    before = copy.deepcopy(asked)
    wire.send(track(wire.client(), token_counter=None), created, asked)
    assert before == asked


def test_a_retry_sends_what_was_asked(wire: Wire) -> None:
    """Whatever the caller does to the conversation while the SDK waits to try again."""
    conversation = [dict(HI)]

    def reply(request: Any) -> Any:
        answer = wire.reply(request)
        if len(wire.sent) == 2:
            return answer
        conversation[0]["content"] = "Bye"
        return http.Response(500, headers={"retry-after-ms": "1"}, text="{}")

    client = track(wire.client(reply), token_counter=None)
    wire.send(client, created, {"model": "gpt-4o", "messages": conversation})
    first, second = wire.sent
    assert first == second


@pytest.fixture
def instrumented(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a wrapper around the SDK's own `create` is shown, as instrumentation puts it there."""
    shown: list[Any] = []
    plain: Any = Completions.create

    @wraps(plain)
    def create(self: Any, **asked: Any) -> Any:
        shown.append(asked["messages"])
        return plain(self, **asked)

    monkeypatch.setattr(Completions, "create", create)
    return shown


@pytest.mark.usefixtures("instrumented")
def test_instrumentation_of_the_class_before_tracking(instrumented: list[Any]) -> None:
    """It sees the conversation, as with a client that is not tracked."""
    wire = Wire(asynchronous=False)
    wire.send(track(wire.client(), token_counter=None), created, CHAT)
    assert instrumented == [[HI]]


def test_instrumentation_of_the_class_after_tracking(request: pytest.FixtureRequest) -> None:
    """It is seen by a client that was there before."""
    wire = Wire(asynchronous=False)
    client = track(wire.client(), token_counter=None)
    shown = request.getfixturevalue("instrumented")
    wire.send(client, created, CHAT)
    assert shown == [[HI]]


class Wrapper:
    """A wrapper that is no function, as those of wrapt's."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.shown: list[Any] = []

    def __get__(self, owner: Any, kind: type) -> Any:
        def create(**asked: Any) -> Any:
            self.shown.append(asked["messages"])
            return self.inner.__get__(owner, kind)(**asked)

        return create


def test_a_wrapper_that_is_no_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is called as the attribute that it is, and sees the conversation."""
    wrapper = Wrapper(Completions.create)
    wire = Wire(asynchronous=False)
    client = track(wire.client(), token_counter=None)
    monkeypatch.setattr(Completions, "create", wrapper)
    wire.send(client, created, CHAT)
    assert wrapper.shown == [[HI]]


def test_what_watches_the_requests_of_the_client(wire: Wire) -> None:
    """Instrumentation of one client is put on the tracked one, and sees the conversation there."""
    client: Any = track(wire.client(), token_counter=None)
    request = client.request
    shown: list[Any] = []

    def watched(cast_to: Any, options: Any, **how: Any) -> Any:
        shown.append((options.json_data["messages"], options.extra_json))
        return request(cast_to, options, **how)

    client.request = watched
    wire.send(client, created, CHAT)
    wire.send(client, created, {**CHAT, "extra_body": {"top_k": 3}})
    assert shown == [([HI], None), ([HI], {"top_k": 3})]


def test_it_looks_like_the_sdks(wire: Wire) -> None:
    """Its signature, its name, and whether it is a coroutine function."""
    bare = wire.client()
    tracked: Any = track(bare, token_counter=None)
    for name in ("chat.completions.create", "responses.create"):
        theirs, ours = attrgetter(name)(bare), attrgetter(name)(tracked)
        assert inspect.signature(theirs) == inspect.signature(ours)
        assert theirs.__name__ == ours.__name__
        assert inspect.iscoroutinefunction(theirs) == inspect.iscoroutinefunction(ours)


class Held(openai.OpenAI):
    """A subclass with resources of its own."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        other = openai.OpenAI(api_key="k")
        vars(self).update(chat=other.chat, responses=object())


class Odd(openai.OpenAI):
    """One that has another thing in the place of a resource."""

    chat: Any = None


def test_resources_that_are_not_the_clients_own() -> None:
    """They hand on to another client, or are no resources: nothing is replaced on them."""
    held: Any = track(Held(api_key="k"), token_counter=None)
    assert "create" not in vars(held.chat.completions)
    odd: Any = track(Odd(api_key="k"), token_counter=None)
    assert "create" in vars(odd.responses)


def test_a_resource_that_is_not_loaded_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not loaded for this: it is spared from the first call after it is."""
    resources = _sparing._RESOURCES
    monkeypatch.setattr(_sparing, "_RESOURCES", {"not.loaded": resources[Completions.__module__]})
    wire = Wire(asynchronous=False)
    client: Any = track(wire.client(), token_counter=None)
    assert "chat" not in vars(client)
    wire.send(client, created, CHAT)
    assert "create" not in vars(client.chat.completions)


def test_what_a_caller_put_in_its_place(wire: Wire) -> None:
    """A `create` that was replaced on the tracked client is not replaced again."""
    client: Any = track(wire.client(), token_counter=None)
    completions = client.chat.completions

    def put(**_: Any) -> None:
        raise AssertionError("it is not called")

    completions.create = put
    _sparing.Sparing(client).begin()
    assert put is completions.create
    assert json.loads(wire.send(client, response, {"model": "m", "input": "Hi"}))["input"] == "Hi"
