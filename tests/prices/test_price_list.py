"""The installed prices: what providers published, and what is said where they say nothing."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import data_snapshot
from tests._support.published import CASES, Case

from usagestream import ConfigError, Cost, Outcome, PriceList, Rates, Usage, UsageRecord, cost_of
from usagestream_adapters.prices import _list, _prices, installed_pricer
from usagestream_core.pricing import costs_by

NOW = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.fixture(scope="module")
def prices() -> PriceList:
    """The installed list, without a file."""
    return PriceList()


def record(model: str, **more: Any) -> UsageRecord:
    """A record of OpenAI's, unless it says otherwise."""
    facts: dict[str, Any] = {
        "provider": "openai",
        "started_at": NOW,
        "usage": Usage(input_tokens=100_000, output_tokens=100_000),
        **more,
    }
    return UsageRecord(model=model, outcome=Outcome.COMPLETED, ended_at=NOW, **facts)


def cost(prices: PriceList, asked: UsageRecord) -> Cost | None:
    """What it cost."""
    price = prices.price(asked)
    return None if price is None else cost_of(asked.usage, price)


def test_there_are_many_cases() -> None:
    """Eighty or more, no two of one name for one model."""
    assert len(CASES) >= 80
    assert len({(each.name, each.model, each.provider) for each in CASES}) == len(CASES)
    assert all(each.published for each in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.provider}: {case.name}")
def test_what_was_published_is_what_it_costs(case: Case, prices: PriceList) -> None:
    """To the last digit; and what was assumed is said, no more and no less."""
    found = cost(prices, case.record())
    assert found is not None
    assert (found.total, set(found.assumed)) == (case.expected, set(case.assumed))


@pytest.mark.parametrize(
    ("model", "more"),
    [
        ("gpt-9", {}),
        ("gpt-5.4-ultra", {}),
        ("gpt-6-sol-pro", {}),
        ("gpt-5-nano-ultra", {}),
        ("gpt-4o-realtime-nonsense", {}),
        ("chat-mini-prod", {"provider": "azure"}),
        ("gpt-4o", {"provider": "somebody"}),
        ("moderation", {}),
        ("", {}),
    ],
)
def test_what_is_not_known_has_no_price(model: str, more: dict[str, Any]) -> None:
    """Invariant 9: no near name, no other provider, no zero."""
    assert PriceList().price(record(model, **more)) is None


def test_an_unknown_model_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """One warning for each model, whatever else differs; none for what sends no bill."""
    prices = PriceList()
    with caplog.at_level(logging.WARNING, "usagestream"):
        for tier in ("default", "flex", "default"):
            prices.price(record("gpt-9", service_tier=tier))
        prices.price(record("gpt-10"))
        prices.price(record("m", provider="replay"))
    assert [each.args[0] for each in caplog.records if isinstance(each.args, tuple)] == [
        "gpt-9",
        "gpt-10",
    ]


def test_a_price_says_where_it_is_from(prices: PriceList) -> None:
    """The list and its version, the model as it is called there, its days, what is corrected."""
    plain = prices.price(record("gpt-4o-2024-08-06"))
    assert plain is not None
    assert plain.source.startswith("genai-prices 0.2.")
    assert (plain.model, plain.tier, plain.scope, plain.currency) == (
        "gpt-4o",
        "standard",
        None,
        "USD",
    )
    o3 = prices.price(record("o3", started_at=datetime(2025, 6, 1, tzinfo=UTC)))
    assert o3 is not None
    assert (o3.since, str(o3.until)) == (None, "2025-06-10")
    assert o3.source == f"{plain.source} + usagestream corrections 2026-11-28"
    tuned = prices.price(record("ft:gpt-4.1-2025-04-14:acme::abc"))
    assert tuned is not None
    assert tuned.source == "usagestream corrections 2026-11-28"


@pytest.mark.parametrize(
    ("endpoint", "assumed"),
    [
        (None, ()),
        ("api.openai.com", ()),
        ("eu.api.openai.com", ()),
        ("127.0.0.1:8080", ("openai_list",)),
        ("gateway.example", ("openai_list",)),
    ],
)
def test_another_address_is_assumed_to_pass_prices_on(
    endpoint: str | None, assumed: tuple[str, ...], prices: PriceList
) -> None:
    """OpenAI's list is for who answers in OpenAI's place; the cost admits it."""
    found = cost(prices, record("gpt-4o", endpoint=endpoint))
    assert found is not None
    assert found.assumed == assumed


def test_another_seller_is_known_by_its_address(prices: PriceList) -> None:
    """Who speaks OpenAI's wire at an address of theirs has prices of their own."""
    groq = record("llama-3.3-70b-versatile", endpoint="api.groq.com")
    found = cost(prices, groq)
    assert found is not None
    assert (found.total, found.assumed) == (Decimal("0.138"), ())  # 0.59 and 0.79; Groq, 2025
    assert prices.price(record("llama-3.3-70b-versatile")) is None


def test_who_makes_a_model_that_azure_sells(prices: PriceList) -> None:
    """Its maker's list, by name."""
    found = cost(prices, record("m", provider="azure", response_model="grok-4-1-fast-reasoning"))
    assert found is not None
    assert found.assumed == ("x-ai_list", "global_deployment")


def test_a_gateways_prefix_is_no_part_of_the_name(prices: PriceList) -> None:
    """`openai/gpt-4o` at somebody's address, and `azure/` before what Azure calls a model."""
    for model in ("openai/gpt-4o", "azure/gpt-4o-2024-11-20"):
        found = cost(prices, record(model, endpoint="gateway.example"))
        assert found is not None
        assert (found.total, found.assumed) == (Decimal("1.25"), ("openai_list",))


def test_what_was_asked_for_stands_in_for_what_nobody_knows(prices: PriceList) -> None:
    """Where the answer names a model that is not on the list, or an Azure answer names none."""
    odd = cost(prices, record("gpt-4o", response_model="our-gpt"))
    assert odd is not None
    assert odd.assumed == ("asked_model",)
    silent = cost(prices, record("gpt-4o", provider="azure"))
    assert silent is not None
    assert silent.assumed == ("asked_model", "openai_list", "global_deployment")


def test_provisioned_tokens_cost_nothing_more(prices: PriceList) -> None:
    """Zero is known there, and of which profile; the model need not be on any list."""
    asked = record("any", provider="azure", provisioned=True, profile="ptu", scope="regional")
    price = prices.price(asked)
    assert price is not None
    assert (price.source, price.tier, price.scope) == ("profile:ptu", "provisioned", "regional")
    nameless = prices.price(asked.model_copy(update={"profile": None}))
    assert nameless is not None
    assert nameless.source == "profile"


def test_a_tier_that_nobody_knows_is_priced_as_standard(prices: PriceList) -> None:
    """And says so; also one that the list has for other models only."""
    for model, tier in (("gpt-5", "turbo"), ("gpt-4-turbo", "priority")):
        found = cost(prices, record(model, service_tier=tier))
        assert found is not None
        assert (found.assumed, found.price.tier) == (("standard_tier",), tier)


def test_tiers_of_one_price_have_two_names(prices: PriceList) -> None:
    """What the list calls `fast` alone is `priority` too."""
    fast, priority = (
        cost(prices, record("gpt-6-sol", service_tier=tier)) for tier in ("fast", "priority")
    )
    assert fast is not None
    assert priority is not None
    assert fast.total == priority.total == Decimal("2.4")  # 4 and 20; OpenAI, 2026-11


def test_a_time_without_a_zone_is_utc(prices: PriceList) -> None:
    """A record that somebody else wrote may have one."""
    naive = record("o3", started_at=datetime(2025, 6, 9, 23, 59))  # noqa: DTZ001
    price = prices.price(naive)
    assert price is not None
    assert price.rates.input == 10


def test_rates_that_stayed_are_not_scaled() -> None:
    """A tier in the proportion of two standard prices, kind by kind."""
    one, half = Rates(input=Decimal(4), output=Decimal(8)), Rates(input=Decimal(2))
    now, then = Rates(input=Decimal(3), output=Decimal(8)), Rates(input=Decimal(6))
    assert _list._scaled(half, now, then) == Rates(input=Decimal(1))
    assert _list._scaled(one, now, then) == Rates(input=Decimal(2), output=Decimal(8))
    same = now.model_copy(update={"input": Decimal(6)})
    assert _list._scaled(one, now, same) == Rates(input=Decimal(2), output=Decimal(8))


def test_a_maker_that_is_not_on_the_list_is_left_out() -> None:
    """A list put in place by the program may have Azure alone."""
    azure = next(each for each in data_snapshot.get_snapshot().providers if each.id == "azure")
    data_snapshot.set_custom_snapshot(data_snapshot.DataSnapshot([azure], from_auto_update=False))
    try:
        assert PriceList().price(record("gpt-4o", provider="azure")) is None
        assert PriceList().price(record("o3", provider="azure")) is not None
    finally:
        data_snapshot.set_custom_snapshot(None)


def test_a_list_put_in_place_by_the_program_is_used() -> None:
    """genai-prices can be told of newer prices; what was looked up before is forgotten."""
    prices = PriceList()
    bundled = data_snapshot.get_snapshot()
    before = prices.price(record("gpt-4o"))
    openai = next(each for each in bundled.providers if each.id == "openai")
    newer = data_snapshot.DataSnapshot(providers=[openai], from_auto_update=True)
    data_snapshot.set_custom_snapshot(newer)
    try:
        after = prices.price(record("gpt-4o"))
        unknown = prices.price(record("gpt-4o", provider="azure"))
    finally:
        data_snapshot.set_custom_snapshot(None)
    assert before is not None
    assert after is not None
    assert unknown is None
    assert after.source == f"{before.source}, updated {newer.timestamp:%Y-%m-%d}"


def test_what_is_kept_in_mind_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that a caller makes up do not fill the memory."""
    monkeypatch.setattr(_prices, "_MOST_KEPT", 3)
    prices = PriceList()
    for number in range(10):
        prices.price(record(f"made-up-{number}"))
    assert len(prices._kept) <= 3
    assert len(prices._named) == 3


def test_a_record_is_priced_in_no_time(prices: PriceList) -> None:
    """At most 0.2 ms of the processor's time, prices looked up anew every half hour included."""
    prices.load()
    records = [case.record() for case in CASES[:40]]
    costs = costs_by(prices)
    assert costs is not None
    runs = 25
    began = time.process_time()
    for _ in range(runs):
        for each in records:
            costs(each)
    assert (time.process_time() - began) / (runs * len(records)) < 0.0002


def test_prices_in_force_are_shared() -> None:
    """What one client has looked up, or was told of, serves the next, and every metered stream."""
    assert installed_pricer() is installed_pricer()


def test_without_a_list_there_is_a_sentence(without_list: Callable[[], None]) -> None:
    """It names the extra; by itself nothing is priced, and nothing raised."""
    without_list()
    with pytest.raises(ConfigError, match=r"usagestream\[prices\]"):
        PriceList()
    assert installed_pricer() is None
