"""The frames of a stream, and the JSON of a reply that is not streamed.

One plan serves both providers: OpenAI's order of keys, which Azure sorts and adds to. Shapes, with
c a frame with choices, f one with a finish reason, uN `usage: null`, U a usage, p Azure's prompt
filter results, D `[DONE]`: OpenAI sends `cuN* cfuN c0U D` (WIRE §1.2), Azure puts `c0u-p` before it
(WIRE §2.4). Where usage was not asked for there is no `usage` key on any frame, and no U.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from ..wire.json_types import dumps
from ._default import default_answers
from ._models import fingerprint, is_older
from ._request import Call
from ._usage import usage_of
from .scenario import Answer, Scenario, ToolCall

__all__ = ["DONE", "Reply", "annotation", "encode"]

DONE = b"data: [DONE]\n\n"

_NO_VERDICT: dict[str, Any] = {}
_CLEAN_TEXT = {"protected_material_text": {"detected": False, "filtered": False}}
_BLOCKED_TEXT = {"protected_material_text": {"detected": True, "filtered": True}}
_SAFE = {"filtered": False, "severity": "safe"}
_PROMPT_FILTER = [
    {
        "prompt_index": 0,
        "content_filter_results": {
            "hate": _SAFE,
            "jailbreak": {"detected": False, "filtered": False},
            "self_harm": _SAFE,
            "sexual": _SAFE,
            "violence": _SAFE,
        },
    }
]
_LATENCY = {
    "engine_tbt_ms": 10,
    "engine_ttft_ms": 80,
    "engine_ttlt_ms": 300,
    "pre_inference_ms": 80,
    "service_tbt_ms": 10,
    "service_ttft_ms": 600,
    "service_ttlt_ms": 900,
    "total_duration_ms": 800,
    "user_visible_ttft_ms": 500,
}


def encode(frame: str | Mapping[str, Any], *, sort_keys: bool = False) -> bytes:
    """Return one event; a string is sent as it is."""
    if isinstance(frame, str):
        return frame.encode()
    return f"data: {dumps(frame, sort_keys=sort_keys)}\n\n".encode()


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What one call is answered with under one scenario."""

    call: Call
    scenario: Scenario
    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(14)}")
    created: int = field(default_factory=lambda: int(time.time()))

    @classmethod
    def to(cls, call: Call, scenario: Scenario, deployments: Mapping[str, str]) -> Reply:
        """Settle which model answers: the scenario's, a known deployment's, or a likely one."""
        model = scenario.model or call.model_behind(deployments)
        return cls(call=call, scenario=scenario, model=model)

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The choices; the scenario's finish reason goes to those without one of their own."""
        answers = self.scenario.answers or default_answers(self.call)
        reason = self.scenario.finish_reason
        return tuple(replace(a, finish_reason=a.finish_reason or reason) for a in answers)

    def frames(self) -> list[bytes]:
        """Return the whole stream, one event an entry, `[DONE]` last.

        Raises `tokens.TokenizerMissingError` if usage has to be counted and cannot.
        """
        if self.scenario.raw_frames is not None:
            return [encode(frame) for frame in self.scenario.raw_frames]
        frames = self._azure_frames() if self.call.azure else self._openai_frames()
        return [*frames, DONE]

    def _openai_frames(self) -> Iterator[bytes]:
        deltas, finishes = self._choices()
        yield from (encode(self._chunk([choice])) for choice in [*deltas, *finishes])
        if self.call.include_usage and not self.scenario.omit_usage:
            yield encode(self._chunk([], usage=self._usage()))
        if self.scenario.moderation or "moderation" in self.call.body:
            yield encode(self._chunk([], moderation=_moderation()))  # after the usage: WIRE §1.4

    def _azure_frames(self) -> Iterator[bytes]:
        if self.scenario.prompt_filter:
            yield encode(_azure_bare([], prompt_filter_results=_PROMPT_FILTER))
        deltas, finishes = self._choices()
        middle = len(deltas) // 2
        yield from map(self._azure_chunk, deltas[:middle])
        yield from self._annotations(check_offset=0)
        yield from map(self._azure_chunk, deltas[middle:])
        yield from map(self._azure_finish, finishes)
        # Where the last annotation stands relative to the usage frame is not known (WIRE §2.5).
        # Nor is whether that frame follows a finish reason of `content_filter`: `omit_usage`
        # plays that it does not.
        yield from self._annotations(check_offset=100)
        if self.call.include_usage and not self.scenario.omit_usage:
            frame = self._chunk([], usage=self._usage(), latency_checkpoint=_LATENCY)
            yield encode(frame, sort_keys=True)

    def _azure_chunk(self, choice: Mapping[str, Any]) -> bytes:
        return encode(self._chunk([choice]), sort_keys=True)

    def _azure_finish(self, choice: Mapping[str, Any]) -> bytes:
        if not (self.scenario.async_filter and choice["finish_reason"] == "content_filter"):
            return self._azure_chunk(choice)
        offsets = {"check_offset": 0, "start_offset": 0, "end_offset": 100}
        blocked = {
            "index": choice["index"],
            "finish_reason": "content_filter",
            "content_filter_results": _BLOCKED_TEXT,
            "content_filter_offsets": offsets,
        }
        return encode(_azure_bare([blocked]))  # no delta: WIRE §2.5

    def _annotations(self, *, check_offset: int) -> Iterator[bytes]:
        if not self.scenario.async_filter:
            return
        for index in range(len(self.answers)):
            yield annotation(index, check_offset=check_offset)

    def _choices(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the choices of the frames in order: interleaved pieces, then one finish each."""
        columns = [
            [self._choice(index, delta) for delta in _deltas(answer)]
            for index, answer in enumerate(self.answers)
        ]
        rows = zip_longest(*columns)
        pieces = [choice for row in rows for choice in row if choice is not None]
        finishes = [
            self._choice(index, {}, answer.ends_with) for index, answer in enumerate(self.answers)
        ]
        return pieces, finishes

    def _choice(
        self, index: int, delta: dict[str, Any], finish_reason: str | None = None
    ) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": index, "delta": delta}
        if self.call.azure or is_older(self.model):
            choice["logprobs"] = None  # newer models leave it out on OpenAI: WIRE §1.2
        choice["finish_reason"] = finish_reason
        if self.call.azure:
            choice["content_filter_results"] = self._verdict(delta, finish_reason)
        return choice

    def _verdict(self, delta: Mapping[str, Any], finish_reason: str | None) -> dict[str, Any]:
        if finish_reason == "content_filter":
            return _BLOCKED_TEXT
        return _CLEAN_TEXT if delta.get("content") else _NO_VERDICT

    def _chunk(
        self, choices: list[Any], *, usage: Mapping[str, Any] | None = None, **extra: Any
    ) -> dict[str, Any]:
        chunk = {**self._head("chat.completion.chunk"), "choices": choices, **extra}
        if self.call.include_usage:
            chunk["usage"] = usage
        if self.call.obfuscation:
            chunk["obfuscation"] = secrets.token_hex(8)[: secrets.randbelow(15)]
        return chunk

    def _head(self, kind: str) -> dict[str, Any]:
        tier = self.scenario.service_tier
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            **({} if tier is None else {"service_tier": tier}),
            "system_fingerprint": fingerprint(self.model),
        }

    def _usage(self) -> dict[str, Any]:
        return usage_of(self.call, self.scenario, self.answers, self.model)

    def completion(self) -> bytes:
        """Return the body of a reply that is not streamed. Raises like `frames`."""
        choices = [self._message(i, answer) for i, answer in enumerate(self.answers)]
        usage = self._usage()
        body = {**self._head("chat.completion"), "choices": choices, "usage": usage}
        if self.call.azure:
            # Unlike in a stream, Azure puts its timings inside the usage here (WIRE §2.4).
            usage["latency_checkpoint"] = _LATENCY
            body["prompt_filter_results"] = _PROMPT_FILTER
        return dumps(body, sort_keys=self.call.azure).encode()

    def _message(self, index: int, answer: Answer) -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(answer.text_pieces) or None,
            "refusal": "".join(answer.refusal_pieces) or None,
        }
        if answer.tool_calls:
            message["tool_calls"] = [_whole_call(call) for call in answer.tool_calls]
        choice = self._choice(index, {}, answer.ends_with)
        del choice["delta"]
        return {"index": index, "message": message, **choice}


def annotation(index: int, *, check_offset: int) -> bytes:
    """Return a frame of Azure's asynchronous filter, which has no `delta` (WIRE §2.5)."""
    offsets = {
        "check_offset": check_offset,
        "start_offset": check_offset,
        "end_offset": check_offset + 100,
    }
    choice = {
        "content_filter_offsets": offsets,
        "content_filter_results": {"hate": _SAFE},
        "finish_reason": None,
        "index": index,
    }
    return encode(_azure_bare([choice]))


def _azure_bare(choices: list[Any], **extra: Any) -> dict[str, Any]:
    """Return a frame that is not really a chunk: Azure's own, without id or model (WIRE trap 6)."""
    return {"choices": choices, "created": 0, "id": "", "model": "", "object": "", **extra}


def _moderation() -> dict[str, Any]:
    """Only the key and the type are recorded (WIRE §1.4), so nothing else is said."""
    return {"input": {"type": "moderation_results"}, "output": {"type": "moderation_results"}}


def _deltas(answer: Answer) -> list[dict[str, Any]]:
    """Return the deltas of one choice, its finish frame excepted (WIRE §1.2, §1.4)."""
    if answer.refusal:
        first = {"role": "assistant", "content": None, "refusal": ""}
        return [first, *({"refusal": piece} for piece in answer.refusal_pieces)]
    text = [{"content": piece} for piece in answer.text_pieces]
    calls = [_call_deltas(i, call) for i, call in enumerate(answer.tool_calls)]
    rest = [delta for call in calls for delta in call]
    if text or not calls:
        return [{"role": "assistant", "content": "", "refusal": None}, *text, *rest]
    if len(calls) == 1:
        # A single call starts in the very first frame; parallel ones each in their own.
        start, *rest = rest
        return [{"role": "assistant", "content": None, **start, "refusal": None}, *rest]
    return [{"role": "assistant", "content": None}, *rest]


def _call_deltas(index: int, call: ToolCall) -> list[dict[str, Any]]:
    pieces = [{"index": index, "function": {"arguments": piece}} for piece in call.pieces]
    return [{"tool_calls": [part]} for part in [_call_start(index, call), *pieces]]


def _call_start(index: int, call: ToolCall) -> dict[str, Any]:
    started = {**_whole_call(call), "function": {"name": call.name, "arguments": ""}}
    return {"index": index, **started}


def _whole_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}
