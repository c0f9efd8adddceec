"""Each row of WIRE §3.6: what the openai SDK makes of a body, and what we make of it."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.lib.streaming.chat import ChatCompletionStreamState
from pydantic import SecretStr
from tests._support.chat import DONE, HELLO, USAGE, body, choice, event, frame
from tests._support.sdk_http import OPENAI_3, client_of, http, streamed
from tests._support.worlds import ASK, World

from usagestream import (
    BadRequestError,
    Chunk,
    NotAStreamError,
    StreamFailedError,
    StreamInterruptedError,
    StreamTruncatedError,
    Usage,
    UsageSource,
)
from usagestream_adapters.openai import OpenAIProfile

BASE = "http://provider.test/v1"
PROFILE = OpenAIProfile(api_key=SecretStr("k"), base_url=BASE, max_retries=0)
WHOLE = Usage(input_tokens=18, output_tokens=2, total_tokens=20, source=UsageSource.REPORTED)
HI = frame(choice(content="Hi"))
STOP = frame(choice(finish="stop"))
LAST = frame(usage=USAGE)

observed = pytest.mark.skipif(not OPENAI_3, reason="the rows were observed with openai 3")


def sdk(sent: bytes, **reply: Any) -> list[Any]:
    """The chunks that the SDK's own iteration yields."""
    client = OpenAI(
        api_key="k",
        base_url=BASE,
        max_retries=0,
        http_client=client_of(lambda _: streamed([sent], **reply)),
    )
    with client.chat.completions.create(**ASK, stream=True) as stream:
        return list(stream)


def ours(world: World, sent: bytes, **reply: Any) -> list[Chunk]:
    """The chunks that we yield."""
    return list(world.replay(PROFILE, [sent], **reply))


@observed
def test_normal_in_the_sdk() -> None:
    """Usage is on the SDK's last chunk."""
    assert sdk(HELLO)[-1].usage.total_tokens == 20


def test_normal(world: World) -> None:
    """And on ours."""
    assert ours(world, HELLO)[-1].usage == WHOLE


MODERATED = body(HI, STOP, LAST, frame(moderation={"input": {}}, usage=None))


@observed
def test_usage_then_moderation_in_the_sdk() -> None:
    """The SDK's accumulator loses the usage."""
    state = ChatCompletionStreamState()
    for chunk in sdk(MODERATED):
        state.handle_chunk(chunk)
    assert state.get_final_completion().usage is None


def test_usage_then_moderation(world: World) -> None:
    """Ours is still last."""
    assert ours(world, MODERATED)[-1].usage == WHOLE


CUT = body(HI, done=False)


@observed
def test_end_without_done_in_the_sdk() -> None:
    """The SDK ends as if nothing were amiss."""
    assert len(sdk(CUT)) == 1


def test_end_without_done(world: World) -> None:
    """A cut stream never looks whole."""
    with pytest.raises(StreamTruncatedError):
        ours(world, CUT)


UNENDED = body(HI, STOP, LAST, done=False)


@observed
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_no_blank_line_after_the_usage_in_the_sdk(end: bytes) -> None:
    """The SDK drops the last event."""
    assert [chunk.usage for chunk in sdk(UNENDED[:-2] + end)] == [None, None]


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_no_blank_line_after_the_usage(world: World, end: bytes) -> None:
    """It counts here."""
    assert ours(world, UNENDED[:-2] + end)[-1].usage == WHOLE


AFTER = HELLO + event(frame(choice(content="ghost")))


@observed
def test_after_done_in_the_sdk() -> None:
    """The SDK ignores what comes after `[DONE]`."""
    assert len(sdk(AFTER)) == 5


def test_after_done(world: World) -> None:
    """And so do we."""
    assert "".join(chunk.text for chunk in ours(world, AFTER)) == "Hello"


BREAKS = [http.RemoteProtocolError("peer closed"), http.ReadError("reset"), http.ReadTimeout("t")]


@observed
@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: type(broken).__name__)
def test_a_broken_connection_in_the_sdk(broken: Exception) -> None:
    """The SDK's error has neither status nor request id."""
    timed_out = isinstance(broken, http.ReadTimeout)
    expected = openai.APITimeoutError if timed_out else openai.APIConnectionError
    with pytest.raises(expected) as caught:
        sdk(CUT, breaks=broken)
    assert caught.value.__cause__ is broken


@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: type(broken).__name__)
def test_a_broken_connection(world: World, broken: Exception) -> None:
    """Ours carries the record, with the ids."""
    broken = type(broken)("anew")  # the SDK writes on the one it was given
    headers = {"content-type": "text/event-stream", "x-request-id": "req_1"}
    with pytest.raises(StreamInterruptedError) as caught:
        ours(world, CUT, breaks=broken, headers=headers)
    assert caught.value.__cause__ is broken
    assert broken.request.url.path == "/v1/chat/completions"  # type: ignore[attr-defined]
    assert caught.value.record is not None
    assert caught.value.record.request_ids == {"x-request-id": "req_1"}


@observed
@pytest.mark.parametrize(
    ("error", "message", "code"),
    [
        ({"message": "m", "code": "c", "type": "t"}, "m", "c"),
        ("boom", "An error occurred during streaming", None),
    ],
)
def test_an_error_frame_in_the_sdk(error: Any, message: str, code: str | None) -> None:
    """A plain `APIError`, whose text is lost where the error is a string."""
    with pytest.raises(openai.APIError) as caught:
        sdk(event({"error": error}))
    assert type(caught.value) is openai.APIError
    assert (caught.value.message, caught.value.code, caught.value.body) == (message, code, error)


@pytest.mark.parametrize("error", [{"message": "boom", "code": "c"}, "boom"])
def test_an_error_frame(world: World, error: Any) -> None:
    """The text and the usage so far are kept either way."""
    with pytest.raises(StreamFailedError, match="boom") as caught:
        ours(world, event({**HI, "usage": USAGE}) + event({"error": error}))
    assert caught.value.body == error
    assert caught.value.record is not None
    assert caught.value.record.usage == WHOLE


NAMED = b"event: error\n" + event({"message": "boom"})


@observed
def test_an_event_named_error_in_the_sdk() -> None:
    """The SDK yields it as a chunk without choices."""
    assert [chunk.choices for chunk in sdk(NAMED)] == [None]


def test_an_event_named_error(world: World) -> None:
    """It is an error here."""
    with pytest.raises(StreamFailedError, match="boom"):
        ours(world, NAMED)


EMPTY = b"data: \n\n" + HELLO


@observed
def test_empty_data_in_the_sdk() -> None:
    """An exception that is not the SDK's own escapes."""
    with pytest.raises(json.JSONDecodeError):
        sdk(EMPTY)


def test_empty_data(world: World) -> None:
    """It says nothing here."""
    assert ours(world, EMPTY)[-1].usage == WHOLE


VARIED = b": ping\n\n" + HELLO.replace(b"data: ", b"data:").replace(b"\n", b"\r\n")


@observed
def test_comments_crlf_and_no_space_in_the_sdk() -> None:
    """The SDK reads them."""
    assert len(sdk(VARIED)) == 5


def test_comments_crlf_and_no_space(world: World) -> None:
    """And so do we."""
    assert ours(world, VARIED)[-1].usage == WHOLE


@observed
@pytest.mark.parametrize("odd", [{"choices": None}, {}])
def test_no_choices_in_the_sdk(odd: dict[str, Any]) -> None:
    """A loop over `chunk.choices` crashes."""
    assert sdk(event({"id": "x", **odd}) + DONE)[0].choices is None


@pytest.mark.parametrize("odd", [{"choices": None}, {}])
def test_no_choices(world: World, odd: dict[str, Any]) -> None:
    """Such a frame only annotates the next chunk."""
    (chunk,) = ours(world, event({"id": "x", **odd}) + DONE)
    assert chunk.annotations == ({"id": "x", **odd},)


@observed
@pytest.mark.parametrize("odd", [{}, {"prompt_tokens": None}])
def test_usage_without_counts_in_the_sdk(odd: dict[str, Any]) -> None:
    """A truthy object whose integers are `None`."""
    usage = sdk(body(frame(usage=odd)))[0].usage
    assert (bool(usage), getattr(usage, "prompt_tokens", None)) == (True, None)


@pytest.mark.parametrize("odd", [{}, {"prompt_tokens": None}])
def test_usage_without_counts(world: World, odd: dict[str, Any]) -> None:
    """It reports nothing and erases nothing."""
    assert ours(world, body(STOP, LAST, frame(usage=odd)))[-1].usage == WHOLE
    assert ours(world, body(STOP, frame(usage=odd)))[-1].usage == Usage()


MORE = {**USAGE, "cost": 0.1}


@observed
def test_unknown_keys_in_usage_in_the_sdk() -> None:
    """They are kept on the model."""
    assert sdk(body(frame(usage=MORE)))[0].usage.model_extra == {"cost": 0.1}


def test_unknown_keys_in_usage(world: World) -> None:
    """They are kept on the record, and are no part of the usage."""
    stream = world.replay(PROFILE, [body(STOP, frame(usage=MORE))])
    assert stream.drain() == WHOLE
    assert stream.record.wire_usage == MORE


FOREIGN = [
    ({"content-type": "application/json"}, b'{"error": {"message": "no", "code": "c"}}'),
    ({"content-type": "text/html"}, b"<html>log in</html>"),
]


@observed
@pytest.mark.parametrize(("headers", "sent"), FOREIGN)
def test_a_200_that_is_no_stream_in_the_sdk(headers: dict[str, str], sent: bytes) -> None:
    """No chunk and no exception."""
    assert sdk(sent, headers=headers) == []


@pytest.mark.parametrize(("headers", "sent"), FOREIGN)
def test_a_200_that_is_no_stream(world: World, headers: dict[str, str], sent: bytes) -> None:
    """The body is on the error."""
    with pytest.raises(NotAStreamError) as caught:
        ours(world, sent, headers=headers)
    assert caught.value.body == sent.decode()


DETAIL = {"detail": [{"type": "extra_forbidden", "msg": "Extra inputs are not permitted"}]}


@observed
def test_a_422_without_an_envelope_in_the_sdk() -> None:
    """The message says nothing of the body."""
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        sdk(json.dumps(DETAIL).encode(), status=422, headers={})
    assert "Extra inputs" not in caught.value.message
    assert caught.value.body == DETAIL


def test_a_422_without_an_envelope(world: World) -> None:
    """The text is in the message."""
    profile = PROFILE.model_copy(update={"include_usage": "never"})
    stream = world.replay(profile, [json.dumps(DETAIL).encode()], status=422, headers={})
    with pytest.raises(BadRequestError, match="Extra inputs") as caught:
        stream.drain()
    assert caught.value.body == DETAIL


ONLY_APIM = {"apim-request-id": "apim_1"}


@observed
def test_the_request_id_in_the_sdk() -> None:
    """The SDK reads one header only, which Azure's gateway does not send."""
    with pytest.raises(openai.AuthenticationError) as caught:
        sdk(b"{}", status=401, headers=ONLY_APIM)
    assert caught.value.request_id is None


def test_the_request_id(world: World) -> None:
    """Both headers are read, of answers too."""
    stream = world.replay(PROFILE, [HELLO], headers=ONLY_APIM)
    stream.drain()
    assert stream.record.request_ids == ONLY_APIM


def test_a_transport_of_the_callers_own_may_raise_anything(world: World) -> None:
    """What it raises is the cause, and is not written on."""
    broken = OSError("gone")
    with pytest.raises(StreamInterruptedError, match="OSError: gone") as caught:
        ours(world, CUT, breaks=broken)
    assert caught.value.__cause__ is broken
    assert not hasattr(broken, "request")
