"""What a local server takes: from whom, how much, how long, from how many at once."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from starlette.requests import Request
from starlette.responses import Response
from tests._support.sdk_http import http

from usagestream_adapters.emulator import Emulator
from usagestream_adapters.local.bounds import Bounds, is_loopback
from usagestream_adapters.local.server import LocalServer
from usagestream_adapters.local.service import LocalService
from usagestream_adapters.replay import Replay, ReplayServer

CASSETTES = Path(__file__).parents[2] / "cassettes"
MIB = 1024 * 1024
WHOLE = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the size of what was sent."""
    body = await Request(scope, receive).body()
    await Response(str(len(body)))(scope, receive, send)


@contextmanager
def serving(**bounds: Any) -> Generator[LocalServer]:
    """Serve with these bounds."""
    server = LocalServer(echo, "127.0.0.1", 0, name="test", bounds=Bounds(**bounds))
    try:
        yield server
    finally:
        server.stop()


def connect(port: int) -> socket.socket:
    """Open a connection."""
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def ask(port: int, head: str, body: bytes = b"", *, host: str = "127.0.0.1") -> bytes:
    """Send a request as it stands; give all that comes back."""
    with connect(port) as connection:
        sent = f"{head} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n"
        connection.sendall(f"{sent}content-length: {len(body)}\r\n\r\n".encode() + body)
        return rest(connection)


def rest(connection: socket.socket) -> bytes:
    """Read to the end."""
    read = b""
    try:
        while data := connection.recv(65536):
            read += data
    except ConnectionResetError:
        pass
    return read


def status(answer: bytes) -> int:
    """The status of an answer."""
    return int(answer.split(b" ", 2)[1])


@pytest.fixture(params=["emulator", "replay"])
def service(request: pytest.FixtureRequest) -> Iterator[LocalService]:
    """Either server that people start."""
    made = (
        Emulator(max_body=2000)
        if request.param == "emulator"
        else ReplayServer(Replay(CASSETTES / "openai" / "plain-answer.yaml"), max_body=2000)
    )
    with made as running:
        yield running


def port_of(service: LocalService) -> int:
    """Where it is."""
    return int(service.url.rpartition(":")[2])


def test_a_body_that_is_too_large_is_refused(service: LocalService) -> None:
    """By what it declares, and by what comes; one that is not is answered."""
    port = port_of(service)
    assert status(ask(port, "POST /v1/x", b"x" * 2001)) == 413
    chunk = b"7d0\r\n" + b"x" * 2000 + b"\r\n"
    with connect(port) as connection:
        head = b"POST /v1/x HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
        connection.sendall(head + chunk + chunk)
        assert b" 413 " in connection.recv(65536)
    assert status(ask(port, "POST /v1/x", b"x" * 2000)) in (404, 501)


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:80", "localhost.x", "[fe80::1]"]
)
def test_a_name_that_was_made_to_point_here_is_refused(service: LocalService, host: str) -> None:
    """A page whose name's address changes to 127.0.0.1 asks with its own name."""
    answer = ask(port_of(service), "POST /v1/chat/completions", b"{}", host=host)
    assert status(answer) == 421
    assert host in json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"]


@pytest.mark.parametrize(
    "host", ["localhost:8765", "LOCALHOST", "127.9.9.9", "[::1]:80", "a.localhost"]
)
def test_the_machine_s_own_names_are_answered(service: LocalService, host: str) -> None:
    """With and without a port."""
    assert status(ask(port_of(service), "GET /nothing", host=host)) in (404, 501)


def test_where_others_were_let_in_any_name_is_answered() -> None:
    """As a container's is."""
    with Emulator(host="0.0.0.0") as server:
        assert status(ask(port_of(server), "GET /nothing", host="emulator")) == 404


def test_ipv6_is_served() -> None:
    """And its address is one that a client can take."""
    with Emulator(host="::1") as server:
        assert server.url.startswith("http://[::1]:")
    assert is_loopback("::1")
    assert not is_loopback("10.0.0.1")


def test_a_head_that_is_too_large_is_refused() -> None:
    """And what is no HTTP at all."""
    with serving(head=1000) as server:
        with connect(server.port) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 3000)
            assert status(rest(connection)) == 431
        with connect(server.port) as connection:
            connection.sendall(b"\x00\x01\x02\r\n\r\n")
            assert status(rest(connection)) == 400


@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"POST / HTTP/1.1\r\nhost: loc",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nabc",
        WHOLE + b"GET / HT",
        WHOLE + b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nabc",
    ],
)
def test_half_a_request_is_not_waited_for_without_an_end(half: bytes) -> None:
    """Nothing, half a head, half a body; at first, and after a whole one."""
    with serving(patience=0.2) as server, connect(server.port) as connection:
        connection.sendall(half)
        assert b" 408 " in rest(connection).split(b"\r\n\r\n")[-2]


def test_an_answer_that_has_begun_is_cut_off_without_another() -> None:
    """Where the rest of the request never comes."""

    async def begin(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    server = LocalServer(begin, "127.0.0.1", 0, name="test", bounds=Bounds(patience=0.2))
    try:
        with connect(server.port) as connection:
            head = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nabc"
            connection.sendall(head)
            answer = rest(connection)
    finally:
        server.stop()
    assert status(answer) == 200
    assert b"begun" in answer
    assert b" 408 " not in answer


def test_what_comes_drop_by_drop_is_not_waited_for_either() -> None:
    """Each drop is no new beginning."""
    with serving(patience=0.3) as server, connect(server.port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 900\r\n\r\n")
        with pytest.raises(OSError):
            drip(connection, until=time.monotonic() + 30)


def drip(connection: socket.socket, until: float) -> None:
    """Send a byte now and then."""
    while time.monotonic() < until:
        connection.sendall(b"x")
        time.sleep(0.02)


def test_a_server_full_of_half_requests_still_answers() -> None:
    """The one that has waited longest makes room."""
    with serving(connections=5) as server, ExitStack() as stack:
        half = [stack.enter_context(connect(server.port)) for _ in range(40)]
        for connection in half[20:]:
            connection.sendall(b"POST / HTTP/1.1\r\nhost: localhost\r\n")
        assert status(ask(server.port, "POST /", b"abc")) == 200
        assert status(rest(half[0])) == 503


def test_a_server_full_of_whole_requests_refuses_one_more() -> None:
    """None of them is cut off for it."""
    held = threading.Semaphore(0)

    async def hold(scope: Any, receive: Any, send: Any) -> None:
        await Request(scope, receive).body()
        held.release()
        await receive()  # Until the client is gone.

    server = LocalServer(hold, "127.0.0.1", 0, name="test", bounds=Bounds(connections=2))
    try:
        with ExitStack() as stack:
            for _ in range(2):
                connection = stack.enter_context(connect(server.port))
                connection.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
                assert held.acquire(timeout=60)
            assert status(rest(stack.enter_context(connect(server.port)))) == 503
    finally:
        server.stop()


def test_a_connection_is_kept_for_longer_than_clients_keep_theirs() -> None:
    """Closed at the moment at which it is used again, it would be an error now and then."""

    async def of_aiohttp() -> float:
        async with aiohttp.TCPConnector() as connector:
            return float(vars(connector)["_keepalive_timeout"])

    pooled = http.Limits().keepalive_expiry
    assert pooled is not None
    with serving() as server:
        kept = vars(server)["_server"].config.timeout_keep_alive
    assert kept > pooled
    assert kept > asyncio.run(of_aiohttp())


@pytest.mark.parametrize("kind", ["emulator", "replay"])
def test_large_bodies_take_bounded_memory(kind: str) -> None:
    """Refused ones, and those that are kept in the log: the memory is measured."""
    service = (
        Emulator()
        if kind == "emulator"
        else ReplayServer(Replay(CASSETTES / "openai" / "plain-answer.yaml"))
    )
    piece = b"x" * MIB
    with service as running:
        port = port_of(running)
        tracemalloc.start()
        try:
            with connect(port) as connection:
                connection.sendall(
                    b"POST /v1/x HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
                )
                for _ in range(60):
                    connection.sendall(b"100000\r\n" + piece + b"\r\n")
                assert b" 413 " in connection.recv(65536)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 70 * MIB


def test_the_log_forgets_the_oldest() -> None:
    """By the size of the bodies: 64 MiB are kept, not all of them; JSON that swells is not read."""
    body = json.dumps({"a": "x" * (15 * MIB)}).encode()
    with Emulator() as server:
        for _ in range(6):
            ask(port_of(server), "POST /v1/x", body)
        assert len(server.requests) == 4
        ask(port_of(server), "POST /v1/y", b"[" + b"[]," * (5 * MIB) + b"1]")
        assert server.requests[-1].body is None
        assert server.requests[-1].path == "/v1/y"
