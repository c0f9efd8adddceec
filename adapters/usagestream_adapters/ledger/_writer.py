"""The one thread of a process that writes: what many streams say goes out in one transaction.

What the database does not take goes to the spool, and to the database later. A thread that waits
for the database too long is not waited for: whoever waits for it spools by itself.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from usagestream_core.errors import ConfigError
from usagestream_core.record import UsageRecord
from usagestream_core.records.ledger import Begun

from . import _statements as statements
from ._rows import begun_row, ended_row
from ._settle import DEAD_AFTER, Process, settle
from ._sqlalchemy import SQLAlchemyError, is_of_configuration, is_of_the_row

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from usagestream_core.records.line_spool import LineSpool

    from ._database import Database

__all__ = ["Writer"]

logger = logging.getLogger("usagestream")

Kind: TypeAlias = Literal["begin", "end", "replace"]

_GROUP: Final = 500
"""Entries of one transaction at most."""
_MOST_WAITING: Final = 50_000
"""Entries in memory, past which they are spooled by whoever has more."""
_RETRY: Final = 1.0
"""Seconds between two tries to reach a database that is away."""
_SETTLING: Final = 60.0
"""Seconds between two looks for processes that are gone."""


class Entry(NamedTuple):
    """What is to be written of one stream."""

    kind: Kind
    what: Begun | UsageRecord
    process: str | None
    ticket: Ticket | None = None

    def line(self) -> bytes:
        """As it waits in the spool."""
        if isinstance(self.what, UsageRecord):
            kept = ended_row(self.what)["record"]
        else:
            kept = begun_row(self.what, None)["record"]
        head = json.dumps({"kind": self.kind, "process": self.process})
        return f'{head[:-1]}, "what": {kept}}}\n'.encode()

    @classmethod
    def read(cls, line: bytes) -> Entry | None:
        """What a line of the spool says; `None` for a piece of one."""
        try:
            found = json.loads(line)
            kind: Kind = found["kind"]
            model = Begun if kind == "begin" else UsageRecord
            return cls(kind, model.model_validate(found["what"]), found["process"])
        except (ValueError, LookupError, TypeError):
            return None


class Ticket:
    """Waits for one beginning to be kept; past its time, it is kept in the spool."""

    def __init__(self, writer: Writer, patience: float) -> None:
        self._writer = writer
        self._deadline = time.monotonic() + patience
        self.entry: Entry | None = None
        self.is_kept = False

    def wait(self, seconds: float) -> bool:
        """See `Writing.wait`."""
        if self.is_kept:
            return True
        left = self._deadline - time.monotonic()
        if left > 0 and seconds > 0:
            self._writer.wait_for(lambda: self.is_kept, min(left, seconds))
        if not self.is_kept and time.monotonic() >= self._deadline:
            assert self.entry is not None, "a ticket for nothing"
            self._writer.give_up(self.entry)
            self.is_kept = True
        return self.is_kept


class Writer:
    """Takes entries from any thread, in no time, and writes them in groups."""

    def __init__(
        self,
        database: Database,
        spool: LineSpool,
        *,
        patience: float,
        beat_every: float,
        dead_after: float = DEAD_AFTER,
    ) -> None:
        self._database = database
        self._spool = spool
        self._patience = patience
        self._beat_every = beat_every
        self._dead_after = dead_after
        self.lost = 0
        """Entries that neither the database nor the spool took."""
        self.away: str | None = None
        """Why the database cannot be written to now; `None` where it can."""
        self.is_ready = False
        """Whether the database was opened, so that its schema is the one that we know."""
        self.begin_anew()

    def begin_anew(self) -> None:
        """Be a writer with nothing to do: at first, and in a forked child."""
        self._entries: deque[Entry] = deque()
        self._woken: SimpleQueue[None] = SimpleQueue()
        self._changed = threading.Condition()
        self._starting = threading.RLock()
        self._working = threading.RLock()
        """Held by whoever writes: the thread, or at the end who waits for it in vain."""
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._is_stalled = False
        self._retry_at = 0.0
        self._settle_at = time.monotonic() + _SETTLING
        self.process = Process()

    def begin(self, begun: Begun) -> Ticket:
        """Write that a stream begins."""
        ticket = Ticket(self, self._patience)
        ticket.entry = Entry("begin", begun, self.process.id, ticket)
        self._give(ticket.entry)
        return ticket

    def give(self, kind: Kind, record: UsageRecord) -> None:
        """Write that a stream ended, or more of it."""
        self._give(Entry(kind, record, self.process.id))

    def give_up(self, entry: Entry) -> None:
        """The database takes too long for this one: keep it in the spool, and so what follows."""
        if not self._is_stalled:
            logger.warning("The ledger %s is slow: what it is given is spooled", self._database)
        self._is_stalled = True
        self._to_spool([entry])

    def wait_for(self, kept: Callable[[], bool], seconds: float) -> bool:
        """Wait for something that changes when a group is kept."""
        with self._changed:
            return self._changed.wait_for(kept, seconds)

    def flush(self, seconds: float) -> bool:
        """Wait until nothing waits in memory; give whether that is so."""
        if not self._entries:
            return True
        self._start()
        return seconds > 0 and self.wait_for(lambda: not self._entries, seconds)

    def stop(self, seconds: float) -> None:
        """Write what is left, for so long at most; the rest, and what comes later, is spooled."""
        until = time.monotonic() + seconds
        thread = self._thread
        if thread is not None and thread.is_alive():  # else what is left is written below
            self.flush(seconds)
        self._stopping = True
        self._woken.put(None)
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, until - time.monotonic()))
        if self._working.acquire(timeout=max(0.0, until - time.monotonic())):
            try:
                self._work()
                if self.process.is_known:
                    self._leave()
            finally:
                self._working.release()
        rest = list(self._entries)
        self._entries.clear()
        if rest:
            self._to_spool(rest)

    def _give(self, entry: Entry) -> None:
        spools = self._is_stalled or self._stopping or len(self._entries) >= _MOST_WAITING
        if spools and not self._spool.is_held_here:
            self._to_spool([entry])
            self._acknowledge([entry])
            self._is_stalled = self._is_stalled and bool(self._entries)
            return
        self._entries.append(entry)
        self._woken.put(None)
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._run, name="usagestream", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the interpreter ends: `stop` writes
                    return
                self._thread = thread

    def _run(self) -> None:
        beat_at = 0.0
        while not self._stopping:
            with self._working:
                if self._stopping:
                    return
                if time.monotonic() >= beat_at:
                    self._beat()
                    beat_at = time.monotonic() + self._beat_every
                self._work()
            try:
                self._woken.get(timeout=max(0.0, beat_at - time.monotonic()))
                while True:
                    self._woken.get_nowait()
            except Empty:
                pass

    def _work(self) -> None:
        """Write all that waits."""
        while group := self._next_group():
            self._keep(group)
            with suppress(ValueError):  # who closes takes what is left, and may not wait for us
                for entry in group:  # each is the first: removing it takes no search
                    self._entries.remove(entry)
            self._is_stalled = False
            self._acknowledge(group)

    def _next_group(self) -> list[Entry]:
        with suppress(IndexError):  # as above
            return [self._entries[place] for place in range(min(len(self._entries), _GROUP))]
        return []  # pragma: no cover - taken between two looks at it

    def _acknowledge(self, group: Sequence[Entry]) -> None:
        with self._changed:
            for entry in group:
                if entry.ticket is not None:
                    entry.ticket.is_kept = True
            self._changed.notify_all()

    def _keep(self, group: Sequence[Entry]) -> None:
        if self._is_there():
            try:
                self._commit(group)
            except (SQLAlchemyError, OSError) as exc:
                if is_of_the_row(exc):
                    self._keep_each(group, exc)
                    return
                self._gone(exc)
            except Exception as exc:  # noqa: BLE001 - logged there
                self._keep_each(group, exc)
                return
            else:
                return
        self._to_spool(group)

    def _keep_each(self, group: Sequence[Entry], exc: Exception) -> None:
        """One of these is not to be had in the database: all the others are."""
        if len(group) == 1:
            self.lost += 1
            logger.error("The ledger does not take %s", group[0].what.id, exc_info=exc)
            return
        for entry in group:
            self._keep([entry])

    def _commit(self, group: Sequence[Entry]) -> None:
        with self._database.writing() as connection:
            if not self.process.is_known:
                self.process.beat(self._database, connection)
            self._write(connection, group)
        self.process.is_known = True

    def _write(self, connection: Connection, group: Sequence[Entry]) -> None:
        begun = [begun_row(e.what, e.process) for e in group if isinstance(e.what, Begun)]
        ended = [
            (e.kind, ended_row(e.what, e.process)) for e in group if isinstance(e.what, UsageRecord)
        ]
        ends = [row for kind, row in ended if kind == "end"]
        replaced = [row for kind, row in ended if kind == "replace"]
        rows = [row for _, row in ended]
        pruned = statements.mark_days(connection, rows, time.time_ns() // 1000)
        if begun:
            statements.insert_begun(connection, begun)
        if ends:
            statements.upsert_end(connection, ends)
        if replaced:
            statements.replace(connection, replaced, pruned)

    def _is_there(self) -> bool:
        """Whether the database may be written to; one that was away is asked now and then."""
        if self.away is None and self.is_ready:
            return True
        if time.monotonic() < self._retry_at:
            return False
        try:
            self._open()
        except (SQLAlchemyError, OSError, ConfigError) as exc:
            self._gone(exc)
            return False
        return True

    def _open(self) -> None:
        if not self.is_ready:
            self._database.open()
            self.is_ready = True
        self.hand_in()
        if self.away is not None:
            logger.warning("The ledger %s is back", self._database)
        self.away = None

    def open(self) -> None:
        """Open the database; where it is away, go on without it. Raises `ConfigError`."""
        with self._working:
            try:
                self._open()
                self.settle()
            except (SQLAlchemyError, OSError) as exc:
                if is_of_configuration(exc):
                    why = str(getattr(exc, "orig", exc)).strip()
                    raise ConfigError(f"The ledger {self._database} cannot be used: {why}") from exc
                self._gone(exc)

    def _gone(self, exc: Exception) -> None:
        self._retry_at = time.monotonic() + _RETRY
        why = " ".join(str(getattr(exc, "orig", None) or exc).split())
        if self.away is None:
            logger.error(
                "The ledger %s cannot be written to. What it is given waits in %s. Why: %s",
                self._database,
                self._spool.path,
                why,
            )
        self.away = why

    def _to_spool(self, group: Sequence[Entry]) -> None:
        try:
            self._spool.append([entry.line() for entry in group])
        except OSError as exc:
            self.lost += len(group)
            logger.error("%d entries of the ledger are lost: %s", len(group), exc)  # noqa: TRY400 - the database's failure was shown

    def hand_in(self) -> bool:
        """Put what waits in the spool into the database; give whether nothing waits any more."""
        return self._spool.hand_in(self._take)

    def _take(self, lines: Sequence[bytes]) -> None:
        group = [entry for entry in map(Entry.read, lines) if entry is not None]
        try:
            with self._database.writing() as connection:
                self._write(connection, group)
        except Exception as exc:
            if isinstance(exc, SQLAlchemyError | OSError) and not is_of_the_row(exc):
                raise
            self._keep_each(group, exc)

    def settle(self) -> list[str]:
        """Settle the streams of processes that are gone; give their ids."""
        self._settle_at = time.monotonic() + _SETTLING
        with self._database.writing() as connection:
            return settle(self._database, connection, dead_after=self._dead_after)

    def _beat(self) -> None:
        if not self._is_there():
            return
        try:
            if self._spool.size:
                self.hand_in()
            if self.process.is_known:
                with self._database.writing() as connection:
                    self.process.beat(self._database, connection)
            if time.monotonic() >= self._settle_at:
                self.settle()
        except (SQLAlchemyError, OSError) as exc:
            self._gone(exc)

    def _leave(self) -> None:
        if self.away is None:
            try:
                with self._database.writing() as connection:
                    self.process.leave(connection)
            except (SQLAlchemyError, OSError) as exc:
                self._gone(exc)
