"""How long something took, of many: a histogram that stays small however many there are."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from itertools import accumulate
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Latencies", "bucket_of"]

_STEPS: Final = 16
"""Buckets in which a duration doubles: a value is off by 2.2 % at most."""


def bucket_of(microseconds: int) -> int:
    """The bucket of a duration; what takes less than a microsecond is in the first, 0."""
    return math.floor(math.log2(max(microseconds, 1)) * _STEPS)


class Latencies:
    """Durations, counted by their logarithm: any number of them in some hundred buckets at most.

    The same durations give the same quantiles in whatever order and pieces they are added.
    """

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def merge(self, counts: Mapping[int, int]) -> None:
        """Add many: how many there are by bucket, as `bucket_of` gives it."""
        self._counts.update(counts)

    @property
    def counts(self) -> dict[int, int]:
        """How many there are, by bucket."""
        return dict(sorted(self._counts.items()))

    def quantile(self, share: float) -> float | None:
        """Seconds that so large a share of them took at most, within 2.2 %; `None` of none."""
        (found,) = self.quantiles(share)
        return found

    def quantiles(self, *shares: float) -> list[float | None]:
        """The same of several shares."""
        buckets = sorted(self._counts)
        if not buckets:
            return [None] * len(shares)
        totals = list(accumulate(map(self._counts.__getitem__, buckets)))
        found = (bisect_left(totals, math.ceil(totals[-1] * share)) for share in shares)
        return [float(f"{2 ** ((buckets[at] + 0.5) / _STEPS) / 1e6:.3g}") for at in found]
