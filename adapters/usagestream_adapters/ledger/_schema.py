"""The tables of the ledger: one schema for SQLite and PostgreSQL.

Times are integer microseconds since 1970 in UTC; amounts of money integer nano-units of their
currency, since SQLite has no decimal type and a float would lose the cents. Whatever a report
groups by, filters by or adds up has a column; the whole record stands beside, as JSON. Of a
conversation nothing is kept.
"""

from __future__ import annotations

from typing import Final

from usagestream_core.records.report import COUNTS as SUMS
from usagestream_core.usage import COUNT_FIELDS

from ._sqlalchemy import Json, sa

__all__ = [
    "COUNTS",
    "DAY",
    "ENDED",
    "FRESH_DAYS",
    "LOST",
    "OPEN",
    "REPORTED",
    "UNENDED",
    "VERSION_TABLE",
    "metadata",
    "processes",
    "rolled_days",
    "rollups",
    "streams",
]

OPEN: Final = "open"
"""The request was about to be sent, and no end is known yet."""
ENDED: Final = "ended"
"""The stream's own record is here."""
LOST: Final = "lost"
"""Settled for a process that is gone, as `abandoned`, reason `killed`, usage unknown. An end that
comes after all takes its place."""

UNENDED: Final = "state <> 'ended'"
"""What a query says, word for word, to find the few rows of the index on them."""

VERSION_TABLE: Final = "usagestream_version"
COUNTS: Final = COUNT_FIELDS
REPORTED: Final = SUMS
DAY: Final = 86_400_000_000
"""Microseconds of a day: `begun_at // DAY` is the day in UTC, counted from 1970-01-01."""
FRESH_DAYS: Final = 1
"""Rows of today and so many days before it are written without a mark in `rolled_days`, which would
have all processes wait for one row. No roll-up is made of a day that is less than two older."""

metadata = sa.MetaData()

_BIG: Final = sa.BigInteger()
_JSON: Final = Json()


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text())


streams: Final = sa.Table(
    "usagestream_streams",
    metadata,
    sa.Column("id", sa.Text(), primary_key=True),
    sa.Column("state", sa.Text(), nullable=False),  # OPEN, ENDED or LOST
    _text("process"),  # NULL for what was imported
    sa.Column("begun_at", _BIG, nullable=False),
    sa.Column("ended_at", _BIG),
    _text("api"),
    _text("provider"),
    _text("profile"),
    _text("endpoint"),
    _text("region"),
    _text("model"),  # asked for
    _text("deployment"),
    _text("response_model"),  # that answered
    _text("tier_asked"),
    _text("tier"),  # that served
    _text("outcome"),
    _text("reason"),
    _text("error"),  # its type
    *(sa.Column(name, _BIG) for name in COUNTS),
    _text("source"),  # reported, estimated, unknown
    sa.Column("lower_bound", sa.Boolean()),
    sa.Column("cost_nano", _BIG),  # NULL where no price or no count is known
    _text("currency"),
    _text("cost_basis"),  # reported or estimated
    sa.Column("cost_lower_bound", sa.Boolean()),
    _text("price_source"),
    sa.Column("first_chunk_us", _BIG),  # from the request to the first chunk; NULL for none
    sa.Column("first_chunk_bucket", sa.SmallInteger()),  # the same on the log scale of reports
    sa.Column("chunks", _BIG),
    sa.Column("tags", _JSON, nullable=False),
    sa.Column("record", sa.Text(), nullable=False),  # JSON of a Begun, then of a UsageRecord
    sa.Index("usagestream_streams_begun", "begun_at"),
)
"""What is one database's own way, only the migrations say, since to say it loads the dialects of
both: an index of `UNENDED` rows, on PostgreSQL one of tags, and a view there."""

processes: Final = sa.Table(
    "usagestream_processes",
    metadata,
    sa.Column("id", sa.Text(), primary_key=True),
    sa.Column("machine", sa.Text(), nullable=False),  # host, boot and namespace of its number
    sa.Column("pid", _BIG, nullable=False),
    _text("pid_began"),  # tells a number that was given anew
    sa.Column("begun_at", _BIG, nullable=False),
    sa.Column("beat_at", _BIG, nullable=False),  # by the database's clock
)

rollups: Final = sa.Table(
    "usagestream_rollups",
    metadata,
    sa.Column("tagged", sa.Boolean(), primary_key=True),  # a stream is in one with and one without
    sa.Column("day", _BIG, primary_key=True),  # in UTC, counted from 1970-01-01
    sa.Column("number", _BIG, primary_key=True),  # of those of the day; no two are of one kind:
    _text("api"),
    _text("provider"),
    _text("profile"),
    _text("endpoint"),
    _text("region"),
    _text("model"),
    _text("deployment"),
    _text("response_model"),
    _text("tier"),
    _text("outcome"),
    _text("source"),
    sa.Column("tags", _JSON, nullable=False),
    _text("cost_basis"),
    _text("currency"),
    sa.Column("refused", sa.Boolean(), nullable=False),  # before anything was read
    sa.Column("streams", _BIG, nullable=False),
    *(sa.Column(name, _BIG) for name in REPORTED),  # NULL where no row had the count
    sa.Column("cost_nano", _BIG),
    sa.Column("lower_bound", sa.Boolean(), nullable=False),
    _text("first_chunks"),  # buckets and how many streams, by turns: 283,12,284,7
)

rolled_days: Final = sa.Table(
    "usagestream_rolled_days",
    metadata,
    sa.Column("day", _BIG, primary_key=True, autoincrement=False),
    sa.Column("dirty", sa.Boolean(), nullable=False),  # rows came since it was rolled up
    sa.Column("rolled_at", _BIG),  # NULL where it was not
    sa.Column("pruned", sa.Boolean(), nullable=False, server_default=sa.false()),
)
"""Where a day was pruned, its rows are gone, and its roll-ups are all that is known of them."""
