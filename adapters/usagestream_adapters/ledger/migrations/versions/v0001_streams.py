"""Streams, the processes that hold them, and daily roll-ups."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

_BIG: Final = sa.BigInteger()
_JSON: Final = sa.JSON().with_variant(JSONB(), "postgresql")
_COUNTS: Final = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "input_audio_tokens",
    "input_image_tokens",
    "input_text_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
    "output_text_tokens",
    "accepted_prediction_tokens",
    "rejected_prediction_tokens",
    "cache_write_30m_tokens",
    "cache_write_12h_tokens",
)
_SUMS: Final = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cacheable_tokens",
)


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text()) for name in names]


def _bigs(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, _BIG) for name in names]


def upgrade() -> None:
    """Make all tables of the first version."""
    op.create_table(
        "usagestream_streams",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("state", sa.Text(), nullable=False),
        *_texts("process"),
        sa.Column("begun_at", _BIG, nullable=False),
        *_bigs("ended_at"),
        *_texts("api", "provider", "profile", "endpoint", "region", "model", "deployment"),
        *_texts("response_model", "tier_asked", "tier", "outcome", "reason", "error"),
        *_bigs(*_COUNTS),
        *_texts("source"),
        sa.Column("lower_bound", sa.Boolean()),
        *_bigs("cost_nano"),
        *_texts("currency", "cost_basis"),
        sa.Column("cost_lower_bound", sa.Boolean()),
        *_texts("price_source"),
        *_bigs("first_chunk_us"),
        sa.Column("first_chunk_bucket", sa.SmallInteger()),
        *_bigs("chunks"),
        sa.Column("tags", _JSON, nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
    )
    op.create_index("usagestream_streams_begun", "usagestream_streams", ["begun_at"])
    unended = sa.text("state <> 'ended'")
    op.create_index(
        "usagestream_streams_unended",
        "usagestream_streams",
        ["process"],
        sqlite_where=unended,
        postgresql_where=unended,
    )
    op.create_table(
        "usagestream_processes",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("machine", sa.Text(), nullable=False),
        sa.Column("pid", _BIG, nullable=False),
        *_texts("pid_began"),
        sa.Column("begun_at", _BIG, nullable=False),
        sa.Column("beat_at", _BIG, nullable=False),
    )
    op.create_table(
        "usagestream_rollups",
        sa.Column("tagged", sa.Boolean(), primary_key=True),
        sa.Column("day", _BIG, primary_key=True),
        sa.Column("number", _BIG, primary_key=True),
        *_texts("api", "provider", "profile", "endpoint", "region", "model", "deployment"),
        *_texts("response_model", "tier", "outcome", "source"),
        sa.Column("tags", _JSON, nullable=False),
        *_texts("cost_basis", "currency"),
        sa.Column("refused", sa.Boolean(), nullable=False),
        sa.Column("streams", _BIG, nullable=False),
        *_bigs(*_SUMS, "cost_nano"),
        sa.Column("lower_bound", sa.Boolean(), nullable=False),
        *_texts("first_chunks"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "usagestream_rolled_days",
        sa.Column("day", _BIG, primary_key=True, autoincrement=False),
        sa.Column("dirty", sa.Boolean(), nullable=False),
        *_bigs("rolled_at"),
        sa.Column("pruned", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    if op.get_context().dialect.name == "postgresql":
        op.create_index(
            "usagestream_streams_tags",
            "usagestream_streams",
            ["tags"],
            postgresql_using="gin",
            postgresql_ops={"tags": "jsonb_path_ops"},
        )
        columns = (
            "id, state, to_timestamp(begun_at / 1e6) AS begun_at, "
            "to_timestamp(ended_at / 1e6) AS ended_at, api, provider, profile, endpoint, region, "
            "model, deployment, response_model, tier_asked, tier, outcome, reason, error, "
            f"{', '.join(_COUNTS)}, source, lower_bound, "
            "cost_nano::numeric / 1000000000 AS cost, currency, cost_basis, cost_lower_bound, "
            "first_chunk_us / 1e6 AS first_chunk_seconds, chunks, tags"
        )
        op.execute(f"CREATE VIEW usagestream_usage AS SELECT {columns} FROM usagestream_streams")  # noqa: S608
