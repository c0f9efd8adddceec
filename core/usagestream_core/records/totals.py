"""Adding up what several streams and calls used, and what they cost."""

from __future__ import annotations

from collections import Counter, deque
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from ..cost import amount_text
from ..locks import ForkSafeLock
from ..record import Outcome, UsageRecord
from ..usage import COUNT_FIELDS, Usage, UsageSource

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextvars import Context

    from ..cost import Cost

__all__ = ["CostTotal", "Tally", "UsageTotal", "totals_in", "track_usage", "was_refused"]


class Tally:
    """The sum of usages of one source."""

    def __init__(self, source: UsageSource) -> None:
        self._source = source
        self._sums: Counter[str] = Counter()
        self._known: Counter[str] = Counter()
        self._lower_bound = False
        self.count = 0
        """How many usages were added."""

    def add(self, usage: Usage) -> None:
        """Add one, of whose counts any may be unknown."""
        self.count += 1
        self._lower_bound = self._lower_bound or usage.lower_bound
        for name in COUNT_FIELDS:
            value = getattr(usage, name)
            if value is not None:
                self._sums[name] += value
                self._known[name] += 1

    @property
    def usage(self) -> Usage:
        """The sums. A count that no usage had is `None`, and never 0."""
        if not self.count:
            return Usage()
        return Usage.model_validate(
            {**self._sums, "source": self._source, "lower_bound": self._lower_bound}
        )

    @property
    def partial(self) -> frozenset[str]:
        """Names of counts that some usages had and others had not: their sums are too low."""
        return frozenset(name for name, known in self._known.items() if known < self.count)


_OTHER_VALUES: Final = "(others)"
_MOST_VALUES: Final = 10_000


class CostTotal:
    """The sum of costs in one currency: what was reported and what was estimated, never mixed.

    An amount is `None` until there is a cost of its kind, and never 0 for what nobody knows.
    """

    def __init__(self) -> None:
        self.currency: str | None = None
        """That of the first cost; `None` until there is one."""
        self.reported: Decimal | None = None
        """What tokens cost that the provider reported."""
        self.estimated: Decimal | None = None
        """What tokens cost that were counted here."""
        self.unpriced = 0
        """Records that may have been billed, and have no cost: no price, or no count, is known."""
        self.lower_bound = False
        """Whether one of the costs is a lower bound, so that the sum is one."""
        self.assumed: Counter[str] = Counter()
        """How many costs assumed what: see `Cost.assumed`."""
        self.other_currencies: dict[str, CostTotal] = {}
        """Costs in other currencies than the first, by code; theirs are empty."""

    def add(self, cost: Cost | None) -> None:
        """Add one; `None` for a record that has none."""
        if cost is None:
            self.unpriced += 1
            return
        self.currency = self.currency or cost.currency
        if cost.currency != self.currency:
            self.other_currencies.setdefault(cost.currency, CostTotal()).add(cost)
            return
        if cost.basis is UsageSource.REPORTED:
            self.reported = (self.reported or Decimal(0)) + cost.total
        else:
            self.estimated = (self.estimated or Decimal(0)) + cost.total
        self.lower_bound = self.lower_bound or cost.lower_bound
        self.assumed.update(cost.assumed)

    def __str__(self) -> str:
        """As `0.0123 USD reported, 0.004 USD estimated, 2 unpriced`."""
        sums = {"reported": self.reported, "estimated": self.estimated}
        parts = [
            f"{amount_text(amount)} {self.currency} {name}"
            for name, amount in sums.items()
            if amount is not None
        ]
        parts += [str(other) for other in self.other_currencies.values()]
        parts += [f"{self.unpriced} unpriced"] if self.unpriced else []
        return ", ".join(parts)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"


class UsageTotal:
    """What the streams and calls of one model used and cost, or of all: live, safe to share.

    `reported` and `estimated` are never mixed, and what is unknown is counted and not guessed at::

        print(total)            # 5 records: 120 in, 30 out reported; 3 unmeasured; 0.01 USD ...
        total.reported.usage    # a Usage
        total.cost.reported     # a Decimal
    """

    def __init__(self) -> None:
        self._busy = ForkSafeLock()
        self._incoming: deque[UsageRecord] = deque()
        self._models: dict[str, UsageTotal] = {}
        self._tags: dict[str, dict[str, UsageTotal]] = {}
        self.cost = CostTotal()
        """What it all cost, in money."""
        self.reported = Tally(UsageSource.REPORTED)
        """What providers reported."""
        self.estimated = Tally(UsageSource.ESTIMATED)
        """What was counted here, because nobody reported it."""
        self.unmeasured = 0
        """Records whose usage is unknown, although the provider may have billed it."""
        self.rejected = 0
        """Calls that were refused before anything was read."""

    @property
    def count(self) -> int:
        """How many records were added."""
        return self.reported.count + self.estimated.count + self.unmeasured + self.rejected

    @property
    def by_model(self) -> dict[str, UsageTotal]:
        """A total for each model that was asked for, by its name; theirs are empty."""
        return dict(self._models)

    def by_tag(self, tag: str) -> dict[str, UsageTotal]:
        """A total for each value of a tag; theirs are empty. Records without the tag are in none.

        After 10,000 values of one tag, those that are new are added up under `"(others)"`.
        """
        with self._busy:
            return dict(self._tags.get(tag, {}))

    def add(self, record: UsageRecord) -> None:
        """Add one record. Safe to call from any thread, and from the garbage collector."""
        # The collector may run while this thread is adding: what it brings waits for its turn.
        self._incoming.append(record)
        while self._incoming and self._busy.acquire(blocking=False):
            try:
                while self._incoming:
                    self._add_all_over(self._incoming.popleft())
            finally:
                self._busy.release()

    def _add_all_over(self, record: UsageRecord) -> None:
        self._add(record)
        self._models.setdefault(record.model, UsageTotal())._add(record)  # noqa: SLF001 - of this class
        for tag, value in record.tags.items():
            values = self._tags.setdefault(tag, {})
            known = value if value in values or len(values) < _MOST_VALUES else _OTHER_VALUES
            values.setdefault(known, UsageTotal())._add(record)  # noqa: SLF001 - of this class

    def _add(self, record: UsageRecord) -> None:
        source = record.usage.source
        if source is UsageSource.REPORTED:
            self.reported.add(record.usage)
        elif source is UsageSource.ESTIMATED:
            self.estimated.add(record.usage)
        elif was_refused(record):
            self.rejected += 1
        else:
            self.unmeasured += 1
        if source is not UsageSource.UNKNOWN or not was_refused(record):
            self.cost.add(record.cost)

    def __str__(self) -> str:
        parts = [_sums(self.reported, "reported"), _sums(self.estimated, "estimated")]
        parts += [f"{self.unmeasured} unmeasured"] if self.unmeasured else []
        parts += [f"{self.rejected} rejected"] if self.rejected else []
        parts += [str(self.cost)] if self.cost.currency is not None else []
        records = "1 record" if self.count == 1 else f"{self.count} records"
        return ": ".join([records, *filter(None, ["; ".join(filter(None, parts))])])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"


def was_refused(record: UsageRecord) -> bool:
    """Whether nothing was read, so that nothing is billed.

    Azure charges for a prompt that its filter blocked, and reports no usage (WIRE §2.5).
    """
    is_filtered = record.error is not None and record.error.type == "ContentFilterError"
    return record.outcome is Outcome.REJECTED and not is_filtered


def _sums(tally: Tally, source: str) -> str:
    if not tally.count:
        return ""
    usage = tally.usage
    known = {"in": usage.input_tokens, "out": usage.output_tokens}
    counts = [f"{'?' if value is None else value} {name}" for name, value in known.items()]
    return f"{', '.join(counts)} {source}"


_open_totals: ContextVar[tuple[UsageTotal, ...]] = ContextVar("usagestream_totals", default=())


@contextmanager
def track_usage() -> Generator[UsageTotal]:
    """Add up what is begun in this block, by `Client`, `AsyncClient` and tracked SDK clients.

    It holds for this context: for tasks that are started inside, and `asyncio.to_thread`, but not
    for other threads. Blocks may be nested; each has it all. A stream that is begun inside is added
    when it ends, even after the block.
    """
    total = UsageTotal()
    token = _open_totals.set((*_open_totals.get(), total))
    try:
        yield total
    finally:
        _open_totals.reset(token)


def totals_in(context: Context) -> tuple[UsageTotal, ...]:
    """The totals that are open in this context."""
    return context.get(_open_totals, ())
