"""The JSON of a record: described for those who read it elsewhere, and readable for ever."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import Field

from usagestream import Cost, Price, Rates, RecordedError, Usage, UsageRecord

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


@pytest.mark.parametrize("model", [UsageRecord, Usage, RecordedError, Cost, Price, Rates])
def test_every_field_is_described(model: Any) -> None:
    """The schema says what each means, in the words of the class."""
    schema = model.model_json_schema()
    fields = schema.get("$defs", {}).get(model.__name__, schema)["properties"]
    assert [name for name, field in fields.items() if not field.get("description")] == []


def test_what_a_record_holds_is_described_in_its_schema() -> None:
    """As it is written too, and not on its own only."""
    schema = UsageRecord.model_json_schema(mode="serialization")
    usage = schema["$defs"]["Usage"]["properties"]
    assert usage["input_tokens"]["description"] == "Tokens the model read, cached ones included."
    assert schema["$defs"]["Price"]["properties"]["since"]["description"].startswith("The first")


def test_a_class_of_your_own_keeps_the_descriptions() -> None:
    """A field of its own has the one it is given; one without any source has none."""

    class MineError(RecordedError, frozen=True):
        status: int | None = Field(default=None, description="mine")
        own: int = 0

    fields = MineError.model_json_schema()["properties"]
    assert fields["type"]["description"] == "Class name of the exception."
    assert fields["status"]["description"] == "mine"
    assert "description" not in fields["own"]


def test_without_the_source_there_is_a_schema_all_the_same() -> None:
    """A program that ships compiled files only loses the descriptions, and nothing else."""
    sourceless: Any = type("Odd", (RecordedError,), {"__module__": "of nowhere"})
    assert sourceless.model_json_schema()["properties"]["type"]["description"]
    assert sourceless.model_json_schema()["title"] == "Odd"


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
