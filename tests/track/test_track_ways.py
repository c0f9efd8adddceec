"""Whatever way the SDK is called, a tracked client gives what a bare one gives, and a record."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import BaseModel

from usagestream import Outcome, UsageSource
from usagestream_adapters.emulator import Answer, Scenario, ToolCall

from .conftest import Bench, Entered, each, result

ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello?"}]}
USAGE: dict[str, Any] = {"stream_options": {"include_usage": True}}


class City(BaseModel):
    """What an answer is parsed into."""

    name: str


CITY: dict[str, Any] = {**ASK, "response_format": City}


async def create_stream(client: Any) -> list[Any]:
    """A plain stream."""
    return await each(await result(client.chat.completions.create(**ASK, stream=True)))


async def create_stream_with_usage(client: Any) -> list[Any]:
    """A stream whose caller wants the usage for himself."""
    return await each(await result(client.chat.completions.create(**ASK, stream=True, **USAGE)))


async def create_stream_without_padding(client: Any) -> list[Any]:
    """A stream with another option set."""
    options = {"include_obfuscation": False}
    asked = {**ASK, "stream": True, "stream_options": options}
    items = await each(await result(client.chat.completions.create(**asked)))
    assert options == {"include_obfuscation": False}
    return items


async def create(client: Any) -> list[Any]:
    """A call that is not streamed."""
    return [await result(client.chat.completions.create(**ASK))]


async def stream_helper(client: Any) -> list[Any]:
    """The SDK's own helper, which makes events."""
    async with Entered(client.chat.completions.stream(**ASK)) as stream:
        events = await each(stream)
        final = await result(stream.get_final_completion())
    return [*[{"type": event.type} for event in events], final]


async def stream_helper_parsed(client: Any) -> list[Any]:
    """The same, with an answer to parse."""
    async with Entered(client.chat.completions.stream(**CITY, **USAGE)) as stream:
        return [await result(stream.get_final_completion())]


async def parse(client: Any) -> list[Any]:
    """A call whose answer is parsed."""
    return [await result(client.chat.completions.parse(**CITY))]


async def raw_stream(client: Any) -> list[Any]:
    """A stream by way of the raw response."""
    raw = await result(client.chat.completions.with_raw_response.create(**ASK, stream=True))
    return [raw.status_code, *await each(await result(raw.parse()))]


async def raw(client: Any) -> list[Any]:
    """A call by way of the raw response."""
    raw = await result(client.chat.completions.with_raw_response.create(**ASK))
    return [raw.status_code, await result(raw.parse()), raw.http_response.json()]


async def streaming_response_lines(client: Any) -> list[Any]:
    """A stream read line by line."""
    called = client.chat.completions.with_streaming_response.create(**ASK, stream=True)
    async with Entered(called) as response:
        lines = await each(response.iter_lines())
    return [json.loads(line[6:]) if "{" in line else line for line in lines]


async def streaming_response_json(client: Any) -> list[Any]:
    """A whole answer whose body is read when the caller wants it."""
    async with Entered(client.chat.completions.with_streaming_response.create(**ASK)) as response:
        return [await result(response.json())]


async def posted(client: Any) -> list[Any]:
    """The SDK's way to what it has no method for."""
    body = {**ASK, "stream": False}
    return [await result(client.post("/chat/completions", body=body, cast_to=object))]


RESPOND: dict[str, Any] = {"model": "gpt-4o-mini", "input": "Hello?"}


async def responses_stream(client: Any) -> list[Any]:
    """A streamed response."""
    return await each(await result(client.responses.create(**RESPOND, stream=True)))


async def responses_create(client: Any) -> list[Any]:
    """A response that is not streamed."""
    return [await result(client.responses.create(**RESPOND))]


async def responses_helper(client: Any) -> list[Any]:
    """The SDK's own helper."""
    async with Entered(client.responses.stream(**RESPOND)) as stream:
        events = await each(stream)
        final = await result(stream.get_final_response())
    return [*[{"type": event.type} for event in events], final]


async def responses_parse(client: Any) -> list[Any]:
    """A response that is parsed."""
    return [await result(client.responses.parse(**RESPOND, text_format=City))]


async def responses_raw(client: Any) -> list[Any]:
    """By way of the raw response."""
    raw = await result(client.responses.with_raw_response.create(**RESPOND))
    return [raw.status_code, await result(raw.parse())]


async def responses_lines(client: Any) -> list[Any]:
    """A streamed response read line by line."""
    called = client.responses.with_streaming_response.create(**RESPOND, stream=True)
    async with Entered(called) as response:
        lines = await each(response.iter_lines())
    return [json.loads(line[6:]) if line.startswith("data") else line for line in lines]


RESPONSES = [
    responses_stream,
    responses_create,
    responses_helper,
    responses_parse,
    responses_raw,
    responses_lines,
]
WAYS: list[Callable[[Any], Awaitable[list[Any]]]] = [
    create_stream,
    create_stream_with_usage,
    create_stream_without_padding,
    create,
    stream_helper,
    stream_helper_parsed,
    parse,
    raw_stream,
    raw,
    streaming_response_lines,
    streaming_response_json,
    posted,
]


def comparable(item: Any) -> Any:
    """An item without what the emulator makes up anew for each answer."""
    if isinstance(item, BaseModel):
        item = {"class": type(item).__name__, **item.model_dump(exclude_unset=True, warnings=False)}
    text = json.dumps(item, default=str)
    made_up = r'"(id|item_id|created|created_at|obfuscation)": ("[^"]*"|[\d.]+)'
    text = re.sub(made_up, r'"\1": "any"', text)
    return json.loads(text)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_tracked_client_gives_what_a_bare_one_gives(
    bench: Bench, way: Callable[[Any], Awaitable[list[Any]]]
) -> None:
    """Item by item; and there is one record of what the answer cost."""
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
    answer = Scenario(text='{"name":"Oslo"}', usage=usage)
    bench.server.script(answer, answer)
    bare = bench.run(way, tracked=False)
    tracked = bench.run(way)
    assert [comparable(item) for item in tracked] == [comparable(item) for item in bare]
    record = bench.record
    assert (record.outcome, record.usage.source) == (Outcome.COMPLETED, UsageSource.REPORTED)
    counts = (record.usage.input_tokens, record.usage.output_tokens, record.usage.total_tokens)
    assert counts == (9, 5, 14)
    assert record.finish_reasons == {0: "stop"}
    assert (record.model, record.response_model) == ("gpt-4o-mini", "gpt-4o-mini-2024-07-18")
    assert record.provider == ("openai" if bench.surface == "openai" else "azure")
    assert record.deployment == (None if bench.surface == "openai" else "gpt-4o-mini")
    assert record.endpoint == bench.server.url.removeprefix("http://")
    assert "x-request-id" in record.request_ids


@pytest.mark.parametrize("way", RESPONSES, ids=lambda way: way.__name__)
def test_a_tracked_response_is_what_a_bare_one_is(
    bench: Bench, way: Callable[[Any], Awaitable[list[Any]]]
) -> None:
    """The same for the Responses API, which always reports its usage."""
    usage = {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 14,
    }
    answer = Scenario(text='{"name":"Oslo"}', usage=usage, reasoning_tokens=2)
    bench.server.script(answer, answer)
    bare = bench.run(way, tracked=False)
    tracked = bench.run(way)
    assert [comparable(item) for item in tracked] == [comparable(item) for item in bare]
    record = bench.record
    assert (record.outcome, record.usage.source) == (Outcome.COMPLETED, UsageSource.REPORTED)
    assert (record.usage.total_tokens, record.usage.cache_read_tokens) == (14, 4)
    assert record.wire_usage == usage
    assert record.finish_reasons == {0: "completed"}
    assert (record.response_id or "").startswith("resp_")
    assert record.provider == ("openai" if bench.surface == "openai" else "azure")


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario(choices=("Heads.", Answer(text="Tails, and longer."))),
        Scenario(tool_calls=(ToolCall(name="weather", arguments='{"city":"Oslo"}'),)),
        Scenario(refusal="I would rather not."),
        Scenario(text="Calm in the storm.", moderation=True, async_filter=True),
        Scenario(text='A quote: "usage":null, and \\ back.', reasoning_tokens=64),
        Scenario(text="Blåbærsyltetøy 🫐", cached_tokens=1024, cache_write_tokens=12),
    ],
    ids=["two-choices", "tool-call", "refusal", "noise", "quotes", "not-ascii"],
)
def test_a_tracked_stream_of_another_kind(bench: Bench, scenario: Scenario) -> None:
    """The items are those of a bare stream, and the usage is that of a stream that asks for it."""
    bench.server.script(scenario, scenario, scenario)
    bare = bench.run(create_stream, tracked=False)
    asked = bench.run(create_stream_with_usage, tracked=False)
    tracked = bench.run(create_stream)
    assert [comparable(item) for item in tracked] == [comparable(item) for item in bare]
    usage = next(item.usage for item in reversed(asked) if item.usage)
    assert bench.record.usage.total_tokens == usage.total_tokens
    assert bench.record.wire_usage == usage.model_dump(exclude_unset=True)


def test_the_loop_everybody_has(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """A loop over `chunk.choices[0]` meets no frame that it would not have met untracked."""

    async def cookbook(client: Any) -> None:
        response = await result(client.chat.completions.create(**ASK, stream=True))
        if hasattr(response, "__aiter__"):
            async for chunk in response:
                print(chunk.choices[0].delta.content)  # noqa: T201 - as people write it
        else:
            for chunk in response:
                print(chunk.choices[0].delta.content)  # noqa: T201

    # Azure's first frame has no choices, whoever asks (WIRE §2.4): such a loop knows it as it is.
    bench.server.script(Scenario(text=("Hello", "!"), prompt_filter=False))
    bench.run(cookbook)
    assert capsys.readouterr().out.split() == ["Hello", "!", "None"]
    assert bench.record.usage.source == UsageSource.REPORTED


def test_the_loop_that_knows_azure(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """The frame without choices that Azure begins with stays where it was, and no other comes."""

    async def cookbook(client: Any) -> None:
        empty = 0
        for chunk in await each(await result(client.chat.completions.create(**ASK, stream=True))):
            if not chunk.choices:
                empty += 1
                continue
            print(chunk.choices[0].delta.content or "", end="")  # noqa: T201 - as people write it
        print(f" {empty}")  # noqa: T201

    bench.server.script(Scenario(text="Hello!"))
    bench.run(cookbook)
    azure = bench.surface != "openai"
    assert capsys.readouterr().out == f"Hello! {int(azure)}\n"
    assert bench.record.usage.source == UsageSource.REPORTED
