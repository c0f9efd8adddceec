"""What reports ask the database: sums over streams, or over roll-ups of them, by the same groups.

A report tells apart how streams ended, whence their usage is and in what money they cost: so sums
are grouped by that too, and by the names of the report.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from usagestream_core.record import Outcome
from usagestream_core.records.report import TIMES, Portion, tag_of, time_name
from usagestream_core.usage import UsageSource

from ._schema import DAY, OPEN, REPORTED, rollups, streams
from ._sqlalchemy import sa

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, Select

    from usagestream_core.records.report import UsageReport

__all__ = [
    "added_up",
    "between",
    "conditions",
    "key_of_streams",
    "name_column",
    "read_rollups",
    "read_streams",
    "span",
]

_QUARTER: Final = DAY // 96
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS: Final = {"service_tier": "tier"}
_FILTERED: Final = "ContentFilterError"
_OUTCOMES: Final = {each.value: each for each in Outcome}
_SOURCES: Final = {each.value: each for each in UsageSource}

_ALIKE: Final = ("outcome", "source", "refused", "currency", "cost_basis")
"""What a report tells apart, of one and the same group."""

_PLAIN: Final = (
    "api",
    "provider",
    "profile",
    "endpoint",
    "region",
    "model",
    "deployment",
    "response_model",
    "tier",
    "outcome",
    "source",
)


def key_of_streams() -> dict[str, ColumnElement[Any]]:
    """What streams of one roll-up have in common, by its columns, but for the tags."""
    is_priced = streams.c.cost_nano.is_not(None)
    is_filtered = sa.func.coalesce(streams.c.error, "") == _FILTERED
    refused = sa.and_(streams.c.outcome == Outcome.REJECTED.value, sa.not_(is_filtered))
    return {
        **{name: streams.c[name] for name in _PLAIN},
        "cost_basis": sa.case((is_priced, streams.c.cost_basis)),
        "currency": sa.case((is_priced, streams.c.currency)),
        # nothing was read, so that nothing is billed: as the core says of a record
        "refused": sa.case((refused, sa.true()), else_=sa.false()),
    }


def added_up(
    exprs: Mapping[str, ColumnElement[Any]], within: Sequence[ColumnElement[bool]]
) -> Select[Any]:
    """The streams that have ended, added up by these expressions: rows like those of roll-ups.

    The streams are gone through once: by the bucket of their first chunk too, and then without it.
    """
    parts = (
        sa.select(
            *(each.label(name) for name, each in exprs.items()),
            streams.c.first_chunk_bucket,
            sa.func.count().label("streams"),
            *(_sum_of(name).label(name) for name in REPORTED),
            sa.func.sum(streams.c.cost_nano).label("cost_nano"),
            _is_any(streams.c.lower_bound, streams.c.cost_lower_bound).label("lower_bound"),
        )
        .where(streams.c.state != OPEN, *within)
        .group_by(*_first(len(exprs) + 1))
        .subquery()
    )
    packed = sa.cast(parts.c.first_chunk_bucket, sa.Text) + "," + sa.cast(parts.c.streams, sa.Text)
    return _summed([parts.c[name] for name in exprs], parts, packed)


def _summed(exprs: Sequence[ColumnElement[Any]], table: Any, first_chunks: Any) -> Select[Any]:
    """The sums of rows that are like roll-ups, by these expressions."""
    return sa.select(
        *exprs,
        sa.func.sum(table.c.streams).label("streams"),
        *(sa.func.sum(table.c[name]).label(name) for name in REPORTED),
        sa.func.sum(table.c.cost_nano).label("cost_nano"),
        _is_any(table.c.lower_bound).label("lower_bound"),
        sa.func.aggregate_strings(first_chunks, ",").label("first_chunks"),
    ).group_by(*_first(len(exprs)))


def _first(count: int) -> list[Any]:
    """The first columns of a query, by their places, so that each is worked out once."""
    return [sa.text(str(place)) for place in range(1, count + 1)]


def _sum_of(name: str) -> ColumnElement[Any]:
    if name == "total_tokens":
        both = streams.c.input_tokens + streams.c.output_tokens
        return sa.func.sum(sa.func.coalesce(streams.c.total_tokens, both))
    if name == "cacheable_tokens":
        is_said = streams.c.cache_read_tokens.is_not(None)
        return sa.func.sum(sa.case((is_said, streams.c.input_tokens)))
    return sa.func.sum(streams.c[name])


def _is_any(*columns: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether one of these is true in one of the rows."""
    return sa.func.max(sa.case((sa.or_(*columns), 1), else_=0)) == 1


def name_column(table: Any, name: str, dialect: str) -> ColumnElement[Any]:
    """What a table says of a name that reports have, but for times."""
    tag = tag_of(name)
    if not tag:
        found: ColumnElement[Any] = table.c[_COLUMNS.get(name, name)]
        return found
    if dialect == "postgresql":
        return table.c.tags.op("->>", return_type=sa.Text())(sa.literal(tag))  # type: ignore[no-any-return]
    if tag.isascii() and tag.isprintable() and not set('"\\') & set(tag):
        return sa.func.json_extract(table.c.tags, sa.literal(f'$."{tag}"'))
    # a path names what is in the text, where these are written with a backslash
    each = sa.func.json_each(table.c.tags).table_valued("key", "value")
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


def between(
    began: ColumnElement[int], since: int | None, until: int | None
) -> list[ColumnElement[bool]]:
    """Tests for a beginning in such a span; an end of it that is `None` is no bound."""
    tests = [began >= since] if since is not None else []
    return [*tests, *([began < until] if until is not None else [])]


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def read_streams(
    connection: Connection, report: UsageReport, spans: Iterable[tuple[int | None, int | None]]
) -> None:
    """Add up the streams that began in these spans of time."""
    dialect = connection.dialect.name
    units = _units(report)
    key = key_of_streams()
    exprs = {
        **{f"g{place}": each for place, each in enumerate(_names_of_streams(report, dialect))},
        **{name: key[name] for name in _ALIKE},
    }
    tests = conditions(report, streams, dialect)
    for start, end in spans:
        within = [*tests, *between(streams.c.begun_at, start, end)]
        for row in connection.execute(added_up(exprs, within)):
            _add(report, units, row)


def read_rollups(connection: Connection, report: UsageReport, days: Sequence[int]) -> None:
    """Add up the roll-ups of these days."""
    if not days:
        return
    dialect = connection.dialect.name
    tagged = any(map(tag_of, (*report.by, *report.where)))
    period = rollups.c.day if "day" in report.by else _month_of(days)
    exprs = [
        *(period if name in TIMES else name_column(rollups, name, dialect) for name in report.by),
        *(rollups.c[name] for name in _ALIKE),
        period,  # whatever is asked, so that no group has more latencies than a month has
    ]
    within = [
        *conditions(report, rollups, dialect),
        rollups.c.tagged == (sa.true() if tagged else sa.false()),
        _among(rollups.c.day, days),
    ]
    units: dict[str, int] = dict.fromkeys(TIMES, DAY)
    for row in connection.execute(_summed(exprs, rollups, rollups.c.first_chunks).where(*within)):
        _add(report, units, row)


def _month_of(days: Iterable[int]) -> ColumnElement[Any]:
    """The first day of a roll-up's month, of these; no function for it is common to databases."""
    dates = (_EPOCH + timedelta(days=day) for day in days)
    firsts = {(each.replace(day=1) - _EPOCH).days for each in dates}
    return sa.case(*((rollups.c.day >= first, first) for first in sorted(firsts, reverse=True)))


def _among(column: ColumnElement[Any], days: Sequence[int]) -> ColumnElement[bool]:
    """A test for these days, by runs of them."""
    runs: list[list[int]] = []
    for day in sorted(days):
        if runs and runs[-1][1] == day - 1:
            runs[-1][1] = day
        else:
            runs.append([day, day])
    return sa.or_(*(column.between(first, last) for first, last in runs))


def _units(report: UsageReport) -> dict[str, int]:
    """How many microseconds one unit of a time is, where streams are grouped by it.

    Time zones are those of Python: hours are read by the quarter where the zone may need it.
    """
    hour = DAY // 24
    is_utc = report.timezone is UTC
    return {name: (hour if name == "hour" else DAY) if is_utc else _QUARTER for name in TIMES}


def _names_of_streams(report: UsageReport, dialect: str) -> Iterator[ColumnElement[Any]]:
    units = _units(report)
    for name in report.by:
        if name in TIMES:
            yield streams.c.begun_at.op("/")(sa.literal(units[name], sa.BigInteger))
        else:
            yield name_column(streams, name, dialect)


def _add(report: UsageReport, units: Mapping[str, int], row: Sequence[Any]) -> None:
    """Add a row of `_summed`: names, what is alike, and the sums in the end."""
    groups = len(report.by)
    outcome, source, refused, currency, basis = row[groups : groups + len(_ALIKE)]
    count, *sums, cost, lower_bound, first_chunks = row[-len(REPORTED) - 4 :]
    part = Portion(
        outcome=_OUTCOMES[outcome],
        source=_SOURCES[source],
        refused=bool(refused),
        streams=int(count),
        counts={
            name: int(each) for name, each in zip(REPORTED, sums, strict=True) if each is not None
        },
        currency=currency,
        basis=UsageSource.REPORTED if basis is None else _SOURCES[basis],
        cost=int(cost or 0),
        lower_bound=bool(lower_bound),
        first_chunks=_unpacked(first_chunks),
    )
    group = tuple(
        _time_name(name, int(value) * units[name], report.timezone) if name in units else value
        for name, value in zip(report.by, row, strict=False)
    )
    report.add_portion(group, part)


def _unpacked(text: str | None) -> dict[int, int]:
    """Streams by bucket, out of buckets and counts by turns; a bucket may come again."""
    counts: dict[int, int] = {}
    numbers = map(int, text.split(",") if text else ())
    for bucket, count in zip(numbers, numbers, strict=True):
        counts[bucket] = counts.get(bucket, 0) + count
    return counts


@lru_cache(maxsize=1024)
def _time_name(name: str, micros: int, timezone: tzinfo) -> str:
    """`time_name`, which a report of many groups asks for again and again."""
    return time_name(name, _EPOCH + timedelta(microseconds=micros), timezone)
