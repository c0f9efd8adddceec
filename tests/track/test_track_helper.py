"""The SDK's `stream()` helper of a tracked client: the same events, for less."""

# What is put in the SDK's way is no part of what it offers.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState, ChunkEvent
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel
from tests._support.calls import calls
from tests._support.sdk_http import client_of, streamed
from tests.track.conftest import Entered

from usagestream_adapters.sdk.objects import same_objects
from usagestream_adapters.track import _helper, track

ASK: dict[str, Any] = {
    "model": "m",
    "messages": [],
    "stream_options": {"include_usage": True},
}
FRAME: dict[str, Any] = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
FIRST: dict[str, Any] = {"role": "assistant", "content": ""}


def frame(delta: Any = None, *, finish: str | None = None, index: int = 0, **more: Any) -> Any:
    """A frame of one choice."""
    choice: dict[str, Any] = {
        "index": index,
        "delta": delta or {},
        "finish_reason": finish,
        "logprobs": None,
    }
    return {**FRAME, "choices": [choice], **more}


def text(*pieces: str, **more: Any) -> list[Any]:
    """Frames of text."""
    return [frame({"content": piece}, **more) for piece in pieces]


def call(arguments: str, **more: Any) -> Any:
    """A frame with a piece of a tool's call."""
    return frame(
        {
            "tool_calls": [
                {"index": 0, "function": {"arguments": arguments, **more}, "type": "function"}
            ]
        }
    )


LOGPROBS: dict[str, Any] = {
    "content": [{"token": "a", "logprob": -1, "bytes": None, "top_logprobs": []}]
}
ANSWERS: dict[str, list[Any]] = {
    "text": [frame(FIRST), *text("a", " b", "", "c"), frame(finish="stop")],
    "usage": [frame(FIRST), *text("a", "b", usage=None), {**FRAME, "choices": [], "usage": USAGE}],
    "fingerprint": [frame(FIRST), *text("a", "b", "c", system_fingerprint="fp", service_tier="x")],
    "refusal": [frame(FIRST), *text("a"), frame({"refusal": "no"}), *text("b", "c")],
    "tool": [frame(FIRST), *text("a", "b"), call("{", name="f"), call("}"), *text("c", "d")],
    "null": [frame({"role": "assistant", "content": None}), *text("a", "b", "c")],
    "more": [frame(FIRST), frame({"content": "a", "x": {"y": [1]}}), *text("b", "c")],
    "two": [frame(FIRST), frame(FIRST, index=1), *text("a", "b"), *text("c", "d", index=1)],
    "after": [
        frame(FIRST),
        *text("a", "b"),
        frame({"content": "c"}, finish="stop"),
        *text("d", "e"),
    ],
    "logprobs": [
        frame(FIRST),
        *text("a", "b"),
        {**FRAME, "choices": [{"index": 0, "delta": {"content": "c"}, "logprobs": LOGPROBS}]},
        *text("d", "e"),
    ],
    "not text": [frame(FIRST), *text("a", "b"), frame({"content": 1.5})],
    "other": [frame(FIRST), *text("a"), {**FRAME, "object": "", "choices": []}, *text("b", "c")],
    "role again": [frame(FIRST), frame({**FIRST, "content": "a"}), *text("b", "c")],
    "no choice": [frame(FIRST), *text("a"), {**FRAME, "choices": [None]}],
    "audio": [frame(FIRST), *text("a"), frame({"audio": {"id": "a", "data": "AA"}}), *text("b")],
}


class Answer(BaseModel):
    """What an answer may be parsed as."""

    a: int


def client_for(frames: list[Any], *, asynchronous: bool = False) -> Any:
    """An SDK client that is answered with these frames."""
    events = [f"data: {json.dumps(each)}\n\n".encode() for each in frames]

    def reply(_request: Any) -> Any:
        return streamed([*events, b"data: [DONE]\n\n"], asynchronous=asynchronous)

    kind: Any = openai.AsyncOpenAI if asynchronous else openai.OpenAI
    transport = client_of(reply, asynchronous=asynchronous)
    return kind(api_key="k", base_url="http://provider.test/v1", http_client=transport)


def loaded(client: Any) -> Any:
    """A tracked client whose resources are loaded, and so are spared."""
    made: Any = track(client, token_counter=None)
    assert made.chat.completions
    made.request  # noqa: B018 - what a call begins with
    return made.with_options()


async def said(client: Any, **asked: Any) -> list[str]:
    """All there is to each event when it comes, and to the whole; or what is raised."""
    told: list[str] = []
    try:
        async with Entered(client.chat.completions.stream(**ASK, **asked)) as stream:
            if hasattr(stream, "__aiter__"):
                async for event in stream:
                    told.append(f"{type(event)} {event!r} {sorted(event.model_fields_set)}")
                    told.append(repr(stream.current_completion_snapshot))
                told.append(repr(await stream.get_final_completion()))
            else:
                for event in stream:
                    told.append(f"{type(event)} {event!r} {sorted(event.model_fields_set)}")
                    told.append(repr(stream.current_completion_snapshot))
                told.append(repr(stream.get_final_completion()))
    except Exception as exc:  # noqa: BLE001 - it is what is compared
        told.append(repr(exc))
    return told


@pytest.mark.parametrize("frames", ANSWERS.values(), ids=list(ANSWERS))
def test_every_event_is_the_helpers(asynchronous: bool, frames: list[Any]) -> None:
    """And so are the snapshot at each, and the whole, or what is raised."""
    bare = client_for(frames, asynchronous=asynchronous)
    assert asyncio.run(said(bare)) == asyncio.run(said(loaded(bare)))


def test_an_answer_that_is_parsed_while_it_comes() -> None:
    """Each event has what can be read of it by then."""
    bare = client_for([frame(FIRST), *text('{"', 'a": ', "1", "2}"), frame(finish="stop")])
    theirs = asyncio.run(said(bare, response_format=Answer))
    assert theirs == asyncio.run(said(loaded(bare), response_format=Answer))
    assert "Answer(a=12)" in theirs[-1]


DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "content": st.sampled_from(["", "a", " b", None, 1]),
        "role": st.sampled_from(["assistant", None]),
        "refusal": st.sampled_from([None, "no"]),
        "more": st.just({"a": 1}),
    },
)
CHUNKS = st.builds(
    frame,
    DELTAS | st.just({"content": "a"}),
    index=st.sampled_from([0, 0, 0, 1]),
    finish=st.sampled_from([None, None, None, "stop"]),
    usage=st.sampled_from([None, USAGE]),
)


@given(st.lists(CHUNKS, max_size=8))
def test_any_chunks_give_the_same(frames: list[Any]) -> None:
    """Whatever comes after whatever: events, snapshot and exceptions."""

    def run(state: Any) -> Iterator[Any]:
        for each in frames:
            try:
                events = list(state.handle_chunk(ChatCompletionChunk.construct(**each)))
            except Exception as exc:  # noqa: BLE001 - it is what is compared
                yield repr(exc)
            else:
                yield [event.model_copy(deep=True) for event in events]
                yield state.current_completion_snapshot.model_copy(deep=True)

    spared: Any = ChatCompletionStreamState()
    _helper.spare_state(spared, _helper._events())
    assert same_objects(list(run(ChatCompletionStreamState())), list(run(spared)))


def test_objects_are_whose_they_were() -> None:
    """Events hold the chunk and the snapshot themselves, and a message that is kept stays so."""
    client = loaded(client_for(ANSWERS["text"]))
    with client.chat.completions.stream(**ASK) as stream:
        kept: list[tuple[Any, str]] = []
        for event in stream:
            if isinstance(event, ChunkEvent):
                snapshot: Any = event.snapshot
                assert snapshot is stream.current_completion_snapshot
                assert isinstance(event.chunk, ChatCompletionChunk)
                kept.append((snapshot.choices[0].message, snapshot.choices[0].message.content))
    assert [content for _, content in kept] == [message.content for message, _ in kept]
    assert len({id(message) for message, _ in kept}) == len(kept)


def test_it_is_the_sdks_stream() -> None:
    """Of the SDK's own type; its context manager is one of the SDK's, by name too."""
    bare = client_for(ANSWERS["text"])
    completions: Any = bare.chat.completions
    theirs = completions.stream(**ASK)
    ours = loaded(bare).chat.completions.stream(**ASK)
    kinds: list[type[Any]] = [type(theirs), type(ours)]
    assert isinstance(ours, kinds[0])
    assert str(kinds[0]) == str(kinds[1])
    with theirs as one, ours as other:
        assert type(one) is type(other)


def calls_for_a_piece(spared: bool) -> float:
    """How many functions of Python's are called for one more piece of text."""

    def count(pieces: int) -> int:
        state: Any = ChatCompletionStreamState()
        if spared:
            _helper.spare_state(state, _helper._events())
        chunks = [
            ChatCompletionChunk.construct(**each) for each in [frame(FIRST), *text(*["a"] * pieces)]
        ]

        def handle() -> None:
            for chunk in chunks:
                state.handle_chunk(chunk)

        return calls(handle)["call"]

    return (count(40) - count(10)) / 30


def test_a_piece_of_text_costs_little() -> None:
    """The helper calls hundreds of functions for each."""
    assert calls_for_a_piece(spared=False) > 5 * calls_for_a_piece(spared=True)


@pytest.fixture
def _forgotten() -> Iterator[None]:
    """What was found out of the helper is found out again."""
    for known in (_helper._events, _helper._sparing):
        known.cache_clear()
    yield
    for known in (_helper._events, _helper._sparing):
        known.cache_clear()


@pytest.mark.usefixtures("_forgotten")
@pytest.mark.parametrize("name", ["handle_chunk", "_accumulate_chunk"])
def test_a_helper_that_is_wrapped(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """What wraps one of its methods sees every chunk, and it is said that nothing is spared."""
    plain = getattr(ChatCompletionStreamState, name)
    seen: list[Any] = []

    def wrapped(self: Any, chunk: Any) -> Any:
        seen.append(chunk)
        return plain(self, chunk)

    monkeypatch.setattr(ChatCompletionStreamState, name, wrapped)
    asyncio.run(said(loaded(client_for(ANSWERS["text"]))))
    assert len([each for each in seen if each.id == "c" and each.model == "m"]) >= 6
    state: Any = ChatCompletionStreamState()
    _helper.spare_state(state, _helper._Events())
    assert "handle_chunk" not in vars(state)


def no_events(*_: Any) -> list[Any]:
    """What a version whose events are others makes of a piece of text."""
    return []


@pytest.mark.usefixtures("_forgotten")
def test_a_helper_whose_events_are_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A version that makes another event of a piece of text is left alone."""
    monkeypatch.setattr(_helper._Events, "make", no_events)
    caplog.set_level(logging.DEBUG, logger="usagestream")
    bare = client_for(ANSWERS["text"])
    assert asyncio.run(said(bare)) == asyncio.run(said(loaded(bare)))
    assert "helper is left alone: its events are others" in caplog.text


def test_what_is_no_helper_of_the_sdks() -> None:
    """What a `stream` in its place gives is given on, and nothing of it is replaced."""
    assert _helper._sparing(str) is None
    client: Any = loaded(client_for([]))

    def put(**_: Any) -> str:
        return "mine"

    client.chat.completions.stream = put
    _helper.spare_text(client.chat.completions)
    assert put is client.chat.completions.stream
    _helper.spare_state(None, _helper._events())
