"""Recorded exchanges, replayed through the adapter of the provider that was recorded.

The folder is named by USAGESTREAM_CORPUS and is no part of the project.
"""

# Tests look behind the door.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import json
import os
import re
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests._support.chat import cut
from tests._support.worlds import World

from usagestream import (
    AuthenticationError,
    BadRequestError,
    Chunk,
    Outcome,
    PermissionDeniedError,
    Profile,
    ProviderError,
    ProviderUnavailableError,
    RateLimitError,
    UsageStreamError,
)
from usagestream_adapters.azure import AzureProfile
from usagestream_adapters.openai import OpenAIProfile
from usagestream_core.errors import NotFoundError
from usagestream_core.json_types import is_object

FOLDER = os.environ.get("USAGESTREAM_CORPUS")
KEY = SecretStr("made-up-key")


def exchanges(*, ok: bool) -> list[Any]:
    """The recorded chat exchanges that were answered with 200, or those that were not."""
    found: list[Any] = []
    for path in sorted(Path(FOLDER or os.devnull).glob("*.json")):
        case = json.loads(path.read_text("utf-8"))
        if case.get("api") == "chat" and (case["response"]["status"] == 200) is ok:
            found.append(pytest.param(case, id=path.stem))
    return found or [pytest.param(None, marks=pytest.mark.skip("USAGESTREAM_CORPUS is not set"))]


def profile_of(case: dict[str, Any]) -> Profile:
    """A profile as whoever recorded this may have had."""
    if case["provider"] != "azure":
        return OpenAIProfile(api_key=KEY, base_url="http://recorded.test/v1", max_retries=0)
    asked: dict[str, Any] = case.get("request") or {}
    url: str = asked.get("url") or ""
    dated = re.search(r"api-version=(\d{4}-\d\d-\d\d(-preview)?)", url)
    version = dated[1] if dated else "v1"
    return AzureProfile(
        endpoint="https://recorded.test", api_version=version, api_key=KEY, max_retries=0
    )


def replay(world: World, case: dict[str, Any], size: int) -> Any:
    """A stream that is answered with what was recorded."""
    response = case["response"]
    reads = cut(response["body"].encode(), size)
    dropped = {"content-encoding", "content-length", "transfer-encoding"}
    headers = {
        name: value for name, value in response["headers"].items() if name.lower() not in dropped
    }
    return world.replay(profile_of(case), reads, status=response["status"], headers=headers)


def standard_counts(wire: dict[str, Any] | None) -> dict[str, int]:
    """The counts in a wire usage, by the names of `Usage`; a second reading of WIRE §1.3."""
    if wire is None:
        return {}
    inside: dict[str, Any] = wire.get("prompt_tokens_details") or {}
    outside: dict[str, Any] = wire.get("completion_tokens_details") or {}
    pairs: dict[str, int | None] = {
        "input_tokens": wire.get("prompt_tokens"),
        "output_tokens": wire.get("completion_tokens"),
        "total_tokens": wire.get("total_tokens"),
        "cache_read_tokens": inside.get("cached_tokens"),
        "cache_write_tokens": inside.get("cache_write_tokens"),
        "input_audio_tokens": inside.get("audio_tokens"),
        "input_image_tokens": inside.get("image_tokens"),
        "input_text_tokens": inside.get("text_tokens"),
        "reasoning_tokens": outside.get("reasoning_tokens"),
        "output_audio_tokens": outside.get("audio_tokens"),
        "output_text_tokens": outside.get("text_tokens"),
        "accepted_prediction_tokens": outside.get("accepted_prediction_tokens"),
        "rejected_prediction_tokens": outside.get("rejected_prediction_tokens"),
    }
    return {name: int(value) for name, value in pairs.items() if value is not None}


def assembled(chunks: list[Chunk]) -> list[dict[str, Any]]:
    """The tool calls of a stream, put together."""
    calls: dict[tuple[int, int], dict[str, Any]] = {}
    for chunk in chunks:
        for piece in chunk.tool_calls:
            if piece.type == "function_call":
                continue
            call = calls.setdefault(
                (chunk.index, piece.index),
                {
                    "choice": chunk.index,
                    "index": piece.index,
                    "id": None,
                    "name": "",
                    "arguments": "",
                },
            )
            call["id"] = call["id"] or piece.id
            call["name"] = call["name"] or piece.name or ""
            call["arguments"] += piece.arguments
    return [calls[key] for key in sorted(calls)]


@pytest.mark.parametrize("size", [0, 7])
@pytest.mark.parametrize("case", exchanges(ok=True))
def test_a_recorded_answer(world: World, case: dict[str, Any], size: int) -> None:
    """Usage, text, finish, model, tool calls and refusal are those that were recorded."""
    expected = case["expected"]
    stream = replay(world, case, size)
    chunks: list[Chunk] = []
    failure: Exception | None = None
    try:
        chunks.extend(stream)
    except UsageStreamError as exc:
        failure = exc
    record = stream.record
    assert record is not None
    first = [chunk for chunk in chunks if chunk.index == 0]
    assert stream.usage.model_dump(
        exclude_none=True, exclude={"source", "lower_bound"}
    ) == standard_counts(expected["usage"])
    assert record.wire_usage == expected["usage"]
    assert "".join(chunk.text for chunk in first) == expected["text"]
    assert record.finish_reasons.get(0) == expected["finish_reason"]
    assert record.response_model == expected["model"]
    assert "".join(chunk.refusal or "" for chunk in first) == (expected.get("refusal") or "")
    recorded: list[dict[str, Any]] = expected.get("tool_calls") or []
    assert assembled(chunks) == sorted(recorded, key=itemgetter("choice", "index"))
    if expected.get("error"):
        assert (record.outcome, type(failure)) != (Outcome.COMPLETED, type(None))
        assert [chunk for chunk in chunks if chunk.usage is not None] == []
    else:
        assert (failure, record.outcome) == (None, Outcome.COMPLETED)
        assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


FAMILIES: dict[int, tuple[type[ProviderError], ...]] = {
    400: (BadRequestError, NotFoundError, AuthenticationError),
    401: (AuthenticationError, PermissionDeniedError),
    403: (PermissionDeniedError,),
    404: (NotFoundError,),
    422: (BadRequestError,),
    429: (RateLimitError,),
}


@pytest.mark.parametrize("case", exchanges(ok=False))
def test_a_recorded_refusal(world: World, case: dict[str, Any]) -> None:
    """The right family of errors, with the status, the code and the ids that were recorded."""
    status = case["response"]["status"]
    error = case["expected"]["error"]
    stream = replay(world, case, 0)
    with pytest.raises(FAMILIES.get(status, (ProviderUnavailableError, BadRequestError))) as caught:
        stream.drain()
    raised = caught.value
    assert isinstance(raised, ProviderError)
    assert raised.status == status
    if is_object(error) and error.get("code"):
        assert raised.code == str(error["code"])
    sent = {name.lower(): value for name, value in case["response"]["headers"].items()}
    wanted = ("x-request-id", "apim-request-id")
    assert raised.request_ids == {name: sent[name] for name in wanted if name in sent}
    if sent.get("retry-after", "").isdigit() and not sent.get("retry-after-ms"):
        assert raised.retry_after == float(sent["retry-after"])
    assert stream.record.outcome == Outcome.REJECTED
