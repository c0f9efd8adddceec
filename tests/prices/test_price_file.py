"""A price file of one's own: what it overrides, and what is wrong with it, by line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from usagestream import (
    Client,
    ConfigError,
    Cost,
    OpenAIProfile,
    Outcome,
    PriceList,
    Usage,
    UsageRecord,
    UsageSource,
    cost_of,
)
from usagestream_adapters.prices import installed_pricer

NOW = datetime(2026, 11, 27, tzinfo=UTC)
USAGE = Usage(
    input_tokens=1_000_000,
    output_tokens=100_000,
    cache_read_tokens=500_000,
    source=UsageSource.REPORTED,
)


def record(model: str = "gpt-4o", **more: Any) -> UsageRecord:
    """A record of OpenAI's, unless it says otherwise."""
    facts: dict[str, Any] = {"provider": "openai", "started_at": NOW, "usage": USAGE, **more}
    return UsageRecord(model=model, outcome=Outcome.COMPLETED, ended_at=NOW, **facts)


def written(folder: Path, text: str) -> Path:
    """A price file with this in it."""
    path = folder / "prices.toml"
    path.write_text(text, "utf-8")
    return path


def cost(prices: PriceList, asked: UsageRecord) -> Cost | None:
    """What it cost."""
    price = prices.price(asked)
    return None if price is None else cost_of(asked.usage, price)


def total(path: Path, asked: UsageRecord) -> Decimal | None:
    """What it cost in all."""
    found = cost(PriceList(path), asked)
    return None if found is None else found.total


WHOLE = """
[[price]]
model = "gpt-4o"
from = 2026-01-01
until = 2027-01-01
input = "2"
cache_read = "1"
output = "5"
"""


def test_a_whole_price_stands_alone(tmp_path: Path) -> None:
    """By any name of the model; the cost says of which file, and of which days."""
    path = written(tmp_path, WHOLE)
    found = cost(PriceList(path), record("gpt-4o-2024-08-06"))
    assert found is not None
    assert found.total == Decimal(2)  # 500,000 at 2, 500,000 at 1, 100,000 at 5
    price = found.price
    assert price.source.startswith("file:prices.toml#")
    assert len(price.source.partition("#")[2]) == 6
    assert (price.model, str(price.since), str(price.until)) == (
        "gpt-4o",
        "2026-01-01",
        "2027-01-01",
    )
    assert found.assumed == ()


def test_another_file_is_another_source(tmp_path: Path) -> None:
    """So that a cost can be told from one made with an older state of the file."""
    first = PriceList(written(tmp_path, WHOLE)).price(record())
    second = PriceList(written(tmp_path, WHOLE + "\n")).price(record())
    assert first is not None
    assert second is not None
    assert first.source != second.source
    assert first.rates == second.rates


@pytest.mark.parametrize(
    ("day", "dollars"),
    [("2025-12-31", "2.875"), ("2026-01-01", "2"), ("2026-12-31", "2"), ("2027-01-01", "2.875")],
)
def test_a_price_is_of_its_days(tmp_path: Path, day: str, dollars: str) -> None:
    """From the first to the one before the last, in UTC; outside, the list's own."""
    began = datetime.fromisoformat(day).replace(hour=23, tzinfo=UTC)
    assert total(written(tmp_path, WHOLE), record(started_at=began)) == Decimal(dollars)


@pytest.mark.parametrize(
    ("condition", "right", "wrong"),
    [
        ('provider = "azure"', {"provider": "azure"}, {}),
        ('model = "gpt-5*"', {"model": "gpt-5.4-mini"}, {}),
        ('deployment = "chat"', {"deployment": "chat"}, {"deployment": "other"}),
        ('profile = "team-a"', {"profile": "team-a"}, {}),
        ('tier = "flex"', {"service_tier": "flex"}, {"service_tier": "default"}),
        ('scope = "regional"', {"scope": "regional"}, {"scope": "global"}),
        ('region = "Sweden Central"', {"region": "swedencentral"}, {"region": "East US"}),
    ],
)
def test_each_condition_must_hold(
    tmp_path: Path, condition: str, right: dict[str, Any], wrong: dict[str, Any]
) -> None:
    """One that is not named holds for anything."""
    path = written(tmp_path, f'[[price]]\n{condition}\ninput = "7"\noutput = "0"\n')
    for facts, holds in ((right, True), (wrong, False)):
        price = PriceList(path).price(record(**{"model": "gpt-4o", **facts}))
        assert price is not None
        assert (price.rates.input == 7) == holds


def test_the_first_entry_that_holds_decides(tmp_path: Path) -> None:
    """So that what is special stands before what is general."""
    path = written(
        tmp_path,
        '[[price]]\nmodel = "gpt-4o"\nprofile = "a"\ninput = "1"\noutput = "0"\n'
        '[[price]]\nmodel = "gpt-4o"\ninput = "3"\noutput = "0"\n',
    )
    assert total(path, record(profile="a")) == Decimal(1)
    assert total(path, record(profile="b")) == Decimal(3)


def test_an_amendment_leaves_the_rest_to_the_list(tmp_path: Path) -> None:
    """What it does not name is the list's; both are named as sources."""
    path = written(tmp_path, '[[price]]\nmodel = "gpt-4o"\ncache_read = "0.25"\n')
    found = cost(PriceList(path), record())
    assert found is not None
    assert found.total == Decimal("2.375")  # 500,000 at 2.50, 500,000 at 0.25, 100,000 at 10
    assert found.price.source.startswith("genai-prices")
    assert " + file:prices.toml#" in found.price.source


def test_a_long_context_of_ones_own(tmp_path: Path) -> None:
    """Past the limit that the entry names."""
    long = 'long_context = { above = 10, input = "2", output = "3" }'
    text = f'[[price]]\nmodel = "m"\ninput = "1"\noutput = "1"\n{long}\n'
    usage = Usage(input_tokens=11, output_tokens=1)
    assert total(written(tmp_path, text), record("m", usage=usage)) == Decimal("0.000025")


def test_a_discount_is_on_the_list(tmp_path: Path) -> None:
    """On every tier, every kind of token and every kind of deployment."""
    path = written(tmp_path, '[[price]]\nprovider = "azure"\ndiscount = "0.9"\n')
    azure = {"provider": "azure", "response_model": "gpt-4o", "scope": "data-zone"}
    assert total(path, record(**azure)) == Decimal("2.875") * Decimal("0.99")
    batch = total(path, record(**azure, service_tier="batch"))
    # 500,000 at 1.25, cached at no less, 100,000 at 5
    assert batch == Decimal("1.75") * Decimal("0.99")
    assert total(path, record("chat-prod", provider="azure")) is None


def test_a_price_without_a_tier_is_assumed_for_the_others(tmp_path: Path) -> None:
    """An own price is taken for a tier that it does not name, and the cost says so."""
    found = cost(PriceList(written(tmp_path, WHOLE)), record(service_tier="priority"))
    assert found is not None
    assert (found.total, found.assumed) == (Decimal(2), ("standard_tier",))


PROVISIONED = """
[[price]]
provider = "azure"
deployment = "ptu"
provisioned = true
hourly = "1.00"
units = 50
"""


def test_a_provisioned_deployment_costs_no_more(tmp_path: Path) -> None:
    """By deployment, where a profile has others too; what spilled over is priced as any other."""
    path = written(tmp_path, PROVISIONED)
    prices = PriceList(path)
    facts = {"provider": "azure", "deployment": "ptu", "response_model": "gpt-4o"}
    found = cost(prices, record(**facts))
    assert found is not None
    assert (found.total, found.price.tier) == (Decimal(0), "provisioned")
    spilled = cost(prices, record(**facts, spillover={"x-ms-is-spilled-over": "true"}))
    assert spilled is not None
    assert spilled.total == Decimal("2.875")


def test_another_currency(tmp_path: Path) -> None:
    """List prices by the rate that is given; prices of the file are in its currency already."""
    text = f'currency = "EUR"\nrate = "0.8"\n{WHOLE.replace("gpt-4o", "gpt-5")}'
    path = written(tmp_path, text)
    listed, own = cost(PriceList(path), record()), cost(PriceList(path), record("gpt-5"))
    assert listed is not None
    assert own is not None
    assert (str(listed), str(own)) == ("2.3 EUR", "2 EUR")
    assert " + file:prices.toml#" in listed.price.source
    off = written(tmp_path, 'currency = "EUR"\nrate = "0.8"\n[[price]]\ndiscount = "0.5"\n')
    halved = cost(PriceList(off), record())
    assert halved is not None
    assert str(halved) == "1.15 EUR"
    assert halved.price.source.count("file:") == 1


def test_a_promise_that_has_run_out(tmp_path: Path) -> None:
    """A price that nobody promised for the day is taken, and the cost says so."""
    text = WHOLE + "promised_until = 2026-11-01\n"
    path = written(tmp_path, text)
    before = cost(PriceList(path), record(started_at=datetime(2026, 10, 31, tzinfo=UTC)))
    after = cost(PriceList(path), record())
    assert before is not None
    assert after is not None
    assert (before.assumed, after.assumed) == ((), ("promo_ended",))


def test_a_file_is_enough(tmp_path: Path, without_list: Callable[[], None]) -> None:
    """Without genai-prices, what the file has is priced, and nothing else."""
    without_list()
    prices = PriceList(written(tmp_path, WHOLE))
    prices.load()
    assert prices.price(record("gpt-4o")) is not None
    assert prices.price(record("gpt-5")) is None


MISTAKES = [
    ("[[price]\n", "is not valid TOML"),
    ('input = "2"\n', ":1: input is no setting of prices: there are: currency, rate, price."),
    (
        '[[price]]\nmodel = "m"\ninptu = "2"\noutput = "1"\n',
        ":3: price.inptu is no setting of prices: did you mean 'input'?",
    ),
    (
        '[[price]]\nmodel = "a"\ndiscount = "0.5"\n\n[[price]]\nmodel = "m"\ninput = "-2"\n',
        ":7: price.input: input should be greater than or equal to 0, not '-2'",
    ),
    ("[[price]]\ninput = 2.5\noutput = 1\n", ":2: price.input: must be a string or an integer"),
    ('[[price]]\ninput = "two"\n', ":2: price.input: input should be a valid decimal, not 'two'"),
    ('[[price]]\ninput = "1e-999999"\n', ":2: price.input: decimal input should have no more"),
    ('currency = "EUR"\nrate = "1e-99"\n', ":2: rate: decimal input should have no more than"),
    ('[[price]]\nmodel = "m"\n', ":1: price: says no price: give rates, a discount, or"),
    (
        '[[price]]\ninput = "1"\ndiscount = "0.9"\n',
        ":1: price: rates and a discount are given: an entry says one of them",
    ),
    ('[[price]]\ndiscount = "7"\n', ":2: price.discount: input should be less than or equal to 1"),
    ('[[price]]\ndiscount = "0"\n', ":2: price.discount: input should be greater than 0"),
    (
        '[[price]]\nscope = "zone"\ninput = "1"\n',
        ":2: price.scope: input should be 'global', 'data",
    ),
    ('[[price]]\ninput = "1"\nunits = 5\n', ":1: price: hourly and units are of an entry with"),
    (
        '[[price]]\ninput = "1"\nfrom = 2026-02-01\nuntil = 2026-02-01\n',
        ":1: price: ends on 2026-02-01, which is not after it begins, 2026-02-01",
    ),
    (
        (
            '[[price]]\nmodel = "m"\nfrom = 2026-01-01\ninput = "1"\n'
            '[[price]]\nmodel = "n"\ninput = "1"\n'
            '[[price]]\nmodel = "M"\nuntil = 2026-01-02\ninput = "1"\n'
        ),
        ":8: price: overlaps the entry of line 1, which is for the same: give both their days",
    ),
    ("[[price]]\nlong_context = { above = 0 }\n", ":2: price.long_context.above: input should be"),
    ('price = [{ input = "-1" }]\n', ":1: price.input: input should be greater"),
    (
        'currency = "EUR"\n',
        ":1: currency: lists are in USD, so give the rate as well: how many EUR",
    ),
    ('rate = "0.9"\n', ":1: rate: a rate is of a currency other than USD: name it."),
    ('currency = "euro"\n', ":1: currency: string should match pattern"),
]


@pytest.mark.parametrize(("text", "says"), MISTAKES)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    """When the file is read, and not when a stream ends."""
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        PriceList(path)
    assert str(caught.value).startswith(str(path))
    assert says in str(caught.value)


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """As editors on Windows put there."""
    path = written(tmp_path, '[[price]]\nmodel = "m"\ninput = "1"\noutput = "1"\n')
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert PriceList(path).price(record("m")) is not None


def test_days_that_touch_do_not_overlap(tmp_path: Path) -> None:
    """The last day of one is the first of the next."""
    text = (
        '[[price]]\nmodel = "m"\nuntil = 2026-06-01\ninput = "1"\noutput = "1"\n'
        '[[price]]\nmodel = "m"\nfrom = 2026-06-01\ninput = "2"\noutput = "2"\n'
    )
    price = PriceList(written(tmp_path, text)).price(record("m"))
    assert price is not None
    assert price.rates.input == 2


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(ConfigError, match=r"gone\.toml: the price file cannot be read"):
        PriceList(tmp_path / "gone.toml")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that the program is in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("USAGESTREAM_CONFIG", raising=False)
    return tmp_path


def configured(asked: UsageRecord) -> Cost | None:
    """What it cost, by the prices in force."""
    prices = installed_pricer()
    assert prices is not None
    return cost(prices, asked)


def test_prices_stand_in_the_profile_file(folder: Path) -> None:
    """Under [prices]; in pyproject.toml, under [tool.usagestream.prices]."""
    entry = 'model = "m"\ninput = "2"\noutput = "0"\n'
    (folder / "usagestream.toml").write_text(f"[[prices.price]]\n{entry}")
    found = configured(record("m"))
    assert found is not None
    assert found.price.source.startswith("file:usagestream.toml#")
    (folder / "usagestream.toml").unlink()
    (folder / "pyproject.toml").write_text(f"[[tool.usagestream.prices.price]]\n{entry}")
    found = configured(record("m"))
    assert found is not None
    assert found.price.source.startswith("file:pyproject.toml#")
    assert installed_pricer() is installed_pricer()


def test_the_example_of_the_docs_is_taken(folder: Path) -> None:
    """As it stands: an agreement, a currency and a provisioned deployment."""
    page = (Path(__file__).parents[2] / "docs" / "costs.md").read_text("utf-8")
    (folder / "usagestream.toml").write_text(page.partition("```toml\n")[2].partition("```")[0])
    zone = record("gpt-5.4-mini", provider="azure", scope="data-zone", region="Sweden Central")
    found = configured(zone)
    assert found is not None
    # 500,000 at 0.76, 500,000 at 0.076, 100,000 at 4.55
    assert str(found) == "0.873 EUR"
    found = configured(record())
    assert found is not None
    # 500,000 at 2.50, 500,000 at 1.25, 100,000 at 10; 0.92 EUR for a dollar, 7 % off
    assert str(found) == "2.45985 EUR"


def test_prices_stand_in_a_file_that_it_names(folder: Path) -> None:
    """Relative to the profile file."""
    (folder / "conf").mkdir()
    (folder / "conf" / "mine.toml").write_text('[[price]]\nmodel = "m"\ninput = "2"\noutput="0"\n')
    (folder / "usagestream.toml").write_text('[prices]\nfile = "conf/mine.toml"\n')
    found = configured(record("m"))
    assert found is not None
    assert found.price.source.startswith("file:mine.toml#")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prices = 1\n", ":1: prices must be a table: write [prices]"),
        ("[prices]\nfile = 1\n", ":2: prices.file must be a path."),
        ('[prices]\nfile = "gone.toml"\n', ":2: prices.file names 'gone.toml', and there is no"),
        (
            '[prices]\nfile = "a.toml"\ncurrency = "EUR"\n',
            ":2: prices.file: the prices are in that file, so 'currency' is too.",
        ),
        (
            '[[prices.price]]\nmodel = "m"\ndiscount = "2"\n',
            ":3: prices.price.discount: input should be less than or equal to 1",
        ),
    ],
)
def test_a_mistake_stops_a_client_from_being_made(folder: Path, text: str, says: str) -> None:
    """It is named with its line, before anything is sent; without prices, nothing is read."""
    (folder / "usagestream.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        installed_pricer()
    assert f"usagestream.toml{says}" in str(caught.value)


def test_a_client_reads_the_file_only_for_prices(folder: Path) -> None:
    """`pricer=None` leaves it alone."""
    (folder / "usagestream.toml").write_text("[prices]\nfile = 1\n")
    profile = OpenAIProfile(api_key=SecretStr("k"))
    Client(profile, pricer=None).close()
    with pytest.raises(ConfigError, match="must be a path"):
        Client(profile)
