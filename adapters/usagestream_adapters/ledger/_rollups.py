"""Sums of whole days, kept, so that a report of a year reads no stream; and days that are gone.

A day is rolled up once it is two days old, and again where streams of it came or changed since: who
writes them marks it. Every stream is in two rows: with its tags, for reports that ask for one, and
without, for those that do not and are quicker.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.dialects import postgresql, sqlite

from ._queries import SUMS, latency_bucket, rolled_key
from ._schema import DAY, FRESH_DAYS, OPEN, REPORTED, rolled_days, rollups, streams
from ._sqlalchemy import sa

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from ._database import Database

__all__ = ["days_of", "prune_day", "roll_up", "stale_days"]

_SLACK: Final = 600_000_000
"""Microseconds that a writer may be late by, who took a day for fresh."""
_AT_ONCE: Final = 2000
"""Rows of one statement."""


def last_day(now: int) -> int:
    """The newest day that may be rolled up."""
    return (now - _SLACK) // DAY - FRESH_DAYS - 1


def days_of(connection: Connection) -> dict[int, tuple[bool, bool]]:
    """Days that are rolled up: whether streams came or changed since, and whether it was pruned."""
    found = sa.select(rolled_days.c.day, rolled_days.c.dirty, rolled_days.c.pruned)
    rows = connection.execute(found.where(rolled_days.c.rolled_at.is_not(None)))
    return {day: (bool(dirty), bool(pruned)) for day, dirty, pruned in rows}


def stale_days(
    connection: Connection, now: int, since: int | None, until: int | None
) -> Iterator[int]:
    """Days with streams, wholly in this span, that are not rolled up as they are."""
    rolled = days_of(connection)
    ends = connection.execute(sa.select(sa.func.min(streams.c.begun_at))).scalar()
    if ends is None:
        return
    first = max(ends // DAY, -(-since // DAY) if since is not None else ends // DAY)
    last = min(last_day(now), until // DAY - 1 if until is not None else last_day(now))
    for day in range(first, last + 1):
        is_dirty, is_pruned = rolled.get(day, (True, False))
        if is_dirty and not is_pruned:
            yield day


def roll_up(database: Database, day: int) -> None:
    """Make the roll-up of a day anew; who marks the day meanwhile waits, and marks it after."""
    with database.writing() as connection:
        now = database.now(connection)
        insert: Any = (sqlite if database.is_sqlite else postgresql).insert(rolled_days)
        values = {"day": day, "dirty": False, "rolled_at": now}
        insert = insert.values(**values, pruned=False)
        connection.execute(insert.on_conflict_do_update(index_elements=["day"], set_=values))
        connection.execute(sa.delete(rollups).where(rollups.c.day == day))
        rows = list(_rows(connection, day))
        for start in range(0, len(rows), _AT_ONCE):
            connection.execute(sa.insert(rollups), rows[start : start + _AT_ONCE])


def prune_day(database: Database, day: int) -> int:
    """Delete the streams of a day that is rolled up; give how many. Its roll-up stays for ever."""
    with database.writing() as connection:
        is_there = sa.update(rolled_days).where(
            rolled_days.c.day == day, rolled_days.c.dirty == sa.false()
        )
        if not connection.execute(is_there.values(pruned=True)).rowcount:
            return 0
        gone = sa.delete(streams).where(
            streams.c.begun_at >= day * DAY,
            streams.c.begun_at < (day + 1) * DAY,
            streams.c.state != OPEN,
        )
        return int(connection.execute(gone).rowcount)


def _rows(connection: Connection, day: int) -> Iterator[dict[str, Any]]:
    key = rolled_key()
    exprs = [each.label(f"g{index}") for index, each in enumerate((*key.values(), streams.c.tags))]
    groups = [sa.text(f"g{index}") for index in range(len(exprs))]
    within = (
        streams.c.begun_at >= day * DAY,
        streams.c.begun_at < (day + 1) * DAY,
        streams.c.state != OPEN,
    )
    sums: dict[tuple[bool, str], _Sums] = defaultdict(_Sums)
    known: dict[tuple[bool, str], dict[str, Any]] = {}
    width = len(exprs)
    found: dict[tuple[Any, ...], list[tuple[tuple[bool, str], dict[str, Any]]]] = {}

    def levels(row: Any) -> list[tuple[tuple[bool, str], dict[str, Any]]]:
        group = (*row[: width - 1], json.dumps(row[width - 1], sort_keys=True))
        if group not in found:
            found[group] = list(_levels(dict(zip((*key, "tags"), row[:width], strict=True))))
        return found[group]

    for row in connection.execute(sa.select(*exprs, *SUMS).where(*within).group_by(*groups)):
        for where, facts in levels(row):
            known[where] = facts
            sums[where].add(row[width:])
    bucket = latency_bucket()
    timed = sa.select(*exprs, bucket.label("at"), sa.func.count()).where(*within)
    timed = timed.where(streams.c.first_chunk_us.is_not(None)).group_by(*groups, sa.text("at"))
    for row in connection.execute(timed):
        for where, _ in levels(row):
            sums[where].first_chunks[int(row[width])] += int(row[width + 1])
    for (tagged, digest), facts in known.items():
        made = sums[tagged, digest].row()
        yield {"day": day, "key": digest, "tagged": tagged, **facts, **made}


def _levels(facts: dict[str, Any]) -> Iterator[tuple[tuple[bool, str], dict[str, Any]]]:
    """The rows that a stream is in: with its tags, and without."""
    for tagged in (True, False):
        kept = {**facts, "refused": bool(facts["refused"])}
        kept["tags"] = facts["tags"] if tagged else {}
        text = json.dumps([tagged, kept], sort_keys=True)
        yield (tagged, hashlib.sha256(text.encode()).hexdigest()[:32]), kept


class _Sums:
    """The figures of one roll-up."""

    def __init__(self) -> None:
        self.streams = 0
        self.counts: Counter[str] = Counter()
        self.cost: int | None = None
        self.lower_bound = False
        self.first_chunks: Counter[int] = Counter()

    def add(self, row: tuple[Any, ...] | Any) -> None:
        count, *sums, cost, lower_bound = row
        self.streams += int(count)
        for name, each in zip(REPORTED, sums, strict=True):
            if each is not None:
                self.counts[name] += int(each)
        if cost is not None:
            self.cost = (self.cost or 0) + int(cost)
        self.lower_bound = self.lower_bound or bool(lower_bound)

    def row(self) -> dict[str, Any]:
        return {
            "streams": self.streams,
            **{name: self.counts.get(name) for name in REPORTED},
            "cost_nano": self.cost,
            "lower_bound": self.lower_bound,
            "first_chunks": {str(bucket): count for bucket, count in self.first_chunks.items()},
        }
