"""The streamed Responses wire: events in, chunks out. OpenAI and Azure OpenAI speak the same.

The last event is `response.completed`, `response.incomplete` or `response.failed`, and carries the
usage; there is no `[DONE]` (WIRE §4).
"""

from __future__ import annotations

from typing import Any, Final

from usagestream_core.adapter import Head, Report
from usagestream_core.chunk import Chunk, ToolCallDelta
from usagestream_core.errors import StreamFailedError
from usagestream_core.json_types import Json, is_object

from .counts import read_fields
from .sse import MAX_EVENT_BYTES, SseDecoder, failure_in, word

__all__ = ["ResponseFrames", "ResponsesDecoder", "read_response_counts"]

_CALLS: Final = {"function_call": "function", "custom_tool_call": "custom"}
_ARGUMENTS: Final = frozenset(
    {"response.function_call_arguments.delta", "response.custom_tool_call_input.delta"}
)
_REASONING: Final = frozenset(
    {"response.reasoning_summary_text.delta", "response.reasoning_text.delta"}
)
_LAST: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})


class ResponsesDecoder(SseDecoder):
    """Decodes one response; satisfies `usagestream_core.adapter.Decoder`."""

    def __init__(self, head: Head, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        super().__init__(head, ResponseFrames(), max_event_bytes=max_event_bytes)


class ResponseFrames:
    """Makes chunks of the events of one response: a `FrameDecoder`.

    It has one choice, with index 0. Tool calls are numbered in the order they begin. The finish
    reason is `completed`, or why the answer is incomplete: `max_output_tokens`, `content_filter`.
    """

    def __init__(self) -> None:
        self._calls: dict[Any, int] = {}
        self._sent_something = False
        self._error: StreamFailedError | None = None
        """What was said of a failure until now."""

    def frame(self, frame: dict[str, Any], kind: bytes | None, out: list[Chunk | Report]) -> None:
        """Decode one event."""
        event = word(frame.get("type"))
        if event == "response.output_text.delta":
            self._said(Chunk(_text(frame), raw=frame), out)
        elif event in _LAST:
            self._ended(frame, out)
        elif event in _ARGUMENTS:
            self._said(Chunk(tool_calls=(self._arguments(frame),), raw=frame), out)
        elif event in _REASONING:
            self._said(Chunk(reasoning=_text(frame), raw=frame), out)
        elif event == "response.refusal.delta":
            self._said(Chunk(refusal=_text(frame), raw=frame), out)
        elif event in ("response.output_item.added", "response.output_item.done"):
            out.append(Chunk(tool_calls=self._call_begun(frame), raw=frame))
        elif event == "error" or kind == b"error" or frame.get("error"):
            # What failed is said again, with the usage, in an event of its own: if it comes.
            self._error = _better(self._error, failure_in(frame, b"error"))
            out.append(Report(**_usage(frame), annotation=frame, failing=self._error))
        else:
            response = frame.get("response")
            out.append(Report(**_about(response), **_usage(response, frame), annotation=frame))

    def document(self, document: dict[str, Any], out: list[Chunk | Report]) -> None:
        """Only what is said of the whole: no part of an answer comes from what is no stream."""
        out.append(
            Report(
                **_about(document),
                **_usage(document),
                failure=failure_in(document, None),
            )
        )

    def response(self, response: dict[str, Any], out: list[Chunk | Report]) -> None:
        """Decode a response that did not come as a stream: all of it is in one object."""
        status = word(response.get("status"))
        self._sent_something = bool(response.get("output"))
        if f"response.{status}" in _LAST:
            self._ended({"type": f"response.{status}", "response": response}, out)
            return
        # Queued, in progress or cancelled: what it costs is not known, or never will be.
        out.append(Report(**_about(response), **_usage(response), done=True))

    def _said(self, chunk: Chunk, out: list[Chunk | Report]) -> None:
        self._sent_something = True
        out.append(chunk)

    def _call_begun(self, frame: dict[str, Any]) -> tuple[ToolCallDelta, ...]:
        """The start of a tool call, if that is the item that was added."""
        item: Json = frame.get("item")
        if type(item) is not dict or word(item.get("type")) not in _CALLS:
            return ()
        if frame.get("type") != "response.output_item.added":
            return ()
        call = ToolCallDelta(
            index=self._index(frame),
            id=word(item.get("call_id")),
            name=word(item.get("name")),
            type=_CALLS[item["type"]],
        )
        return (call,)

    def _arguments(self, frame: dict[str, Any]) -> ToolCallDelta:
        return ToolCallDelta(index=self._index(frame), arguments=_text(frame))

    def _index(self, frame: dict[str, Any]) -> int:
        """Which call an event belongs to: by its place, its id, or else the last one."""
        place = frame.get("output_index")
        if place is None:
            place = frame.get("item_id") or _object(frame, "item").get("id")
        if place is None and self._calls:
            return len(self._calls) - 1
        return self._calls.setdefault(str(place), len(self._calls))

    def _ended(self, frame: dict[str, Any], out: list[Chunk | Report]) -> None:
        response = _object(frame, "response")
        event = frame["type"]
        report = Report(**_about(response), **_usage(response, frame), annotation=frame)
        if report.counts and self._sent_something and not any(report.counts.values()):
            # Recorded: an `incomplete` that sent text and reports zeros (WIRE §4).
            report.counts = None
            report.anomaly = "usage is all zeros, and something was sent"
        if event == "response.failed":
            error = _better(self._error, failure_in(response, None))
            if error is not None and error.code is not None:
                report.failure = error
            else:  # The reason may come yet, in an error event of its own (WIRE §4).
                message = "The provider reported that the response failed."
                self._error = report.failing = error or StreamFailedError(message, body=response)
        else:
            out.append(Chunk(finish_reason=_finish(event, response), raw=frame))
            report.done = True
        out.append(report)


def _better(
    first: StreamFailedError | None, second: StreamFailedError | None
) -> StreamFailedError | None:
    """Which of two says more of one failure: the one with a code, or with a message of its own."""
    if first is None or (second is not None and first.code is None):
        return second or first
    return first


def _text(frame: dict[str, Any]) -> str:
    return word(frame.get("delta")) or ""


def _finish(event: str, response: dict[str, Any]) -> str:
    if event == "response.completed":
        return "completed"
    return word(_object(response, "incomplete_details").get("reason")) or "incomplete"


def _about(response: Json) -> dict[str, Any]:
    """What is said of the response as a whole, as fields of a report."""
    if type(response) is not dict:
        return {}
    return {
        "response_id": word(response.get("id")),
        "model": word(response.get("model")),
        "service_tier": word(response.get("service_tier")),
    }


def _usage(*places: Json) -> dict[str, Any]:
    """The counts and the object they are in, as fields of a report: from the first that has them.

    Some servers put the usage beside the response, or send it before the end.
    """
    found = (place.get("usage") for place in filter(is_object, places))
    usage = next((each for each in filter(is_object, found) if each), None)
    if usage is None:
        return {}
    odd: list[str] = []
    counts = read_response_counts(usage, odd)
    said = bool(counts or odd)
    return {
        "counts": counts or None,
        "wire_usage": usage if said else None,
        "anomaly": "; ".join(odd) or None,
    }


_COUNTS: Final = {name: name for name in ("input_tokens", "output_tokens", "total_tokens")}
_INPUT: Final = {"cached_tokens": "cache_read_tokens", "cache_write_tokens": "cache_write_tokens"}
_LIFETIMES: Final = {
    "ttl_30m_tokens": "cache_write_30m_tokens",
    "ttl_12h_tokens": "cache_write_12h_tokens",
}
_OUTPUT: Final = {"reasoning_tokens": "reasoning_tokens"}


def read_response_counts(usage: dict[str, Any], odd: list[str] | None = None) -> dict[str, int]:
    """Read a wire usage object into `Usage` field names, leaving out what is null or no count.

    Names as in OpenAI's `ResponseUsage`; Azure's are the same (WIRE §4). `odd`: see `read_fields`.
    """
    counts: dict[str, int] = {}
    read_fields(usage, _COUNTS, counts, odd)
    details = _object(usage, "input_tokens_details")
    read_fields(details, _INPUT, counts, odd)
    read_fields(_object(details, "cache_write_tokens_details"), _LIFETIMES, counts, odd)
    read_fields(_object(usage, "output_tokens_details"), _OUTPUT, counts, odd)
    return counts


def _object(source: dict[str, Any], name: str) -> dict[str, Any]:
    found: Json = source.get(name)
    return found if type(found) is dict else {}
