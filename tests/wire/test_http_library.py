"""What the HTTP library makes of the environment and of a server, said so that one can mend it."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path
from typing import Any

import openai
import pytest
from tests._support.chat import HELLO
from tests._support.sdk_http import client_of, http
from tests._support.worlds import ASK, World

from usagestream import (
    AsyncClient,
    BadRequestError,
    Client,
    ConfigError,
    NotAStreamError,
    OpenAIProfile,
    UsageRecord,
    track,
)
from usagestream_adapters.openai import OpenAIAdapter
from usagestream_adapters.sdk.http_library import explained, unread_encoding

PROFILE = OpenAIProfile(api_key="k" * 12, base_url="http://127.0.0.1:9/v1")
SECRET = "proxy-password"
NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's own."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def failing(*, asynchronous: bool, profile: OpenAIProfile = PROFILE) -> ConfigError:
    """What asking raises before anything is sent."""

    async def ask() -> None:
        async with AsyncClient(profile) as client:
            await client.stream(**ASK).drain()

    def ask_at_once() -> None:
        with Client(profile) as client:
            client.stream(**ASK).drain()

    with pytest.raises(ConfigError) as caught:
        asyncio.run(ask()) if asynchronous else ask_at_once()
    return caught.value


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ALL_PROXY", f"socks5://me:{SECRET}@127.0.0.1:9", "ALL_PROXY names a SOCKS proxy"),
        ("https_proxy", f"socks5h://me:{SECRET}@127.0.0.1:9", '[socks]"'),
        ("HTTPS_PROXY", f"foo://me:{SECRET}@h:1", "HTTPS_PROXY (foo://***@h:1) cannot be used"),
        ("SSL_CERT_FILE", "nowhere.pem", "SSL_CERT_FILE names 'nowhere.pem', which cannot be used"),
        ("SSL_CERT_FILE", "empty.pem", "Name a file of certificates in PEM"),
    ],
)
def test_an_environment_that_cannot_work(
    asynchronous: bool,
    name: str,
    value: str,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The variable is named, and what to do; never its password."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.pem").write_text("no certificate\n")
    monkeypatch.setenv(name, value)
    error = failing(asynchronous=asynchronous)
    assert says in str(error)
    assert SECRET not in str(error)


def test_aiohttp_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its transport reads the same environment."""
    monkeypatch.setenv("SSL_CERT_FILE", "nowhere.pem")
    profile = PROFILE.model_copy(update={"async_http": "aiohttp"})
    assert "SSL_CERT_FILE" in str(failing(asynchronous=True, profile=profile))


@pytest.mark.parametrize(
    ("error", "environ"),
    [
        (OSError("no such file"), {}),
        (ImportError("no module named x"), {"ALL_PROXY": "http://h:1"}),
        (ValueError("Unknown scheme for proxy URL"), {"ALL_PROXY": ""}),
        (ValueError("timeout"), {"ALL_PROXY": "http://h:1"}),
    ],
)
def test_what_has_another_cause_is_not_explained(
    error: Exception, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is raised as it is."""
    assert explained(error, environ) is None

    def fail(*_: Any, **__: Any) -> None:
        raise error

    adapter = OpenAIAdapter(PROFILE)
    monkeypatch.setattr(openai, "OpenAI", fail)
    with pytest.raises(type(error), match=str(error)):
        _ = adapter._client  # pyright: ignore[reportPrivateUsage]


def test_a_proxys_password_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is covered wherever it may turn up."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{SECRET}@127.0.0.1:9")
    assert SECRET in OpenAIAdapter(PROFILE).secrets()


@pytest.mark.parametrize("encoding", ["gzip, x-own", "X-Own"])
def test_a_body_that_cannot_be_decompressed(world: World, encoding: str) -> None:
    """How it is compressed is said, and none of it is shown."""
    headers = {"content-type": "text/event-stream", "content-encoding": encoding}
    packed = gzip.compress(b"\x0b\x02\x80") if "gzip" in encoding else b"\x0b\x02\x80" * 9

    def reply(_: Any) -> Any:
        return http.Response(200, headers=headers, content=packed)

    stream = world.ask(PROFILE, reply)
    with pytest.raises(NotAStreamError) as caught:
        stream.drain()
    assert "compressed as 'x-own', which cannot be undone" in str(caught.value)
    assert "\x0b" not in str(caught.value)


def test_a_refusal_that_cannot_be_decompressed() -> None:
    """Likewise."""

    def reply(_: Any) -> Any:
        return http.Response(400, headers={"content-encoding": "x-own"}, content=b"\x0b\x02")

    with (
        Client(PROFILE, http_client=client_of(reply)) as client,
        pytest.raises(BadRequestError, match="A body that is compressed as 'x-own'"),
    ):
        client.stream(**ASK).drain()


def test_a_tracked_call_alike() -> None:
    """Its record says so."""
    records: list[UsageRecord] = []

    def reply(_: Any) -> Any:
        headers = {"content-type": "text/event-stream", "content-encoding": "x-own"}
        return http.Response(200, headers=headers, content=b"\x0b\x02")

    made = openai.OpenAI(api_key="k", base_url="http://h.test/v1", http_client=client_of(reply))
    client = track(made, on_record=records.append)
    list(client.chat.completions.create(**ASK, stream=True))
    (record,) = records
    assert record.error is not None
    assert "compressed as 'x-own'" in str(record.error.message)


def test_what_can_be_decompressed() -> None:
    """Nothing is said of it."""
    for encoding in ("gzip", "deflate", "identity", "GZIP", ""):
        headers = {"content-encoding": encoding}
        assert unread_encoding(http.Response(200, headers=headers)) is None
    assert unread_encoding(http.Response(200, content=HELLO)) is None
