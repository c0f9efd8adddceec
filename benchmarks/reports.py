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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from usagestream_adapters.ledger import Database, metadata

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
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = arguments.url or f"sqlite:///{Path(folder) / 'usage.db'}"
        start = time.perf_counter()
        size = make(url, arguments.rows)
        print(
            f"Python {platform.python_version()}, {os.cpu_count()} cores; {arguments.rows:,} "
            f"streams of {DAYS} days, {size}, made in {time.perf_counter() - start:.0f} s"
        )
        for name, words in REPORTS.items():
            clock, cpu, memory = run(url, words)
            print(f"{name}: {clock:.2f} s, CPU {cpu:.2f} s, {memory:.0f} MB", flush=True)


def make(url: str, rows: int) -> str:
    """Fill a new database; give its size, where it is a file."""
    database = Database(url)
    database.open()
    now = int(datetime.now(UTC).timestamp() * 1_000_000)
    for first in range(0, rows, AT_ONCE):
        count = min(AT_ONCE, rows - first)
        with database.writing() as connection:
            connection.exec_driver_sql(_statement(database.is_sqlite, first, count, rows, now))
    path = database.path
    with database.writing() as connection:
        connection.exec_driver_sql("ANALYZE")
    database.close()
    return "PostgreSQL" if path is None else f"{path.stat().st_size / 1e9:.2g} GB in SQLite"


def _statement(is_sqlite: bool, first: int, count: int, rows: int, now: int) -> str:
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
        "first_chunk_us": "200000 + (b * 7 + d) % 900000",
        "chunks": "d % 800",
        "tags": tags,
        "record": "'{}'",
    }
    drawn = f"x AS MATERIALIZED (SELECT i, {chance} AS b, {chance} AS d FROM n)"
    kept = f"SELECT i, b, d, b % {len(MODELS)} AS m, (b / 8 + d * 3) % {CUSTOMERS} AS c FROM x"
    table = metadata.tables["usagestream_streams"].name
    names, values = ", ".join(columns), ", ".join(columns.values())
    made = f"INSERT INTO {table} ({names}) {numbers}, {drawn} SELECT {values} FROM ({kept}) y"
    return made if is_sqlite else made.replace("%", "%%")  # psycopg's own sign


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
