"""A stream that is decoded once is to its reader what it was, and to its record too."""

# What is put in the SDK's way is no part of what it offers.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from openai import _streaming
from tests._support.chat import cut

from usagestream import Outcome, UsageRecord
from usagestream_adapters.track import _decoder, track

from .conftest import each, result
from .test_track_objects import DELTA, KNOWN, client_for, told

CHAT: dict[str, Any] = {"model": "m", "messages": [], "stream": True}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def frame(**more: Any) -> bytes:
    """A chunk's JSON."""
    return json.dumps({**KNOWN, **more}).encode()


EVENTS = [
    b"data: " + frame() + b"\n\n",
    b"data: " + frame(usage=None) + b"\n\n",
    b"data: " + frame(own={"b": 1}, choices=[]) + b"\n\n",
    b"data: " + frame(usage=USAGE) + b"\n\n",
    b"data: " + frame(usage=USAGE, choices=[]) + b"\n\n",
    b"data: " + frame(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]) + b"\n\n",
    b"data:" + frame() + b"\n\n",
    b"data: " + frame() + b"\r\n\r\n",
    b"data: " + frame() + b"\r\r",
    b"event: word\ndata: " + frame() + b"\n\n",
    b"event: \ndata: " + frame() + b"\n\n",
    b"event: thread.word\ndata: " + frame() + b"\n\n",
    b"event: \xff\ndata: " + frame() + b"\n\n",
    b"event: alone\n\n",
    b"id: 1\ndata: " + frame() + b"\n\n",
    b"retry: 5\ndata: " + frame() + b"\n\n",
    b"data: " + frame().replace(b", ", b",\ndata: ", 1) + b"\n\n",
    b"data: " + frame(model="lone \ud800") + b"\n\n",
    b"data: " + frame(model="x").replace(b"x", b"\xff") + b"\n\n",
    b"data: " + frame(model="caf\u00e9 \u2028") + b"\n\n",
    b'data: {"id": 1, "id": "twice", "created": 1e400, "model": NaN}\n\n',
    b'data: {"error": {"message": "no more", "code": "x"}}\n\n',
    b'event: error\ndata: {"error": {"message": "no more"}}\n\n',
    b"data: " + frame(_fields_set=[1]) + b"\n\n",
    b"data: [1]\n\n",
    b"data: not JSON\n\n",
    b"data: \n\n",
    b": a comment\n\n",
    b": a comment\n: another\n\n",
    b"\n\n",
    b"\xef\xbb\xbf",
    b"<html>\n\n",
    b"data: [DONE]\n\n",
    b"data: [DONE] and more\n\n",
    b"data: " + frame()[:20],
]


async def read(client: Any, take: int | None = None) -> tuple[list[Any], Any]:
    """What a stream gives, in all that shows, and how it ends; after so many items it is left."""
    items: list[Any] = []
    stream = await result(client.chat.completions.create(**CHAT))
    try:
        if hasattr(stream, "__aiter__"):
            async for item in stream:
                items.append(told(item))
                if len(items) == take:
                    break
        else:
            for item in stream:
                items.append(told(item))
                if len(items) == take:
                    break
    except Exception as exc:  # noqa: BLE001 - the SDK's, whichever
        return items, (type(exc), str(exc), getattr(exc, "body", None))
    finally:
        await result(stream.close())
    return items, None


def facts(record: UsageRecord) -> dict[str, Any]:
    """A record without what is another for each call."""
    return record.model_dump(exclude={"id", "started_at", "first_chunk_at", "ended_at"})


QUICK = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@QUICK
@given(st.lists(st.sampled_from(EVENTS), max_size=6), st.sampled_from([1, 7, 400, 10_000]))
@example([EVENTS[0], EVENTS[7], EVENTS[4], EVENTS[0]], 10_000)
@example([EVENTS[0], b"\xef\xbb\xbf", EVENTS[0]], 10_000)
def test_any_body(asynchronous: bool, events: list[bytes], size: int) -> None:
    """Items and exceptions are those of a bare client; the record is that of the long way."""
    reads = cut(b"".join(events), size)
    fast: list[UsageRecord] = []
    slow: list[UsageRecord] = []

    def client() -> Any:
        return client_for(reads, asynchronous=asynchronous)

    tracked = track(client(), on_record=fast.append, token_counter=None)
    long = track(client(), on_record=slow.append, token_counter=None, fast=False)
    got = asyncio.run(read(tracked))
    assert got == asyncio.run(read(long))
    assert [facts(record) for record in fast] == [facts(record) for record in slow]
    hidden = {EVENTS[1], EVENTS[4]}
    if hidden.isdisjoint(events):
        assert got == asyncio.run(read(client()))


@pytest.mark.parametrize("take", [1, 2, 3])
@pytest.mark.parametrize("size", [40, 10_000])
def test_a_stream_that_is_left(asynchronous: bool, take: int, size: int) -> None:
    """What was received and not taken counts for the usage, and not for the outcome."""
    reads = cut(b"".join([EVENTS[0], EVENTS[0], EVENTS[5], EVENTS[4], b"data: [DONE]\n\n"]), size)
    records: list[UsageRecord] = []
    for fast in (True, False):
        client = client_for(reads, asynchronous=asynchronous)
        tracked = track(client, on_record=records.append, token_counter=None, fast=fast)
        items, _ = asyncio.run(read(tracked, take))
        assert len(items) == take
    one, other = records
    assert facts(one) == facts(other)
    assert one.outcome is (Outcome.COMPLETED if take == 3 else Outcome.CLOSED)
    if size == 10_000:
        assert one.wire_usage == USAGE


def test_what_a_reader_changes_is_not_in_the_record() -> None:
    """Objects hold parts of the frame that they were made of."""
    usage = {**USAGE, "own": {"paid": [1]}}
    records: list[UsageRecord] = []
    reads = [b"data: " + frame(usage=usage) + b"\n\n", b"data: [DONE]\n\n"]
    for item in track(client_for(reads), on_record=records.append).chat.completions.create(**CHAT):
        item.usage.own["paid"].append("changed")
    assert records[0].wire_usage == usage


@pytest.mark.parametrize(
    ("read", "how_often"), [(EVENTS[0], 0), (EVENTS[7], 1)], ids=["known", "not-known"]
)
def test_which_decoder_reads(monkeypatch: pytest.MonkeyPatch, read: bytes, how_often: int) -> None:
    """The SDK's reads nothing of a stream in a known form, and the rest of any other."""
    read_by_sdk: list[Any] = []
    real: Any = _streaming.SSEDecoder.iter_bytes

    def iter_bytes(self: Any, reads: Any) -> Any:
        read_by_sdk.append(self)
        return real(self, reads)

    monkeypatch.setattr(_streaming.SSEDecoder, "iter_bytes", iter_bytes)
    tracked = track(client_for([EVENTS[0], read, read, b"data: [DONE]\n\n"]))
    assert len(list(tracked.chat.completions.create(**CHAT))) == 3
    assert len(read_by_sdk) == how_often


class Own(openai.OpenAI):
    """Decodes events itself."""

    def _make_sse_decoder(self) -> Any:
        return super()._make_sse_decoder()


class Subclass(_streaming.SSEDecoder):
    """Somebody else's decoder, wherever it comes from."""


@pytest.mark.parametrize("kind", ["class", "instance", "fast"])
def test_a_decoder_of_ones_own(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """It is left alone, and so are all if that was asked for."""
    client = client_for([EVENTS[0]], kind=Own if kind == "class" else None)
    if kind == "instance":
        monkeypatch.setattr("openai._base_client.SSEDecoder", Subclass)
    stream = track(client, fast=kind != "fast").chat.completions.create(**CHAT)
    assert not isinstance(stream._decoder, _decoder._Decoder)
    assert len(list(stream)) == 1


def test_a_body_read_as_bytes(asynchronous: bool) -> None:
    """Nothing is asked of a decoder; the bytes are cut and counted as they go by."""
    records: list[UsageRecord] = []
    reads = [b"".join([EVENTS[0], EVENTS[5], EVENTS[4], b"data: [DONE]\n\n"])]

    async def run() -> list[Any]:
        client = track(client_for(reads, asynchronous=asynchronous), on_record=records.append)
        stream = await result(client.chat.completions.create(**CHAT))
        response = stream.response
        return await each(response.aiter_lines() if asynchronous else response.iter_lines())

    lines = asyncio.run(run())
    assert [line for line in lines if line] == [
        *(event.decode().strip() for event in (EVENTS[0], EVENTS[5])),
        "data: [DONE]",
    ]
    assert (records[0].outcome, records[0].wire_usage) == (Outcome.COMPLETED, USAGE)


def test_responses_are_decoded_once_too(asynchronous: bool) -> None:
    """By the type that the event names, and by the one in its JSON."""
    done: dict[str, Any] = {
        "type": "response.completed",
        "response": {"id": "r", "usage": {"input_tokens": 3}},
    }
    reads = [
        f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
        for event in (DELTA, DELTA, done)
    ]
    records: list[UsageRecord] = []

    async def run(client: Any) -> list[Any]:
        asked = await result(client.responses.create(model="m", input="?", stream=True))
        return [told(item) for item in await each(asked)]

    bare = asyncio.run(run(client_for(reads, asynchronous=asynchronous)))
    tracked = track(client_for(reads, asynchronous=asynchronous), on_record=records.append)
    assert asyncio.run(run(tracked)) == bare
    assert (records[0].outcome, records[0].chunk_count) == (Outcome.COMPLETED, 4)
    assert records[0].usage.input_tokens == 3


JSON_TEXTS = st.text(alphabet='{}[]":,0123456789.eE+-\\ u\ud7ffntrlfasINY\t\x00\x7f', max_size=12)


@pytest.mark.slow
@settings(deadline=None, max_examples=500)
@given(
    st.recursive(
        JSON_TEXTS
        | st.floats().map(repr)
        | st.integers(-(10**30), 10**30).map(str)
        | st.text(max_size=4).map(json.dumps),
        lambda inner: (
            st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]")
            | st.lists(st.tuples(st.sampled_from(["a", "b"]), inner), max_size=3).map(
                lambda pairs: "{" + ",".join(f'"{name}":{each}' for name, each in pairs) + "}"
            )
        ),
        max_leaves=6,
    )
)
def test_json_is_what_the_sdk_reads(text: str) -> None:
    """Whatever is decoded here is what `json.loads` makes of it; the rest is left to the SDK."""
    text = f'{{"a":{text}}}'
    read = _decoder._read(f"data: {text}\n\n".encode())
    if read is not None:
        assert repr(read[1]) == repr(json.loads(text))
