"""What is done with a ledger by hand: how it stands, what goes into it, what comes out of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from usagestream_core.errors import ConfigError

from . import _statements as statements
from ._database import Database
from ._ledger import spool_of
from ._rows import ended_row, moment
from ._schema import LOST, OPEN, UNENDED, processes, streams
from ._settle import DEAD_AFTER, settle
from ._sqlalchemy import SQLAlchemyError, sa

if TYPE_CHECKING:
    from collections.abc import Generator
    from datetime import datetime

    from sqlalchemy import Select

    from usagestream_core.record import UsageRecord

__all__ = ["Status", "exported", "imported", "settled", "status"]

_GROUP: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How a ledger stands."""

    ledger: str
    away: str | None
    """Why the database cannot be read; `None` where it can. Then nothing else of it is known."""
    ended: int | None = None
    """Streams whose own record is there."""
    lost: int | None = None
    """Streams of processes that were killed, settled as unknown."""
    open: int | None = None
    """Streams that have begun, and not ended."""
    oldest_open: datetime | None = None
    """When the oldest of them began."""
    processes: int | None = None
    """Processes that may write to it, or were killed since it was last opened."""
    spool: str = ""
    """The file, on this machine, in which waits what the database did not take."""
    spooled: int = 0
    """Entries that wait there: a beginning or an end each."""
    spool_bytes: int = 0
    spool_limit: int = 0


def status(url: str) -> Status:
    """Look at a ledger, and change nothing in it. Raises `ConfigError` as `SqlLedger` does."""
    database = Database(url)
    spool = spool_of(database)
    waiting = {
        "spool": str(spool.path),
        "spooled": len(spool),
        "spool_bytes": spool.size,
        "spool_limit": spool.limit,
    }
    try:
        database.open()
        with database.reading() as connection:
            every, begun, lost, oldest, known = connection.execute(_counted()).one()
    except (SQLAlchemyError, OSError) as exc:
        return Status(ledger=str(database), away=_why(exc), **waiting)  # type: ignore[arg-type]
    finally:
        database.close()
    return Status(
        ledger=str(database),
        away=None,
        ended=every - begun - lost,
        lost=lost,
        open=begun,
        oldest_open=None if oldest is None else moment(oldest),
        processes=known,
        **waiting,  # type: ignore[arg-type]
    )


def _counted() -> Select[int, int, int, int | None, int]:
    """All streams, those open and lost, the oldest open one, processes; of indexes alone.

    What ended is what is left: to look at the state of each would be to read the whole table.
    """
    unended = sa.select(sa.func.count()).where(sa.text(UNENDED))
    oldest = sa.select(sa.func.min(streams.c.begun_at)).where(sa.text(UNENDED))
    return sa.select(
        sa.select(sa.func.count()).select_from(streams).scalar_subquery(),
        unended.where(streams.c.state == OPEN).scalar_subquery(),
        unended.where(streams.c.state == LOST).scalar_subquery(),
        oldest.where(streams.c.state == OPEN).scalar_subquery(),
        sa.select(sa.func.count()).select_from(processes).scalar_subquery(),
    )


def settled(url: str, *, dead_after: float = DEAD_AFTER) -> list[str]:
    """Settle the streams of processes that are gone; give their ids. Raises `ConfigError`."""
    with _opened(url) as database, database.writing() as connection:
        return settle(database, connection, dead_after=dead_after)


def imported(url: str, records: Iterable[UsageRecord]) -> int:
    """Put records into a ledger, and give how many there were; those it has stay as they are.

    Raises `ConfigError` where the ledger cannot be written to; what went in before stays.
    """
    count = 0
    with _opened(url) as database:
        rest = iter(records)
        while rows := [ended_row(record) for record in islice(rest, _GROUP)]:
            with database.writing() as connection:
                statements.mark_days(connection, rows, database.now(connection))
                statements.upsert_end(connection, rows)
            count += len(rows)
    return count


def exported(url: str) -> Iterator[str]:
    """Give the records of a ledger as lines of JSON, the oldest first; those of open streams not.

    What is read is one state of the ledger, whoever writes meanwhile. Raises `ConfigError`.
    """
    chosen = sa.select(streams.c.record).where(streams.c.state != OPEN)
    with _opened(url) as database, database.reading() as connection:
        options = {"yield_per": _GROUP}
        ordered = chosen.order_by(streams.c.begun_at, streams.c.id)
        yield from connection.execute(ordered, execution_options=options).scalars()


@contextmanager
def _opened(url: str) -> Generator[Database]:
    database = Database(url)
    try:
        database.open()
        yield database
    except (SQLAlchemyError, OSError) as exc:
        raise ConfigError(f"The ledger {database} cannot be used: {_why(exc)}") from exc
    finally:
        database.close()


def _why(exc: Exception) -> str:
    return str(getattr(exc, "orig", None) or exc).strip()
