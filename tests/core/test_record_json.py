"""The JSON of a record: described for those who read it elsewhere, and readable for ever."""

from __future__ import annotations

import json
from typing import Any

import pytest

from usagestream import RecordedError, Usage, UsageRecord

OLDEST = (
    '{"id":"0f","api":"chat","provider":"openai","profile":null,"endpoint":"api.openai.com",'
    '"model":"gpt-4o-mini","deployment":null,"response_model":"gpt-4o-mini-2024-07-18",'
    '"response_id":"chatcmpl-1","request_ids":{"x-request-id":"req_1"},"spillover":{},'
    '"usage_request":"asked","reopenings":0,"service_tier":"default","outcome":"completed",'
    '"finish_reasons":{"0":"stop"},"error":null,"reason":null,'
    '"started_at":"2026-11-01T12:00:00Z","first_chunk_at":"2026-11-01T12:00:01Z",'
    '"ended_at":"2026-11-01T12:00:02Z","chunk_count":4,"usage":{"input_tokens":18,'
    '"output_tokens":2,"total_tokens":20,"source":"reported","lower_bound":false},'
    '"wire_usage":{"prompt_tokens":18},"recovered":false,"tags":{"team":"search"}}'
)
"""As the first version wrote it, before `version` and `anomalies`."""


@pytest.mark.parametrize("model", [UsageRecord, Usage, RecordedError])
def test_every_field_is_described(model: Any) -> None:
    """The schema says what each means, in the words of the class."""
    fields = model.model_json_schema()["properties"]
    assert [name for name, field in fields.items() if not field.get("description")] == []


def test_a_record_of_the_first_version_reads() -> None:
    """Nothing that was written is lost."""
    record = UsageRecord.model_validate_json(OLDEST)
    written = json.loads(record.model_dump_json())
    old: dict[str, Any] = json.loads(OLDEST)
    assert old.items() <= {**written, "usage": old["usage"]}.items()
    assert old["usage"].items() <= written["usage"].items()
    assert record.version == 1


def test_a_record_of_a_later_version_reads() -> None:
    """A field that is not known here is left out."""
    record = UsageRecord.model_validate_json(OLDEST.replace('{"id"', '{"later":1,"id"', 1))
    assert record.id == "0f"


def test_a_record_says_the_version_it_is_written_in() -> None:
    """In JSON, and not where people read it."""
    record = UsageRecord.model_validate_json(OLDEST)
    assert json.loads(record.model_dump_json())["version"] == 1
    assert "version" not in repr(record)
