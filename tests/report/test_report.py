"""`UsageReport` groups streams and adds them up, and makes no number of what is unknown."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usagestream import ConfigError, Outcome, RecordedError, UsageRecord, UsageReport, UsageSource
from usagestream_core.records.latency import Latencies, bucket_of
from usagestream_core.records.report import Portion, nano

from .conftest import NOON, Recorder, make


def rows(*records: UsageRecord, by: str = "model", **asked: Any) -> list[dict[str, Any]]:
    """The rows of a report of these."""
    report = UsageReport(by.split(","), **asked)
    for each in records:
        report.add(each)
    return report.rows()


def test_a_row_has_the_group_then_streams_tokens_and_cost(record: Recorder) -> None:
    """In that order, with the cost in full as a string."""
    (row,) = rows(record(tags={"customer": "acme"}), by="model,tag:customer")
    assert list(row)[:7] == [
        *("model", "tag:customer", "streams"),
        *("input_tokens", "output_tokens", "total_tokens", "cost"),
    ]
    assert (row["model"], row["tag:customer"], row["streams"]) == ("gpt-4o", "acme", 1)
    assert (row["input_tokens"], row["output_tokens"], row["total_tokens"]) == (1000, 100, 1100)
    assert (row["cost"], row["currency"]) == ("0.00101", "USD")


def test_what_costs_most_is_first(record: Recorder) -> None:
    """Then what has no cost, by its streams, then by name."""
    unpriced = [record(name, rate=None) for name in ("b", "c", "c", "a")]
    found = rows(record("cheap"), record("dear", rate="9"), *unpriced)
    assert [row["model"] for row in found] == ["dear", "cheap", "c", "a", "b"]


def test_reported_and_estimated_are_apart(record: Recorder) -> None:
    """The cost is both; each is there alone too."""
    guess = record(source=UsageSource.ESTIMATED, read=2000, written=0)
    (row,) = rows(record(written=0), guess)
    assert (row["cost"], row["cost_reported"], row["cost_estimated"]) == ("0.003", "0.001", "0.002")
    assert (row["input_tokens"], row["estimated_input_tokens"]) == (3000, 2000)
    assert (row["reported_share"], row["estimated_share"], row["unknown_share"]) == (0.5, 0.5, 0)


def test_unknown_is_not_zero(record: Recorder) -> None:
    """No count and no cost give `None`, and are counted as unpriced."""
    unknown = record(read=None, written=None, source=UsageSource.UNKNOWN, first=None)
    (row,) = rows(unknown)
    nothing = ("input_tokens", "output_tokens", "total_tokens", "cost", "cached_share")
    assert [row[name] for name in nothing] == [None] * 5
    assert (row["unpriced"], row["unknown_share"], row["time_to_first_chunk_p50"]) == (1, 1, None)


def test_what_was_refused_is_not_unpriced(record: Recorder) -> None:
    """Nothing was read, so that nothing is billed; but Azure bills a prompt that it filtered."""
    about: dict[str, Any] = {"source": UsageSource.UNKNOWN, "read": None, "written": None}
    refused = record(outcome=Outcome.REJECTED, **about)
    filtered = RecordedError(type="ContentFilterError")
    billed = record(outcome=Outcome.REJECTED, error=filtered, **about)
    (row,) = rows(refused, billed)
    assert (row["streams"], row["rejected"], row["unpriced"], row["failures"]) == (2, 1, 1, 2)
    (row,) = rows(refused)
    assert row["unknown_share"] is None


def test_failures_are_those_of_the_provider_and_the_network(record: Recorder) -> None:
    """Whoever leaves early has not failed."""
    (row,) = rows(*(record(outcome=outcome) for outcome in Outcome))
    assert (row["streams"], row["failures"]) == (7, 3)


def test_the_cached_share_is_of_streams_that_say_what_was_cached(record: Recorder) -> None:
    """Others would make it look smaller."""
    said = record(counts={"cache_read_tokens": 250})
    (row,) = rows(said, record(read=10_000))
    assert (row["cached_share"], row["cache_read_tokens"]) == (0.25, 250)


def test_the_total_of_a_stream_is_the_provider_s(record: Recorder) -> None:
    """Input and output are added up where it sent none."""
    (row,) = rows(record(counts={"total_tokens": 1500}), record(), record(written=None))
    assert row["total_tokens"] == 2600


def test_a_lower_bound_makes_the_sum_one(record: Recorder) -> None:
    """One stream is enough."""
    assert rows(record())[0]["lower_bound"] is False
    assert rows(record(), record(counts={"lower_bound": True}))[0]["lower_bound"] is True


def test_currencies_are_not_mixed(record: Recorder) -> None:
    """The report is in the one that most money is in; others stand beside it."""
    euro = record("b", rate="5", currency="EUR")
    found = {row["model"]: row for row in rows(record("a"), record("b"), euro)}
    assert found["b"]["currency"] == "EUR"
    assert (found["b"]["cost"], found["b"]["other_costs"]) == ("0.00505", {"USD": "0.00101"})
    assert (found["a"]["cost"], found["a"]["other_costs"]) == (None, {"USD": "0.00101"})


def test_costs_are_added_up_in_billionths(record: Recorder) -> None:
    """Each is rounded to the nearest, the even one of two."""
    assert [nano(Decimal(text)) for text in ("0.0000000015", "0.0000000025", "7e30")] == [
        *(2, 2),
        7 * 10**39,
    ]
    assert rows(record(read=1, written=0, rate="0.0016"))[0]["cost"] == "0.000000002"


@pytest.mark.parametrize(
    ("name", "zone", "shown"),
    [
        ("day", "UTC", "2026-11-20"),
        ("day", "Asia/Tokyo", "2026-11-21"),
        ("month", "UTC", "2026-11"),
        ("hour", "UTC", "2026-11-20T20:00+00:00"),
        ("hour", "Asia/Kolkata", "2026-11-21T02:00+05:30"),
    ],
)
def test_times_are_of_a_time_zone(record: Recorder, name: str, zone: str, shown: str) -> None:
    """A stream belongs to the time that it began."""
    late = record(at=NOON.replace(hour=20, minute=45))
    assert rows(late, by=name, timezone=ZoneInfo(zone))[0][name] == shown


def test_since_is_in_and_until_is_out(record: Recorder) -> None:
    """So that two spans that touch have no stream in common."""
    hours = [record(at=NOON + timedelta(hours=hour)) for hour in range(4)]
    span: dict[str, Any] = {"since": NOON + timedelta(hours=1), "until": NOON + timedelta(hours=3)}
    assert rows(*hours, **span)[0]["streams"] == 2


def test_where_takes_any_of_the_values_of_each_name(record: Recorder) -> None:
    """An empty value stands for none."""
    records = [
        record(tags={"team": "search"}),
        record(tags={"team": "ads"}),
        record(tags={"team": "ads"}, profile="prod"),
        record(),
    ]

    def count(**where: Any) -> int:
        names = {name.replace("_", ":"): values for name, values in where.items()}
        return sum(row["streams"] for row in rows(*records, where=names))

    assert count(tag_team="search") == 1
    assert count(tag_team=["search", "ads"]) == 3
    assert count(tag_team=["search", ""]) == 2
    assert count(tag_team="ads", profile="prod") == 1
    assert count(profile="") == 3
    assert count(outcome="completed", source="estimated") == 0


def test_groups_by_what_a_record_says(record: Recorder) -> None:
    """What it does not say is `None`."""
    names = "provider,deployment,api,source,outcome"
    (row,) = rows(record(), by=names)
    values = ["openai", None, "chat", "reported", "completed"]
    assert [row[name] for name in names.split(",")] == values


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"by": ["modle"]}, "knows no 'modle'. It knows: model, "),
        ({"by": ["tag:"]}, "knows no 'tag:'"),
        ({"by": ["model", "model"]}, "each name once"),
        ({"where": {"day": "2026-11-20"}}, "there are `since` and `until`"),
        ({"where": {"outcome": "complete"}}, "No outcome is 'complete'. There are: completed, "),
        ({"since": datetime(2026, 11, 20)}, "since must have a time zone"),  # noqa: DTZ001 - the mistake
    ],
)
def test_what_a_report_cannot_be_asked(asked: dict[str, Any], said: str) -> None:
    """The error says what it can."""
    with pytest.raises(ConfigError) as raised:
        UsageReport(**asked)
    assert said in str(raised.value)


def test_the_total_is_of_all_lines(record: Recorder) -> None:
    """With nothing said of groups."""
    report = UsageReport(["model", "tag:team"])
    for each in (record(), record("o3", rate=None), record(source=UsageSource.ESTIMATED)):
        report.add(each)
    total = report.total
    assert (total.group, total.streams, total.unpriced) == ((), 3, 1)
    assert total.cost("USD") == Decimal("0.00202")
    assert total.tokens("input_tokens") == 3000
    assert total.first_chunks.quantile(0.5) == pytest.approx(0.5, rel=0.023)


def test_sums_of_others_are_added_as_they_come(record: Recorder) -> None:
    """A portion of many streams beside a single one."""
    report = UsageReport()
    report.add(record(first=None))
    many = Portion(
        outcome=Outcome.CLOSED,
        source=UsageSource.ESTIMATED,
        streams=3,
        counts={"input_tokens": 30, "output_tokens": None},
        first_chunks={bucket_of(2_000_000): 3},
    )
    report.add_portion(("gpt-4o",), many)
    (row,) = report.rows()
    assert (row["streams"], row["input_tokens"], row["unpriced"]) == (4, 1030, 3)
    assert (row["estimated_input_tokens"], row["estimated_output_tokens"]) == (30, None)
    assert row["time_to_first_chunk_p50"] == pytest.approx(2, rel=0.03)


def test_nothing_gives_no_rows() -> None:
    """And a currency all the same."""
    assert (rows(), UsageReport().currency, UsageReport().total.streams) == ([], "USD", 0)


@given(st.lists(st.integers(-5, 10**10), min_size=1, max_size=60), st.floats(0.01, 1))
def test_quantiles_are_right_within_what_is_said(durations: list[int], share: float) -> None:
    """Off by 2.2 %, and the rounding to three digits, in any order and any pieces."""
    whole, pieces = Latencies(), Latencies()
    for each in durations:
        whole.merge({bucket_of(each): 1})
    for each in sorted(durations):
        part = Latencies()
        part.merge({bucket_of(each): 1})
        pieces.merge(part.counts)
    found = whole.quantile(share)
    assert found == pieces.quantile(share)
    nearest = sorted(durations)[max(-int(-len(durations) * share // 1), 1) - 1]
    assert found == pytest.approx(max(nearest, 1) / 1e6, rel=0.03)


@given(st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_the_order_of_records_does_not_matter(order: random.Random) -> None:
    """A report of the same records is the same."""
    made = [
        make(model, rate=rate, currency=currency, at=NOON.replace(tzinfo=UTC), first=first)
        for model in ("a", "b")
        for rate, currency in (("1", "USD"), ("1", "EUR"), (None, "USD"))
        for first in (0.1, None)
    ]
    shuffled = list(made)
    order.shuffle(shuffled)
    assert rows(*shuffled) == rows(*made)


def test_one_name_without_a_list() -> None:
    """It would be read as names of one letter each."""
    with pytest.raises(TypeError, match=r"by=\['model'\]"):
        UsageReport("model")
