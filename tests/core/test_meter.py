"""The meter: one usage out of whatever the wire says, and only on the last chunk."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests._support.chat import (
    DONE,
    HELLO,
    USAGE,
    body,
    choice,
    cut,
    decode,
    event,
    frame,
    new_meter,
)

from usagestream import (
    Outcome,
    StreamInterruptedError,
    StreamTruncatedError,
    Usage,
    UsageSource,
)
from usagestream_core.adapter import Target
from usagestream_core.streams.meter import Call, Meter

HI = frame(choice(content="Hi"))
STOP = frame(choice(finish="stop"))
ZEROS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
REPORTED = {"input_tokens": 18, "output_tokens": 2, "total_tokens": 20}


def running(done: int) -> dict[str, int]:
    """A running total, as some servers put on every frame."""
    return {"prompt_tokens": 18, "completion_tokens": done, "total_tokens": 18 + done}


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([HI, STOP, frame(usage=USAGE)], id="after the finish"),
        pytest.param([HI, frame(choice(finish="stop"), usage=USAGE)], id="in the finish frame"),
        pytest.param(
            [
                frame(choice(content="H"), usage=running(0)),
                frame(choice(content="i"), usage=running(1)),
                frame(choice(finish="stop"), usage=running(2)),
            ],
            id="cumulative",
        ),
        pytest.param(
            [
                frame(choice(content="Hi"), usage=ZEROS),
                frame(choice(finish="stop"), usage=USAGE),
            ],
            id="zeros first",
        ),
        pytest.param(
            [HI, frame(choice(finish="stop"), usage=USAGE), frame(usage=USAGE)], id="twice"
        ),
        pytest.param(
            [HI, STOP, frame(usage=USAGE), frame(moderation={"input": {}}, usage=None)],
            id="before a moderation frame",
        ),
        pytest.param(
            [HI, STOP, frame(choice(), usage=USAGE), frame(choice())],
            id="on a choice, before a frame without",
        ),
        pytest.param([HI, frame(usage=USAGE), STOP], id="before the finish"),
    ],
)
@pytest.mark.parametrize("done", [True, False], ids=["done", "no done"])
def test_invariant_1_the_last_chunk_carries_the_usage_and_only_the_last(
    frames: list[dict[str, Any]], done: bool
) -> None:
    """Wherever the wire puts usage, it comes once, last, and is never added up (WIRE §5)."""
    result = decode(body(*frames, done=done))
    assert [chunk.usage is not None for chunk in result.chunks] == [
        *(False for _ in result.chunks[1:]),
        True,
    ]
    assert result.chunks[-1].usage == Usage.model_validate(
        {**REPORTED, "source": UsageSource.REPORTED}
    )
    assert (result.text, result.failure) == ("Hi", None)


def test_invariant_1_a_stream_without_usage_ends_with_an_unknown_one() -> None:
    """Nobody asked for usage: the last chunk is there all the same."""
    result = decode(body(HI, STOP))
    assert result.chunks[-1].usage == Usage()


@pytest.mark.parametrize(
    "later",
    [None, {}, {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}, "x", [1]],
)
def test_invariant_2_absent_never_erases(later: Any) -> None:
    """A later usage without a count does not wipe the one already seen."""
    result = decode(body(HI, STOP, frame(usage=USAGE), frame(usage=later)))
    assert result.counts == REPORTED
    record = result.meter.record(Outcome.COMPLETED, now=3.0)
    assert record.wire_usage == USAGE


def test_invariant_2_last_reported_wins() -> None:
    """Of two snapshots the later one counts."""
    result = decode(body(HI, frame(usage=running(1)), STOP, frame(usage=running(2))))
    assert result.counts == REPORTED


def test_invariant_2_later_zeros_erase_nothing() -> None:
    """All counts at zero cannot be true of what was counted before."""
    result = decode(body(HI, STOP, frame(usage=USAGE), frame(usage=ZEROS)))
    assert result.counts == REPORTED


def test_zeros_of_a_stream_that_sent_nothing_are_a_report() -> None:
    """There is nothing that they contradict."""
    result = decode(body(STOP, frame(usage=ZEROS)))
    assert result.counts == {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}


def test_invariant_2_a_later_snapshot_that_omits_a_detail_keeps_it() -> None:
    """The detail of an earlier snapshot stays beside the counts of the later one."""
    first = {**running(1), "prompt_tokens_details": {"cached_tokens": 16}}
    result = decode(body(HI, frame(usage=first), STOP, frame(usage=USAGE)))
    assert result.counts == {**REPORTED, "cache_read_tokens": 16}


def test_invariant_3_what_was_not_reported_stays_unknown() -> None:
    """A partial report fills what it says and no more."""
    result = decode(body(STOP, frame(usage={"prompt_tokens": 5})))
    assert result.meter.usage == Usage(input_tokens=5, source=UsageSource.REPORTED)


def test_invariant_3_broken_sums_are_passed_on() -> None:
    """Reasoning outside the output count is kept as it was reported (WIRE §2.9)."""
    sums = {
        "prompt_tokens": 7,
        "completion_tokens": 8,
        "total_tokens": 115,
        "prompt_tokens_details": {"cached_tokens": 161},
        "completion_tokens_details": {"reasoning_tokens": 100},
    }
    usage = decode(body(STOP, frame(usage=sums))).meter.usage
    assert usage.total_tokens == 115
    assert usage.anomalies() == (
        "cache_read_tokens > input_tokens",
        "reasoning_tokens > output_tokens",
        "total_tokens != input_tokens + output_tokens",
    )


@pytest.mark.parametrize(
    "noise",
    [
        b": keep-alive\n\n",
        event({"choices": [], "created": 0, "id": "", "model": "", "object": "",
               "prompt_filter_results": [{"prompt_index": 0}]}),
        event({"choices": [{"index": 0, "finish_reason": None, "content_filter_results": {}}],
               "created": 0, "id": "", "model": "", "object": ""}),
    ],
    ids=["comment", "prompt filter", "async filter"],
)  # fmt: skip
@pytest.mark.parametrize("place", range(5))
def test_invariant_4_provider_noise_changes_nothing(noise: bytes, place: int) -> None:
    """Chunks and usage are equal with and without, wherever it comes."""
    events = HELLO.split(b"\n\n")
    noisy = b"\n\n".join(events[:place]) + (b"\n\n" if place else b"") + noise
    result = decode(noisy + b"\n\n".join(events[place:]))
    assert result.chunks == decode(HELLO).chunks
    assert result.meter.record(Outcome.COMPLETED, now=3.0).response_model == (
        "gpt-4o-mini-2024-07-18"
    )


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([], id="nothing"),
        pytest.param([HI], id="no finish"),
        pytest.param([HI, frame(usage=USAGE)], id="usage but no finish"),
        pytest.param(
            [
                frame(choice(0, content="a")),
                frame(choice(1, content="b")),
                frame(choice(0, finish="stop")),
                frame(usage=USAGE),
            ],
            id="one choice of two unfinished",
        ),
    ],
)
def test_invariant_5_a_cut_stream_never_looks_whole(frames: list[dict[str, Any]]) -> None:
    """The end of the body before the end of the answer is a failure, and no last chunk comes."""
    result = decode(body(*frames, done=False))
    assert isinstance(result.failure, StreamTruncatedError)
    assert [chunk.usage for chunk in result.chunks] == [None] * len(result.chunks)


def test_done_ends_an_answer_without_a_finish_reason() -> None:
    """Some servers never send a finish reason: WIRE §5."""
    assert decode(body(HI, frame(usage=USAGE))).failure is None


def test_a_finish_reason_for_every_choice_ends_an_answer_without_done() -> None:
    """Some servers never send `[DONE]`: WIRE §5."""
    finished = body(frame(choice(0, finish="stop")), frame(choice(1, finish="length")), done=False)
    result = decode(finished)
    assert result.failure is None
    assert result.meter.record(Outcome.COMPLETED, now=3.0).finish_reasons == {
        0: "stop",
        1: "length",
    }


def test_nothing_after_done_is_read() -> None:
    """What follows `[DONE]` is of no interest, in the same read too."""
    result = decode(HELLO + event(frame(choice(content="ghost"), usage=running(99))))
    assert (result.text, result.counts) == ("Hello", REPORTED)


def test_an_interruption_after_done_without_its_newline_is_no_failure() -> None:
    """The answer was whole before the network broke."""
    meter = new_meter()
    meter.feed(HELLO[:-2], 1.0)
    chunks = meter.finish(2.0, StreamInterruptedError("reset"))
    assert (meter.failure, [chunk.usage is not None for chunk in chunks]) == (None, [True])


def test_an_interruption_before_done_is_a_failure_even_when_every_choice_has_finished() -> None:
    """The usage frame may have been on its way."""
    meter = new_meter()
    meter.feed(body(HI, STOP, done=False), 1.0)
    broken = StreamInterruptedError("reset")
    assert (meter.finish(2.0, broken), meter.failure) == ([], broken)


def test_annotations_go_to_the_next_chunk() -> None:
    """Azure's prompt filter results come with the first chunk that says something."""
    first: dict[str, Any] = {"choices": [], "id": "", "model": "", "prompt_filter_results": [1]}
    result = decode(body(first, HI, STOP))
    assert [chunk.annotations for chunk in result.chunks] == [(first,), (), ()]


def test_annotations_after_the_finish_go_to_the_last_chunk() -> None:
    """OpenAI's moderation frame comes after the usage and is not lost (WIRE §1.4)."""
    moderation = frame(moderation={"input": {}}, usage=None)
    usage = frame(usage=USAGE)
    last = decode(body(HI, STOP, usage, moderation)).chunks[-1]
    assert (last.annotations, last.raw) == ((moderation,), usage)


def test_a_second_usage_frame_makes_the_first_an_annotation() -> None:
    """Only the frame of the usage that counts is the last chunk's `raw`."""
    first, second = frame(usage=running(1)), frame(usage=running(2))
    last = decode(body(STOP, first, second)).chunks[-1]
    assert (last.annotations, last.raw) == ((first,), second)


def test_the_last_chunk_has_no_frame_where_the_usage_came_with_a_choice() -> None:
    """That frame belongs to the chunk it came with."""
    chunks = decode(body(frame(choice(finish="stop"), usage=USAGE))).chunks
    assert [bool(chunk.raw) for chunk in chunks] == [True, False]


def test_the_record_tells_times_as_they_were_passed_in() -> None:
    """The meter reads no clock: seconds become times of day through `start`."""
    result = decode(cut(HELLO, 50))
    record = result.meter.record(Outcome.COMPLETED, now=4.5)
    assert record.started_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert (record.time_to_first_chunk, record.duration) == (1.0, 4.5)
    assert record.chunk_count == len(result.chunks) == 5


def test_the_record_of_a_request_without_an_answer() -> None:
    """Nothing that only a response can say is on it."""
    call = Call(
        provider="azure", profile="p", target=Target(endpoint="h"), model="m", tags={"a": "b"}
    )
    meter = Meter(call)
    meter.start(0.0, datetime(2026, 1, 1, tzinfo=UTC))
    record = meter.record(Outcome.REJECTED, now=1.0, error=OSError("secret text"))
    assert record.error is not None
    assert (record.error.type, record.error.message) == ("OSError", None)
    assert (record.response_model, record.request_ids, record.usage) == (None, {}, Usage())
    assert (record.profile, record.tags) == ("p", {"a": "b"})


def test_done_without_its_blank_line_counts() -> None:
    """The end of the body ends the last event (WIRE §3.6)."""
    assert decode(body(HI, done=False) + DONE.strip()).failure is None


def test_what_was_used_so_far_is_final_once_all_was_said() -> None:
    """Also before the last chunk is handed over."""
    meter = new_meter()
    meter.feed(HELLO, 1.0)
    assert meter.so_far == Usage.model_validate({**REPORTED, "source": UsageSource.REPORTED})
