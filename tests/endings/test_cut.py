"""A stream that is cut anywhere leaves one record that says so, and no answer that looks whole."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests._support.fakes import FakeAdapter

from usagestream import (
    AsyncClient,
    Client,
    EventTooLargeError,
    Outcome,
    StreamTruncatedError,
    UsageRecord,
    UsageStreamError,
)
from usagestream_adapters import ChatDecoder
from usagestream_core.adapter import Head
from usagestream_core.json_types import is_object

FOLDER = os.environ.get("USAGESTREAM_CORPUS")
BLANK = re.compile(rb"\r\n\r\n|\n\n|\r\r")
BYTE_POSITIONS = 80
MADE: dict[str, list[dict[str, Any]]] = {
    "plain": [
        {"id": "c", "model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": "One two"}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}},
    ],
    "two choices": [
        {"choices": [{"index": 0, "delta": {"content": "Heads"}}]},
        {"choices": [{"index": 1, "delta": {"content": "Tails"}}]},
        {"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}},
    ],
}


def bodies() -> list[Any]:
    """Bodies made here, and those recorded elsewhere; each with how many choices were asked for."""
    found: list[Any] = []
    for name, frames in MADE.items():
        events = [f"data: {json.dumps(frame)}\n\n" for frame in frames]
        body = "".join([*events, "data: [DONE]\n\n"]).encode()
        found.append(pytest.param(body, 2 if name == "two choices" else 1, id=name))
    for path in sorted(Path(FOLDER or os.devnull).glob("*.json")):
        case: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if case.get("api") == "chat" and case["response"]["status"] == 200:
            sent: dict[str, Any] = case.get("request") or {}
            asked = sent.get("body")
            n = asked.get("n") if is_object(asked) else None
            found.append(pytest.param(case["response"]["body"].encode(), n or 1, id=path.stem))
    return found


def ended(body: bytes, choices: int) -> tuple[Outcome, bool]:
    """How a body ends and whether usage is in it, by a reading that shares nothing with ours."""
    seen: set[int] = set()
    finished: set[int] = set()
    usage = False
    for event in BLANK.split(body):
        lines = event.replace(b"\r", b"\n").split(b"\n")
        data = b"\n".join(line[5:].strip() for line in lines if line.startswith(b"data:"))
        if data == b"[DONE]":
            return Outcome.COMPLETED, usage
        try:
            frame = json.loads(data)
        except ValueError:
            continue
        for choice in frame.get("choices") or ():
            if "delta" in choice or choice.get("finish_reason"):
                seen.add(choice["index"])
            if choice.get("finish_reason"):
                finished.add(choice["index"])
        counts: dict[str, Any] = frame.get("usage") or {}
        given = [counts.get(name) for name in ("prompt_tokens", "completion_tokens")]
        usage = usage or any(type(count) is int for count in given)
    whole = len(finished) >= choices and seen <= finished
    return Outcome.COMPLETED if whole else Outcome.TRUNCATED, usage


def read(adapter: FakeAdapter, choices: int) -> UsageRecord:
    """Read to the end, whatever that is, and check what holds for every ending."""
    records: list[UsageRecord] = []
    failure: UsageStreamError | None = None
    with Client(adapter, on_record=records.append, token_counter=None) as client:
        stream = client.stream(model="gpt-4o", messages=[], n=choices)
        try:
            with stream:
                chunks = list(stream)
        except StreamTruncatedError as exc:
            failure, chunks = exc, []
    (record,) = records
    assert stream.record is record
    assert adapter.body.closed == 1
    assert (failure is not None) == (record.outcome is Outcome.TRUNCATED)
    if failure is None:
        assert [chunk.usage for chunk in chunks if chunk.usage] == [record.usage]
    else:
        assert failure.record is record
    return record


def positions(body: bytes) -> Iterator[int]:
    """After every frame, and at some hundred positions more."""
    yield from (match.end() for match in BLANK.finditer(body))
    yield from range(0, len(body), max(1, len(body) // BYTE_POSITIONS))


@pytest.mark.parametrize(("body", "choices"), bodies())
def test_the_cut(body: bytes, choices: int) -> None:
    """Cut after every frame and at some hundred positions: one record, the right outcome."""
    for position in sorted(set(positions(body))):
        outcome, has_usage = ended(body[:position], choices)
        record = read(FakeAdapter.of(body[:position]), choices)
        assert (position, record.outcome) == (position, outcome)
        assert (record.usage.source == "reported") == has_usage


@pytest.mark.parametrize(("body", "choices"), bodies()[:2])
def test_the_cut_in_async_code(body: bytes, choices: int) -> None:
    """The async shell ends as the sync one does."""

    async def outcome(position: int) -> Outcome:
        records: list[UsageRecord] = []
        adapter: Any = FakeAdapter.of(body[:position])
        async with AsyncClient(adapter, on_record=records.append, token_counter=None) as client:
            stream = client.stream(model="gpt-4o", messages=[], n=choices)
            with contextlib.suppress(StreamTruncatedError):
                await stream.drain()
        (record,) = records
        return record.outcome

    for position in range(len(body)):
        assert asyncio.run(outcome(position)) == ended(body[:position], choices)[0]


@given(data=st.data())
def test_mutated_bodies_raise_nothing_but_our_errors(data: st.DataObject) -> None:
    """Bytes changed, dropped and doubled: a stream ends with one record, and in no other way."""
    body = bytearray(data.draw(st.sampled_from([case.values[0] for case in bodies()])))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, max(0, len(body) - 1)))
        body[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=40))
    adapter = FakeAdapter.of(bytes(body))
    records: list[UsageRecord] = []
    with Client(adapter, on_record=records.append) as client:
        stream = client.stream(model="gpt-4o", messages=[])
        error: UsageStreamError | None = None
        try:
            stream.drain()
        except UsageStreamError as exc:
            error = exc
    assert len(records) == 1
    assert error is None or error.record is records[0]
    assert UsageRecord.model_validate_json(records[0].model_dump_json()).id == records[0].id


HOSTILE = {
    "a line without an end": b"data: aaaaaaaaaaaaaaaa",
    "an event without an end": b"data: a\n",
    "blank lines": b"\n",
    "carriage returns": b"\r",
    "comments": b": hello\n\n",
    "text that is no event": b"hello\n\n",
    "frames that speak of no choice": b'data: {"id":"x"}\n\n',
}


def feeding_time(piece: bytes, count: int) -> float:
    """CPU seconds to decode so many reads of this piece."""
    decoder = ChatDecoder(Head(status=200), max_event_bytes=1 << 40)
    start = time.process_time()
    for _ in range(count):
        decoder.feed(piece)
    decoder.close()
    return time.process_time() - start


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_takes_linear_time(name: str) -> None:
    """Eight times as many reads take about eight times as long; quadratic would be 64."""
    feeding_time(HOSTILE[name], 2_000)
    few = min(feeding_time(HOSTILE[name], 5_000) for _ in range(3))
    many = min(feeding_time(HOSTILE[name], 40_000) for _ in range(2))
    assert many < max(few, 0.001) * 8 * 3


def test_an_event_past_the_limit_ends_the_stream() -> None:
    """Memory is bounded: an event that never ends fails, by its own name."""
    decoder = ChatDecoder(Head(status=200), max_event_bytes=1000)
    found = [item for _ in range(300) for item in decoder.feed(b"data: x")]
    failure = getattr(found[0], "failure", None)
    assert isinstance(failure, EventTooLargeError)
    assert (failure.limit, failure.code) == (1000, "event_too_large")
