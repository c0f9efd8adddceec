"""Sums of whole days, kept, so that a report of a year reads no stream; and days that are gone.

A day is rolled up once it is two days old, and again where streams of it came or changed since: who
writes them marks it. Every stream is in two rows: with its tags, for reports that ask for one, and
without, for those that do not and are quicker.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from ._queries import added_up, key_of_streams
from ._schema import DAY, FRESH_DAYS, OPEN, rolled_days, rollups, streams
from ._sqlalchemy import insert, sa

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import ColumnElement, Connection

    from ._database import Database

__all__ = ["days_of", "prune_day", "roll_up", "stale_days"]

_SLACK: Final = 600_000_000
"""Microseconds that a writer may be late by, who took a day for fresh."""


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
        values = {"day": day, "dirty": False, "rolled_at": now}
        mark = insert(connection.dialect.name, rolled_days).values(**values, pruned=False)
        connection.execute(mark.on_conflict_do_update(index_elements=["day"], set_=values))
        for tagged in (True, False):
            old = sa.delete(rollups).where(rollups.c.tagged == tagged, rollups.c.day == day)
            connection.execute(old)
            connection.execute(_made(tagged=tagged), {"of_day": day})


def prune_day(database: Database, day: int) -> int:
    """Delete the streams of a day that is rolled up; give how many. Its roll-up stays for ever."""
    with database.writing() as connection:
        is_there = sa.update(rolled_days).where(
            rolled_days.c.day == day, rolled_days.c.dirty == sa.false()
        )
        if not connection.execute(is_there.values(pruned=True)).rowcount:
            return 0
        gone = sa.delete(streams).where(streams.c.state != OPEN, *_within(day))
        return int(connection.execute(gone).rowcount)


def _within(day: Any) -> tuple[ColumnElement[bool], ...]:
    return (streams.c.begun_at >= day * DAY, streams.c.begun_at < (day + 1) * DAY)


@functools.cache
def _made(*, tagged: bool) -> Any:
    """The statement that makes the roll-ups of the day `of_day`: with tags, or without."""
    day = sa.bindparam("of_day", type_=rollups.c.day.type)
    key = key_of_streams()
    if tagged:
        key["tags"] = streams.c.tags
    found = added_up(key, _within(day)).subquery()
    known = {
        "day": day,
        "number": sa.func.row_number().over(),
        "tagged": sa.true() if tagged else sa.false(),
        "tags": sa.literal({}, rollups.c.tags.type),
        **found.c,
    }
    columns = [known[each.name].label(each.name) for each in rollups.c]
    return sa.insert(rollups).from_select([each.name for each in columns], sa.select(*columns))
