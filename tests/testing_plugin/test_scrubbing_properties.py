"""Secrets of every kind, in every place, never reach the disk; text comes back as it was."""

from __future__ import annotations

import gzip
import importlib
import json
import re
import string
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests._support.sdk_http import client_of, http

from usagestream_adapters.cassettes import yaml as _yaml
from usagestream_adapters.cassettes.secrets import Secrets, is_placeholder
from usagestream_adapters.replay import Recorder, RecordingRefusedError
from usagestream_adapters.testing._recording import Recording

vcr: Any = importlib.import_module("vcr")  # It has no types.
ALNUM = string.ascii_letters + string.digits


def _words(alphabet: str, smallest: int, largest: int) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=smallest, max_size=largest)


def _shaped(prefix: str, smallest: int, largest: int, alphabet: str = ALNUM) -> Any:
    return _words(alphabet, smallest, largest).map(lambda rest: f"{prefix}{rest}")


shaped = st.one_of(
    _shaped("sk-", 20, 60, ALNUM + "-_"),
    _shaped("sk-proj-", 20, 60, ALNUM + "-_"),
    _shaped("org-", 24, 24),
    _shaped("proj_", 24, 24),
    st.tuples(_shaped("eyJ", 10, 40), _words(ALNUM, 8, 40), _words(ALNUM, 8, 40)).map(".".join),
    st.tuples(_words(ALNUM, 52, 52), st.just("JQQJ99"), _words(ALNUM, 26, 26)).map("".join),
    st.tuples(_words(ALNUM, 3, 3), st.just("8Q~"), _words(ALNUM + "_~.-", 34, 34)).map("".join),
)
"""Secrets that are known by their shape."""
shapeless = _shaped("7q9-", 8, 40, ALNUM + "-_.~+/=!$&'()*,;:@\"\\")
"""Secrets that are known only because they were sent as one."""
resource: st.SearchStrategy[str] = st.builds(
    "{}.openai.azure.com".format,
    _shaped("7q9", 5, 20, string.ascii_lowercase + string.digits + "-"),
)
before = st.sampled_from(["", "The key is ", "línea\n", '"', "\t", "é", "(", "=", "/", "🔑"])
after = st.sampled_from(["", ".", '"', "\n", " is it", ")", "🔑", "&"])


def record(folder: Path, request: dict[str, Any], response: Any) -> str | None:
    """Record one exchange; give what was written, if anything was."""
    recording = Recording()
    recorder = vcr.VCR(cassette_library_dir=str(folder))
    recording.configure(recorder)

    def answer(_: Any) -> Any:
        return response

    with recorder.use_cassette("one.yaml") as cassette, client_of(answer) as client:
        recording.attach(cassette)
        client.request("POST", **request)
    written = folder / "one.yaml"
    assert written.exists() is (recording.refusal is None)
    return written.read_text("utf-8") if written.exists() else None


def tape(folder: Path, request: dict[str, Any], response: Any) -> str | None:
    """Record one exchange with `Recorder`; give what was written, if anything was."""
    path = folder / "one.yaml"
    refused = False

    def answer(_: Any) -> Any:
        return response

    transport = http.MockTransport(answer)
    try:
        with Recorder(path) as recorder, recorder.http_client(transport=transport) as client:
            client.request("POST", **request)
    except RecordingRefusedError:
        refused = True
    assert path.exists() is not refused
    return path.read_text("utf-8") if path.exists() else None


def said(text: str | None) -> str:
    """Everything a file says, its escapes undone: as it stands, as YAML, as JSON, as an address."""
    if text is None:
        return ""
    loaded = json.dumps(yaml.safe_load(text), ensure_ascii=False)
    unescaped = loaded
    for _ in range(3):
        unescaped = re.sub(r"\\(.)", r"\1", unescaped)
        loaded += unescaped
    return text + loaded + unquote(text)


def stream_of(*pieces: str) -> bytes:
    """Make an event stream of an answer in pieces."""
    frames = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    events = [f"data: {json.dumps(frame, ensure_ascii=False)}\n\n" for frame in frames]
    return "".join([*events, "data: [DONE]\n\n"]).encode()


def exchange(place: str, text: str) -> tuple[dict[str, Any], Any]:
    """Make an exchange that holds a text in one place."""
    request: dict[str, Any] = {
        "url": "https://api.openai.com/v1/chat/completions",
        "headers": {"authorization": "Bearer a-key-that-is-nobodys"},
        "json": {"messages": [{"role": "user", "content": "Hi"}]},
    }
    headers = {"content-type": "application/json"}
    content = b'{"answer": 2}'
    if place == "query":
        request["url"] += f"?trace={quote(text)}"
    elif place == "request":
        request["json"]["messages"][0]["content"] = text
    elif place == "response":
        content = json.dumps({"error": {"message": text}}).encode()
    elif place == "frames":
        headers["content-type"] = "text/event-stream"
        content = stream_of("It is ", text, "!")
    elif place == "gzip":
        headers["content-encoding"] = "gzip"
        content = gzip.compress(json.dumps({"message": text}, ensure_ascii=False).encode())
    return request, http.Response(200, headers=headers, content=content)


PLACES = ["query", "request", "response", "frames", "gzip"]


@pytest.mark.parametrize("place", PLACES)
@settings(deadline=None, max_examples=30)
@given(secret=st.one_of(shaped, resource), lead=before, tail=after)
def test_what_looks_like_a_secret_is_not_written(
    place: str, secret: str, lead: str, tail: str
) -> None:
    """A key, a token, an id or a resource's name, wherever it stands."""
    with tempfile.TemporaryDirectory() as folder:
        written = said(record(Path(folder), *exchange(place, lead + secret + tail)))
    assert secret.removesuffix(".openai.azure.com") not in written


@pytest.mark.parametrize("place", PLACES)
@settings(deadline=None, max_examples=15)
@given(secret=st.one_of(shaped, resource), sent=shapeless, lead=before, tail=after)
def test_the_recorder_writes_none_either(
    place: str, secret: str, sent: str, lead: str, tail: str
) -> None:
    """Neither what looks like a secret nor what was sent as one, wherever it is echoed."""
    assume(not is_placeholder(sent) and sent.isascii())
    with tempfile.TemporaryDirectory() as folder:
        request, response = exchange(place, f"{lead}{secret}{tail} {lead}{sent}{tail}")
        request["headers"]["authorization"] = f"Bearer {sent}"
        written = said(tape(Path(folder), request, response))
    assert secret.removesuffix(".openai.azure.com") not in written
    assert sent not in written


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("header", ["authorization", "api-key", "cookie", "openai-organization"])
@settings(deadline=None, max_examples=12)
@given(secret=shapeless, lead=before, tail=after)
def test_what_was_sent_as_a_secret_is_not_written(
    place: str, header: str, secret: str, lead: str, tail: str
) -> None:
    """A credential of any shape, echoed wherever."""
    if header == "cookie":
        secret = secret.replace(";", "-")
    assume(not is_placeholder(secret))
    request, response = exchange(place, f"{lead} {secret}{tail}")
    scheme = {"authorization": "Bearer ", "cookie": "a=b; session="}.get(header, "")
    request["headers"][header] = scheme + secret
    with tempfile.TemporaryDirectory() as folder:
        written = said(record(Path(folder), request, response))
    assert secret not in written


@settings(deadline=None, max_examples=30)
@given(secret=shapeless, name=st.sampled_from(["api-key", "code", "sig", "access_token"]))
def test_a_secret_of_the_query_is_not_written(secret: str, name: str) -> None:
    """A parameter that is named like a secret, and its echo."""
    assume(not is_placeholder(secret))
    request, response = exchange("response", f"You sent {secret}")
    request["url"] += f"?api-version=2024-10-21&{name}={quote(secret, safe='')}"
    with tempfile.TemporaryDirectory() as folder:
        written = said(record(Path(folder), request, response))
    assert secret not in written
    assert "api-version=2024-10-21" in written or not written


@settings(deadline=None, max_examples=30)
@given(secret=shapeless)
def test_a_cookie_that_is_set_is_not_written(secret: str) -> None:
    """Nor is its echo."""
    secret = secret.replace(";", "-")
    assume(not is_placeholder(secret))
    request, response = exchange("response", f"You are {secret}")
    response.headers["set-cookie"] = f"__cf={secret}; path=/; domain=.api.openai.com"
    with tempfile.TemporaryDirectory() as folder:
        assert secret not in said(record(Path(folder), request, response))


@settings(deadline=None, max_examples=40)
@given(
    secret=shaped,
    cuts=st.lists(st.integers(1, 30), min_size=1, max_size=4, unique=True).map(sorted),
)
def test_a_secret_in_pieces_is_not_written(secret: str, cuts: list[int]) -> None:
    """Scrubbed where a piece shows what it is, refused where only all of them do."""
    edges = [0, *[cut for cut in cuts if cut < len(secret)], len(secret)]
    pieces = [secret[a:b] for a, b in pairwise(edges)]
    content = stream_of("It is ", *pieces, ".")
    request, _ = exchange("frames", "")
    headers = {"content-type": "text/event-stream"}
    with tempfile.TemporaryDirectory() as folder:
        written = record(
            Path(folder), request, http.Response(200, headers=headers, content=content)
        )
    frames = re.findall(r'"content": "((?:[^"\\]|\\.)*)"', written or "")
    assert secret not in "".join(frames)


@settings(deadline=None, max_examples=60)
@given(secret=shaped, lead=before, tail=after)
def test_to_scrub_twice_is_to_scrub_once(secret: str, lead: str, tail: str) -> None:
    """Placeholders are left alone: a cassette may be added to."""
    secrets = Secrets({})
    once = secrets.scrub(lead + secret + tail)
    assert secrets.scrub(once) == once
    assert not list(secrets.find(once))


def _cassette(text: str) -> dict[str, Any]:
    request: dict[str, Any] = {"method": "POST", "uri": "https://a/", "body": text, "headers": {}}
    return {"interactions": [{"request": request, "response": {"body": {"string": text}}}]}


@settings(deadline=None, max_examples=300)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]))
    | st.text("a \n\t\r\x85\u2028\u2029\ufeff\x00\x7f🤔é:#-|>'\"%@&*!{}[],?")
)
def test_any_text_comes_back_as_it_was(text: str) -> None:
    """What was recorded is what is replayed, in any language and with any line end."""
    loaded = _yaml.deserialize(_yaml.serialize(_cassette(text)))
    (interaction,) = loaded["interactions"]
    assert interaction["response"]["body"]["string"] == text


@settings(deadline=None, max_examples=50)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_the_json_of_a_request_means_the_same(value: Any) -> None:
    """It is spread over lines, and nothing else."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assume(text.isprintable())
    loaded = _yaml.deserialize(_yaml.serialize(_cassette(text)))
    assert json.loads(loaded["interactions"][0]["request"]["body"]) == value


@pytest.mark.parametrize("text", ["Größe", "二加二", "🤔👍🏽", "مرحبا", "a: b # c\n- d\n"])
def test_text_is_written_as_text(text: str) -> None:
    """No escapes, in any language, emoji included."""
    written = _yaml.serialize(_cassette(f"data: {text}\n\ndata: [DONE]\n\n"))
    assert all(line in written for line in text.splitlines())
    assert "\\" not in written
