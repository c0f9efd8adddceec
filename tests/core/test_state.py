"""What both streams of a client hold, without either of them: reading, leaving, and being left."""

from __future__ import annotations

import time
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from copy import copy
from typing import Any

import pytest
from tests._support.chat import DONE, HEAD, USAGE, choice, event, frame
from tests._support.fakes import FakeAdapter

from usagestream import (
    Outcome,
    RecoveryError,
    StreamBusyError,
    StreamInterruptedError,
    StreamTruncatedError,
    UsageLimitExceededError,
    UsageRecord,
)
from usagestream_core.adapter import Head, Target
from usagestream_core.records.outbox import Outbox
from usagestream_core.streams.limit import OutputLimit
from usagestream_core.streams.meter import Call
from usagestream_core.streams.state import (
    PendingDrain,
    StreamPolicy,
    StreamState,
    bounded,
    warn_of_drop,
)

HI = event(frame(choice(content="Hi")))
THERE = event(frame(choice(content=" there")))
STOP = event(frame(choice(finish="stop")))
LATE = event(frame(choice(1, content="Hi")))
COUNTED = event(frame(usage=USAGE))
CALL = Call(provider="fake", profile=None, target=Target(endpoint="here"), model="m")


class Holder:
    """Whoever holds the stream."""

    def leave_at_exit(self) -> None:
        """Nothing is open here."""


HOLDER = Holder()


class Body:
    """A body that can be broken, and whose reading can be bounded."""

    head = Head(status=200)

    def __init__(self) -> None:
        self.aborted = 0
        self.bounds: list[float] = []

    def abort(self) -> None:
        self.aborted += 1

    @contextmanager
    def within(self, seconds: float) -> Generator[str]:
        """Take note of the bound."""
        self.bounds.append(seconds)
        yield "bounded"


class Words:
    """Counts words, for every model."""

    def count(self, text: str, model: str) -> int:
        """A token is a word."""
        return len(text.split())


class Made:
    """A stream's state, with the records that came of it."""

    def __init__(self, **policy: Any) -> None:
        self.records: list[UsageRecord] = []
        policy = {"outbox": Outbox(self.records.append), **policy}
        self.state = StreamState(FakeAdapter(), CALL, StreamPolicy(**policy))

    def open(self, *data: bytes | None) -> StreamState:
        """The response has begun, and these bytes of it have come."""
        self.state.ask(HOLDER)
        self.state.open(HEAD)
        for each in data:
            self.state.receive(each)
        return self.state

    @property
    def ended(self) -> tuple[Outcome, str | None]:
        """How the one record says that the stream ended."""
        (record,) = self.records
        return record.outcome, record.reason


def texts(state: StreamState) -> list[str]:
    """What is ready to be handed over, in its order."""
    return [chunk.text for chunk in reversed(state.ready)]


# --- reading


def test_what_a_call_costs_is_at_hand() -> None:
    """For the record, and for a record that is asked for afterwards."""

    def costs(record: UsageRecord) -> None:
        return None

    call = Call(
        provider="fake", profile=None, target=Target(endpoint="here"), model="m", costs=costs
    )
    assert StreamState(FakeAdapter(), call, StreamPolicy(outbox=Outbox(None))).costs is costs


def test_chunks_are_ready_in_their_order() -> None:
    """The next one last, where it is taken from."""
    state = Made().open(HI + THERE)
    assert texts(state) == ["Hi", " there"]
    assert state.life.pending is state.ready


def test_what_was_held_back_of_a_body_that_broke_is_in_its_order_too() -> None:
    """Frames without a blank line after them are read as they are."""
    state = Made().open(HI)
    first = state.ready.pop()
    second = copy(first)
    state.life.decoding = Holding([first, second])
    state.broke(ConnectionResetError())
    taken = [state.ready.pop(), state.ready.pop()]
    assert taken[0] is first
    assert taken[1] is second
    state.life.settle_end()


class Holding:
    """A decoder that gives all it has at the end."""

    def __init__(self, held: list[Any]) -> None:
        self.held = held

    def feed(self, data: Any) -> list[Any]:
        """Take nothing in."""
        return []

    def close(self) -> list[Any]:
        """Give it all."""
        return list(self.held)


def test_the_wait_for_last_words_is_bounded_over_all_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each read has what the ones before it have left, and none less than nothing."""
    clock = iter([100.0, 100.25, 107.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    state, body = Made(rest_timeout=1.0).state, Body()
    for _ in range(3):
        with state.last_words(body) as entered:
            assert entered == "bounded"
    assert body.bounds == [1.0, 0.75, 0.0]


def test_what_cannot_be_bounded_is_not() -> None:
    """Neither without a bound nor for a body that knows none."""
    body = Body()
    with bounded(body, None), bounded(object(), 1.0):
        pass
    assert body.bounds == []
    with bounded(body, 2.0) as entered:
        assert entered == "bounded"
    assert body.bounds == [2.0]


def test_the_warning_of_a_drop_shows_where_it_was_dropped() -> None:
    """In the caller's line: not here, nor in what calls this."""

    def of_the_stream() -> None:
        warn_of_drop(HOLDER)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        of_the_stream()
        line = of_the_stream.__code__.co_firstlineno + 5
    (warning,) = caught
    assert (warning.filename, warning.lineno) == (__file__, line)
    assert warning.source is HOLDER


# --- a limit


def limited(tokens: int, *, quiet: bool = False) -> Made:
    """A stream that may write so many words."""
    return Made(limit=OutputLimit(tokens, Words(), "m", quiet=quiet))


def hand_over(state: StreamState) -> str:
    """Take the next chunk, as a shell does."""
    chunk = state.ready.pop()
    state.handing_over(chunk)
    return chunk.text


def test_a_limit_that_is_passed_stops_the_stream() -> None:
    """The chunk that passed it is handed over, nothing after it, and the error comes once."""
    made = limited(1)
    state = made.open(HI + THERE + HI)
    assert [hand_over(state), made.records] == ["Hi", []]
    assert hand_over(state) == " there"
    assert (state.closed, state.ready) == (True, [])
    assert made.ended == (Outcome.CLOSED, "output_tokens_limit")
    assert made.records[0].error is not None
    with pytest.raises(UsageLimitExceededError) as caught:
        state.finish()
    assert (caught.value.limit, caught.value.seen) == (1, 2)
    assert caught.value.record is made.records[0]
    state.finish()


def test_a_quiet_limit_is_no_error() -> None:
    """The record says why the stream ended, and that is all."""
    made = limited(0, quiet=True)
    state = made.open(HI + THERE)
    hand_over(state)
    assert made.ended == (Outcome.CLOSED, "output_tokens_limit")
    assert made.records[0].error is None
    state.finish()
    assert state.closed


def test_a_limit_stops_nothing_that_has_ended() -> None:
    """The chunk with the finish reason was handed over: the answer is whole."""
    made = limited(0)
    state = made.open(event(frame(choice(content="Hi", finish="stop"))))
    hand_over(state)
    assert (state.closed, made.records) == (False, [])
    made.state.leave(None)


def test_no_limit_is_passed_where_there_is_none() -> None:
    """Any number of tokens goes through."""
    made = Made()
    state = made.open(HI + THERE)
    assert [hand_over(state), hand_over(state)] == ["Hi", " there"]
    assert (state.closed, made.records) == (False, [])
    state.leave(None)


# --- leaving


@pytest.mark.parametrize("on_leave", ["close", "drain"])
@pytest.mark.parametrize("exc", [None, ValueError(), GeneratorExit()])
def test_leaving_before_the_answer_is_whole(on_leave: str, exc: BaseException | None) -> None:
    """Closed at once, or read on by whoever asked for that, for as long as he said."""
    made = Made(on_leave=on_leave, drain_timeout=7.0)
    state = made.open(HI + THERE)
    pending = state.leave(exc)
    assert (state.closed, state.ready) == (True, [])
    if on_leave == "close":
        assert pending is None
        assert made.ended == (Outcome.CLOSED, None)
    else:
        error = exc if isinstance(exc, ValueError) else None
        assert pending == PendingDrain(Outcome.CLOSED, error, 7.0, is_drain=True)
        assert made.records == []
        state.life.settle(Outcome.CLOSED)


@pytest.mark.parametrize("on_leave", ["close", "drain"])
def test_leaving_once_the_answer_is_whole(on_leave: str) -> None:
    """What is left is short: the usage. It is waited for, but not for long."""
    made = Made(on_leave=on_leave, rest_timeout=3.0)
    state = made.open(HI + STOP)
    while state.ready:
        hand_over(state)
    state.life.pending = ()
    assert state.leave(None) == PendingDrain(Outcome.COMPLETED, None, 3.0)
    assert made.records == []
    state.drained(PendingDrain(Outcome.COMPLETED))
    assert made.ended == (Outcome.COMPLETED, None)


@pytest.mark.parametrize("exc", [KeyboardInterrupt(), SystemExit()])
def test_leaving_because_one_is_told_to(exc: BaseException) -> None:
    """Nothing is read on, whatever was agreed."""
    made = Made(on_leave="drain")
    assert made.open(HI + STOP).leave(exc) is None
    assert made.ended == (Outcome.CANCELLED, None)
    assert made.records[0].error is not None


@pytest.mark.parametrize("over", [True, False], ids=["said", "ended"])
def test_leaving_where_nothing_is_left_to_read(over: bool) -> None:
    """The provider has said everything, or the body has ended before he did."""
    made = Made(on_leave="drain")
    state = made.open(HI)
    if over:
        state.receive(STOP + DONE)
    else:
        state.life.body_ended = True
    assert state.leave(None) is None
    assert made.ended == (Outcome.CLOSED, None)


def test_leaving_what_has_ended_or_was_never_sent() -> None:
    """Nothing is owed."""
    made = Made(on_leave="drain")
    assert made.state.leave(None) is None
    state = made.open(HI)
    state.life.settle(Outcome.CLOSED)
    assert state.leave(None) is None
    assert len(made.records) == 1


@pytest.mark.parametrize(
    ("pending", "data", "ended"),
    [
        (PendingDrain(Outcome.COMPLETED), [], (Outcome.COMPLETED, None)),
        (PendingDrain(Outcome.COMPLETED), [DONE], (Outcome.COMPLETED, None)),
        (
            PendingDrain(Outcome.CLOSED, ValueError(), is_drain=True),
            [STOP + DONE],
            (Outcome.CLOSED, None),
        ),
        (
            PendingDrain(Outcome.CLOSED, is_drain=True),
            [STOP + COUNTED + DONE],
            (Outcome.COMPLETED, "drained"),
        ),
        (PendingDrain(Outcome.CLOSED, is_drain=True), [None], (Outcome.TRUNCATED, "drained")),
        (PendingDrain(Outcome.CLOSED, is_drain=True), [STOP], (Outcome.CLOSED, "drain_timeout")),
    ],
)
def test_what_reading_on_came_to(
    pending: PendingDrain, data: list[bytes | None], ended: tuple[Outcome, str | None]
) -> None:
    """The outcome of who left with an error, or had it all, stands; else it is the stream's own."""
    made = Made()
    state = made.open(HI)
    for each in data:
        state.receive_rest(each)
        assert state.ready == []
    state.drained(pending)
    assert made.ended == ended
    assert (made.records[0].error is None) == (pending.error is None and None not in data)


# --- what nobody waits for


def test_whether_there_is_a_rest() -> None:
    """Until the provider has said everything, or the body has ended."""
    state = Made().open(HI)
    assert state.has_rest is True
    state.life.body_ended = True
    assert state.has_rest is False
    state.life.body_ended = False
    state.receive(STOP + DONE)
    assert state.has_rest is False
    state.life.settle_end()


def test_whether_a_connection_can_be_saved() -> None:
    """The answer is whole, and its body has not ended."""
    state = Made().open(HI)
    assert state.has_tail is False
    state.receive(STOP + DONE)
    assert state.has_tail is True
    state.life.body_ended = True
    assert state.has_tail is False
    state.life.settle_end()


def test_nothing_is_saved_of_a_stream_that_failed() -> None:
    """What follows a failure may be anything."""
    state = Made().open(b'event: error\ndata: {"error": {"message": "x"}}\n\n')
    assert state.meter.failure is not None or state.meter.failing is not None
    state.broke(ConnectionResetError())
    assert state.has_tail is False
    state.life.settle_end()


def test_a_rest_that_the_client_itself_has_cut_off() -> None:
    """Its connections are closed: nobody else is to blame, and no time was up."""
    closed = list[bool]()
    made = Made(connections_closed=lambda: bool(closed), on_leave="drain")
    state = made.open(HI)
    drain = state.leave(None)
    assert drain is not None
    closed.append(True)
    state.rest_broke(ConnectionResetError())
    assert state.meter.failure is None
    state.drained(drain)
    assert made.ended == (Outcome.CLOSED, "client_closed")


def test_one_waits_for_the_response() -> None:
    """Whoever else does is told so, and nobody is kept from it afterwards."""
    state = Made().state
    for _ in range(2):
        with state.alone(), pytest.raises(StreamBusyError), state.alone():
            pass


def test_a_rest_that_breaks_ends_the_stream() -> None:
    """As any stream that breaks; a time-out of ours says nothing of it."""
    made = Made()
    state = made.open(HI)
    state.life.decoding = Holding(list(state.ready))
    state.rest_broke(TimeoutError())
    assert state.meter.failure is None
    state.rest_broke(ConnectionResetError())
    assert isinstance(state.meter.failure, StreamInterruptedError)
    assert state.ready == []
    state.life.settle_end()
    assert made.ended == (Outcome.TRUNCATED, None)


@pytest.mark.parametrize(
    ("data", "ended"),
    [
        ([STOP], (Outcome.CLOSED, "drain_timeout")),
        ([STOP + DONE], (Outcome.COMPLETED, None)),
    ],
)
def test_the_rest_was_read(data: list[bytes], ended: tuple[Outcome, str | None]) -> None:
    """By its consumer's wish, for so long as he said."""
    made = Made()
    state = made.open(HI, *data)
    state.read_out()
    assert (state.closed, state.ready) == (True, [])
    assert made.ended == ended
    state.finish()


def test_the_rest_was_read_and_ended_badly() -> None:
    """The record is made where the error is raised: once, and by `finish`."""
    made = Made()
    state = made.open(HI, None)
    state.read_out()
    assert made.records == []
    with pytest.raises(StreamTruncatedError) as caught:
        state.finish()
    assert made.ended == (Outcome.TRUNCATED, None)
    assert caught.value.record is made.records[0]
    state.finish()


# --- being left


def test_a_stream_that_is_dropped() -> None:
    """It had not ended, so that a warning is due; whoever collected it first may have ended it."""
    made, given = Made(), Made()
    assert made.open(HI).dropped() is True
    assert made.ended == (Outcome.ABANDONED, None)
    assert made.state.dropped() is False
    made.state.life.was_dropped = True
    assert made.state.dropped() is True
    given.open(HI + STOP).life.pending = ()
    assert given.state.dropped() is True
    assert given.ended == (Outcome.COMPLETED, None)


def test_the_interpreter_ends() -> None:
    """The stream ends as it was left, and its connection is broken where it can be."""
    made, body = Made(), Body()
    state = made.open(HI)
    state.leave_at_exit(body)
    assert (state.closed, body.aborted) == (True, 1)
    assert made.ended == (Outcome.ABANDONED, "exit")
    state.leave_at_exit(object())
    assert len(made.records) == 1


def test_a_record_to_recover() -> None:
    """There is one once the stream has ended."""
    made = Made()
    state = made.open(HI)
    with pytest.raises(RecoveryError, match="has not ended"):
        state.to_recover()
    state.life.settle(Outcome.CLOSED)
    assert state.to_recover() is made.records[0]
