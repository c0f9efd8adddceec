"""The Responses wire: a request of it, the events of a stream, and a response that is not streamed.

Shapes from recorded streams (WIRE §4): `event:` lines, a `sequence_number` on each event, the usage
in the last event and no `[DONE]`. Azure adds `content_filters`, and its `model` is the deployment.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..wire.json_types import as_list, as_object, dumps
from ._default import default_answers
from ._request import Call, ReceivedRequest, Surface
from ._usage import usage_of
from .frames import encode
from .scenario import Answer, Scenario, ToolCall

__all__ = ["ResponsesCall", "ResponsesReply", "responses_call"]

_PATHS: tuple[tuple[Surface, re.Pattern[str]], ...] = (
    ("azure-v1", re.compile(r".*/openai/v1/responses")),
    ("azure", re.compile(r".*/openai/responses")),
    ("openai", re.compile(r".*/v1/responses")),
)
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(frozen=True, kw_only=True)
class ResponsesCall(Call):
    """A request for a response; its input is seen as messages."""

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The input: a text is one message of the user."""
        said = self.body.get("input")
        if isinstance(said, str):
            return [{"role": "user", "content": said}] if said else []
        return [as_object(item) for item in as_list(said)]

    @property
    def n(self) -> int:
        """There is always one."""
        return 1

    @property
    def tools(self) -> list[Any]:
        """Function tools, nested as chat completions have them."""
        tools = [as_object(tool) for tool in as_list(self.body.get("tools"))]
        return [{"type": "function", "function": t} for t in tools if t.get("type") == "function"]


def responses_call(received: ReceivedRequest) -> ResponsesCall | None:
    """Return the call a request makes, or `None` where the path or the method is another."""
    for surface, pattern in _PATHS:
        if received.method == "POST" and pattern.fullmatch(received.path):
            return ResponsesCall(surface=surface, received=received, deployment="")
    return None


@dataclass(frozen=True, kw_only=True)
class ResponsesReply:
    """What one call is answered with under one scenario."""

    call: ResponsesCall
    scenario: Scenario
    model: str
    """The snapshot that answers."""
    id: str = field(default_factory=lambda: f"resp_{secrets.token_hex(24)}")
    created: int = field(default_factory=lambda: int(time.time()))

    @classmethod
    def to(
        cls, call: ResponsesCall, scenario: Scenario, deployments: Mapping[str, str]
    ) -> ResponsesReply:
        """Settle which model answers, as for chat completions."""
        model = scenario.model or call.model_behind(deployments)
        return cls(call=call, scenario=scenario, model=model)

    @property
    def answer(self) -> Answer:
        """The one answer; of several that a scenario has, the first."""
        return (self.scenario.answers or default_answers(self.call))[0]

    def frames(self) -> list[bytes]:
        """Return the whole stream, one event an entry.

        Raises `tokens.TokenizerMissingError` if usage has to be counted and cannot.
        """
        if self.scenario.raw_frames is not None:
            return [encode(frame) for frame in self.scenario.raw_frames]
        return [
            b"event: "
            + str(event["type"]).encode()
            + b"\n"
            + encode({**event, "sequence_number": i}, sort_keys=self.call.azure)
            for i, event in enumerate(self._events())
        ]

    def completion(self) -> bytes:
        """Return the body of a reply that is not streamed. Raises like `frames`."""
        return dumps(self._whole(), sort_keys=self.call.azure).encode()

    def _events(self) -> Iterator[dict[str, Any]]:
        started = self._response("in_progress", [], None)
        yield {"type": "response.created", "response": started}
        yield {"type": "response.in_progress", "response": started}
        items = self._items()
        for i, item in enumerate(items):
            yield from self._item_events(i, item)
        whole = self._whole()
        yield {"type": f"response.{whole['status']}", "response": whole}

    def _item_events(self, index: int, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        at = {"output_index": index}
        emptied: dict[str, Any] = {"content": []} if "content" in item else {}
        emptied |= {"arguments": ""} if "arguments" in item else {}
        yield {"type": "response.output_item.added", **at, "item": {**item, **emptied}}
        at["item_id"] = item["id"]
        if item["type"] == "function_call":
            yield from self._argument_events(at, item["arguments"])
        if item["type"] == "message":
            yield from self._text_events({**at, "content_index": 0})
        yield {"type": "response.output_item.done", "output_index": index, "item": item}

    def _argument_events(self, at: dict[str, Any], arguments: str) -> Iterator[dict[str, Any]]:
        name = "response.function_call_arguments"
        for piece in ToolCall(name="", arguments=arguments).pieces:
            yield {"type": f"{name}.delta", **at, "delta": piece, **self._padding()}
        yield {"type": f"{name}.done", **at, "arguments": arguments}

    def _text_events(self, at: dict[str, Any]) -> Iterator[dict[str, Any]]:
        answer = self.answer
        name, key, pieces = "response.output_text", "text", answer.text_pieces
        part: dict[str, Any] = {"type": "output_text", "annotations": [], "logprobs": []}
        if answer.refusal:
            name, key, pieces = "response.refusal", "refusal", answer.refusal_pieces
            part = {"type": "refusal"}
        yield {"type": "response.content_part.added", **at, "part": {**part, key: ""}}
        for piece in pieces:
            yield {"type": f"{name}.delta", **at, "delta": piece, **self._padding()}
        said = "".join(pieces)
        yield {"type": f"{name}.done", **at, key: said}
        yield {"type": "response.content_part.done", **at, "part": {**part, key: said}}

    def _padding(self) -> dict[str, str]:
        return {"obfuscation": secrets.token_hex(8)} if self.call.obfuscation else {}

    def _items(self) -> list[dict[str, Any]]:
        answer = self.answer
        items: list[dict[str, Any]] = []
        if self.scenario.reasoning_tokens:
            items.append({"id": self._part_id("rs"), "type": "reasoning", "summary": []})
        if answer.text_pieces or answer.refusal_pieces:
            items.append(self._message(answer))
        items += [self._function_call(i, call) for i, call in enumerate(answer.tool_calls)]
        return items

    def _part_id(self, kind: str) -> str:
        return f"{kind}_{self.id.removeprefix('resp_')}"

    def _message(self, answer: Answer) -> dict[str, Any]:
        text, refusal = "".join(answer.text_pieces), "".join(answer.refusal_pieces)
        part: dict[str, Any] = {"type": "output_text", "annotations": [], "text": text}
        if refusal:
            part = {"type": "refusal", "refusal": refusal}
        return {
            "id": self._part_id("msg"),
            "type": "message",
            "status": self._status,
            "role": "assistant",
            "content": [part],
        }

    def _function_call(self, index: int, call: ToolCall) -> dict[str, Any]:
        return {
            "id": f"{self._part_id('fc')}{index}",
            "type": "function_call",
            "status": self._status,
            "call_id": f"call_{index}_{self.id[-16:]}",
            "name": call.name,
            "arguments": call.arguments,
        }

    @property
    def _status(self) -> str:
        return "incomplete" if self.answer.ends_with in _INCOMPLETE else "completed"

    def _whole(self) -> dict[str, Any]:
        usage = None if self.scenario.omit_usage else self._usage()
        return self._response(self._status, self._items(), usage)

    def _usage(self) -> dict[str, Any]:
        """WIRE §4: the same keys on both providers."""
        if self.scenario.usage is not None:
            return dict(self.scenario.usage)
        counted = usage_of(self.call, self.scenario, (self.answer,), self.model)
        details = {k: v for k, v in counted["prompt_tokens_details"].items() if "audio" not in k}
        return {
            "input_tokens": counted["prompt_tokens"],
            "input_tokens_details": details,
            "output_tokens": counted["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": self.scenario.reasoning_tokens},
            "total_tokens": counted["total_tokens"],
        }

    def _response(
        self, status: str, output: list[Any], usage: dict[str, Any] | None
    ) -> dict[str, Any]:
        reason = _INCOMPLETE.get(self.answer.ends_with) if status == "incomplete" else None
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": self.call.body.get("background") is True,
            **({"content_filters": None} if self.call.azure else {}),
            "error": None,
            "incomplete_details": None if reason is None else {"reason": reason},
            "instructions": None,
            "metadata": {},
            "model": self.call.name if self.call.azure else self.model,  # WIRE trap 14
            "output": output,
            "parallel_tool_calls": True,
            "service_tier": self.scenario.service_tier or "auto",
            "store": self.call.body.get("store") is not False,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": as_list(self.call.body.get("tools")),
            "top_p": 1.0,
            "usage": usage,
        }
