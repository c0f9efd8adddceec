"""Frames in the middle of a stream, where most are nothing but text and some are not."""

from __future__ import annotations

from typing import Any

import pytest
from tests._support.chat import USAGE, choice, decode, event, frame, raw_items

from usagestream import Chunk, StreamFailedError
from usagestream_adapters.wire.chat import ChatFrames
from usagestream_core.adapter import Report

FIRST = frame(choice(role="assistant", content=""))
"""With this a stream has said who answers."""


def after_the_first(*sent: dict[str, Any]) -> list[Chunk | Report]:
    """What frames make, where who answers is known."""
    return raw_items([event(FIRST), *map(event, sent)])[2:]


def counts_of(*usages: dict[str, Any]) -> dict[str, int]:
    """What the usages of choices come to, each in the frame of its own choice."""
    frames = [frame({**choice(i, finish="stop"), "usage": u}) for i, u in enumerate(usages)]
    return decode([event(each) for each in frames]).counts


def usage(prompt: int, completion: int, total: int | None, **more: Any) -> dict[str, Any]:
    """A usage of the wire."""
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    return {**{name: count for name, count in counts.items() if count is not None}, **more}


@pytest.mark.parametrize(
    "delta",
    [{"content": "Hi"}, {"content": "Hi", "role": "assistant"}, {"content": "Hi", "refusal": None}],
)
def test_text_says_nothing_of_the_stream(delta: dict[str, Any]) -> None:
    """It makes one chunk, and no report that a meter would have to fold."""
    assert after_the_first(frame(choice(**delta))) == [Chunk("Hi")]


@pytest.mark.parametrize("content", [None, [], 7])
def test_content_that_is_no_text(content: Any) -> None:
    """It is none."""
    (chunk,) = after_the_first(frame(choice(content=content)))
    assert isinstance(chunk, Chunk)
    assert chunk.text == ""


@pytest.mark.parametrize(("index", "meant"), [("1", 1), (1.0, 1), (None, 0), ("x", 0), ([], 0)])
def test_an_index_of_an_odd_type(index: Any, meant: int) -> None:
    """A number is one however it is written; without any, the choice is the first one."""
    assert after_the_first(frame({**choice(content="Hi"), "index": index})) == [Chunk("Hi", meant)]


def test_text_with_a_finish_reason() -> None:
    """Both are in the chunk, and the frame is asked for what it says of the stream."""
    chunk, report = after_the_first(frame(choice(content="Hi", finish="stop"), service_tier="flex"))
    assert chunk == Chunk("Hi", finish_reason="stop")
    assert isinstance(report, Report)
    assert report.service_tier == "flex"


def test_text_with_a_usage_of_its_choice() -> None:
    """Some servers report it there."""
    sent = {**choice(content="Hi"), "usage": usage(3, 1, 4)}
    chunk, report = after_the_first(frame(sent))
    assert chunk == Chunk("Hi")
    assert isinstance(report, Report)
    assert report.counts == {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}
    assert report.wire_usage == usage(3, 1, 4)


@pytest.mark.parametrize(
    "more", [{"error": {"message": "broken"}}, {"error": "broken", "usage": usage(3, 1, 4)}]
)
def test_text_with_an_error(more: dict[str, Any]) -> None:
    """The text is given, and the stream fails."""
    chunk, report = after_the_first(frame(choice(content="Hi"), **more))
    assert chunk == Chunk("Hi")
    assert isinstance(report, Report)
    assert isinstance(report.failure, StreamFailedError)


@pytest.mark.parametrize("known", ["id", "model"])
def test_who_answers_may_be_said_in_two_frames(known: str) -> None:
    """Until both the id and the model are there, every frame is asked."""
    whole = frame(choice(content="a"))
    part = {**whole, **{name: None for name in ("id", "model") if name != known}}
    reports = [item for item in raw_items([event(part), event(whole)]) if isinstance(item, Report)]
    assert [report.response_id for report in reports][-1] == whole["id"]
    assert [report.model for report in reports][-1] == whole["model"]


# --- the usage of choices


def test_what_several_choices_used() -> None:
    """They share a prompt, so that the largest count of it is it; what they wrote adds up."""
    cached = {"prompt_tokens_details": {"cached_tokens": 2}}
    assert counts_of(usage(3, 1, 4, **cached), usage(3, 5, 8, **cached)) == {
        "input_tokens": 3,
        "output_tokens": 6,
        "total_tokens": 9,
        "cache_read_tokens": 2,
    }


def test_what_one_choice_used_is_passed_on() -> None:
    """Also a total that is not the sum."""
    assert counts_of(usage(3, 1, 115))["total_tokens"] == 115


def test_no_total_is_made_up() -> None:
    """Where no choice says one, nobody did."""
    assert counts_of(usage(3, 1, None), usage(3, 5, None)) == {
        "input_tokens": 3,
        "output_tokens": 6,
    }


def test_a_choice_without_an_index_is_the_first() -> None:
    """Its usage is not that of another one."""
    nameless = {**choice(finish="stop"), "usage": usage(3, 1, 4)}
    del nameless["index"]
    second = {**choice(1, finish="stop"), "usage": usage(3, 5, 8)}
    first = {**choice(0, finish="stop"), "usage": usage(3, 2, 5)}
    sent = [event(frame(nameless)), event(frame(second))]
    assert decode(sent).counts["output_tokens"] == 6
    assert decode([*sent, event(frame(first))]).counts["output_tokens"] == 7


def test_an_odd_count_of_a_choice_is_said() -> None:
    """As any other."""
    sent = {**choice(content="Hi"), "usage": usage(3, 1, 4) | {"completion_tokens": "1"}}
    _, report = after_the_first(frame(sent))
    assert isinstance(report, Report)
    assert report.anomaly == "output_tokens was sent as '1'"
    plain = {**choice(content="Hi"), "usage": usage(3, 1, 4)}
    _, report = after_the_first(frame(plain))
    assert isinstance(report, Report)
    assert report.anomaly is None


@pytest.mark.parametrize(
    ("delta", "reasoning"),
    [
        ({"reasoning_content": "", "reasoning": "so"}, "so"),
        ({"reasoning_content": ["x"], "reasoning": "so"}, "so"),
        ({"reasoning_content": "so", "reasoning": "so"}, "so"),
        ({"reasoning": 1, "reasoning_details": [{"text": "so"}]}, "so"),
        ({"thinking": "so"}, "so"),
        ({"reasoning_text": "so"}, "so"),
        ({"reasoning": {"content": "so"}}, "so"),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "so"}]}]}, "so"),
        ({"reasoning": {"text": {"text": {"text": {"text": {"text": "deep"}}}}}}, ""),
        ({"reasoning": {"text": {"text": {"text": "so"}}}}, "so"),
        ({"reasoning_details": [{"text": [{"text": "so"}]}]}, "so"),
        ({"reasoning_details": [{"text": [{"text": [{"text": "deep"}]}]}]}, ""),
    ],
)
def test_reasoning_by_the_first_name_that_says_it(delta: dict[str, Any], reasoning: str) -> None:
    """Servers fill one of its names, or two with the same."""
    (chunk,) = after_the_first(frame(choice(**delta)))
    assert isinstance(chunk, Chunk)
    assert chunk.reasoning == reasoning


def test_thoughts_among_the_parts_of_an_answer() -> None:
    """They are no part of its text, and what is no part of anything is not read."""
    parts: list[Any] = [{"type": "thinking", "thinking": "so"}, {"type": "text", "text": "Hi"}, "x"]
    (chunk,) = after_the_first(frame(choice(content=parts)))
    assert isinstance(chunk, Chunk)
    assert (chunk.text, chunk.reasoning) == ("Hi", "so")


def test_usage_in_what_a_choice_says() -> None:
    """It is looked for beside a text, too."""
    chunk, report = after_the_first(frame(choice(role="assistant", content="Hi", usage=USAGE)))
    assert isinstance(chunk, Chunk)
    assert isinstance(report, Report)
    assert (chunk.text, report.wire_usage) == ("Hi", USAGE)


# --- what is not nothing but text


def test_whether_who_answers_is_known() -> None:
    """Once a frame has said both the id and the model."""
    frames = ChatFrames()
    assert frames.is_identified is False
    frames.frame(FIRST, None, [])
    assert frames.is_identified is True


@pytest.mark.parametrize("more", [{}, {"role": "assistant"}])
def test_text_with_a_call_of_a_tool(more: dict[str, Any]) -> None:
    """Neither is lost."""
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
    (chunk,) = after_the_first(frame(choice(content="Hi", tool_calls=[call], **more)))
    assert isinstance(chunk, Chunk)
    assert (chunk.text, [each.name for each in chunk.tool_calls]) == ("Hi", ["f"])


def places(*deltas: list[dict[str, Any]]) -> list[list[int]]:
    """Which calls the pieces in these deltas belong to."""
    frames = (frame(choice(tool_calls=calls)) for calls in deltas)
    chunks = (item for item in after_the_first(*frames) if isinstance(item, Chunk))
    return [[call.index for call in chunk.tool_calls] for chunk in chunks]


def test_pieces_of_calls_without_an_index() -> None:
    """A new id is a new call; a lone piece without an id goes on with the last one."""
    one, two, more = {"id": "one"}, {"id": "two"}, {"function": {"arguments": "x"}}
    assert places([more], [more]) == [[0], [0]]
    assert places([one], [more], [two], [more], [one]) == [[0], [0], [1], [1], [0]]
    assert places([one, two], [more, more], [more]) == [[0, 1], [0, 1], [1]]
    assert places([one], [two], [{"id": "three"}], [more]) == [[0], [1], [2], [2]]


def test_a_usage_of_the_whole_is_believed_before_one_of_a_choice() -> None:
    """Whatever a choice says afterwards."""
    whole = frame(choice(content="Hi"), usage=usage(9, 9, 18))
    late = frame({**choice(finish="stop"), "usage": usage(3, 1, 4)})
    assert decode([event(whole), event(late)]).counts["total_tokens"] == 18
    zeros = frame(choice(content="Hi"), usage=usage(0, 0, 0))
    assert decode([event(zeros), event(late)]).counts["total_tokens"] == 4


def test_an_odd_count_of_the_whole_is_said() -> None:
    """And a usage in good order is not."""
    _, odd = after_the_first(frame(choice(content="Hi"), usage={"prompt_tokens": "3"}))
    _, plain = after_the_first(frame(choice(content="Hi"), usage=usage(3, 1, 4)))
    assert isinstance(odd, Report)
    assert isinstance(plain, Report)
    assert (odd.anomaly, plain.anomaly) == ("input_tokens was sent as '3'", None)


def test_totals_of_choices_that_say_no_more() -> None:
    """The prompt is counted once."""
    assert counts_of(usage(3, 1, 4), usage(3, 5, 8))["total_tokens"] == 9


def test_a_usage_beside_the_frames_own() -> None:
    """Where there is no other (WIRE §5)."""
    counts = decode([event(frame(choice(content="Hi"), x_groq={"usage": usage(3, 1, 4)}))]).counts
    assert counts["total_tokens"] == 4
    own = frame(choice(content="Hi"), usage=usage(9, 9, 18), x_groq={"usage": usage(3, 1, 4)})
    assert decode([event(own)]).counts["total_tokens"] == 18
    assert decode([event(frame(choice(content="Hi"), x_groq="odd"))]).counts == {}
