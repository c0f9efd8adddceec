"""What a meter's account says, report by report, without a wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from usagestream import Cost, Outcome, Price, Rates, StreamFailedError, Usage, UsageRecord
from usagestream_core.adapter import Head, Report, Target
from usagestream_core.chunk import Chunk, ToolCallDelta
from usagestream_core.errors import ProviderError
from usagestream_core.streams.meter import Call, Meter

HEAD = Head(status=200)
EPOCH = datetime.fromtimestamp(0, UTC)
COUNTS = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
ZEROS = dict.fromkeys(COUNTS, 0)
ALL_ZEROS = "usage is all zeros, and something was sent"
KEY = "sk-a-key-that-nobody-may-see"


class Words:
    """Counts words; those of the model `two` are ten tokens each."""

    def count(self, text: str, model: str) -> int:
        """A token is a word."""
        return len(text.split()) * (10 if model == "two" else 1)


def call(**more: Any) -> Call:
    """A call of a model."""
    known: dict[str, Any] = {"provider": "openai", "profile": None, "model": "m", **more}
    return Call(target=Target(endpoint="here"), **known)


def opened(*items: Chunk | Report, head: Head = HEAD, counter: Any = None, **more: Any) -> Meter:
    """A meter of a response that has begun, and these things of it have come."""
    meter = Meter(call(**more), counter)
    meter.start(0.0, EPOCH)
    meter.opened(head)
    meter.take(items, 1.0)
    return meter


def settled(meter: Meter, outcome: Outcome = Outcome.CLOSED, **more: Any) -> UsageRecord:
    """The record, had the stream ended now."""
    return meter.record(outcome, now=2.0, **more)


@pytest.mark.parametrize(("n", "choices"), [(0, 1), (1, 1), (2, 2), (-1, 1), ("3", 1), (None, 1)])
def test_how_many_choices_were_asked_for(n: Any, choices: int) -> None:
    """One, unless more of them were asked for in a number."""
    assert call(params={"n": n}).choices == choices


def test_one_that_was_never_started() -> None:
    """Its times are those of the clock's own beginning."""
    record = Meter(call()).record(Outcome.CLOSED, now=5.0)
    assert (record.started_at, record.ended_at) == (EPOCH, EPOCH + timedelta(seconds=5))


def test_who_was_asked_may_be_known_with_the_response_only() -> None:
    """What it tells takes the place of what was thought; nothing told changes nothing."""
    meter = Meter(call(profile="thought"))
    meter.opened(HEAD)
    assert settled(meter).profile == "thought"
    meter.opened(HEAD, call(profile="told"))
    assert settled(meter).profile == "told"
    meter.refused(call(profile="refused"))
    assert settled(meter).profile == "refused"


# --- what is not reported


def test_nothing_is_estimated_of_a_request_without_a_response() -> None:
    """Nobody outside knows what was read."""
    meter = Meter(call(params={"messages": [{"role": "user", "content": "Hi"}]}), Words())
    assert meter.so_far == Usage()
    meter.opened(HEAD)
    assert meter.so_far.input_tokens
    assert opened().so_far == Usage()


def test_what_is_counted_is_counted_as_the_model_that_answers_does() -> None:
    """It may be told late, and by a header."""
    meter = opened(Chunk("one two"), counter=Words())
    assert meter.so_far.output_tokens == 2
    meter.take([Report(model="two")], 1.0)
    assert meter.so_far.output_tokens == 20
    assert settled(meter).usage.output_tokens == 20
    by_header = opened(Chunk("one"), head=Head(status=200, response_model="two"), counter=Words())
    assert by_header.so_far.output_tokens == 10
    assert settled(by_header).response_model == "two"


@pytest.mark.parametrize(
    ("chunk", "tokens"),
    [
        (Chunk("a b"), 2),
        (Chunk(refusal="a b"), 2),
        (Chunk(reasoning="a b c"), 3),
        (Chunk("a ", refusal="b ", reasoning="c"), 3),
        # And what stands around the first call of an answer.
        (Chunk(tool_calls=(ToolCallDelta(index=0, name="f ", arguments="x y"),)), 3 + 7),
        (Chunk(tool_calls=(ToolCallDelta(index=0, name=None, arguments="x y"),)), 2 + 7),
    ],
)
def test_everything_that_was_written_counts(chunk: Chunk, tokens: int) -> None:
    """Text, a refusal, reasoning that is shown, and calls of tools."""
    meter = opened(chunk, counter=Words())
    assert meter.so_far.output_tokens == tokens
    assert settled(meter).usage.output_tokens == tokens
    assert settled(opened(chunk)).usage == Usage()


@pytest.mark.parametrize(
    ("chunks", "outcome", "passed_over", "is_estimated"),
    [
        ([], Outcome.FAILED, False, False),
        ([], Outcome.CLOSED, True, False),
        ([], Outcome.CLOSED, False, True),
        ([Chunk("a")], Outcome.FAILED, False, True),
        ([Chunk("a")], Outcome.CLOSED, True, True),
    ],
)
def test_what_failed_before_its_first_chunk_is_not_estimated(
    chunks: list[Chunk], outcome: Outcome, passed_over: bool, is_estimated: bool
) -> None:
    """Nor a stream of which nothing could be looked at."""
    meter = opened(*chunks, counter=Words())
    if passed_over:
        meter.pass_over("not looked at")
    assert (settled(meter, outcome).usage.source == "estimated") is is_estimated


def test_what_was_passed_over_makes_an_estimate_a_lower_bound() -> None:
    """What the provider reported is whole all the same; what is odd besides bounds nothing."""
    estimated, reported = opened(Chunk("a"), counter=Words()), opened(Report(counts=COUNTS))
    for meter in (estimated, reported):
        meter.pass_over("not looked at")
        assert settled(meter).usage.anomalies() == ("not looked at",)
    assert settled(estimated).usage.lower_bound is True
    assert settled(reported).usage.lower_bound is False
    odd = opened(Chunk("a"), Report(anomaly="odd"), counter=Words())
    assert settled(odd).usage.odd == ("odd",)
    assert settled(odd).usage.lower_bound is False


def test_the_first_oddities_are_kept_and_the_last() -> None:
    """However many there are, and each once."""
    meter = opened(*(Report(anomaly=f"odd {each}") for each in (*range(13), 3)))
    assert settled(meter).usage.odd == tuple(f"odd {each}" for each in (*range(10), 12))


# --- zeros


@pytest.mark.parametrize(
    "chunk",
    [
        Chunk("a"),
        Chunk(refusal="a"),
        Chunk(reasoning="a"),
        Chunk(tool_calls=(ToolCallDelta(index=0, name="f", arguments=""),)),
    ],
)
def test_zeros_are_not_believed_where_something_was_said(chunk: Chunk) -> None:
    """In whatever form."""
    meter = opened(chunk, Chunk(), Report(counts=ZEROS))
    assert settled(meter).usage == Usage(odd=(ALL_ZEROS,))


def test_zeros_are_believed_of_a_stream_that_said_nothing() -> None:
    """A finish reason alone is nothing said."""
    meter = opened(Chunk(finish_reason="stop"), Report(counts=ZEROS))
    assert settled(meter).usage == Usage.model_validate({**ZEROS, "source": "reported"})


def test_the_frame_of_zeros_is_the_last_chunks_too() -> None:
    """Where nothing better came; the frame before it is an annotation then."""
    first, second = {"zeros": 1}, {"zeros": 2}
    meter = opened(Report(counts=ZEROS, annotation=first))
    (last,) = meter.take([Report(counts=ZEROS, annotation=second), Report(done=True)], 1.0)
    assert (last.raw, last.annotations) == (second, (first,))


def test_zeros_that_came_with_a_choice_have_no_frame_of_their_own() -> None:
    """Nor have counts."""
    for counts in (ZEROS, COUNTS):
        (last,) = opened().take([Report(counts=counts), Report(done=True)], 1.0)
        assert (last.raw, last.annotations) == ({}, ())


# --- failures


def test_what_is_failing_fails_at_the_end() -> None:
    """Unless what came next said it better."""
    first, second = StreamFailedError("first"), StreamFailedError("second")
    meter = opened(Report(failing=first), Report(model="m"))
    assert (meter.failure, meter.failing) == (None, first)
    assert meter.close([], 1.0) == []
    assert (meter.failure, meter.over) == (first, True)
    better = opened(Report(failing=first), Report(failing=second))
    better.close([], 1.0)
    assert better.failure is second


def test_no_secret_shows_in_a_failure() -> None:
    """A provider may repeat what it was sent; where secrets cannot be had, nothing is shown."""

    def unknown() -> tuple[str, ...]:
        raise OSError

    known = opened(Report(failure=StreamFailedError(f"no {KEY} here")), secrets=lambda: (KEY,))
    assert known.failure is not None
    assert KEY not in str(known.failure)
    assert str(known.failure).startswith("no ")
    hidden = opened(Report(failure=StreamFailedError("no key here")), secrets=unknown)
    assert hidden.failure is not None
    assert "key" not in str(hidden.failure)


# --- the record


def test_what_a_response_says_before_its_first_byte() -> None:
    """It is on the record."""
    head = Head(
        status=200,
        request_ids={"x-request-id": "one"},
        spillover={"x-ms-spillover": "true"},
        usage_request="refused",
        reopenings=2,
        region="Sweden Central",
    )
    record = settled(opened(head=head))
    assert record.request_ids == {"x-request-id": "one"}
    assert record.spillover == {"x-ms-spillover": "true"}
    assert (record.usage_request, record.reopenings) == ("refused", 2)
    assert record.region == "Sweden Central"


def test_what_a_refusal_says_where_there_was_no_response() -> None:
    """As far as it says the same."""
    error = ProviderError("No.", provider="openai", status=400, request_ids={"id": "one"})
    error.usage_request, error.reopenings = "asked", 1
    record = settled(Meter(call()), Outcome.REJECTED, error=error)
    assert (record.usage_request, record.reopenings) == ("asked", 1)
    assert (record.request_ids, record.spillover, record.region) == ({"id": "one"}, {}, None)
    silent = settled(Meter(call()), Outcome.REJECTED, error=OSError())
    assert (silent.usage_request, silent.reopenings, silent.spillover) == (None, 0, {})


def test_an_error_is_not_asked_where_there_was_a_response() -> None:
    """The response knows how it was opened."""
    error = ProviderError("No.", provider="openai")
    error.usage_request, error.reopenings = "asked", 1
    record = settled(opened(head=Head(status=200, usage_request="refused", reopenings=3)))
    again = settled(
        opened(head=Head(status=200, usage_request="refused", reopenings=3)), error=error
    )
    assert (record.usage_request, record.reopenings) == ("refused", 3)
    assert (again.usage_request, again.reopenings) == ("refused", 3)


def test_the_tier_that_served_and_the_one_asked_for() -> None:
    """The last one told; asked for in the SDK's parameter, or beside it, in words."""
    meter = opened(Report(service_tier="default"), Report(model="m"))
    assert settled(meter).service_tier == "default"
    meter.take([Report(service_tier="priority")], 1.0)
    assert settled(meter).service_tier == "priority"
    asked: list[tuple[dict[str, Any], str | None]] = [
        ({}, None),
        ({"service_tier": "flex"}, "flex"),
        ({"service_tier": 1}, None),
        ({"service_tier": "flex", "extra_body": {"service_tier": "priority"}}, "priority"),
        ({"service_tier": "flex", "extra_body": "odd"}, "flex"),
    ]
    for params, tier in asked:
        assert settled(opened(params=params)).service_tier_asked == tier


@pytest.mark.parametrize(
    ("asked", "answered", "model"), [("m", "two", "m"), ("", "two", "two"), ("", None, "")]
)
def test_the_model_that_was_asked_for(asked: str, answered: str | None, model: str) -> None:
    """Where none was named, as with a stored prompt, it is the one that answered."""
    record = settled(opened(Report(model=answered), model=asked))
    assert (record.model, record.response_model) == (model, answered)


def test_what_a_stream_has_cost_until_now() -> None:
    """Nothing is known of it before there is a response, or without prices."""
    price = Price(source="test", model="m", rates=Rates(input=Decimal(1)))

    def costs(record: UsageRecord) -> Cost:
        return Cost(total=Decimal(1), price=price, basis=record.usage.source)

    def unpriced(record: UsageRecord) -> None:
        return None

    assert opened().cost_so_far(1.0) is None
    assert opened(costs=unpriced).cost_so_far(1.0) is None
    meter = Meter(call(costs=costs))
    assert meter.cost_so_far(1.0) is None
    meter.opened(HEAD)
    cost = meter.cost_so_far(1.0)
    assert cost is not None
    assert (cost.total, cost.lower_bound) == (Decimal(1), True)


def spent(*items: Chunk | Report, counter: Any = None) -> Usage:
    """What a stream used whose answer ended with these."""
    meter = opened(*items, Report(done=True), counter=counter)
    return meter.record(Outcome.COMPLETED, now=1.0).usage


CALL = Chunk(tool_calls=(ToolCallDelta(index=0, id="c", name="f", arguments="one two three"),))
SOON = Report(counts={"input_tokens": 5, "output_tokens": 1, "total_tokens": 6})


@pytest.mark.parametrize(
    ("items", "output"),
    [
        pytest.param([Chunk("one"), SOON, Chunk(" two three")], 3, id="text"),
        pytest.param([Chunk("one"), SOON, Chunk("two three", index=1)], 3, id="another choice"),
        pytest.param([Chunk("one"), SOON, Chunk("x", index=1), Chunk("y")], 2, id="a letter each"),
        pytest.param([Chunk("one"), SOON, CALL], 11, id="a tool call"),
        pytest.param([SOON, Report(written="one two three")], 3, id="what is in no chunk"),
        pytest.param([Report(written="one two"), SOON, Chunk("x")], 3, id="both"),
    ],
)
def test_what_is_written_after_it_was_counted(items: list[Any], output: int) -> None:
    """An estimate takes the place of what was reported before, and not of the input."""
    usage = spent(*items, counter=Words())
    assert (usage.source, usage.input_tokens) == ("estimated", 5)
    assert (usage.output_tokens, usage.total_tokens) == (output, 5 + output)


@pytest.mark.parametrize(
    "items",
    [
        pytest.param([Chunk("one two three"), SOON], id="nothing more"),
        pytest.param([CALL, Report(written="one two three"), SOON], id="nothing more of others"),
        pytest.param([Chunk("one two three"), SOON, Chunk("")], id="nothing at all"),
        pytest.param([SOON, Chunk("one")], id="as much as was counted"),
        pytest.param([Chunk("one two"), SOON, Report(counts={"input_tokens": 5})], id="no output"),
    ],
)
def test_what_was_counted_stands(items: list[Any]) -> None:
    """Where nothing was written since, or no more than was counted."""
    usage = spent(*items, counter=Words())
    assert (usage.source, usage.output_tokens) == ("reported", 1)


def test_a_count_without_an_estimate_of_its_own() -> None:
    """Nothing is known to be more where nothing is counted, or where counting gives nothing."""
    assert spent(SOON, Chunk("one two"), Report(written="x")).output_tokens == 1

    class Silent:
        def count(self, text: str, model: str) -> int | None:
            return None

    assert spent(SOON, Chunk("one two"), counter=Silent()).output_tokens == 1


def test_zeros_beside_counts() -> None:
    """Of the whole they are not believed once something was written; of a part they are."""
    zeros = {"input_tokens": 5, "output_tokens": 0, "reasoning_tokens": 0}
    believed = spent(Report(counts=zeros))
    assert (believed.output_tokens, believed.odd) == (0, None)
    for said in (Chunk("one two"), Report(written="one two")):
        doubted = spent(said, Report(counts=zeros), counter=Words())
        assert (doubted.source, doubted.output_tokens) == ("estimated", 2)
        assert doubted.reasoning_tokens == 0
        assert doubted.odd == ("output_tokens is 0, and something was sent",)
    assert spent(Report(written="one"), Report(counts=ZEROS)).odd == (ALL_ZEROS,)


def nested(depth: int, value: Any) -> Any:
    """A value within so many lists and objects by turns."""
    for level in reversed(range(depth)):
        value = [value] if level % 2 else {"a": value}
    return value


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("x" * 4_001, "x" * 4_000),
        (list(range(201)), list(range(200))),
        ({str(n): n for n in range(201)}, {str(n): n for n in range(200)}),
        ({"x" * 4_001: 1}, {"x" * 4_000: 1}),
        (nested(4, "x"), nested(4, "x")),
        (nested(4, ["x"]), nested(4, [])),
        (nested(4, {"x": 1}), nested(4, {})),
        (nested(5, "x"), nested(4, {})),
    ],
    ids=map(str, range(8)),
)
def test_of_what_a_server_says_so_much_is_kept(sent: Any, kept: Any) -> None:
    """So many characters, entries and levels."""
    meter = opened(Report(counts=COUNTS, wire_usage={"said": sent}))
    assert meter.record(Outcome.COMPLETED, now=1.0).wire_usage == {"said": kept}
