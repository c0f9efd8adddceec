"""What of a record decides its price."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from ._names import region_name

if TYPE_CHECKING:
    from usagestream_core.cost import Scope
    from usagestream_core.record import UsageRecord

__all__ = ["Facts", "facts_of"]

_STANDARD: Final = ("default", "standard")
_UNSAID: Final = ("", "auto")


@dataclass(frozen=True, slots=True)
class Facts:
    """Hashable, so that a price is looked up once for all records that have these in common."""

    provider: str
    host: str
    """Without a port; empty where it is not known."""
    answered: str
    """The model that answered; empty where it never said."""
    asked: str
    deployment: str | None
    """The one that served."""
    profile: str | None
    tier: str
    is_tier_asked: bool
    """Whether the tier is what was asked for, since the answer names none."""
    scope: Scope | None
    region: str | None
    provisioned: bool
    spilled_over: bool
    moment: datetime
    """When it began, to the half hour: some prices are of a time of day."""

    @property
    def day(self) -> date:
        """The day it began, in UTC."""
        return self.moment.date()


def facts_of(record: UsageRecord) -> Facts:
    """Read a record as a price list does."""
    began = record.started_at
    began = began.replace(tzinfo=UTC) if began.tzinfo is None else began.astimezone(UTC)
    served = (record.service_tier or "").lower()
    asked = (record.service_tier_asked or "").lower()
    is_tier_asked = served in _UNSAID and asked not in (*_UNSAID, *_STANDARD)
    tier = asked if is_tier_asked else served
    spilled_over = bool(record.spillover)
    return Facts(
        provider=record.provider.lower(),
        host=(record.endpoint or "").rpartition("@")[2].partition(":")[0].lower(),
        answered=record.response_model or "",
        asked=record.model,
        deployment=record.spillover.get("x-ms-deployment-name", record.deployment),
        profile=record.profile,
        tier="standard" if tier in (*_UNSAID, *_STANDARD) else tier,
        is_tier_asked=is_tier_asked,
        scope=record.scope,
        region=region_name(record.region),
        provisioned=record.provisioned and not spilled_over,
        spilled_over=spilled_over,
        moment=began.replace(minute=began.minute // 30 * 30, second=0, microsecond=0),
    )
