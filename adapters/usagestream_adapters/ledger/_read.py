"""Reading a ledger: reports, records, and letting go of what is old."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Final

from usagestream_core.errors import ConfigError
from usagestream_core.record import UsageRecord

from ._database import Database
from ._queries import between, conditions, read_rollups, read_streams, span
from ._rollups import days_of, last_day, prune_day, roll_up, stale_days
from ._schema import DAY, OPEN, UNENDED, rollups, streams
from ._sqlalchemy import SQLAlchemyError, listen, sa

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from usagestream_core.records.report import UsageReport

__all__ = ["LedgerReader", "Read"]

_SAMPLE: Final = 2000
"""Streams that are looked at for the names of tags."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a report could not say."""

    open: int
    """Streams that have no end yet: they are in no report."""
    pruned_days: int
    """Days of which only daily sums are left, and which the report asks for finer."""


class LedgerReader:
    """Reads a ledger. Makes its roll-ups as it goes, where it may write.

    Raises `ConfigError` for a URL of no ledger, and for a file that is not there.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        path = self._database.path
        if path is not None and not Path(path).is_file():
            raise ConfigError(f"There is no ledger {self._database}.")
        if not self._database.is_sqlite:
            listen(self._database.engine, "begin", _with_room)
        with self._asking():
            self._database.open()

    def close(self) -> None:
        """Let all connections go."""
        self._database.close()

    @contextmanager
    def _asking(self) -> Generator[None]:
        """Say in a sentence what a database says that is away, or refuses."""
        try:
            yield
        except (SQLAlchemyError, OSError) as exc:
            raise ConfigError(f"The ledger {self._database} says: {_short(exc)}") from exc

    def fill(
        self, reports: Sequence[UsageReport], *, progress: Callable[[int], None] | None = None
    ) -> Read:
        """Add to each report what the ledger has of it. All are of the same streams.

        `progress` is told how many days are to be rolled up first, where there are any.

        Raises `ConfigError` where the database is away, or refuses.
        """
        since, until = span(reports[0])
        if any(_may_use_rollups(report) for report in reports):
            self._roll_up(since, until, progress)
        pruned = 0
        with self._asking(), self._database.reading() as connection:
            rolled = self._usable(connection)
            first = connection.execute(sa.select(sa.func.min(streams.c.begun_at))).scalar()
            for report in reports:
                days = [day for day in rolled if _is_within(day, since, until)]
                left = [day for day in rolled if rolled[day] and _is_touched(day, since, until)]
                if _may_use_rollups(report):
                    read_rollups(connection, report, days)
                    left = [day for day in left if day not in days]
                    spans = _without([d for d in days if not rolled[d]], since, until, first)
                else:
                    spans = [(since, until)]
                read_streams(connection, report, spans)
                pruned = max(pruned, len(left))
            opened = _count_of_open(connection, since, until)
        return Read(open=opened, pruned_days=pruned)

    def _roll_up(
        self, since: int | None, until: int | None, progress: Callable[[int], None] | None
    ) -> None:
        with self._asking(), self._database.reading() as connection:
            now = self._database.now(connection)
            days = list(stale_days(connection, now, since, until))
        if progress is not None and days:
            progress(len(days))
        try:
            for day in days:
                roll_up(self._database, day)
        except (SQLAlchemyError, OSError):
            return  # who may not write reads the streams themselves

    def _usable(self, connection: Connection) -> dict[int, bool]:
        """Days whose roll-up is true, by whether they were pruned.

        What came to a pruned day since is not in its roll-up, and is read beside it.
        """
        newest = last_day(self._database.now(connection))
        days = days_of(connection).items()
        return {day: gone for day, (dirty, gone) in days if day <= newest and (gone or not dirty)}

    def records(self, report: UsageReport) -> Iterator[UsageRecord]:
        """Give the records that a report is about, the oldest first. Those pruned are gone."""
        with self._asking(), self._database.reading() as connection:
            tests = conditions(report, streams, connection.dialect.name)
            found = sa.select(streams.c.record).where(
                streams.c.state != OPEN, *tests, *between(streams.c.begun_at, *span(report))
            )
            found = found.order_by(streams.c.begun_at)
            rows = connection.execution_options(stream_results=True, yield_per=1000).execute(found)
            for (text,) in rows:
                yield UsageRecord.model_validate_json(text)

    def tags(self) -> list[str]:
        """Names of tags, of the newest streams, and of roll-ups where there are no streams."""
        found: dict[str, None] = {}
        with self._asking(), self._database.reading() as connection:
            newest = sa.select(streams.c.tags).order_by(streams.c.begun_at.desc()).limit(_SAMPLE)
            kept = sa.select(rollups.c.tags).order_by(rollups.c.day.desc()).limit(_SAMPLE)
            for query in (newest, kept):
                for (tags,) in connection.execute(query):
                    found.update(dict.fromkeys(tags))
        return list(found)

    def prune(self, before: datetime) -> Iterator[tuple[int, int]]:
        """Delete the streams of whole days (UTC) before this time, one day after the other.

        Gives how many days are done, and how many streams are gone. Their daily sums stay, for
        reports by day and longer. A stream that has no end yet stays.

        Raises `ConfigError` for a time that is less than two days ago: those days may still grow.
        """
        end = math.floor(before.timestamp()) * 1_000_000 // DAY
        with self._asking(), self._database.reading() as connection:
            newest = last_day(self._database.now(connection))
        if end > newest + 1:
            raise ConfigError(f"Days may be pruned once they are over for two: not up to {before}.")
        with self._asking(), self._database.reading() as connection:
            first = connection.execute(sa.select(sa.func.min(streams.c.begun_at))).scalar()
            rolled = days_of(connection)
        done = gone = 0
        for day in range(0) if first is None else range(first // DAY, end):
            dirty, pruned = rolled.get(day, (True, False))
            if pruned:
                continue
            with self._asking():
                if dirty:
                    roll_up(self._database, day)
                gone += prune_day(self._database, day)
            done += 1
            yield done, gone


def _may_use_rollups(report: UsageReport) -> bool:
    """Whether days in UTC are fine enough."""
    times = [name for name in report.by if name in ("hour", "day", "month")]
    return "hour" not in times and (not times or report.timezone is UTC)


def _is_within(day: int, since: int | None, until: int | None) -> bool:
    return (since is None or day * DAY >= since) and (until is None or (day + 1) * DAY <= until)


def _is_touched(day: int, since: int | None, until: int | None) -> bool:
    return (since is None or (day + 1) * DAY > since) and (until is None or day * DAY < until)


def _count_of_open(connection: Connection, since: int | None, until: int | None) -> int:
    """By the index of the few that have not ended: `+ 0` keeps SQLite off the one of times."""
    began = streams.c.begun_at + 0
    found = sa.select(sa.func.count()).where(sa.text(UNENDED), streams.c.state == OPEN)
    found = found.where(*between(began, since, until))
    return int(connection.execute(found).scalar_one())


def _without(
    days: Sequence[int], since: int | None, until: int | None, first: int | None
) -> list[tuple[int | None, int | None]]:
    """What is left of a span without these days, in as few pieces as there are."""
    start = since
    if start is None and first is not None:
        start = first
    found: list[tuple[int | None, int | None]] = []
    for day in sorted(days):
        if start is None or day * DAY > start:
            found.append((start, day * DAY))
        start = max(start or 0, (day + 1) * DAY)
    if until is None or start is None or start < until:
        found.append((start, until))
    return found


def _with_room(connection: Connection) -> None:
    """With the usual 4 MB, PostgreSQL sorts what it could add up at once, which takes six times."""
    connection.exec_driver_sql("SET LOCAL work_mem = '64MB'")


def _short(exc: Exception) -> str:
    return str(getattr(exc, "orig", None) or exc).strip().partition("\n")[0]
