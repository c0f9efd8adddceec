"""From a record to its cost: who looks prices up, and how records are priced anew."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, cast, runtime_checkable

from .cost import Cost, Price, cost_of
from .errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .record import UsageRecord

__all__ = ["CostOf", "Pricer", "PricerChoice", "costs_by", "find_pricer", "reprice"]

ENTRY_POINT_GROUP: Final = "usagestream.pricers"


@runtime_checkable
class Pricer(Protocol):
    """Knows prices. The sum is not its business: see `cost_of`."""

    def price(self, record: UsageRecord) -> Price | None:
        """The price of what this record is of, on the day it began; `None` where none is known.

        Called where a stream ends, so it must be quick, from any thread, and asks nobody over a
        network. The record has no cost yet.
        """
        ...


PricerChoice: TypeAlias = Pricer | Literal["auto"] | None
"""A pricer of your own, the installed one, or none: then records have no cost."""

CostOf: TypeAlias = "Callable[[UsageRecord], Cost | None]"
"""What gives a record its cost."""


def find_pricer(choice: PricerChoice = "auto", configuration: object = None) -> Pricer | None:
    """Give the pricer that is meant; `None` where none is installed and no price file is there.

    `configuration` is what the one who asks has looked at already, for the price file; what is in
    force now if `None`. The price file is read and checked now; a price list is loaded with the
    first price. Raises `ConfigError` for a price file that is wrong, and for something that knows
    no prices.
    """
    if choice is None:
        return None
    if choice == "auto":
        made = (make(configuration) for make in _installed_pricers())
        return next((pricer for pricer in made if pricer is not None), None)
    pricer: Any = choice
    if isinstance(pricer, Pricer) and not isinstance(pricer, str | type):
        return pricer
    raise ConfigError(f"pricer must be 'auto', None, or have price(record), unlike {choice!r}")


@cache
def _installed_pricers() -> tuple[Callable[[Any], Pricer | None], ...]:
    from importlib.metadata import entry_points  # loaded where it is needed: it is slow

    entries = sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda found: found.name)
    return tuple(cast("Callable[[Any], Pricer | None]", entry.load()) for entry in entries)


def costs_by(pricer: Pricer | None) -> CostOf | None:
    """Say what a record cost, by the prices of this pricer."""
    if pricer is None:
        return None

    def cost(record: UsageRecord) -> Cost | None:
        usage = record.usage
        if usage.input_tokens is None and usage.output_tokens is None:
            return None
        price = pricer.price(record)
        return None if price is None else cost_of(usage, price)

    return cost


def reprice(
    records: Iterable[UsageRecord],
    *,
    pricer: PricerChoice = "auto",
    since: date | None = None,
) -> Iterator[UsageRecord]:
    """Price records anew, by the price of the day each began, and give them in their order.

    A record whose cost changes has the new one as `cost`, and the old one at the end of
    `earlier_costs`. One that has no price now keeps its cost, as do those that began before `since`
    (a day or a time; without a zone, in UTC) and those that cost the same: they come back as they
    are.

    Raises `ConfigError` where there is no pricer.
    """
    costs = costs_by(find_pricer(pricer))
    if costs is None:
        raise ConfigError('There are no prices here: pip install "usagestream[prices]".')
    start = None if since is None else _moment(since)
    return (_repriced(record, costs, start) for record in records)


def _repriced(record: UsageRecord, costs: CostOf, start: datetime | None) -> UsageRecord:
    if start is not None and _moment(record.started_at) < start:
        return record
    new = costs(record)
    if new is None or new == record.cost:
        return record
    old = () if record.cost is None else (record.cost,)
    return record.model_copy(update={"cost": new, "earlier_costs": (*record.earlier_costs, *old)})


def _moment(day: date) -> datetime:
    if not isinstance(day, datetime):
        day = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return day if day.tzinfo is not None else day.replace(tzinfo=UTC)
