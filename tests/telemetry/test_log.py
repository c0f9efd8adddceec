"""A line of the log for each record, for people and for machines."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

import pytest
from tests._support.fakes import FakeAdapter
from tests._support.telemetry import make_record

from usagestream import (
    Client,
    LogSink,
    Outcome,
    Price,
    Rates,
    Usage,
    UsageSource,
    cost_of,
)
from usagestream_core.record import RecordedError


@pytest.fixture(autouse=True)
def _listening(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "usagestream.records")


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of a line that are ours."""
    return {name: value for name, value in vars(record).items() if name.startswith("usagestream_")}


def test_a_line_says_what_happened(caplog: pytest.LogCaptureFixture) -> None:
    """One line for people, and the record's fields for machines."""
    record = make_record(tags={"team": "search"}, request_ids={"x-request-id": "req_1"})
    LogSink()(record)
    (line,) = caplog.records
    assert line.levelname == "INFO"
    assert line.name == "usagestream.records"
    assert line.getMessage() == "openai gpt-4o-mini: completed, 18 in, 2 out (reported), 2.00 s"
    assert fields(line) == {
        "usagestream_id": record.id,
        "usagestream_api": "chat",
        "usagestream_provider": "openai",
        "usagestream_endpoint": "api.openai.com",
        "usagestream_model": "gpt-4o-mini",
        "usagestream_outcome": "completed",
        "usagestream_request_ids": {"x-request-id": "req_1"},
        "usagestream_reopenings": 0,
        "usagestream_started_at": "2026-11-01T12:00:00+00:00",
        "usagestream_duration": 2.0,
        "usagestream_time_to_first_chunk": 0.5,
        "usagestream_chunk_count": 0,
        "usagestream_input_tokens": 18,
        "usagestream_output_tokens": 2,
        "usagestream_total_tokens": 20,
        "usagestream_usage_source": "reported",
        "usagestream_tags": {"team": "search"},
    }


def test_a_failure_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """It names the kind of error, and nothing of its text; what is unknown is not zero."""
    error = RecordedError(type="StreamTruncatedError", message="secret words")
    LogSink(level="DEBUG")(make_record(outcome=Outcome.TRUNCATED, error=error, usage=Usage()))
    (line,) = caplog.records
    assert line.levelname == "WARNING"
    assert line.getMessage() == (
        "openai gpt-4o-mini: truncated (StreamTruncatedError), ? in, ? out (unknown), 2.00 s"
    )
    assert fields(line)["usagestream_error"] == "StreamTruncatedError"
    assert "usagestream_input_tokens" not in fields(line)
    assert "secret" not in str(vars(line))


def test_the_logger_and_the_level_are_the_caller_s(caplog: pytest.LogCaptureFixture) -> None:
    """A logger, or its name; a number, or its name. What is not enabled is not made."""
    caplog.set_level("INFO", "mine")
    LogSink("mine", level=logging.ERROR)(make_record(outcome=Outcome.ABANDONED))
    LogSink(logging.getLogger("mine"), level="DEBUG")(make_record())
    (line,) = caplog.records
    assert (line.name, line.levelname) == ("mine", "ERROR")
    with pytest.raises(ValueError, match="'loud' is no level"):
        LogSink(level="loud")


def test_a_cost_is_a_field(caplog: pytest.LogCaptureFixture) -> None:
    """What a stream cost is there where it is known."""
    usage = Usage(input_tokens=1000, output_tokens=0, source=UsageSource.ESTIMATED)
    rates = Rates(input=Decimal(500), output=Decimal(0))
    price = Price(model="m", rates=rates, currency="USD", source="test")
    LogSink()(make_record(usage=usage, cost=cost_of(usage, price)))
    (line,) = caplog.records
    said = fields(line)
    assert (said["usagestream_cost"], said["usagestream_cost_currency"]) == (0.5, "USD")
    assert said["usagestream_cost_basis"] == "estimated"


def test_it_is_a_sink(caplog: pytest.LogCaptureFixture) -> None:
    """A client writes a line where a stream ends."""
    with Client(FakeAdapter(), on_record=LogSink(), pricer=None) as client:
        client.stream(model="gpt-4o", messages=[]).drain()
    (line,) = caplog.records
    assert fields(line)["usagestream_outcome"] == "completed"
