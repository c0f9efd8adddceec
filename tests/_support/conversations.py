"""What conversations are made of: all that the SDK takes for one, JSON or not."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from openai.types.chat import ChatCompletionMessage

__all__ = ["CONVERSATION", "HI", "SHAPES", "TOOL"]

HI: Any = {"role": "user", "content": "Hi"}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "look",
        "parameters": {"type": "object", "properties": {"a": {"enum": ["x", None, 1.5, True]}}},
    },
}
CONVERSATION: list[Any] = [
    {"role": "system", "content": "Be brief. \u2028 é 👩"},
    {
        "role": "user",
        "name": "ann",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "data:,x", "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
            {"type": "file", "file": {"file_id": "f"}},
        ],
    },
    {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}},
            {"id": "d", "type": "custom", "custom": {"name": "free", "input": "x"}},
        ],
    },
    {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "a cat"}]},
    {"role": "assistant", "content": "A cat.", "audio": {"id": "a"}, "not_of_the_sdk": {"x": [1]}},
    HI,
]


class Text(str):
    """A string that could write itself otherwise."""

    __slots__ = ()


def deep(levels: int) -> Any:
    """A list in a list in a list."""
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


SHAPES: dict[str, Callable[[], dict[str, Any]]] = {
    "plain": lambda: {"messages": CONVERSATION},
    "tools": lambda: {"messages": CONVERSATION, "tools": [TOOL] * 3, "temperature": 0, "n": 2},
    "empty": lambda: {"messages": [], "tools": []},
    "generator": lambda: {"messages": (message for message in CONVERSATION)},
    "iterables": lambda: {"messages": tuple(CONVERSATION), "tools": iter([TOOL])},
    "content": lambda: {"messages": [{**HI, "content": iter([{"type": "text", "text": "x"}])}]},
    "object": lambda: {"messages": [HI, ChatCompletionMessage(role="assistant", content="Hello")]},
    "subclass": lambda: {"messages": [{"role": "user", "content": Text("Hi")}]},
    "extra_body": lambda: {"messages": [HI], "extra_body": {"messages": [HI, HI], "top_k": 3}},
    "empty_extra_body": lambda: {"messages": [HI], "extra_body": {}, "stop": ["\n"]},
    "mapping": lambda: {"messages": [HI], "extra_body": MappingProxyType({"top_k": 3})},
    "deep": lambda: {"messages": [{**HI, "deep": deep(200)}], "tools": [TOOL]},
}
"""What is given to `create`, made anew each time: an iterator can be read once."""
