"""Whatever is done to streams, and in whatever order: one record for each, and errors of ours."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import warnings
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, Final

import openai
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    rule,
    run_state_machine_as_test,
)
from tests._support.chat import DONE, USAGE, choice, event, frame
from tests._support.fakes import FakeAdapter
from tests._support.sdk_http import client_of, http

from usagestream import (
    AsyncClient,
    Client,
    Outcome,
    StreamBusyError,
    UsageRecord,
    UsageStreamError,
    meter,
    track,
)
from usagestream_core.records.shutdown import open_stream_count, outboxes, streams

ASK: Final[dict[str, Any]] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
TEXT: Final = frame(choice(content="one "), usage=None)
FINISH: Final = frame(choice(finish="stop"), usage=None)
TOTAL: Final = frame(usage=USAGE)
EVENTS: Final = {"content-type": "text/event-stream"}
SOMEWHERE: Final[dict[str, Any]] = {"api_key": "k", "base_url": "http://127.0.0.1:9/v1"}
AFTER_A_SECOND_READER: Final = {Outcome.CLOSED, Outcome.ABANDONED, Outcome.COMPLETED}
PLANS: Final[dict[str, list[Any]]] = {
    "whole": [TEXT, TEXT, TEXT, FINISH, TOTAL, DONE],
    "no usage": [TEXT, TEXT, FINISH, DONE],
    "cut": [TEXT, TEXT],
    "broken": [TEXT, TEXT, ConnectionError("reset")],
    "error": [TEXT, {"error": {"message": "overloaded", "code": "busy"}}],
    "empty": [],
}


class Source:
    """What a stream is made of, a piece at a time. Held, it gives nothing until it is let go."""

    def __init__(self, plan: list[Any]) -> None:
        self.pieces = deque(plan)
        self.held = False
        self.aborted = False
        self.changed = threading.Condition()
        self.waiting = 0

    def piece(self) -> Any:
        """What comes next; `None` at the end."""
        if self.aborted:
            raise ConnectionError("aborted")
        found = self.pieces.popleft() if self.pieces else None
        if isinstance(found, Exception):
            raise found
        return found

    def take(self) -> Any:
        """Wait for the next piece, on a thread."""
        with self.changed:
            self.waiting += 1
            self.changed.notify_all()
            self.changed.wait_for(lambda: not self.held or self.aborted, timeout=120)
            self.waiting -= 1
            return self.piece()

    async def atake(self) -> Any:
        """Wait for the next piece, on a loop."""
        self.waiting += 1
        try:
            while self.held and not self.aborted:  # noqa: ASYNC110 - by threads too
                await asyncio.sleep(0.0005)
        finally:
            self.waiting -= 1
        return self.piece()

    def let_go(self) -> None:
        """Give what it has."""
        with self.changed:
            self.held = False
            self.changed.notify_all()

    def abort(self) -> None:
        """The connection is broken, from whatever thread."""
        with self.changed:
            self.aborted = True
            self.changed.notify_all()

    def body(self) -> Iterator[bytes]:
        """As a body."""
        while (piece := self.take()) is not None:
            yield piece if isinstance(piece, bytes) else event(piece)

    async def abody(self) -> AsyncIterator[bytes]:
        """The same, on a loop."""
        while (piece := await self.atake()) is not None:
            yield piece if isinstance(piece, bytes) else event(piece)

    def items(self) -> Iterator[Any]:
        """As somebody else's library gives them."""
        while (piece := self.take()) is not None:
            if not isinstance(piece, bytes):
                yield piece

    async def aitems(self) -> AsyncIterator[Any]:
        """The same, on a loop."""
        while (piece := await self.atake()) is not None:
            if not isinstance(piece, bytes):
                yield piece


class Adapter(FakeAdapter):
    """Answers with the source of the moment."""

    source = Source([])

    def open(self, request: Any) -> Any:
        return Body(self.head, self.source)

    async def aopen(self, request: Any) -> Any:
        return AsyncBody(self.head, self.source)


class Body:
    """A body that can be interrupted, as a socket can."""

    def __init__(self, head: Any, source: Source) -> None:
        self.head = head
        self.source = source
        self.abort = source.abort

    def __iter__(self) -> Iterator[bytes]:
        return self.source.body()

    @contextmanager
    def within(self, seconds: float) -> Generator[None]:
        watch = threading.Timer(min(seconds, 0.05), self.source.abort)
        watch.start()
        try:
            yield
        finally:
            watch.cancel()

    def close(self) -> None:
        self.source.abort()


class AsyncBody(Body):
    """The same, on a loop."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.source.abody()

    def within(self, seconds: float) -> Any:
        return asyncio.timeout(min(seconds, 0.05))

    async def close(self) -> None:  # type: ignore[override]
        self.source.abort()


class Opened:
    """A stream that was asked for, and who reads it."""

    def __init__(self, stream: Any, source: Source, tags: dict[str, str], ours: bool) -> None:
        self.stream = stream
        self.tags = tags
        self.source = source
        self.ours = ours
        """Whether its errors are to be ours: those of the SDK's streams are the SDK's."""
        self.readers: list[Any] = []


class Orders(RuleBasedStateMachine):
    """What both machines share. Every stream has its number as a tag."""

    opened = Bundle("opened")
    streams: ClassVar[int] = 0
    """How many were asked for, by all machines."""
    exit: ClassVar[str]
    """What leaving a block calls."""
    interrupt: ClassVar[BaseException]
    """What ends a block from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.adapter = Adapter()
        self.records: list[UsageRecord] = []
        self.asked: set[str] = set()
        self.number = 0
        self.living: list[Opened] = []

    @rule(
        target=opened,
        kind=st.sampled_from(["client", "track", "meter"]),
        plan=st.sampled_from(sorted(PLANS)),
        on_leave=st.sampled_from(["close", "drain"]),
    )
    def open(self, kind: str, plan: str, on_leave: str) -> Opened:
        """Ask for a stream."""
        self.number += 1
        Orders.streams += 1
        tags = {"n": str(self.number)}
        self.adapter.source = Source(PLANS[plan])
        stream = self.ask(kind, tags, on_leave)
        self.asked.add(tags["n"])
        one = Opened(stream, self.adapter.source, tags, kind == "client")
        self.living.append(one)
        return one

    def ask(self, kind: str, tags: dict[str, str], on_leave: str) -> Any:
        """Ask for one of this kind, made of the adapter's source."""
        raise NotImplementedError

    def run(self, one: Opened, work: Callable[[], Any]) -> None:
        """Do something with a stream; `note` what comes out."""
        raise NotImplementedError

    @rule(one=opened)
    def close(self, one: Opened) -> None:
        """Close it, whoever waits for it."""
        if one.readers and not one.ours:
            return  # the SDK's own stream, or a generator: not to be closed under its reader
        self.run(one, one.stream.close)

    @rule(one=opened, by=st.sampled_from(["nothing", "error", "interrupt"]))
    def leave(self, one: Opened, by: str) -> None:
        """Leave its block, with or without an exception."""
        if not one.readers:
            error = {"nothing": None, "error": ValueError(), "interrupt": self.interrupt}[by]
            kind = None if error is None else type(error)
            self.run(one, lambda: getattr(one.stream, self.exit)(kind, error, None))

    @rule(one=consumes(opened))
    def drop(self, one: Opened) -> None:
        """Forget it. Whoever waits for it holds it yet."""
        self.living.remove(one)
        one.source.let_go()
        self.settle_down(one)
        one.stream = None

    def recorded(self, one: Opened) -> list[Outcome]:
        """What it came to until now."""
        return [record.outcome for record in self.records if record.tags == one.tags]

    def unharmed(self, one: Opened, before: list[Outcome]) -> None:
        """A second reader is told so, and the stream goes on for the first."""
        assert before or AFTER_A_SECOND_READER.issuperset(self.recorded(one))

    def note(self, one: Opened, exc: BaseException) -> None:
        """An error came out: it must be one that is documented."""
        if one.ours and not isinstance(exc, UsageStreamError):
            raise AssertionError(f"{type(exc).__name__} came out") from exc

    @rule(one=opened)
    def let_go(self, one: Opened) -> None:
        """What is held comes."""
        one.source.let_go()
        self.settle_down(one)

    def settle_down(self, one: Opened) -> None:
        """Wait for those who read."""
        raise NotImplementedError

    @rule(what=st.sampled_from(["end_program", "fork", "collect", "close_client"]))
    def happens(self, what: str) -> None:
        """What comes from elsewhere."""
        getattr(self, what)()

    def end_program(self) -> None:
        """As at the end of the program, for all that is open."""
        streams.leave_all()
        assert open_stream_count() == 0

    def fork(self) -> None:
        """A child has nothing that is open, and nothing to hand over."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            signal.alarm(20)
            os._exit(open_stream_count() + len(outboxes))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def collect(self) -> None:
        """The garbage collector runs."""
        gc.collect()

    def teardown(self) -> None:
        for one in self.living:
            one.source.let_go()
            self.settle_down(one)
        self.living.clear()
        self.end()
        gc.collect()
        streams.leave_all()
        for outbox in list(outboxes.values()):
            outbox.leave_at_exit()
        counted = Counter(record.tags["n"] for record in self.records)
        assert counted == dict.fromkeys(self.asked, 1)
        assert open_stream_count() == 0
        assert not outboxes

    def end(self) -> None:
        """Let go of what the machine itself has."""


class SyncOrders(Orders):
    """Streams that are read by threads."""

    opened = Orders.opened
    exit = "__exit__"
    interrupt = KeyboardInterrupt()

    def __init__(self) -> None:
        super().__init__()
        self.client = Client(self.adapter, on_record=self.records.append, pricer=None)

        def reply(_request: Any) -> Any:
            body = self.adapter.source.body()
            return http.Response(200, headers=EVENTS, content=body)

        bare = openai.OpenAI(**SOMEWHERE, http_client=client_of(reply))
        self.tracked: Any = track(bare, on_record=self.records.append, pricer=None)

    def ask(self, kind: str, tags: dict[str, str], on_leave: Any) -> Any:
        if kind == "client":
            stream = self.client.stream(**ASK, tags=tags, on_leave=on_leave, drain_timeout=1)
            return stream.__enter__()
        if kind == "track":
            return self.tracked.with_tags(**tags).chat.completions.create(**ASK, stream=True)
        items = self.adapter.source.items()
        return meter(items, on_record=self.records.append, tags=tags, pricer=None)

    def run(self, one: Opened, work: Callable[[], Any]) -> None:
        try:
            work()
        except StopIteration:
            pass
        except Exception as exc:  # noqa: BLE001 - looked at there
            self.note(one, exc)

    @rule(one=opened, times=st.integers(1, 8))
    def read(self, one: Opened, times: int) -> None:
        """Read some of it. Where somebody else waits for it, be told so."""
        if one.readers:
            before = self.recorded(one)
            with pytest.raises((StreamBusyError, StopIteration) if one.ours else Exception):
                next(one.stream)
            self.unharmed(one, before)
            return
        for _ in range(times):
            self.run(one, lambda: next(one.stream))

    @rule(one=opened)
    def wait(self, one: Opened) -> None:
        """Another thread begins to read, and waits."""
        one.source.held = True
        found: list[BaseException] = []

        def reading() -> None:
            try:
                next(one.stream, None)
            except Exception as exc:  # noqa: BLE001 - looked at when it has ended
                found.append(exc)

        reader = threading.Thread(target=reading)
        one.readers.append((reader, found))
        reader.start()
        with one.source.changed:
            assert one.source.changed.wait_for(
                lambda: one.source.waiting or not reader.is_alive(), timeout=60
            )

    def close_client(self) -> None:
        """Close the client under its streams; later ones have another."""
        self.client.close()
        self.client = Client(self.adapter, on_record=self.records.append, pricer=None)

    def settle_down(self, one: Opened) -> None:
        for reader, found in one.readers:
            reader.join(60)
            assert not reader.is_alive()
            for exc in found:
                self.note(one, exc)
        one.readers.clear()

    def end(self) -> None:
        self.client.close()


class AsyncOrders(Orders):
    """Streams that are read by tasks."""

    opened = Orders.opened
    exit = "__aexit__"
    interrupt = asyncio.CancelledError()

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.client = self.new_client()

        async def reply(_request: Any) -> Any:
            body = self.adapter.source.abody()
            return http.Response(200, headers=EVENTS, content=body)

        bare = openai.AsyncOpenAI(**SOMEWHERE, http_client=client_of(reply, asynchronous=True))
        self.tracked: Any = track(bare, on_record=self.records.append, pricer=None)

    def new_client(self) -> AsyncClient:
        """One whose sink is awaited."""

        async def sink(record: UsageRecord) -> None:
            await asyncio.sleep(0)
            self.records.append(record)

        return AsyncClient(self.adapter, on_record=sink, pricer=None)

    def ask(self, kind: str, tags: dict[str, str], on_leave: Any) -> Any:
        async def asking() -> Any:
            if kind == "client":
                stream = self.client.stream(**ASK, tags=tags, on_leave=on_leave, drain_timeout=1)
                return await stream.__aenter__()
            if kind == "track":
                client = self.tracked.with_tags(**tags)
                return await client.chat.completions.create(**ASK, stream=True)
            items = self.adapter.source.aitems()
            return meter(items, on_record=self.records.append, tags=tags, pricer=None)

        return self.runner.run(asking())

    def run(self, one: Opened, work: Callable[[], Any]) -> None:
        async def working() -> None:
            with suppress(StopAsyncIteration):
                await work()

        try:
            self.runner.run(working())
        except Exception as exc:  # noqa: BLE001 - looked at there
            self.note(one, exc)

    @rule(one=opened, times=st.integers(1, 8))
    def read(self, one: Opened, times: int) -> None:
        """Read some of it, if nobody waits for it; else be told so."""
        if any(not reader.done() for reader in one.readers):
            before = self.recorded(one)
            with pytest.raises((StreamBusyError, StopAsyncIteration) if one.ours else Exception):
                self.runner.run(anext(one.stream))
            self.unharmed(one, before)
            return
        one.source.held = False
        for _ in range(times):
            self.run(one, lambda: anext(one.stream))

    @rule(one=opened)
    def wait(self, one: Opened) -> None:
        """Another task begins to read, and waits."""
        one.source.held = True

        async def reading() -> None:
            one.readers.append(asyncio.ensure_future(anext(one.stream, None)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        self.runner.run(reading())

    @rule(one=opened)
    def cancel(self, one: Opened) -> None:
        """Whoever waits for it is cancelled."""
        for reader in one.readers:
            reader.cancel()
        one.source.let_go()
        self.settle_down(one)

    def close_client(self) -> None:
        """Close the client under its streams; later ones have another."""
        for one in self.living:
            one.source.let_go()
        self.runner.run(self.client.close())
        self.client = self.new_client()

    def settle_down(self, one: Opened) -> None:
        async def waiting() -> Any:
            return await asyncio.gather(*one.readers, return_exceptions=True)

        for found in self.runner.run(waiting()):
            if isinstance(found, Exception):
                self.note(one, found)
        one.readers.clear()

    def end(self) -> None:
        self.runner.run(self.client.close())
        self.runner.close()


MACHINES = pytest.mark.parametrize("machine", [SyncOrders, AsyncOrders])
pytestmark = [
    pytest.mark.filterwarnings("ignore:.* was dropped before its end:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def played(machine: Any, examples: int, steps: int) -> int:
    """Try so many orders of so many steps; give how many streams there were."""
    before = Orders.streams
    gc.collect()
    gc.freeze()  # or each collection would look at all that was imported
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
    finally:
        gc.unfreeze()
    return Orders.streams - before


@MACHINES
def test_invariant_6_one_record_in_any_order(
    machine: Any, record_property: Callable[[str, object], None]
) -> None:
    """Opened, read, waited for, closed, left, cancelled, dropped, forked, ended: in any order."""
    record_property("tried", played(machine, 25, 12))


@pytest.mark.exhaustive
@pytest.mark.slow
@MACHINES
def test_invariant_6_one_record_in_any_order_of_many(
    machine: Any, record_property: Callable[[str, object], None]
) -> None:
    """The same, for longer."""
    record_property("tried", played(machine, 100, 40))
