"""Recorded exchanges of the Responses API, replayed through the adapters.

The folder is named by USAGESTREAM_CORPUS and is no part of the project.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from tests._support.chat import cut
from tests._support.sdk_http import client_of, streamed

from usagestream import (
    AuthenticationError,
    BadRequestError,
    Chunk,
    Client,
    NotFoundError,
    Outcome,
    Profile,
    UsageRecord,
    UsageStreamError,
)
from usagestream_adapters.azure import AzureProfile
from usagestream_adapters.openai import OpenAIProfile

from .conftest import KEY

FOLDER = os.environ.get("USAGESTREAM_CORPUS")


def exchanges(*, ok: bool) -> list[Any]:
    """The recorded responses that were answered with 200, or those that were not."""
    found: list[Any] = []
    for path in sorted(Path(FOLDER or os.devnull).glob("*.json")):
        case = json.loads(path.read_text("utf-8"))
        if case.get("api") == "responses" and (case["response"]["status"] == 200) is ok:
            found.append(pytest.param(case, id=path.stem))
    return found or [pytest.param(None, marks=pytest.mark.skip("USAGESTREAM_CORPUS is not set"))]


def profile_of(case: dict[str, Any]) -> Profile:
    """A profile as whoever recorded this may have had."""
    if case["provider"] != "azure":
        return OpenAIProfile(api_key=KEY, base_url="http://recorded.test/v1", max_retries=0)
    dated = re.search(r"api-version=(\d{4}-\d\d-\d\d(-preview)?)", case["request"]["url"] or "")
    version = dated[1] if dated else "v1"
    return AzureProfile(
        endpoint="https://recorded.test", api_version=version, api_key=KEY, max_retries=0
    )


def replay(case: dict[str, Any], size: int) -> tuple[list[Chunk], UsageRecord, Exception | None]:
    """What comes of reading the recorded answer in reads of this size; 0 is all at once."""
    answer = case["response"]
    dropped = {"content-encoding", "content-length", "transfer-encoding"}
    headers = {k: v for k, v in answer["headers"].items() if k.lower() not in dropped}
    reads = cut(answer["body"].encode(), size)
    http_client = client_of(lambda _: streamed(reads, status=answer["status"], headers=headers))
    chunks: list[Chunk] = []
    failure: Exception | None = None
    with Client(profile_of(case), http_client=http_client) as client:
        stream = client.responses.stream(model="m", input="recorded")
        try:
            chunks.extend(stream)
        except UsageStreamError as exc:
            failure = exc
    return chunks, stream.record, failure


def standard_counts(wire: dict[str, Any] | None) -> dict[str, int]:
    """The counts in a wire usage, by the names of `Usage`; a second reading of WIRE §4."""
    if wire is None or not wire.get("total_tokens"):
        return {}  # all zeros after text are not believed
    inside: dict[str, Any] = wire.get("input_tokens_details") or {}
    lifetimes: dict[str, Any] = inside.get("cache_write_tokens_details") or {}
    outside: dict[str, Any] = wire.get("output_tokens_details") or {}
    pairs: dict[str, int | None] = {
        "input_tokens": wire.get("input_tokens"),
        "output_tokens": wire.get("output_tokens"),
        "total_tokens": wire.get("total_tokens"),
        "cache_read_tokens": inside.get("cached_tokens"),
        "cache_write_tokens": inside.get("cache_write_tokens"),
        "cache_write_30m_tokens": lifetimes.get("ttl_30m_tokens"),
        "cache_write_12h_tokens": lifetimes.get("ttl_12h_tokens"),
        "reasoning_tokens": outside.get("reasoning_tokens"),
    }
    return {name: value for name, value in pairs.items() if value is not None}


@pytest.mark.parametrize("size", [0, 1, 1000])
@pytest.mark.parametrize("case", exchanges(ok=True))
def test_a_recorded_response(case: dict[str, Any], size: int) -> None:
    """Usage, text, ending, model and refusal are those that were recorded."""
    expected = case["expected"]
    chunks, record, failure = replay(case, size)
    counts = record.usage.model_dump(exclude_none=True, exclude={"source", "lower_bound"})
    reported = record.usage.source == "reported"
    assert (counts if reported else {}) == standard_counts(expected["usage"])
    assert record.wire_usage == expected["usage"]
    assert "".join(chunk.text for chunk in chunks) == (expected["text"] or "")
    assert "".join(chunk.refusal or "" for chunk in chunks) == (expected["refusal"] or "")
    assert sum(len(chunk.reasoning) for chunk in chunks) == expected["reasoning_chars"]
    assert record.response_model == expected["model"]
    assert record.service_tier in expected["service_tiers"]
    if expected["error"]:
        assert (record.outcome, failure is None) == (Outcome.FAILED, False)
    else:
        finish = expected["incomplete_reason"] or expected["finish_reason"]
        assert record.finish_reasons == {0: finish}
        assert (record.outcome, failure) == (Outcome.COMPLETED, None)


@pytest.mark.parametrize("case", exchanges(ok=False))
def test_a_recorded_refusal(case: dict[str, Any]) -> None:
    """Each has its class of error."""
    _, record, failure = replay(case, 0)
    kinds = AuthenticationError if case["response"]["status"] == 401 else BadRequestError
    assert isinstance(failure, (kinds, NotFoundError))
    assert record.outcome == Outcome.REJECTED
