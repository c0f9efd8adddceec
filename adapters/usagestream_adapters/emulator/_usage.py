"""The usage object of a call: counted, or as the scenario says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import tokens
from ._default import DEMO_ANSWERS, DEMO_COMPLETION_TOKENS, DEMO_PROMPT_TOKENS, is_demo
from ._request import Call
from .scenario import Answer, Scenario


def usage_of(
    call: Call, scenario: Scenario, answers: Sequence[Answer], model: str
) -> dict[str, Any]:
    """Return the usage in OpenAI's order of keys, which Azure sorts (WIRE §1.3, §2.4).

    The prompt is counted once for all choices, completions are summed (WIRE §1.4). Raises
    `tokens.TokenizerMissingError` if it has to count and cannot.
    """
    if scenario.usage is not None:
        return dict(scenario.usage)
    prompt, completion = _counts(call, answers, model)
    completion += scenario.reasoning_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": _prompt_details(scenario),
        "completion_tokens_details": {
            "reasoning_tokens": scenario.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _counts(call: Call, answers: Sequence[Answer], model: str) -> tuple[int, int]:
    if is_demo(call) and answers == DEMO_ANSWERS:
        return DEMO_PROMPT_TOKENS, DEMO_COMPLETION_TOKENS
    prompt = tokens.prompt_tokens(call.messages, model, call.tools)
    return prompt, sum(tokens.completion_tokens(answer, model) for answer in answers)


def _prompt_details(scenario: Scenario) -> dict[str, int]:
    details = {"cached_tokens": scenario.cached_tokens}
    if scenario.cache_write_tokens is not None:
        details["cache_write_tokens"] = scenario.cache_write_tokens
    return {**details, "audio_tokens": 0}
