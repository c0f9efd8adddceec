"""`Usage`: how counts nest, and what is said of those that do not add up."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from usagestream import Usage, UsageSource
from usagestream_core.usage import COUNT_FIELDS


def test_nothing_reported_is_unknown_and_not_zero() -> None:
    """Invariant 3: a fresh usage has no count at all."""
    usage = Usage()
    assert {name: getattr(usage, name) for name in COUNT_FIELDS} == dict.fromkeys(COUNT_FIELDS)
    assert usage.source is UsageSource.UNKNOWN


def test_zero_and_unknown_differ() -> None:
    """Invariant 3: a count of 0 was reported, `None` was not."""
    assert Usage(input_tokens=0) != Usage()


def test_count_fields_name_every_integer_of_usage() -> None:
    """Whoever fills a usage by `COUNT_FIELDS` misses none."""
    others = {"source", "lower_bound", "odd"}
    assert set(COUNT_FIELDS) == set(Usage.model_fields) - others
    assert len(set(COUNT_FIELDS)) == len(COUNT_FIELDS)


def test_aliases_read_as_chat_completions_name_them() -> None:
    """`prompt_tokens` and `completion_tokens` are other names for the same counts."""
    usage = Usage(input_tokens=18, output_tokens=2)
    assert (usage.prompt_tokens, usage.completion_tokens) == (18, 2)


def test_aliases_of_unknown_counts_are_unknown() -> None:
    """An alias never turns `None` into 0."""
    assert (Usage().prompt_tokens, Usage().completion_tokens) == (None, None)


def test_what_is_printed_is_what_is_known() -> None:
    """Zero is known; what was not reported is left out."""
    usage = Usage(input_tokens=18, output_tokens=0, source=UsageSource.REPORTED)
    assert str(usage) == "input_tokens=18 output_tokens=0 source='reported'"
    assert str(Usage()) == "source='unknown'"


def test_usage_is_frozen() -> None:
    """A usage that was handed out cannot change."""
    usage = Usage(input_tokens=1)
    with pytest.raises(ValidationError, match="frozen"):
        usage.input_tokens = 2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_a_misspelt_count_is_refused() -> None:
    """A name that is no field is a mistake, not an extra."""
    with pytest.raises(ValidationError, match="Extra inputs"):
        Usage.model_validate({"input_token": 1})


def test_usage_goes_to_json_and_back() -> None:
    """Every field survives, the source too."""
    usage = Usage(
        input_tokens=1, reasoning_tokens=0, source=UsageSource.ESTIMATED, lower_bound=True
    )
    assert Usage.model_validate_json(usage.model_dump_json()) == usage


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, ()),
        ({"input_tokens": 18, "output_tokens": 2, "total_tokens": 20}, ()),
        ({"input_tokens": 18, "total_tokens": 1}, ()),
        ({"output_tokens": 18, "total_tokens": 1}, ()),
        ({"input_tokens": 18, "output_tokens": 2}, ()),
        ({"cache_read_tokens": 161}, ()),
        ({"input_tokens": 7, "cache_read_tokens": 7}, ()),
        ({"input_tokens": 7, "cache_read_tokens": 161}, ("cache_read_tokens > input_tokens",)),
        ({"output_tokens": 1, "reasoning_tokens": 9}, ("reasoning_tokens > output_tokens",)),
        (
            {"input_tokens": 1, "output_tokens": 1, "total_tokens": 11},
            ("total_tokens != input_tokens + output_tokens",),
        ),
        ({"input_tokens": -1}, ("input_tokens < 0",)),
        (
            {"output_tokens": 0, "output_audio_tokens": 1, "output_text_tokens": 1},
            ("output_audio_tokens > output_tokens", "output_text_tokens > output_tokens"),
        ),
    ],
)
def test_anomalies_name_every_broken_rule(
    counts: dict[str, Any], expected: tuple[str, ...]
) -> None:
    """Invariant 3: broken sums are kept, and named; an unknown count breaks no rule."""
    usage = Usage(**counts)
    assert usage.anomalies() == expected
    assert usage.model_dump(exclude_unset=True) == counts
