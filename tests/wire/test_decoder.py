"""The chat-completions wire, case by case."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests._support.chat import (
    DONE,
    HEAD,
    HELLO,
    USAGE,
    body,
    choice,
    cut,
    decode,
    event,
    frame,
    raw_items,
    raw_reports,
)

from usagestream import Chunk, NotAStreamError, Outcome, StreamFailedError, StreamTruncatedError
from usagestream import ToolCallDelta as Call
from usagestream_adapters.wire.chat import ChatDecoder
from usagestream_adapters.wire.counts import read_counts
from usagestream_core.adapter import Head, Report

HI = frame(choice(content="Hi"))
STOP = frame(choice(finish="stop"))
REPORTED = {"input_tokens": 18, "output_tokens": 2, "total_tokens": 20}


def first_chunk(sent: dict[str, Any]) -> Chunk:
    """The one chunk that a frame makes."""
    (chunk,) = (item for item in raw_items([event(sent)]) if isinstance(item, Chunk))
    return chunk


# --- server-sent events


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_any_newline_ends_a_line(newline: bytes, size: int) -> None:
    """All three of the standard, also with a read that ends between CR and LF."""
    result = decode(cut(HELLO.replace(b"\n", newline), size))
    assert (result.text, result.counts, result.failure) == ("Hello", REPORTED, None)


def test_newlines_may_be_mixed() -> None:
    """Each line may end its own way, and so may the blank one."""
    sent = HELLO.replace(b"\n\n", b"\r\n\n", 1).replace(b"\n\n", b"\n\r\n", 1)
    assert decode(sent).chunks == decode(HELLO).chunks


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b": OPENROUTER PROCESSING\n\n" + HELLO, id="comment before"),
        pytest.param(b":\n" + HELLO, id="comment in the event"),
        pytest.param(HELLO.replace(b"data: ", b"data:"), id="no space"),
        pytest.param(HELLO.replace(b"data: ", b"id: 1\nretry: 5\ndata: "), id="other fields"),
        pytest.param(HELLO.replace(b"data: ", b"event: message\ndata: "), id="named events"),
        pytest.param(b"\n\n\n" + HELLO.replace(b"\n\n", b"\n\n\n\n"), id="more blank lines"),
        pytest.param(b"data: \n\n" + HELLO, id="empty data"),
        pytest.param(b"data\n\n" + HELLO, id="data without a colon"),
        pytest.param(b"data: null\n\n" + HELLO, id="null"),
        pytest.param(b"\xef\xbb\xbf" + HELLO, id="byte order mark"),
        pytest.param(HELLO.replace(b", ", b",\ndata: "), id="several data lines"),
        pytest.param(b"unknown: field\n" + HELLO, id="unknown field"),
    ],
)
@pytest.mark.parametrize("size", [0, 1])
def test_what_the_standard_allows_changes_nothing(sent: bytes, size: int) -> None:
    """Comments, other fields and blank lines are no part of the answer."""
    result = decode(cut(sent, size))
    assert result.chunks == decode(HELLO).chunks
    assert result.failure is None


@pytest.mark.parametrize("at", range(4))
def test_a_byte_order_mark_may_be_split_over_reads(at: int) -> None:
    """Its three bytes are not text of the first field."""
    sent = b"\xef\xbb\xbf" + HELLO
    assert decode([sent[:at], sent[at:]]).text == "Hello"


def test_an_empty_read_changes_nothing() -> None:
    """Nothing is said by nothing."""
    assert decode([b"", HELLO, b""]).text == "Hello"


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n"])
def test_a_last_event_without_its_blank_line_counts(end: bytes) -> None:
    """The SDK loses the usage here (WIRE §3.6)."""
    whole = body(HI, STOP, frame(usage=USAGE), done=False)
    result = decode(whole.removesuffix(b"\n\n") + end)
    assert (result.counts, result.failure) == (REPORTED, None)


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_done_without_its_blank_line_counts(end: bytes) -> None:
    """The answer has no finish reason, so only `[DONE]` tells that it is whole."""
    assert decode(body(HI, done=False) + b"data: [DONE]" + end).failure is None


@pytest.mark.parametrize("size", range(1, len(event(HI)) - 2, 9))
def test_half_an_event_at_the_end_is_ignored(size: int) -> None:
    """A cut event says nothing; the stream is cut, not garbled."""
    result = decode(body(HI, done=False) + event(HI)[:size])
    assert isinstance(result.failure, StreamTruncatedError)
    assert result.text == "Hi"


def test_an_event_that_is_too_long_fails_the_stream() -> None:
    """Memory is bounded while an event is incomplete."""
    decoder = ChatDecoder(HEAD, max_event_bytes=10)
    assert decoder.feed(b"data: 1234") == []
    (report,) = decoder.feed(b"5")
    assert isinstance(report, Report)
    assert isinstance(report.failure, StreamFailedError)
    assert "10 bytes" in str(report.failure)


def test_the_limit_counts_from_the_last_event() -> None:
    """Short events never add up to one that is too long."""
    decoder = ChatDecoder(HEAD, max_event_bytes=10)
    for _ in range(5):
        assert decoder.feed(b": 6\n") == []
        assert decoder.feed(b"\n") == []


# --- characters


@pytest.mark.parametrize("text", ["é", "日本語", "👩‍👩‍👧", "\u2028\u2029\x85", "a\nb\r\n", '"\\'])
@pytest.mark.parametrize("escaped", [True, False], ids=["escaped", "as UTF-8"])
def test_text_survives_any_cut(text: str, escaped: bool) -> None:
    """A character may be split over reads; U+2028 and its like end no line."""
    sent = json.dumps(frame(choice(content=text)), ensure_ascii=escaped).encode()
    assert decode(cut(b"data: " + sent + b"\n\n" + DONE, 1)).text == text


@pytest.mark.parametrize(
    ("sent", "expected"),
    [(rb"a\ud83dz", "a\ufffdz"), (rb"\ude00", "\ufffd"), (b"a\xffz", "a\ufffdz")],
    ids=["high surrogate", "low surrogate", "invalid UTF-8"],
)
def test_broken_characters_are_replaced(sent: bytes, expected: str) -> None:
    """What cannot be written out again becomes U+FFFD; the frame counts."""
    whole = event(frame(choice(content="@", finish="stop"), id="@", usage={**USAGE, "x": "@"}))
    result = decode(whole.replace(b"@", sent))
    record = result.meter.record(Outcome.COMPLETED, now=3.0)
    assert (result.text, record.response_id) == (expected, expected)
    assert type(record).model_validate_json(record.model_dump_json()) == record


# --- frames


@pytest.mark.parametrize("key", ["id", "object", "created", "model", "choices"])
def test_a_frame_may_lack_any_key(key: str) -> None:
    """Nothing of a frame is sure to be there."""
    lacking = {name: value for name, value in HI.items() if name != key}
    result = decode(event(lacking) + body(STOP))
    assert (result.text, result.failure) == ("" if key == "choices" else "Hi", None)


@pytest.mark.parametrize("choices", [None, [], {}, "x", [None], ["x"], [{}], [{"index": 0}]])
def test_choices_may_be_anything(choices: Any) -> None:
    """What is no choice makes no chunk, and its usage counts."""
    result = decode(event({**HI, "choices": choices, "usage": USAGE}) + DONE)
    assert (result.said, result.counts, result.failure) == ([], REPORTED, None)


@pytest.mark.parametrize("delta", [None, "x", []])
def test_a_finish_without_a_delta_is_a_chunk(delta: Any) -> None:
    """Azure ends a filtered answer so (WIRE §2.5)."""
    sent = {"index": 1, "finish_reason": "content_filter", "delta": delta}
    assert first_chunk(frame(sent)) == Chunk(index=1, finish_reason="content_filter")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        (3, ""),
        ([], ""),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ([{"type": "image"}, "x", {"text": 3}, {"text": "c"}], "c"),
    ],
)
def test_content_may_be_null_or_parts(content: Any, text: str) -> None:
    """Some servers send a list of parts instead of a string."""
    assert first_chunk(frame(choice(content=content))).text == text


@pytest.mark.parametrize("index", [None, "one", True, {}])
def test_an_index_that_is_no_number_is_the_first_choice(index: Any) -> None:
    """A server with one choice may leave it out."""
    assert first_chunk(frame({"index": index, "delta": {"content": "x"}})).index == 0


def test_a_refusal_is_not_text() -> None:
    """Its pieces come in their own field (WIRE §1.4)."""
    chunk = first_chunk(frame(choice(refusal="I'm", content=None)))
    assert (chunk.refusal, chunk.text) == ("I'm", "")


@pytest.mark.parametrize(
    ("delta", "calls"),
    [
        ({"tool_calls": None}, ()),
        ({"tool_calls": [None, "x"]}, ()),
        ({"tool_calls": [{"index": 0, "function": {"arguments": '{"'}}]},
         (Call(0, None, None, '{"'),)),
        (
            {"tool_calls": [{"index": 0, "id": "c", "type": "function",
                             "function": {"name": "f", "arguments": ""}}]},
            (Call(0, "c", "f", "", "function"),),
        ),
        (
            {"tool_calls": [{"index": 0, "id": "c", "type": "custom",
                             "custom": {"name": "sql", "input": "SELECT"}}]},
            (Call(0, "c", "sql", "SELECT", "custom"),),
        ),
        (
            {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f"}},
                            {"index": 1, "id": "b", "function": {"name": "g"}}]},
            (Call(0, "a", "f"), Call(1, "b", "g")),
        ),
        ({"tool_calls": [{"id": "a"}, {"id": "b"}]}, (Call(0, "a"), Call(1, "b"))),
        ({"tool_calls": [{"index": 0, "function": "x", "id": 3}]}, (Call(0),)),
        ({"tool_calls": [{"index": 0, "function": {"arguments": {"a": 1}}}]},
             (Call(0, None, None, '{"a":1}'),)),
        ({"function_call": {"name": "f", "arguments": "{}"}},
         (Call(0, None, "f", "{}", "function_call"),)),
        ({"function_call": None}, ()),
    ],
)  # fmt: skip
def test_tool_calls(delta: dict[str, Any], calls: tuple[Call, ...]) -> None:
    """Functions, custom tools, the legacy call, several at once, and nonsense."""
    assert first_chunk(frame(choice(**delta))).tool_calls == calls


def test_a_frame_with_several_choices_gives_several_chunks_in_order() -> None:
    """They share the frame they came in."""
    sent = frame(choice(1, content="b"), choice(0, content="a"))
    first, second = decode(event(sent) + DONE).said
    assert [(first.index, first.text), (second.index, second.text)] == [(1, "b"), (0, "a")]
    assert first.raw is second.raw


@pytest.mark.parametrize(
    "sent",
    [
        frame({**choice(content="a"), "logprobs": {"content": [{"token": "a", "logprob": -0.1}]}}),
        frame(choice(audio={"id": "audio_1", "data": "AAAA", "transcript": "a"})),
        frame(choice(content="a"), obfuscation="xyz", latency_checkpoint={"ttft": 1}),
    ],
    ids=["logprobs", "audio", "unknown keys"],
)
def test_the_frame_passes_through_untouched(sent: dict[str, Any]) -> None:
    """What is not read here can be read off `raw`."""
    assert first_chunk(sent).raw == sent


def test_azures_first_frame_says_nothing_of_the_answer() -> None:
    """Its empty id and model are not taken (WIRE §2.4)."""
    sent: dict[str, Any] = {
        "choices": [], "created": 0, "id": "", "model": "", "object": "",
        "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}],
    }  # fmt: skip
    assert raw_items([event(sent)]) == [Report(annotation=sent)]


@pytest.mark.parametrize("place", [1, 3, 4, 5])
def test_an_async_filter_frame_annotates_the_next_chunk(place: int) -> None:
    """Wherever it comes, after the finish too, it adds no chunk (WIRE §2.5)."""
    note: dict[str, Any] = {
        "choices": [{"index": 0, "finish_reason": None, "content_filter_offsets": {"a": 1}}],
        "created": 0, "id": "", "model": "", "object": "",
    }  # fmt: skip
    events = HELLO.split(b"\n\n")
    events.insert(place, event(note).strip())
    chunks = decode(b"\n\n".join(events)).chunks
    assert chunks == decode(HELLO).chunks
    assert [chunk.annotations for chunk in chunks if chunk.annotations] == [(note,)]
    assert chunks[min(place, 4)].annotations == (note,)


def test_ids_and_tier_are_read_once_they_are_there() -> None:
    """The id is the first one, the model the last one that is named."""
    tier = {"service_tier": "flex"}
    result = decode(body(frame(choice(content="a"), id="", model=""), {**HI, **tier}, STOP))
    record = result.meter.record(Outcome.COMPLETED, now=3.0)
    assert (record.response_id, record.response_model, record.service_tier) == (
        "chatcmpl-1",
        "gpt-4o-mini-2024-07-18",
        "flex",
    )


# --- failures


@pytest.mark.parametrize(
    ("sent", "code", "message"),
    [
        (event({"error": {"message": "m", "code": "c", "type": "t"}}), "c", "m"),
        (event({"error": {"message": "m", "code": None, "type": "t"}}), "t", "m"),
        (event({"error": {"message": "m", "code": 400}}), "400", "m"),
        (event({"error": {"a": 1}}), None, '{"a": 1}'),
        (event({"error": "boom"}), None, "boom"),
        (event({"error": ["boom"]}), None, '["boom"]'),
        (b"event: error\n" + event({"error": {"message": "m", "code": "c"}}), "c", "m"),
        (b"event: error\n" + event({"message": "m", "code": "c"}), "c", "m"),
        (event({"object": "error", "message": "m", "type": "t"}), "t", "m"),
    ],
)
def test_a_reported_error_fails_the_stream(sent: bytes, code: str | None, message: str) -> None:
    """However the server words it."""
    result = decode(event(HI) + sent + body(STOP))
    assert isinstance(result.failure, StreamFailedError)
    assert (result.failure.code, result.text) == (code, "Hi")
    assert str(result.failure) == f"The provider reported an error mid-stream: {message}"


@pytest.mark.parametrize("error", [None, {}, ""])
def test_an_empty_error_is_none(error: Any) -> None:
    """Some servers put the key on every frame."""
    assert decode(event({**HI, "error": error}) + DONE).failure is None


def test_an_error_inside_a_choice_is_no_failure() -> None:
    """Azure says so where its filter did not run, and goes on (WIRE §2.4)."""
    odd = {**choice(content="a"), "content_filter_result": {"error": {"code": "x"}}}
    assert decode(body(frame(odd), STOP)).failure is None


def test_error_usage_and_text_in_one_frame_all_count() -> None:
    """The text is delivered and the usage kept before the stream fails (WIRE §5)."""
    result = decode(event({**HI, "usage": USAGE, "error": {"code": 400, "message": "limit"}}))
    assert (result.text, result.counts) == ("Hi", REPORTED)
    assert isinstance(result.failure, StreamFailedError)


@pytest.mark.parametrize(
    "data", [b"not JSON", b"{", b"[1]", b'"x"', b"12", b"NaN", b"[" * 100_000, b"\xff"]
)
def test_data_that_is_no_json_object_fails_the_stream(data: bytes) -> None:
    """Going on would lose a piece of the answer unseen."""
    result = decode(event(HI) + b"data: " + data + b"\n\n" + DONE)
    assert isinstance(result.failure, StreamFailedError)
    assert str(result.failure).startswith("The provider sent a frame that is not a JSON object: ")


@pytest.mark.parametrize("depth", [150, 300, 600, 950, 5_000])
def test_deep_nesting_raises_nothing(depth: int) -> None:
    """However deep, it is a frame or a failure."""
    deep = b"[" * depth + b"]" * depth
    for sent in (b'data: {"error":%b}\n\n', b'data: {"choices":%b}\n\n', b'{"error":%b}'):
        assert decode(sent % deep).chunks == []


# --- a 200 that is no stream


@pytest.mark.parametrize("size", [0, 1, 7])
@pytest.mark.parametrize(
    ("sent", "kind", "code", "says"),
    [
        (b"<html>\n\n<body>login</body></html>", "text/html", None, "text/html"),
        (b"upstream: timed out", None, None, "undeclared type"),
        (b'{"error":{"message":"no","code":"c"}}', "application/json", "c", "mid-stream: no"),
        (b'{"error":"Input error","error_type":"validation"}', "application/json", None, "Input"),
        (b'{"choices":[{"message":{"content":"x"}}]}', "application/json", None, "choices"),
        (b"[1, 2]", "application/json", None, "[1, 2]"),
    ],
)
def test_a_body_that_is_no_event_stream(
    sent: bytes, kind: str | None, code: str | None, says: str, size: int
) -> None:
    """A proxy's page or a document fails the stream at its end (WIRE §3.6)."""
    result = decode(cut(sent, size), head=Head(status=200, content_type=kind))
    assert isinstance(result.failure, NotAStreamError)
    assert result.failure.code == code
    assert says in str(result.failure)
    assert result.failure.body == sent.decode()
    assert result.chunks == []


@pytest.mark.parametrize("indent", [None, 2])
def test_the_usage_in_a_document_counts(indent: int | None) -> None:
    """A server that ignores `stream` was paid all the same."""
    document = {"id": "x", "model": "m", "choices": [{"index": 0}], "usage": USAGE}
    result = decode(json.dumps(document, indent=indent).encode())
    assert isinstance(result.failure, NotAStreamError)
    record = result.meter.record(Outcome.FAILED, now=3.0)
    assert (result.counts, record.response_id, record.wire_usage) == (REPORTED, "x", USAGE)


def test_broken_characters_in_a_document_are_replaced() -> None:
    """Its record can be written out too."""
    result = decode(b'{"id":"\\ud83d","usage":{"prompt_tokens":1,"x":"\\ud83d"}}')
    record = result.meter.record(Outcome.FAILED, now=3.0, error=result.failure)
    assert record.response_id == "\ufffd"
    assert type(record).model_validate_json(record.model_dump_json()) == record


def test_an_empty_body_is_a_cut_stream() -> None:
    """There is nothing in it that would be something else."""
    assert isinstance(decode(b"").failure, StreamTruncatedError)


def test_blank_lines_alone_are_reported_as_no_stream() -> None:
    """Nothing in them is a field of an event."""
    assert isinstance(decode(b"hello\n\n\n\n").failure, NotAStreamError)


def test_a_stream_with_a_foreign_line_first_is_a_stream() -> None:
    """Fields that nobody knows are skipped, as the standard asks."""
    assert decode(b"hello\n\n" + HELLO).text == "Hello"


# --- usage


@pytest.mark.parametrize(
    ("wire", "counts"),
    [
        ({}, {}),
        (USAGE, REPORTED),
        ({"prompt_tokens": 1}, {"input_tokens": 1}),
        ({"completion_tokens": 1}, {"output_tokens": 1}),
        ({"total_tokens": 1}, {"total_tokens": 1}),
        ({"prompt_tokens_details": {"cached_tokens": 1}}, {"cache_read_tokens": 1}),
        ({"prompt_tokens_details": {"cache_write_tokens": 1}}, {"cache_write_tokens": 1}),
        ({"prompt_tokens_details": {"audio_tokens": 1}}, {"input_audio_tokens": 1}),
        ({"prompt_tokens_details": {"image_tokens": 1}}, {"input_image_tokens": 1}),
        ({"prompt_tokens_details": {"text_tokens": 1}}, {"input_text_tokens": 1}),
        ({"completion_tokens_details": {"reasoning_tokens": 1}}, {"reasoning_tokens": 1}),
        ({"completion_tokens_details": {"audio_tokens": 1}}, {"output_audio_tokens": 1}),
        ({"completion_tokens_details": {"text_tokens": 1}}, {"output_text_tokens": 1}),
        (
            {"completion_tokens_details": {"accepted_prediction_tokens": 1}},
            {"accepted_prediction_tokens": 1},
        ),
        (
            {"completion_tokens_details": {"rejected_prediction_tokens": 1}},
            {"rejected_prediction_tokens": 1},
        ),
        ({"prompt_tokens": 0}, {"input_tokens": 0}),
        ({"prompt_tokens": 3.0}, {"input_tokens": 3}),
        ({"prompt_tokens": 3.5}, {"input_tokens": 4}),
        ({"prompt_tokens": float("nan")}, {}),
        ({"prompt_tokens": True}, {}),
        ({"prompt_tokens": "3"}, {"input_tokens": 3}),
        ({"prompt_tokens": None}, {}),
        ({"prompt_tokens_details": None, "completion_tokens_details": [1]}, {}),
        ({"cached_tokens": 1, "prompt_token_details": None, "queue_time": 0.1}, {}),
        ({"prompt_tokens": 1, "latency_checkpoint": {"a": 1}}, {"input_tokens": 1}),
    ],
)
def test_usage_keys(wire: dict[str, Any], counts: dict[str, int]) -> None:
    """Each key of the wire is one field; what is no count is left out (WIRE §1.3)."""
    assert read_counts(wire) == counts


def test_the_wire_usage_is_kept_untouched() -> None:
    """Other servers' own keys stay there."""
    odd = {**USAGE, "cost": 0.1, "num_sources_used": 0}
    (report,) = raw_reports([event(frame(usage=odd))])
    assert (report.counts, report.wire_usage) == (REPORTED, odd)
