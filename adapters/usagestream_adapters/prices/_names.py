"""Names: of models as lists call them, of tiers, of regions; and what a region makes of a price."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from usagestream_core.cost import Scope

__all__ = ["is_version_of", "list_names", "region_name", "residency_uplift", "undated", "uplift"]

_DATE: Final = re.compile(r"-20\d{2}-\d{2}-\d{2}$")
_COMPACT_DATE: Final = re.compile(r"-(20\d{2})(\d{2})(\d{2})(?=$|:)")
_VERSION: Final = re.compile(r"(-preview)?(-\d{4}-\d{2}-\d{2}|-\d{8}|-\d{4}|-latest)?")
_PREFIXES: Final = ("openai/", "azure/")
"""What gateways to several providers put before a name."""
_AZURE_FINE_TUNED: Final = re.compile(r"^(?P<base>.+)\.ft-[^.]*$")

_REGIONAL_FROM_THE_START: Final = re.compile(r"gpt-(3\.5|35|4)(-|$)")
"""Models that Azure sold by region before there were global deployments: no surcharge."""

_DEAR_ABROAD: Final = re.compile(r"gpt-(6|[7-9]|\d\d)(\.\d+)?(-|$)")
"""Models whose data zones outside the US cost a fifth more, rather than a tenth."""

_US: Final = re.compile(r"us\d?(euap)?$")
_EUROPE: Final = re.compile(
    r"europe|uk(south|west)|france|germany|italy|norway|poland|spain|sweden|switzerland"
)


_RESIDENT: Final = re.compile(r"[a-z]{2}\.api\.openai\.com")
"""Addresses of OpenAI's that keep data in a country or region."""

_SINCE_MARCH_2026: Final = re.compile(r"(ft:)?gpt-(5\.[4-9]|[6-9]|\d\d|realtime-2)(\.\d+)?(-|$)")


def residency_uplift(model: str, host: str) -> Decimal:
    """What a model costs at an address of OpenAI's that keeps data in place, of what it costs else.

    "A 10% uplift for models released on or after March 5, 2026" (OpenAI's price list, 2026-11),
    whatever the tier.
    """
    is_dearer = _RESIDENT.fullmatch(host) and _SINCE_MARCH_2026.match(model)
    return Decimal("1.1") if is_dearer else Decimal(1)


def list_names(model: str) -> tuple[str, ...]:
    """What a price list may call this model, the nearest first.

    Azure writes `gpt-35-turbo`, and a fine-tuned model as its base with `.ft-` and an id; OpenAI
    writes `ft:` before the base, and the organisation behind it.
    """
    name = model.lower().strip()
    names = [name, *(name.removeprefix(maker) for maker in _PREFIXES if name.startswith(maker))]
    found = _AZURE_FINE_TUNED.match(name)
    if found:
        names.append(f"ft:{found['base']}")
    names += [each.replace("gpt-35-", "gpt-3.5-") for each in names]
    names += [_COMPACT_DATE.sub(r"-\1-\2-\3", each) for each in names]
    return tuple(dict.fromkeys(names))


def undated(name: str) -> str:
    """The name without a date at its end: what a newer version of the same model costs."""
    return _DATE.sub("", name)


def is_version_of(name: str, listed: str) -> bool:
    """Whether a name that a list found by its beginning is that model, rather than its sibling."""
    if name.startswith("ft:") or ".ft-" in name:
        return True
    return name.startswith(listed) and _VERSION.fullmatch(name[len(listed) :]) is not None


def region_name(region: str | None) -> str | None:
    """`East US 2` as `eastus2`."""
    return None if region is None else re.sub(r"[^a-z0-9]", "", region.lower())


def uplift(model: str, scope: Scope, region: str | None) -> Decimal:
    """What a deployment in a data zone or a region costs, as a multiple of a global one.

    By Azure's retail prices of 2026-08-11, and lists made of later ones: a tenth more in most
    cases, a fifth more in the data zones of Asia and the Pacific and, for the newest models,
    everywhere outside the US; 37.5 % more in government clouds. `region` is by `region_name`; one
    that is not known counts as the US.
    """
    if scope == "global" or _REGIONAL_FROM_THE_START.match(model):
        return Decimal(1)
    if not region or _US.search(region):
        return Decimal("1.1")
    if region.startswith(("usgov", "usdod")):
        return Decimal("1.375")
    is_far = scope == "data-zone" and not _EUROPE.search(region)
    return Decimal("1.2") if is_far or _DEAR_ABROAD.match(model) else Decimal("1.1")
