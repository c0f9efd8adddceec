"""What is a count: the one rule for both APIs, streamed, tracked or asked for afterwards."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final

__all__ = ["count_in", "read_fields"]

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


def read_fields(
    source: dict[str, Any],
    fields: dict[str, str],
    into: dict[str, int],
    odd: list[str] | None = None,
) -> None:
    """Read counts by their names on the wire, leaving out what is null or no count.

    What was not in good order is named in `odd`, with its value as it was sent.
    """
    for name, field in fields.items():
        value = source.get(name)
        if type(value) is int and -_MOST <= value <= _MOST:
            into[field] = value
        elif value is not None:
            count, in_order = count_in(value)
            if count is not None:
                into[field] = count
            if odd is not None and not in_order:
                odd.append(f"{field} was sent as {value!r}"[:80])
