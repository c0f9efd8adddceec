"""Usage where it is not expected, and as it should not be: nothing reported is lost or invented."""

from __future__ import annotations

import gc
import json
import warnings
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests._support.chat import USAGE, body, choice, decode, frame
from tests._support.fakes import FakeAdapter

from usagestream import Client, Outcome, StreamError, UsageRecord, UsageSource
from usagestream_adapters.wire.counts import count_in, find_usage, read_counts

HI = frame(choice(content="Hi"))
STOP = frame(choice(finish="stop"))
ZEROS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
REPORTED = {"input_tokens": 18, "output_tokens": 2, "total_tokens": 20}


class Words:
    """A counter of words."""

    def count(self, text: str, model: str) -> int | None:
        """As a tokenizer would."""
        return len(text.split())


def recorded(*frames: dict[str, Any], done: bool = True, read: bool = True) -> UsageRecord:
    """The record of a stream of these frames, read to its end or left after the first chunk."""
    records: list[UsageRecord] = []
    adapter = FakeAdapter.of(body(*frames, done=done))
    with Client(adapter, on_record=records.append, token_counter=Words()) as client:
        stream = client.stream(model="m", messages=[{"role": "user", "content": "a b c"}])
        if read:
            stream.drain()
        else:
            next(stream)
            stream.close()
    (found,) = records
    assert UsageRecord.model_validate_json(found.model_dump_json()) == found
    return found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, (7, True)),
        (-7, (-7, True)),
        (7.0, (7, True)),
        (14417.92, (14418, False)),
        ("7", (7, False)),
        (" 7.5 ", (8, False)),
        (None, (None, True)),
        (True, (None, False)),
        ("seven", (None, False)),
        ("NaN", (None, False)),
        ("9" * 41, (None, False)),
        (float("nan"), (None, False)),
        (float("inf"), (None, False)),
        (1e300, (None, False)),
        (2**63 - 1, (2**63 - 1, True)),
        (2**63, (None, False)),
        ([1], (None, False)),
    ],
)
def test_what_is_a_count(value: object, expected: tuple[int | None, bool]) -> None:
    """One rule says which number a value is, and whether it came in good order."""
    assert count_in(value) == expected


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50))
def test_both_apis_read_a_count_by_one_rule(value: object) -> None:
    """Whatever a server sends, chat and Responses make the same of it and complain alike."""
    chat: list[str] = []
    responses: list[str] = []
    read = read_counts({"prompt_tokens": value}, chat)
    assert read == read_counts({"input_tokens": value}, responses)
    assert chat == responses
    assert bool(chat) == (not count_in(value)[1])
    assert all(abs(count) < 2**63 for count in read.values())


@pytest.mark.parametrize("details", ["prompt_tokens_details", "input_tokens_details"])
def test_how_long_a_cache_keeps_what_is_written(details: str) -> None:
    """Said inside the details, by either name."""
    wire = {details: {"cache_write_tokens_details": {"ttl_30m_tokens": 2, "ttl_12h_tokens": 3}}}
    assert read_counts(wire) == {"cache_write_30m_tokens": 2, "cache_write_12h_tokens": 3}


def test_the_first_place_of_those_that_say_no_more() -> None:
    """Zeros are zeros, wherever they stand; and what is no count in any case is none."""
    found = find_usage(ZEROS, {**ZEROS, "cached_tokens": 0}, {"fooBar": 7}, "x")
    assert (found.wire, found.odd) == (ZEROS, None)
    assert find_usage({"fooBar": 7}, {}, None).wire is None


def test_an_odd_count_is_an_anomaly_on_the_record() -> None:
    """A fraction is rounded, and the record says what was sent."""
    usage = {"prompt_tokens": 57, "completion_tokens": 14417.92, "total_tokens": 14474.92}
    record = recorded(HI, STOP, frame(usage=usage))
    assert (record.usage.output_tokens, record.usage.source) == (14418, UsageSource.REPORTED)
    assert record.anomalies == (
        "output_tokens was sent as 14417.92; total_tokens was sent as 14474.92",
    )


def test_a_number_that_json_has_no_word_for() -> None:
    """The record can be written out and read, and the other counts are there."""
    sent = {**USAGE, "speed": [float("inf")], "total_tokens": float("nan")}
    record = recorded(HI, STOP, frame(usage=sent), frame(usage=sent))
    assert (record.usage.input_tokens, record.usage.output_tokens) == (18, 2)
    assert record.anomalies == ("total_tokens was sent as nan",)
    assert record.wire_usage == {**USAGE, "speed": ["inf"], "total_tokens": "nan"}


def test_usage_of_which_nothing_is_a_count() -> None:
    """It is kept as it was sent, and the estimate says what it is."""
    record = recorded(HI, STOP, frame(usage={"prompt_tokens": "many"}))
    assert record.usage.source is UsageSource.ESTIMATED
    assert record.wire_usage == {"prompt_tokens": "many"}
    assert record.anomalies == ("input_tokens was sent as 'many'",)


def test_usage_in_the_choice_that_ends() -> None:
    """A report in another place is a report."""
    result = decode(body(HI, frame({**choice(finish="stop"), "usage": USAGE})))
    assert result.counts == REPORTED


def test_usage_in_a_choice_with_text() -> None:
    """A running count of a choice is known when the stream is left."""
    record = recorded(frame({**choice(content="x"), "usage": USAGE}), HI, read=False)
    assert (record.usage.total_tokens, record.usage.source) == (20, UsageSource.REPORTED)


def test_usage_of_several_choices() -> None:
    """The prompt is one for all of them; what was written is the sum."""
    first = {**choice(0, finish="stop"), "usage": USAGE}
    second = {**choice(1, finish="stop"), "usage": {**USAGE, "completion_tokens": 5}}
    result = decode(body(frame(first), frame(second)))
    assert result.counts == {"input_tokens": 18, "output_tokens": 7, "total_tokens": 25}


def test_usage_of_a_choice_beside_that_of_all() -> None:
    """What is reported for the whole stands, whichever comes first."""
    own = {**choice(finish="stop"), "usage": {**USAGE, "completion_tokens": 99}}
    assert decode(body(HI, frame(own), frame(usage=USAGE))).counts == REPORTED
    assert decode(body(HI, frame(usage=USAGE), frame(own))).counts == REPORTED


@pytest.mark.parametrize("odd", [None, 7, {"usage": 7}, {**choice(finish="stop"), "usage": {}}])
def test_a_choice_that_reports_nothing(odd: Any) -> None:
    """What is no usage is passed over."""
    own = {"index": "0", "delta": {}, "usage": USAGE}
    assert decode(body(HI, STOP, frame(odd, own))).counts == REPORTED


def test_usage_of_groq() -> None:
    """Its second copy counts where it is the only one (WIRE §5)."""
    assert decode(body(HI, STOP, frame(x_groq={"id": "r", "usage": USAGE}))).counts == REPORTED


def test_zeros_beside_text_are_not_believed() -> None:
    """They are an anomaly, and what is shown is an estimate."""
    record = recorded(HI, STOP, frame(usage=ZEROS))
    assert (record.usage.output_tokens, record.usage.source) == (1, UsageSource.ESTIMATED)
    assert record.anomalies == ("usage is all zeros, and something was sent",)
    assert record.wire_usage == ZEROS


def test_zeros_after_real_counts() -> None:
    """The counts stay, and the zeros are named."""
    record = recorded(HI, STOP, frame(usage=USAGE), frame(usage=ZEROS))
    assert (record.usage.total_tokens, record.usage.source) == (20, UsageSource.REPORTED)
    assert record.anomalies == ("usage is all zeros, and something was sent",)
    assert record.wire_usage == USAGE


def test_zeros_until_the_counts_are_known() -> None:
    """Many servers send them so: nothing is wrong with that (WIRE §5)."""
    record = recorded(frame(choice(content="Hi"), usage=ZEROS), STOP, frame(usage=USAGE))
    assert (record.usage.total_tokens, record.anomalies) == (20, ())


def test_a_total_of_before_the_answer() -> None:
    """Beside an estimate of what was written, the total is the sum."""
    begun = frame(choice(content="a b"), usage={"prompt_tokens": 11, "total_tokens": 11})
    record = recorded(begun, frame(choice(content="c")), read=False)
    usage = record.usage
    assert usage.source is UsageSource.ESTIMATED
    assert usage.total_tokens == 11 + (usage.output_tokens or 0)
    assert usage.anomalies() == ()


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "one two"},
        {"reasoning": "one two", "content": ""},
        {"reasoning_details": [{"text": "one "}, {"summary": "two"}, 7], "content": None},
        {"reasoning": "one two", "reasoning_details": [{"text": "one two"}]},
    ],
)
def test_reasoning_is_shown_and_counted(delta: dict[str, Any]) -> None:
    """Under whichever name it comes, once; an estimate and a limit take it for output."""
    frames = [HI, frame(choice(**delta)), frame(choice(content=" x"))]
    assert "".join(chunk.reasoning for chunk in decode(body(*frames, STOP)).chunks) == "one two"
    records: list[UsageRecord] = []
    adapter = FakeAdapter.of(body(*frames, done=False))
    with Client(adapter, on_record=records.append, token_counter=Words()) as client:
        client.stream(model="m", messages=[], output_tokens_limit=2, on_limit="stop").drain()
    assert records[0].outcome is Outcome.CLOSED
    assert records[0].reason == "output_tokens_limit"


def test_reasoning_details_that_are_no_list() -> None:
    """What is not known is passed over."""
    result = decode(body(HI, frame(choice(reasoning_details="x")), STOP))
    assert [chunk.reasoning for chunk in result.said] == ["", "", ""]


def call(id: str | None, **more: Any) -> dict[str, Any]:  # noqa: A002 - as the wire calls it
    """A tool call, or a piece of one, without an index."""
    return {"id": id, "function": {"name": "f", "arguments": "{}"}, **more}


def more(**said: Any) -> dict[str, Any]:
    """A piece of the arguments alone."""
    return {"function": {"arguments": "{}"}, **said}


@pytest.mark.parametrize(
    ("frames", "indexes"),
    [
        ([[call("a")], [call("b")]], [0, 1]),
        ([[call("a"), call("b")]], [0, 1]),
        ([[call("a")], [call(None)], [call("b")], [call(None)]], [0, 0, 1, 1]),
        ([[call("a")], [call("b")], [call("a")]], [0, 1, 0]),
        ([[call(None), call(None)]], [0, 1]),
        ([[call(None)]], [0]),
        ([[call("a", index=3)], [call(None, index=3)]], [3, 3]),
        ([[call("a", index=0)], [call("b", index=0)]], [0, 1]),
        ([[call("a", index=0)], [call("b", index=0)], [more(index=0)], [call("c", index=1)]],
         [0, 1, 1, 2]),
        ([[call("a", index=0)], [call("b", index=0)], [call("a", index=0)]], [0, 1, 0]),
        ([[call("a", index=0)], [more(id="b", index=0)]], [0, 0]),
        ([[call("a", index=1)], [call("b", index=4)], [more()]], [1, 4, 4]),
        ([[call("a", index=0)], [call("b")], [call("b")]], [0, 1, 1]),
        ([[call("a", index=1)], [call("b", index=2)], [call("a")]], [1, 2, 1]),
        ([[call("a", index="0")], [call("b", index=1.0)], [more(index="0")]], [0, 1, 0]),
        ([call("a")], [0]),
        ([[call(None)], [{"function": {"name": "g"}}], [more()]], [0, 1, 1]),
    ],
)  # fmt: skip
def test_tool_calls_by_what_tells_them_apart(frames: list[Any], indexes: list[int]) -> None:
    """A new id, or a new name, is a new call; a lone piece of neither goes on with the last."""
    result = decode(body(*[frame(choice(tool_calls=each)) for each in frames], STOP))
    assert [call.index for chunk in result.chunks for call in chunk.tool_calls] == indexes


def test_a_stream_in_a_reference_cycle_leaves_its_record() -> None:
    """The collector may have closed what can be closed: the text is still there."""
    records: list[UsageRecord] = []

    def abandon() -> None:
        client = Client(
            FakeAdapter.of(body(HI, HI)), on_record=records.append, token_counter=Words()
        )
        stream = client.stream(model="m", messages=[])
        gc.collect(0)  # what was made before is older than what comes
        next(stream)
        cycle: list[Any] = [stream]
        cycle.append(cycle)
        del stream, cycle
        gc.collect()

    with warnings.catch_warnings():  # that it was dropped; and what else is collected here
        warnings.simplefilter("ignore", ResourceWarning)
        abandon()
    assert [record.outcome for record in records] == [Outcome.ABANDONED]
    assert records[0].usage.source is UsageSource.ESTIMATED


LONG = "x" * 100_000
DEEP: Any = json.loads('{"a":[' * 20 + "]}" * 20)


@pytest.mark.parametrize(
    "said",
    [
        {"id": LONG},
        {"model": LONG},
        {"service_tier": LONG},
        {"choices": [choice(finish=LONG)]},
        {"choices": [choice(n, finish="stop") for n in range(5_000)]},
        {"usage": {**USAGE, "note": LONG, LONG: [LONG] * 3}},
        {"usage": {**USAGE, **{f"k{n}": n for n in range(5_000)}}},
        {"usage": {**USAGE, "list": [1] * 50_000, "deep": DEEP}},
        {"error": {"message": LONG, "code": LONG}},
    ],
    ids=map(str, range(9)),
)
def test_what_a_server_says_fills_no_record(said: dict[str, Any]) -> None:
    """Of each text, object and list so much is kept as a server has a reason to send."""
    records: list[UsageRecord] = []
    stream = body({**frame(choice(content="Hi")), **said}, STOP)
    with Client(FakeAdapter.of(stream), on_record=records.append) as client, suppress(StreamError):
        client.stream(model="m", messages=[]).drain()
    (record,) = records
    assert len(record.model_dump_json()) < 40_000
    assert UsageRecord.model_validate_json(record.model_dump_json()) == record
    if "usage" in said:
        assert record.usage.total_tokens == 20


def test_a_total_and_nothing_else() -> None:
    """It is what was reported, and that it is no sum of what is estimated is said."""
    record = recorded(HI, STOP, frame(usage={"total_tokens": 32}))
    assert (record.usage.source, record.usage.total_tokens) == (UsageSource.ESTIMATED, 32)
    assert record.anomalies == ("total_tokens != input_tokens + output_tokens",)
