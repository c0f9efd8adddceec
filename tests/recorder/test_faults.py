"""A good cassette that goes wrong: in the program, and over HTTP."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests._support.worlds import World

from usagestream import (
    Client,
    Outcome,
    ProviderError,
    StreamInterruptedError,
    StreamTruncatedError,
    UsageSource,
)
from usagestream_adapters.replay import (
    Fault,
    Replay,
    ReplayProfile,
    ReplayServer,
    async_filter,
    cut,
    drop_usage,
    refuse_stream_options,
    reset,
    stall,
)

from .conftest import ASK, TEXT, openai

Ask = Callable[..., Any]


@pytest.fixture(params=["program", "server"])
def ask(request: pytest.FixtureRequest, world: World, good: Path) -> Any:
    """Ask with faults: in the program by a profile, or over HTTP."""
    servers: list[ReplayServer] = []

    def asked(*faults: Fault, timeout: float = 1.0, **params: Any) -> Any:
        if request.param == "program":
            profile: Any = ReplayProfile(
                cassettes=good, faults=faults, timeout=timeout, max_retries=0
            )
        else:
            server = ReplayServer(Replay(good, faults=faults))
            servers.append(server.__enter__())
            profile = openai(server.openai_base_url, timeout=timeout)
        return world.stream(profile, **{**ASK, **params})

    yield asked
    for server in servers:
        server.__exit__(None, None, None)


def test_cut(world: World, ask: Ask) -> None:
    """The body ends in good order, too soon."""
    stream = ask(cut(after=3))
    with pytest.raises(StreamTruncatedError):
        stream.text()
    (record,) = world.records
    assert record.outcome is Outcome.TRUNCATED
    assert record.chunk_count == 3


def test_reset(world: World, ask: Ask) -> None:
    """The connection breaks."""
    stream = ask(reset(after=2))
    with pytest.raises(StreamInterruptedError, match="connection broke mid-stream: ReadError"):
        stream.text()
    assert world.records[0].chunk_count == 2


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [120.0, math.inf])
def test_stall_until_the_time_out(world: World, ask: Ask, seconds: float) -> None:
    """The profile's own time-out ends it."""
    stream = ask(stall(seconds, after=2))
    begun = time.monotonic()
    with pytest.raises(StreamInterruptedError, match="ReadTimeout"):
        stream.text()
    assert time.monotonic() - begun < 60
    assert world.records[0].chunk_count == 2


def test_stall_and_go_on(ask: Ask) -> None:
    """A pause that is not too long is only that."""
    stream = ask(stall(0.2), timeout=60)
    iterator = iter(stream)
    next(iterator)
    begun = time.monotonic()
    next(iterator)
    assert time.monotonic() - begun > 0.15
    assert stream.drain().total_tokens


def test_drop_usage(world: World, ask: Ask) -> None:
    """Usage was asked for, and does not come."""
    assert ask(drop_usage()).text() == TEXT
    (record,) = world.records
    assert record.usage_request == "asked"
    assert record.usage.source is UsageSource.UNKNOWN
    assert record.outcome is Outcome.COMPLETED


def test_refuse_stream_options(world: World, ask: Ask) -> None:
    """The request is sent again without, and answered without usage."""
    assert ask(refuse_stream_options()).text() == TEXT
    (record,) = world.records
    assert record.usage_request == "refused"
    assert record.reopenings == 1
    assert record.usage.source is UsageSource.UNKNOWN


def test_async_filter(world: World, ask: Ask) -> None:
    """Frames without a delta break nothing, and usage is there."""
    stream = ask(async_filter())
    chunks = list(stream)
    assert "".join(chunk.text for chunk in chunks) == TEXT
    assert sum(len(chunk.annotations) for chunk in chunks) == 2
    assert world.records[0].usage.source is UsageSource.REPORTED


def test_faults_add_up(world: World, ask: Ask) -> None:
    """In their order."""
    with pytest.raises(StreamTruncatedError):
        ask(async_filter(), cut(after=5)).drain()
    assert world.records[0].outcome is Outcome.TRUNCATED


def test_a_name_that_is_no_error_of_the_connection(tmp_path: Path, good: Path) -> None:
    """Whatever a file says, only those are raised."""
    document = yaml.safe_load(good.read_text("utf-8"))
    (interaction,) = document["interactions"]
    body, timing = interaction["response"]["body"], interaction["timing"]
    body["string"] = body["string"].removesuffix("data: [DONE]\n\n")
    timing.update(reads=timing["reads"][:-1], ended="Client")
    file = tmp_path / "odd.yaml"
    file.write_text(yaml.dump(document), "utf-8")
    with Client(ReplayProfile(cassettes=file)) as client:
        stream = client.stream(**ASK)
        with pytest.raises(StreamInterruptedError, match="ReadError: recorded as Client"):
            stream.drain()


@pytest.mark.parametrize("fault", [cut(after=8), reset(after=8), stall(1, after=8)])
def test_an_answer_too_short_for_its_fault(ask: Ask, fault: Fault) -> None:
    """A fault that could not happen is told, not passed over."""
    with pytest.raises(ProviderError, match=r"request 1 of good\.yaml: the answer has 8 frames"):
        ask(fault).drain()


def test_a_refusal_goes_no_further_wrong(ask: Ask) -> None:
    """Only streams have faults."""
    with pytest.raises(ProviderError, match="nothing_recorded"):
        ask(cut(after=1), model="gpt-4o").drain()


def test_an_answer_of_one_frame_has_no_finish(tmp_path: Path, good: Path) -> None:
    """The filter's frames stand beside a finish reason."""
    file = tmp_path / "unfinished.yaml"
    file.write_text(
        good.read_text("utf-8").replace('"finish_reason":"stop"', '"finish_reason":null'), "utf-8"
    )
    profile = ReplayProfile(cassettes=file, faults=(async_filter(),))
    with Client(profile) as client, pytest.raises(ProviderError, match="no finish reason"):
        client.stream(**ASK).drain()


def test_what_makes_no_sense_is_refused_when_written() -> None:
    """Before any request."""
    with pytest.raises(ValueError, match="counts frames from 0"):
        cut(after=-1)
    with pytest.raises(ValueError, match="positive number of seconds"):
        stall(0)
    assert [repr(each) for each in (cut(5), reset(), stall(2.5), drop_usage())] == [
        "cut(after=5)",
        "reset(after=1)",
        "stall(2.5, after=1)",
        "drop_usage()",
    ]


def test_leaving_a_stalled_stream_does_not_wait(good: Path) -> None:
    """What drains on leaving is bounded by the drain's own time-out."""
    profile = ReplayProfile(cassettes=good, faults=(stall(60.0),))
    with Client(profile) as client:
        begun = time.monotonic()
        with client.stream(**ASK, on_leave="drain", drain_timeout=0.2) as stream:
            next(stream)
        assert time.monotonic() - begun < 30
    assert stream.record.outcome is Outcome.CLOSED


def test_responses_lose_their_usage_too(tmp_path: Path) -> None:
    """`drop_usage` knows both wires."""
    from usagestream_adapters.emulator import Emulator
    from usagestream_adapters.replay import Recorder

    path = tmp_path / "responses.yaml"
    with (
        Emulator() as server,
        Recorder(path) as recorder,
        recorder.http_client() as http_client,
        Client(openai(server.openai_base_url), http_client=http_client) as client,
    ):
        first = client.responses.stream(model="gpt-4o-mini", input="Hi")
        assert first.drain().total_tokens
    profile = ReplayProfile(cassettes=path)
    with Client(profile) as client:
        again = client.responses.stream(model="gpt-4o-mini", input="Hi")
        assert again.drain() == first.usage
    broken = profile.model_copy(update={"faults": (drop_usage(),)})
    with Client(broken, token_counter=None) as client:
        lost = client.responses.stream(model="gpt-4o-mini", input="Hi")
        assert lost.drain().source is UsageSource.UNKNOWN
