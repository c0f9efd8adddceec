"""The sum: what counts cost at rates that are given, whatever the counts."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from usagestream import Cost, LongContext, Price, Rates, Usage, UsageSource, cost_of
from usagestream_core.cost import amount_text
from usagestream_core.usage import COUNT_FIELDS

PARTS = (
    "input",
    "cache_read",
    "cache_write",
    "input_audio",
    "input_image",
    "output",
    "output_audio",
)
FULL = Rates(
    input=Decimal(4),
    output=Decimal(16),
    cache_read=Decimal("0.4"),
    cache_write=Decimal(5),
    cache_write_12h=Decimal(10),
    input_audio=Decimal(32),
    cache_read_audio=Decimal("0.5"),
    output_audio=Decimal(64),
    input_image=Decimal(6),
    cache_read_image=Decimal("0.6"),
)


def price(rates: Rates = FULL, **more: Any) -> Price:
    """A price of these rates."""
    return Price(source="test", model="m", rates=rates, **more)


def cost(rates: Rates = FULL, /, **counts: Any) -> Cost:
    """What these counts cost; they were reported unless they say otherwise."""
    usage = Usage.model_validate({"source": UsageSource.REPORTED, **counts})
    found = cost_of(usage, price(rates))
    assert found is not None, "nothing to price"
    return found


def shares(found: Cost) -> dict[str, str]:
    """The parts that there are."""
    parts = {name: getattr(found, name) for name in PARTS}
    return {name: amount_text(part) for name, part in parts.items() if part is not None}


def test_text_is_charged_by_its_two_rates() -> None:
    """A million tokens cost what the list says."""
    found = cost(input_tokens=1_000_000, output_tokens=500_000)
    assert shares(found) == {"input": "4", "output": "8"}
    assert (str(found), found.assumed, found.lower_bound) == ("12 USD", (), False)


def test_nothing_known_costs_nothing_known() -> None:
    """Invariant 9: no count is no cost, never 0."""
    assert cost_of(Usage(), price()) is None


def test_a_count_of_zero_is_known() -> None:
    """A zero that was reported costs zero."""
    assert cost(input_tokens=0, output_tokens=0).total == 0


def test_half_of_the_counts_is_a_lower_bound() -> None:
    """What was read is not known, so that there is more to pay."""
    found = cost(output_tokens=1000)
    assert (str(found), found.input) == ("0.016 USD (at least)", None)


def test_an_estimate_says_so() -> None:
    """The source of the counts is the basis of the cost."""
    found = cost(input_tokens=1, output_tokens=1, source="estimated", lower_bound=True)
    assert str(found) == "0.00002 USD (estimated, at least)"


def test_cached_tokens_are_taken_out_of_the_input() -> None:
    """Read and written ones, each once; a 12-hour write at its own rate."""
    found = cost(
        input_tokens=1_000_000,
        output_tokens=0,
        cache_read_tokens=500_000,
        cache_write_tokens=300_000,
        cache_write_12h_tokens=100_000,
    )
    # 200,000 at 4; 500,000 at 0.40; 200,000 at 5 and 100,000 at 10
    expected = {"input": "0.8", "cache_read": "0.2", "cache_write": "2", "output": "0"}
    assert shares(found) == expected


def test_lifetimes_alone_are_a_write() -> None:
    """Where only they were reported, their sum was written."""
    found = cost(
        input_tokens=1_000_000,
        output_tokens=0,
        cache_write_30m_tokens=100_000,
        cache_write_12h_tokens=50_000,
    )
    assert found.cache_write == Decimal(1)  # 100,000 at 5 and 50,000 at 10


def test_audio_has_its_own_rates() -> None:
    """In and out; the text beside it is charged as text."""
    found = cost(
        input_tokens=1000, output_tokens=1000, input_audio_tokens=400, output_audio_tokens=900
    )
    # 600 at 4, 400 at 32, 100 at 16, 900 at 64
    expected = {
        "input": "0.0024",
        "input_audio": "0.0128",
        "output": "0.0016",
        "output_audio": "0.0576",
    }
    assert shares(found) == expected


def test_cached_input_is_text_first_where_that_is_not_said() -> None:
    """No provider says which modality was cached: text, then audio, then images; and it is said."""
    counts = {"input_tokens": 1000, "output_tokens": 0, "input_audio_tokens": 300}
    found = cost(**counts, input_image_tokens=200, cache_read_tokens=900)
    # 500 of text at 0.40, 300 of audio at 0.50, 100 of images at 0.60; 100 of images at 6
    expected = {
        "input": "0",
        "cache_read": "0.00041",
        "input_audio": "0",
        "input_image": "0.0006",
        "output": "0",
    }
    assert shares(found) == expected
    assert found.assumed == ("cache_is_text",)


def test_what_is_cached_whole_needs_no_guess() -> None:
    """All audio, all cached."""
    found = cost(input_tokens=10, output_tokens=0, input_audio_tokens=10, cache_read_tokens=10)
    assert (found.total, found.assumed) == (Decimal("0.000005"), ())


def test_a_write_of_audio_is_charged_as_a_write() -> None:
    """It is taken out of the audio, and out of the images behind it, once the text is used up."""
    counts = {"input_tokens": 100, "output_tokens": 0, "input_audio_tokens": 50}
    found = cost(**counts, input_image_tokens=50, cache_write_tokens=80)
    assert shares(found) == {
        "input": "0",
        "cache_write": "0.0004",
        "input_audio": "0",
        "input_image": "0.00012",
        "output": "0",
    }


def test_reasoning_is_in_the_output() -> None:
    """It is charged once; so are predictions that were rejected."""
    plain = cost(input_tokens=10, output_tokens=900)
    details = {"reasoning_tokens": 800, "rejected_prediction_tokens": 50}
    assert cost(input_tokens=10, output_tokens=900, **details).total == plain.total


def test_reasoning_that_the_total_shows_alone_is_charged() -> None:
    """It is left out of the output count by xAI, and billed."""
    found = cost(input_tokens=10, output_tokens=20, reasoning_tokens=300, total_tokens=330)
    assert (found.output, found.assumed) == (Decimal("0.00512"), ("reasoning_beside_output",))


@pytest.mark.parametrize(
    ("counts", "kind", "parent"),
    [
        ({"cache_read_tokens": 10}, "cache_read", "input"),
        ({"cache_write_tokens": 10}, "cache_write", "input"),
        ({"input_audio_tokens": 10}, "input_audio", "input"),
        ({"input_image_tokens": 10}, "input_image", "input"),
        ({"output_audio_tokens": 10}, "output_audio", "output"),
    ],
)
def test_a_missing_rate_is_that_of_the_parent(
    counts: dict[str, int], kind: str, parent: str
) -> None:
    """And the cost names it."""
    found = cost(Rates(input=Decimal(2), output=Decimal(8)), **{"input_tokens": 10, **counts})
    if parent == "output":
        found = cost(Rates(input=Decimal(2), output=Decimal(8)), output_tokens=10, **counts)
    expected = {"input": Decimal("0.00002"), "output": Decimal("0.00008")}[parent]
    assert (getattr(found, kind), found.assumed) == (expected, (f"rate:{kind}",))


def test_a_missing_rate_of_a_missing_rate() -> None:
    """A 12-hour write falls to the 30-minute rate, or past that to the input's."""
    counts = {"input_tokens": 10, "cache_write_tokens": 10, "cache_write_12h_tokens": 10}
    found = cost(Rates(input=Decimal(2), output=Decimal(8)), **counts)
    assert (found.total, found.assumed) == (
        Decimal("0.00002"),
        ("rate:cache_write_12h", "rate:cache_write"),
    )
    half = cost(Rates(input=Decimal(2), cache_write=Decimal(3), output=Decimal(8)), **counts)
    assert (half.total, half.assumed) == (Decimal("0.00003"), ("rate:cache_write_12h",))


def test_tokens_without_any_rate_have_no_cost() -> None:
    """An embedding model has no price of output; where nothing was written, it needs none."""
    rates = Rates(input=Decimal("0.13"))
    assert cost(rates, input_tokens=1_000_000, output_tokens=0).total == Decimal("0.13")
    assert cost_of(Usage(input_tokens=1, output_tokens=1), price(rates)) is None
    assert cost_of(Usage(input_tokens=1), price(Rates(output=Decimal(1)))) is None


def test_a_long_input_makes_the_whole_request_dear() -> None:
    """Past the limit, every token; cached ones count towards it. Exactly the limit is not past."""
    long = LongContext(above=1000, rates=Rates(input=Decimal(8), output=Decimal(24)))
    rates = FULL.model_copy(update={"long_context": long})
    at, past = ({"input_tokens": n, "output_tokens": 10} for n in (1000, 1001))
    assert cost(rates, **at).total == Decimal("0.00416")
    assert cost(rates, **past).total == Decimal("0.008248")
    assert cost(rates, **past, cache_read_tokens=1001).assumed == ("rate:cache_read",)
    pair = Rates.model_validate({"input": 4, "output": 16, "long_context": (1000, long.rates)})
    assert pair.long_context == long
    with pytest.raises(ValidationError):
        Rates.model_validate({"long_context": (0, long.rates)})


@pytest.mark.parametrize(
    ("counts", "total", "assumed"),
    [
        ({"input_tokens": 7, "cache_read_tokens": 161}, "0.0000028", "clipped:cache_read_tokens"),
        (
            {"input_tokens": 10, "cache_read_tokens": 6, "cache_write_tokens": 6},
            "0.0000224",
            "clipped:cache_write_tokens",
        ),
        ({"input_tokens": 7, "input_audio_tokens": 100}, "0.000224", "clipped:input_audio_tokens"),
        ({"output_tokens": 1, "output_audio_tokens": 2}, "0.000064", "clipped:output_audio_tokens"),
        ({"input_tokens": -7, "output_tokens": 1}, "0.000016", "ignored:input_tokens"),
        ({"input_tokens": 1, "cache_read_tokens": -7}, "0.000004", "ignored:cache_read_tokens"),
    ],
)
def test_what_cannot_be_is_cut_and_named(counts: dict[str, int], total: str, assumed: str) -> None:
    """No token is charged twice, and none below zero; `anomalies` has it too."""
    found = cost(**counts)
    assert (amount_text(found.total), found.assumed) == (total, (assumed,))
    assert len(Usage.model_validate(counts).anomalies()) >= (assumed.startswith("ignored"))


def test_counts_below_zero_alone_have_no_cost() -> None:
    """Nothing is left that is known."""
    assert cost_of(Usage(input_tokens=-1, output_tokens=-1), price()) is None


def test_nothing_is_rounded() -> None:
    """64 bits at a rate of many digits."""
    rates = Rates(input=Decimal("0.123456789"), output=Decimal(0))
    found = cost(rates, input_tokens=2**63 - 1, output_tokens=0)
    digits = str((2**63 - 1) * 123_456_789)
    assert amount_text(found.total) == f"{digits[:-15]}.{digits[-15:]}"


def test_a_cost_goes_to_json_and_back() -> None:
    """Amounts are strings in it, in full; rates that are not known are left out."""
    long = LongContext(above=1000, rates=Rates(input=Decimal(8), output=Decimal(24)))
    rates = Rates(input=Decimal("2.50"), output=Decimal(10), long_context=long)
    usage = Usage(input_tokens=1, output_tokens=0, source=UsageSource.REPORTED)
    found = cost_of(usage, price(rates, since=date(2026, 1, 1), assumed=("openai_list",)))
    assert found is not None
    text = found.model_dump_json()
    assert Cost.model_validate_json(text) == found
    assert '"total":"0.0000025"' in text
    assert '"rates":{"input":"2.5","output":"10","long_context":' in text
    assert found.assumed == ("openai_list",)
    assert found.currency == "USD"


def test_amounts_are_never_floats() -> None:
    """A float is not the number that it shows; nor is a rate below zero, or none at all."""
    for wrong in (0.1, "-1", "NaN", "Infinity"):
        with pytest.raises(ValidationError):
            Rates.model_validate({"input": wrong})


def test_what_is_printed_is_what_is_known() -> None:
    """Parts that there are, amounts in full; of a price, the rates that it has."""
    found = cost(Rates(input=Decimal(20), output=Decimal(1)), input_tokens=1_000_000)
    shown = repr(found)
    assert shown.startswith("Cost(total='20', input='20', price=Price(source='test', model='m', ")
    assert "cache_read" not in shown
    assert "since" not in shown


def test_a_rate_that_nobody_knows_is_refused() -> None:
    """A misspelt name would leave a rate unknown."""
    with pytest.raises(ValidationError, match="Extra inputs"):
        Rates.model_validate({"cached": 1})


COUNT = st.integers(0, 2_000_000)
RATE = st.decimals(0, 1000, places=4)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Counts that are consistent: no detail, and no sum of details, larger than its whole."""
    text, read, write, audio, image = (draw(COUNT) for _ in range(5))
    reasoning, spoken, written = (draw(COUNT) for _ in range(3))
    return Usage(
        input_tokens=text + read + write + audio + image,
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_12h_tokens=draw(st.integers(0, write)),
        input_audio_tokens=audio,
        input_image_tokens=image,
        output_tokens=reasoning + spoken + written,
        reasoning_tokens=reasoning,
        output_audio_tokens=spoken,
        source=UsageSource.REPORTED,
    )


@st.composite
def rates(draw: st.DrawFn, *, long: bool = True) -> Rates:
    """Any rates, of which any but the two of text may be unknown."""
    maybe = st.none() | RATE
    base: dict[str, Any] = {
        name: draw(maybe) for name in Rates.model_fields if name != "long_context"
    }
    base |= {"input": draw(RATE), "output": draw(RATE)}
    if long and draw(st.booleans()):
        inner = draw(rates(long=False))
        base["long_context"] = LongContext(above=draw(st.integers(1, 3_000_000)), rates=inner)
    return Rates.model_validate(base)


@settings(max_examples=30, deadline=None)
@given(usages(), rates())
def test_the_parts_are_the_total(usage: Usage, rates: Rates) -> None:
    """Exactly; and no part is below zero."""
    found = cost_of(usage, price(rates))
    assert found is not None
    parts = [part for name in PARTS if (part := getattr(found, name)) is not None]
    assert found.total == sum(parts)
    assert min(parts) >= 0
    assert not [each for each in found.assumed if each.startswith(("clipped", "ignored"))]


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted(COUNT_FIELDS)),
        st.integers(-(2**63), 2**63),
    ),
    rates(),
)
def test_no_counts_make_nonsense(counts: dict[str, int], rates: Rates) -> None:
    """Nothing raises, the parts are the sum, and no token is charged twice."""
    found = cost_of(Usage.model_validate(counts), price(rates))
    if found is None:
        return
    parts = [part for name in PARTS if (part := getattr(found, name)) is not None]
    assert found.total == sum(parts)
    assert all(part >= 0 for part in parts)
    used = rates
    if rates.long_context is not None and counts.get("input_tokens", 0) > rates.long_context.above:
        used = rates.long_context.rates
    dearest = max(rate for _, rate in used if isinstance(rate, Decimal))
    tokens = sum(max(counts.get(name, 0), 0) for name in ("input_tokens", "output_tokens"))
    tokens += max(counts.get("reasoning_tokens", 0), 0) * (
        "reasoning_beside_output" in found.assumed
    )
    assert found.total <= dearest * tokens / 10**6 + 1


@settings(max_examples=30, deadline=None)
@given(usages(), rates(long=False), st.sampled_from(["input_tokens", "output_tokens"]), COUNT)
def test_more_tokens_never_cost_less(usage: Usage, rates: Rates, name: str, more: int) -> None:
    """Of what is read and of what is written, with the details as they are."""
    larger = usage.model_copy(update={name: getattr(usage, name) + more})
    less, greater = cost_of(usage, price(sane(rates))), cost_of(larger, price(sane(rates)))
    assert less is not None
    assert greater is not None
    assert less.total <= greater.total


@settings(max_examples=30, deadline=None)
@given(usages(), rates(long=False), COUNT)
def test_a_detail_moves_tokens_by_its_rate(usage: Usage, rates: Rates, more: int) -> None:
    """Cached tokens never make a request dearer, audio never cheaper, as their rates are."""
    ordered = sane(rates)
    for name, cheaper in (("cache_read_tokens", True), ("output_audio_tokens", False)):
        larger = usage.model_copy(update={name: (getattr(usage, name) or 0) + more})
        before, after = cost_of(usage, price(ordered)), cost_of(larger, price(ordered))
        assert before is not None
        assert after is not None
        assert after.total <= before.total if cheaper else after.total >= before.total


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(usages(), rates()), max_size=4))
def test_costs_add_up(records: list[tuple[Usage, Rates]]) -> None:
    """The cost of several is the sum of theirs, in any order, part by part."""
    costs = [found for usage, each in records if (found := cost_of(usage, price(each)))]
    assert len(costs) == len(records)
    total = sum((each.total for each in costs), Decimal(0))
    parts = sum(
        (getattr(each, name) or Decimal(0) for name in PARTS for each in reversed(costs)),
        Decimal(0),
    )
    assert total == parts


def sane(rates: Rates) -> Rates:
    """The rates as lists order them: read below text, text below writes, pictures and audio."""
    text = rates.input or Decimal(0)
    cached = min(rates.cache_read or text, text)
    return Rates(
        input=text,
        output=rates.output,
        cache_read=cached,
        cache_write=text + (rates.cache_write or 0),
        cache_read_audio=cached,
        cache_read_image=cached,
        input_audio=text + (rates.input_audio or 0),
        input_image=text + (rates.input_image or 0),
        output_audio=(rates.output or Decimal(0)) + (rates.output_audio or Decimal(0)),
    )
