"""What a stream's life says of itself, and what becomes of it where something goes wrong."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from tests._support.chat import DONE, HEAD, USAGE, choice, event, frame

from usagestream import Cost, Outcome, Price, Rates, UsageRecord, UsageSource
from usagestream_adapters.wire.chat import ChatDecoder
from usagestream_core.adapter import Target
from usagestream_core.records.ledger import Begun
from usagestream_core.records.outbox import Outbox
from usagestream_core.streams import lifecycle
from usagestream_core.streams.lifecycle import Lifecycle
from usagestream_core.streams.meter import Call

HI = event(frame(choice(content="Hi there")))
STOP = event(frame(choice(finish="stop")))
COUNTED = event(frame(usage=USAGE))


class Words:
    """Counts words, for every model."""

    def count(self, text: str, model: str) -> int:
        """A token is a word."""
        return len(text.split())


class Holder:
    """Whoever holds the stream."""

    def leave_at_exit(self) -> None:
        """Nothing is open here."""


HOLDER = Holder()


def costs(record: UsageRecord) -> Cost:
    """A dollar, whatever it was."""
    price = Price(source="test", model="m", rates=Rates(input=Decimal(1), output=Decimal(1)))
    return Cost(total=Decimal(1), price=price, basis=record.usage.source)


def call(**more: Any) -> Call:
    """A call of a model."""
    known: dict[str, Any] = {"provider": "openai", "profile": None, "model": "m", **more}
    return Call(target=Target(endpoint="here"), **known)


@pytest.fixture
def records() -> list[UsageRecord]:
    """What came of all lives of a test."""
    return []


@pytest.fixture
def begin(records: list[UsageRecord]) -> Callable[..., Lifecycle]:
    """Begin a life whose response is open."""

    def begun(*, asked: Call | None = None, counter: Any = None) -> Lifecycle:
        life = Lifecycle(asked or call(), Outbox(records.append), counter)
        life.ask(HOLDER)
        life.open(HEAD, ChatDecoder(HEAD))
        return life

    return begun


Begin = Callable[..., Lifecycle]


def test_one_that_nobody_ended_ends_when_it_is_collected(
    begin: Begin, records: list[UsageRecord]
) -> None:
    """By what its consumer was given until then: the whole answer, or part of it."""
    part, whole = begin(), begin()
    part.feed(HI)
    whole.feed(HI + STOP)
    del part, whole
    gc.collect()
    assert [record.outcome for record in records] == [Outcome.ABANDONED, Outcome.COMPLETED]


def test_it_begins_when_the_request_is_sent(begin: Begin) -> None:
    """By the calendar, and not before."""
    before = datetime.now(UTC)
    life = begin()
    life.settle(Outcome.CLOSED)
    assert before <= life.record.started_at <= life.record.ended_at <= datetime.now(UTC)


def test_one_that_was_ended_is_not_ended_by_being_collected(
    begin: Begin, records: list[UsageRecord]
) -> None:
    """What collects it says which of the two it was, for a stream collected with it."""
    ended, open_ = begin(), begin()
    ended.settle(Outcome.CLOSED)
    for life in (ended, open_):
        life.__del__()
    assert (ended.was_dropped, open_.was_dropped) == (False, True)
    assert [record.outcome for record in records] == [Outcome.CLOSED, Outcome.ABANDONED]


def test_what_it_has_cost_until_now_and_at_last(begin: Begin) -> None:
    """Estimated while it goes on, as more is to come; then as the record has it."""
    life = begin(asked=call(costs=costs), counter=Words())
    life.feed(HI + STOP + COUNTED)
    assert life.cost is not None
    assert (life.cost.basis, life.cost.lower_bound) == (UsageSource.ESTIMATED, True)
    life.feed(DONE)
    life.settle_end()
    assert life.cost is not None
    assert life.cost == life.record.cost
    assert (life.cost.basis, life.cost.lower_bound) == (UsageSource.REPORTED, False)


def test_what_it_used_until_now_and_at_last(begin: Begin) -> None:
    """`so_far` estimates what `usage` does not know; both are the record's in the end."""
    life = begin(counter=Words())
    life.feed(HI)
    assert (life.usage.output_tokens, life.so_far.output_tokens) == (None, 2)
    life.settle(Outcome.CLOSED)
    assert life.usage is life.so_far is life.record.usage
    assert life.usage.output_tokens == 2


def test_the_end_of_a_body_is_remembered(begin: Begin) -> None:
    """Nothing is left to be read of a response that has ended, and nothing of none."""
    life, refused = begin(), begin()
    assert not life.body_ended
    life.end()
    refused.refused(ValueError())
    assert life.body_ended
    assert refused.body_ended
    life.settle_end()


def test_a_refusal_may_tell_who_answers(records: list[UsageRecord]) -> None:
    """Where that is known only once it was asked."""
    life = Lifecycle(call(), Outbox(records.append))
    life.ask(HOLDER)
    life.refused(ValueError(), call(profile="another"))
    (record,) = records
    assert (record.profile, record.outcome) == ("another", Outcome.REJECTED)


def test_a_record_that_was_recovered_takes_the_place_of_the_first(begin: Begin) -> None:
    """For whoever asks from then on."""
    life = begin()
    life.settle(Outcome.CLOSED)
    learned = life.record.model_copy(update={"model": "learned"})
    life.recovered(learned)
    assert life.record is learned


def test_settling_that_was_interrupted_is_done_again(
    begin: Begin, records: list[UsageRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the interrupt goes on."""

    def interrupted(step: Callable[[], None]) -> None:
        raise KeyboardInterrupt

    life = begin()
    monkeypatch.setattr(lifecycle, "uninterrupted", interrupted)
    with pytest.raises(KeyboardInterrupt):
        life.settle(Outcome.CLOSED)
    assert [record.outcome for record in records] == [Outcome.CLOSED]
    assert not life.owes_record


def test_what_is_left_is_taken_for_its_usage(begin: Begin) -> None:
    """Up to the end of the answer, and no further."""
    life = begin()
    life.take_rest([HI, STOP + COUNTED, DONE, b"data: {"])
    assert life.usage.output_tokens == 2
    assert life.meter.failure is None
    life.settle_end()
    assert life.record.outcome == Outcome.COMPLETED


def test_nothing_is_left_where_there_was_no_response(caplog: pytest.LogCaptureFixture) -> None:
    """Bytes of it cannot be read, and nothing is said of that."""
    life = Lifecycle(call(), Outbox(None))
    with caplog.at_level(logging.WARNING, "usagestream"):
        life.take_rest([HI])
    assert caplog.messages == []


def test_what_is_left_and_cannot_be_read_is_said(
    begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    """The stream ends as it would have."""
    life = begin()
    with caplog.at_level(logging.WARNING, "usagestream"):
        life.take_rest(["no bytes"])
    assert caplog.messages == ["What a stream was left with could not be read"]
    life.settle(Outcome.CLOSED)


# --- a ledger


class Waited:
    """Something on its way to where it is kept: there at the second look."""

    def __init__(self) -> None:
        self.looks: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.looks.append(seconds)
        return len(self.looks) > 1


class Told:
    """A ledger that takes note of what it is told."""

    def __init__(self, writing: Waited | None = None) -> None:
        self.writing = writing
        self.begun: list[Begun] = []
        self.ended: list[UsageRecord] = []
        self.replaced: list[UsageRecord] = []

    def begin(self, begun: Begun) -> Waited | None:
        self.begun.append(begun)
        return self.writing

    def end(self, record: UsageRecord) -> None:
        self.ended.append(record)

    def replace(self, record: UsageRecord) -> None:
        self.replaced.append(record)

    def flush(self, seconds: float) -> bool:
        return True


def test_a_ledger_is_told_of_a_stream_before_it_begins() -> None:
    """Under the id of the record to come; more that is known of that later goes there too."""
    told = Told()
    life = Lifecycle(call(), Outbox(None, ledger=told))
    life.ask(HOLDER)
    (begun,) = told.begun
    assert (begun.id, told.ended) == (life.meter.begun().id, [])
    life.settle(Outcome.CLOSED)
    assert [record.id for record in told.ended] == [begun.id]
    learned = life.record.model_copy(update={"model": "learned"})
    life.recovered(learned)
    assert told.replaced == [learned]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_a_ledger_is_told_is_waited_for_once(asynchronous: bool) -> None:
    """Until it is kept; where there is nothing to wait for, nobody waits."""
    writing = Waited()
    for told, looks in ((Told(writing), 2), (Told(), 2)):
        life = Lifecycle(call(), Outbox(None, ledger=told))
        assert life.is_being_written is False
        life.ask(HOLDER)
        assert life.is_being_written is (told.writing is not None)
        for _ in range(2):
            if asynchronous:
                asyncio.run(life.awritten())
            else:
                life.written()
            assert life.is_being_written is False
            assert len(writing.looks) == looks
        life.settle(Outcome.CLOSED)


def test_nothing_is_put_together_for_a_ledger_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, records: list[UsageRecord]
) -> None:
    """It would take its time, for each stream."""
    life = Lifecycle(call(), Outbox(records.append))
    monkeypatch.setattr(life.meter, "begun", None)
    life.ask(HOLDER)
    life.settle(Outcome.CLOSED)
    assert len(records) == 1


def test_what_cannot_be_put_together_for_a_ledger_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And stops no stream."""
    told = Told(Waited())
    life = Lifecycle(call(), Outbox(None, ledger=told))
    monkeypatch.setattr(life.meter, "begun", None)
    with caplog.at_level(logging.WARNING, "usagestream"):
        life.ask(HOLDER)
    assert caplog.messages == ["A stream could not be written down before it begins"]
    assert (told.begun, life.is_being_written) == ([], False)
    life.settle(Outcome.CLOSED)


def test_no_secret_is_told_to_a_ledger() -> None:
    """A tier may be anything that a program passes on."""

    def begun(tier: object) -> str | None:
        asked = call(params={"service_tier": tier}, secrets=lambda: ("sk-a-key-of-somebody",))
        return Lifecycle(asked, Outbox(None)).meter.begun().service_tier_asked

    assert (begun(None), begun("flex")) == (None, "flex")
    assert "somebody" not in (begun("flex sk-a-key-of-somebody") or "somebody")
