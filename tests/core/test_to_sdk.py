"""`Chunk.to_sdk` gives what the SDK would have given."""

from __future__ import annotations

from typing import Any

from openai.types.chat import ChatCompletionChunk

from usagestream import Chunk, Usage, UsageSource

FRAME: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 7,
    "model": "gpt-4o",
    "choices": [
        {"index": 0, "delta": {"content": "a"}, "finish_reason": None},
        {"index": 1, "delta": {"content": "b"}, "finish_reason": None},
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


def test_a_chunk_holds_its_own_choice_alone() -> None:
    """Two chunks of one frame do not both bring both choices, nor a running total."""
    made = Chunk("b", 1, raw=FRAME).to_sdk()
    assert type(made) is ChatCompletionChunk
    assert (made.id, made.model, made.usage) == ("chatcmpl-1", "gpt-4o", None)
    assert [(choice.index, choice.delta.content) for choice in made.choices] == [(1, "b")]


def test_the_last_chunk_brings_the_usage() -> None:
    """Where the provider sent no frame for it, one is made."""
    usage = Usage(
        input_tokens=18,
        output_tokens=2,
        total_tokens=20,
        cache_read_tokens=16,
        reasoning_tokens=1,
        source=UsageSource.REPORTED,
    )
    made = Chunk(usage=usage).to_sdk()
    assert made.choices == []
    assert made.usage is not None
    assert (made.usage.prompt_tokens, made.usage.total_tokens) == (18, 20)
    assert made.usage.prompt_tokens_details is not None
    assert made.usage.prompt_tokens_details.cached_tokens == 16
    assert made.usage.completion_tokens_details is not None
    assert made.usage.completion_tokens_details.reasoning_tokens == 1


def test_unknown_usage_is_none() -> None:
    """The SDK has no word for unknown but `None`."""
    assert Chunk(usage=Usage()).to_sdk().usage is None
