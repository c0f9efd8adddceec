"""The answer to a request that no scenario describes."""

from __future__ import annotations

from typing import Any

from ..wire.json_types import as_list, as_object, dumps
from ._request import Call
from .scenario import Answer, ToolCall

DEMO_QUESTION = "What's 1+1? Answer in one word."
DEMO_ANSWERS = (Answer(text=("Two",)),)
# What real models reported for it; known here so that the demo needs no tokenizer.
DEMO_PROMPT_TOKENS = 18
DEMO_COMPLETION_TOKENS = 2

_SAMPLES: dict[str, Any] = {
    "string": "emulated",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "array": [],
    "object": {},
}


def is_demo(call: Call) -> bool:
    """Whether the call asks the demo question and nothing else."""
    messages = [{"role": "user", "content": DEMO_QUESTION}]
    return call.messages == messages and call.n == 1 and not call.tools


def default_answers(call: Call) -> tuple[Answer, ...]:
    """Return a deterministic answer of as many choices as asked for."""
    if is_demo(call):
        return DEMO_ANSWERS
    tool = _wanted_tool(call)
    if tool is not None:
        return (Answer(tool_calls=(tool,)),) * call.n
    count = len(call.messages)
    said = (
        f"I am an emulator, not a model: {call.name} was asked with "
        f"{count} message{'' if count == 1 else 's'}."
    )
    if call.n == 1:
        return (Answer(text=said),)
    return tuple(Answer(text=f"{said} Choice {i} of {call.n}.") for i in range(1, call.n + 1))


def _wanted_tool(call: Call) -> ToolCall | None:
    """Return a call of the tool that was demanded, or that the last message names."""
    functions = {
        function["name"]: function
        for tool in call.tools
        if isinstance((function := as_object(as_object(tool).get("function"))).get("name"), str)
    }
    choice = call.body.get("tool_choice")
    wanted = as_object(as_object(choice).get("function")).get("name")
    last = call.messages[-1]
    for name, function in functions.items():
        named = last.get("role") == "user" and name in str(last.get("content"))
        if name == wanted or choice == "required" or (named and choice in (None, "auto")):
            return ToolCall(name=name, arguments=_arguments(function))
    return None


def _arguments(function: dict[str, Any]) -> str:
    properties = as_object(as_object(function.get("parameters")).get("properties"))
    return dumps({name: _sample(as_object(schema)) for name, schema in properties.items()})


def _sample(schema: dict[str, Any]) -> Any:
    options = as_list(schema.get("enum"))
    return options[0] if options else _SAMPLES.get(str(schema.get("type")))
