"""`python -m benchmarks.soak`: a thousand streams at a time, each ending as chance has it.

A server process plays every ending that a server can bring about; this process reads, breaks off,
closes, cancels, fails, drops and drains. At the end it says whether each stream that was opened
left one record, what memory did, and whether a socket is left. Exits with 1 if not all is well.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import subprocess
import sys
import time
import warnings
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from usagestream import AsyncClient, AsyncUsageStream, UsageRecord, UsageStreamError
from usagestream_adapters.emulator import Emulator, Scenario, scenarios
from usagestream_adapters.openai import OpenAIProfile
from usagestream_core.records.shutdown import open_stream_count

TEXT = "One two three four five six seven eight nine ten eleven twelve"
QUESTION: Any = [{"role": "user", "content": "Say something."}]
SERVED = {
    "plain": Scenario(text=TEXT),
    "slow": Scenario(text=TEXT, delay=0.05),
    "cut": Scenario(text=TEXT, cut_after_frames=5),
    "drop": Scenario(text=TEXT, cut_after_frames=5, cut="drop"),
    "reset": Scenario(text=TEXT, cut_after_frames=5, cut="reset"),
    "stall": Scenario(text=TEXT, cut_after_frames=5, cut="stall"),
    "held": scenarios.held_after_done,
    "error": Scenario(text=TEXT, cut_after_frames=4, error_frame={"error": {"message": "broke"}}),
    "json": Scenario(body="{}"),
    "refused": scenarios.rate_limited,
}
WAYS = ("read", "break", "close", "raise", "cancel", "drop", "drain")


@dataclass
class Tally:
    """What happened."""

    opened: int = 0
    outcomes: Counter[str] = field(default_factory=Counter[str])
    twice: int = 0
    seen: set[str] = field(default_factory=set[str])

    def note(self, record: UsageRecord) -> None:
        """Take a record; the same one twice would be a fault."""
        self.twice += record.id in self.seen
        self.seen.add(record.id)
        self.outcomes[str(record.outcome)] += 1


def serve() -> None:
    """Run the servers until standard input closes."""
    with ExitStack() as stack:
        running = {
            name: stack.enter_context(Emulator(scenario=scenario))
            for name, scenario in SERVED.items()
        }
        print(json.dumps({name: one.openai_base_url for name, one in running.items()}), flush=True)
        sys.stdin.read()


async def read(stream: AsyncUsageStream, way: str) -> None:
    """Read a stream, and leave it in this way."""
    if way == "drop":
        await anext(stream, None)
        return
    async with stream:
        if way == "drain":
            await stream.drain(timeout=1)
            return
        count = 0
        async for _ in stream:
            count += 1
            if count == 3 and way == "break":
                break
            if count == 3 and way == "close":
                await stream.close()
            if count == 3 and way == "raise":
                raise ZeroDivisionError


async def one(clients: list[AsyncClient], chance: random.Random, tally: Tally) -> None:
    """Open a stream somewhere and end it somehow."""
    way = chance.choice(WAYS)
    stream = chance.choice(clients).stream(model="gpt-4o", messages=QUESTION)
    tally.opened += 1
    try:
        async with asyncio.timeout(0.3 if way == "cancel" else 60):
            await read(stream, way)
    except (UsageStreamError, ZeroDivisionError, TimeoutError):
        pass


async def soak(
    urls: dict[str, str], seconds: float, at_once: int, seed: int
) -> tuple[Tally, list[int]]:
    """Keep so many streams going for so long; give the tally and the memory on the way."""
    chance = random.Random(seed)
    tally = Tally()
    memory: list[int] = []
    clients = [
        AsyncClient(
            OpenAIProfile.model_validate(
                {"api_key": "k", "base_url": url, "timeout": 5, "max_retries": 0}
            ),
            on_record=tally.note,
        )
        for url in urls.values()
    ]
    end = time.monotonic() + seconds
    going: set[asyncio.Task[None]] = set()
    while time.monotonic() < end:
        while len(going) < at_once:
            task = asyncio.create_task(one(clients, chance, tally))
            going.add(task)
            task.add_done_callback(going.discard)
        await asyncio.sleep(0.01)
        if len(memory) < 10 * (1 - (end - time.monotonic()) / seconds):
            memory.append(resident_kb())
    while going:
        await asyncio.wait(going)
    for client in clients:
        await client.close()
    gc.collect()
    await asyncio.sleep(0.2)
    return tally, memory


def resident_kb() -> int:
    """Memory of this process now, in KB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def socket_count() -> int:
    """Sockets this process has open."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            found += str(descriptor.readlink()).startswith("socket:")
        except FileNotFoundError:
            continue
    return found


def main() -> None:
    """Run as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--streams", type=int, default=1000, help="at once")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
        return
    warnings.simplefilter("ignore", ResourceWarning)  # dropping streams is part of it
    before = socket_count()
    program = [sys.executable, "-m", "benchmarks.soak", "--serve"]
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        urls = json.loads(server.stdout.readline())
        tally, memory = asyncio.run(
            soak(urls, arguments.seconds, arguments.streams, arguments.seed)
        )
        server.communicate()
    recorded = sum(tally.outcomes.values())
    left = socket_count() - before
    print(f"opened {tally.opened}, recorded {recorded}, twice {tally.twice}")
    print(", ".join(f"{name} {count}" for name, count in sorted(tally.outcomes.items())))
    print(f"memory in KB, by tenths of the time: {memory}")
    print(f"streams still open {open_stream_count()}, sockets left {left}")
    well = tally.opened == recorded and not tally.twice and not open_stream_count() and not left
    raise SystemExit(0 if well else 1)


if __name__ == "__main__":
    main()
