"""What is written: each statement may be done again, and changes nothing then.

Whoever writes rows of days that may be rolled up or pruned marks the days first, and takes rows in
the order of their ids: so that of several nobody waits for who waits for them.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from ._rows import day_of
from ._schema import DAY, ENDED, FRESH_DAYS, rolled_days, streams
from ._sqlalchemy import insert, sa

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import Connection
    from sqlalchemy.dialects.postgresql import Insert

__all__ = ["insert_begun", "mark_days", "replace", "upsert_end"]


def insert_begun(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Begin streams; one that is there already stays as it is."""
    connection.execute(_begun(connection.dialect.name), _in_order(rows))


def upsert_end(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """End streams, begun here or not; one that has ended stays as it is."""
    connection.execute(_ended(connection.dialect.name, again=False), _in_order(rows))


def replace(
    connection: Connection, rows: Sequence[Mapping[str, Any]], pruned: Collection[int] = ()
) -> None:
    """Put these in place of what is there; of the days that were pruned, what is gone stays gone.

    The roll-up of such a day has it already, and would be added to it.
    """
    old = [row["id"] for row in rows if day_of(row) in pruned]
    if old:
        there = sa.select(streams.c.id).where(streams.c.id.in_(old))
        gone = {*old} - {*connection.execute(there).scalars()}
        rows = [row for row in rows if row["id"] not in gone]
    if rows:
        connection.execute(_ended(connection.dialect.name, again=True), _in_order(rows))


def mark_days(connection: Connection, rows: Sequence[Mapping[str, Any]], now: int) -> set[int]:
    """Mark the days whose roll-up these rows make untrue, but for those that have none yet.

    Gives those of them that were pruned. The mark waits for whoever rolls that day up or prunes it,
    and they for it.
    """
    oldest = now // DAY - FRESH_DAYS
    days = sorted({day for day in map(day_of, rows) if day < oldest})
    if not days:
        return set()
    marks = [{"day": day, "dirty": True} for day in days]
    connection.execute(_mark(connection.dialect.name), marks)
    marked = sa.select(rolled_days.c.day).where(rolled_days.c.day.in_(days))
    return {*connection.execute(marked.where(rolled_days.c.pruned)).scalars()}


def _in_order(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(rows, key=lambda row: str(row["id"]))


def _same_stream(dialect: str) -> dict[str, Any]:
    """By its id; where PostgreSQL's table was partitioned by hand, by its id and its beginning."""
    if dialect == "postgresql":
        return {"constraint": "usagestream_streams_pkey"}
    return {"index_elements": ["id"]}


@functools.cache
def _begun(dialect: str) -> Insert:
    return insert(dialect, streams).on_conflict_do_nothing(**_same_stream(dialect))


@functools.cache
def _ended(dialect: str, *, again: bool) -> Insert:
    statement = insert(dialect, streams)
    names = [column.name for column in streams.c if column.name not in ("id", "process")]
    return statement.on_conflict_do_update(
        **_same_stream(dialect),
        set_={name: statement.excluded[name] for name in names},
        where=None if again else streams.c.state != ENDED,
    )


@functools.cache
def _mark(dialect: str) -> Insert:
    statement = insert(dialect, rolled_days)
    return statement.on_conflict_do_update(index_elements=["day"], set_={"dirty": True})
