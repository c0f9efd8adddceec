"""One answer to how a stream ends, whichever way it was opened and is read.

Each test is a question that the clients, tracked SDK clients, metered streams and replays might
answer differently, and says why the answer is what it is.
"""

from __future__ import annotations

import asyncio
import gc
import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel
import yaml
from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI
from pydantic import SecretStr
from tests._support.chat import USAGE, body, choice, frame
from tests._support.sdk_http import client_of, streamed

from usagestream import AsyncClient, Client, Outcome, UsageRecord, meter, track
from usagestream_adapters.azure import AzureProfile
from usagestream_adapters.openai import OpenAIProfile
from usagestream_adapters.replay import ReplayProfile
from usagestream_core.records.shutdown import open_stream_count

MODEL = "gpt-4o"
KEY = "lifecycle-suite-key"
VERSION = "2024-10-21"
AZURE = "https://name.openai.azure.com"
OPENAI = "https://api.openai.com/v1"
SURFACES = {
    "openai": f"{OPENAI}/chat/completions",
    "azure-classic": f"{AZURE}/openai/deployments/{MODEL}/chat/completions?api-version={VERSION}",
    "azure-v1": f"{AZURE}/openai/v1/chat/completions",
}
WAYS = ("client", "track", "meter", "replay")
RUNS = ("sync", "asyncio", "trio")
TEXT = frame(choice(content="Hi"))
STOP = frame(choice(finish="stop"))
COUNTS = frame(usage=USAGE)


@dataclass
class Life:
    """One stream, opened in one way, seen by one consumer."""

    way: str
    surface: str
    run: str
    folder: Path
    records: list[UsageRecord] = field(default_factory=list[UsageRecord])
    n: int = 1

    @property
    def is_async(self) -> bool:
        return self.run != "sync"

    def play(self, reads: list[Any], consume: Callable[[Any], Any], **reply: Any) -> UsageRecord:
        """Open a stream that is answered with these reads, and let somebody consume it."""

        async def main() -> None:
            stream, clients = await self._open(reads, reply)
            try:
                await consume(stream)
            except (Exception, KeyboardInterrupt) as exc:  # noqa: BLE001 - what it is, is not asked here
                exc.__traceback__ = None
            del stream
            await checkpoint()
            if open_stream_count():
                gc.collect()
            for client in clients:
                closed = client.close()
                if self.is_async:
                    await closed

        async def checkpoint() -> None:
            if self.run == "trio":
                await trio.lowlevel.checkpoint()
            else:
                await asyncio.sleep(0)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            if self.run == "trio":
                trio.run(main)
            else:
                asyncio.run(main())
            if open_stream_count():  # a loop that ends lets go of generators that were left in it
                gc.collect()
        (record,) = self.records
        return record

    async def _open(self, reads: list[Any], reply: dict[str, Any]) -> tuple[Any, list[Any]]:
        ask: dict[str, Any] = {"model": MODEL, "messages": [], "n": self.n}
        if self.way in ("client", "replay"):
            kind: Any = AsyncClient if self.is_async else Client
            http = None if self.way == "replay" else self._http(reads, reply)
            profile = self._replayed(reads, reply) if self.way == "replay" else self._profile()
            client = kind(
                profile, on_record=self.records.append, http_client=http, token_counter=None
            )
            return Consumer(client.stream(**ask), self.is_async), [client]
        sdk = self._sdk(self._http(reads, reply))
        if self.way == "track":
            sdk = track(sdk, on_record=self.records.append, token_counter=None)
        else:
            ask["stream_options"] = {"include_usage": True}
        stream = await self._created(sdk, ask)
        if self.way == "meter":
            return Consumer(meter(stream, on_record=self.records.append), self.is_async), [sdk]
        return Consumer(stream, self.is_async), [sdk]

    async def _created(self, sdk: Any, ask: dict[str, Any]) -> Any:
        created: Any = sdk.chat.completions.create(**ask, stream=True)
        return (await created) if self.is_async else created

    def _http(self, reads: list[Any], reply: dict[str, Any]) -> Any:
        def answer(_request: Any) -> Any:
            return streamed(list(of(reads)), asynchronous=self.is_async, **breaking(reads), **reply)

        return client_of(answer, asynchronous=self.is_async)

    def _profile(self) -> Any:
        if self.surface == "openai":
            return OpenAIProfile(api_key=SecretStr(KEY), base_url=OPENAI, max_retries=0)
        version = VERSION if self.surface == "azure-classic" else "v1"
        return AzureProfile(
            endpoint=AZURE, api_key=SecretStr(KEY), api_version=version, max_retries=0
        )

    def _sdk(self, http: Any) -> Any:
        more: dict[str, Any] = {"api_key": KEY, "http_client": http, "max_retries": 0}
        if self.surface == "azure-classic":
            azure = AsyncAzureOpenAI if self.is_async else AzureOpenAI
            return azure(azure_endpoint=AZURE, api_version=VERSION, **more)
        base = OPENAI if self.surface == "openai" else f"{AZURE}/openai/v1"
        return (AsyncOpenAI if self.is_async else OpenAI)(base_url=base, **more)

    def _replayed(self, reads: list[Any], reply: dict[str, Any]) -> ReplayProfile:
        """A cassette of this exchange; what cannot be written in one is a fault of the replay."""
        headers = {"content-type": "text/event-stream", **reply.get("headers", {})}
        asked: dict[str, Any] = {"model": MODEL, "messages": [], "n": self.n, "stream": True,
                 "stream_options": {"include_usage": True}}  # fmt: skip
        if self.surface == "azure-classic":
            del asked["model"]
        exchange: dict[str, Any] = {
            "request": {"method": "POST", "uri": SURFACES[self.surface], "headers": {},
                        "body": json.dumps(asked)},
            "response": {"status": {"code": 200, "message": "OK"},
                         "headers": {name: [value] for name, value in headers.items()},
                         "body": {"string": b"".join(of(reads)).decode()}},
        }  # fmt: skip
        path = self.folder / "life.yaml"
        path.write_text(yaml.safe_dump({"version": 1, "interactions": [exchange]}))
        return ReplayProfile(cassettes=str(path))


class Consumer:
    """Reads a stream of any kind, with `await` in front of what need not be awaited."""

    def __init__(self, stream: Any, is_async: bool) -> None:
        self.stream = stream
        self._is_async = is_async

    async def next(self) -> Any:
        """Take one item."""
        return await anext(self.stream) if self._is_async else next(self.stream)

    async def take(self, count: int) -> None:
        """Take so many, and no more."""
        for _ in range(count):
            await self.next()

    async def all(self) -> None:
        """Read to the end."""
        if self._is_async:
            async for _ in self.stream:
                pass
        else:
            for _ in self.stream:
                pass

    async def close(self) -> None:
        """Leave."""
        closed = self.stream.close()
        if self._is_async:
            await closed


def of(reads: list[Any]) -> Iterator[bytes]:
    """The bytes among these reads."""
    return (read for read in reads if isinstance(read, bytes))


def breaking(reads: list[Any]) -> dict[str, Any]:
    """What breaks the body at its end, if anything does."""
    return {"breaks": reads[-1]} if reads and isinstance(reads[-1], BaseException) else {}


@pytest.fixture(params=[(way, run) for way in WAYS for run in RUNS], ids="-".join)
def opened(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A way to open a stream, and what runs it."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=SURFACES)
def life(opened: tuple[str, str], request: pytest.FixtureRequest, tmp_path: Path) -> Life:
    """One stream in one way, at one surface."""
    way, run = opened
    return Life(way, request.param, run, tmp_path)


async def read_all(stream: Consumer) -> None:
    """Read to the end."""
    await stream.all()


def taking(count: int, *, then_close: bool) -> Callable[[Consumer], Any]:
    """Take so many items; then close, or drop."""

    async def consume(stream: Consumer) -> None:
        await stream.take(count)
        if then_close:
            await stream.close()

    return consume


def test_read_to_the_end(life: Life) -> None:
    """Completed, with what was reported; and usage was asked for."""
    record = life.play([body(TEXT, STOP, COUNTS)], read_all)
    assert (record.outcome, record.usage.total_tokens) == (Outcome.COMPLETED, 20)
    assert record.finish_reasons == {0: "stop"}
    assert record.usage_request == "asked"


@pytest.mark.parametrize("then_close", [True, False], ids=["closed", "dropped"])
def test_left_after_the_finish_reason(life: Life, then_close: bool) -> None:
    """Completed: the consumer has the whole answer, and cannot know that it should read on."""
    reads = [body(TEXT, STOP, done=False), body(COUNTS)]
    record = life.play(reads, taking(2, then_close=then_close))
    assert record.outcome is Outcome.COMPLETED


@pytest.mark.parametrize("then_close", [True, False], ids=["closed", "dropped"])
def test_left_before_the_finish_reason(life: Life, then_close: bool) -> None:
    """Closed, or abandoned where nobody said so."""
    reads = [body(TEXT, done=False), body(TEXT, STOP, COUNTS)]
    record = life.play(reads, taking(1, then_close=then_close))
    assert record.outcome is (Outcome.CLOSED if then_close else Outcome.ABANDONED)


def test_what_came_and_was_not_given_does_not_count_as_given(life: Life) -> None:
    """Closed, though the whole body was received: how it was split into reads decides nothing."""
    record = life.play([body(TEXT, TEXT, STOP, COUNTS)], taking(1, then_close=True))
    assert record.outcome is Outcome.CLOSED


def test_left_when_one_of_two_choices_has_finished(life: Life) -> None:
    """Closed: two were asked for, and one is still being written."""
    life.n = 2
    reads = [body(TEXT, STOP, done=False), body(frame(choice(1, content="Ho")))]
    assert life.play(reads, taking(2, then_close=True)).outcome is Outcome.CLOSED


def test_the_end_of_the_body_when_one_of_two_choices_has_finished(life: Life) -> None:
    """Truncated: two were asked for, and one never came."""
    life.n = 2
    record = life.play([body(TEXT, STOP, done=False)], read_all)
    assert record.outcome is Outcome.TRUNCATED


def test_a_body_that_ends_before_the_answer(life: Life) -> None:
    """Truncated: a cut stream never looks whole."""
    record = life.play([body(TEXT, done=False)], read_all)
    assert record.outcome is Outcome.TRUNCATED
    assert record.error is not None


def test_an_error_frame(life: Life) -> None:
    """Failed, with the provider's code."""
    error = {"error": {"message": "overloaded", "code": "server_busy", "type": "server_error"}}
    record = life.play([body(TEXT, error, done=False)], read_all)
    assert record.outcome is Outcome.FAILED
    assert record.error is not None
    assert (record.error.type, record.error.code) == ("StreamFailedError", "server_busy")


def test_a_connection_that_breaks(life: Life) -> None:
    """Truncated, and by what."""
    if life.way == "replay":
        record = life.play([body(TEXT, done=False)], read_all)
    else:
        record = life.play([body(TEXT, done=False), OSError("reset")], read_all)
        assert record.error is not None
        assert record.error.type == "StreamInterruptedError"
    assert record.outcome is Outcome.TRUNCATED


def test_an_interrupt_while_more_is_awaited(life: Life) -> None:
    """Cancelled, by what it was cancelled with."""
    if life.way == "replay":  # no recording holds an interrupt
        life.way = "client"
    record = life.play([body(TEXT, done=False), KeyboardInterrupt()], read_all)
    assert record.outcome is Outcome.CANCELLED
    assert record.error is not None
    assert record.error.type == "KeyboardInterrupt"


def test_a_request_that_another_deployment_took_over(life: Life) -> None:
    """The headers that say so are on the record (WIRE §2.6)."""
    headers = {"content-type": "text/event-stream", "x-ms-spillover-from-deployment": "ptu"}
    record = life.play([body(TEXT, STOP, COUNTS)], read_all, headers=headers)
    assert record.spillover == {"x-ms-spillover-from-deployment": "ptu"}


def test_who_answered(life: Life) -> None:
    """By the address; a replay was answered by nobody."""
    record = life.play([body(TEXT, STOP, COUNTS)], read_all)
    wanted = "openai" if life.surface == "openai" else "azure"
    assert record.provider == ("replay" if life.way == "replay" else wanted)
