"""What each record becomes: spans and metrics in the conventions' names, and nothing beside."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.trace import SpanKind, StatusCode
from tests._support.telemetry import Told, make_record

from usagestream import (
    OpenTelemetrySink,
    Outcome,
    Price,
    Rates,
    Usage,
    UsageRecord,
    UsageSource,
    cost_of,
)
from usagestream_adapters.telemetry import _describe, _names
from usagestream_core.record import RecordedError
from usagestream_core.usage import COUNT_FIELDS

REPORTED, ESTIMATED = UsageSource.REPORTED, UsageSource.ESTIMATED
USAGE_COUNTERS = "gen_ai.client.inference.usage."


def test_a_span_says_who_was_asked_for_what(told: Told) -> None:
    """A span has the conventions' name, kind, times and attributes."""
    record = make_record(
        provider="azure",
        endpoint="contoso.openai.azure.com",
        deployment="chat-mini",
        response_model="gpt-4o-mini-2024-07-18",
        response_id="chatcmpl-1",
        request_ids={"x-request-id": "req_1", "apim-request-id": "apim_1"},
        service_tier="default",
        finish_reasons={1: "length", 0: "stop"},
        reopenings=1,
        chunk_count=4,
    )
    told.sink()(record)
    span = told.span
    assert span.name == "chat gpt-4o-mini"
    assert span.kind is SpanKind.CLIENT
    start = int(record.started_at.timestamp()) * 10**9
    assert (span.start_time, span.end_time) == (start, start + 2 * 10**9)
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "azure.ai.openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.finish_reasons": ("stop", "length"),
        "gen_ai.response.time_to_first_chunk": 0.5,
        "gen_ai.usage.input_tokens": 18,
        "gen_ai.usage.output_tokens": 2,
        "openai.api.type": "chat_completions",
        "openai.response.service_tier": "default",
        "server.address": "contoso.openai.azure.com",
        "server.port": 443,
        "http.response.header.x-request-id": ("req_1",),
        "http.response.header.apim-request-id": ("apim_1",),
        "usagestream.record.id": record.id,
        "usagestream.outcome": "completed",
        "usagestream.usage.source": "reported",
        "usagestream.deployment": "chat-mini",
        "usagestream.reopenings": 1,
        "usagestream.chunks": 4,
    }


def test_the_version_of_the_conventions_is_said(told: Told) -> None:
    """Spans and metrics carry the schema that their names are of."""
    told.sink()(make_record())
    scope = told.span.instrumentation_scope
    assert scope is not None
    assert scope.schema_url == _names.SCHEMA_URL
    data = told.reader.get_metrics_data()
    assert data is not None
    assert data.resource_metrics[0].scope_metrics[0].scope.schema_url == _names.SCHEMA_URL


def test_a_record_of_which_little_is_known(told: Told) -> None:
    """What is not known is not told, and zero is not said for it."""
    told.sink()(
        make_record(endpoint=None, model="", streamed=None, first_chunk_at=None, usage=Usage())
    )
    assert told.span.name == "chat"
    said = set(told.span.attributes or {})
    assert not [name for name in said if name.startswith(("gen_ai.usage.", "server.", "gen_ai.re"))]


@pytest.mark.parametrize(
    ("endpoint", "address", "port"),
    [
        ("api.openai.com", "api.openai.com", 443),
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("[::1]:8080", "::1", 8080),
        ("[::1]", "::1", 443),
        ("::1", "::1", 443),
    ],
)
def test_an_endpoint_is_host_and_port(told: Told, endpoint: str, address: str, port: int) -> None:
    """The port is told whenever the address is, as the conventions want."""
    told.sink()(make_record(endpoint=endpoint))
    attributes = told.span.attributes or {}
    assert (attributes["server.address"], attributes["server.port"]) == (address, port)


@pytest.mark.parametrize(
    ("outcome", "error", "expected"),
    [
        (Outcome.COMPLETED, None, None),
        (Outcome.CLOSED, None, None),
        (Outcome.CLOSED, RecordedError(type="ZeroDivisionError"), None),
        (Outcome.CANCELLED, RecordedError(type="CancelledError"), None),
        (Outcome.ABANDONED, None, "_OTHER"),
        (Outcome.TRUNCATED, RecordedError(type="StreamTruncatedError"), "StreamTruncatedError"),
        (
            Outcome.FAILED,
            RecordedError(type="StreamFailedError", code="server_error"),
            "server_error",
        ),
        (Outcome.REJECTED, RecordedError(type="RateLimitError", code="429"), "RateLimitError"),
        (
            Outcome.REJECTED,
            RecordedError(type="BadRequestError", code="You said: it is secret"),
            "BadRequestError",
        ),
    ],
)
def test_what_is_an_error(
    told: Told, outcome: Outcome, error: RecordedError | None, expected: str | None
) -> None:
    """An error of the stream is one; what the caller wished is none. Codes are short words."""
    told.sink()(make_record(outcome=outcome, error=error))
    attributes = told.span.attributes or {}
    assert attributes.get("error.type") == expected
    assert attributes["usagestream.outcome"] == outcome.value
    assert told.span.status.status_code is (StatusCode.ERROR if expected else StatusCode.UNSET)
    assert told.span.status.description is None
    for name in (_names.DURATION, _names.STREAMS):
        ((said, _),) = told.points(name)
        assert said.get("error.type") == expected
        assert said["usagestream.outcome"] == outcome.value


def test_reported_tokens_are_counted_once_in_each_family(told: Told) -> None:
    """The old histogram and the new counters hold the same; details are inside, never beside."""
    usage = Usage(
        input_tokens=1_000,
        output_tokens=300,
        total_tokens=1_300,
        cache_read_tokens=800,
        cache_write_tokens=100,
        reasoning_tokens=256,
        input_audio_tokens=0,
        source=REPORTED,
    )
    told.sink()(make_record(usage=usage))
    assert told.total(_names.TOKEN_USAGE, gen_ai__token__type="input") == 1_000
    assert told.total(_names.TOKEN_USAGE, gen_ai__token__type="output") == 300
    assert told.total(USAGE_COUNTERS + "input_tokens") == 1_000
    assert told.total(USAGE_COUNTERS + "output_tokens") == 300
    assert told.total(USAGE_COUNTERS + "cache_read.input_tokens") == 800
    assert told.total(USAGE_COUNTERS + "cache_write.input_tokens") == 100
    assert told.total(USAGE_COUNTERS + "reasoning.output_tokens") == 256
    assert told.total(_names.TOKENS, usagestream__usage__source="reported") == 1_300


def test_estimates_stay_out_of_the_conventions_names(told: Told) -> None:
    """An estimate goes by a name of our own: `gen_ai.*` is what providers reported."""
    usage = Usage(input_tokens=7, output_tokens=5, source=ESTIMATED, lower_bound=True)
    told.sink()(make_record(outcome=Outcome.TRUNCATED, usage=usage))
    assert told.points(_names.TOKEN_USAGE) == []
    for kind in ("input_tokens", "output_tokens"):
        ((said, value),) = told.points(USAGE_COUNTERS + kind)
        assert (said["gen_ai.token.modality"], value) == ("unknown", 0)
    assert told.total(_names.TOKENS, usagestream__usage__source="estimated") == 12
    attributes = told.span.attributes or {}
    assert attributes["usagestream.usage.input_tokens"] == 7
    assert attributes["usagestream.usage.output_tokens"] == 5
    assert attributes["usagestream.usage.lower_bound"] is True
    assert not [name for name in attributes if name.startswith("gen_ai.usage.")]


def test_an_estimate_of_one_half(told: Told) -> None:
    """What was not even estimated is left out."""
    told.sink()(make_record(usage=Usage(output_tokens=5, source=ESTIMATED)))
    assert "usagestream.usage.input_tokens" not in (told.span.attributes or {})
    assert told.total(_names.TOKENS) == 5


def test_usage_that_is_unknown_is_counted_as_a_stream(told: Told) -> None:
    """Streams are counted by where their usage comes from, so that what is missing shows."""
    sink = told.sink()
    sink(make_record(usage=Usage()))
    sink(make_record())
    assert told.total(_names.STREAMS, usagestream__usage__source="unknown") == 1
    assert told.total(_names.STREAMS, usagestream__usage__source="reported") == 1


@settings(max_examples=40)
@given(
    counts=st.fixed_dictionaries(
        {}, optional={name: st.integers(-3, 10_000) for name in COUNT_FIELDS}
    )
)
def test_counters_add_up_whatever_was_reported(counts: dict[str, Any]) -> None:
    """Over all modalities a counter holds the count, and nothing where it was absent or absurd."""
    told = Told()
    told.sink()(make_record(usage=Usage(**counts, source=REPORTED)))
    for field, name in _names.USAGE_COUNTERS.items():
        assert told.total(name) == max(0, counts.get(field, 0))
        assert all(value >= 0 for _, value in told.points(name))
    for field in ("input_tokens", "output_tokens"):
        assert told.points(_names.USAGE_COUNTERS[field])


def test_modalities_are_the_provider_s_own(told: Told) -> None:
    """A breakdown is told as far as it goes, and the rest is not taken for text."""
    usage = Usage(
        input_tokens=100,
        output_tokens=50,
        input_audio_tokens=30,
        input_image_tokens=20,
        output_text_tokens=50,
        source=REPORTED,
    )
    told.sink()(make_record(usage=usage))
    read, written = ({}, {})
    for said, value in told.points(USAGE_COUNTERS + "input_tokens"):
        read[said["gen_ai.token.modality"]] = value
    for said, value in told.points(USAGE_COUNTERS + "output_tokens"):
        written[said["gen_ai.token.modality"]] = value
    assert read == {"audio": 30, "image": 20, "unknown": 50}
    assert written == {"text": 50}
    attributes = told.span.attributes or {}
    assert attributes["gen_ai.usage.audio.input_tokens"] == 30


def test_a_breakdown_beyond_the_whole_is_none() -> None:
    """Parts that come to more than the whole are not believed; the whole is."""
    usage = Usage(input_tokens=10, input_audio_tokens=30, source=REPORTED)
    assert _describe.by_modality(usage, "input_tokens") == [("unknown", 10)]


def test_times(told: Told) -> None:
    """Durations go into the conventions' buckets; a call that is no stream has no first chunk."""
    sink = told.sink()
    sink(make_record())
    sink(make_record(streamed=False))
    sink(make_record(first_chunk_at=None))
    metrics = told.metrics()
    (duration,) = metrics[_names.DURATION].data.data_points
    assert (duration.count, duration.sum) == (3, 6.0)
    assert tuple(duration.explicit_bounds) == (
        *(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
    )
    (first,) = metrics[_names.FIRST_CHUNK].data.data_points
    assert (first.count, first.sum) == (1, 0.5)
    (tokens, *_) = metrics[_names.TOKEN_USAGE].data.data_points
    assert tuple(tokens.explicit_bounds)[:3] == (1, 4, 16)
    assert tuple(tokens.explicit_bounds)[-1] == 67_108_864


@pytest.mark.parametrize("value", ["", "http", "http, gen_ai_latest_experimental"])
def test_the_opt_in_chooses_the_names(
    told: Told, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the opt-in, names that were replaced are left out, and what replaces them is sent."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", value)
    usage = Usage(input_tokens=8, output_tokens=4, cache_write_tokens=6, source=REPORTED)
    sink = told.sink()
    sink(make_record(usage=usage))
    sink(make_record(usage=usage, outcome=Outcome.FAILED, model="failed"))
    latest = "latest" in value
    attributes = told.spans[0].attributes or {}
    assert attributes["gen_ai.usage.cache_write.input_tokens"] == 6
    assert ("gen_ai.usage.cache_creation.input_tokens" in attributes) is not latest
    assert (told.total(_names.TOKEN_USAGE) == 24) is not latest
    assert told.total(_names.CALL_INPUT) == (8 if latest else 0)
    assert told.total(_names.CALL_OUTPUT) == (4 if latest else 0)
    assert told.total(USAGE_COUNTERS + "input_tokens") == 16


def test_tags_are_told_only_by_name(told: Told) -> None:
    """No tag becomes an attribute unless it is named: its values make series."""
    record = make_record(tags={"team": "search", "user": "nobody-4711"})
    told.sink(tags=["team", "absent"])(record)
    ((said, _),) = told.points(_names.STREAMS)
    tags = {name: value for name, value in said.items() if name.startswith("usagestream.tag.")}
    assert tags == {"usagestream.tag.team": "search"}
    assert (told.span.attributes or {})["usagestream.tag.team"] == "search"
    assert "nobody-4711" not in told.everything()


def test_one_string_is_no_list_of_tags() -> None:
    """A name that was to be in a list is not taken for its letters."""
    with pytest.raises(TypeError, match="not 'team'"):
        OpenTelemetrySink(tags="team")


def test_one_of_the_two_can_be_turned_off(told: Told) -> None:
    """Spans without metrics, and metrics without spans."""
    told.sink(spans=False)(make_record())
    assert told.spans == []
    assert told.total(_names.STREAMS) == 1
    told.sink(metrics=False)(make_record())
    assert len(told.spans) == 1
    assert told.total(_names.STREAMS) == 1


def test_reopenings_are_counted(told: Told) -> None:
    """How often requests were sent anew is a metric of its own."""
    sink = told.sink()
    sink(make_record())
    assert told.points(_names.REOPENINGS) == []
    sink(make_record(reopenings=2))
    assert told.total(_names.REOPENINGS) == 2


def test_no_text_is_told(told: Told) -> None:
    """Neither what was asked or answered nor the text of an error leaves by telemetry."""
    canary = "the-patient-is-called-"
    record = make_record(
        outcome=Outcome.FAILED,
        error=RecordedError(type="StreamFailedError", message=canary, code=canary + " x"),
        wire_usage={"note": canary},
        tags={"note": canary},
        anomalies=(canary,),
    )
    told.sink()(record)
    assert told.span
    assert canary not in told.everything()


def priced(rate: str | None) -> UsageRecord:
    """A record of a thousand tokens, at so many euros for a million, or without a price."""
    usage = Usage(input_tokens=1000, output_tokens=0, source=UsageSource.REPORTED)
    if rate is None:
        return make_record(usage=usage)
    rates = Rates(input=Decimal(rate), output=Decimal(rate))
    price = Price(model="m", rates=rates, currency="EUR", source="test")
    return make_record(usage=usage, cost=cost_of(usage, price))


def test_what_a_stream_cost_is_told(told: Told) -> None:
    """Money goes by a name of our own, with its currency and what it was worked out from."""
    sink = told.sink()
    sink(priced("12.5"))
    ((said, value),) = told.points(_names.COST)
    assert value == 0.0125
    assert said["usagestream.cost.currency"] == "EUR"
    assert said["usagestream.cost.basis"] == "reported"
    attributes = told.span.attributes or {}
    assert attributes["usagestream.cost"] == 0.0125
    assert attributes["usagestream.cost.currency"] == "EUR"
    assert told.total(_names.STREAMS, usagestream__priced=True) == 1


def test_a_stream_without_a_price_is_counted_as_one(told: Told) -> None:
    """What has no price is not free: it is counted apart."""
    told.sink()(priced(None))
    assert told.points(_names.COST) == []
    assert told.total(_names.STREAMS, usagestream__priced=False) == 1


def test_without_an_sdk_nothing_happens() -> None:
    """OpenTelemetry's API alone takes everything and keeps nothing."""
    OpenTelemetrySink()(make_record())
