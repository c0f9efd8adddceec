"""The packaged counter, and how near its estimates come to what providers reported."""

from __future__ import annotations

import json
import os
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from usagestream.estimate import estimate
from usagestream_adapters.tokens import BpeCounter

CORPUS = os.environ.get("USAGESTREAM_CORPUS")


def test_a_text_longer_than_the_tokenizer_takes_is_counted() -> None:
    """The tokenizer refuses a million characters; the count is that of its words."""
    counter = BpeCounter()
    words = " token" * 50_000

    assert counter.count(words, "gpt-4o") == 50_000
    assert counter.count("=" * 250_000, "gpt-4o") is not None


def test_a_model_that_is_not_known_is_not_counted() -> None:
    """Another model's tokenizer would give a number, and a wrong one."""
    assert BpeCounter().count("text", "grok-4") is None


def test_a_custom_counter_that_raises_leaves_the_usage_unknown() -> None:
    """An estimate never costs the record."""

    class Broken:
        def count(self, text: str, model: str) -> int | None:
            raise RuntimeError(text + model)

    made = estimate(
        {}, counter=Broken(), model="m", params={}, pieces=["text"], has_tool_calls=False
    )

    assert made is None


def _errors(folder: Path) -> list[float]:
    """Relative errors of the output count, for whole text answers of models without reasoning."""
    errors: list[float] = []
    for path in sorted(folder.glob("*-chat-*.json")):
        exchange: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        expected = exchange["expected"]
        usage = expected.get("usage") or {}
        reported = usage.get("completion_tokens")
        if not reported or exchange["provider"] == "compatible" or not expected.get("text"):
            continue
        made = estimate(
            {},
            counter=BpeCounter(),
            model=expected.get("model") or "",
            params=exchange["request"]["body"],
            pieces=[expected["text"]],
            has_tool_calls=bool(expected.get("tool_calls")),
        )
        whole = expected.get("choice_indexes") == [0] and not expected.get("tool_calls")
        if made is None or not whole or "audio" in expected["model"]:
            continue
        if expected["model"].startswith(("o", "gpt-5")):
            continue
        errors.append(abs((made.output_tokens or 0) - reported) / reported)
    return errors


@pytest.mark.skipif(not CORPUS, reason="USAGESTREAM_CORPUS names no folder of recorded exchanges")
def test_half_of_the_estimates_are_within_one_percent() -> None:
    """Of text answers by models without reasoning, against the providers' own figures."""
    assert CORPUS is not None
    errors = _errors(Path(CORPUS))

    assert errors
    assert median(errors) <= 0.01
