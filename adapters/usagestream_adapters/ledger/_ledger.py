"""The ledger in a database."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from usagestream_core.records.line_spool import LineSpool
from usagestream_core.records.shutdown import last

from ._database import Database
from ._settle import DEAD_AFTER
from ._writer import Writer

if TYPE_CHECKING:
    from typing import Self

    from usagestream_core.record import UsageRecord
    from usagestream_core.records.ledger import Begun, Writing

__all__ = ["SPOOL_LIMIT", "SqlLedger", "spool_of"]

SPOOL_LIMIT: Final = 256 * 2**20
"""Bytes that may wait in the spool by default: some 200,000 streams."""

_LEAVING: Final = 10.0


class SqlLedger:
    """Keeps every stream in SQLite or PostgreSQL: `Client(ledger=SqlLedger(url))`, or its URL.

    A stream is written before its first chunk is handed over, beside the request, and again when it
    has ended. `url` is `sqlite:///usage.db`, or `postgresql://user@host/database`; the schema is
    made, and brought up to date, by whoever opens it first. Safe to share: by clients, threads,
    tasks, forked children, and by processes. Nothing of a conversation is kept, nor the words of an
    error, in which a provider may quote it.

    Where the database is away, full or slow, streams go on, and what is written waits in the file
    `spool` (by default in the user's state folder, or where `USAGESTREAM_LEDGER_SPOOL` says), which
    takes `spool_limit` bytes; it is handed in when the database is back. The first chunk of a
    stream waits for the database for `patience` seconds at most.

    The streams of a process that was killed are settled by whoever opens the ledger next, as
    `abandoned`, reason `killed`, usage unknown: once there is no such process, or, on another
    machine, once it has not been heard of for `dead_after` seconds.

    With `fsync`, SQLite waits for the disk with each commit, so that a power cut loses nothing that
    was acknowledged.

    Raises `ConfigError` for a URL of anything else, a database that a newer version wrote, a file
    that cannot be opened, a driver that is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        spool: str | os.PathLike[str] | None = None,
        spool_limit: int = SPOOL_LIMIT,
        patience: float = 2.0,
        fsync: bool = False,
        beat_every: float = 10.0,
        dead_after: float = DEAD_AFTER,
    ) -> None:
        self._database = Database(url, fsync=fsync)
        self._spool = spool_of(self._database, spool, spool_limit)
        self._writer = Writer(
            self._database,
            self._spool,
            patience=patience,
            beat_every=beat_every,
            dead_after=dead_after,
        )
        self._writer.open()
        last.append(self)

    def __repr__(self) -> str:
        return f"<SqlLedger {self._database}>"

    @property
    def lost(self) -> int:
        """Entries that neither the database nor the spool took, here; each was logged."""
        return self._writer.lost

    @property
    def away(self) -> str | None:
        """Why the database cannot be written to now; `None` where it can."""
        return self._writer.away

    def begin(self, begun: Begun) -> Writing:
        """Write that a request is about to be sent. Returns at once; the result can wait."""
        return self._writer.begin(begun)

    def end(self, record: UsageRecord) -> None:
        """Write that a stream has ended. Returns at once; `flush` waits."""
        self._writer.give("end", record)

    def replace(self, record: UsageRecord) -> None:
        """Put a record in place of the one with its id: what it used, or cost, is known better.

        One that was pruned is not put back: its day's sums have it as it was.
        """
        self._writer.give("replace", record)

    def flush(self, seconds: float) -> bool:
        """Wait for so long at most; give whether all is in the database, or else in the spool."""
        return self._writer.flush(seconds)

    def settle(self) -> list[str]:
        """Settle the streams of processes that are gone, now; give their ids.

        Raises what SQLAlchemy does where the database is away.
        """
        return self._writer.settle()

    def close(self) -> None:
        """Write what is left, and let the database go. What comes later is spooled."""
        if self in last:
            last.remove(self)
        self.leave_at_exit()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def leave_at_exit(self) -> None:
        """The interpreter ends."""
        self._writer.stop(_LEAVING)
        self._database.close()

    def leave_to_parent(self) -> None:
        """The process was forked: what its parent was given is the parent's to write."""
        self._database.forked()
        self._writer.begin_anew()


def spool_of(
    database: Database,
    given: str | os.PathLike[str] | None = None,
    limit: int = SPOOL_LIMIT,
) -> LineSpool:
    """What waits for a database, on this machine."""
    return LineSpool(_spool_path(given, database), limit=limit)


def _spool_path(given: str | os.PathLike[str] | None, database: Database) -> Path:
    named = given or os.environ.get("USAGESTREAM_LEDGER_SPOOL")
    if named:
        return Path(named)
    from platformdirs import user_state_path  # slow to import

    path = database.path
    where = str(database.url.set(password=None)) if path is None else str(path.absolute())
    digest = hashlib.sha256(where.encode()).hexdigest()[:16]
    return user_state_path("usagestream", appauthor=False) / f"ledger-{digest}.jsonl"
