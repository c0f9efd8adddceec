"""The two APIs are estimated by one rule: the same work asked of either counts the same."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseFunctionToolCall

from usagestream_core.estimates.estimate import as_messages, estimate
from usagestream_core.estimates.prompt import count_prompt
from usagestream_core.json_types import is_array

IHDR = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 1024, 1024)
PNG = f"data:image/png;base64,{base64.b64encode(IHDR).decode()}"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "description": "a b"}}}
TEXTS = st.text(alphabet="ab ", max_size=12)


def words(text: str) -> int:
    """Count words."""
    return len(text.split())


def of_chat(**params: Any) -> tuple[int, bool]:
    """What a chat request is estimated at."""
    return count_prompt(params, "gpt-4o", words)


def of_responses(**params: Any) -> tuple[int, bool]:
    """What a request of the Responses API is estimated at."""
    return count_prompt({**params, "messages": as_messages(params)}, "gpt-4o", words)


def as_item(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The items that Responses has for a chat message."""
    if message["role"] == "tool":
        said = message["content"]
        return [{"type": "function_call_output", "call_id": "c", "output": said}]
    if "tool_calls" in message:
        return [
            {"type": "function_call", "call_id": "c", **call["function"]}
            for call in message["tool_calls"]
        ]
    content = message["content"]
    if is_array(content):
        content = [as_part(part) for part in content]
    return [{"role": message["role"], "content": content}]


def as_part(part: dict[str, Any]) -> dict[str, Any]:
    """The part that Responses has for a part of chat."""
    if part["type"] == "text":
        return {"type": "input_text", "text": part["text"]}
    image = part["image_url"]
    return {"type": "input_image", "image_url": image["url"], "detail": image["detail"]}


def said_by(role: str, content: str | list[dict[str, Any]]) -> dict[str, Any]:
    """A message of chat."""
    return {"role": role, "content": content}


def text_part(text: str) -> dict[str, Any]:
    """A text of a message of chat."""
    return {"type": "text", "text": text}


def image_part(detail: str) -> dict[str, Any]:
    """An image of a message of chat."""
    return {"type": "image_url", "image_url": {"url": PNG, "detail": detail}}


PARTS = TEXTS.map(text_part) | st.sampled_from(["auto", "low", "high"]).map(image_part)
MESSAGES = st.one_of(
    st.builds(
        said_by,
        st.sampled_from(["user", "system", "developer", "assistant"]),
        TEXTS | st.lists(PARTS, max_size=3),
    ),
    TEXTS.map(lambda text: {"role": "tool", "tool_call_id": "c", "content": text}),
    TEXTS.map(
        lambda text: {
            "role": "assistant",
            "tool_calls": [{"id": "c", "function": {"name": "look up", "arguments": text}}],
        }
    ),
)


@given(st.lists(MESSAGES, max_size=4), st.booleans())
def test_a_conversation_counts_the_same(messages: list[dict[str, Any]], has_tools: bool) -> None:
    """Texts, images, tool calls, their results and tools cost what they cost in chat."""
    function = {"name": "weather", "description": "of a city.", "parameters": SCHEMA}
    nested = {"tools": [{"type": "function", "function": function}]} if has_tools else {}
    flat = {"tools": [{"type": "function", **function}]} if has_tools else {}
    items = [item for message in messages for item in as_item(message)]
    assert of_responses(input=items, **flat) == of_chat(messages=messages, **nested)


def test_a_text_alone_counts_as_one_message() -> None:
    """With instructions before it, as with a system message."""
    chat = [{"role": "system", "content": "a b"}, {"role": "user", "content": "c"}]
    assert of_responses(input="c", instructions="a b") == of_chat(messages=chat)


@pytest.mark.parametrize("kind", [list, tuple])
def test_an_image_costs_what_it_costs_in_chat(kind: Any) -> None:
    """1024 x 1024 are four tiles and the base: 765."""
    part = {"type": "input_image", "image_url": PNG, "detail": "high"}
    with_image = of_responses(input=kind([{"role": "user", "content": [part]}]))
    without = of_responses(input=kind([{"role": "user", "content": []}]))
    assert with_image == (without[0] + 765, True)


def test_an_image_that_the_provider_has_costs_the_base() -> None:
    """Its size is not known, as that of an image at an address."""
    part = {"type": "input_image", "file_id": "file-1", "detail": "auto"}
    tokens, lower_bound = of_responses(input=[{"role": "user", "content": [part]}])
    assert (tokens, lower_bound) == (of_responses(input=[{"role": "user"}])[0] + 85, True)


def test_an_item_of_the_sdk_is_an_item() -> None:
    """What was answered goes back as the SDK gave it."""
    call = ResponseFunctionToolCall(
        type="function_call", call_id="c", name="look up", arguments="a b c"
    )
    plain = {"type": "function_call", "call_id": "c", "name": "look up", "arguments": "a b c"}
    assert of_responses(input=[call]) == of_responses(input=[plain]) == (3 + 1 + 5 + 3, True)


UNSEEN: list[dict[str, Any]] = [
    {"input": [{"type": "reasoning", "summary": []}]},
    {"input": [{"type": "item_reference", "id": "msg_1"}]},
    {"previous_response_id": "resp_1"},
    {"conversation": "conv_1"},
    {"prompt": {"id": "p"}},
    {"text": {"format": {"type": "json_schema", "schema": {}}}},
]


@pytest.mark.parametrize("more", UNSEEN)
def test_what_cannot_be_counted_makes_a_lower_bound(more: dict[str, Any]) -> None:
    """What the provider keeps, hides or adds."""
    assert of_responses(**{"input": "a", **more})[1]


@pytest.mark.parametrize(
    ("reasoning", "lower_bound"),
    [({"effort": "high"}, True), ({"effort": "none"}, False), ({}, False), (None, False)],
)
def test_reasoning_that_was_asked_for_is_hidden(reasoning: Any, lower_bound: bool) -> None:
    """In either API's parameter for it."""

    class Words:
        """A counter of words."""

        def count(self, text: str, model: str) -> int | None:
            """As a tokenizer would."""
            return words(text)

    asked: dict[str, Any] = {"input": "a", "text": {"format": {"type": "text"}}}
    found = estimate(
        {},
        counter=Words(),
        model="some-model",
        params={**asked, "messages": as_messages(asked), "reasoning": reasoning},
        pieces=("a",),
        has_tool_calls=False,
    )
    assert found is not None
    assert found.lower_bound is lower_bound
