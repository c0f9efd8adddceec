"""How many streams a ledger keeps, and what it adds to the first chunk.

`python -m benchmarks.ledger` measures both.

Each stream is begun and ended; a thread begins the next one when the database has acknowledged the
beginning, and with it the end of the one before, which was written first. No provider takes part in
the first figures. Without `--url`, SQLite in a folder of its own is measured, and a PostgreSQL that
the tests' package brings.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from usagestream import Begun, Client, SqlLedger, Usage, UsageRecord, UsageSource
from usagestream_adapters.wire.chat import ChatDecoder
from usagestream_core.adapter import Head, Request, Target

BODY = (
    b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}\n\n'
    b"data: [DONE]\n\n"
)
USAGE = Usage(input_tokens=9, output_tokens=2, total_tokens=11, source=UsageSource.REPORTED)


def streams_of(url: str, spool: str, threads: int, seconds: float, told: Any) -> None:
    """One process: begin and end streams for so long, on so many threads."""
    with SqlLedger(url, spool=spool, patience=60) as ledger:
        waits: list[float] = []
        told.send("ready")
        told.recv()
        until = time.monotonic() + seconds
        before = time.process_time()

        def run() -> None:
            while time.monotonic() < until:
                now = datetime.now(UTC)
                tags = {"team": "search", "customer": "acme"}
                begun = Begun(
                    id=uuid.uuid4().hex,
                    provider="openai",
                    model="gpt-4o-mini",
                    endpoint="api.openai.com",
                    started_at=now,
                    tags=tags,
                )
                start = time.perf_counter()
                writing = ledger.begin(begun)
                while not writing.wait(1):
                    pass
                waits.append(time.perf_counter() - start)
                record = UsageRecord(
                    **begun.model_dump(),
                    outcome="completed",  # type: ignore[arg-type]
                    first_chunk_at=now + timedelta(seconds=0.3),
                    ended_at=now + timedelta(seconds=2),
                    usage=USAGE,
                )
                ledger.end(record)

        workers = [threading.Thread(target=run) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        ledger.flush(60)
        cpu = time.process_time() - before
        told.send((waits, cpu, ledger.lost, Path(spool).exists() and Path(spool).stat().st_size))


def throughput(
    url: str, folder: Path, processes: int, threads: int, seconds: float
) -> dict[str, Any]:
    """Streams a second, over so many processes of so many threads."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(processes)]
    children = [
        context.Process(
            target=streams_of, args=(url, str(folder / f"spool-{n}"), threads, seconds, theirs)
        )
        for n, (_, theirs) in enumerate(pipes)
    ]
    for child in children:
        child.start()
    for ours, _ in pipes:
        ours.recv()
    start = time.monotonic()
    for ours, _ in pipes:
        ours.send("go")
    found = [ours.recv() for ours, _ in pipes]
    took = time.monotonic() - start
    for child in children:
        child.join()
    waits = sorted(wait for each, _, _, _ in found for wait in each)
    return {
        "streams_per_second": round(len(waits) / took),
        "begin_p50_ms": round(statistics.median(waits) * 1e3, 2),
        "begin_p99_ms": round(waits[int(len(waits) * 0.99)] * 1e3, 2),
        "cpu_us_per_stream": round(sum(cpu for _, cpu, _, _ in found) / len(waits) * 1e6),
        "lost": sum(lost for _, _, lost, _ in found),
        "spooled_bytes": sum(size or 0 for _, _, _, size in found),
    }


class Waiting:
    """A provider that takes its time before it answers."""

    provider: ClassVar[str] = "waiting"

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.head = Head(status=200)

    def target(self, model: str) -> Target:
        return Target(endpoint="waiting.test")

    def decoder(self, head: Head) -> ChatDecoder:
        return ChatDecoder(head)

    def open(self, request: Request) -> Waiting:
        time.sleep(self._seconds)
        self.answered = time.perf_counter()
        return self

    def __iter__(self) -> Iterator[bytes]:
        yield BODY

    def close(self) -> None:
        pass


def first_chunks(url: str | None, folder: Path, streams: int, provider: float) -> list[float]:
    """Seconds from the provider's answer to the first chunk, for one stream after the other."""
    ledger = None if url is None else SqlLedger(url, spool=folder / "spool-first")
    adapter: Any = Waiting(provider)
    found: list[float] = []
    with Client(adapter, ledger=ledger, token_counter=None, pricer=None) as client:
        for _ in range(streams):
            messages = [{"role": "user", "content": "Hi"}]
            with client.stream(model="m", messages=messages) as stream:
                next(stream)
                found.append(time.perf_counter() - adapter.answered)
                stream.drain()
    if ledger is not None:
        ledger.close()
    return sorted(found)


def latency(url: str, folder: Path, streams: int, provider: float) -> dict[str, Any]:
    """What a ledger adds to the first chunk."""
    without = first_chunks(None, folder, streams, provider)
    with_it = first_chunks(url, folder, streams, provider)
    place = int(streams * 0.99)
    return {
        "provider_ms": provider * 1e3,
        "added_p50_ms": round((statistics.median(with_it) - statistics.median(without)) * 1e3, 3),
        "added_p99_ms": round((with_it[place] - without[place]) * 1e3, 3),
    }


def databases(folder: Path) -> Iterator[tuple[str, Any]]:
    """A SQLite file, and a PostgreSQL where the package is there; each gives a URL, always anew."""
    yield "sqlite", lambda: f"sqlite:///{folder}/{uuid.uuid4().hex}.db"
    try:
        from tests._support.databases import postgres_server, postgres_url
    except ImportError:
        return
    server = postgres_server(Path(tempfile.gettempdir()) / f"usagestream-pg-bench-{os.getpid()}")
    yield "postgresql", lambda: postgres_url(server)


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each figure")
    parser.add_argument("--url", help="measure this database alone; streams are written to it")
    parser.add_argument("--threads", type=int, default=50, help="of one process; half in eight")
    parser.add_argument("--streams", type=int, default=300, help="for the latency of first chunks")
    parser.add_argument("--provider", type=float, default=0.03, help="seconds to its answer")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measured = databases(folder) if asked.url is None else [("given", lambda: asked.url)]
        figures: dict[str, Any] = {"cpus": os.cpu_count(), "load": os.getloadavg()[0]}
        for kind, url in measured:
            figures[kind] = {
                "one process": throughput(url(), folder, 1, asked.threads, asked.seconds),
                "eight processes": throughput(url(), folder, 8, asked.threads // 2, asked.seconds),
                "first chunk": latency(url(), folder, asked.streams, asked.provider),
            }
            print(json.dumps({kind: figures[kind]}), flush=True)
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
