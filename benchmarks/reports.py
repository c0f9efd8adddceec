"""`python -m benchmarks.reports`: how long a report of a large ledger takes, and what it holds.

Streams of a year are made straight in the database, by its own random numbers. Each report is the
command in a process of its own, its start included: seconds on the clock, seconds of its own CPU,
and the most memory it held. On PostgreSQL the work is the server's, whose memory is not counted.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from usagestream import Price, Rates, Usage, UsageRecord, cost_of
from usagestream_adapters.ledger import Database, metadata
from usagestream_core.records.latency import bucket_of

DAYS = 365
MODELS = (
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-5",
    "gpt-5-mini",
    "o3",
    "o4-mini",
)
CUSTOMERS = 50
AT_ONCE = 500_000
_BUCKET = "floor(ln({}) / ln(2) * 16 + 1e-9)"
"""What `bucket_of` gives, in PostgreSQL's words."""
REPORTS = {
    "the first: all days are added up": ["--by", "model"],
    "30 days by model and customer": ["--by", "model,tag:customer", "--since", "30d"],
    "a year by model and day": ["--by", "model,day"],
    "a year by customer and month": ["--by", "tag:customer,month"],
    "7 days by hour: no daily sums": ["--by", "hour", "--since", "7d"],
}


def main() -> None:
    """Make the streams, and report of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reports", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--url", help="of an empty database; a file of its own by default")
    parser.add_argument(
        "--whole", action="store_true", help="with a record in each row, so that rows are as wide"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = arguments.url or f"sqlite:///{Path(folder) / 'usage.db'}"
        start = time.perf_counter()
        size = make(url, arguments.rows, whole=arguments.whole)
        print(
            f"Python {platform.python_version()}, {os.cpu_count()} cores; {arguments.rows:,} "
            f"streams of {DAYS} days, {size}, made in {time.perf_counter() - start:.0f} s"
        )
        for name, words in REPORTS.items():
            clock, cpu, memory = run(url, words)
            print(f"{name}: {clock:.2f} s, CPU {cpu:.2f} s, {memory:.0f} MB", flush=True)


def make(url: str, rows: int, *, whole: bool = False) -> str:
    """Fill a new database; give its size."""
    database = Database(url)
    database.open()
    now = int(datetime.now(UTC).timestamp() * 1_000_000)
    for first in range(0, rows, AT_ONCE):
        count = min(AT_ONCE, rows - first)
        with database.writing() as connection:
            if database.is_sqlite:
                connection.connection.driver_connection.create_function("bucket_of", 1, bucket_of)
            connection.exec_driver_sql(
                _statement(database.is_sqlite, first, count, rows, now, whole=whole)
            )
    path = database.path
    with database.writing() as connection:
        connection.exec_driver_sql("ANALYZE")
        if path is None:
            asked = "SELECT pg_database_size(current_database()), current_setting('server_version')"
            held, version = connection.exec_driver_sql(asked).one()
    database.close()
    if path is None:
        return f"{held / 1e9:.2g} GB in PostgreSQL {version}"
    return f"{path.stat().st_size / 1e9:.2g} GB in SQLite"


def _statement(is_sqlite: bool, first: int, count: int, rows: int, now: int, *, whole: bool) -> str:
    """Streams number `first` and on, of so many that are spread over the days before now."""
    chance = "(random() & 1048575)" if is_sqlite else "floor(random() * 1048576)::bigint"
    models = (
        "CASE m " + "".join(f"WHEN {i} THEN '{each}' " for i, each in enumerate(MODELS)) + "END"
    )
    customer = '\'{"customer": "c\' || c || \'", "team": "t\' || (c % 5) || \'"}\''
    tags = customer if is_sqlite else f"({customer})::jsonb"
    numbers = (
        f"WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n "
        f"WHERE i < {first + count - 1})"
        if is_sqlite
        else f"WITH n(i) AS (SELECT generate_series({first}::bigint, {first + count - 1}))"
    )
    wait = "(200000 + (b * 7 + d) % 900000)"
    true, false = ("1", "0") if is_sqlite else ("true", "false")
    columns: dict[str, Any] = {
        "id": "'s' || i",
        "state": "'ended'",
        "begun_at": f"{now} - ({rows} - i) * {DAYS * 86_400_000_000 // rows}",
        "ended_at": f"{now}",
        "api": "'chat'",
        "provider": "CASE WHEN m < 6 THEN 'openai' ELSE 'azure' END",
        "profile": "'prod'",
        "endpoint": "'api.openai.com'",
        "model": models,
        "response_model": models,
        "outcome": "CASE WHEN d < 1000000 THEN 'completed' WHEN d < 1030000 THEN 'closed' "
        "ELSE 'failed' END",
        "input_tokens": "b % 4000 + 20",
        "output_tokens": "d % 800 + 1",
        "total_tokens": "b % 4000 + d % 800 + 21",
        "cache_read_tokens": "b % 4000 / 2",
        "source": "CASE WHEN d < 1000000 THEN 'reported' ELSE 'estimated' END",
        "lower_bound": false,
        "cost_nano": "(b % 4000 + 20) * 150 + (d % 800 + 1) * 600",
        "currency": "'USD'",
        "cost_basis": "CASE WHEN d < 1000000 THEN 'reported' ELSE 'estimated' END",
        "cost_lower_bound": f"CASE WHEN d < 1000000 THEN {false} ELSE {true} END",
        "price_source": "'list'",
        "first_chunk_us": wait,
        "first_chunk_bucket": f"bucket_of({wait})" if is_sqlite else _BUCKET.format(wait),
        "chunks": "d % 800",
        "tags": tags,
        "record": _record(is_sqlite) if whole else "'{}'",
    }
    drawn = f"x AS MATERIALIZED (SELECT i, {chance} AS b, {chance} AS d FROM n)"
    kept = f"SELECT i, b, d, b % {len(MODELS)} AS m, (b / 8 + d * 3) % {CUSTOMERS} AS c FROM x"
    table = metadata.tables["usagestream_streams"].name
    names, values = ", ".join(columns), ", ".join(columns.values())
    made = f"INSERT INTO {table} ({names}) {numbers}, {drawn} SELECT {values} FROM ({kept}) y"
    return made if is_sqlite else made.replace("%", "%%")  # psycopg's own sign


def _record(is_sqlite: bool) -> str:
    """A record as clients make it, with ids of its own; its figures are not those of the row."""
    at = datetime.now(UTC)
    usage = Usage(input_tokens=1234, output_tokens=567, total_tokens=1801, cache_read_tokens=617)
    rates = Rates(input=Decimal("0.15"), output=Decimal("0.6"), cache_read=Decimal("0.075"))
    price = Price(source="genai-prices 0.0.40", model="gpt-4o-mini", currency="USD", rates=rates)
    record = UsageRecord(
        id="ID",
        provider="openai",
        profile="prod",
        endpoint="api.openai.com",
        model="gpt-4o-mini",
        response_model="gpt-4o-mini-2024-07-18",
        response_id="chatcmpl-ID",
        request_ids={"x-request-id": "req_ID"},
        outcome="completed",  # type: ignore[arg-type]
        finish_reasons={0: "stop"},
        started_at=at,
        first_chunk_at=at + timedelta(seconds=0.5),
        ended_at=at + timedelta(seconds=4.2),
        chunk_count=569,
        usage=usage,
        wire_usage={"prompt_tokens": 1234, "completion_tokens": 567, "total_tokens": 1801},
        cost=cost_of(usage, price),
        tags={"customer": "c12", "team": "t2"},
    )
    text = record.model_dump_json().replace("'", "''")
    drawn = "hex(randomblob(16))" if is_sqlite else "md5(random()::text)"
    return f"'{text}'".replace("ID", f"' || {drawn} || '")


def run(url: str, words: list[str]) -> tuple[float, float, float]:
    """Seconds on the clock, of CPU, and megabytes that the command held at most."""
    command = [sys.executable, "-m", "usagestream", "report", url, "--json", *words]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    clock = time.perf_counter() - start
    return clock, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000


if __name__ == "__main__":
    main()
