"""The streamed chat-completions wire: frames in, chunks out. OpenAI and Azure speak the same."""

# JSON from the wire has no static type and every value is checked before use, but pyright makes
# dict[Unknown, Unknown] of an Any that was checked to be a dict.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from typing import Any, Final

from usagestream_core.adapter import Report
from usagestream_core.chunk import Chunk, ToolCallDelta

from .sse import SseDecoder, failure_in, read_fields, word

__all__ = ["ChatDecoder", "read_counts"]


class ChatDecoder(SseDecoder):
    """Decodes one response; satisfies `usagestream.adapter.Decoder`."""

    _identified = False

    def frame(self, frame: dict[str, Any], kind: bytes | None, out: list[Chunk | Report]) -> None:
        # What nearly every frame is: one choice, some text, and no word on the stream as a whole.
        # The rest of this method makes the same of it, in twice the time.
        try:
            [choice] = frame["choices"]
            delta = choice["delta"]
            text = delta["content"]
            index = choice["index"]
            if (
                type(text) is str
                and type(index) is int
                and choice["finish_reason"] is None
                and (len(delta) == 1 or not _says_more(delta))
                and self._identified
                and not (kind or frame.get("usage") or frame.get("error"))
            ):
                out.append(Chunk(text, index, None, (), None, None, frame))
                return
        except (LookupError, TypeError, ValueError):
            pass
        choices = frame.get("choices")
        made = ended = False
        for choice in choices if type(choices) is list else ():
            chunk = _chunk(choice, frame)
            if chunk is not None:
                out.append(chunk)
                made = True
                ended = ended or chunk.finish_reason is not None
        usage = frame.get("usage")
        if made and self._identified and not (usage or ended or kind or frame.get("error")):
            return
        report = Report(
            response_id=word(frame.get("id")),
            model=word(frame.get("model")),
            service_tier=word(frame.get("service_tier")),
            annotation=None if made else frame,
            failure=failure_in(frame, kind),
        )
        if type(usage) is dict:
            counts = read_counts(usage)
            if counts:
                report.counts = counts
                report.wire_usage = usage
        self._identified = bool(report.response_id and report.model)
        out.append(report)

    def document(self, document: dict[str, Any], out: list[Chunk | Report]) -> None:
        """Only what is said of the whole: no part of an answer comes from what is no stream."""
        self.frame({**document, "choices": None}, None, out)


def _says_more(delta: dict[str, Any]) -> bool:
    """Whether there is more to a delta than text. Many servers repeat the role, or send nulls."""
    return bool(delta.get("refusal") or delta.get("tool_calls") or "function_call" in delta)


def _chunk(choice: Any, frame: dict[str, Any]) -> Chunk | None:
    """The chunk of a choice, whatever is or is not in it; `None` where it says nothing."""
    if type(choice) is not dict:
        return None
    delta = choice.get("delta")
    finish = word(choice.get("finish_reason"))
    if type(delta) is not dict:
        # Azure's asynchronous filter sends choices without `delta`; where filtered output ends the
        # answer, such a choice has a finish reason and nothing else.
        if finish is None:
            return None
        delta = {}
    content = delta.get("content")
    index = choice.get("index")
    return Chunk(
        text=content if type(content) is str else _joined_text(content),
        index=index if type(index) is int else 0,
        refusal=word(delta.get("refusal")),
        tool_calls=_tool_calls(delta) if _says_more(delta) else (),
        finish_reason=finish,
        raw=frame,
    )


def _joined_text(content: Any) -> str:
    """The text of `content` that is null, or a list of parts as some servers send it."""
    if type(content) is not list:
        return ""
    texts = [part.get("text") for part in content if type(part) is dict]
    return "".join([text for text in texts if type(text) is str])


def _tool_calls(delta: dict[str, Any]) -> tuple[ToolCallDelta, ...]:
    calls = delta.get("tool_calls")
    found = [
        _tool_call(call, position, call.get("type"))
        for position, call in enumerate(calls if type(calls) is list else ())
        if type(call) is dict
    ]
    legacy = delta.get("function_call")
    if type(legacy) is dict:
        found.append(_tool_call({"function": legacy}, 0, "function_call"))
    return tuple(found)


def _tool_call(call: dict[str, Any], position: int, kind: Any) -> ToolCallDelta:
    body = call.get("function") or call.get("custom")
    if type(body) is not dict:
        body = {}
    index = call.get("index")
    arguments = body.get("arguments", body.get("input"))
    return ToolCallDelta(
        index=index if type(index) is int else position,
        id=word(call.get("id")),
        name=word(body.get("name")),
        arguments=arguments if type(arguments) is str else "",
        type=word(kind),
    )


_COUNTS: Final = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "total_tokens": "total_tokens",
}
_DETAILS: Final = {
    "prompt_tokens_details": {
        "cached_tokens": "cache_read_tokens",
        "cache_write_tokens": "cache_write_tokens",
        "audio_tokens": "input_audio_tokens",
        "image_tokens": "input_image_tokens",
        "text_tokens": "input_text_tokens",
    },
    "completion_tokens_details": {
        "reasoning_tokens": "reasoning_tokens",
        "audio_tokens": "output_audio_tokens",
        "text_tokens": "output_text_tokens",
        "accepted_prediction_tokens": "accepted_prediction_tokens",
        "rejected_prediction_tokens": "rejected_prediction_tokens",
    },
}


def read_counts(usage: dict[str, Any]) -> dict[str, int]:
    """Read a wire usage object into `Usage` field names, leaving out what is null or no count.

    Names as in OpenAI's `CompletionUsage`; Azure's are the same. Only these are read: other
    servers' own keys stay in the record's `wire_usage`.
    """
    counts: dict[str, int] = {}
    read_fields(usage, _COUNTS, counts)
    for name, fields in _DETAILS.items():
        details = usage.get(name)
        if type(details) is dict:
            read_fields(details, fields, counts)
    return counts
