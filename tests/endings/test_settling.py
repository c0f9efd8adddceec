"""Whatever interrupts the end of a stream, and wherever: one record, once."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from openai import OpenAI
from tests._support.chat import HELLO, USAGE, body, choice, cut, frame
from tests._support.fakes import FakeAdapter
from tests._support.sdk_http import client_of, http, streamed

import usagestream_core
from usagestream import (
    AsyncClient,
    Client,
    Outcome,
    StreamFailedError,
    TokenCounter,
    UsageRecord,
    meter,
    track,
)
from usagestream_core.adapter import Head
from usagestream_core.records.shutdown import open_stream_count, outboxes, streams
from usagestream_core.streams.lifecycle import Lifecycle
from usagestream_core.streams.parts import Parts

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
CORE = Path(usagestream_core.__file__).parent
WATCHED = {
    str(CORE / name)
    for name in (
        "streams/lifecycle.py",
        "streams/parts.py",
        "streams/state.py",
        "records/outbox.py",
        "records/shutdown.py",
        "records/interrupts.py",
    )
}


class Struck(BaseException):
    """What is raised in the middle."""


@dataclass
class Striker:
    """Raises once, at the n-th line that is run in the watched modules."""

    at: int
    adapter: FakeAdapter = field(default_factory=FakeAdapter)
    sent: bool = False
    """Whether something was asked for beside the adapter."""
    lines: int = 0
    places: list[str] = field(default_factory=list[str])

    def trace(self, frame: FrameType, event: str, _arg: object) -> Any:
        if frame.f_code.co_filename not in WATCHED:
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self.at:
                self.places.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
                raise Struck
        return self.trace

    @contextmanager
    def watching(self) -> Generator[None]:
        if self.at < 0:  # not to strike: whoever else traces goes on
            yield
            return
        before = sys.gettrace()
        sys.settrace(self.trace)
        try:
            yield
        finally:
            sys.settrace(before)


def sdk_client(striker: Striker | None = None) -> Any:
    """An SDK client that is answered with a greeting."""

    def answer(_: object) -> Any:
        if striker is not None:
            striker.sent = True
        return streamed(cut(HELLO, 0))

    mock = client_of(answer)
    return OpenAI(api_key="k", base_url="http://127.0.0.1:9/v1", http_client=mock)


def read_to_the_end(sink: Callable[[UsageRecord], None], striker: Striker) -> None:
    """Read by `drain()`."""
    with Client(striker.adapter, on_record=sink, token_counter=None) as client:
        stream = client.stream(**ASK)
        with striker.watching():
            stream.drain()


def left_early(sink: Callable[[UsageRecord], None], striker: Striker) -> None:
    """Closed after the first chunk."""
    with Client(striker.adapter, on_record=sink, token_counter=None) as client:
        stream = client.stream(**ASK)
        next(stream)
        with striker.watching():
            stream.close()


def dropped(sink: Callable[[UsageRecord], None], striker: Striker) -> None:
    """Left to the garbage collector."""
    with Client(striker.adapter, on_record=sink, token_counter=None) as client:
        stream = client.stream(**ASK)
        next(stream)
        with striker.watching():
            del stream


def left_at_exit(sink: Callable[[UsageRecord], None], striker: Striker) -> None:
    """Open when the program ends."""
    with Client(striker.adapter, on_record=sink, token_counter=None) as client:
        stream = client.stream(**ASK)
        next(stream)
        with striker.watching():
            streams.leave_all()


def read_async(sink: Callable[[UsageRecord], None], striker: Striker) -> None:
    """Read by an async client."""

    async def main() -> None:
        adapter: Any = striker.adapter
        async with AsyncClient(adapter, on_record=sink, token_counter=None) as client:
            stream = client.stream(**ASK)
            with striker.watching():
                await stream.drain()

    asyncio.run(main())


def tracked(sink: Callable[[UsageRecord], None], striker: Striker) -> None:
    """Read through the SDK."""
    with track(sdk_client(striker), on_record=sink, token_counter=None) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        with striker.watching():
            for _ in stream:
                pass


def tracked_and_left(sink: Callable[[UsageRecord], None], striker: Striker) -> None:
    """Closed through the SDK."""
    with track(sdk_client(striker), on_record=sink, token_counter=None) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        next(stream)
        with striker.watching():
            stream.close()


def metered(sink: Callable[[UsageRecord], None], striker: Striker) -> None:
    """Items of somebody else."""

    def somebody_elses() -> Generator[dict[str, Any]]:
        striker.sent = True
        yield {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}

    items = meter(somebody_elses(), on_record=sink)
    with striker.watching():
        list(items)


WAYS = [
    read_to_the_end,
    left_early,
    dropped,
    left_at_exit,
    read_async,
    tracked,
    tracked_and_left,
    metered,
]
IN_SHORT = (dropped, tracked)
STRUCK = [
    pytest.param(way, marks=() if way in IN_SHORT else pytest.mark.exhaustive) for way in WAYS
]


def run(way: Callable[..., None], at: int) -> tuple[Striker, list[UsageRecord]]:
    """One life of one stream, struck at one line; and then the end of the program."""
    records: list[UsageRecord] = []
    striker = Striker(at)
    gc.disable()  # or it would finalise what other tests left, under our eyes
    try:
        with suppress(Struck):
            way(records.append, striker)
    finally:
        gc.enable()
    if open_stream_count():
        gc.collect()
    streams.leave_all()
    for outbox in list(outboxes.values()):
        outbox.leave_at_exit()
    return striker, records


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
@pytest.mark.parametrize("way", STRUCK)
def test_invariant_6_one_record_wherever_it_is_interrupted(
    way: Callable[..., None], record_property: Callable[[str, object], None]
) -> None:
    """Something is raised at each line of reading, settling, handing over and leaving, in turn."""
    whole, records = run(way, 0)
    record_property("tried", whole.lines)
    assert len(records) == 1
    assert whole.lines > 20
    wrong: list[str] = []
    for at in range(1, whole.lines + 1):
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        struck, records = run(way, at)
        if len(records) != 1 and not was_never_sent(struck, records):
            wrong.append(f"{struck.places}: {len(records)}")
        assert open_stream_count() == 0
        assert not outboxes
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), handlers, strict=True):
            signal.signal(number, handler)
    assert wrong == []


def was_never_sent(struck: Striker, records: list[UsageRecord]) -> bool:
    """Struck before the request was on its way: there is nothing to record."""
    return not (records or struck.sent or struck.adapter.requests)


def boom(*_args: Any, **_more: Any) -> Any:
    """Cannot be done."""
    raise RuntimeError("a fault")


class BrokenCounter(TokenCounter):
    """An estimate that cannot be made."""

    def count(self, text: str, model: str) -> int | None:
        counted: int | None = boom(text, model)
        return counted


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("way", WAYS)
def test_invariant_8_a_part_that_cannot_be_made_is_named_and_loses_nothing(
    way: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    record_property: Callable[[str, object], None],
) -> None:
    """Every part of the record in turn, on every ending."""
    plain = Parts.add
    _, records = run(way, -1)
    names: list[str] = []

    def note(_self: Parts, name: str, *_ways: Callable[[], Any]) -> None:
        names.append(name)

    monkeypatch.setattr(Parts, "add", note)
    run(way, -1)
    assert len(names) > 8
    record_property("tried", len(names))
    for part in names:

        def add(self: Parts, name: str, *ways: Callable[[], Any], part: str = part) -> None:
            plain(self, name, *([boom, *ways[1:]] if name == part else ways))

        monkeypatch.setattr(Parts, "add", add)
        _, broken = run(way, -1)
        assert [record.failed_parts for record in broken] == [(part,)]
        assert broken[0].outcome is records[0].outcome
        assert f"The {part} of a stream's record could not be made" in caplog.text


@pytest.mark.parametrize("whole", [False, True], ids=["left", "whole"])
def test_an_estimate_that_raises_leaves_what_was_reported(
    whole: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A tokenizer is somebody else's code. The stream goes on, and its record says so."""
    adapter = FakeAdapter()
    frames = [frame(choice(content="Hi")), *([frame(choice(finish="stop"))] if whole else [])]
    adapter.reads = [body(*frames, done=whole)]
    records: list[UsageRecord] = []
    with Client(adapter, on_record=records.append, token_counter=BrokenCounter()) as client:
        stream = client.stream(**ASK)
        texts = [chunk.text for chunk in stream] if whole else [next(stream).text]
        stream.close()
    assert "".join(texts) == "Hi"
    assert [(one.usage.source, one.failed_parts) for one in records] == [("unknown", ("usage",))]
    assert "a fault" in caplog.text


def test_where_the_secrets_cannot_be_told_everything_is_covered() -> None:
    """Rather no text than one that shows a key."""
    records: list[UsageRecord] = []
    adapter = FakeAdapter()
    adapter.secrets = boom  # type: ignore[attr-defined]
    with Client(adapter, on_record=records.append, token_counter=None) as client:
        client.stream(**ASK).drain()
    assert records[0].failed_parts == ("secrets",)
    assert records[0].response_model == "***"
    assert records[0].usage.total_tokens


def test_a_field_that_does_not_fit_is_left_out() -> None:
    """A record is made all the same of what fits."""
    records: list[UsageRecord] = []
    adapter = FakeAdapter()
    ids: Any = {"x-request-id": 7}
    adapter.head = Head(status=200, request_ids=ids)
    with Client(adapter, on_record=records.append, token_counter=None) as client:
        client.stream(**ASK).drain()
    assert (records[0].failed_parts, records[0].request_ids) == (("request_ids",), {})
    assert records[0].usage.total_tokens


def test_an_adapter_that_does_not_fit_has_its_records() -> None:
    """What a record cannot do without is put in as it is."""
    records: list[UsageRecord] = []
    adapter: Any = FakeAdapter()
    adapter.provider = 7
    with Client(adapter, on_record=records.append, pricer=None) as client:
        client.stream(**ASK).drain()
    assert records[0].model_dump(include={"failed_parts", "provider"}, warnings=False) == {
        "failed_parts": ("provider",),
        "provider": 7,
    }


@pytest.fixture
def interruptible() -> Generator[None]:
    """Ctrl-C raises, also in a run in the background, where it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_waits_until_the_record_is_handed_over() -> None:
    """Ctrl-C while a sink is at work is raised after it."""
    records: list[UsageRecord] = []

    def sink(record: UsageRecord) -> None:
        signal.raise_signal(signal.SIGINT)
        records.append(record)

    before = signal.getsignal(signal.SIGINT)
    with Client(FakeAdapter(), on_record=sink) as client:
        stream = client.stream(**ASK)
        with pytest.raises(KeyboardInterrupt):
            stream.drain()
    assert [record.outcome for record in records] == [Outcome.COMPLETED]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("interruptible")
def test_a_second_interrupt_does_not_wait() -> None:
    """A sink that never returns can be left."""

    def sink(_record: UsageRecord) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("not interrupted")

    with Client(FakeAdapter(), on_record=sink) as client:
        stream = client.stream(**ASK)
        with pytest.raises(KeyboardInterrupt):
            stream.drain()
    assert stream.record.outcome is Outcome.COMPLETED


def test_a_handler_that_a_sink_sets_stays() -> None:
    """Only our own handlers are taken back."""

    def handler(*_: object) -> None: ...

    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, handler)
    try:
        with Client(
            FakeAdapter(), on_record=lambda _: signal.signal(signal.SIGTERM, before)
        ) as client:
            client.stream(**ASK).drain()
        assert signal.getsignal(signal.SIGTERM) is before
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("sink", [3, "usage.jsonl"])
def test_a_sink_that_cannot_be_called_is_refused_at_once(
    sink: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not when the first record is lost to it; with telemetry configured beside it, too."""
    with pytest.raises(TypeError, match="on_record must be None or a function"):
        Client(FakeAdapter(), on_record=sink)
    with pytest.raises(TypeError, match="on_record must be None or a function"):
        track(sdk_client(), on_record=sink)
    with pytest.raises(TypeError, match="on_record must be None or a function"):
        meter([], on_record=sink)
    monkeypatch.setenv("USAGESTREAM_TELEMETRY", "log")
    with pytest.raises(TypeError, match="on_record must be None or a function"):
        Client(FakeAdapter(), on_record=sink)


def test_tags_that_are_no_mapping_are_refused_at_once() -> None:
    """With an example of one."""
    tags: Any = "search"
    with Client(FakeAdapter()) as client, pytest.raises(TypeError, match=r"as .'team': 'search'"):
        client.stream(**ASK, tags=tags)


def test_a_limit_that_is_no_number_is_refused_at_once() -> None:
    """Before anything is asked."""
    limit: Any = "3"
    with Client(FakeAdapter()) as client, pytest.raises(TypeError, match="must be an int, unlike"):
        client.stream(**ASK, output_tokens_limit=limit)


def test_what_is_no_profile_is_named() -> None:
    """A class has its own name; and a client of the SDK is sent to who takes it."""
    wrong: Any = type("Nosuch", (), {})
    with pytest.raises(TypeError, match=r"not <class .*Nosuch'>; .* for usagestream\.track\(\)"):
        Client(wrong)


@pytest.mark.parametrize("tags", [{"a": 1}, {1: "a"}])
def test_tags_that_are_no_strings_are_refused_at_once(tags: Any) -> None:
    """Not when the record is made."""
    with Client(FakeAdapter()) as client, pytest.raises(TypeError, match="tags are strings"):
        client.stream(**ASK, tags=tags)
    with pytest.raises(TypeError, match="tags are strings"):
        track(sdk_client(), tags=tags)
    with pytest.raises(TypeError, match="tags are strings"):
        meter([], tags=tags)


def test_where_nothing_can_be_covered_an_error_frame_shows_nothing() -> None:
    """The secrets cannot be told, so that no word of a server's is shown."""
    adapter = FakeAdapter()
    adapter.reads = [body({"error": {"message": "said", "code": "c"}}, done=False)]
    adapter.secrets = boom  # type: ignore[attr-defined]
    with Client(adapter, token_counter=None) as client, pytest.raises(StreamFailedError) as raised:
        client.stream(**ASK).drain()
    assert "said" not in str(raised.value)


def test_handlers_that_cannot_be_set_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a subinterpreter, whose main thread is not the one that takes signals."""
    monkeypatch.setattr(signal, "signal", refuse)
    records: list[UsageRecord] = []
    with Client(FakeAdapter(), on_record=records.append) as client:
        client.stream(**ASK).drain()
    assert len(records) == 1


def refuse(*_args: Any) -> Any:
    """Not here."""
    raise ValueError("signal only works in main thread of the main interpreter")


class Leaving:
    """Has something to do at the end, and fails."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
        self.left = False

    def leave_at_exit(self) -> None:
        """Fail, or not."""
        self.left = True
        if self.error is not None:
            raise self.error


def test_what_cannot_be_ended_keeps_nothing_else_from_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each is ended on its own; an interrupt is raised when all are done."""
    leaving = [Leaving(RuntimeError("a fault")), Leaving(KeyboardInterrupt()), Leaving(None)]
    for each in leaving:
        streams.add(each, each)
    with pytest.raises(KeyboardInterrupt):
        streams.leave_all()
    for each in leaving:
        streams.remove(each)
    assert all(each.left for each in leaving)
    assert "a fault" in caplog.text


def test_a_program_that_ends_while_a_tracked_call_waits_for_its_answer() -> None:
    """It is on its way, and leaves a record."""
    records: list[UsageRecord] = []

    def reply(_request: Any) -> Any:
        streams.leave_all()
        return streamed(cut(HELLO, 0))

    bare = OpenAI(api_key="k", base_url="http://127.0.0.1:9/v1", http_client=client_of(reply))
    with track(bare, on_record=records.append) as client:
        list(client.chat.completions.create(**ASK, stream=True))
    assert [(one.outcome, one.reason) for one in records] == [(Outcome.ABANDONED, "exit")]


def test_what_a_tracked_stream_was_left_with_may_be_unreadable(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is looked at for its usage, and loses nothing if it cannot be."""
    records: list[UsageRecord] = []
    with track(sdk_client(), on_record=records.append, token_counter=None) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        next(stream)
        monkeypatch.setattr(Lifecycle, "feed", boom)
        stream.close()
    assert [one.outcome for one in records] == [Outcome.CLOSED]
    assert "left with could not be read" in caplog.text


def test_a_metered_stream_of_an_unknown_request() -> None:
    """Its body is no JSON, so that nothing is known of what was asked."""

    class Stream:
        """As the SDK's, of another request."""

        def __init__(self) -> None:
            self.response = streamed([])
            self.response.request = http.Request("POST", "http://x.test/v1", content=b"no JSON")

        def __iter__(self) -> Any:
            yield {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
            yield {"choices": [], "usage": USAGE}

    records: list[UsageRecord] = []
    items = meter(Stream(), on_record=records.append)
    next(items)
    items._life.settle(Outcome.CLOSED)  # pyright: ignore[reportPrivateUsage]
    assert len(list(items)) == 1
    assert [(one.usage_request, one.outcome) for one in records] == [(None, Outcome.CLOSED)]


def test_an_answer_that_comes_whole_after_its_record_is_made() -> None:
    """The program had ended, as far as anybody knew: it stays at that."""
    records: list[UsageRecord] = []

    def reply(_request: Any) -> Any:
        streams.leave_all()
        return http.Response(200, json={"id": "c", "choices": [], "usage": USAGE})

    bare = OpenAI(api_key="k", base_url="http://127.0.0.1:9/v1", http_client=client_of(reply))
    with track(bare, on_record=records.append) as client:
        client.chat.completions.create(**ASK)
    assert [(one.outcome, one.reason) for one in records] == [(Outcome.ABANDONED, "exit")]


def test_a_part_that_fails_in_two_ways_is_named_once() -> None:
    """And keeps its default."""
    parts = Parts()
    assert parts.add("usage", boom, boom) is None
    assert parts.failed == ["usage"]
