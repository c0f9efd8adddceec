"""The life of a stream, phase by phase, whoever holds it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests._support.chat import DONE, HEAD, body, choice, event, frame

from usagestream import Outcome, StreamNotEndedError, UsageRecord
from usagestream_adapters.wire.chat import ChatDecoder
from usagestream_core.adapter import Target
from usagestream_core.records.outbox import Outbox
from usagestream_core.streams.lifecycle import Lifecycle, Phase
from usagestream_core.streams.meter import Call, Meter

CALL = Call(provider="openai", profile=None, target=Target(endpoint="api.openai.com"), model="m")
HI = event(frame(choice(content="Hi")))
STOP = event(frame(choice(finish="stop")))


class Holder:
    """Whoever holds the stream."""

    def leave_at_exit(self) -> None:
        """Nothing is open here."""


class Life:
    """A stream's life, with the records that came of it."""

    def __init__(self, call: Call = CALL) -> None:
        self.records: list[UsageRecord] = []
        self.life = Lifecycle(call, Outbox(self.records.append))
        self.holder = Holder()

    def asked(self) -> Lifecycle:
        """The request was sent."""
        self.life.ask(self.holder)
        return self.life

    def open(self) -> Lifecycle:
        """The response has begun."""
        self.asked().open(HEAD, ChatDecoder(HEAD))
        return self.life


def test_the_phases_come_in_their_order() -> None:
    """From the request to the record, each by what came last."""
    made = Life()
    life = made.life
    phases = [life.phase]
    phases.append(made.asked().phase)
    life.open(HEAD, ChatDecoder(HEAD))
    phases.append(life.phase)
    for data in (HI, STOP, DONE):
        life.feed(data)
        phases.append(life.phase)
    life.settle_end()
    phases.append(life.phase)
    assert phases == [
        Phase.NEW,
        Phase.ASKED,
        Phase.OPEN,
        Phase.OPEN,
        Phase.ANSWERED,
        Phase.OVER,
        Phase.SETTLED,
    ]
    assert [record.outcome for record in made.records] == [Outcome.COMPLETED]


def test_a_record_is_owed_between_the_request_and_the_end() -> None:
    """Not before, not after, and it cannot be had in between."""
    made = Life()
    life = made.life
    assert not life.owes_record
    made.open()
    assert life.owes_record
    with pytest.raises(StreamNotEndedError):
        _ = life.record
    life.settle(Outcome.CLOSED)
    assert not life.owes_record
    assert life.is_settled


@pytest.mark.parametrize(
    ("exc", "word"),
    [
        (TimeoutError("slow"), "stalled"),
        (type("ReadTimeout", (Exception,), {})("slow"), "stalled"),
        (ConnectionResetError("gone"), "broke"),
    ],
)
def test_a_break_says_whether_it_was_waited_for_too_long(exc: Exception, word: str) -> None:
    """A time-out by any library's name is a stall; anything else broke."""
    life = Life().open()
    life.feed(HI)
    life.broke(exc)
    failure = life.meter.failure
    assert str(failure) == f"The connection {word} mid-stream: {type(exc).__name__}: {exc}"
    assert failure is not None
    assert failure.__cause__ is exc
    life.settle_end()
    assert life.record.outcome == Outcome.TRUNCATED


def test_what_is_over_gives_no_more_chunks() -> None:
    """The end of a body after `[DONE]` adds nothing, and a break then is none."""
    life = Life().open()
    life.feed(body(frame(choice(content="Hi")), frame(choice(finish="stop"))))
    assert life.end() == []
    assert life.broke(ConnectionResetError()) == []
    assert life.meter.failure is None
    life.settle_end()
    assert life.record.outcome == Outcome.COMPLETED


@pytest.mark.parametrize(
    ("finished", "done", "outcome"),
    [
        ([0], False, Outcome.TRUNCATED),
        ([0, 1], False, Outcome.COMPLETED),
        ([0], True, Outcome.COMPLETED),
    ],
)
def test_every_choice_asked_for_must_finish_or_done_be_said(
    finished: list[int], done: bool, outcome: Outcome
) -> None:
    """Two were asked for: one finish reason and no `[DONE]` is a cut answer."""
    two = Call(provider="openai", profile=None, target=CALL.target, model="m", params={"n": 2})
    life = Life(two).open()
    life.feed(
        body(*(frame(choice(each, content="a", finish="stop")) for each in finished), done=done)
    )
    life.end()
    life.settle_end()
    assert life.record.outcome == outcome


def test_a_choice_that_was_not_given_does_not_count_as_given() -> None:
    """Who leaves before the chunk with the finish reason has not got the whole answer."""
    life = Life().open()
    life.pending = life.feed(HI + STOP)
    assert life.left_with() == Outcome.CLOSED
    assert life.left_with(otherwise=Outcome.ABANDONED) == Outcome.ABANDONED
    assert life.left_with(ValueError()) == Outcome.CLOSED
    assert life.left_with(KeyboardInterrupt()) == Outcome.CANCELLED
    life.pending = ()
    assert life.left_with() == Outcome.COMPLETED
    life.settle(Outcome.CLOSED)


@pytest.mark.parametrize("again", [Outcome.CLOSED, Outcome.ABANDONED, Outcome.CANCELLED])
@pytest.mark.parametrize(
    ("way", "outcome"),
    [
        ("read", Outcome.COMPLETED),
        ("cut", Outcome.TRUNCATED),
        ("broken", Outcome.TRUNCATED),
        ("left", Outcome.CLOSED),
        ("refused", Outcome.REJECTED),
        ("cancelled", Outcome.CANCELLED),
        ("dropped", Outcome.ABANDONED),
    ],
)
def test_invariant_6_one_record_exactly_once(way: str, outcome: Outcome, again: Outcome) -> None:
    """On every path, whatever is said of the stream afterwards."""
    made = Life()
    life = made.asked()
    if way == "refused":
        life.refused(ValueError())
    elif way == "cancelled":
        life.refused(KeyboardInterrupt())
    else:
        life.open(HEAD, ChatDecoder(HEAD))
        life.feed(HI + (STOP + DONE if way == "read" else b""))
        if way == "broken":
            life.broke(ConnectionResetError())
        elif way in {"read", "cut"}:
            life.end()
        if way in {"left", "dropped"}:
            life.settle(life.left_with(otherwise=outcome))
        else:
            life.settle_end()
    life.settle(again)
    life.settle_end()
    assert [record.outcome for record in made.records] == [outcome]


def test_the_times_of_a_record_are_those_of_one_clock() -> None:
    """Seconds of a monotonic clock since the start are laid over the calendar."""
    meter = Meter(CALL)
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    meter.start(100.0, begun)
    meter.opened(HEAD)
    meter.take(ChatDecoder(HEAD).feed(HI), 100.5)
    meter.take(ChatDecoder(HEAD).feed(STOP), 102.0)
    record = meter.record(Outcome.CLOSED, now=103.0)
    assert record.started_at == begun
    assert record.first_chunk_at == begun + timedelta(seconds=0.5)
    assert record.ended_at == begun + timedelta(seconds=3)


def test_the_first_id_is_kept_and_the_last_model() -> None:
    """Ids of later frames change nothing; a router may say late who answered."""
    life = Life().open()
    life.feed(event({**frame(choice(content="a")), "id": "first", "model": "one"}))
    life.feed(event({**frame(choice(finish="stop")), "id": "second", "model": "two"}))
    life.end()
    life.settle_end()
    assert (life.record.response_id, life.record.response_model) == ("first", "two")
    assert life.record.chunk_count == 3
