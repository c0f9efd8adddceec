"""What is a count, and where counts are: one rule for both APIs, streamed or not."""

from __future__ import annotations

import math
import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from usagestream_core.json_types import Json, is_array, is_object

__all__ = ["FoundUsage", "count_in", "find_usage", "read_counts"]

_MOST: Final = 2**63 - 1
"""What ledgers, databases and other languages can hold."""


def count_in(value: object) -> tuple[int | None, bool]:
    """Give the count that a value of the wire is meant to be, and whether it came in good order.

    An integer, also as `3.0`, is one as it is, a negative one too: what is reported is passed on. A
    fraction is rounded and a number in a string is read, neither in good order. `None` for what is
    no number, is not finite, or does not fit into 64 bits.
    """
    if type(value) is int:
        return (value, True) if abs(value) <= _MOST else (None, False)
    number: Decimal
    if type(value) is float and math.isfinite(value):
        number = Decimal(str(value))
    elif type(value) is str and len(value) < 40:
        try:
            number = Decimal(value.strip())
        except InvalidOperation:
            return None, False
    else:
        return None, value is None
    if not number.is_finite() or abs(number) > _MOST:
        return None, False
    whole = int(number.to_integral_value(ROUND_HALF_UP))
    return whole, type(value) is float and whole == number


class FoundUsage(NamedTuple):
    """A usage as it was sent, and what it says."""

    counts: dict[str, int]
    wire: dict[str, Any] | None
    odd: str | None
    """What was in no good order; `None` where nothing was."""


_NOTHING: Final = FoundUsage({}, None, None)


def find_usage(*places: Json) -> FoundUsage:
    """Read the usage that is in the first of these places that says how much it was.

    Zeros or nulls in one hide nothing that another one says. A usage may be an object, or a list
    with one in it; of what is neither, there is only to say that it was sent.
    """
    found = _NOTHING
    for place in places:
        if not place or (found.wire is not None and any(found.counts.values())):
            continue
        odd: list[str] = []
        usage: Json = place[0] if is_array(place) and len(place) == 1 else place
        if is_object(usage):
            counts = read_counts(usage, odd)
            if any(counts.values()) or (not found.counts and (counts or odd)):
                found = FoundUsage(counts, usage, "; ".join(odd) or None)
        elif found is _NOTHING:
            found = FoundUsage({}, None, f"usage was sent as {place!r}"[:80])
    return found


_INPUT: Final = {
    "cached_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "audio_tokens": "input_audio_tokens",
    "image_tokens": "input_image_tokens",
    "text_tokens": "input_text_tokens",
}
_OUTPUT: Final = {
    "reasoning_tokens": "reasoning_tokens",
    "audio_tokens": "output_audio_tokens",
    "text_tokens": "output_text_tokens",
    "accepted_prediction_tokens": "accepted_prediction_tokens",
    "rejected_prediction_tokens": "rejected_prediction_tokens",
}
_LIFETIMES: Final = {
    "ttl_30m_tokens": "cache_write_30m_tokens",
    "ttl_12h_tokens": "cache_write_12h_tokens",
}
_WHOLES: Final = (
    {"prompt_tokens": "input_tokens", "input_tokens": "input_tokens"},
    {"completion_tokens": "output_tokens", "output_tokens": "output_tokens"},
    {"total_tokens": "total_tokens"},
)
_DETAILS: Final = {
    "prompt_tokens_details": _INPUT,
    "input_tokens_details": _INPUT,
    "completion_tokens_details": _OUTPUT,
    "output_tokens_details": _OUTPUT,
}
_HUMP: Final = re.compile(r"(?<=[a-z])[A-Z]")


def read_counts(usage: dict[str, Any], odd: list[str] | None = None) -> dict[str, int]:
    """Read a wire usage object into `Usage` field names, leaving out what is null or no count.

    Names as in OpenAI's `CompletionUsage` and `ResponseUsage`, of which some servers send the one
    where the other belongs, or both; Azure's are the same (WIRE §1.3, §4). Other servers' own keys
    stay in the record's `wire_usage`. What was not in good order is named in `odd`, as it was sent.
    """
    counts: dict[str, int] = {}
    for names in _WHOLES:
        _read_fields(usage, names, counts, odd)
    for name, fields in _DETAILS.items():
        details: Json = usage.get(name)
        if type(details) is dict:
            _read_fields(details, fields, counts, odd)
            lifetimes: Json = details.get("cache_write_tokens_details")
            if type(lifetimes) is dict:
                _read_fields(lifetimes, _LIFETIMES, counts, odd)
    if not (counts or odd) and (renamed := _without_humps(usage)).keys() != usage.keys():
        return read_counts(renamed, odd)
    return counts


def _without_humps(value: Any) -> Any:
    """The same with `promptTokens` as `prompt_tokens`, where the servers' own names are so."""
    if not is_object(value):
        return value
    return {
        _HUMP.sub(lambda hump: f"_{hump[0].lower()}", name): _without_humps(each)
        for name, each in value.items()
    }


def _read_fields(
    source: dict[str, Any], fields: dict[str, str], into: dict[str, int], odd: list[str] | None
) -> None:
    """Read counts by their names on the wire; of two names for one, the first that is no zero."""
    for name, field in fields.items():
        value = source.get(name)
        if value is None:
            continue
        count: int | None = value
        if type(value) is not int or not -_MOST <= value <= _MOST:
            count, in_order = count_in(value)
            if odd is not None and not in_order:
                odd.append(f"{field} was sent as {value!r}"[:80])
        if count is not None and not into.get(field):
            into[field] = count
