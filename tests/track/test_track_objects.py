"""The objects of a tracked stream: the SDK's own, whichever way they are made."""

# What is put in the SDK's way is no part of what it offers.
# pyright: reportPrivateUsage=false, reportMissingParameterType=false

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any, cast

import openai
import pytest
from openai.types.chat import ChatCompletionChunk
from tests._support.sdk_http import client_of, streamed

from usagestream_adapters.track import MeteredItems, meter, track

from .conftest import each, result

ASK: dict[str, Any] = {"model": "m", "messages": []}
KNOWN: dict[str, Any] = {
    "id": "c",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}],
}
ODD: dict[str, Any] = {**KNOWN, "id": 7, "choices": [{"index": "0", "delta": {"content": 1}}]}
DELTA: dict[str, Any] = {
    "type": "response.output_text.delta",
    "delta": "a",
    "item_id": "msg_1",
    "output_index": 0,
    "content_index": 0,
    "sequence_number": 1,
    "logprobs": [],
}


def body(*frames: dict[str, Any]) -> list[bytes]:
    """Events as OpenAI writes them."""
    return [*[f"data: {json.dumps(frame)}\n\n".encode() for frame in frames], b"data: [DONE]\n\n"]


def client_for(
    reads: list[bytes], *, asynchronous: bool = False, kind: Any = None, **more: Any
) -> Any:
    """An SDK client that is answered with these reads, however often it asks."""
    kind = kind or (openai.AsyncOpenAI if asynchronous else openai.OpenAI)
    http = client_of(
        lambda _: streamed(reads, asynchronous=asynchronous), asynchronous=asynchronous
    )
    return kind(api_key="k", base_url="http://server.test/v1", http_client=http, **more)


def chunks(client: Any) -> list[Any]:
    """What a stream of this sync client gives."""
    return list(client.chat.completions.create(**ASK, stream=True))


def told(item: Any) -> Any:
    """All there is to an object."""
    dumped = item.model_dump(warnings=False)
    return type(item), repr(item), sorted(item.model_fields_set), repr(dumped)


@pytest.mark.parametrize("fast", [True, False])
def test_chat(asynchronous: bool, fast: bool) -> None:
    """Chunks of every kind are those of a bare client, and so are those of a copy."""

    async def run(client: Any) -> list[Any]:
        return await each(await result(client.chat.completions.create(**ASK, stream=True)))

    reads = body(KNOWN, ODD, {**KNOWN, "own": {"of": 1}}, {})
    bare = asyncio.run(run(client_for(reads, asynchronous=asynchronous)))
    tracked = track(client_for(reads, asynchronous=asynchronous), fast=fast)
    for client in (tracked, tracked.with_options(max_retries=1)):
        assert [told(item) for item in asyncio.run(run(client))] == [told(item) for item in bare]


def test_responses(asynchronous: bool) -> None:
    """The same for events: such as validate, such as do not, and such as nobody knows."""
    ask: dict[str, Any] = {"model": "m", "input": "?", "stream": True}

    async def run(client: Any) -> list[Any]:
        return await each(await result(client.responses.create(**ask)))

    reads = body(DELTA, DELTA, {**DELTA, "logprobs": None}, {"type": "new"}, {"text": "no type"})
    bare = asyncio.run(run(client_for(reads, asynchronous=asynchronous)))
    items = asyncio.run(run(track(client_for(reads, asynchronous=asynchronous))))
    assert [told(item) for item in items] == [told(item) for item in bare]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the SDK itself constructs from now on."""
    made: list[Any] = []
    real: Any = ChatCompletionChunk.__dict__.get("construct", ChatCompletionChunk.construct)

    def construct(*args: Any, **values: Any) -> Any:
        made.append(values)
        return real(*args, **values)

    monkeypatch.setattr(ChatCompletionChunk, "construct", construct)
    return made


class Own(openai.OpenAI):
    """Makes its objects itself."""

    def _process_response_data(self, **how: Any) -> Any:
        return super()._process_response_data(**how)


def test_the_sdk_makes_what_is_not_as_known(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A subclass that makes objects, and whoever asks for it; else the SDK makes none."""
    track(client_for(body(KNOWN)))  # so that what is tried once has been
    made = counted(monkeypatch)
    assert len(chunks(track(client_for(body(KNOWN, KNOWN))))) == 2
    assert not made
    with caplog.at_level(logging.DEBUG, logger="usagestream"):
        assert len(chunks(track(client_for(body(KNOWN, KNOWN), kind=Own)))) == 2
    assert len(made) == 2
    assert "The objects of this Own are made as the SDK does" in caplog.text
    assert len(chunks(track(client_for(body(KNOWN)), fast=False))) == 1
    assert len(made) == 3


def test_an_sdk_whose_method_takes_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another signature is another method."""
    real = openai.OpenAI._process_response_data

    def other(self: Any, *, data: Any, cast_to: Any, response: Any, more: Any = None) -> Any:
        return real(self, data=data, cast_to=cast_to, response=response)

    other.__module__ = real.__module__
    track(client_for(body(KNOWN)))
    made = counted(monkeypatch)
    monkeypatch.setattr(openai.OpenAI, "_process_response_data", other)
    assert len(chunks(track(client_for(body(KNOWN))))) == 1
    assert len(made) == 1


@pytest.mark.parametrize("frame", [KNOWN, {**KNOWN, "created": "a word"}])
def test_strict_validation_is_the_sdks(frame: dict[str, Any]) -> None:
    """It raises where the SDK raises."""

    def run(client: Any) -> Any:
        client._strict_response_validation = True
        try:
            return [told(item) for item in chunks(client)]
        except openai.APIResponseValidationError as exc:
            return str(exc)

    assert run(track(client_for(body(frame)))) == run(client_for(body(frame)))


def test_a_metered_stream_makes_them_too(asynchronous: bool) -> None:
    """Those of a stream that was opened before; its client makes its other objects itself."""

    async def run(client: Any, *, metered: bool) -> list[Any]:
        stream = await result(client.chat.completions.create(**ASK, stream=True))
        items = await each(meter(stream) if metered else stream)
        return [told(item) for item in items]

    client = client_for(body(KNOWN, ODD, {**KNOWN, "choices": None}), asynchronous=asynchronous)
    plain = asyncio.run(run(client, metered=False))
    assert plain == asyncio.run(run(client, metered=True))
    assert "_process_response_data" not in vars(client)


def test_what_the_sdk_is_spared_in_a_metered_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for the objects that are not as known, and for those of nobody else's stream."""
    asked: list[Any] = []
    plain = openai.OpenAI._process_response_data

    def process(self: Any, *, data: Any, cast_to: Any, response: Any) -> Any:
        asked.append(data)
        return plain(self, data=data, cast_to=cast_to, response=response)

    process.__module__ = plain.__module__
    monkeypatch.setattr(openai.OpenAI, "_process_response_data", process)
    client = client_for(body(KNOWN, {**KNOWN, "_fields_set": []}))
    stream: Any = client.chat.completions.create(**ASK, stream=True)
    metered = cast("MeteredItems", meter(stream))
    with metered:
        assert stream._client.base_url == client.base_url
        with pytest.raises(AttributeError):
            list(metered)
    assert len(asked) == 1


def test_streams_that_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a tracked client makes its objects already; and whatever the SDK has not made."""
    tracked: Any = track(client_for(body(KNOWN)), token_counter=None)
    stream: Any = tracked.chat.completions.create(**ASK, stream=True)
    metered = cast("MeteredItems", meter(stream))
    assert len(list(metered)) == 1
    assert stream._client is tracked
    items: list[Any] = [KNOWN]
    assert list(meter(items)) == items
    monkeypatch.delitem(sys.modules, "openai")
    assert list(meter(items)) == items
