"""SQLAlchemy, or a sentence that says how to get it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sqlalchemy import Dialect
    from sqlalchemy.dialects.postgresql import Insert
    from sqlalchemy.types import TypeEngine

try:
    import sqlalchemy as sa
    from sqlalchemy.event import listen
    from sqlalchemy.exc import (
        ArgumentError,
        DataError,
        DBAPIError,
        IntegrityError,
        SQLAlchemyError,
        StatementError,
    )
except ImportError as exc:  # pragma: no cover - the tests have it; a process without is tested
    raise ImportError('SQLAlchemy is not here: pip install "usagestream[ledger]"') from exc

__all__ = [
    "ArgumentError",
    "Json",
    "SQLAlchemyError",
    "insert",
    "is_of_configuration",
    "is_of_the_row",
    "listen",
    "sa",
]


_FOR_GOOD: Final = (
    "unable to open database file",
    "file is not a database",
    "readonly database",
    "does not exist",
    "authentication failed",
    "permission denied",
    "no password supplied",
)


class Json(sa.TypeDecorator[Any]):
    """JSON, which PostgreSQL keeps in a form that it can search."""

    impl = sa.JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name != "postgresql":
            return dialect.type_descriptor(sa.JSON())
        from sqlalchemy.dialects.postgresql import JSONB  # who uses SQLite does not wait for it

        return dialect.type_descriptor(JSONB())


def insert(dialect: str, table: sa.Table) -> Insert:
    """An insert that may be refused: both databases word it alike, and SQLAlchemy twice."""
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)  # type: ignore[return-value]  # pyright: ignore[reportReturnType] - alike


def is_of_the_row(exc: Exception) -> bool:
    """Whether a statement failed for what it was to write, and not for the database's state."""
    if isinstance(exc, DataError | IntegrityError):
        return True
    return isinstance(exc, StatementError) and not isinstance(exc, DBAPIError)


def is_of_configuration(exc: Exception) -> bool:
    """Whether the database was reached, or never will be: waiting mends nothing.

    Neither driver has a code for that where a connection fails.
    """
    if isinstance(exc, PermissionError | IsADirectoryError | NotADirectoryError):
        return True
    said = str(getattr(exc, "orig", ""))
    return any(words in said for words in _FOR_GOOD)
