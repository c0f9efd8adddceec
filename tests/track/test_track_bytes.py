"""The bytes of a tracked stream: cut between events, and rid of what nobody asked for."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests._support.chat import cut
from tests._support.sdk_http import client_of, streamed

from usagestream import Chunk, Outcome, UsageRecord
from usagestream_adapters import ChatDecoder
from usagestream_adapters.track import track
from usagestream_adapters.track.events import EventSplitter, without_usage
from usagestream_adapters.track.skim import SkimmingChatDecoder, Template
from usagestream_adapters.wire.document import ChatDocument
from usagestream_core.adapter import Head, Report

ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello?"}]}


def event(frame: Any, *, spaced: bool = False) -> bytes:
    """One event, as both services write it or with spaces."""
    separators = (", ", ": ") if spaced else (",", ":")
    text = json.dumps(frame, ensure_ascii=False, separators=separators)
    return f"data: {text}\n\n".encode()


def frame(delta: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A frame of one choice."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "model": "m", "choices": [choice], **more}


@given(
    pieces=st.lists(st.sampled_from([b"data: x", b"\n", b"\r", b"\r\n", b"\n\n", b": c"])),
    size=st.integers(1, 7),
)
def test_the_pieces_are_the_body(pieces: list[bytes], size: int) -> None:
    """Whatever the newlines and the reads, nothing is lost, added or moved."""
    body = b"".join(pieces)
    splitter = EventSplitter()
    out: list[bytes] = []
    for start in range(0, len(body), size):
        out += splitter.feed(body[start : start + size])
    assert b"".join([*out, *splitter.close()]) == body


@pytest.mark.parametrize("blank", ["\n\n", "\r\r", "\r\n\r\n"])
def test_a_piece_is_an_event(blank: str) -> None:
    """Each ends with its blank line, in any of the three newlines that the standard has."""
    splitter = EventSplitter()
    assert splitter.feed(f"data: a{blank}data: b{blank}da".encode()) == [
        f"data: a{blank}".encode(),
        f"data: b{blank}".encode(),
    ]
    assert splitter.feed(b"ta: c") == []
    assert splitter.close() == [b"data: c"]
    assert splitter.close() == []


@pytest.mark.parametrize("spaced", [False, True])
def test_null_usage_is_taken_out(spaced: bool) -> None:
    """Wherever the key stands, and however the JSON is written."""
    last = frame({"content": "a"}) | {"usage": None}
    first = {"usage": None} | frame({"content": "a"})
    for asked in (last, first):
        shown = without_usage(event(asked, spaced=spaced))
        assert json.loads(shown[6:]) == frame({"content": "a"})


USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


@pytest.mark.parametrize(
    "kept",
    [
        event(frame({"content": 'he said "usage":null, twice'})),
        event(frame({"content": "a"}, usage=USAGE)),
        event(frame({"content": '"usage"'})),
        event({"choices": [], "prompt_filter_results": []}),
        event({"error": {"message": "usage"}, "note": {"usage": 1}}),
        b'data: {"usage" broken\n\n',
        b'data: ["usage"]\n\n',
        b": usage\n\n",
        b"data: [DONE]\n\n",
    ],
)
def test_what_is_not_ours_stays(kept: bytes) -> None:
    """Text, other servers' unasked usage, and what cannot be read."""
    assert without_usage(kept) == kept


def test_the_usage_frame_is_taken_out() -> None:
    """The frame that has no choices, and would not have come."""
    assert without_usage(event({"choices": [], "usage": USAGE})) == b""
    assert without_usage(b"event: x\r\n" + event({"choices": [], "usage": USAGE})) == b""


def facts(items: list[Chunk | Report]) -> list[Any]:
    """What decoders make of events, whatever they were fed at once."""
    return [item if isinstance(item, Chunk) else item.counts for item in items]


TEXTS = st.text(alphabet=st.sampled_from('a"\\{}:,é\n') | st.characters(codec="utf-8"))
DELTAS: st.SearchStrategy[Any] = st.one_of(
    TEXTS.map(lambda text: {"content": text}),
    TEXTS.map(lambda text: {"content": text, "refusal": None}),
    TEXTS.map(lambda text: {"role": "assistant", "content": text}),
    st.just({"tool_calls": [{"index": 0, "function": {"arguments": '{"delta":{"content":"'}}]}),
    st.just({}),
)


def any_frame(delta: Any, finish: str | None, more: dict[str, Any], index: int) -> dict[str, Any]:
    """A frame of one choice of several."""
    made = frame(delta, finish, **more)
    made["choices"][0]["index"] = index
    return made


FRAMES = st.builds(
    any_frame,
    DELTAS,
    st.sampled_from([None, "stop"]),
    st.sampled_from([{}, {"usage": None}, {"usage": USAGE}, {"error": None}]),
    st.sampled_from([0, 1, 10]),
)


@given(st.lists(st.tuples(FRAMES, st.booleans())))
def test_skimming_sees_what_decoding_sees(frames: list[tuple[dict[str, Any], bool]]) -> None:
    """The short way gives the same chunks as the long one, for any frames."""
    events = [event(made, spaced=spaced) for made, spaced in frames]
    long, short = ChatDecoder(Head(status=200)), SkimmingChatDecoder(Head(status=200))
    skimmed = [item for data in events if not short.skim(data) for item in short.feed(data)]
    decoded = [item for data in events for item in long.feed(data)]
    assert facts([*skimmed, *short.close()]) == facts([*decoded, *long.close()])


OPENAI = event(frame({"content": "a"}, usage=None, obfuscation="xyz"))
AZURE_CHOICE = {"delta": {"content": "a"}, "finish_reason": None, "index": 0}
AZURE = event({"choices": [AZURE_CHOICE], "obfuscation": "xyz", "object": "o", "usage": None})


@pytest.mark.parametrize("seen", [OPENAI, AZURE, event(frame({"content": "a"}))])
def test_the_short_way_is_taken(seen: bytes) -> None:
    """By frames of either service that differ in text and padding only."""
    template = Template.of(seen)
    assert template is not None
    assert template.text_in(seen) == b"a"
    other = seen.replace(b'"a"', '"é, and more"'.encode()).replace(b"xyz", b"")
    assert template.text_in(other) == "é, and more".encode()
    for changed in (
        other.replace(b'":null', b'":"stop"', 1),
        other.replace(b'"index":0', b'"index":1'),
        other.replace(b"more", b'more\\"'),
        other[:-1],
        other + b"\n",
        other + other,
        other[:-3] + b',"x":1}\n\n',
    ):
        assert template.text_in(changed) is None


@pytest.mark.parametrize(
    "other",
    [
        event({"choices": [AZURE_CHOICE, AZURE_CHOICE]}),
        event({"choices": [AZURE_CHOICE | {"index": 10}]}),
        event({"choices": [AZURE_CHOICE], "usage": USAGE}),
        event({"choices": [AZURE_CHOICE], "error": "x"}),
        event({"choices": []}),
        b"event: x\n" + AZURE,
    ],
)
def test_other_frames_are_decoded(other: bytes) -> None:
    """Whatever says more than text."""
    assert Template.of(other) is None


def test_a_document_of_any_shape() -> None:
    """A whole answer is read as far as it can be."""
    chunks = ChatDocument(Head(status=200)).feed(
        b'{"id":"c","choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"},7]}'
    )
    assert [item.text for item in chunks if isinstance(item, Chunk)] == ["Hi"]
    assert len(ChatDocument(Head(status=200)).feed(b'{"choices":null}')) == 2
    assert ChatDocument(Head(status=200)).feed(b"<html>") == []


STREAM = (
    event(frame({"content": "Hi"}, usage=None))
    + event(frame({}, "stop", usage=None))
    + event({"id": "c", "choices": [], "usage": USAGE})
    + b"data: [DONE]\n\n"
)
WHOLE = json.dumps(
    {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi"},
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE,
    }
).encode()


def compressed(body: bytes, kind: str, *, asynchronous: bool = False) -> Any:
    """An HTTP client whose replies are compressed on their way, and come in small reads."""
    headers = {"content-type": kind, "content-encoding": "gzip"}
    reads = cut(gzip.compress(body), 7)
    return client_of(
        lambda _: streamed(reads, headers=headers, asynchronous=asynchronous),
        asynchronous=asynchronous,
    )


def test_a_compressed_stream() -> None:
    """Is unpacked for both: the SDK gets the events, and so do we."""
    records: list[UsageRecord] = []
    http_client = compressed(STREAM, "text/event-stream")
    client = track(openai.OpenAI(api_key="k", http_client=http_client), on_record=records.append)
    items = list(client.chat.completions.create(**ASK, stream=True))
    assert [item.choices[0].delta.content for item in items] == ["Hi", None]
    assert (records[0].outcome, records[0].usage.total_tokens) == (Outcome.COMPLETED, 3)


def test_a_compressed_stream_in_async_code() -> None:
    """The same for the other kind of client."""
    records: list[UsageRecord] = []
    http_client = compressed(STREAM, "text/event-stream", asynchronous=True)
    made = openai.AsyncOpenAI(api_key="k", http_client=http_client)
    client = track(made, on_record=records.append)

    async def read() -> list[Any]:
        stream = await client.chat.completions.create(**ASK, stream=True)
        return [item async for item in stream]

    assert len(asyncio.run(read())) == 2
    assert records[0].usage.total_tokens == 3


def test_a_compressed_document() -> None:
    """A whole answer whose body is read late is passed on packed, and counted."""
    records: list[UsageRecord] = []
    http_client = compressed(WHOLE, "application/json")
    bare = openai.OpenAI(api_key="k", http_client=http_client)
    client: Any = track(bare, on_record=records.append)
    with client.chat.completions.with_streaming_response.create(**ASK) as response:
        assert response.headers["content-encoding"] == "gzip"
        assert response.json() == json.loads(WHOLE)
    assert (records[0].outcome, records[0].usage.total_tokens) == (Outcome.COMPLETED, 3)
