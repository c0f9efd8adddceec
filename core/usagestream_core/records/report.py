"""What streams used and cost, grouped: by model, by tag, by day. Any number of them in one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Context, Decimal
from typing import Any, Final

from ..cost import amount_text
from ..errors import ConfigError
from ..record import Outcome, UsageRecord
from ..usage import UsageSource
from .latency import Latencies, bucket_of
from .totals import was_refused

__all__ = [
    "Portion",
    "ReportLine",
    "UsageReport",
    "nano",
    "portion_of",
    "tag_of",
    "time_name",
]

FIELDS: Final = (
    "model",
    "response_model",
    "deployment",
    "provider",
    "profile",
    "endpoint",
    "api",
    "region",
    "service_tier",
    "outcome",
    "source",
)
"""What a report can group by, and pick by, beside tags: `source` is that of the usage."""

TIMES: Final = ("month", "day", "hour")
"""What it can group by of the time that a stream began."""

FAILURES: Final = frozenset({Outcome.TRUNCATED, Outcome.FAILED, Outcome.REJECTED})
"""Outcomes that the provider, or the way to it, is to blame for."""

_CHOICES: Final = {"outcome": [*Outcome], "source": [*UsageSource]}
_NANO: Final = Decimal("1e-9")
_DIGITS: Final = Context(prec=120)
_MICROSECOND: Final = timedelta(microseconds=1)
COUNTS: Final = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cacheable_tokens",
)
"""What is added up. `cacheable_tokens` is the input of those streams that say what was cached."""


def nano(amount: Decimal) -> int:
    """Money in billionths, as it is added up here and kept in a ledger."""
    return int(amount.quantize(_NANO, context=_DIGITS).scaleb(9, _DIGITS))


@dataclass(slots=True)
class Portion:
    """Streams that are alike in all that a report tells apart: one, or the sums of many."""

    outcome: Outcome
    source: UsageSource
    refused: bool = False
    """Whether nothing was read, so that nothing is billed."""
    streams: int = 1
    counts: Mapping[str, int | None] = field(default_factory=dict[str, "int | None"])
    """Sums by name, of `COUNTS`; `None` or absent where no stream had the count."""
    currency: str | None = None
    """Of the cost; `None` for streams without one."""
    basis: UsageSource = UsageSource.REPORTED
    """Of the cost."""
    cost: int = 0
    """In billionths."""
    lower_bound: bool = False
    first_chunks: Mapping[int, int] = field(default_factory=dict[int, int])
    """How many streams had their first chunk after how long: see `Latencies`."""


class ReportLine:
    """What the streams of one group used and cost. What is `None` is not known, and never 0."""

    def __init__(self, group: tuple[str | None, ...] = ()) -> None:
        self.group = group
        """A value for each name that the report is grouped by; `None` for streams without one."""
        self.streams = 0
        self.outcomes: Counter[Outcome] = Counter()
        """How many streams ended how."""
        self.sources: Counter[UsageSource] = Counter()
        """How many streams have their usage from where, but for those that were rejected."""
        self.rejected = 0
        """Streams that were refused before anything was read: there was nothing to report."""
        self.unpriced = 0
        """Streams that may have been billed, and have no cost."""
        self.lower_bound = False
        """Whether a cost, or a usage, is a lower bound, so that the sum is one."""
        self.first_chunks = Latencies()
        """How long it took until the first chunk."""
        self.costs: dict[str, dict[UsageSource, int]] = {}
        """Billionths by currency, and by whether tokens were reported or estimated."""
        self._counts: dict[UsageSource, Counter[str]] = {}

    def add(self, part: Portion) -> None:
        """Add a stream, or many."""
        self.streams += part.streams
        self.outcomes[part.outcome] += part.streams
        self.lower_bound = self.lower_bound or part.lower_bound
        self.first_chunks.merge(part.first_chunks)
        if part.source is UsageSource.UNKNOWN and part.refused:
            self.rejected += part.streams
            return
        self.sources[part.source] += part.streams
        counts = self._counts.setdefault(part.source, Counter())
        for name, count in part.counts.items():
            if count is not None:
                counts[name] += count
        if part.currency is None:
            self.unpriced += part.streams
        else:
            costs = self.costs.setdefault(part.currency, {})
            costs[part.basis] = costs.get(part.basis, 0) + part.cost

    def merge(self, other: ReportLine) -> None:
        """Add what another line has."""
        self.streams += other.streams
        self.outcomes.update(other.outcomes)
        self.sources.update(other.sources)
        self.rejected += other.rejected
        self.unpriced += other.unpriced
        self.lower_bound = self.lower_bound or other.lower_bound
        self.first_chunks.merge(other.first_chunks.counts)
        for currency, amounts in other.costs.items():
            costs = self.costs.setdefault(currency, {})
            for basis, amount in amounts.items():
                costs[basis] = costs.get(basis, 0) + amount
        for source, counts in other._counts.items():
            self._counts.setdefault(source, Counter()).update(counts)

    def tokens(self, name: str, source: UsageSource | None = None) -> int | None:
        """A sum of counts, as `input_tokens`: of one source, or of all."""
        return self.counts(source).get(name)

    def counts(self, source: UsageSource | None = None) -> dict[str, int]:
        """All sums of counts by name, of one source, or of all; what is absent is not known."""
        if source is not None:
            return dict(self._counts.get(source, {}))
        sums: Counter[str] = Counter()
        for counts in self._counts.values():
            sums.update(counts)
        return sums

    def cost(self, currency: str, basis: UsageSource | None = None) -> Decimal | None:
        """What it cost in a currency: by reported tokens, by estimated ones, or by all."""
        amounts = self.costs.get(currency, {})
        found = [amount for each, amount in amounts.items() if basis in (None, each)]
        return Decimal(sum(found)).scaleb(-9, _DIGITS) if found else None

    @property
    def failures(self) -> int:
        """Streams that the provider or the network cut, failed or refused: see `FAILURES`."""
        return sum(self.outcomes[outcome] for outcome in FAILURES)

    @property
    def cached_share(self) -> float | None:
        """How much of the input came from the cache, of streams that say so."""
        whole = self.tokens("cacheable_tokens")
        return (self.tokens("cache_read_tokens") or 0) / whole if whole else None

    def share(self, source: UsageSource) -> float | None:
        """The share of streams whose usage is from there, of those that were not refused."""
        whole = self.sources.total()
        return self.sources[source] / whole if whole else None


class UsageReport:
    """Streams grouped by what `by` names, those that cost most first.

    As in::

        report = UsageReport(by=["model", "tag:customer"])
        for record in JsonLinesSink.read("usage.jsonl"):
            report.add(record)
        for line in report.lines:
            print(line.group, line.streams, line.cost("USD"))

    `by` takes names of `FIELDS`, `month`, `day` and `hour`, and `tag:NAME`. A stream belongs to the
    time that it began, of `timezone`. Those that began before `since`, or at `until` and later, are
    left out, as are those that have none of the values that `where` names for a field; an empty
    value stands for none. What is held grows with the number of groups, not of streams.

    Money is added up in billionths, to which each cost is rounded: half of one is all that a cost
    is off by.

    Raises `ConfigError` for names and values that there are not.
    """

    def __init__(
        self,
        by: Iterable[str] = ("model",),
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        where: Mapping[str, str | Collection[str]] | None = None,
        timezone: tzinfo = UTC,
    ) -> None:
        if isinstance(by, str):
            raise TypeError(f"a report takes its names in a list, as by=[{by!r}]")
        self.by = tuple(by)
        self.timezone = timezone
        self.since, self.until = since, until
        self.where = {
            name: frozenset([values] if isinstance(values, str) else values)
            for name, values in (where or {}).items()
        }
        self._check()
        self._names = [_reader(name, timezone) for name in self.by]
        self._tests = [(_reader(name, timezone), values) for name, values in self.where.items()]
        self._lines: dict[tuple[str | None, ...], ReportLine] = {}

    def add(self, record: UsageRecord) -> bool:
        """Add one, if the report is about it; say whether it is."""
        began = record.started_at
        if self.since is not None and began < self.since:
            return False
        if self.until is not None and began >= self.until:
            return False
        if any((read(record) or "") not in values for read, values in self._tests):
            return False
        self.add_portion(tuple(read(record) for read in self._names), portion_of(record))
        return True

    def add_portion(self, group: tuple[str | None, ...], part: Portion) -> None:
        """Add what somebody else has grouped, and found that the report is about."""
        line = self._lines.get(group)
        if line is None:
            line = self._lines[group] = ReportLine(group)
        line.add(part)

    @property
    def groups(self) -> int:
        """How many lines there are."""
        return len(self._lines)

    @property
    def lines(self) -> list[ReportLine]:
        """What cost most is first, then what is of most streams; then by name."""
        currency = self.currency

        def place(line: ReportLine) -> tuple[Any, ...]:
            cost = line.cost(currency)
            names = [(name is None, name or "") for name in line.group]
            return (cost is None, -(cost or 0), -line.streams, names)

        return sorted(self._lines.values(), key=place)

    @property
    def total(self) -> ReportLine:
        """All of it in one line."""
        total = ReportLine()
        for line in self._lines.values():
            total.merge(line)
        return total

    @property
    def currency(self) -> str:
        """The one that most money is in, by its figure; `USD` where there is none at all."""
        sums: Counter[str] = Counter()
        for line in self._lines.values():
            for currency, amounts in line.costs.items():
                sums[currency] += sum(amounts.values())
        return min(sums, key=lambda each: (-sums[each], each), default="USD")

    @property
    def columns(self) -> list[str]:
        """The names that each of `rows` has, in their order."""
        return [*self.by, *_row(ReportLine(), "USD")]

    def rows(self) -> list[dict[str, Any]]:
        """Each line as a dict of JSON's types: the names of the group, then what is known of it."""
        currency = self.currency
        return [
            {**dict(zip(self.by, line.group, strict=True)), **_row(line, currency)}
            for line in self.lines
        ]

    def _check(self) -> None:
        wrong = [name for name in self.by if name not in (*FIELDS, *TIMES) and not tag_of(name)]
        wrong += [name for name in self.where if name not in FIELDS and not tag_of(name)]
        if wrong:
            known = ", ".join((*FIELDS, *TIMES, "tag:NAME"))
            times = [name for name in wrong if name in TIMES]
            hint = " For times there are `since` and `until`." if times else ""
            raise ConfigError(
                f"A report knows no {', '.join(map(repr, wrong))}. It knows: {known}.{hint}"
            )
        if len(set(self.by)) < len(self.by):
            raise ConfigError(f"A report is grouped by each name once, unlike {list(self.by)}")
        for name, choices in _CHOICES.items():
            for value in self.where.get(name, ()):
                if value not in choices:
                    raise ConfigError(f"No {name} is {value!r}. There are: {', '.join(choices)}.")
        for name in ("since", "until"):
            moment: datetime | None = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise ConfigError(f"{name} must have a time zone, unlike {moment}")


def tag_of(name: str) -> str:
    """The tag that is meant; nothing where none is."""
    start, _, tag = name.partition(":")
    return tag if start == "tag" else ""


def _reader(name: str, timezone: tzinfo) -> Callable[[UsageRecord], str | None]:
    tag = tag_of(name)
    if tag:
        return lambda record: record.tags.get(tag)
    if name in TIMES:
        return lambda record: time_name(name, record.started_at, timezone)
    if name == "source":
        return lambda record: record.usage.source.value

    def read(record: UsageRecord) -> str | None:
        value = getattr(record, name)
        return None if value is None else str(value)

    return read


def time_name(name: str, moment: datetime, timezone: tzinfo) -> str:
    """The month, day or hour of a moment, in a time zone."""
    there = moment.astimezone(timezone)
    if name == "hour":
        return there.replace(minute=0, second=0, microsecond=0).isoformat(timespec="minutes")
    return there.date().isoformat()[: 7 if name == "month" else 10]


def portion_of(record: UsageRecord) -> Portion:
    """What a report needs of one stream."""
    usage, cost = record.usage, record.cost
    counts: dict[str, int | None] = {name: getattr(usage, name, None) for name in COUNTS}
    if usage.total_tokens is None and None not in (usage.input_tokens, usage.output_tokens):
        counts["total_tokens"] = (usage.input_tokens or 0) + (usage.output_tokens or 0)
    if usage.cache_read_tokens is not None:
        counts["cacheable_tokens"] = usage.input_tokens
    first: dict[int, int] = {}
    if record.first_chunk_at is not None:
        first = {bucket_of((record.first_chunk_at - record.started_at) // _MICROSECOND): 1}
    return Portion(
        outcome=record.outcome,
        source=usage.source,
        refused=was_refused(record),
        counts=counts,
        currency=None if cost is None else cost.currency,
        basis=UsageSource.REPORTED if cost is None else cost.basis,
        cost=0 if cost is None else nano(cost.total),
        lower_bound=usage.lower_bound or (cost is not None and cost.lower_bound),
        first_chunks=first,
    )


def _row(line: ReportLine, currency: str) -> dict[str, Any]:
    counts, estimated = line.counts(), line.counts(UsageSource.ESTIMATED)
    p50, p95 = line.first_chunks.quantiles(0.5, 0.95)
    return {
        "streams": line.streams,
        "input_tokens": counts.get("input_tokens"),
        "output_tokens": counts.get("output_tokens"),
        "total_tokens": counts.get("total_tokens"),
        "cost": _text(line.cost(currency)),
        "currency": currency,
        "cost_reported": _text(line.cost(currency, UsageSource.REPORTED)),
        "cost_estimated": _text(line.cost(currency, UsageSource.ESTIMATED)),
        "other_costs": {
            each: _text(line.cost(each)) for each in sorted(line.costs) if each != currency
        },
        "unpriced": line.unpriced,
        "lower_bound": line.lower_bound,
        "cache_read_tokens": counts.get("cache_read_tokens"),
        "cache_write_tokens": counts.get("cache_write_tokens"),
        "reasoning_tokens": counts.get("reasoning_tokens"),
        "estimated_input_tokens": estimated.get("input_tokens"),
        "estimated_output_tokens": estimated.get("output_tokens"),
        "failures": line.failures,
        "rejected": line.rejected,
        **{f"{source}_share": _rounded(line.share(source)) for source in UsageSource},
        "cached_share": _rounded(line.cached_share),
        "time_to_first_chunk_p50": p50,
        "time_to_first_chunk_p95": p95,
    }


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else amount_text(amount)


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
