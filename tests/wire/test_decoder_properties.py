"""What holds for every body: how it is cut into reads says nothing, and nothing raises."""

# Tests look behind the door.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests._support.chat import Decoded, choice, decode, frame

from usagestream import Outcome

quick = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)

odd_text = st.text(
    st.one_of(st.characters(), st.sampled_from("\u2028\u2029\x85\ufeff\x00\r\n👩é\ud83d")),
    max_size=6,
)
count = st.one_of(
    st.integers(0, 10**6), st.none(), st.booleans(), st.floats(), st.just("3"), st.just({})
)
usage = st.one_of(
    st.none(),
    st.dictionaries(st.sampled_from(["prompt_tokens", "completion_tokens", "total_tokens"]), count),
)
finishes: st.SearchStrategy[str | None] = st.sampled_from([None, None, "stop", "length"])
choices = st.lists(
    st.builds(choice, st.integers(0, 2), content=odd_text, finish=finishes),
    max_size=2,
)


def frame_of(listed: list[dict[str, Any]], used: Any, more: dict[str, str]) -> dict[str, Any]:
    """A frame, some of whose keys are others."""
    return {**frame(*listed, usage=used), **more}


frames = st.builds(
    frame_of,
    choices,
    usage,
    st.one_of(
        st.just({}),
        st.dictionaries(st.sampled_from(["id", "model", "object", "error", "x"]), odd_text),
    ),
)
newlines = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """One event, or a comment, in some newline style."""
    kind = draw(st.sampled_from(["frame", "frame", "frame", "comment", "done", "blank", "noise"]))
    end = draw(newlines)
    if kind == "comment":
        return b": keep-alive" + end + draw(st.sampled_from([b"", end]))
    if kind == "blank":
        return end
    if kind == "done":
        return b"data: [DONE]" + end + end
    if kind == "noise":
        return draw(st.sampled_from([b"data:", b"event: x", b"id: 1", b"data: {}", b"<a>"])) + end
    escaped = draw(st.booleans())
    sent = json.dumps(draw(frames), ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    return draw(st.sampled_from([b"data: ", b"data:"])) + sent + end + draw(newlines)


bodies = st.builds(b"".join, st.lists(events(), max_size=6))


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """The reads that these cuts make."""
    places = sorted({place % (len(data) + 1) for place in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def essence(result: Decoded) -> tuple[Any, ...]:
    """All that a consumer sees of a body."""
    chunks = [(chunk, repr(chunk.raw), repr(chunk.annotations)) for chunk in result.chunks]
    failure = result.failure
    return repr(chunks), result.meter.usage, type(failure), str(failure)


@quick
@given(bodies, st.lists(st.integers(0, 10_000), max_size=8), st.integers(1, 4))
def test_any_split_gives_the_same(data: bytes, cuts: list[int], size: int) -> None:
    """Invariant 4: chunks, usage and failure are those of one read."""
    whole = essence(decode(data))
    assert essence(decode(pieces(data, cuts))) == whole
    assert essence(decode(pieces(data, list(range(0, len(data), size))))) == whole


@quick
@given(st.lists(st.binary(max_size=60), max_size=8))
def test_arbitrary_bytes_raise_nothing(reads: list[bytes]) -> None:
    """`feed` and `close` say what is wrong in reports."""
    decode(reads)


@pytest.mark.slow
@quick
@given(bodies, st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=3)), max_size=4))
def test_mutated_bodies_raise_nothing_and_split_alike(
    data: bytes, mutations: list[tuple[int, bytes]]
) -> None:
    """Bytes that were overwritten, dropped or put in make a body like any other."""
    for place, put in mutations:
        at = place % (len(data) + 1)
        data = data[:at] + put + data[at + 1 :]
    assert essence(decode(pieces(data, list(range(len(data)))))) == essence(decode(data))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | odd_text,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["choices", "delta", "content", "tool_calls", "function", "index", "usage", "error",
             "prompt_tokens", "prompt_tokens_details", "id", "model", "finish_reason", "message"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@quick
@given(st.lists(json_values, max_size=3), st.booleans())
def test_frames_of_any_shape_raise_nothing(values: list[Any], framed: bool) -> None:
    """Every type in every place, as an event or as a document; and a record can be written."""
    start, end = (b"data: ", b"\n\n") if framed else (b"", b"")
    sent = b"".join(start + json.dumps(value).encode() + end for value in values)
    result = decode(sent)
    record = result.meter.record(Outcome.FAILED, now=3.0, error=result.failure)
    assert record.model_dump_json()
