"""The price list of genai-prices, as rates. Its sums are not used.

They are wrong where it has no rate of a kind, where a tier is older than its record of it, and for
tiers of a model that one provider sells and another made.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from usagestream_core.cost import LongContext, Rates, exactly

from ._names import is_version_of, list_names, undated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import date, datetime

    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, PriceVariant, Provider

__all__ = ["Listed", "current_list", "find_listed", "list_version", "listed_models"]

_KEYS: Final = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "input_audio": "input_audio_mtok",
    "cache_read_audio": "cache_audio_read_mtok",
    "output_audio": "output_audio_mtok",
    "input_image": "input_image_mtok",
    "cache_read_image": "cache_image_read_mtok",
}

_LONGER_LIFE: Final = Decimal(2)
"""A cache write that is kept for 12 hours costs twice one that is kept for 30 minutes, for every
model that OpenAI sells them with (its price list of 2026-11)."""

_UNLIKELY: Final = "-which-nobody-sells"


def current_list() -> DataSnapshot:
    """The list in force: the installed one, or what the program put in its place.

    Loads genai-prices, which takes some tenths of a second the first time; `ImportError` where it
    is not installed.
    """
    from genai_prices import data_snapshot

    return data_snapshot.get_snapshot()


def list_version(snapshot: DataSnapshot) -> str:
    """Which list it is: the package's version, and the day of an update over the network."""
    from genai_prices import __version__

    updated = f", updated {snapshot.timestamp:%Y-%m-%d}" if snapshot.from_auto_update else ""
    return f"genai-prices {__version__}{updated}"


@dataclass(frozen=True, slots=True)
class Listed:
    """A model on the list."""

    name: str
    """As the list calls it."""
    seller: str
    """Whose list: that of the provider who answers, or of another that makes the model."""
    info: ModelInfo
    variants: tuple[PriceVariant, ...]
    """Prices of tiers; those of the model's maker where the seller has none."""
    is_undated: bool
    """Whether it was found without the date in its name."""

    def standard(self, when: datetime) -> Rates:
        """The rates of the standard tier."""
        return _rates(self.info.get_prices(when))

    def span(self, when: datetime) -> tuple[date | None, date | None]:
        """The first day of the standard price, and the first day after it, where they are known."""
        prices = self.info.prices if isinstance(self.info.prices, list) else []
        dates = [_start(each.constraint) for each in prices]
        starts = [start for start in dates if start is not None]
        day = when.date()
        since = max((start for start in starts if start <= day), default=None)
        return since, min((start for start in starts if start > day), default=None)

    def tier(
        self, context: Mapping[str, str], when: datetime, standard: Rates
    ) -> tuple[Rates, bool] | None:
        """The rates of a tier, and whether they are dated later than `when`; `None` for none.

        They are taken in the proportion that they have, on the list, to the standard rates of the
        same day: `standard` is what these really are. A tier that differs in nothing has them too.
        """
        for variant in self.variants:
            if variant.when != context:
                continue
            rates = _rates(variant.prices)
            start = _start(variant.constraint)
            early = start is not None and when.date() < start
            if rates == Rates():
                return standard, early
            beside = when
            if start is not None and early:
                beside = when.replace(year=start.year, month=start.month, day=start.day)
            return _scaled(rates, standard, self.standard(beside)), early
        return None


def _start(constraint: object) -> date | None:
    """The first day of a price, where it has one."""
    start: date | None = getattr(constraint, "start_date", None)
    return start


def _scaled(rates: Rates, now: Rates, then: Rates) -> Rates:
    """Rates of a tier, in the proportion of one standard price to another."""
    if now == then:
        return rates

    def scale(name: str, rate: Decimal) -> Decimal:
        before, after = getattr(now, name), getattr(then, name)
        if before is None or not after or before == after:
            return rate
        changed: Decimal = exactly(rate, before) / after
        return changed

    return each_rate(rates, scale)


def each_rate(rates: Rates, change: Callable[[str, Decimal], Decimal]) -> Rates:
    """The rates with each changed, those of a long context too."""
    update: dict[str, Any] = {
        name: change(name, rate)
        for name in _KEYS | {"cache_write_12h": ""}
        if (rate := getattr(rates, name)) is not None
    }
    if rates.long_context is not None:
        inner = each_rate(rates.long_context.rates, change)
        update["long_context"] = LongContext(above=rates.long_context.above, rates=inner)
    return Rates.model_validate(update)


def find_listed(snapshot: DataSnapshot, provider: str, host: str, model: str) -> Listed | None:
    """Find a model among what its provider sells, or else among what others make.

    Names are matched whole. A version that the list does not have is taken for the model without
    its date.
    """
    sellers = tuple(_sellers(snapshot, provider, host))
    names = list_names(model)
    for tried in (names, tuple(dict.fromkeys(undated(name) for name in names))):
        for seller in sellers:
            info = _match(seller, tried)
            if info is not None:
                return Listed(
                    name=info.id,
                    seller=seller.id,
                    info=info,
                    variants=_variants(info, tried, sellers),
                    is_undated=tried is not names,
                )
    return None


def listed_models(snapshot: DataSnapshot, provider: str) -> list[str]:
    """The names of the models that a provider sells or makes, as the list calls them."""
    return [info.id for seller in _sellers(snapshot, provider, "") for info in seller.models]


def _sellers(snapshot: DataSnapshot, provider: str, host: str) -> Iterator[Provider]:
    """Whose lists to look at, the nearest first: by the address, by name, then the makers."""
    found = _by_address(snapshot, host) if provider == "openai" else None
    by_id = {each.id: each for each in snapshot.providers}
    found = found or by_id.get(provider)
    if found is None:
        return
    yield found
    for maker in found.fallback_model_providers or ():
        if maker in by_id:
            yield by_id[maker]


def _by_address(snapshot: DataSnapshot, host: str) -> Provider | None:
    """Who answers at an address, where others speak OpenAI's wire."""
    import re

    address = f"https://{host}"
    return next((p for p in snapshot.providers if host and re.match(p.api_pattern, address)), None)


def _match(seller: Provider, names: tuple[str, ...]) -> ModelInfo | None:
    for name in names:
        for info in seller.models:
            if info.is_match(name) and (
                not info.is_match(name + _UNLIKELY) or is_version_of(name, info.id)
            ):
                return info
    return None


def _variants(
    info: ModelInfo, names: tuple[str, ...], sellers: tuple[Provider, ...]
) -> tuple[PriceVariant, ...]:
    own = tuple(info.price_variants or ())
    if own:
        return own
    others = (_match(seller, names) for seller in sellers)
    return next((tuple(m.price_variants) for m in others if m and m.price_variants), ())


def _rates(price: ModelPrice) -> Rates:
    values: dict[str, Any] = {name: getattr(price, key) for name, key in _KEYS.items()}
    starts = [tier.start for value in values.values() for tier in getattr(value, "tiers", ())]
    base = {name: getattr(value, "base", value) for name, value in values.items()}
    if not starts:
        return _with_long_life(base)
    above = min(starts)
    long = {name: _past(value, above) for name, value in values.items()}
    return _with_long_life({**base, "long_context": (above, _known(long))})


def _past(value: Any, tokens: int) -> Decimal | None:
    """The price past so many input tokens."""
    tiers = [tier.price for tier in getattr(value, "tiers", ()) if tier.start <= tokens]
    price: Decimal | None = tiers[-1] if tiers else getattr(value, "base", value)
    return price


def _known(rates: dict[str, Any]) -> dict[str, Any]:
    write = rates.get("cache_write")
    long_lived = {} if write is None else {"cache_write_12h": exactly(write, _LONGER_LIFE)}
    return {**{name: rate for name, rate in rates.items() if rate is not None}, **long_lived}


def _with_long_life(rates: dict[str, Any]) -> Rates:
    return Rates.model_validate(_known(rates))
