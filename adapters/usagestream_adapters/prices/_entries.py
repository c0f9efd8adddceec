"""One entry of a price file: which records it is for, and what it says of their price."""

from __future__ import annotations

from datetime import date
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Final, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from usagestream_core.cost import LongContext, Rate, Rates, Scope

from ._names import region_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from ._facts import Facts

__all__ = ["CONDITIONS", "Entry", "FileRate", "LongEntry"]

CONDITIONS: Final = ("provider", "model", "deployment", "profile", "tier", "scope", "region")

FileRate: TypeAlias = Annotated[Rate, Field(max_digits=30, decimal_places=15)]
"""A rate as somebody writes one: a slip in an exponent would make every sum as long as it says."""

_RATES: Final = tuple(name for name in Rates.model_fields if name != "long_context")


class _RateFields(BaseModel, frozen=True):
    model_config = ConfigDict(extra="forbid")

    input: FileRate | None = None
    output: FileRate | None = None
    cache_read: FileRate | None = None
    cache_write: FileRate | None = None
    cache_write_12h: FileRate | None = None
    input_audio: FileRate | None = None
    cache_read_audio: FileRate | None = None
    output_audio: FileRate | None = None
    input_image: FileRate | None = None
    cache_read_image: FileRate | None = None

    @property
    def named(self) -> dict[str, object]:
        """The rates that are named."""
        rates = {name: getattr(self, name) for name in _RATES}
        return {name: rate for name, rate in rates.items() if rate is not None}


class LongEntry(_RateFields, frozen=True):
    """`long_context` of an entry: the same rates, past so many input tokens."""

    above: int = Field(gt=0)

    def as_rates(self) -> LongContext:
        """The same, as a price has it."""
        return LongContext(above=self.above, rates=Rates.model_validate(self.named))


class Entry(_RateFields, frozen=True):
    """`[[price]]`: conditions, of which each that is named must hold, and a price."""

    model_config = ConfigDict(extra="forbid", validate_by_name=False, validate_by_alias=True)

    provider: str | None = None
    model: str | None = None
    """By any of its names; `*` stands for anything."""
    deployment: str | None = None
    profile: str | None = None
    tier: str | None = None
    scope: Scope | None = None
    region: str | None = None
    since: date | None = Field(default=None, alias="from")
    """The first day (UTC)."""
    until: date | None = None
    """The first day after."""

    long_context: LongEntry | None = None
    discount: Annotated[FileRate, Field(gt=0, le=1)] | None = None
    """The part of the list price that is paid: `"0.93"` for 7 % off."""
    provisioned: bool = False
    """Tokens are paid for by the hour."""
    hourly: FileRate | None = None
    """What a unit costs an hour: shown, and never in a record's cost."""
    units: int | None = Field(default=None, gt=0)
    promised_until: date | None = None
    """The first day for which nobody has promised this price: costs say `promo_ended` from then on.
    """

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        kinds = {
            "rates": bool(self.named) or self.long_context is not None,
            "a discount": self.discount is not None,
            "provisioned": self.provisioned,
        }
        said = [name for name, given in kinds.items() if given]
        if len(said) > 1:
            raise ValueError(f"{' and '.join(said)} are given: an entry says one of them")
        if not said and self.promised_until is None:
            raise ValueError("says no price: give rates, a discount, or provisioned = true")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError(f"ends on {self.until}, which is not after it begins, {self.since}")
        if (self.hourly is not None or self.units is not None) and not self.provisioned:
            raise ValueError("hourly and units are of an entry with provisioned = true")
        return self

    @property
    def is_whole(self) -> bool:
        """Whether the list is not needed. What a whole price does not name, it does not have."""
        return self.input is not None and self.output is not None

    @property
    def conditions(self) -> tuple[str | None, ...]:
        """What it is for, to be compared with another's."""
        return tuple(
            value.lower() if isinstance(value := getattr(self, name), str) else value
            for name in CONDITIONS
        )

    def overlaps(self, other: Entry) -> bool:
        """Whether both are for the same, on some day."""
        if self.conditions != other.conditions:
            return False
        first, last = date.min, date.max
        return (self.since or first) < (other.until or last) and (other.since or first) < (
            self.until or last
        )

    def holds(self, facts: Facts, names: Collection[str]) -> bool:
        """Whether it is for this record, whose model has these names."""
        day = facts.day
        return (
            (self.since is None or self.since <= day)
            and (self.until is None or day < self.until)
            and (self.provider is None or self.provider.lower() == facts.provider)
            and (self.tier is None or self.tier.lower() == facts.tier)
            and (self.scope is None or self.scope == facts.scope)
            and (self.profile is None or self.profile == facts.profile)
            and (self.deployment is None or self.deployment == facts.deployment)
            and (self.region is None or region_name(self.region) == facts.region)
            and (self.model is None or any(fnmatchcase(n, self.model.lower()) for n in names))
            and not (self.provisioned and facts.spilled_over)
        )

    def over(self, listed: Rates) -> Rates:
        """The rates that it names, and the list's own for the rest; a whole price stands alone."""
        update = self.named
        if self.long_context is not None:
            update["long_context"] = self.long_context.as_rates()
        if self.is_whole:
            return Rates.model_validate(update)
        return listed.model_copy(update=update)
