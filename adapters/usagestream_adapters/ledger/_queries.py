"""What reports ask the database: sums over streams, or over roll-ups of them, by the same groups.

A report tells apart how streams ended, whence their usage is and in what money they cost: so sums
are grouped by that too, and by the names of the report.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from usagestream_core.record import Outcome
from usagestream_core.records.latency import NUDGE, SCALE
from usagestream_core.records.report import TIMES, Portion, tag_of, time_name
from usagestream_core.usage import UsageSource

from ._schema import DAY, OPEN, REPORTED, rollups, streams
from ._sqlalchemy import sa

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import ColumnElement, Connection

    from usagestream_core.records.report import UsageReport

__all__ = [
    "SUMS",
    "conditions",
    "latency_bucket",
    "name_column",
    "read_rollups",
    "read_streams",
    "rolled_key",
    "span",
]

_QUARTER: Final = DAY // 96
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS: Final = {"service_tier": "tier"}
_FILTERED: Final = "ContentFilterError"

REFUSED: Final = sa.case(
    (
        sa.and_(
            streams.c.outcome == Outcome.REJECTED.value,
            sa.func.coalesce(streams.c.error, "") != _FILTERED,
        ),
        sa.true(),
    ),
    else_=sa.false(),
)
"""Nothing was read, so that nothing is billed: as the core says of a record."""
_CURRENCY: Final = sa.case((streams.c.cost_nano.is_not(None), streams.c.currency))
_BASIS: Final = sa.case((streams.c.cost_nano.is_not(None), streams.c.cost_basis))
_LOWER_BOUND: Final = sa.func.max(
    sa.case((sa.or_(streams.c.lower_bound, streams.c.cost_lower_bound), 1), else_=0)
)


def _sum_of(name: str) -> ColumnElement[Any]:
    if name == "total_tokens":
        both = streams.c.input_tokens + streams.c.output_tokens
        return sa.func.sum(sa.func.coalesce(streams.c.total_tokens, both))
    if name == "cacheable_tokens":
        is_said = streams.c.cache_read_tokens.is_not(None)
        return sa.func.sum(sa.case((is_said, streams.c.input_tokens)))
    return sa.func.sum(streams.c[name])


SUMS: Final = (
    sa.func.count(),
    *map(_sum_of, REPORTED),
    sa.func.sum(streams.c.cost_nano),
    _LOWER_BOUND,
)
"""Of streams: how many, the counts of a report, the cost, whether one is a lower bound."""
_ROLLED_SUMS: Final = (
    sa.func.sum(rollups.c.streams),
    *(sa.func.sum(rollups.c[name]) for name in REPORTED),
    sa.func.sum(rollups.c.cost_nano),
    sa.func.max(sa.case((rollups.c.lower_bound, 1), else_=0)),
)


def rolled_key() -> dict[str, ColumnElement[Any]]:
    """What streams of one roll-up have in common, by its columns, but for the tags."""
    plain = ("api", "provider", "profile", "endpoint", "region", "model", "deployment")
    more = ("response_model", "tier", "outcome", "source")
    return {
        **{name: streams.c[name] for name in (*plain, *more)},
        "cost_basis": _BASIS,
        "currency": _CURRENCY,
        "refused": REFUSED,
    }


def latency_bucket() -> ColumnElement[Any]:
    """The bucket of the time to the first chunk, as `bucket_of` of the core gives it."""
    us = sa.case((streams.c.first_chunk_us > 1, streams.c.first_chunk_us), else_=1)
    logarithm = sa.func.ln(sa.cast(us, sa.Double))
    return sa.cast(sa.func.floor(logarithm * SCALE + NUDGE), sa.BigInteger)


def name_column(table: Any, name: str, dialect: str) -> ColumnElement[Any]:
    """What a table says of a name that reports have, but for times."""
    tag = tag_of(name)
    if not tag:
        found: ColumnElement[Any] = table.c[_COLUMNS.get(name, name)]
        return found
    if dialect == "postgresql":
        return table.c.tags.op("->>")(sa.literal(tag))  # type: ignore[no-any-return]
    if not set('"\\') & set(tag):
        return sa.func.json_extract(table.c.tags, sa.literal(f'$."{tag}"'))
    each = sa.func.json_each(table.c.tags).table_valued("key", "value")  # a path cannot say it
    return sa.select(each.c.value).where(each.c.key == tag).scalar_subquery()


def conditions(report: UsageReport, table: Any, dialect: str) -> list[ColumnElement[bool]]:
    """What `where` says, but for times; of tags so that PostgreSQL's index of them is of use."""
    found: list[ColumnElement[bool]] = []
    for name, values in report.where.items():
        column, tag = name_column(table, name, dialect), tag_of(name)
        if tag and dialect == "postgresql":
            has = table.c.tags.op("@>", is_comparison=True)
            tests = [has(sa.literal({tag: each}, table.c.tags.type)) for each in sorted(values)]
        else:
            tests = [column.in_(sorted(values))]
        found.append(sa.or_(*tests, *([column.is_(None)] if "" in values else [])))
    return found


def span(report: UsageReport) -> tuple[int | None, int | None]:
    """Microseconds since 1970 that a report begins and ends at."""
    since, until = report.since, report.until
    return (None if since is None else _micros(since), None if until is None else _micros(until))


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def read_streams(
    connection: Connection, report: UsageReport, spans: Iterable[tuple[int | None, int | None]]
) -> None:
    """Add up the streams that began in these spans of time."""
    dialect = connection.dialect.name
    units, exprs = _exprs(report, streams, dialect)
    tests = [streams.c.state != OPEN, *conditions(report, streams, dialect)]
    alike = (streams.c.outcome, streams.c.source, REFUSED, _CURRENCY, _BASIS)
    for start, end in spans:
        within = list(tests)
        within += [streams.c.begun_at >= start] if start is not None else []
        within += [streams.c.begun_at < end] if end is not None else []
        grouped = _grouped([*exprs, *alike], SUMS).where(*within)
        for row in connection.execute(grouped):
            _add(report, units, tuple(row), {})
        bucket = latency_bucket()
        timed = _grouped([*exprs, bucket], [sa.func.count()]).where(*within)
        timed = timed.where(streams.c.first_chunk_us.is_not(None))
        for row in connection.execute(timed):
            *group, at, count = tuple(row)
            report.add_first_chunks(_named(report, units, group), {int(at): int(count)})


def read_rollups(connection: Connection, report: UsageReport, days: Sequence[int]) -> None:
    """Add up the roll-ups of these days."""
    if not days:
        return
    dialect = connection.dialect.name
    units, exprs = _exprs(report, rollups, dialect)
    tagged = any(map(tag_of, (*report.by, *report.where)))
    within = [
        *conditions(report, rollups, dialect),
        rollups.c.tagged == (sa.true() if tagged else sa.false()),
        _among(rollups.c.day, days),
    ]
    alike = [rollups.c[name] for name in ("outcome", "source", "refused", "currency", "cost_basis")]
    for row in connection.execute(_grouped([*exprs, *alike], _ROLLED_SUMS).where(*within)):
        _add(report, units, tuple(row), {})
    timed = sa.select(*exprs, rollups.c.first_chunks).where(*within)
    for row in connection.execution_options(yield_per=5000).execute(timed):
        *group, counts = tuple(row)
        known = {int(bucket): count for bucket, count in counts.items()}
        report.add_first_chunks(_named(report, units, group), known)


def _among(column: ColumnElement[Any], days: Sequence[int]) -> ColumnElement[bool]:
    """A test for these days, by runs of them."""
    runs: list[list[int]] = []
    for day in sorted(days):
        if runs and runs[-1][1] == day - 1:
            runs[-1][1] = day
        else:
            runs.append([day, day])
    return sa.or_(*(column.between(first, last) for first, last in runs))


def _grouped(exprs: Sequence[Any], sums: Sequence[Any]) -> Any:
    """Sums by the places of the expressions, so that each is worked out once."""
    named = [each.label(f"g{index}") for index, each in enumerate(exprs)]
    return sa.select(*named, *sums).group_by(*(sa.text(f"g{i}") for i in range(len(named))))


def _exprs(
    report: UsageReport, table: Any, dialect: str
) -> tuple[dict[str, int], list[ColumnElement[Any]]]:
    """The expression of each name, and of times how many microseconds one unit of theirs is.

    Time zones are those of Python: hours are read by the quarter where the zone may need it.
    """
    units: dict[str, int] = {}
    exprs: list[ColumnElement[Any]] = []
    for name in report.by:
        if name not in TIMES:
            exprs.append(name_column(table, name, dialect))
            continue
        if table is rollups:
            units[name] = DAY
            exprs.append(rollups.c.day)
            continue
        is_utc = report.timezone is UTC
        units[name] = (DAY if name != "hour" else DAY // 24) if is_utc else _QUARTER
        exprs.append(streams.c.begun_at.op("/")(sa.literal(units[name], sa.BigInteger)))
    return units, exprs


def _named(
    report: UsageReport, units: dict[str, int], group: Sequence[Any]
) -> tuple[str | None, ...]:
    names: list[str | None] = []
    for name, value in zip(report.by, group, strict=True):
        if name in units:
            names.append(_time_name(name, int(value) * units[name], report.timezone))
        else:
            names.append(value)
    return tuple(names)


@lru_cache(maxsize=1024)
def _time_name(name: str, micros: int, timezone: tzinfo) -> str:
    """`time_name`, which a report of many groups asks for again and again."""
    return time_name(name, _EPOCH + timedelta(microseconds=micros), timezone)


def _add(
    report: UsageReport, units: dict[str, int], row: tuple[Any, ...], first_chunks: dict[int, int]
) -> None:
    groups = len(report.by)
    outcome, source, refused, currency, basis = row[groups : groups + 5]
    count, *sums, cost, lower_bound = row[groups + 5 :]
    part = Portion(
        outcome=Outcome(outcome),
        source=UsageSource(source),
        refused=bool(refused),
        streams=int(count),
        counts={
            name: None if each is None else int(each)
            for name, each in zip(REPORTED, sums, strict=True)
        },
        currency=currency,
        basis=UsageSource.REPORTED if basis is None else UsageSource(basis),
        cost=int(cost or 0),
        lower_bound=bool(lower_bound),
        first_chunks=first_chunks,
    )
    report.add_portion(_named(report, units, row[:groups]), part)
