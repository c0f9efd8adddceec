"""`python -m benchmarks.soak`: a thousand streams at a time, each ending as chance has it.

A server process plays every ending that a server can bring about; this process reads, breaks off,
closes, cancels, fails, drops and drains. At the end it says whether each stream that was sent left
one record, what memory did, and whether a socket is left. Exits with 1 if not all is well.

`--loop uvloop` runs it there. With `--interrupts` it runs in rounds, each of which Ctrl-C ends at
some moment, and streams of a sync client are read between them, with Ctrl-C at any step of Python.
With `--collect` the garbage collector runs between any two lines of this library, as chance has it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import usagestream_adapters
import usagestream_core
from usagestream import AsyncClient, AsyncUsageStream, Client, UsageRecord, UsageStreamError
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
HERE = tuple(
    str(Path(package.__file__).parent) for package in (usagestream_core, usagestream_adapters)
)
WAYS = ("read", "break", "close", "raise", "cancel", "drop", "drain")


@dataclass
class Tally:
    """What happened."""

    sent: int = 0
    interrupts: int = 0
    collections: int = 0
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
    stream: Any = chance.choice(clients).stream(model="gpt-4o", messages=QUESTION)
    state = stream._state
    try:
        async with asyncio.timeout(0.3 if way == "cancel" else 60):
            await read(stream, way)
    except (UsageStreamError, ZeroDivisionError, TimeoutError):
        pass
    finally:
        tally.sent += state.asked


def profile(url: str) -> OpenAIProfile:
    """One of the servers."""
    fields = {"api_key": "k", "base_url": url, "timeout": 5, "max_retries": 0}
    return OpenAIProfile.model_validate(fields)


async def soak(
    urls: dict[str, str],
    seconds: float,
    at_once: int,
    chance: random.Random,
    tally: Tally,
    memory: list[int],
) -> None:
    """Keep so many streams going for so long; note what memory does on the way."""
    clients = [AsyncClient(profile(url), on_record=tally.note) for url in urls.values()]
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


def interrupted(
    work: Callable[[], object], chance: random.Random, most: float, tally: Tally
) -> None:
    """Do something, with Ctrl-C at some moment of it, unless it has ended by then."""
    over = threading.Event()

    def interrupt() -> None:
        if not over.wait(chance.uniform(0, most)):
            signal.raise_signal(signal.SIGINT)

    timer = threading.Thread(target=interrupt)
    try:
        timer.start()
        work()
        over.set()
        timer.join()
    except KeyboardInterrupt:
        tally.interrupts += 1
    finally:
        with suppress(KeyboardInterrupt):
            over.set()
            timer.join()


def one_interrupted(client: Client, chance: random.Random, tally: Tally) -> None:
    """A stream of a sync client, that Ctrl-C may end at any step of Python."""
    states: list[Any] = []

    def read_one() -> None:
        stream: Any = client.stream(model="gpt-4o", messages=QUESTION)
        states.append(stream._state)
        way = chance.choice(WAYS)
        if way == "drop":
            next(stream, None)
        elif way == "close":
            next(stream, None)
            stream.close()
        else:
            with stream:
                stream.drain()

    with suppress(UsageStreamError):
        interrupted(read_one, chance, 0.2, tally)
    tally.sent += sum(state.asked for state in states)


def in_rounds(
    urls: dict[str, str],
    seconds: float,
    at_once: int,
    chance: random.Random,
    tally: Tally,
    memory: list[int],
    run: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    """Rounds that Ctrl-C ends, with all streams that are open then; and sync ones between them."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        once = partial(soak, urls, 3, at_once, chance, tally, [])
        interrupted(lambda once=once: run(once()), chance, 4, tally)  # type: ignore[misc]
        gc.collect()
        client = Client(profile(urls["plain"]), on_record=tally.note)
        for _ in range(25):
            one_interrupted(client, chance, tally)
        client.close()
        gc.collect()
        if len(memory) < 10 * (1 - (end - time.monotonic()) / seconds):
            memory.append(resident_kb())


def collecting(chance: random.Random, tally: Tally) -> Callable[..., Any]:
    """Make a tracer that lets the collector run before a line of this library, now and then."""

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(HERE):
            return None
        if event == "line" and chance.random() < 0.02:
            tally.collections += 1
            gc.collect(0 if chance.random() < 0.99 else 2)
        return trace

    return trace


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
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--interrupts", action="store_true", help="Ctrl-C at any moment")
    parser.add_argument("--collect", action="store_true", help="collections between any two lines")
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
        tally, memory = Tally(), list[int]()
        chance = random.Random(arguments.seed)
        run: Any = asyncio.run
        if arguments.loop == "uvloop":
            import uvloop

            run = uvloop.run
        if arguments.collect:
            gc.freeze()
            sys.settrace(collecting(random.Random(arguments.seed), tally))
        asked = (urls, arguments.seconds, arguments.streams, chance, tally, memory)
        if arguments.interrupts:
            in_rounds(*asked, run)
        else:
            run(soak(*asked))
        sys.settrace(None)
        gc.collect()
        server.communicate()
    recorded = sum(tally.outcomes.values())
    left = socket_count() - before
    print(f"sent {tally.sent}, recorded {recorded}, twice {tally.twice}")
    print(f"interrupts {tally.interrupts}, collections {tally.collections}")
    print(", ".join(f"{name} {count}" for name, count in sorted(tally.outcomes.items())))
    print(f"memory in KB, by tenths of the time: {memory}")
    print(f"streams still open {open_stream_count()}, sockets left {left}")
    well = tally.sent == recorded and not tally.twice and not open_stream_count() and not left
    raise SystemExit(0 if well else 1)


if __name__ == "__main__":
    main()
