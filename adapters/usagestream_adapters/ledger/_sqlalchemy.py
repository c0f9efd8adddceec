"""SQLAlchemy, or a sentence that says how to get it."""

from __future__ import annotations

from typing import Final

try:
    import sqlalchemy as sa
    from sqlalchemy.dialects import postgresql, sqlite
    from sqlalchemy.dialects.postgresql import JSONB
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
    "JSONB",
    "ArgumentError",
    "SQLAlchemyError",
    "is_of_configuration",
    "is_of_the_row",
    "listen",
    "postgresql",
    "sa",
    "sqlite",
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
