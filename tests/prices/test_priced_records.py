"""Every record says what it cost, by whatever way the stream was made; and no failure loses one."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import openai
import pytest
from pydantic import SecretStr
from tests._support.worlds import World, make_world

from usagestream import (
    AzureProfile,
    Client,
    ConfigError,
    Cost,
    CostTotal,
    OpenAIProfile,
    Outcome,
    Price,
    PriceList,
    Pricer,
    Rates,
    RecordedError,
    StreamTruncatedError,
    Usage,
    UsageRecord,
    UsageSource,
    UsageTotal,
    meter,
    reprice,
    track,
    track_usage,
)
from usagestream_adapters.emulator import Emulator, Scenario
from usagestream_core import pricing
from usagestream_core.pricing import find_pricer
from usagestream_core.records import totals
from usagestream_core.streams.parts import Parts

ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello?"}]}
WIRE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
ANSWER = Scenario(text=["Hel", "lo."], usage=WIRE)
DOLLARS = Decimal("0.00021")  # 1,000 at 0.15 and 100 at 0.60: OpenAI, 2024-07
NOW = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    """Both providers, which give the same answer."""
    with Emulator(scenario=ANSWER) as running:
        yield running


@pytest.fixture(params=["sync", "async"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Each kind of client in turn."""
    with make_world(asynchronous=request.param == "async") as made:
        yield made


def openai_profile(server: Emulator, **more: Any) -> OpenAIProfile:
    """A profile of the emulator's OpenAI."""
    return OpenAIProfile(api_key=SecretStr("k"), base_url=server.openai_base_url, **more)


def azure_profile(server: Emulator, **more: Any) -> AzureProfile:
    """A profile of the emulator's Azure."""
    return AzureProfile(
        api_key=SecretStr("k"), endpoint=server.azure_endpoint, api_version="v1", **more
    )


class Fixed:
    """Charges the same for anything; `None` for nothing known."""

    def __init__(self, rate: int | None, currency: str = "USD", source: str = "fixed") -> None:
        self._rate = rate
        self._currency = currency
        self._source = source
        self.asked: list[UsageRecord] = []

    def price(self, record: UsageRecord) -> Price | None:
        self.asked.append(record)
        if self._rate is None:
            return None
        rate = Decimal(self._rate)
        rates = Rates(input=rate, output=rate)
        return Price(source=self._source, model="m", currency=self._currency, rates=rates)


class Broken:
    """Raises whatever it is asked."""

    def price(self, record: UsageRecord) -> Price | None:
        raise RuntimeError("no prices today")


def test_a_stream_says_what_it_cost(world: World, server: Emulator) -> None:
    """On its record, and on the stream; the price is of what answered, by its address' own list."""
    stream = world.stream(openai_profile(server), **ASK)
    stream.drain()
    cost = stream.record.cost
    assert cost is not None
    assert (cost.total, cost.basis) == (DOLLARS, UsageSource.REPORTED)
    assert cost.assumed == ("openai_list",)
    assert stream.cost == cost
    assert world.records[-1].cost == cost


def test_both_providers_cost_the_same(server: Emulator) -> None:
    """By one list; Azure's says that its kind of deployment is assumed."""
    deployments = {"gpt-4o-mini": "chat-prod"}
    with Client(azure_profile(server, deployments=deployments)) as client:
        stream = client.stream(**ASK)
        stream.drain()
    cost = stream.record.cost
    assert cost is not None
    assert (cost.total, cost.assumed) == (DOLLARS, ("openai_list", "global_deployment"))


def test_a_record_has_what_pricing_needs(world: World, server: Emulator) -> None:
    """What was asked for and what served, where, and what the profile says of the deployment."""
    profile = azure_profile(server, scope="data-zone", provisioned=True, name="zone")
    stream = world.stream(profile, **ASK, service_tier="flex")
    stream.drain()
    record = stream.record
    assert (record.service_tier_asked, record.region) == ("flex", "East US 2")
    assert (record.scope, record.provisioned) == ("data-zone", True)
    assert record.cost is not None
    assert (record.cost.total, record.cost.price.source) == (Decimal(0), "profile:zone")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, None),
        ({"service_tier": "priority"}, "priority"),
        ({"extra_body": {"service_tier": "flex"}}, "flex"),
        ({"service_tier": None}, None),
    ],
)
def test_the_tier_that_was_asked_for(server: Emulator, asked: dict[str, Any], says: str) -> None:
    """In the parameter, or in the body beside it."""
    with Client(openai_profile(server)) as client:
        stream = client.stream(**{**ASK, **asked})
        stream.drain()
    assert stream.record.service_tier_asked == says


def test_a_tracked_client_says_what_its_calls_cost(server: Emulator) -> None:
    """Streams and plain calls; with a pricer of one's own, its price; with none, none."""
    records: list[UsageRecord] = []
    with openai.OpenAI(api_key="k", base_url=server.openai_base_url) as sdk:
        tracked = track(sdk, on_record=records.append)
        tracked.chat.completions.create(**ASK)
        for _ in tracked.chat.completions.create(**ASK, stream=True):
            pass
        track(sdk, on_record=records.append, pricer=None).chat.completions.create(**ASK)
        own = track(sdk, on_record=records.append, pricer=Fixed(1))
        own.chat.completions.create(**ASK, service_tier="flex")
    costs = [record.cost and record.cost.total for record in records]
    assert costs == [DOLLARS, DOLLARS, None, Decimal("0.0011")]
    assert records[3].service_tier_asked == "flex"


def test_a_tracked_azure_client_says_where_it_was_answered(server: Emulator) -> None:
    """By the header; what kind of deployment it was, no SDK client knows."""
    records: list[UsageRecord] = []
    with openai.AzureOpenAI(
        api_key="k", azure_endpoint=server.azure_endpoint, api_version="2024-10-21"
    ) as sdk:
        track(sdk, on_record=records.append).chat.completions.create(**ASK)
    assert records[0].region == "East US 2"
    assert records[0].cost is not None
    assert records[0].cost.assumed == ("openai_list", "global_deployment")


def test_a_metered_stream_says_what_it_cost(server: Emulator) -> None:
    """While it is read, an estimate of it; afterwards, what its record has."""
    usage: Any = {"include_usage": True}
    with openai.OpenAI(api_key="k", base_url=server.openai_base_url) as sdk:
        stream = sdk.chat.completions.create(**ASK, stream=True, stream_options=usage)
        metered = meter(stream)
        assert metered.cost is None
        for _ in metered:
            pass
    assert metered.cost is not None
    assert metered.cost == metered.record.cost
    assert metered.cost.total == DOLLARS


def test_a_stream_that_goes_on_is_estimated(world: World, server: Emulator) -> None:
    """What it would cost to stop here; it grows, and says that it will."""
    stream = world.stream(openai_profile(server), **ASK, token_counter="auto")
    assert stream.cost is None
    chunks = iter(stream)
    next(chunks)
    before = stream.cost
    assert before is not None
    assert (before.basis, before.lower_bound) == (UsageSource.ESTIMATED, True)
    for chunk in chunks:
        if chunk.text == "lo.":
            after = stream.cost
            assert after is not None
            assert after.total >= before.total
            assert after.input == before.input
    assert world.records[-1].cost == stream.cost
    assert stream.cost is not None
    assert stream.cost.basis is UsageSource.REPORTED


def test_without_prices_there_is_no_cost(world: World, server: Emulator) -> None:
    """`pricer=None`; not while it is read either."""
    stream = world.stream(openai_profile(server), **ASK, pricer=None)
    next(iter(stream))
    assert stream.cost is None
    stream.drain()
    assert stream.record.cost is None
    assert stream.record.failed_parts == ()


def test_a_pricer_of_ones_own(server: Emulator) -> None:
    """It gets the record, without a cost; what it does not know has none, running or not."""
    pricer = Fixed(None)
    assert isinstance(pricer, Pricer)
    with Client(openai_profile(server), pricer=pricer) as client:
        stream = client.stream(**ASK)
        next(iter(stream))
        assert stream.cost is None
        stream.drain()
    assert stream.record.cost is None
    assert pricer.asked[-1] == stream.record


def test_a_pricer_that_raises_loses_no_record(
    world: World, server: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Invariant 8: the cost is missing from the record, which says so; the log says why."""
    with caplog.at_level(logging.ERROR, "usagestream"):
        stream = world.stream(openai_profile(server), **ASK, pricer=Broken())
        stream.drain()
    record = stream.record
    assert (record.cost, record.failed_parts) == (None, ("cost",))
    assert record.usage.source is UsageSource.REPORTED
    assert "no prices today" in caplog.text
    assert record.id in caplog.text


@pytest.mark.parametrize("wrong", ["free", object(), Fixed])
def test_what_knows_no_prices_is_refused(wrong: Any, server: Emulator) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigError, match="pricer must be"):
        Client(openai_profile(server), pricer=wrong)


def test_the_installed_pricer_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first that there is, by name; one that has nothing to say says `None`."""
    mine = Fixed(1)

    def nothing(configuration: object) -> None:
        """Has nothing to say."""

    def something(configuration: object) -> Fixed:
        return mine

    monkeypatch.setattr(pricing, "_installed_pricers", lambda: (nothing, something))
    assert find_pricer() is mine
    monkeypatch.setattr(pricing, "_installed_pricers", lambda: (nothing,))
    assert find_pricer() is None
    with pytest.raises(ConfigError, match=r"usagestream\[prices\]"):
        reprice([])


def test_a_cut_stream_costs_what_is_estimated(world: World, server: Emulator) -> None:
    """And what is recovered afterwards, by the provider's own figure."""
    server.script(Scenario(text=["Hel", "lo."], cut_after_frames=3))
    stream = world.stream(openai_profile(server), **ASK, store=True, token_counter="auto")
    with pytest.raises(StreamTruncatedError):
        stream.drain()
    estimated = stream.record.cost
    assert estimated is not None
    assert estimated.basis is UsageSource.ESTIMATED
    recovered = stream.recover()
    assert recovered.cost is not None
    assert recovered.cost.basis is UsageSource.REPORTED
    assert stream.cost == recovered.cost


def test_a_prompt_that_was_blocked_is_not_free(server: Emulator) -> None:
    """Azure charges for it and reports no usage: no cost is known, and a total counts it so."""
    blocked = record(
        Usage(), outcome=Outcome.REJECTED, error=RecordedError(type="ContentFilterError")
    )
    refused = record(Usage(), outcome=Outcome.REJECTED, error=RecordedError(type="RateLimitError"))
    total = UsageTotal()
    total.add(blocked)
    total.add(refused)
    assert (total.cost.unpriced, total.cost.reported, total.cost.estimated) == (1, None, None)
    assert str(total) == "2 records: 1 unmeasured; 1 rejected"


def record(usage: Usage | None = None, **more: Any) -> UsageRecord:
    """A record that was reported, unless it says otherwise."""
    facts: dict[str, Any] = {
        "provider": "openai",
        "model": "gpt-4o-mini",
        "outcome": Outcome.COMPLETED,
        "started_at": NOW,
        "ended_at": NOW,
        **more,
    }
    counts = {"input_tokens": 1000, "output_tokens": 100, "source": UsageSource.REPORTED}
    return UsageRecord(usage=usage or Usage.model_validate(counts), **facts)


def priced(pricer: Pricer, usage: Usage | None = None, **more: Any) -> UsageRecord:
    """A record with its cost."""
    return Parts().priced(record(usage, **more), pricing.costs_by(pricer))


ESTIMATED = Usage(
    input_tokens=1000, output_tokens=0, source=UsageSource.ESTIMATED, lower_bound=True
)


def test_totals_keep_apart_what_is_sure_and_what_is_not() -> None:
    """Reported, estimated and unpriced; by model and by any tag."""
    total = UsageTotal()
    total.add(priced(Fixed(1), tags={"team": "search", "env": "prod"}))
    total.add(priced(Fixed(2), model="gpt-5", tags={"team": "search"}))
    total.add(priced(Fixed(1), ESTIMATED, tags={"team": "chat"}))
    total.add(priced(Fixed(None), tags={"team": "chat"}))
    cost = total.cost
    assert (cost.reported, cost.estimated, cost.unpriced, cost.currency) == (
        Decimal("0.0033"),
        Decimal("0.001"),
        1,
        "USD",
    )
    assert cost.lower_bound
    assert str(total) == (
        "4 records: 3000 in, 300 out reported; 1000 in, 0 out estimated; "
        "0.0033 USD reported, 0.001 USD estimated, 1 unpriced"
    )
    assert repr(cost) == "<CostTotal 0.0033 USD reported, 0.001 USD estimated, 1 unpriced>"
    models = {name: str(each.cost) for name, each in total.by_model.items()}
    assert models == {
        "gpt-4o-mini": "0.0011 USD reported, 0.001 USD estimated, 1 unpriced",
        "gpt-5": "0.0022 USD reported",
    }
    teams = {name: str(each.cost) for name, each in total.by_tag("team").items()}
    assert teams == {
        "search": "0.0033 USD reported",
        "chat": "0.001 USD estimated, 1 unpriced",
    }
    assert set(total.by_tag("env")) == {"prod"}
    assert total.by_tag("other") == {}


def test_currencies_are_not_added() -> None:
    """Each has a total of its own."""
    total = CostTotal()
    for pricer in (Fixed(1), Fixed(1, "EUR"), Fixed(2, "EUR"), Fixed(3)):
        total.add(priced(pricer).cost)
    assert str(total) == "0.0044 USD reported, 0.0033 EUR reported"
    assert total.other_currencies["EUR"].reported == Decimal("0.0033")


def test_what_was_assumed_is_counted() -> None:
    """How many costs of a total rest on what."""
    total = CostTotal()
    for endpoint in (None, "gateway.example", "gateway.example"):
        total.add(priced(PriceList(), endpoint=endpoint).cost)
    assert dict(total.assumed) == {"openai_list": 2}


def test_a_tag_of_many_values_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tag that is different for every record does not fill the memory."""
    monkeypatch.setattr(totals, "_MOST_VALUES", 2)
    total = UsageTotal()
    for number in range(4):
        total.add(record(tags={"request": str(number)}))
    counts = {name: each.count for name, each in total.by_tag("request").items()}
    assert counts == {"0": 1, "1": 1, "(others)": 2}


def test_a_block_of_code_says_what_it_cost(server: Emulator) -> None:
    """`track_usage` has the costs of what is begun inside."""
    with Client(openai_profile(server)) as client, track_usage() as total:
        client.stream(**ASK).drain()
        client.stream(**ASK, tags={"team": "search"}).drain()
    assert total.cost.reported == 2 * DOLLARS
    assert total.by_tag("team")["search"].cost.reported == DOLLARS


def test_records_are_priced_anew() -> None:
    """From a day on; old costs are kept, the oldest first; what costs the same is as it was."""
    old = priced(Fixed(1))
    early = priced(Fixed(1), started_at=NOW - timedelta(days=30))
    bare = record()
    first, second, third = reprice([early, old, bare], pricer=Fixed(2), since=date(2026, 11, 1))
    assert first is early
    assert second.cost is not None
    assert (second.cost.total, second.earlier_costs) == (Decimal("0.0022"), (old.cost,))
    assert (third.cost, third.earlier_costs) == (second.cost, ())
    (again,) = reprice([second], pricer=Fixed(2))
    assert again is second
    (more,) = reprice([second], pricer=Fixed(3))
    assert [str(each) for each in more.earlier_costs] == ["0.0011 USD", "0.0022 USD"]
    assert UsageRecord.model_validate_json(more.model_dump_json()) == more


def test_what_has_no_price_any_more_keeps_its_cost() -> None:
    """A list that forgot a model makes nothing free, or unknown."""
    old = priced(Fixed(1))
    assert list(reprice([old], pricer=Fixed(None))) == [old]


def test_a_moment_without_a_zone_is_utc() -> None:
    """Of `since`, and of a record that somebody else wrote."""
    naive = NOW.replace(tzinfo=None)
    records = [record(started_at=naive), record(started_at=naive - timedelta(seconds=1))]
    costs = [each.cost for each in reprice(records, pricer=Fixed(1), since=naive)]
    assert [cost is None for cost in costs] == [False, True]


def test_a_record_of_before_costs_still_reads() -> None:
    """What was written by an older version has no cost, and can be priced."""
    data = json.loads(record().model_dump_json())
    new = (
        "cost",
        "earlier_costs",
        "failed_parts",
        "service_tier_asked",
        "region",
        "scope",
        "provisioned",
    )
    for name in new:
        del data[name]
    read = UsageRecord.model_validate_json(json.dumps(data))
    assert (read.cost, read.earlier_costs, read.provisioned) == (None, (), False)
    (priced_now,) = reprice([read])
    assert isinstance(priced_now.cost, Cost)
    assert priced_now.cost.total == DOLLARS


def test_money_in_json_is_a_string() -> None:
    """And comes back as it was."""
    whole = priced(PriceList())
    data = json.loads(whole.model_dump_json())
    assert data["cost"]["total"] == "0.00021"
    assert data["cost"]["price"]["rates"]["input"] == "0.15"
    assert UsageRecord.model_validate_json(json.dumps(data)) == whole
