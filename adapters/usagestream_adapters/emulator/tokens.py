"""Token counts of texts, by the tokenizer that the models themselves use."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..token_counter import encoder
from ..wire.json_types import as_list, as_object
from .scenario import Answer

__all__ = [
    "TokenizerMissingError",
    "completion_tokens",
    "count",
    "encoding_name",
    "prompt_tokens",
]

_PER_MESSAGE = 3
_PER_REPLY = 3
_PER_TOOL_CALL = 8


class TokenizerMissingError(RuntimeError):
    """A count was needed and `bpe-openai` is not installed."""


def encoding_name(model: str) -> str:
    """Return the encoding of a model family: the tokenizer's own model map is out of date."""
    if re.match(r"gpt-(3\.?5|4(?![o.\d]))", model):
        return "cl100k_base"
    return "o200k_base"


def count(text: str, model: str) -> int:
    """Return how many tokens `model` makes of `text`. Raises `TokenizerMissingError`."""
    try:
        return len(encoder(encoding_name(model))(text))
    except ImportError as exc:
        raise TokenizerMissingError('pip install "usagestream[estimate]"') from exc


def prompt_tokens(
    messages: Iterable[Mapping[str, Any]], model: str, tools: Sequence[Any] = ()
) -> int:
    """Count the prompt by the published recipe: 3 a message, its texts, and 3 for the reply.

    What tools add is an approximation (the tokens of their JSON), and images count as nothing.
    """
    total = _PER_REPLY
    for message in messages:
        total += _PER_MESSAGE + sum(count(text, model) for text in _texts(message))
    return total + sum(count(json.dumps(tool, separators=(",", ":")), model) for tool in tools)


def _texts(message: Mapping[str, Any]) -> list[str]:
    content = message.get("content")
    parts = (
        [content] if isinstance(content, str) else [_part_text(part) for part in as_list(content)]
    )
    calls = [
        as_object(as_object(call).get("function")) for call in as_list(message.get("tool_calls"))
    ]
    texts = [message.get("role"), *parts, message.get("name")]
    texts += [call.get(key) for call in calls for key in ("name", "arguments")]
    return [text for text in texts if isinstance(text, str)]


def _part_text(part: Any) -> Any:
    return as_object(part).get("text")


def completion_tokens(answer: Answer, model: str) -> int:
    """Count one choice: its texts, one more for a stop, and about 8 for each tool call."""
    total = count("".join(answer.text_pieces) + "".join(answer.refusal_pieces), model)
    for call in answer.tool_calls:
        total += count(call.name, model) + count(call.arguments, model) + _PER_TOOL_CALL
    return total + (1 if answer.ends_with == "stop" else 0)
