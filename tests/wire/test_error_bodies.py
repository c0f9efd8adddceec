"""The body of a refusal is read as far as it is of use, and a redirect leads nowhere."""

from __future__ import annotations

import asyncio
import gzip
import importlib
import json
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from tests._support.four_ways import WAYS, Way
from tests._support.sdk_http import client_of, http, streamed

from usagestream import Outcome, ProviderError, UsageStreamError
from usagestream_adapters.sdk import guard
from usagestream_adapters.sdk.plain_text import MOST_BYTES, charset_of, plain, text_of

brotli: Any = importlib.import_module("brotli")
SAID = json.dumps({"error": {"message": "No.", "code": "some_code"}}).encode()
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "deflate ": lambda data: zlib.compress(data, wbits=-15),
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
    "identity": bytes,
}
OURS = ("Client", "AsyncClient")
ANY_CODING = st.sampled_from([*PACK, "", "compress", "gzip, gzip, gzip, gzip", "GZIP", ",", "\t"])
ANY_CHARSET = st.sampled_from(
    [
        "utf-8",
        "utf-16",
        "latin-1",
        "rot13",
        "zip",
        "idna",
        "unicode_escape",
        "no such",
        "cp9",
        '"',
        "",
    ]
)


@pytest.fixture(params=OURS)
def ours(request: pytest.FixtureRequest) -> Way:
    """Each client of ours."""
    return Way(request.param)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    """Each way in turn."""
    return Way(request.param)


def refusal(way: Way, body: Any, *, status: int = 400, **headers: str) -> ProviderError:
    """What this body raises; and its one record."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    reads = [body] if isinstance(body, bytes) else body
    record = way.read("chat", reads, status=status, headers=sent)
    assert record.outcome is Outcome.REJECTED
    assert isinstance(way.raised, ProviderError)
    return way.raised


@pytest.mark.parametrize("coding", PACK)
def test_every_coding_is_taken_off(ours: Way, coding: str) -> None:
    """What the HTTP library can take off, where its own packages are installed."""
    assert refusal(ours, PACK[coding](SAID), content_encoding=coding).code == "some_code"


@pytest.mark.parametrize("coding", ["compress", "gzip", "br", "zstd", "gzip, gzip, gzip, gzip"])
def test_a_coding_that_cannot_be_taken_off_is_named(ours: Way, coding: str) -> None:
    """Nothing is shown of what is packed, and the error says why."""
    error = refusal(ours, SAID, content_encoding=coding)
    assert f"its content-encoding is {coding!r}" in str(error)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_is_not_set_off(ours: Way, coding: str) -> None:
    """A body that unpacks to 16 MB takes a few, most of them the unpacker's."""
    bomb = PACK[coding](b"a" * 16_000_000)
    tracemalloc.start()
    try:
        error = refusal(ours, bomb, content_encoding=coding)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(str(error.body)) == MOST_BYTES
    assert peak < 4_000_000


def test_an_endless_body_is_left(ours: Way) -> None:
    """After 64 KB, of which the error keeps all and the message a line."""
    taken = [0]

    def endless() -> Iterator[bytes]:
        while True:
            taken[0] += 1
            yield b"a" * 1000

    error = refusal(ours, endless())
    assert error.body == "a" * MOST_BYTES
    assert len(str(error)) < 1000
    assert taken[0] < 100


def test_a_body_in_drops_is_left(ours: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """When its time is up."""
    monkeypatch.setattr(guard, "_MOST_SECONDS", 0.0)
    assert refusal(ours, [b"first ", b"second"]).body == "first "


def test_what_is_read_of_a_tracked_refusal_is_bounded() -> None:
    """The SDK reads it all, as it does untracked; nothing more is made of that here."""
    response = http.Response(400, content=b"a" * 10_000_000)
    tracemalloc.start()
    try:
        text = text_of(response)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(text), peak < 1_000_000) == (MOST_BYTES, True)


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        (None, "utf-8"),
        ("application/json", "utf-8"),
        ("text/plain; charset=ISO-8859-1", "ISO-8859-1"),
        ('text/plain; charset="utf-16"', "utf-16"),
        ("text/plain; charset=rot13", "utf-8"),
        ("text/plain; charset=zip", "utf-8"),
        ("text/plain; charset=punycode", "utf-8"),
        ("text/plain; charset=cp99999", "utf-8"),
        ("text/plain; charset=", "utf-8"),
    ],
)
def test_which_charset_is_believed(content_type: str | None, charset: str) -> None:
    """One that is a character set. Python's other codecs are none."""
    assert charset_of(content_type) == charset


@settings(max_examples=25)
@given(
    body=st.binary(max_size=80), coding=ANY_CODING, charset=ANY_CHARSET, status=st.integers(0, 3)
)
def test_whatever_a_refusal_is_it_is_ours(
    body: bytes, coding: str, charset: str, status: int
) -> None:
    """One record and one error of our tree, from any head and any body."""
    headers = {"content-type": f"text/plain; charset={charset}", "content-encoding": coding}
    way = Way("Client")
    record = way.read("chat", [body], status=(400, 401, 404, 500)[status], headers=headers)
    assert record.outcome is Outcome.REJECTED
    assert isinstance(way.raised, UsageStreamError)
    assert record.model_validate_json(record.model_dump_json()) == record


@given(st.binary(max_size=200), ANY_CODING)
def test_unpacking_never_fails_nor_floods(data: bytes, coding: str) -> None:
    """Whatever the bytes and whatever they are called."""
    assert len(plain(data, coding)) <= MOST_BYTES


HEADERS = {"Ocp-Apim-Subscription-Key": "sk-of-the-gateway"}


def test_the_tracked_callers_exception_is_the_sdks(way: Way) -> None:
    """With its own words, in which nothing is covered: they are his."""
    said = json.dumps({"error": {"message": "Wrong key sk-of-four-ways.", "code": "c"}}).encode()
    record = way.read("chat", [said], status=401, headers={})
    assert record.error is not None
    assert "sk-of-four-ways" not in record.model_dump_json()
    assert ("sk-of-four-ways" in str(way.raised)) is way.name.startswith("track")
    assert isinstance(way.raised, openai.AuthenticationError) is way.name.startswith("track")


def test_a_body_that_breaks_off_is_let_go() -> None:
    """As the library does it, where it reads a body itself: the exception is its own."""
    broken = http.ReadError("gone")
    request = http.Request("GET", "http://four.test/")
    sync = guard.guarded(client_of(lambda _: streamed([SAID], breaks=broken, status=400)))
    with pytest.raises(http.ReadError):
        sync.send(request)
    sync.close()

    async def whole() -> None:
        reply = streamed([SAID], breaks=broken, asynchronous=True)
        client = guard.guarded(client_of(lambda _: reply, asynchronous=True))
        with pytest.raises(http.ReadError):
            await client.send(request)
        assert reply.is_closed
        await client.aclose()

    asyncio.run(whole())
