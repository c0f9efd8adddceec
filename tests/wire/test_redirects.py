"""A redirect is followed where the request stays what it is and at its origin, and nowhere else."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import openai
import pytest
from tests._support.chat import HELLO
from tests._support.sdk_http import http

from usagestream import (
    AsyncClient,
    AzureProfile,
    Client,
    OpenAIProfile,
    Outcome,
    Profile,
    ProviderError,
    UsageRecord,
    track,
)
from usagestream_adapters.sdk.guard import guarded
from usagestream_adapters.sdk.redirects import where_to

SECRET = "gateway-key-0123456789"
HEADERS = {"Ocp-Apim-Subscription-Key": SECRET}
ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


class Origin(ThreadingHTTPServer):
    """A server that redirects what begins with a status, and answers the rest."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.target = ""
        self.address = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Each request is kept with its headers."""

    protocol_version = "HTTP/1.1"
    server: Origin  # pyright: ignore[reportIncompatibleVariableOverride]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Say nothing."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        names = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.command, self.path, names))
        status = self.path.split("/")[1]
        body = HELLO
        if status.isdigit():
            self.send_response(int(status))
            rest = self.path.removeprefix(f"/{status}").partition("?")[0]
            self.send_header("location", f"{self.server.target}{rest}?sig={SECRET}")
            body = b"moved"
        else:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def origins() -> Iterator[tuple[Origin, Origin]]:
    """The provider's, which redirects, and somebody else's."""
    servers = Origin(), Origin()
    threads = [threading.Thread(target=each.serve_forever, args=(0.01,)) for each in servers]
    for thread in threads:
        thread.start()
    yield servers
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        thread.join()
        server.server_close()


def openai_at(address: str, **more: Any) -> Profile:
    """A profile that sends a gateway's key along."""
    return OpenAIProfile(api_key="k" * 12, base_url=address, headers=HEADERS, **more)


def azure_at(address: str, **more: Any) -> Profile:
    """The same for Azure."""
    return AzureProfile(
        api_key="k" * 12, endpoint=address, headers=HEADERS, api_version="2024-10-21", **more
    )


def by_client(profile: Profile, **more: Any) -> list[UsageRecord]:
    """Ask through `Client`."""
    records: list[UsageRecord] = []
    with Client(profile, on_record=records.append, **more) as client:
        client.stream(**ASK).drain()
    return records


def by_async_client(profile: Profile, **more: Any) -> list[UsageRecord]:
    """Ask through `AsyncClient`."""
    records: list[UsageRecord] = []

    async def ask() -> None:
        async with AsyncClient(profile, on_record=records.append, **more) as client:
            await client.stream(**ASK).drain()

    asyncio.run(ask())
    return records


def own_http(profile: Profile) -> list[UsageRecord]:
    """Ask through an HTTP client of the caller's that would go anywhere."""
    with http.Client(follow_redirects=True) as mine:
        return by_client(profile, http_client=mine)


WAYS: dict[str, Callable[[str], list[UsageRecord]]] = {
    "Client": lambda address: by_client(openai_at(address)),
    "Client, Azure": lambda address: by_client(azure_at(address)),
    "own HTTP client": lambda address: own_http(openai_at(address)),
    "AsyncClient": lambda address: by_async_client(openai_at(address)),
    "AsyncClient, Azure": lambda address: by_async_client(azure_at(address)),
    "aiohttp": lambda address: by_async_client(openai_at(address, async_http="aiohttp")),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nothing_is_sent_to_another_origin(
    origins: tuple[Origin, Origin], way: str, status: int
) -> None:
    """The error says where the request was to go, without what is secret there."""
    provider, other = origins
    provider.target = other.address
    with pytest.raises(ProviderError) as caught:
        WAYS[way](f"{provider.address}/{status}")
    assert other.seen == []
    assert len(provider.seen) == 1
    assert f"redirects the request ({status}) to {other.address}/" in str(caught.value)
    assert caught.value.status == status
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", [307, 308])
def test_at_the_same_origin_it_is_followed(
    origins: tuple[Origin, Origin], way: str, status: int
) -> None:
    """With all that the first request had: a slash that is missing is no reason to fail."""
    provider, _ = origins
    provider.target = provider.address
    (record,) = WAYS[way](f"{provider.address}/{status}/{status}")
    assert record.outcome is Outcome.COMPLETED
    assert [method for method, _, _ in provider.seen] == ["POST"] * 3
    assert {each["ocp-apim-subscription-key"] for _, _, each in provider.seen} == {SECRET}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_question_never_becomes_another(
    origins: tuple[Origin, Origin], way: str, status: int
) -> None:
    """These make a GET of a POST, which would succeed at something else."""
    provider, _ = origins
    provider.target = provider.address
    with pytest.raises(ProviderError, match="which is not followed"):
        WAYS[way](f"{provider.address}/{status}")
    assert len(provider.seen) == 1


def test_a_circle_ends(origins: tuple[Origin, Origin]) -> None:
    """After as many as the HTTP library follows."""
    provider, _ = origins
    provider.target = f"{provider.address}/307"
    with pytest.raises(ProviderError, match="redirects the request"):
        by_client(openai_at(f"{provider.address}/307"))
    assert len(provider.seen) == 21


def test_who_follows_none_is_left_in_peace(origins: tuple[Origin, Origin]) -> None:
    """An HTTP client of the caller's may be set so."""
    provider, _ = origins
    provider.target = provider.address
    with http.Client() as mine, pytest.raises(ProviderError, match="redirects the request"):
        by_client(openai_at(f"{provider.address}/307"), http_client=mine)


async def value(given: Any) -> Any:
    """What an async client is awaited for."""
    return await given if inspect.isawaitable(given) else given


async def asked(client: Any) -> None:
    """Ask an SDK client, of either kind, for a stream."""
    stream = await value(client.chat.completions.create(**ASK, stream=True))
    if hasattr(stream, "__aiter__"):
        _ = [each async for each in stream]
    else:
        list(stream)


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("same", [False, True])
def test_tracked_clients_alike(
    origins: tuple[Origin, Origin], asynchronous: bool, same: bool
) -> None:
    """The SDK's own error has a note of it, and the record says it."""
    provider, other = origins
    provider.target = provider.address if same else other.address
    records: list[UsageRecord] = []

    async def ask() -> None:
        kind: Any = openai.AsyncOpenAI if asynchronous else openai.OpenAI
        made = kind(api_key="k", base_url=f"{provider.address}/307", default_headers=HEADERS)
        client = track(made, on_record=records.append)
        try:
            await asked(client)
        finally:
            await value(client.close())

    if same:
        asyncio.run(ask())
        assert records[0].outcome is Outcome.COMPLETED
        return
    with pytest.raises(openai.APIStatusError) as caught:
        asyncio.run(ask())
    assert other.seen == []
    (record,) = records
    assert record.outcome is Outcome.REJECTED
    assert record.error is not None
    for said in (record.error.message, *caught.value.__notes__):
        assert said is not None
        assert f"redirects the request (307) to {other.address}" in said
        assert SECRET not in said


@pytest.mark.parametrize("asynchronous", [False, True])
def test_other_endpoints_of_a_tracked_client_pass_through(
    origins: tuple[Origin, Origin], asynchronous: bool
) -> None:
    """They are the SDK's business."""
    provider, other = origins
    provider.target = other.address

    async def ask() -> None:
        kind: Any = openai.AsyncOpenAI if asynchronous else openai.OpenAI
        client = track(kind(api_key="k", base_url=f"{provider.address}/307"))
        await value(client.files.content("file-1"))
        await value(client.close())

    asyncio.run(ask())
    assert [path.partition("?")[0] for _, path, _ in other.seen] == ["/files/file-1/content"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_get_goes_elsewhere_without_its_headers(
    origins: tuple[Origin, Origin], asynchronous: bool
) -> None:
    """Nothing that a client sends along leaves its origin."""
    provider, other = origins
    provider.target = other.address

    async def ask() -> None:
        kind = http.AsyncClient if asynchronous else http.Client
        client = guarded(kind(follow_redirects=True, headers=HEADERS, cookies={"a": "b"}))
        assert (await value(client.get(f"{provider.address}/307/x"))).status_code == 200
        close = client.aclose if asynchronous else client.close
        await value(close())

    asyncio.run(ask())
    ((_, _, headers),) = other.seen
    assert set(headers) <= {"host", "accept", "accept-encoding", "connection", "user-agent"}
    assert "ocp-apim-subscription-key" in provider.seen[0][2]


def test_a_redirect_to_what_is_no_address() -> None:
    """It is shown as it came."""
    response = http.Response(307, headers={"location": "http://[/?k=secret"})
    assert where_to(response) == "http://[/"
    assert where_to(http.Response(200)) is None
