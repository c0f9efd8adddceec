"""The decoder of the Responses wire: any bytes, in any reads, and never an exception."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagestream_adapters.wire.counts import read_counts
from usagestream_adapters.wire.responses import ResponsesDecoder
from usagestream_core.adapter import Head, Report
from usagestream_core.chunk import Chunk

HEAD = Head(status=200, content_type="text/event-stream", api="responses")

KEYS = st.sampled_from(
    ["response", "delta", "item", "usage", "error", "status", "output_index", "input_tokens", "id"]
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)
TYPES = st.sampled_from(
    [
        "response.created",
        "response.output_text.delta",
        "response.refusal.delta",
        "response.reasoning_summary_text.delta",
        "response.function_call_arguments.delta",
        "response.output_item.added",
        "response.output_item.done",
        "response.incomplete",
        "response.failed",
        "error",
        "unheard.of",
    ]
)
FRAMES = st.dictionaries(KEYS, JSON, max_size=4)
BODIES = st.lists(st.tuples(TYPES, FRAMES), max_size=6).map(
    lambda frames: b"".join(
        f"event: {kind}\ndata: {json.dumps({**more, 'type': kind})}\n\n".encode()
        for kind, more in frames
    )
)


def decoded(reads: list[bytes]) -> list[Chunk | Report]:
    """What comes of these reads."""
    decoder = ResponsesDecoder(HEAD)
    out = [item for data in reads for item in decoder.feed(data)]
    return [*out, *decoder.close()]


def facts(items: list[Chunk | Report]) -> list[Any]:
    """Items in a form that can be compared: failures are by what they say."""
    return [
        item
        if isinstance(item, Chunk)
        else (item.counts, item.done, item.response_id, item.anomaly, str(item.failure))
        for item in items
    ]


@given(BODIES, st.integers(1, 40))
def test_any_split_gives_the_same(body: bytes, size: int) -> None:
    """Also for events that are nothing like what they should be."""
    reads = [body[start : start + size] for start in range(0, len(body), size)]
    assert facts(decoded(reads)) == facts(decoded([body]))


@pytest.mark.parametrize(
    "odd",
    [{"type": {}}, {"type": []}, {"type": "response.output_item.added", "item": {"type": {}}}],
)
def test_a_type_that_is_no_word(odd: dict[str, Any]) -> None:
    """It is like a type that nobody knows."""
    (item,) = decoded([b"data: " + json.dumps(odd).encode() + b"\n\n"])
    assert isinstance(item, Chunk) == ("item" in odd)
    assert getattr(item, "tool_calls", ()) == ()


@pytest.mark.parametrize("odd", [{}, {"input_tokens": None}, {"input_tokens": "nine"}])
def test_a_usage_that_says_nothing(odd: dict[str, Any]) -> None:
    """Has no counts, and no zeros."""
    assert read_counts(odd) == {}


def test_whole_counts_may_be_floats() -> None:
    """As some servers write them."""
    assert read_counts({"input_tokens": 3.0}) == {"input_tokens": 3}
