"""The installed pricer: the user's file, then the list, with what is known to be wrong in it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache, lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from usagestream_core.cost import Price, Rates, exactly
from usagestream_core.errors import ConfigError

from ._facts import Facts, facts_of
from ._file import PriceFile, configured_prices, known_corrections, read_prices
from ._list import Listed, current_list, each_rate, find_listed, list_version, listed_models
from ._names import list_names, residency_uplift, undated, uplift

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from datetime import datetime

    from usagestream_core.profiles.configuration import Configuration
    from usagestream_core.record import UsageRecord

    from ._entries import Entry

__all__ = ["MISSING", "PriceList", "installed_pricer"]

MISSING: Final = 'There is no price list here: pip install "usagestream[prices]".'

_MOST_KEPT: Final = 2_000
"""Prices and names of models that are kept in mind; of more, the new ones."""

_NO_CHARGE: Final = Rates(input=Decimal(0), output=Decimal(0))
"""Of tokens that are paid for in another way: by the hour."""

_HALF: Final = Decimal("0.5")

_CONTEXTS: Final[Mapping[str, tuple[Mapping[str, str], ...]]] = {
    "batch": ({"processing": "batch"},),
    "flex": ({"service_tier": "flex"}, {"processing": "batch"}),
    "priority": ({"service_tier": "priority"}, {"service_tier": "fast"}),
    "fast": ({"service_tier": "fast"}, {"service_tier": "priority"}),
}
"""How the list calls a tier, and what costs the same where it has none of that name."""

_AT_HALF: Final = ("batch", "flex")

_NO_BILL: Final = frozenset({"replay"})
"""Who answers and sends no bill, so that nobody need be told that a price is missing."""

logger = logging.getLogger("usagestream")


def installed_pricer(configuration: Configuration | None = None) -> PriceList | None:
    """The prices in force: those of the configuration and the installed list; `None` for neither.

    `configuration` is what the one who asks has looked at already; what is in force now if `None`.
    The same object as long as both are, so that what it has looked up serves every client. Raises
    `ConfigError` where the configuration is wrong.
    """
    file = configured_prices(configuration)
    has_list = find_spec("genai_prices") is not None
    return _in_force(file) if has_list or file is not None else None


@lru_cache(maxsize=4)
def _in_force(file: PriceFile | None) -> PriceList:
    return PriceList(file)


@dataclass(frozen=True, slots=True)
class _Found:
    """A price in the making."""

    source: str
    model: str
    rates: Rates
    assumed: tuple[str, ...] = ()
    since: Any = None
    until: Any = None


class PriceList:
    """Knows what tokens cost: `Client(pricer=PriceList("prices.toml"))`.

    The first that knows a price says it: the user's own file, the provider's list in genai-prices,
    with what is known to be wrong there put right, and for Azure the list of who makes the model.
    `Client` and `track` take one by themselves, with the file that the configuration names.

    genai-prices (`usagestream[prices]`) is loaded with the first price that the file does not give,
    which takes some tenths of a second; `load` does so before. Nothing is asked over the network.
    Safe to use from any thread.

    Raises `ConfigError` for a file that is wrong, naming the line, and where there is neither a
    file nor a list.
    """

    def __init__(self, file: str | os.PathLike[str] | PriceFile | None = None) -> None:
        self._file = file if file is None or isinstance(file, PriceFile) else read_prices(file)
        self._has_list = find_spec("genai_prices") is not None
        if self._file is None and not self._has_list:
            raise ConfigError(MISSING)
        self._kept: dict[Facts, Price | None] = {}
        self._snapshot: object = None
        self._named: dict[tuple[str, str], object] = {}

    def load(self) -> None:
        """Load the list now, rather than where the first stream ends."""
        if self._has_list:
            current_list()
            _corrections()

    def models(self, provider: str) -> list[str]:
        """Names of what a provider sells or, for Azure, of what others make, as the list has them.

        Whole prices of the file are among them, by the name they give.
        """
        own = () if self._file is None else self._file.entries
        named = [each.model for each in own if each.model and each.is_whole]
        listed = listed_models(current_list(), provider) if self._has_list else []
        return list(dict.fromkeys([*named, *listed]))

    def price(self, record: UsageRecord) -> Price | None:
        """The price of the day the record began.

        `None` where none is known, which is logged once for each model.
        """
        price = self.find(record)
        if price is None:
            self._say_unknown(record)
        return price

    def find(self, record: UsageRecord) -> Price | None:
        """`price`, and nothing is logged."""
        facts = facts_of(record)
        if self._has_list and self._snapshot is not None and self._snapshot is not current_list():
            self._kept = {}
        try:
            return self._kept[facts]
        except KeyError:
            pass
        price = self._look_up(facts)
        if len(self._kept) >= _MOST_KEPT:
            self._kept = {}
        self._kept[facts] = price
        return price

    def _say_unknown(self, record: UsageRecord) -> None:
        name = (record.provider, record.response_model or record.model)
        if name[0] in _NO_BILL or len(self._named) >= _MOST_KEPT:
            return
        mine = object()
        # No lock: the garbage collector may end a stream, and ask its price, in the middle of this.
        if self._named.setdefault(name, mine) is not mine:
            return
        logger.warning(
            "No price is known of the model %r of %s: its records have no cost. A price file can "
            "give one; `usagestream prices` says what is known.",
            name[1],
            name[0],
        )

    def _look_up(self, facts: Facts) -> Price | None:
        if facts.provisioned:
            return Price(
                source=f"profile:{facts.profile}" if facts.profile else "profile",
                model=facts.answered or facts.asked,
                tier="provisioned",
                scope=facts.scope,
                currency=self._currency,
                rates=_NO_CHARGE,
            )
        listed, assumed = self._find(facts)
        names = _names(facts, listed)
        entry = None if self._file is None else self._file.first(facts, names)
        if entry is not None and entry.provisioned:
            return self._priced(facts, "provisioned", _Found(self._source(), names[0], _NO_CHARGE))
        if entry is not None and entry.is_whole:
            found = _Found(self._source(), entry.model or names[0], entry.over(Rates()))
            return self._priced(facts, facts.tier, self._taken(found, entry, facts))
        base = None if not self._has_list else _listed_price(facts, listed, names)
        if base is None:
            return None
        base = self._converted(replace(base, assumed=(*assumed, *base.assumed)))
        if entry is not None:
            base = self._amended(base, entry, facts)
        return self._priced(facts, facts.tier, base)

    def _find(self, facts: Facts) -> tuple[Listed | None, tuple[str, ...]]:
        """The model on the list: the one that answered, or else the one that was asked for."""
        if not self._has_list or facts.provider in _NO_BILL:
            return None, ()
        self._snapshot = snapshot = current_list()
        guessed = bool(facts.answered) or facts.provider == "azure"
        for name in filter(None, dict.fromkeys((facts.answered, facts.asked))):
            listed = find_listed(snapshot, facts.provider, facts.host, name)
            if listed is not None:
                is_asked = guessed and name != facts.answered
                assumed = (
                    "asked_model" if is_asked else "",
                    "undated_model" if listed.is_undated else "",
                    _foreign(facts, listed),
                )
                return listed, tuple(filter(None, assumed))
        return None, ()

    @property
    def _currency(self) -> str:
        return "USD" if self._file is None else self._file.currency

    def _source(self) -> str:
        assert self._file is not None, "an entry without a file"
        return self._file.source

    def _converted(self, found: _Found) -> _Found:
        """List prices are in US dollars."""
        rate = None if self._file is None else self._file.rate
        if rate is None:
            return found
        rates = each_rate(found.rates, lambda _, dollars: exactly(dollars, rate))
        return replace(found, rates=rates, source=f"{found.source} + {self._source()}")

    def _amended(self, found: _Found, entry: Entry, facts: Facts) -> _Found:
        if entry.discount is not None:
            factor = entry.discount
            rates = each_rate(found.rates, lambda _, listed: exactly(listed, factor))
        else:
            rates = entry.over(found.rates)
            found = self._taken(found, entry, facts)
        source = found.source
        if not source.endswith(self._source()):
            source = f"{source} + {self._source()}"
        return replace(found, rates=rates, source=source)

    @staticmethod
    def _taken(found: _Found, entry: Entry, facts: Facts) -> _Found:
        """What an entry's own rates are of: its days, and a tier that it may not name."""
        assumed = found.assumed
        if entry.tier is None and facts.tier != "standard":
            assumed += ("standard_tier",)
        return replace(
            found,
            assumed=assumed + _promise(entry, facts),
            since=entry.since or found.since,
            until=entry.promised_until or entry.until or found.until,
        )

    def _priced(self, facts: Facts, tier: str, found: _Found) -> Price:
        assumed = (*(("asked_tier",) if facts.is_tier_asked else ()), *found.assumed)
        return Price(
            source=found.source,
            model=found.model,
            tier=tier,
            scope=facts.scope,
            since=found.since,
            until=found.until,
            currency=self._currency,
            rates=found.rates,
            assumed=tuple(dict.fromkeys(assumed)),
        )


@cache
def _corrections() -> PriceFile:
    return known_corrections()


def _names(facts: Facts, listed: Listed | None) -> tuple[str, ...]:
    """What a price file may call the model: as it is, without its date, as the list does."""
    said = facts.answered or facts.asked
    names = [*list_names(said), *(undated(name) for name in list_names(said))]
    if listed is not None:
        names.append(listed.name)
    return tuple(dict.fromkeys(names))


def _foreign(facts: Facts, listed: Listed) -> str:
    """Name the list, where it is not that of who answers."""
    own = listed.seller == facts.provider
    if facts.provider == "openai" and facts.host and listed.seller == "openai":
        own = facts.host.endswith("openai.com")
    elif facts.provider == "openai" and facts.host:
        own = True
    return "" if own else f"{listed.seller}_list"


def _promise(entry: Entry, facts: Facts) -> tuple[str, ...]:
    ended = entry.promised_until is not None and facts.day >= entry.promised_until
    return ("promo_ended",) if ended else ()


def _listed_price(facts: Facts, listed: Listed | None, names: tuple[str, ...]) -> _Found | None:
    """What the list says, corrected, for the tier and the kind of deployment."""
    corrected = _corrections()
    entry = corrected.first(facts, names)
    version = list_version(current_list())
    if listed is None:
        if entry is None or not entry.is_whole:
            return None
        found = _Found(corrected.source, names[0], entry.over(Rates()))
    else:
        since, until = listed.span(facts.moment)
        standard = listed.standard(facts.moment)
        found = _Found(version, listed.name, standard, since=since, until=until)
        if entry is not None:
            found = replace(
                found,
                rates=entry.over(standard),
                source=f"{version} + {corrected.source}",
                since=entry.since or since,
                until=entry.promised_until or entry.until or until,
                assumed=_promise(entry, facts),
            )
    if found.rates.input is None and found.rates.output is None:
        return None
    rates, assumed = _of_tier(facts.tier, listed, facts.moment, found.rates)
    found = replace(found, rates=rates, assumed=(*found.assumed, *assumed))
    if facts.provider != "azure":
        return _dearer(found, residency_uplift(found.model, facts.host), "residency_uplift")
    if facts.scope is None:
        return replace(found, assumed=(*found.assumed, "global_deployment"))
    return _dearer(found, uplift(found.model, facts.scope, facts.region), "zone_uplift")


def _of_tier(
    tier: str, listed: Listed | None, when: datetime, standard: Rates
) -> tuple[Rates, tuple[str, ...]]:
    if tier == "standard":
        return standard, ()
    for context in _CONTEXTS.get(tier, ()):
        found = None if listed is None else listed.tier(context, when, standard)
        if found is not None:
            rates, is_early = found
            return rates, ("undated_tier",) if is_early else ()
    if tier in _AT_HALF:
        return each_rate(standard, lambda _, rate: exactly(rate, _HALF)), ("batch_half",)
    return standard, ("standard_tier",)


def _dearer(found: _Found, factor: Decimal, name: str) -> _Found:
    """The price with a surcharge that no list has, which the cost then names."""
    if factor == 1:
        return found
    rates = each_rate(found.rates, lambda _, rate: exactly(rate, factor))
    return replace(found, rates=rates, assumed=(*found.assumed, name))
