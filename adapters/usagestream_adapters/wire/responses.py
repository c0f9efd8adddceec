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

from .counts import find_usage
from .sse import MAX_EVENT_BYTES, SseDecoder, failure_in, word

__all__ = ["ResponseFrames", "ResponsesDecoder"]

_CALLS: Final = {"function_call": "function", "custom_tool_call": "custom"}
_ARGUMENTS: Final = frozenset(
    {"response.function_call_arguments.delta", "response.custom_tool_call_input.delta"}
)
_REASONING: Final = frozenset(
    f"response.{kind}.delta"
    for kind in ("reasoning_summary_text", "reasoning_text", "reasoning_summary", "reasoning")
)
_LAST: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
_ENDS: Final = frozenset({"completed", "incomplete", "failed", "cancelled"})
"""What the status of a response is once nothing more is written."""


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
        event = word(frame.get("type")) or (kind or b"").decode("utf-8", "replace")
        if event == "response.output_text.delta":
            self._said(Chunk(_text(frame), raw=frame), out)
        elif event in _LAST:
            self._ended(event, frame, out)
        elif event in _ARGUMENTS:
            self._said(Chunk(tool_calls=(self._arguments(frame),), raw=frame), out)
        elif event in _REASONING:
            self._said(Chunk(reasoning=_text(frame), raw=frame), out)
        elif event == "response.refusal.delta":
            self._said(Chunk(refusal=_text(frame), raw=frame), out)
        elif event in ("response.output_item.added", "response.output_item.done"):
            out.append(Chunk(tool_calls=self._call_begun(event, frame), raw=frame))
        elif event == "error" or kind == b"error" or frame.get("error"):
            # What failed is said again, with the usage, in an event of its own: if it comes.
            self._error = _better(self._error, failure_in(frame, b"error"))
            out.append(Report(**_usage(frame), annotation=frame, failing=self._error))
        elif _is_end(event, frame):
            self._ended(event, frame, out)
        else:
            response = frame.get("response")
            report = Report(**_about(response), **_usage(response, frame), annotation=frame)
            if event.endswith(".delta") and event != "response.audio.delta":
                # Code for an interpreter, arguments of a server's tool, what is spoken: output.
                report.written = _text(frame)
                self._sent_something = self._sent_something or bool(report.written)
            out.append(report)

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
            self._ended(f"response.{status}", {"response": response}, out)
            return
        # Queued, in progress or cancelled: what it costs is not known, or never will be.
        out.append(Report(**_about(response), **_usage(response), done=True))

    def _said(self, chunk: Chunk, out: list[Chunk | Report]) -> None:
        self._sent_something = True
        out.append(chunk)

    def _call_begun(self, event: str, frame: dict[str, Any]) -> tuple[ToolCallDelta, ...]:
        """The start of a tool call, if that is the item that was added."""
        item: Json = frame.get("item")
        if type(item) is not dict or word(item.get("type")) not in _CALLS:
            return ()
        if event != "response.output_item.added":
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

    def _ended(self, event: str, frame: dict[str, Any], out: list[Chunk | Report]) -> None:
        response = _object(frame, "response")
        said = word(response.get("status"))  # which knows better than the event that it came in
        status = said if said and said in _ENDS else event.removeprefix("response.")
        report = Report(**_about(response), **_usage(response, frame), annotation=frame)
        if report.counts and self._sent_something and not any(report.counts.values()):
            # Recorded: an `incomplete` that sent text and reports zeros (WIRE §4).
            report.counts = None
            report.anomaly = "usage is all zeros, and something was sent"
        if status in ("failed", "cancelled"):
            error = _better(self._error, failure_in(response, None))
            if error is not None and error.code is not None:
                report.failure = error
            elif status == "cancelled":
                message = "The response was cancelled while it was written."
                report.failure = StreamFailedError(message, code="cancelled", body=response)
            else:  # The reason may come yet, in an error event of its own (WIRE §4).
                message = "The provider reported that the response failed."
                self._error = report.failing = error or StreamFailedError(message, body=response)
        else:
            out.append(Chunk(finish_reason=_finish(status, response), raw=frame))
            report.done = True
        out.append(report)


def _better(
    first: StreamFailedError | None, second: StreamFailedError | None
) -> StreamFailedError | None:
    """Which of two says more of one failure: the one with a code, or with a message of its own."""
    if first is None or (second is not None and first.code is None):
        return second or first
    return first


def _is_end(event: str, frame: dict[str, Any]) -> bool:
    """Whether an event that other servers end with is the last one, by what it says itself."""
    said = word(_object(frame, "response").get("status"))
    return event == "response.cancelled" or (event == "response.done" and said in _ENDS)


def _text(frame: dict[str, Any]) -> str:
    delta: Json = frame.get("delta")
    return word(_object(frame, "delta").get("text") if type(delta) is dict else delta) or ""


def _finish(status: str, response: dict[str, Any]) -> str:
    if status != "incomplete":
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
    """The usage as fields of a report: from the first of these that has one.

    Some servers put the usage beside the response, or send it before the end.
    """
    usage = find_usage(*[place.get("usage") for place in filter(is_object, places)])
    return {"counts": usage.counts or None, "wire_usage": usage.wire, "anomaly": usage.odd}


def _object(source: dict[str, Any], name: str) -> dict[str, Any]:
    found: Json = source.get(name)
    return found if type(found) is dict else {}
