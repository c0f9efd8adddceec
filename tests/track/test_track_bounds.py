"""What a tracked client keeps is bounded, and the record says what was not looked at."""

from __future__ import annotations

import gzip
import importlib
import json
import tracemalloc
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests._support.chat import DONE, USAGE, choice, event, frame
from tests._support.four_ways import Words
from tests._support.sdk_http import client_of, http, streamed

from usagestream import Outcome, UsageRecord, UsageSource
from usagestream_adapters.sdk.plain_text import plain
from usagestream_adapters.track import body, call, track
from usagestream_adapters.track.events import EventSplitter
from usagestream_adapters.wire.sse import MAX_EVENT_BYTES

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
MB = 1_000_000
READ = b"a" * 64_000
HI = event(frame(choice(content="Hi there")))
TAIL = [event(frame(choice(finish="stop"))), event(frame(usage=USAGE)), DONE]
LONG = f"an event was longer than {MAX_EVENT_BYTES} bytes, and was not looked at"


class Peak:
    """The most memory that was taken, in bytes."""

    bytes = 0


@contextmanager
def traced() -> Generator[Peak]:
    """Measure what is taken inside."""
    peak = Peak()
    tracemalloc.start()
    try:
        yield peak
        peak.bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def read_raw(reads: Any, records: list[UsageRecord], **headers: str) -> int:
    """How many bytes come through a tracked client that leaves them to its caller."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    http_client = client_of(lambda _: streamed(reads, headers=sent))
    with openai.OpenAI(api_key="k", base_url="http://x.test", http_client=http_client) as bare:
        client = track(bare, on_record=records.append, token_counter=Words())
        asking: Any = client.chat.completions.with_streaming_response
        asked = {**ASK, "stream": True, "stream_options": {"include_usage": True}}
        with asking.create(**asked) as response:
            return sum(len(data) for data in response.iter_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("read", [READ, b"a\n" * 32_000], ids=["event", "lines"])
def test_an_event_without_an_end(read: bytes) -> None:
    """It is passed on, and no more is kept of it than of the longest that is looked at."""
    records: list[UsageRecord] = []
    with traced() as peak:
        passed = read_raw((read for _ in range(1000)), records)
    assert passed == 64 * MB
    assert peak.bytes < 3 * MAX_EVENT_BYTES
    assert records[0].outcome is Outcome.TRUNCATED
    assert records[0].anomalies == (LONG,)
    assert records[0].usage.source is UsageSource.UNKNOWN


@pytest.mark.slow
def test_what_follows_an_event_that_is_too_long() -> None:
    """Is counted as ever: the usage is known, and that something was passed over is said."""
    records: list[UsageRecord] = []
    long = [b"data: ", *[READ] * 280, b"\n", b"\n" + HI, *TAIL]
    assert read_raw([HI, *long], records) == sum(map(len, [HI, *long]))
    assert records[0].outcome is Outcome.COMPLETED
    assert records[0].usage.total_tokens == USAGE["total_tokens"]
    assert records[0].anomalies == (LONG,)
    read_raw([HI, *long[:-3]], records)
    assert (records[1].usage.output_tokens, records[1].usage.lower_bound) == (3, True)


@given(
    pieces=st.lists(
        st.sampled_from([b"data: x", b"\n", b"\r", b"\r\n", b"\n\n", b": c", b"long" * 9])
    ),
    size=st.integers(1, 40),
    most=st.integers(0, 30),
)
def test_long_events_are_passed_in_order(pieces: list[bytes], size: int, most: int) -> None:
    """Nothing is lost, added or moved, and nothing is kept past the limit."""
    whole = b"".join(pieces)
    splitter = EventSplitter(most)
    out: list[bytes] = []
    for start in range(0, len(whole), size):
        events = splitter.feed(whole[start : start + size])
        out += splitter.passed
        splitter.passed = []
        out += events
        assert len(splitter.held) <= most + size
    assert b"".join([*out, *splitter.close()]) == whole


def test_an_event_after_a_long_one_is_whole() -> None:
    """The end of the long one is found wherever the reads cut it."""
    for cut in range(1, 6):
        splitter = EventSplitter(4)
        whole = b"data: long\n\ndata: x\n\n"
        for start in range(0, 12, cut):
            assert splitter.feed(whole[start : min(start + cut, 12)]) == []
        assert b"".join(splitter.passed) == whole[:12]
        assert splitter.is_between
        assert splitter.feed(whole[12:]) == [b"data: x\n\n"]


@pytest.mark.slow
def test_a_bomb_in_a_stream() -> None:
    """What it unpacks to is passed on as it comes, and not kept."""
    records: list[UsageRecord] = []
    bomb = gzip.compress(b"a" * 64 * MB)
    reads = [bomb[at : at + 256] for at in range(0, len(bomb), 256)]
    with traced() as peak:
        assert read_raw(reads, records, content_encoding="gzip") == 64 * MB
    assert peak.bytes < 3 * MAX_EVENT_BYTES
    assert records[0].anomalies == (LONG,)


def answered(sent: bytes, *, raw: bool, **headers: str) -> UsageRecord:
    """The record of an answer that is not streamed, read by the SDK or by its caller."""
    records: list[UsageRecord] = []
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    reply = http.Response(
        200, headers={"content-type": "application/json", **more}, content=iter([sent])
    )
    http_client = client_of(lambda _: reply)
    with openai.OpenAI(api_key="k", base_url="http://x.test", http_client=http_client) as bare:
        client: Any = track(bare, on_record=records.append, token_counter=Words())
        if raw:
            asking = client.chat.completions.with_streaming_response
            with asking.create(**ASK) as response:
                assert "usage" in response.json()
        else:
            assert client.chat.completions.create(**ASK).usage is not None
    return records[0]


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_answer_that_is_too_long(
    pack: Callable[[bytes], bytes], raw: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK has it, the record says that it was not looked at, and nothing is made up."""
    for module in (call, body):
        monkeypatch.setattr(module, "MAX_EVENT_BYTES", 1000)
    message = {"role": "assistant", "content": "a" * 2000}
    answer = frame({"index": 0, "finish_reason": "stop", "message": message}, usage=USAGE)
    coding = "gzip" if pack is gzip.compress else "identity"
    record = answered(pack(json.dumps(answer).encode()), raw=raw, content_encoding=coding)
    assert (record.outcome, record.usage.source) == (Outcome.COMPLETED, UsageSource.UNKNOWN)
    assert record.anomalies == ("the answer was longer than 1000 bytes, and was not looked at",)


@pytest.mark.slow
def test_an_early_brotli(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its library cannot bound what it gives, and is given little at a time."""
    brotli: Any = importlib.import_module("brotli")
    unpacker = brotli.Decompressor

    class Early:
        """Without the parameter that version 1.2 brought."""

        def __init__(self) -> None:
            self._inner = unpacker()

        def process(self, data: bytes) -> bytes:
            """Give what this makes."""
            made: bytes = self._inner.process(data)
            return made

    monkeypatch.setattr(brotli, "Decompressor", Early)
    assert plain(brotli.compress(b"abc" * 100), "br") == b"abc" * 100
    assert len(plain(brotli.compress(b"a" * 20 * MB), "br")) == 64 * 1024


@pytest.mark.parametrize("fast", [True, False])
def test_what_is_too_long_reaches_the_callers_objects(
    monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    """The SDK reads it as it would bare; only the record says that it was not looked at."""
    monkeypatch.setattr(call, "EventSplitter", lambda: EventSplitter(400))
    long = event(frame(choice(content="x" * 1000)))
    reads = [HI, long[:300], long[300:700], long[700:], *TAIL]
    records: list[UsageRecord] = []
    http_client = client_of(lambda _: streamed(reads))
    with openai.OpenAI(api_key="k", base_url="http://x.test", http_client=http_client) as bare:
        client = track(bare, on_record=records.append, token_counter=None, fast=fast)
        chunks: Any = client.chat.completions.create(**ASK, stream=True)
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "Hi there" + "x" * 1000
    assert records[0].usage.total_tokens == 20
    assert records[0].anomalies == (LONG,)


def test_what_is_too_long_after_the_end_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record is made by then."""
    monkeypatch.setattr(call, "EventSplitter", lambda: EventSplitter(400))
    records: list[UsageRecord] = []
    reads = [HI, *TAIL, b"data: " + b"x" * 300, b"x" * 300, b"x" * 300, b"\n\n"]
    assert read_raw(reads, records) == sum(map(len, reads))
    assert [(record.outcome, record.anomalies) for record in records] == [(Outcome.COMPLETED, ())]
