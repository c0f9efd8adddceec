"""Counts the tokens of a prompt by the published recipe (OpenAI's cookbook, token counting).

Three tokens for each message beside its role, name and content, three more before the answer. The
recipe covers chat messages and the functions among the tools; what else a request carries is named
by nobody, so that the count says whether it may have missed something. The Responses API is counted
by the same rules: its items as the messages that they stand for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeGuard, cast

from ..json_types import is_mapping
from .images import image_tokens

__all__ = ["count_prompt"]

Count = Callable[[str], int]

_PER_MESSAGE: Final = 3
_PER_NAME: Final = 1
_BEFORE_ANSWER: Final = 3
_REASONS = re.compile(r"o\d|gpt-5")
"""These begin their answer with one token less; recorded prompts agree in every case."""
_UNCOUNTED: Final = (
    "tools",
    "functions",
    "response_format",
    "web_search_options",
    "data_sources",
    "prompt",
    "previous_response_id",
    "conversation",
)
"""Parameters that put text of the provider's own before the model, or text that it has kept."""
_CALLS: Final = ("function_call", "custom_tool_call")
_OUTPUTS: Final = ("function_call_output", "custom_tool_call_output")


def count_prompt(params: Mapping[str, Any], model: str, count: Count) -> tuple[int, bool]:
    """Tokens of the prompt, and whether that is a lower bound."""
    prompt = _Prompt(model, count)
    for message in _items(params.get("messages")):
        prompt.item(_mapping(message))
    prompt.tokens += _BEFORE_ANSWER - (1 if _REASONS.match(model) else 0)
    for tool in _items(params.get("tools")):
        described = _mapping(tool)  # by Responses beside the type, by chat in an object of its own
        prompt.function(_mapping(described.get("function", described)))
    for function in _items(params.get("functions")):
        prompt.function(_mapping(function))
    if prompt.functions:
        prompt.tokens += 12
    format_kind = _mapping(_mapping(params.get("text")).get("format")).get("type", "text")
    missed = prompt.missed or any(params.get(name) for name in _UNCOUNTED) or format_kind != "text"
    return prompt.tokens, missed


class _Prompt:
    def __init__(self, model: str, count: Count) -> None:
        self._model = model
        self._count = count
        self._per_function = 10 if model.startswith(("gpt-3.5", "gpt-35")) else 7
        self.tokens = 0
        self.functions = 0
        self.missed = False

    def item(self, item: Mapping[str, Any]) -> None:
        """One message; or one item of a response's input, which may be no message."""
        kind = item.get("type", "message")
        if kind in _CALLS:
            self.message({"role": "assistant", "tool_calls": [{"function": item}]})
        elif kind in _OUTPUTS:
            self.message({"role": "tool", "content": item.get("output")})
        elif kind == "message":
            self.message(item)
        else:
            self.missed = True

    def message(self, message: Mapping[str, Any]) -> None:
        self.tokens += _PER_MESSAGE + self._text(message.get("role"))
        self._content(message.get("content"))
        if message.get("name"):
            self.tokens += _PER_NAME + self._text(message["name"])
        self.tokens += self._text(message.get("refusal"))
        calls = [_mapping(call) for call in _items(message.get("tool_calls"))]
        bodies = [call.get("function") or call.get("custom") for call in calls]
        for body in map(_mapping, [*bodies, message.get("function_call")]):
            self.tokens += self._text(body.get("name"))
            self.tokens += self._text(body.get("arguments", body.get("input")))
            self.missed = self.missed or bool(body)
        self.missed = self.missed or message.get("audio") is not None

    def _content(self, content: Any) -> None:
        if isinstance(content, str):
            self.tokens += self._count(content)
            return
        for item in _items(content):
            part = _mapping(item)
            text = part.get("text", part.get("refusal"))
            if isinstance(text, str):
                self.tokens += self._count(text)
                continue
            self.missed = True
            self._image(part)

    def _image(self, part: Mapping[str, Any]) -> None:
        """A part that is an image: by chat with an object for its address, by Responses with it."""
        image = part.get("image_url")
        described = _mapping(image) or {"url": image, "detail": part.get("detail")}
        url = described.get("url")
        if not isinstance(url, str) and part.get("type") == "input_image":
            url = ""  # a file that the provider has
        if isinstance(url, str):
            self.tokens += image_tokens(url, str(described.get("detail")), self._model)

    def function(self, function: Mapping[str, Any]) -> None:
        """One function among the tools; nothing for a tool that is none."""
        if not function.get("name"):
            return
        self.functions += 1
        description = str(function.get("description") or "").removesuffix(".")
        self.tokens += self._per_function + self._count(f"{function['name']}:{description}")
        properties = _mapping(_mapping(function.get("parameters")).get("properties"))
        self.tokens += 3 if properties else 0
        for name, schema in properties.items():
            self._property(str(name), _mapping(schema))

    def _property(self, name: str, schema: Mapping[str, Any]) -> None:
        self.tokens += 3
        choices = _items(schema.get("enum"))
        if choices:
            self.tokens += sum(3 + self._count(str(choice)) for choice in choices) - 3
        description = str(schema.get("description") or "").removesuffix(".")
        self.tokens += self._count(f"{name}:{_word(schema.get('type'))}:{description}")

    def _text(self, value: Any) -> int:
        return self._count(value) if isinstance(value, str) else 0


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _items(value: Any) -> list[Any]:
    if isinstance(value, str | bytes | Mapping) or not _is_iterable(value):
        return []
    return list(value)


def _is_iterable(value: object) -> TypeGuard[Iterable[Any]]:
    return isinstance(value, Iterable)


def _mapping(value: Any) -> Mapping[str, Any]:
    """A mapping as it is; one of the SDK's models as what it would be sent as."""
    if is_mapping(value):
        return value
    dump: Any = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return cast("Mapping[str, Any]", dump(exclude_none=True))
    return {}
