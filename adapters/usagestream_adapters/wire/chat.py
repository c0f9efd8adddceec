"""The streamed chat-completions wire: frames in, chunks out. OpenAI and Azure speak the same."""

from __future__ import annotations

from typing import Any, Final

from usagestream_core.adapter import Head, Report
from usagestream_core.chunk import Chunk, ToolCallDelta
from usagestream_core.json_types import Json, is_object

from .counts import read_fields
from .json_types import as_list
from .sse import MAX_EVENT_BYTES, SseDecoder, failure_in, word

__all__ = ["ChatDecoder", "ChatFrames", "read_counts"]


class ChatDecoder(SseDecoder):
    """Decodes the chat completions of one response; satisfies `usagestream_core.adapter.Decoder`.

    `max_event_bytes` bounds what is held in memory while an event is incomplete: a longer one
    fails the stream.
    """

    def __init__(self, head: Head, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        super().__init__(head, ChatFrames(), max_event_bytes=max_event_bytes)


class ChatFrames:
    """Makes chunks of the frames of one response: a `FrameDecoder`."""

    _identified = False
    _usage_of_all = False
    """Usage was reported where it belongs: what a choice reports of itself is of no interest."""

    def __init__(self) -> None:
        self._calls: dict[int, list[str]] = {}
        self._usage_of_choices: dict[int, dict[str, int]] = {}

    @property
    def is_identified(self) -> bool:
        """Whether the frames have said which answer they are of, and which model's."""
        return self._identified

    def frame(self, frame: dict[str, Any], kind: bytes | None, out: list[Chunk | Report]) -> None:
        """Decode one frame; `kind` is the type of its event, where that names one."""
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
                and (len(delta) == 1 or not _has_more_than_text(delta))
                and self._identified
                and "usage" not in choice
                and not (kind or frame.get("usage") or frame.get("error"))
            ):
                out.append(Chunk(text, index, None, (), None, None, frame))
                return
        except (LookupError, TypeError, ValueError):
            pass
        choices: Json = frame.get("choices")
        made = ended = False
        for choice in choices if type(choices) is list else ():
            chunk = self._chunk(choice, frame)
            if chunk is not None:
                out.append(chunk)
                made = True
                ended = ended or chunk.finish_reason is not None
        usage: Json = frame.get("usage") or _usage_elsewhere(frame)
        own = not usage and not self._usage_of_all and _has_usage(choices)
        if made and self._identified and not (usage or own or ended or kind or frame.get("error")):
            return
        report = Report(
            response_id=word(frame.get("id")),
            model=word(frame.get("model")),
            service_tier=word(frame.get("service_tier")),
            annotation=None if made else frame,
            failure=failure_in(frame, kind),
        )
        if own:
            self._add_up(choices, report)
        elif type(usage) is dict:
            odd: list[str] = []
            counts = read_counts(usage, odd)
            if counts:
                report.counts = counts
                self._usage_of_all = self._usage_of_all or any(counts.values())
            if counts or odd:
                report.wire_usage = usage
            report.anomaly = "; ".join(odd) or None
        self._identified = bool(report.response_id and report.model)
        out.append(report)

    def document(self, document: dict[str, Any], out: list[Chunk | Report]) -> None:
        """Only what is said of the whole: no part of an answer comes from what is no stream."""
        self.frame({**document, "choices": None}, None, out)

    def _add_up(self, choices: Json, report: Report) -> None:
        """Take the usage that choices report of themselves, where nothing else does.

        Some servers put it into the choice that ends. The prompt is one for all choices, so that
        its count is the largest; what was written is the sum.
        """
        odd: list[str] = []
        for choice in filter(is_object, as_list(choices)):
            usage: Json = choice.get("usage")
            if type(usage) is dict:
                index = choice.get("index")
                counts = read_counts(usage, odd)
                if counts:
                    self._usage_of_choices[index if type(index) is int else 0] = counts
                report.wire_usage = usage
        of_choices = list(self._usage_of_choices.values())
        counts = {}
        for name in dict.fromkeys(name for each in of_choices for name in each):
            found = [each[name] for each in of_choices if name in each]
            is_input = name == "input_tokens" or name.startswith(("input_", "cache_"))
            counts[name] = max(found) if is_input else sum(found)
        if (
            len(of_choices) > 1
            and {"input_tokens", "output_tokens", "total_tokens"} <= counts.keys()
        ):
            counts["total_tokens"] = counts["input_tokens"] + counts["output_tokens"]
        report.counts = counts or None
        report.anomaly = "; ".join(odd) or None

    def _chunk(self, choice: Json, frame: dict[str, Any]) -> Chunk | None:
        """The chunk of a choice, whatever is or is not in it; `None` where it says nothing."""
        if type(choice) is not dict:
            return None
        delta: Json = choice.get("delta")
        finish = word(choice.get("finish_reason"))
        if type(delta) is not dict:
            # Azure's asynchronous filter sends choices without `delta`; where filtered output ends
            # the answer, such a choice has a finish reason and nothing else.
            if finish is None:
                return None
            delta = {}
        content = delta.get("content")
        index = choice.get("index")
        index = index if type(index) is int else 0
        more = _has_more_than_text(delta)
        return Chunk(
            text=content if type(content) is str else _joined_text(content),
            index=index,
            refusal=word(delta.get("refusal")),
            tool_calls=self._tool_calls(delta, index) if more else (),
            finish_reason=finish,
            raw=frame,
            reasoning=_reasoning(delta) if more else "",
        )

    def _tool_calls(self, delta: dict[str, Any], choice: int) -> tuple[ToolCallDelta, ...]:
        calls = list(filter(is_object, as_list(delta.get("tool_calls"))))
        found = [
            _tool_call(call, self._place(call, position, len(calls), choice), call.get("type"))
            for position, call in enumerate(calls)
        ]
        legacy: Json = delta.get("function_call")
        if type(legacy) is dict:
            found.append(_tool_call({"function": legacy}, 0, "function_call"))
        return tuple(found)

    def _place(self, call: dict[str, Any], position: int, together: int, choice: int) -> int:
        """Which call of its choice a piece belongs to.

        Some servers say no index: a new id is a new call then, and a lone piece without an id goes
        on with the last one.
        """
        index = call.get("index")
        if type(index) is int:
            return index
        known = self._calls.setdefault(choice, [])
        name = word(call.get("id"))
        if name is None:
            return max(len(known) - 1, 0) if together == 1 else position
        if name not in known:
            known.append(name)
        return known.index(name)


def _has_usage(choices: Json) -> bool:
    """Whether a choice reports a usage of its own."""
    return type(choices) is list and any(
        is_object(choice) and type(choice.get("usage")) is dict for choice in choices
    )


def _usage_elsewhere(frame: dict[str, Any]) -> Any:
    """Groq's second copy of the usage, for streams that have only that (WIRE §5)."""
    groq: Json = frame.get("x_groq")
    return groq.get("usage") if type(groq) is dict else None


def _has_more_than_text(delta: dict[str, Any]) -> bool:
    """Whether there is more to a delta than text. Many servers repeat the role, or send nulls."""
    return bool(
        delta.get("refusal")
        or delta.get("tool_calls")
        or "function_call" in delta
        or delta.get("reasoning_content")
        or delta.get("reasoning")
        or delta.get("reasoning_details")
    )


def _reasoning(delta: dict[str, Any]) -> str:
    """The reasoning that a delta shows: one of the names it has, since some servers send two."""
    for name in ("reasoning_content", "reasoning"):
        text = delta.get(name)
        if type(text) is str and text:
            return text
    texts = [
        part.get("text") or part.get("summary")
        for part in filter(is_object, as_list(delta.get("reasoning_details")))
    ]
    return "".join([text for text in texts if type(text) is str])


def _joined_text(content: Json) -> str:
    """The text of `content` that is null, or a list of parts as some servers send it."""
    if type(content) is not list:
        return ""
    texts = [part.get("text") for part in filter(is_object, content)]
    return "".join([text for text in texts if type(text) is str])


def _tool_call(call: dict[str, Any], index: int, kind: Any) -> ToolCallDelta:
    body: Json = call.get("function") or call.get("custom")
    if type(body) is not dict:
        body = {}
    arguments = body.get("arguments", body.get("input"))
    return ToolCallDelta(
        index=index,
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


def read_counts(usage: dict[str, Any], odd: list[str] | None = None) -> dict[str, int]:
    """Read a wire usage object into `Usage` field names, leaving out what is null or no count.

    Names as in OpenAI's `CompletionUsage`; Azure's are the same. Only these are read: other
    servers' own keys stay in the record's `wire_usage`. `odd`: see `read_fields`.
    """
    counts: dict[str, int] = {}
    read_fields(usage, _COUNTS, counts, odd)
    for name, fields in _DETAILS.items():
        details: Json = usage.get(name)
        if type(details) is dict:
            read_fields(details, fields, counts, odd)
    return counts
