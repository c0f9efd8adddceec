"""SQLAlchemy, or a sentence that says how to get it."""

from __future__ import annotations

try:
    import sqlalchemy as sa
    from sqlalchemy.dialects.postgresql import JSONB
    from sqlalchemy.event import listen
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError
except ImportError as exc:  # pragma: no cover - the tests have it; a process without is tested
    raise ImportError('SQLAlchemy is not here: pip install "usagestream[ledger]"') from exc

__all__ = ["JSONB", "ArgumentError", "SQLAlchemyError", "listen", "sa"]
