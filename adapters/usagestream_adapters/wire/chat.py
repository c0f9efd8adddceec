"""The streamed chat-completions wire: frames in, chunks out. OpenAI and Azure speak the same."""

from __future__ import annotations

from typing import Any, Final

from usagestream_core.adapter import Head, Report
from usagestream_core.chunk import Chunk, ToolCallDelta
from usagestream_core.json_types import Json, is_object

from .counts import FoundUsage, count_in, find_usage
from .json_types import as_list, as_object, dumps
from .sse import MAX_EVENT_BYTES, SseDecoder, failure_in, word

__all__ = ["ChatDecoder", "ChatFrames"]


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
        self._calls: dict[int, _Calls] = {}
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
        usage = find_usage(frame.get("usage"), _usage_elsewhere(frame))
        own = not (usage.counts or self._usage_of_all) and _has_usage(choices)
        said = own or usage.wire is not None or usage.odd is not None
        if made and self._identified and not (said or ended or kind or frame.get("error")):
            return
        report = Report(
            response_id=word(frame.get("id")),
            model=word(frame.get("model")),
            service_tier=word(frame.get("service_tier")),
            annotation=None if made else frame,
            failure=failure_in(frame, kind),
        )
        if own:
            usage = self._add_up(choices)
        else:
            self._usage_of_all = self._usage_of_all or any(usage.counts.values())
        report.counts, report.wire_usage = usage.counts or None, usage.wire
        report.anomaly = usage.odd
        self._identified = bool(report.response_id and report.model)
        out.append(report)

    def document(self, document: dict[str, Any], out: list[Chunk | Report]) -> None:
        """Only what is said of the whole: no part of an answer comes from what is no stream."""
        self.frame({**document, "choices": None}, None, out)

    def _add_up(self, choices: Json) -> FoundUsage:
        """Take the usage that choices report of themselves, where nothing else does.

        Some servers put it into the choice that ends. The prompt is one for all choices, so that
        its count is the largest; what was written is the sum.
        """
        odd: list[str] = []
        wire = None
        for choice in filter(is_object, as_list(choices)):
            own = find_usage(*_usages_of(choice))
            wire = own.wire or wire
            if own.counts:
                self._usage_of_choices[_whole(choice.get("index")) or 0] = own.counts
            if own.odd is not None:
                odd.append(own.odd)
        of_choices = list(self._usage_of_choices.values())
        counts: dict[str, int] = {}
        for name in dict.fromkeys(name for each in of_choices for name in each):
            found = [each[name] for each in of_choices if name in each]
            is_input = name == "input_tokens" or name.startswith(("input_", "cache_"))
            counts[name] = max(found) if is_input else sum(found)
        if (
            len(of_choices) > 1
            and {"input_tokens", "output_tokens", "total_tokens"} <= counts.keys()
        ):
            counts["total_tokens"] = counts["input_tokens"] + counts["output_tokens"]
        return FoundUsage(counts, wire, "; ".join(odd) or None)

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
        index = _whole(choice.get("index")) or 0
        more = _has_more_than_text(delta)
        return Chunk(
            text=content if type(content) is str else _joined_text(content),
            index=index,
            refusal=word(delta.get("refusal")),
            tool_calls=self._tool_calls(delta, index) if more else (),
            finish_reason=finish,
            raw=frame,
            reasoning=_reasoning(delta) if more or type(content) is list else "",
        )

    def _tool_calls(self, delta: dict[str, Any], choice: int) -> tuple[ToolCallDelta, ...]:
        calls: Json = delta.get("tool_calls")
        pieces = list(filter(is_object, [calls] if is_object(calls) else as_list(calls)))
        known = self._calls.setdefault(choice, _Calls())
        found = [
            _tool_call(piece, known.place(piece, position, len(pieces)), piece.get("type"))
            for position, piece in enumerate(pieces)
        ]
        legacy: Json = delta.get("function_call")
        if type(legacy) is dict:
            found.append(_tool_call({"function": legacy}, 0, "function_call"))
        return tuple(found)


class _Calls:
    """Which of a choice's tool calls a piece belongs to.

    Some servers say no index, and some say 0 of every call: a name with a new id begins a call
    then, and what has no id goes on with the call that had its index last, or with the last one.
    """

    def __init__(self) -> None:
        self._places: dict[tuple[int | None, str | None], int] = {}
        """By index, or none, and id."""
        self._id_of: dict[int, str | None] = {}
        self._names: dict[int, str | None] = {}
        self._moved: dict[int, int] = {}
        self._last = 0

    def place(self, piece: dict[str, Any], position: int, together: int) -> int:
        """Say where a piece belongs, which is one of so many that came together."""
        index = _whole(piece.get("index"))
        name, called = word(piece.get("id")), word(_body(piece).get("name"))
        if (index, name) in self._places:
            place = self._places[index, name]
        elif index is not None:
            place = self._moved.get(index, index)
            if name is not None and self._id_of.get(place) is not None and called:
                place = self._moved[index] = self._next
        elif name is not None or (called and called != self._names.get(self._last, called)):
            place = self._next
        else:
            place = self._last if together == 1 else position
        if name is not None:
            self._places.setdefault((index, name), place)
            self._places.setdefault((None, name), place)
        self._id_of[place] = self._id_of.get(place) or name
        self._names[place] = self._names.get(place) or called
        self._last = place
        return place

    @property
    def _next(self) -> int:
        return max(self._id_of, default=-1) + 1


def _has_usage(choices: Json) -> bool:
    """Whether a choice reports a usage of its own."""
    return type(choices) is list and any(
        any(_usages_of(choice)) for choice in filter(is_object, choices)
    )


def _usages_of(choice: dict[str, Any]) -> list[Json]:
    """Where a choice may report its own usage: in itself, or in what it says."""
    places = [choice, choice.get("delta"), choice.get("message")]
    return [place.get("usage") for place in places if is_object(place)]


def _usage_elsewhere(frame: dict[str, Any]) -> Any:
    """Groq's second copy of the usage, for streams that have only that (WIRE §5)."""
    groq: Json = frame.get("x_groq")
    return groq.get("usage") if type(groq) is dict else None


_REASONING: Final = ("reasoning_content", "reasoning", "reasoning_text", "thinking")


def _has_more_than_text(delta: dict[str, Any]) -> bool:
    """Whether there is more to a delta than text. Many servers repeat the role, or send nulls."""
    return bool(
        delta.get("refusal")
        or delta.get("tool_calls")
        or "function_call" in delta
        or delta.get("reasoning_content")
        or delta.get("reasoning")
        or delta.get("reasoning_details")
        or delta.get("reasoning_text")
        or delta.get("thinking")
        or "usage" in delta
    )


def _reasoning(delta: dict[str, Any]) -> str:
    """The reasoning that a delta shows: one of the names it has, since some servers send two."""
    for name in _REASONING:
        if text := _plain(delta.get(name)):
            return text
    thoughts = filter(_is_thought, as_list(delta.get("content")))
    return _plain(as_list(delta.get("reasoning_details")) or [*thoughts])


def _is_thought(part: Json) -> bool:
    return is_object(part) and part.get("type") == "thinking"


def _plain(value: Json, depth: int = 4) -> str:
    """Text as it is, or in an object or a list of them under any of the names that it has."""
    if type(value) is str:
        return value
    if depth < 1:
        return ""
    if is_object(value):
        return next((text for name in _TEXTS if (text := _plain(value.get(name), depth - 1))), "")
    return "".join([_plain(each, depth - 1) for each in as_list(value) if is_object(each)])


_TEXTS: Final = ("text", "summary", "content", "thinking")


def _joined_text(content: Json) -> str:
    """The text of `content` that is null, or a list of parts as some servers send it."""
    return _plain([part for part in as_list(content) if not _is_thought(part)])


def _whole(index: Json) -> int | None:
    """A place in a list, also where it came as `1.0` or `"1"`."""
    return index if type(index) is int else count_in(index)[0]


def _body(call: dict[str, Any]) -> dict[str, Any]:
    return as_object(call.get("function") or call.get("custom"))


def _tool_call(call: dict[str, Any], index: int, kind: Any) -> ToolCallDelta:
    body = _body(call)
    arguments: Json = body.get("arguments", body.get("input"))
    if is_object(arguments):  # whole, as it would be inside the string
        arguments = dumps(arguments)
    return ToolCallDelta(
        index=index,
        id=word(call.get("id")),
        name=word(body.get("name")),
        arguments=arguments if type(arguments) is str else "",
        type=word(kind),
    )
