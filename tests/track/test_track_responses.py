"""Responses that do not simply complete, through a tracked client."""

from __future__ import annotations

import json
from typing import Any

import pytest

from usagestream import NotAStreamError, Outcome, UsageSource
from usagestream_adapters.emulator import Scenario
from usagestream_adapters.wire.document import ResponsesDocument
from usagestream_core.adapter import Head, Report

from .conftest import Bench, result

ASK: dict[str, Any] = {"model": "gpt-4o-mini", "input": "Hello?"}


async def create(client: Any) -> Any:
    """A response that is not streamed."""
    return await result(client.responses.create(**ASK))


def response(status: str, **more: Any) -> Scenario:
    """A response as it comes when nothing is streamed."""
    whole = {"id": "resp_1", "object": "response", "model": "m", "status": status}
    return Scenario(body=json.dumps({**whole, "output": [], **more}))


@pytest.mark.parametrize("status", ["queued", "in_progress", "cancelled"])
def test_a_response_that_is_not_there_yet(desk: Bench, status: str) -> None:
    """Was called for in good order, and its usage is unknown; its id is on the record."""
    desk.server.script(response(status, usage=None))
    assert desk.run(create).status == status
    record = desk.record
    assert (record.outcome, record.usage.source) == (Outcome.COMPLETED, UsageSource.UNKNOWN)
    assert record.response_id == "resp_1"


def test_a_response_that_failed(desk: Bench) -> None:
    """The SDK gives it as any other; the record has the error."""
    desk.server.script(response("failed", error={"code": "server_error", "message": "x"}))
    desk.run(create)
    assert desk.record.outcome == Outcome.FAILED
    assert desk.record.error is not None
    assert desk.record.error.code == "server_error"


def test_an_incomplete_response(desk: Bench) -> None:
    """Has its reason."""
    details = {"reason": "max_output_tokens"}
    desk.server.script(response("incomplete", incomplete_details=details, usage=None))
    desk.run(create)
    assert desk.record.finish_reasons == {0: "max_output_tokens"}


def test_a_refused_response_is_not_asked_again(desk: Bench) -> None:
    """Nothing was added to it that could be taken back."""
    desk.server.script(Scenario(stream_options_refused="unrecognized_argument"))

    async def way(client: Any) -> None:
        stream = await result(client.responses.create(**ASK, stream=True))
        await result(stream.close())

    desk.run(way)
    assert [request.body for request in desk.server.requests] == [{**ASK, "stream": True}]
    assert desk.record.outcome == Outcome.CLOSED


def test_a_document_that_is_none() -> None:
    """What is no JSON object is left to who knows what it is."""
    page = ResponsesDocument(Head(status=200))
    assert page.feed(b"<html>") == []
    [report] = page.close()
    assert isinstance(report, Report)
    assert isinstance(report.failure, NotAStreamError)
