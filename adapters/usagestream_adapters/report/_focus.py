"""Costs in the columns of FOCUS 1.2, which tools for the costs of clouds read.

FOCUS is the FinOps Open Cost and Usage Specification. A row is a day (UTC) of one kind of token, at
one price, with the same tags. Columns about invoices are empty: what is here is what tokens cost by
list, not a bill.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from usagestream_core.cost import amount_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from usagestream_core.cost import Cost
    from usagestream_core.record import UsageRecord
    from usagestream_core.usage import Usage

__all__ = ["Focus"]

_EXACT: Final = Context(prec=120)
_UNIT: Final = Context(prec=12)
_NAMES: Final = {"openai": ("OpenAI", "OpenAI API"), "azure": ("Microsoft", "Azure OpenAI")}
_COLUMNS: Final = (
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingAccountType",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceId",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingCurrency",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "SubAccountType",
    "Tags",
    "x_Basis",
    "x_LowerBound",
    "x_Model",
    "x_Streams",
)


class _Sku(NamedTuple):
    """What the tokens of a row have in common."""

    day: date
    provider: str
    endpoint: str
    profile: str
    region: str
    deployment: str
    model: str
    sku: str
    price: str
    kind: str
    currency: str
    basis: str
    tags: str


class _Sum:
    def __init__(self) -> None:
        self.cost = Decimal(0)
        self.tokens = 0
        self.streams = 0
        self.lower_bound = False


class Focus:
    """Adds up records, and gives the rows of a FOCUS 1.2 file."""

    columns: Final = _COLUMNS

    def __init__(self) -> None:
        self._sums: dict[_Sku, _Sum] = {}
        self.unpriced = 0
        """Records without a cost: FOCUS has no way to say that one is not known, so they have no
        row."""

    def add(self, record: UsageRecord) -> None:
        """Add one."""
        cost = record.cost
        if cost is None:
            self.unpriced += 1
            return
        for kind, tokens in _tokens(record.usage, cost):
            amount: Decimal = getattr(cost, kind)
            each = self._sums.setdefault(_sku(record, cost, kind), _Sum())
            each.cost = _EXACT.add(each.cost, amount)
            each.tokens += tokens
            each.streams += 1
            each.lower_bound = each.lower_bound or cost.lower_bound

    def rows(self) -> Iterator[dict[str, Any]]:
        """Each row, in the order of days."""
        for sku in sorted(self._sums):
            yield _row(sku, self._sums[sku])


def _tokens(usage: Usage, cost: Cost) -> Iterator[tuple[str, int]]:
    """The kinds of token that cost has parts of, and how many: each token is of one kind."""
    read = usage.cache_read_tokens or 0
    write = usage.cache_write_tokens or 0
    heard, seen = usage.input_audio_tokens or 0, usage.input_image_tokens or 0
    spoken = usage.output_audio_tokens or 0
    counts = {
        "input": (usage.input_tokens or 0) - read - write - heard - seen,
        "cache_read": read,
        "cache_write": write,
        "input_audio": heard,
        "input_image": seen,
        "output": (usage.output_tokens or 0) - spoken,
        "output_audio": spoken,
    }
    for kind, count in counts.items():
        amount: Decimal | None = getattr(cost, kind)
        if amount is not None and (amount or count > 0):
            yield kind, max(count, 0)


def _sku(record: UsageRecord, cost: Cost, kind: str) -> _Sku:
    price = cost.price
    words = (price.source, price.model, price.tier, price.scope, price.since)
    return _Sku(
        day=record.started_at.astimezone(UTC).date(),
        provider=record.provider,
        endpoint=record.endpoint or record.provider,
        profile=record.profile or "",
        region=record.region or "",
        deployment=record.deployment or "",
        model=record.model,
        sku=price.model,
        price=" / ".join(str(word) for word in words if word is not None),
        kind=kind,
        currency=cost.currency,
        basis=cost.basis.value,
        tags=json.dumps(record.tags, sort_keys=True),
    )


def _row(sku: _Sku, each: _Sum) -> dict[str, Any]:
    who, service = _NAMES.get(sku.provider, (sku.provider, sku.provider))
    month = sku.day.replace(day=1)
    cost = amount_text(each.cost)
    quantity = f"{each.tokens}.0"  # a decimal, for those who tell a column's type by its cells
    unit = amount_text(_UNIT.divide(each.cost, Decimal(each.tokens))) if each.tokens else None
    known: dict[str, Any] = {
        "BilledCost": cost,
        "BillingAccountId": sku.endpoint,
        "BillingCurrency": sku.currency,
        "BillingPeriodEnd": _midnight((month + timedelta(days=31)).replace(day=1)),
        "BillingPeriodStart": _midnight(month),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{sku.sku}, {sku.kind} tokens",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": _midnight(sku.day + timedelta(days=1)),
        "ChargePeriodStart": _midnight(sku.day),
        "ConsumedQuantity": quantity,
        "ConsumedUnit": "Tokens",
        "ContractedCost": cost,
        "ContractedUnitPrice": unit,
        "EffectiveCost": cost,
        "InvoiceIssuerName": who,
        "ListCost": cost,
        "ListUnitPrice": unit,
        "PricingCategory": "Standard",
        "PricingCurrency": sku.currency,
        "PricingQuantity": quantity,
        "PricingUnit": "Tokens",
        "ProviderName": who,
        "PublisherName": who,
        "RegionId": sku.region or None,
        "RegionName": sku.region or None,
        "ResourceId": sku.deployment or None,
        "ResourceName": sku.deployment or None,
        "ResourceType": "Deployment" if sku.deployment else None,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": service,
        "ServiceSubcategory": "Generative AI",
        "SkuId": sku.sku,
        "SkuMeter": sku.kind,
        "SkuPriceId": sku.price,
        "SubAccountId": sku.profile or None,
        "SubAccountName": sku.profile or None,
        "SubAccountType": "Profile" if sku.profile else None,
        "Tags": sku.tags,
        "x_Basis": sku.basis,
        "x_LowerBound": each.lower_bound,
        "x_Model": sku.model,
        "x_Streams": each.streams,
    }
    return {name: known.get(name) for name in _COLUMNS}


def _midnight(day: date) -> str:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
