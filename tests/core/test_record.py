"""`UsageRecord`: JSON in and out, and the times on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from usagestream import Outcome, RecordedError, Usage, UsageRecord, UsageSource

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def full_record() -> UsageRecord:
    """A record with every field set."""
    return UsageRecord(
        id="1",
        provider="azure",
        profile="azure-prod",
        endpoint="contoso.openai.azure.com",
        model="gpt-4o-mini",
        deployment="chat-mini-prod",
        response_model="gpt-4o-mini-2024-07-18",
        response_id="chatcmpl-1",
        request_ids={"apim-request-id": "a"},
        service_tier="default",
        outcome=Outcome.FAILED,
        finish_reasons={0: "stop", 1: "length"},
        error=RecordedError(type="StreamFailedError", message="m", status=200, code="c"),
        started_at=START,
        first_chunk_at=START + timedelta(seconds=0.25),
        ended_at=START + timedelta(seconds=2),
        chunk_count=3,
        usage=Usage(input_tokens=1, source=UsageSource.REPORTED),
        wire_usage={"prompt_tokens": 1, "x": {"y": [None, 1.5, "é"]}},
        tags={"team": "search"},
    )


def least_record() -> UsageRecord:
    """A record with only what it must have."""
    return UsageRecord(
        provider="openai",
        model="m",
        outcome=Outcome.REJECTED,
        started_at=START,
        ended_at=START,
        usage=Usage(),
    )


@pytest.mark.parametrize("record", [full_record(), least_record()], ids=["full", "least"])
def test_a_record_goes_to_json_and_back(record: UsageRecord) -> None:
    """The integer keys of `finish_reasons` and the wire's own object survive too."""
    assert UsageRecord.model_validate_json(record.model_dump_json()) == record


def test_durations_are_seconds() -> None:
    """Both intervals start at the request."""
    record = full_record()
    assert (record.duration, record.time_to_first_chunk) == (2.0, 0.25)


def test_no_chunk_has_no_time_to_the_first() -> None:
    """A stream that gave nothing has no time to its first chunk, rather than 0."""
    assert least_record().time_to_first_chunk is None


def test_what_is_printed_is_what_is_known() -> None:
    """Short enough to read: nothing that is `None` or empty, and times as they are written."""
    shown = str(least_record())
    assert "None" not in shown
    assert "tags" not in shown
    assert "outcome='rejected'" in shown
    assert f"started_at='{START.isoformat()}'" in shown


def test_each_record_has_its_own_id() -> None:
    """Two records can be told apart."""
    assert least_record().id != least_record().id


def test_records_are_frozen() -> None:
    """What was accounted for does not change."""
    record = least_record()
    with pytest.raises(ValidationError, match="frozen"):
        record.model = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
