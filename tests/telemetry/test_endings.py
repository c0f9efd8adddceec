"""Every ending of a stream, on both providers and in both kinds of code, as a dashboard sees it."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import openai
import pytest
from opentelemetry.trace import StatusCode
from pydantic import SecretStr
from tests._support.telemetry import Told

from usagestream import (
    AsyncClient,
    AzureProfile,
    Client,
    Emulator,
    OpenAIProfile,
    OpenTelemetrySink,
    Profile,
    Scenario,
    UsageStreamError,
    track,
)
from usagestream import scenarios as ready
from usagestream_adapters.telemetry import _names

TEXT = "One two three four five six seven eight nine ten"
QUESTION: Any = [{"role": "user", "content": "Say something."}]
CANARY = "the-patient-is-called-"


@dataclass(frozen=True)
class Ending:
    """How a stream is answered and read, and what is to be told of it."""

    outcome: str
    error: str | None = None
    scenario: Scenario = field(default_factory=lambda: Scenario(text=TEXT))
    read: str = "all"
    """All of it, or what to do after the first chunk."""
    source: str = "estimated"
    params: dict[str, Any] = field(default_factory=dict[str, Any])


CUT = Scenario(text=TEXT, cut_after_frames=5)
DROPPED = Scenario(text=TEXT, cut_after_frames=5, cut="drop")
FAILED = Scenario(
    text=TEXT, cut_after_frames=5, error_frame={"error": {"message": CANARY, "code": "overloaded"}}
)
ENDINGS = {
    "read": Ending("completed", source="reported"),
    "left after the finish reason": Ending("completed", read="finish", source="reported"),
    "drained": Ending("completed", read="leave", source="reported", params={"on_leave": "drain"}),
    "cut": Ending("truncated", "StreamTruncatedError", CUT),
    "broken": Ending("truncated", "StreamInterruptedError", DROPPED),
    "failed": Ending("failed", "overloaded", FAILED),
    "a web page": Ending("failed", "NotAStreamError", ready.login_page, source="unknown"),
    "left": Ending("closed", read="leave"),
    "closed": Ending("closed", read="close"),
    "an exception of the caller's": Ending("closed", read="raise"),
    "a limit": Ending("closed", params={"output_tokens_limit": 2}),
    "cancelled": Ending("cancelled", read="cancel"),
    "dropped": Ending("abandoned", "_OTHER", read="drop"),
    "refused": Ending("rejected", "RateLimitReached", ready.rate_limited, source="unknown"),
}


def openai_profile(server: Emulator) -> Profile:
    """OpenAI."""
    key = SecretStr("telemetry-key")
    return OpenAIProfile(api_key=key, base_url=server.openai_base_url, max_retries=0)


def azure_profile(server: Emulator) -> Profile:
    """Azure's classic surface."""
    key = SecretStr("telemetry-key")
    return AzureProfile(
        api_key=key, endpoint=server.azure_endpoint, api_version="2024-10-21", max_retries=0
    )


PROVIDERS: dict[str, Callable[[Emulator], Profile]] = {
    "openai": openai_profile,
    "azure.ai.openai": azure_profile,
}


def read_sync(profile: Profile, sink: OpenTelemetrySink, ending: Ending, parent: Any) -> None:
    """End a stream of `Client`, that was asked for inside `parent`."""
    with Client(profile, on_record=sink) as client:
        with parent():
            stream = client.stream(model="gpt-4o", messages=QUESTION, **ending.params)
            next(stream) if ending.read == "drop" else None
        if ending.read == "drop":
            del stream
            return
        with suppress(UsageStreamError, ZeroDivisionError, KeyboardInterrupt), stream:
            for chunk in stream:
                after(ending.read, finished=chunk.finish_reason is not None)
                if ending.read == "close":
                    stream.close()
                if ending.read == "leave" or (ending.read == "finish" and chunk.finish_reason):
                    break


async def read_async(
    profile: Profile, sink: OpenTelemetrySink, ending: Ending, parent: Any
) -> None:
    """End a stream of `AsyncClient`, that was asked for inside `parent`."""
    async with AsyncClient(profile, on_record=sink) as client:
        with parent():
            stream = client.stream(model="gpt-4o", messages=QUESTION, **ending.params)
            await anext(stream) if ending.read == "drop" else None
        if ending.read == "drop":
            del stream
            return

        async def read() -> None:
            async with stream:
                async for chunk in stream:
                    if ending.read == "cancel":
                        raise asyncio.CancelledError
                    after(ending.read, finished=chunk.finish_reason is not None)
                    if ending.read == "close":
                        await stream.close()
                    if ending.read == "leave" or (ending.read == "finish" and chunk.finish_reason):
                        break

        with suppress(UsageStreamError, ZeroDivisionError, asyncio.CancelledError):
            await asyncio.create_task(read())


def after(read: str, *, finished: bool) -> None:
    """What goes wrong in the code of the caller."""
    if read == "raise":
        raise ZeroDivisionError(CANARY)
    if read == "cancel":
        raise KeyboardInterrupt


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> str:
    """Each provider in turn."""
    return str(request.param)


@pytest.fixture(params=["sync", "async"])
def code(request: pytest.FixtureRequest) -> str:
    """Each kind of code in turn."""
    return str(request.param)


@pytest.fixture(scope="module")
def one_server() -> Iterator[Emulator]:
    """An emulator for all of these."""
    with Emulator() as running:
        yield running


@pytest.mark.parametrize("name", ENDINGS)
def test_an_ending(name: str, provider: str, code: str, told: Told, one_server: Emulator) -> None:
    """Each ending is one span below the caller's, and one stream, told apart from the others."""
    ending = ENDINGS[name]
    one_server.script(ending.scenario)
    tracer = told.tracers.get_tracer("the program")

    def parent() -> Any:
        return tracer.start_as_current_span("the caller")

    profile = PROVIDERS[provider](one_server)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        if code == "sync":
            read_sync(profile, told.sink(), ending, parent)
        else:
            asyncio.run(read_async(profile, told.sink(), ending, parent))

    span, said = told.span, dict(told.span.attributes or {})
    assert said["gen_ai.provider.name"] == provider
    assert said["usagestream.outcome"] == ending.outcome
    assert said["usagestream.usage.source"] == ending.source
    assert said.get("error.type") == ending.error
    assert span.status.status_code is (StatusCode.ERROR if ending.error else StatusCode.UNSET)
    is_reported = ending.source == "reported"
    assert ("gen_ai.usage.output_tokens" in said) == is_reported
    labels = {"usagestream__outcome": ending.outcome, "gen_ai__provider__name": provider}
    assert told.total(_names.STREAMS, **labels, usagestream__usage__source=ending.source) == 1
    assert bool(told.points(_names.TOKEN_USAGE)) == is_reported
    assert bool(told.points(_names.DURATION, **labels))
    ((_, read),) = told.points("gen_ai.client.inference.usage.input_tokens")
    assert (read > 0) == is_reported
    text = told.everything()
    assert not [
        word for word in (CANARY, "Say something", "three", "telemetry-key") if word in text
    ]

    (caller,) = [each for each in told.exporter.get_finished_spans() if each.name == "the caller"]
    assert span.parent is not None
    assert caller.context is not None
    assert span.parent.span_id == caller.context.span_id


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_a_tracked_call(
    stream: bool, api: str, code: str, told: Told, one_server: Emulator
) -> None:
    """Calls of a tracked client are told as well, streamed or not, below their caller."""
    asked: dict[str, Any] = {"model": "gpt-4o", "stream": stream}
    if api == "chat":
        asked["messages"] = QUESTION
    else:
        asked["input"] = "Say something."
    tracer = told.tracers.get_tracer("the program")
    how: dict[str, Any] = {"api_key": "telemetry-key", "base_url": one_server.openai_base_url}

    def sync() -> None:
        with openai.OpenAI(**how) as plain:
            client: Any = track(plain, on_record=told.sink())
            create = client.chat.completions.create if api == "chat" else client.responses.create
            with tracer.start_as_current_span("the caller"):
                answer = create(**asked)
            if stream:
                list(answer)

    async def asynchronous() -> None:
        async with openai.AsyncOpenAI(**how) as plain:
            client: Any = track(plain, on_record=told.sink())
            create = client.chat.completions.create if api == "chat" else client.responses.create
            with tracer.start_as_current_span("the caller"):
                answer = await create(**asked)
            if stream:
                _ = [item async for item in answer]

    one_server.script(Scenario(text=TEXT))
    sync() if code == "sync" else asyncio.run(asynchronous())
    said = told.span.attributes or {}
    assert said["gen_ai.request.stream"] is stream
    assert said["openai.api.type"] == ("chat_completions" if api == "chat" else "responses")
    assert ("gen_ai.response.time_to_first_chunk" in said) is stream
    assert told.total(_names.TOKEN_USAGE) > 0
    (caller,) = [each for each in told.exporter.get_finished_spans() if each.name == "the caller"]
    assert told.span.parent is not None
    assert caller.context is not None
    assert told.span.parent.span_id == caller.context.span_id


def test_a_stream_that_ends_in_another_thread(told: Told, one_server: Emulator) -> None:
    """The parent is the span it was asked for in, not the one that is open where it ends."""
    one_server.script(Scenario(text=TEXT))
    tracer = told.tracers.get_tracer("the program")
    with Client(openai_profile(one_server), on_record=told.sink()) as client:
        with tracer.start_as_current_span("the caller") as caller:
            stream = client.stream(model="gpt-4o", messages=QUESTION)

        def elsewhere() -> None:
            with tracer.start_as_current_span("somebody else"):
                stream.drain()

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert told.span.parent is not None
    assert told.span.parent.span_id == caller.get_span_context().span_id
