"""Beside another instrumentation of the SDK, nothing is counted twice, and nothing is lost."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import openai
import pytest
from openai.resources.chat.completions import Completions
from openai.resources.responses import Responses
from opentelemetry import context, trace
from pydantic import SecretStr
from tests._support.fakes import FakeAdapter, FakeBody
from tests._support.telemetry import Told, make_record

from usagestream import (
    AsyncClient,
    Client,
    Emulator,
    OpenAIProfile,
    RecoveryError,
    UsageSource,
    track,
)
from usagestream_adapters.telemetry import _names
from usagestream_core.adapter import Request

INFERENCE = "opentelemetry.genai.client.inference.context"
SUPPRESSED = "suppress_language_model_instrumentation"
GEN_AI = (_names.TOKEN_USAGE, _names.DURATION, "gen_ai.client.inference.usage.input_tokens")
CHAT = {"gen_ai.operation.name": "chat"}
ASK: dict[str, Any] = {"model": "gpt-4o", "messages": []}


@contextmanager
def another(told: Told, scope: str, attributes: dict[str, Any]) -> Generator[trace.Span]:
    """A span of somebody else's that is current."""
    with told.tracers.get_tracer(scope).start_as_current_span("theirs", attributes=attributes) as s:
        yield s


@pytest.mark.parametrize(
    ("scope", "attributes", "counts"),
    [
        ("opentelemetry.instrumentation.openai.v1", CHAT, True),
        ("opentelemetry.instrumentation.genai.openai", CHAT, True),
        ("pydantic-ai", CHAT, True),
        ("logfire.openai", CHAT, False),
        ("openinference.instrumentation.openai", {"openinference.span.kind": "LLM"}, False),
    ],
)
def test_a_span_of_another_s_stands(
    scope: str, attributes: dict[str, Any], counts: bool, told: Told, caplog: Any
) -> None:
    """Its span is the only one, with what only we know; its metrics stand where it has some."""
    sink = told.sink()
    with another(told, scope, attributes):
        sink(make_record())
        sink(make_record())
    assert told.spans == []
    (theirs,) = told.exporter.get_finished_spans()
    said = theirs.attributes or {}
    assert said["usagestream.outcome"] == "completed"
    assert said["gen_ai.usage.input_tokens"] == 18
    for name in GEN_AI:
        assert bool(told.points(name)) is not counts
    assert told.total(_names.STREAMS) == 2
    assert told.total(_names.TOKENS) == 40
    (said_once,) = [line for line in caplog.messages if "as well" in line]
    assert scope in said_once


@pytest.mark.parametrize(
    ("scope", "attributes"),
    [
        ("my_program.chat", CHAT),
        ("opentelemetry.instrumentation.fastapi", {"http.route": "/chat"}),
        ("opentelemetry.instrumentation.agents", {"gen_ai.operation.name": "invoke_agent"}),
    ],
)
def test_other_spans_are_parents(scope: str, attributes: dict[str, Any], told: Told) -> None:
    """A program's own span, or one of another kind of work, is no report of this call."""
    with another(told, scope, attributes) as parent:
        told.sink()(make_record())
    assert told.span.parent is not None
    assert told.span.parent.span_id == parent.get_span_context().span_id
    assert told.total(_names.TOKEN_USAGE) == 20


def test_what_it_cannot_see_is_still_counted(told: Told) -> None:
    """Tokens that were asked for on our account and hidden from it are counted by us."""
    with another(told, "opentelemetry.instrumentation.openai.v1", CHAT):
        told.sink()(make_record(usage_hidden=True))
    assert told.total(_names.TOKEN_USAGE) == 20
    assert told.points(_names.DURATION) == []


def test_a_call_that_is_not_sampled_is_seen_by_its_key(told: Told) -> None:
    """A span that records nothing says nothing; the key of util-genai does."""
    token = context.attach(context.set_value(INFERENCE, object()))
    try:
        told.sink()(make_record())
    finally:
        context.detach(token)
    assert told.spans == []
    assert told.points(_names.TOKEN_USAGE) == []


def test_both_can_be_had(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    """With `beside_others`, both report, and nothing is said of it."""
    with another(told, "opentelemetry.instrumentation.openai.v1", CHAT):
        told.sink(beside_others=True)(make_record())
    assert told.span
    assert told.total(_names.TOKEN_USAGE) == 20
    assert caplog.messages == []


def wrapper_of(module: str) -> Any:
    """A method as instrumentations wrap it."""

    def wrapper() -> None:
        """Report."""

    wrapper.__module__ = module
    return SimpleNamespace(_self_wrapper=wrapper)


@pytest.mark.parametrize(
    ("api", "owner", "method", "module", "counts"),
    [
        ("chat", "Completions", "create", "opentelemetry.instrumentation.openai.utils", True),
        ("responses", "Responses", "create", "opentelemetry.instrumentation.openai.v1", False),
        ("chat", "OpenAI", "request", "openinference.instrumentation.openai._request", False),
    ],
)
def test_a_wrapped_method_is_seen_by_a_tracked_client(
    api: Any,
    owner: str,
    method: str,
    module: str,
    counts: bool,
    told: Told,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What leaves nothing in the context is seen by what it did to the SDK."""
    places: dict[str, Any] = {
        "Completions": Completions,
        "Responses": Responses,
        "OpenAI": openai.OpenAI,
    }
    monkeypatch.setattr(places[owner], method, wrapper_of(module), raising=False)
    sink = told.sink()
    sink.for_tracked()(make_record(api=api))
    assert told.spans == []
    assert bool(told.points(_names.TOKEN_USAGE)) is not counts
    sink(make_record(api=api))  # of a `Client`, whose requests it was asked to leave alone
    assert told.span

    token = context.attach(context.set_value(SUPPRESSED, True))
    try:
        sink.for_tracked()(make_record(api=api))
    finally:
        context.detach(token)
    assert len(told.spans) == 2


def test_a_plain_sdk_is_nobody_s(told: Told) -> None:
    """An SDK that nobody wrapped leaves our report as it is."""
    told.sink().for_tracked()(make_record())
    assert told.span


def test_track_hides_what_it_asked_for(told: Told, server: Emulator) -> None:
    """The record says whose the usage is: asked for by the caller, or by us."""
    records: list[Any] = []
    message: Any = {"role": "user", "content": "Hi"}
    with openai.OpenAI(api_key="k", base_url=server.openai_base_url) as plain:
        create = track(plain, on_record=records.append).chat.completions.create
        list(create(model="gpt-4o", messages=[message], stream=True))
        options: Any = {"include_usage": True}
        list(create(model="gpt-4o", messages=[message], stream=True, stream_options=options))
    assert [record.usage_hidden for record in records] == [True, False]
    assert {record.usage.source for record in records} == {UsageSource.REPORTED}


class Listening(FakeAdapter):
    """An adapter that notes what others see in the context of its requests."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[object, object]] = []

    def open(self, request: Request) -> FakeBody:
        self.seen.append((context.get_value(SUPPRESSED), context.get_value(INFERENCE)))
        return super().open(request)


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("installed", [False, True])
def test_a_client_asks_others_to_be_silent(
    asynchronous: bool, installed: bool, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request of our own is reported by us alone, and only that one is kept from the others."""
    if installed:
        kept = SimpleNamespace(InferenceData=lambda: "a call")
        monkeypatch.setitem(sys.modules, "opentelemetry.util.genai.invocation", kept)
    adapter = Listening()

    async def asked() -> None:
        async with AsyncClient(adapter, on_record=told.sink()) as client:
            await client.stream(**ASK).drain()

    if asynchronous:
        asyncio.run(asked())
    else:
        with Client(adapter, on_record=told.sink()) as client:
            client.stream(**ASK).drain()
    assert adapter.seen == [(True, "a call" if installed else None)]
    assert context.get_value(SUPPRESSED) is None
    assert told.span
    assert adapter.closed == 1
    assert (told.span.attributes or {})["gen_ai.provider.name"] == "fake"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_was_kept_can_still_be_asked_for(
    asynchronous: bool, told: Told, server: Emulator
) -> None:
    """Asking for a kept answer passes, and tells nothing: it is no second use of the tokens."""
    profile = OpenAIProfile(api_key=SecretStr("k"), base_url=server.openai_base_url)
    message = [{"role": "user", "content": "Hi"}]
    ask: dict[str, Any] = {"model": "gpt-4o", "messages": message, "store": True}

    def sync() -> Any:
        with Client(profile, on_record=told.sink(), token_counter=None) as client:
            with client.stream(**ask) as stream:
                next(stream)
            return client.recover(stream.record, timeout=5)

    async def awaited() -> Any:
        async with AsyncClient(profile, on_record=told.sink(), token_counter=None) as client:
            async with client.stream(**ask) as stream:
                await anext(stream)
            return await client.recover(stream.record, timeout=5)

    recovered = asyncio.run(awaited()) if asynchronous else sync()
    assert recovered.usage.source is UsageSource.REPORTED
    assert told.total(_names.STREAMS) == 1
    assert told.points(_names.TOKEN_USAGE) == []


def test_an_adapter_that_cannot_ask_again_says_so(told: Told) -> None:
    """An adapter without the ability does not get it from us."""
    with Client(FakeAdapter.of(size=40), on_record=told.sink()) as client:
        with client.stream(**ASK) as stream:
            next(stream)
        with pytest.raises(RecoveryError, match="cannot ask"):
            client.recover(stream.record)
