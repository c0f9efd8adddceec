"""Every call of a tracked client leaves one record, with the outcome it had."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import pytest

from usagestream import Client, JsonLinesSink, Outcome, UsageSource
from usagestream_adapters.emulator import Emulator, Scenario, scenarios
from usagestream_adapters.emulator.errors import SERVER_ERROR
from usagestream_adapters.track import track
from usagestream_core.records import shutdown as exits

from .conftest import KEY, Bench, Entered, each, make_client, result

ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello?"}]}


async def read(client: Any) -> list[Any]:
    """Read a stream to its end."""
    return await each(await result(client.chat.completions.create(**ASK, stream=True)))


def leave_after(count: int) -> Any:
    """A way to read so many items and close the stream."""

    async def way(client: Any) -> None:
        stream = await result(client.chat.completions.create(**ASK, stream=True))
        for _ in range(count):
            await (anext(stream) if hasattr(stream, "__anext__") else result(next(stream)))
        await result(stream.close())

    return way


def test_a_refused_call_is_rejected(bench: Bench) -> None:
    """The SDK's error reaches the caller as it is; the record says why, and no secret."""
    with pytest.raises(openai.AuthenticationError):
        bench.run(read, api_key="wrong-" + KEY)
    record = bench.record
    assert (record.outcome, record.usage.source) == (Outcome.REJECTED, UsageSource.UNKNOWN)
    assert record.error is not None
    assert (record.error.type, record.error.status) == ("AuthenticationError", 401)
    assert KEY not in record.model_dump_json()
    header = "x-request-id" if bench.surface == "openai" else "apim-request-id"
    assert header in record.request_ids


def test_a_call_that_nobody_answers_is_rejected(desk: Bench) -> None:
    """There is a record although there was no response."""
    with pytest.raises(openai.APIConnectionError):
        desk.run(read, base_url="http://127.0.0.1:9/v1")
    assert desk.record.outcome == Outcome.REJECTED
    assert desk.record.error is not None
    assert desk.record.error.type == "ProviderUnavailableError"


def test_retries_are_one_call(desk: Bench) -> None:
    """What the SDK tries again by itself leaves the record of the last attempt only."""
    desk.server.script(scenarios.server_error, Scenario(text="At last."))
    desk.run(read, max_retries=1)
    assert len(desk.server.requests) == 2
    assert desk.record.outcome == Outcome.COMPLETED


def test_a_stream_left_early_is_closed(bench: Bench) -> None:
    """Closed in the middle, however much of it had arrived by then."""
    bench.run(leave_after(3))
    assert bench.record.outcome == Outcome.CLOSED
    assert bench.record.finish_reasons in ({}, {0: "stop"})


def test_a_stream_left_after_the_answer_is_complete(desk: Bench) -> None:
    """Left with nothing but the usage to come, the answer was given."""
    items = len(desk.run(read, tracked=False))
    desk.run(leave_after(items))
    assert desk.record.outcome == Outcome.COMPLETED


def test_usage_that_had_arrived_counts_although_nobody_took_it(desk: Bench) -> None:
    """What was received with the last frame taken is known, and nothing more is waited for."""
    frames: list[dict[str, Any]] = [
        {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "Hi"}}]},
        {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"id": "c", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
    ]
    text = "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames)
    done = "data: [DONE]\n\ndata: after the end\n\n"
    desk.server.script(*[Scenario(raw_frames=[text + done], hold_after_done=True)] * 2)
    desk.run(leave_after(1))
    desk.run(leave_after(2))
    early, late = desk.records
    assert (early.outcome, late.outcome) == (Outcome.CLOSED, Outcome.COMPLETED)
    assert early.usage.output_tokens == late.usage.output_tokens == 2


def test_a_dropped_stream_leaves_its_record(desk: Bench) -> None:
    """Nobody closed it: it was abandoned, or closed by the SDK when it noticed."""

    async def way(client: Any) -> None:
        stream = await result(client.chat.completions.create(**ASK, stream=True))
        del stream
        gc.collect()

    def dropped() -> None:
        desk.run(way)
        gc.collect()

    desk.server.script(Scenario(text="Nobody reads this."))
    dropped()
    assert desk.record.outcome in {Outcome.ABANDONED, Outcome.CLOSED}


@pytest.mark.parametrize(
    ("scenario", "outcome"),
    [
        (scenarios.dropped, Outcome.TRUNCATED),
        (scenarios.broken_off, Outcome.TRUNCATED),
        (scenarios.error_mid_stream, Outcome.FAILED),
        (scenarios.login_page, Outcome.FAILED),
    ],
    ids=["dropped", "broken-off", "error", "login-page"],
)
def test_a_stream_that_ends_badly(desk: Bench, scenario: Scenario, outcome: Outcome) -> None:
    """The caller gets what this SDK makes of it (WIRE §3.6); the record is not fooled."""

    async def way(client: Any) -> Any:
        try:
            return len(await read(client))
        except Exception as exc:  # noqa: BLE001 - early SDKs let those of the transport escape
            return type(exc)

    desk.server.script(scenario, scenario)
    assert desk.run(way) == desk.run(way, tracked=False)
    assert desk.record.outcome == outcome
    assert desk.record.error is not None


def test_a_cancelled_call(server: Emulator) -> None:
    """A task that is cancelled while it waits, for the answer's head or its rest."""
    bench = Bench(server, "openai", asynchronous=True)
    server.script(scenarios.stalled)

    async def cancelled(client: Any) -> None:
        task = asyncio.ensure_future(read(client))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    bench.run(cancelled)
    assert bench.record.outcome == Outcome.CANCELLED

    async def at_once(client: Any) -> None:
        task = asyncio.ensure_future(read(client))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    bench.records.clear()
    bench.run(at_once)
    assert bench.record.outcome == Outcome.CANCELLED


def test_a_whole_answer_that_nobody_reads(desk: Bench) -> None:
    """Left before its body was read, a call that is not streamed is closed."""

    async def way(client: Any) -> None:
        async with Entered(client.chat.completions.with_streaming_response.create(**ASK)):
            pass

    desk.run(way)
    assert (desk.record.outcome, desk.record.usage.source) == (Outcome.CLOSED, UsageSource.UNKNOWN)


def test_a_whole_answer_that_is_no_json(desk: Bench) -> None:
    """A login page instead of a completion has failed, whatever the SDK makes of it."""
    desk.server.script(scenarios.login_page)

    async def way(client: Any) -> None:
        await result(client.chat.completions.with_raw_response.create(**ASK))

    desk.run(way)
    assert desk.record.outcome == Outcome.FAILED


def test_an_answer_that_the_sdk_cannot_read(desk: Bench) -> None:
    """What the SDK raises about a body that it was given is not a refusal."""
    desk.server.script(Scenario(body="<html>"))

    async def way(client: Any) -> None:
        with pytest.raises(json.JSONDecodeError):
            await result(client.chat.completions.create(**ASK))

    desk.run(way)
    assert desk.record.outcome == Outcome.FAILED


def test_what_comes_after_the_end_is_passed_on(desk: Bench) -> None:
    """A caller who reads the body himself gets all of it; the account is closed by then."""
    body = 'data: {"choices":[]}\n\ndata: [DONE]\n\ndata: after the end\n\n'

    async def way(client: Any) -> list[str]:
        called = client.chat.completions.with_streaming_response.create(**ASK, stream=True)
        async with Entered(called) as response:
            return await each(response.iter_text())

    desk.server.script(Scenario(raw_frames=[body]))
    assert "".join(desk.run(way)) == body
    assert desk.record.outcome == Outcome.COMPLETED


def test_other_endpoints_pass_through(desk: Bench) -> None:
    """What is neither chat nor responses leaves no record."""

    async def way(client: Any) -> None:
        with pytest.raises(openai.NotFoundError):
            await result(client.embeddings.create(model="m", input="x"))
        with pytest.raises(openai.NotFoundError):
            await result(client.models.list())

    desk.run(way)
    assert desk.records == []


def test_two_clients_side_by_side(server: Emulator, asynchronous: bool) -> None:
    """The client that was given stays as it was: not tracked, and asking for nothing."""

    async def whole() -> list[Any]:
        records: list[Any] = []
        client = make_client(server, "openai", asynchronous=asynchronous)
        async with Entered(client):
            tracked = track(client, on_record=records.append)
            await read(tracked)
            await read(client)
            assert type(tracked) is type(client)
            assert not tracked.is_closed()
        assert tracked.is_closed()
        return records

    assert len(asyncio.run(whole())) == 1
    tracked, bare = server.requests
    assert tracked.body["stream_options"] == {"include_usage": True}
    assert "stream_options" not in bare.body


def test_closing_the_tracked_client_closes_the_other(server: Emulator, asynchronous: bool) -> None:
    """They share their connections, as copies of the SDK's do."""

    async def whole() -> bool:
        client = make_client(server, "openai", asynchronous=asynchronous)
        async with Entered(track(client)) as tracked:
            await read(tracked)
        return bool(client.is_closed())

    assert asyncio.run(whole())


def test_a_sink_that_raises_is_logged(desk: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """What goes wrong with a record never reaches the call."""

    async def way(client: Any) -> list[Any]:
        def broken(_: object) -> None:
            raise RuntimeError("the ledger is full")

        return await read(track(client, on_record=broken))

    assert desk.run(way, tracked=False)
    assert "the ledger is full" in caplog.text


def test_an_error_of_the_server_is_rejected(desk: Bench) -> None:
    """A call without a stream that is refused has one record too."""
    desk.server.script(Scenario(error=SERVER_ERROR))

    async def way(client: Any) -> None:
        with pytest.raises(openai.InternalServerError):
            await result(client.chat.completions.create(**ASK))

    desk.run(way)
    assert desk.record.outcome == Outcome.REJECTED


def test_a_forked_child_records_nothing(server: Emulator) -> None:
    """What was open in its parent is the parent's to record."""
    records: list[Any] = []
    sdk = openai.OpenAI(api_key="any", base_url=server.openai_base_url)
    with track(sdk, on_record=records.append) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        next(stream)
        exits.streams.clear()  # as the child does
        stream.close()
    assert records == []


@pytest.mark.parametrize("given", [object(), Client])
def test_what_is_no_client_of_the_sdks_is_refused(given: Any) -> None:
    """Above all our own, which count already."""
    with pytest.raises(TypeError, match="count their streams themselves"):
        track(given)


EXIT = """
import sys
import openai
from usagestream import JsonLinesSink
from usagestream_adapters.track import meter, track

how, base_url, path = sys.argv[1:]
sdk = openai.OpenAI(api_key="any", base_url=base_url)
client = track(sdk, on_record=JsonLinesSink(path)) if how == "track" else sdk
stream = client.chat.completions.create(
    model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello?"}], stream=True
)
if how == "meter":
    stream = meter(stream, on_record=JsonLinesSink(path))
for _ in stream:
    break
"""


@pytest.mark.slow
@pytest.mark.parametrize(("how", "source"), [("track", "estimated"), ("meter", "unknown")])
def test_a_stream_that_is_open_when_the_program_ends(
    tmp_path: Path, server: Emulator, how: str, source: str
) -> None:
    """It is recorded while everything still works, and the program ends as it does without us.

    Which is in silence, but for CPython 3.13.0: it crashes on the generator of an open stream.
    """
    path = tmp_path / "records.jsonl"

    def end(how: str) -> tuple[int, str]:
        program = [sys.executable, "-c", EXIT, how, server.openai_base_url, str(path)]
        ended = subprocess.run(program, timeout=120, check=False, capture_output=True, text=True)
        return ended.returncode, ended.stderr

    assert end(how) == end("bare")
    (record,) = JsonLinesSink.read(path)
    assert (record.outcome, record.reason) == (Outcome.ABANDONED, "exit")
    assert record.usage.source == source
    assert (record.cost is not None) == (source == "estimated")
