"""One database behind its URL: connections, the lock between writers, and its schema.

SQLite's own waiting is unfair: with eight writers some wait for seconds. Here each takes a file
lock before it begins, and begins at once with the right to write.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from usagestream_core.errors import ConfigError
from usagestream_core.locks import ForkSafeLock, file_lock

from ._schema import VERSION_TABLE
from ._sqlalchemy import ArgumentError, listen, sa

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import URL

__all__ = ["HEAD", "Database"]

HEAD: Final = "0001"
"""The version of the schema that this code reads and writes."""

_MIGRATIONS: Final = Path(__file__).with_name("migrations")
_ADVISORY_KEY: Final = 0x75736167
"""The number of our lock in PostgreSQL: `usag`."""
_ALIVE: Final = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""A server that is gone without a word is noticed within half a minute, not within hours."""

_PAUSE: Final = 0.005
_left_alone: Final[list[object]] = []
"""What a forked child has of its parents' connections."""
_POSTGRES: Final = ("postgresql", "postgres", "postgresql+psycopg")


class Database:
    """Where a ledger is kept. Makes no connection before it is asked for one.

    Raises `ConfigError` for a URL that names no SQLite file and no PostgreSQL, and where the driver
    is not installed.
    """

    def __init__(self, url: str, *, fsync: bool = False, timeout: float = 5.0) -> None:
        self.url = _parsed(url)
        self._shown = self.url.render_as_string(hide_password=True)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:  # of the folder of now, wherever the program goes later
            self.url = self.url.set(database=str(Path(self.url.database or "").absolute()))
        self._fsync = fsync
        self._timeout = timeout
        self._lock = ForkSafeLock()
        self._lock_file: int | None = None
        self._engine: Engine | None = None

    def __str__(self) -> str:
        return self._shown

    @property
    def path(self) -> Path | None:
        """The file of a SQLite database; `None` for another."""
        return Path(self.url.database or "") if self.is_sqlite else None

    @property
    def engine(self) -> Engine:
        """SQLAlchemy's engine; no connection is made for it."""
        if self._engine is None:
            self._engine = self._made()
        return self._engine

    def _made(self) -> Engine:
        if self.is_sqlite:
            engine = sa.create_engine(
                self.url, connect_args={"timeout": self._timeout, "check_same_thread": False}
            )
            listen(engine, "connect", self._set_up)
            listen(engine, "begin", _begin)
            return engine
        try:
            return sa.create_engine(
                self.url,
                pool_pre_ping=True,
                pool_size=2,
                connect_args={"connect_timeout": max(int(self._timeout), 2), **_ALIVE},
            )
        except ImportError as exc:  # pragma: no cover - the tests have it
            raise ConfigError(
                'A ledger on PostgreSQL needs psycopg: pip install "usagestream[postgres]"'
            ) from exc

    def _set_up(self, connection: Any, _: object) -> None:
        connection.isolation_level = None  # so that BEGIN is ours: see _begin
        cursor = connection.cursor()
        cursor.execute("PRAGMA page_size = 8192")  # of a new file: in 4096 one row has a page
        self._write_ahead(cursor)
        cursor.execute(f"PRAGMA synchronous = {'FULL' if self._fsync else 'NORMAL'}")
        cursor.close()

    def _write_ahead(self, cursor: sqlite3.Cursor) -> None:
        """Have a new file written ahead. Of several that do, SQLite refuses all but one at once."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                cursor.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as exc:
                if _is_busy(exc) and time.monotonic() < deadline:
                    time.sleep(_PAUSE)
                    continue
                raise
            return

    @contextmanager
    def writing(self) -> Generator[Connection]:
        """Write in one transaction, alone among the writers of a SQLite file."""
        with self._alone(), self.engine.connect() as connection:
            connection = connection.execution_options(usagestream_writes=True)
            with connection.begin():
                yield connection

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """Read one state of the database, whoever writes meanwhile."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    def now(self, connection: Connection) -> int:
        """The database's own time, in microseconds since 1970."""
        if self.is_sqlite:
            return time.time_ns() // 1000
        asked = sa.text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        return int(connection.execute(asked).scalar_one())

    def open(self) -> None:
        """Bring the schema up to date, where it is not: one process at a time.

        Raises `ConfigError` for a database that a newer version of this library wrote, and for a
        folder that is not there.
        """
        path = self.path
        if path is not None:
            if not path.absolute().parent.is_dir():
                raise ConfigError(
                    f"The ledger {self} is in a folder that is not there: make it first."
                )
            os.close(_owners_file(path))  # what SQLite adds to it is as open to others as this
        with self.reading() as connection:
            version = self._version(connection)
        if version == HEAD:
            return
        with self.writing() as connection:
            if not self.is_sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_KEY)))
            if self._version(connection) != HEAD:
                self._migrate(connection)

    def _version(self, connection: Connection) -> str | None:
        """The version of the schema that is there. Raises `ConfigError` for one that is unknown."""
        if not sa.inspect(connection).has_table(VERSION_TABLE):
            return None
        found = connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - our own name
        if found is not None and not any(_MIGRATIONS.glob(f"versions/v{found}_*.py")):
            raise ConfigError(
                f"The ledger {self} was written by a newer version of usagestream (its schema is "
                f"{found}, this one knows {HEAD}): upgrade usagestream, or name another ledger."
            )
        return None if found is None else str(found)

    def _migrate(self, connection: Connection) -> None:
        from alembic import command  # slow to import, and seldom needed
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    def close(self) -> None:
        """Let all connections go."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()
        if self._lock.acquire(blocking=False):  # else somebody writes, and has it locked
            self._close_lock_file()
            self._lock.release()

    def forked(self) -> None:
        """Forget the connections of the parent without closing them: this is its forked child.

        Nor may the collector close them: SQLite would take what the parent has open for its own.
        """
        engine, self._engine = self._engine, None
        if engine is not None:
            _left_alone.append(engine)
        self._close_lock_file()  # else a parent that is killed has it locked for as long as we live

    def _close_lock_file(self) -> None:
        file, self._lock_file = self._lock_file, None
        if file is not None:
            os.close(file)

    @contextmanager
    def _alone(self) -> Generator[None]:
        """Keep other writers of the same SQLite file out: threads and processes, fairly."""
        path = self.path
        if path is None:
            yield
            return
        path = path.with_name(f"{path.name}.lock")
        with self._lock:
            if self._lock_file is None:
                self._lock_file = _owners_file(path)
            with file_lock(self._lock_file, path, None):
                yield


def _is_busy(exc: sqlite3.OperationalError) -> bool:
    """Whether another connection was in the way. Codes have a kind in their upper bits."""
    return exc.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _owners_file(path: Path) -> int:
    """Open a file, made for its owner only where it is not there."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _begin(connection: Connection) -> None:
    """With the right to write from the start: one that is taken later may be refused at once."""
    writes = connection.get_execution_options().get("usagestream_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _parsed(url: str) -> URL:
    try:
        found = sa.make_url(url)
    except ArgumentError:
        found = None
    if found is not None and found.drivername in _POSTGRES and found.database:
        return found.set(drivername="postgresql+psycopg")
    if found is not None and found.drivername == "sqlite":
        if found.database and found.database != ":memory:":
            return found
        raise ConfigError(
            "A ledger in memory is gone with the program: name a file, as in "
            "sqlite:///usage.db (in this folder) or sqlite:////var/lib/usage.db."
        )
    shown = "that URL" if found is None else found.render_as_string(hide_password=True)
    raise ConfigError(
        f"A ledger is kept in SQLite or PostgreSQL, not in {shown}: write sqlite:///usage.db, or "
        "postgresql://user@host/database."
    )
