"""Processes and their heartbeats; the streams of those that are gone are settled as unknown."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ._rows import killed
from ._schema import LOST, OPEN, UNENDED, processes, streams
from ._sqlalchemy import sa
from ._statements import mark_days, upsert_end

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

    from ._database import Database

__all__ = ["DEAD_AFTER", "Process", "settle"]

DEAD_AFTER: Final = 60.0
"""Seconds without a heartbeat after which a process of another machine counts as gone."""

_GROUP: Final = 500


class Process:
    """The process that we are, as the ledger knows it."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.pid = os.getpid()
        self.machine = _machine()
        self.is_known = False
        """Whether the database has its row."""

    def beat(self, database: Database, connection: Connection) -> None:
        """Say that we live. Who was taken for dead takes its streams back."""
        now = database.now(connection)
        if not self.is_known:
            self._enter(connection, now)
            return
        mine = processes.c.id == self.id
        beaten = connection.execute(sa.update(processes).where(mine).values(beat_at=now))
        if beaten.rowcount == 0:
            self._enter(connection, now)

    def _enter(self, connection: Connection, now: int) -> None:
        row = {"id": self.id, "machine": self.machine, "pid": self.pid, "begun_at": now}
        row |= {"pid_began": _began(self.pid), "beat_at": now}
        connection.execute(sa.insert(processes).values(row))
        mine = sa.text(UNENDED) & (streams.c.process == self.id) & (streams.c.state == LOST)
        found = connection.execute(sa.select(streams.c.begun_at).where(mine)).mappings()
        mark_days(connection, [dict(row) for row in found], now)
        unknown = dict.fromkeys(
            ("ended_at", "outcome", "reason", "source", "lower_bound", "chunks")
        )
        connection.execute(sa.update(streams).where(mine).values(state=OPEN, **unknown))

    def leave(self, connection: Connection) -> None:
        """Nothing more comes from here."""
        connection.execute(sa.delete(processes).where(processes.c.id == self.id))


def settle(
    database: Database, connection: Connection, *, dead_after: float = DEAD_AFTER
) -> list[str]:
    """Settle the open streams of processes that are gone; give their ids.

    A process of this machine is gone when there is no such process: one that sleeps with its
    machine, or is stopped, lives. One of another machine is gone when its heartbeat is older than
    `dead_after` seconds by the database's clock; should it live after all, its next heartbeat takes
    its streams back, and an end that it writes stands in any case.
    """
    now = database.now(connection)
    seen: dict[str, int] = {}
    alive: set[str] = set()
    for row in connection.execute(sa.select(processes)).mappings():
        seen[row["id"]] = row["beat_at"]
        if not _is_gone(row, now - int(dead_after * 1e6)):
            alive.add(row["id"])
    found = sa.select(streams.c.id, streams.c.process, streams.c.record, streams.c.begun_at)
    orphans = [
        dict(row)
        for row in connection.execute(
            found.where(sa.text(UNENDED), streams.c.state == OPEN)
        ).mappings()
        if row["process"] not in alive
    ]
    mark_days(connection, orphans, now)
    for group in _groups(sorted(orphans, key=lambda row: str(row["id"]))):
        upsert_end(connection, [killed(row, seen.get(row["process"])) for row in group])
    gone = seen.keys() - alive
    if gone:
        connection.execute(sa.delete(processes).where(processes.c.id.in_(gone)))
    return [row["id"] for row in orphans]


def _groups(rows: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (rows[start : start + _GROUP] for start in range(0, len(rows), _GROUP))


def _is_gone(row: RowMapping, beats_since: int) -> bool:
    if row["pid_began"] is not None and row["machine"] == _machine():
        return bool(_began(row["pid"]) != row["pid_began"])
    return bool(row["beat_at"] < beats_since)


def _machine() -> str:
    """Which host we are on, since its start, and where its processes get their numbers."""
    boot = _read("/proc/sys/kernel/random/boot_id")
    try:
        numbers = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # pragma: no cover - not on Linux
        numbers = ""
    return f"{socket.gethostname()} {boot} {numbers}".strip()


def _began(pid: int) -> str | None:
    """When a process of this machine began, `""` for none; `None` where that cannot be told."""
    if not Path("/proc/self/stat").exists():  # pragma: no cover - not on Linux
        return None
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if fields and fields[0] not in ("Z", "X") else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace").strip()
    except OSError:
        return ""
