"""What a stream says comes out alike in all four ways to read it: two clients, and two tracked."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests._support import four_ways
from tests._support.chat import DONE, USAGE, body, choice, frame
from tests._support.chat import event as chat_event
from tests._support.four_ways import WAYS, Way, event
from tests._support.sdk_http import OPENAI_3, client_of, streamed

from usagestream import Outcome, UsageRecord, UsageSource, UsageStreamError, track

CREATED = event({"type": "response.created", "response": {"id": "resp_1", "model": "m"}})
TEXT = event({"type": "response.output_text.delta", "output_index": 0, "delta": "two words"})
COUNTS = {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}
HI = frame(choice(content="Hi"))
STOP = frame(choice(finish="stop"))


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    """Each in turn."""
    return Way(request.param)


def last(kind: str, **response: Any) -> bytes:
    """The event that ends a response."""
    return event({"type": f"response.{kind}", "response": {"id": "resp_1", **response}})


def error(code: str | None, **more: Any) -> bytes:
    """An event that is an error."""
    return event({"type": "error", "error": {"code": code, "message": "No."}, **more})


def joined(reads: list[bytes]) -> list[bytes]:
    """The same body in one read."""
    return [b"".join(reads)]


def reported(record: UsageRecord) -> dict[str, int]:
    """The counts that the provider reported, and no others."""
    assert record.usage.source is UsageSource.REPORTED
    return record.usage.model_dump(exclude_none=True, include={*COUNTS})


def failed_with(record: UsageRecord) -> str | None:
    """The code of a stream that failed."""
    assert record.outcome is Outcome.FAILED
    assert record.error is not None
    assert record.error.type == "StreamFailedError"
    return record.error.code


split = pytest.mark.parametrize("reads", [list, joined], ids=["each event", "one read"])
Reads = Callable[[list[bytes]], list[bytes]]


@split
def test_an_error_that_is_said_twice(way: Way, reads: Reads) -> None:
    """The reader may leave at the first word of it: what follows is still heard."""
    record = way.read("responses", reads([CREATED, error("quota"), last("failed", usage=COUNTS)]))
    assert failed_with(record) == "quota"
    assert reported(record) == COUNTS


@split
def test_an_error_that_is_said_once(way: Way, reads: Reads) -> None:
    """Where nothing had come, nothing is estimated."""
    record = way.read("responses", reads([CREATED, error("quota")]))
    assert (failed_with(record), record.usage.source) == ("quota", UsageSource.UNKNOWN)


@pytest.mark.parametrize("told", [None, {}, {"code": None, "message": "Sorry."}])
@split
def test_a_better_reason_that_comes_later(way: Way, reads: Reads, told: Any) -> None:
    """It is kept, and the usage that came before it is too."""
    failed = last("failed", error=told, usage=COUNTS)
    record = way.read("responses", reads([CREATED, TEXT, failed, error("policy")]))
    assert (failed_with(record), reported(record)) == ("policy", COUNTS)


@pytest.mark.parametrize("second", [error(None), error("other"), b""])
def test_a_good_reason_stays(way: Way, second: bytes) -> None:
    """What comes after says less, or nothing new."""
    failed = last("failed", error={"code": "policy", "message": "No."}, usage=COUNTS)
    assert failed_with(way.read("responses", [CREATED, TEXT, failed, second])) == "policy"
    if second:
        record = way.read("responses", [CREATED, error("policy"), second, last("failed")])
        assert failed_with(record) == "policy"


@split
def test_a_failure_without_a_reason(way: Way, reads: Reads) -> None:
    """Is one all the same, and has its usage."""
    record = way.read("responses", reads([CREATED, last("failed", error=None, usage=COUNTS)]))
    assert (failed_with(record), reported(record)) == (None, COUNTS)
    assert record.error is not None
    assert record.error.message == "The provider reported that the response failed."


def test_an_error_that_is_the_whole_event(way: Way) -> None:
    """Its type is that of the event, and no code; its usage is usage."""
    flat = {"type": "error", "code": None, "message": "No.", "usage": COUNTS}
    record = way.read("responses", [CREATED, event(flat)])
    assert (failed_with(record), reported(record)) == (None, COUNTS)


def test_a_null_error_is_none(way: Way) -> None:
    """A key that says nothing ends nothing."""
    odd = event({"type": "response.queued", "error": None})
    record = way.read("responses", [CREATED, odd, TEXT, last("completed", usage=COUNTS)])
    assert (record.outcome, reported(record)) == (Outcome.COMPLETED, COUNTS)


def test_who_leaves_at_a_failure_was_shown_one(way: Way) -> None:
    """The event that says `failed` was the last he took."""
    reads = [CREATED, TEXT, last("failed", error=None, usage=COUNTS)]
    record = way.read("responses", reads, most=3)
    assert (record.outcome, reported(record)) == (Outcome.FAILED, COUNTS)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_who_left_before_a_failure_was_shown_none(asynchronous: bool) -> None:
    """It came in the same read, and was not taken."""
    way = Way("track, async" if asynchronous else "track, sync")
    record = way.read("responses", joined([CREATED, TEXT, error("quota")]), most=2)
    assert (record.outcome, record.error) == (Outcome.CLOSED, None)


ODD: dict[str, bytes] = {
    "an id alone": b"id: 7\n\n",
    "a type alone": b"event: ping\n\n",
    "empty data": b"data:\n\n",
    "no UTF-8": b'data: {"choices": [], "type": "\xff"}\n\n',
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("api", ["chat", "responses"])
@split
def test_what_the_sdk_cannot_read(way: Way, api: str, odd: str, reads: Reads) -> None:
    """Our clients read on. A tracked caller gets the SDK's exception, and the record says so."""
    chat = [chat_event(HI), ODD[odd], chat_event(STOP), chat_event(frame(usage=USAGE)), DONE]
    responses = [CREATED, TEXT, ODD[odd], last("completed", usage=COUNTS)]
    record = way.read(api, reads(chat if api == "chat" else responses))
    if way.raised is None:
        assert record.outcome is Outcome.COMPLETED
        return
    assert type(way.raised).__name__ in ("JSONDecodeError", "UnicodeDecodeError")
    if not OPENAI_3:  # whose stream does not close its response when it cannot read on
        assert record.outcome is Outcome.CLOSED
        return
    assert failed_with(record) is None
    assert record.error is not None
    assert record.error.message == (
        f"The openai SDK could not read what the provider sent: {type(way.raised).__name__}."
    )


def test_an_exception_of_the_callers_is_not_the_sdks() -> None:
    """Neither one that he raises, nor one that he handles while he closes a stream."""
    records: list[UsageRecord] = []
    http_client = client_of(lambda _: streamed([chat_event(HI)] * 3))
    with openai.OpenAI(api_key="k", base_url=four_ways.URL, http_client=http_client) as client:
        asking: Any = track(client, on_record=records.append).chat.completions
        asked: Any = {**four_ways.ASK["chat"], "stream": True}
        stream: Any = asking.create(**asked)
        with pytest.raises(ZeroDivisionError), stream:  # noqa: PT012 - left by it
            next(stream)
            raise ZeroDivisionError
        stream = asking.create(**asked)
        next(stream)
        try:
            int("x")
        except ValueError:
            stream.close()
    assert [record.outcome for record in records] == [Outcome.CLOSED, Outcome.CLOSED]


class OneAnswer:
    """A server that answers once, with these bytes, and then holds the connection."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(60)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def _serve(self) -> None:
        with self._listener, suppress(OSError):
            connection, _ = self._listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
                connection.sendall(self._data)
                self._done.wait(60)

    def close(self) -> None:
        """Let the connection go."""
        self._done.set()
        self._thread.join(60)


@pytest.fixture
def held() -> Iterator[OneAnswer]:
    """A server that says that it failed, and then nothing more."""
    with closing(OneAnswer(CREATED + error("quota"))) as server:
        yield server


@pytest.mark.slow
def test_last_words_are_not_waited_for_without_end(
    way: Way, held: OneAnswer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that reports an error and holds the connection keeps nobody."""
    monkeypatch.setattr("usagestream_adapters.track.body._LAST_WORDS", 0.2)
    began = time.monotonic()
    record = way.over("responses", held.url)
    assert failed_with(record) == "quota"
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("value", [-7, 9.5, "9", 2**70, float("nan")])
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_record_and_usage_name_the_same_anomalies(way: Way, api: str, value: Any) -> None:
    """Counts of an odd type, negative, or too large: each is named, in both places alike."""
    if api == "chat":
        usage = {**USAGE, "prompt_tokens": value}
        reads = [body(HI, STOP, frame(usage=usage))]
    else:
        reads = [CREATED, TEXT, last("completed", usage={**COUNTS, "input_tokens": value})]
    record = way.read(api, reads)
    assert any("input_tokens" in anomaly for anomaly in record.anomalies)
    assert record.anomalies == record.usage.anomalies()


def test_what_does_not_add_up_is_named_on_the_record(way: Way) -> None:
    """More cached than read, and a total that is no sum."""
    details = {"cached_tokens": 161}
    usage = {**USAGE, "total_tokens": 99, "prompt_tokens_details": details}
    record = way.read("chat", [body(HI, STOP, frame(usage=usage))])
    assert record.anomalies == record.usage.anomalies()
    assert record.anomalies == (
        "cache_read_tokens > input_tokens",
        "total_tokens != input_tokens + output_tokens",
    )


ZEROS = dict.fromkeys([*USAGE, *COUNTS], 0)


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_zeros_that_cannot_be_true(way: Way, api: str) -> None:
    """Not believed beside an answer: an estimate stands there, and says why."""
    chat = [body(HI, STOP, frame(usage=ZEROS))]
    record = way.read(api, chat if api == "chat" else [TEXT, last("completed", usage=ZEROS)])
    assert record.usage.source is UsageSource.ESTIMATED
    assert record.anomalies == ("usage is all zeros, and something was sent",)
    assert record.anomalies == record.usage.anomalies()


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_zeros_erase_nothing(way: Way, api: str) -> None:
    """Real counts that came before them stay."""
    chat = [body(HI, STOP, frame(usage=USAGE), frame(usage=ZEROS))]
    running = event({"type": "response.in_progress", "response": {"usage": COUNTS}})
    responses = [running, TEXT, last("completed", usage=ZEROS)]
    counts = reported(way.read(api, chat if api == "chat" else responses))
    assert counts == (dict(zip(COUNTS, USAGE.values(), strict=True)) if api == "chat" else COUNTS)


@pytest.mark.parametrize(
    "ending",
    [
        [body(HI, frame({**choice(finish="stop"), "usage": USAGE}))],
        [body(HI, frame(choice(finish="stop"), x_groq={"usage": USAGE}))],
        [body(HI, frame({**choice(finish="stop"), "usage": USAGE}, usage=None))],
    ],
)
def test_usage_in_another_place_of_chat(way: Way, ending: list[bytes]) -> None:
    """In the choice that ends, or in a server's own object: a report is a report."""
    assert list(reported(way.read("chat", ending)).values()) == list(USAGE.values())


@pytest.mark.parametrize(
    "ending",
    [
        [TEXT, event({"type": "response.completed", "response": {}, "usage": COUNTS})],
        [
            event({"type": "response.in_progress", "response": {"usage": COUNTS}}),
            TEXT,
            last("completed", usage=None),
        ],
        [TEXT, event({"type": "response.usage", "usage": COUNTS}), last("completed")],
    ],
)
def test_usage_in_another_place_of_a_response(way: Way, ending: list[bytes]) -> None:
    """Beside the response, before its end, or in an event of its own: a report is a report."""
    assert reported(way.read("responses", [CREATED, *ending])) == COUNTS


NULLS: dict[str, Any] = dict.fromkeys([*USAGE, *COUNTS])


@pytest.mark.parametrize(
    "said",
    [
        {"usage": [USAGE]},
        {"usage": NULLS, "x_groq": {"usage": USAGE}},
        {"usage": ZEROS, "x_groq": {"usage": USAGE}},
        {"usage": {"input_tokens": 18, "output_tokens": 2, "total_tokens": 20}},
        {"usage": {**USAGE, "input_tokens": 3, "output_tokens": 0}},
        {"usage": {"promptTokens": 18, "completionTokens": 2, "totalTokens": 20}},
        {"choices": [{"index": 0, "delta": {"usage": USAGE}}]},
        {"choices": [{"index": 0, "delta": {}, "message": {"usage": USAGE}}]},
        {"choices": [{"index": 0, "delta": {"content": "", "usage": USAGE}, "usage": NULLS}]},
    ],
)
def test_usage_of_chat_in_another_shape(way: Way, said: dict[str, Any]) -> None:
    """In a list, by the other API's names, beside nulls, in what is said: a report is a report."""
    record = way.read("chat", [body(HI, STOP, {**frame(), **said})])
    assert list(reported(record).values()) == list(USAGE.values())
    assert record.wire_usage


@pytest.mark.parametrize(
    "ending",
    [
        {"response": {"usage": USAGE}},
        {"response": {"usage": [COUNTS]}},
        {"response": {"usage": {"inputTokens": 9, "outputTokens": 3, "totalTokens": 12}}},
        {"response": {"usage": NULLS}, "usage": COUNTS},
        {"response": {"usage": ZEROS}, "usage": COUNTS},
    ],
)
def test_usage_of_a_response_in_another_shape(way: Way, ending: dict[str, Any]) -> None:
    """What says nothing hides nothing."""
    record = way.read("responses", [CREATED, TEXT, event({"type": "response.completed", **ending})])
    expected = USAGE if ending["response"]["usage"] is USAGE else COUNTS
    assert list(reported(record).values()) == list(expected.values())


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("sent", [32, True, "much", ["a", "b"]], ids=repr)
def test_a_usage_that_is_no_object(way: Way, api: str, sent: Any) -> None:
    """It is estimated, and not in silence."""
    chat = [body(HI, STOP, frame(usage=sent))]
    record = way.read(api, chat if api == "chat" else [TEXT, last("completed", usage=sent)])
    assert record.usage.source is UsageSource.ESTIMATED
    assert record.anomalies == (f"usage was sent as {sent!r}",)


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("name", ["input_tokens", "output_tokens"])
def test_a_zero_that_cannot_be_true(way: Way, api: str, name: str) -> None:
    """Who sent something has read and written something: beside other counts too."""
    usage = {**(COUNTS if api == "responses" else {}), **(USAGE if api == "chat" else {})}
    zero = name
    if api == "chat":
        zero = "prompt_tokens" if name == "input_tokens" else "completion_tokens"
    usage[zero] = 0
    usage["total_tokens"] = sum(usage.values()) - usage["total_tokens"]
    chat = [body(HI, STOP, frame(usage=usage))]
    record = way.read(api, chat if api == "chat" else [TEXT, last("completed", usage=usage)])
    assert record.usage.source is UsageSource.ESTIMATED
    assert getattr(record.usage, name) > 0
    assert record.anomalies == (f"{name} is 0, and something was sent",)
    assert record.usage.anomalies() == record.anomalies


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_what_a_total_leaves_for_the_other_part(way: Way, api: str) -> None:
    """A part that nobody reported is at least that much."""
    usage = {"prompt_tokens": 19, "input_tokens": 19, "total_tokens": 32}
    chat = [body(HI, STOP, frame(usage=usage))]
    counts = way.read(api, chat if api == "chat" else [TEXT, last("completed", usage=usage)]).usage
    assert (counts.input_tokens, counts.output_tokens, counts.total_tokens) == (19, 13, 32)
    assert counts.source is UsageSource.ESTIMATED


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize(("early", "output"), [(0, 5), (1, 5), (7, 7)])
def test_a_count_of_before_the_rest_was_written(
    way: Way, api: str, early: int, output: int
) -> None:
    """It is not believed of a longer answer; of one that is not longer, it is."""
    usage = {"prompt_tokens": 11, "completion_tokens": early, "total_tokens": 11 + early}
    counts = {"input_tokens": 11, "output_tokens": early, "total_tokens": 11 + early}
    first, rest = "one ", "two three four five"
    if api == "chat":
        reads = [body(frame(choice(content=first), usage=usage), done=False)]
        reads += [body(frame(choice(content=rest)), done=False)]
    else:
        running = {"type": "response.in_progress", "response": {"usage": counts}}
        reads = [event({"type": "response.output_text.delta", "delta": first}), event(running)]
        reads += [event({"type": "response.output_text.delta", "delta": rest})]
    found = way.read(api, reads).usage
    assert (found.output_tokens, found.total_tokens) == (output, 11 + output)
    assert found.source is (UsageSource.ESTIMATED if output > early else UsageSource.REPORTED)


@pytest.mark.parametrize(
    "kind",
    [
        *("code_interpreter_call_code", "mcp_call_arguments", "audio.transcript"),
        *("reasoning", "reasoning_summary", "reasoning_text", "content_part"),
    ],
)
@pytest.mark.parametrize("delta", ["a b c d ", {"text": "a b c d "}])
def test_what_a_model_writes_elsewhere_is_output(way: Way, kind: str, delta: Any) -> None:
    """An estimate counts it, whatever event it came in."""
    written = event({"type": f"response.{kind}.delta", "delta": delta})
    assert way.read("responses", [CREATED, written, TEXT]).usage.output_tokens == 6


def test_sound_is_no_text(way: Way) -> None:
    """Its base64 is counted by nobody."""
    sound = event({"type": "response.audio.delta", "delta": "AAAA BBBB"})
    assert way.read("responses", [CREATED, sound, TEXT]).usage.output_tokens == 2


def test_an_output_of_nothing_but_code(way: Way) -> None:
    """Zeros beside it cannot be true either, nor a count of before it was written."""
    written = event({"type": "response.code_interpreter_call_code.delta", "delta": "a b c "})
    record = way.read("responses", [CREATED, written, last("completed", usage=ZEROS)])
    assert record.anomalies == ("usage is all zeros, and something was sent",)
    running = event({"type": "response.in_progress", "response": {"usage": COUNTS}})
    more = event({"type": "response.code_interpreter_call_code.delta", "delta": "d e f"})
    assert way.read("responses", [written, running, more]).usage.output_tokens == 6


@pytest.mark.parametrize(
    ("kind", "status", "outcome", "code"),
    [
        ("completed", "failed", Outcome.FAILED, "policy"),
        ("done", "completed", Outcome.COMPLETED, None),
        ("done", "failed", Outcome.FAILED, "policy"),
        ("cancelled", "cancelled", Outcome.FAILED, "cancelled"),
        ("cancelled", None, Outcome.FAILED, "cancelled"),
        ("done", "in_progress", Outcome.TRUNCATED, None),
    ],
)
def test_a_response_ends_as_its_status_says(
    way: Way, kind: str, status: str | None, outcome: Outcome, code: str | None
) -> None:
    """Which knows better than the event it comes in; its usage is usage."""
    error = {"code": code, "message": "No."} if code == "policy" else None
    reads = [CREATED, TEXT, last(kind, status=status, error=error, usage=COUNTS)]
    record = way.read("responses", reads)
    assert (record.outcome, reported(record)) == (outcome, COUNTS)
    if outcome is Outcome.FAILED:
        assert failed_with(record) == code


def test_events_that_are_named_beside_their_data(way: Way) -> None:
    """By the line that servers of other kinds name them by."""
    said = {"delta": "two words", "output_index": 0}
    ended = {"response": {"id": "resp_1", "usage": COUNTS}}
    reads = [
        f"event: response.{kind}\ndata: {json.dumps(data)}\n\n".encode()
        for kind, data in (("output_text.delta", said), ("completed", ended))
    ]
    record = way.read("responses", reads)
    assert (record.outcome, record.chunk_count, reported(record)) == (Outcome.COMPLETED, 3, COUNTS)


@pytest.mark.parametrize("between", [b"\n", b" ", b""], ids=["line", "blank", "none"])
@split
def test_two_documents_in_one_event(way: Way, reads: Reads, between: bytes) -> None:
    """Where a server forgot what ends the first: nothing is lost, and the SDK reads neither."""
    first, second = (json.dumps(each).encode() for each in (STOP, frame(usage=USAGE)))
    joint = b"\ndata: " if between == b"\n" else between
    both = b"data: " + first + joint + second + b"\n\n"
    record = way.read("chat", reads([chat_event(HI), both, DONE]))
    assert list(reported(record).values()) == list(USAGE.values())
    if not way.name.startswith("track"):
        assert (record.outcome, record.chunk_count) == (Outcome.COMPLETED, 3)


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_a_total_of_before_the_answer(way: Way, api: str) -> None:
    """Beside what is estimated, the total is the sum."""
    begun = {"prompt_tokens": 11, "input_tokens": 11, "total_tokens": 11}
    running = event({"type": "response.in_progress", "response": {"usage": begun}})
    first = frame(choice(content="a b c d e"), usage=begun)
    record = way.read(api, [body(first, done=False)] if api == "chat" else [running, TEXT])
    usage = record.usage
    assert (usage.source, usage.input_tokens) == (UsageSource.ESTIMATED, 11)
    assert usage.total_tokens == 11 + (usage.output_tokens or 0)
    assert record.anomalies == ()


@pytest.mark.parametrize(
    ("api", "reads"),
    [
        ("chat", [body(frame(choice(reasoning_content="a b c d ")), HI, done=False)]),
        ("chat", [body(frame(choice(reasoning="a b c d ", content=None)), HI, done=False)]),
        ("responses", [event({"type": "response.reasoning_text.delta", "delta": "a b c "}), TEXT]),
    ],
)
def test_reasoning_that_is_shown_is_output(way: Way, api: str, reads: list[bytes]) -> None:
    """An estimate counts it."""
    assert way.read(api, reads).usage.output_tokens == 5


CALLS = st.lists(st.sampled_from(["a", "b", None]), max_size=5)


@given(CALLS)
def test_calls_of_a_response_are_told_apart_by_what_there_is(named: list[str | None]) -> None:
    """By place, or by id where there is none; what has neither goes on with the last one."""
    from usagestream_adapters.wire.responses import ResponsesDecoder
    from usagestream_core.adapter import Head
    from usagestream_core.chunk import Chunk

    added = [{"type": "function_call", "id": name, "call_id": name, "name": "f"} for name in "ab"]
    frames: list[dict[str, Any]] = [
        {"type": "response.output_item.added", "item": item} for item in added
    ]
    deltas = [
        {"type": "response.function_call_arguments.delta", "delta": "x", "item_id": name}
        for name in named
    ]
    decoder = ResponsesDecoder(Head(status=200))
    said = decoder.feed(b"".join([event(each) for each in [*frames, *deltas]]))
    indexes = [
        call.index for chunk in said if isinstance(chunk, Chunk) for call in chunk.tool_calls
    ]
    assert indexes == [0, 1, *({"a": 0, "b": 1, None: 1}[name] for name in named)]


def test_the_anomalies_of_one_record_are_bounded(way: Way) -> None:
    """A server that sends odd counts with every frame fills no record."""
    frames = [frame(choice(content="x"), usage={"prompt_tokens": n + 0.5}) for n in range(100)]
    record = way.read("chat", [body(*frames, STOP)])
    assert len(record.anomalies) == 11
    assert record.anomalies[-1] == "input_tokens was sent as 99.5"


JUNK = st.lists(
    st.sampled_from(
        [
            *(chat_event(HI), CREATED, TEXT, error("c"), last("failed"), DONE, last("completed")),
            *(b"data: {}\n\n", b"data: [1]\n\n", b"data: \xff\n\n", b"id: 1\n\n", b"\0", b"\r"),
            *(
                b'data: {"choices": [{"delta": []}, null], "usage": {"a": NaN}}\n\n',
                b"<html>",
                b"{",
            ),
            *(b'data: {"response": 7, "type": "response.completed"}\n\n', b"event: error\n\n"),
            b'data: {"usage": {"prompt_tokens": Infinity}, "error": {"code": 7}}\n\n',
        ]
    )
    | st.binary(max_size=20),
    max_size=6,
)
HEADS = st.fixed_dictionaries(
    {},
    optional={
        "content-type": st.sampled_from(["text/event-stream", "text/html; charset=rot13", ""]),
        "content-encoding": st.sampled_from(["gzip", "br", "zstd", "deflate", "nonsense", ""]),
        "x-request-id": st.sampled_from(["req_1", four_ways.KEY, ""]),
    },
)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(WAYS),
    api=st.sampled_from(["chat", "responses"]),
    reads=JUNK,
    head=HEADS,
    most=st.sampled_from([None, 1]),
)
def test_whatever_comes_there_is_one_record(
    name: str, api: str, reads: list[bytes], head: dict[str, str], most: int | None
) -> None:
    """Our clients raise errors of ours; a tracked one whatever the SDK does; no key is kept."""
    way = Way(name)
    record = way.read(api, reads, most=most, headers=head)
    assert four_ways.KEY not in record.model_dump_json()
    assert record.anomalies == record.usage.anomalies()
    if not name.startswith("track"):
        assert way.raised is None or isinstance(way.raised, UsageStreamError)
        assert (way.raised is None) == (record.error is None)
