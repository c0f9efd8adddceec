"""Starting, stopping, and what the server remembers."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

import usagestream_adapters.emulator as package
from usagestream_adapters.emulator import (
    DEMO_QUESTION,
    Emulator,
    ReceivedRequest,
    Scenario,
    scenarios,
)
from usagestream_adapters.emulator._journal import Journal
from usagestream_adapters.emulator.app import EmulatorApp

Post = Callable[..., httpx2.Response]
SERVER = "usagestream_adapters.emulator.server"
DEMO = [{"role": "user", "content": DEMO_QUESTION}]


def test_start_and_stop_many_times(http: httpx2.Client) -> None:
    """Emulators come and go quickly, and leave no thread and no port behind."""
    before = set(threading.enumerate())
    started = time.monotonic()
    emulator = Emulator()
    for _ in range(20):
        with emulator:
            assert http.get(emulator.url).status_code == 404
    assert time.monotonic() - started < 60
    assert set(threading.enumerate()) <= before
    gc.collect()


def test_two_at_once(http: httpx2.Client) -> None:
    """Emulators share nothing."""
    with Emulator(scenario=scenarios.plain) as one, Emulator() as two:
        assert one.url != two.url
        http.get(one.url)
        assert (len(one.requests), len(two.requests)) == (1, 0)


def test_fixed_port() -> None:
    """A port may be chosen; one that is taken is an error on entry."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            Emulator(port=port).start()
    with Emulator(port=port) as emulator:
        assert emulator.url == f"http://127.0.0.1:{port}"


def test_life_cycle() -> None:
    """An address needs a running server; starting twice is a mistake, stopping twice is not."""
    emulator = Emulator()
    with pytest.raises(RuntimeError, match="not running"):
        _ = emulator.url
    with emulator, pytest.raises(RuntimeError, match="already"):
        emulator.start()
    emulator.stop()


def test_addresses(server: Emulator) -> None:
    """Each surface has its address."""
    assert server.openai_base_url == f"{server.url}/v1"
    assert server.azure_endpoint == server.url
    assert server.azure_v1_base_url == f"{server.url}/openai/v1"


def test_stopping_closes_open_streams(http: httpx2.Client) -> None:
    """Stopping does not wait for clients, nor count them as having left."""
    with Emulator(scenario=scenarios.stalled) as emulator:
        url = emulator.openai_base_url + "/chat/completions"
        body = {"model": "m", "messages": DEMO, "stream": True}
        with http.stream("POST", url, json=body, headers={"authorization": "Bearer k"}):
            assert not emulator.wait_idle(0.05)
            started = time.monotonic()
            emulator.stop()
            assert time.monotonic() - started < 30
    assert (emulator.open_connections, emulator.disconnects) == (0, 0)


def test_serve_forever_until_stopped() -> None:
    """Serving lasts until someone stops it, and tells when it has begun."""
    urls: list[str] = []
    emulator = Emulator()

    def ready(running: Emulator) -> None:
        urls.append(running.url)
        threading.Timer(0.05, running.stop).start()

    emulator.serve_forever(ready)
    assert len(urls) == 1


def test_serve_forever_until_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends it without an error."""

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("usagestream_adapters.local.server.LocalServer.wait", interrupt)
    emulator = Emulator()
    emulator.serve_forever()
    with pytest.raises(RuntimeError, match="not running"):
        _ = emulator.url


def test_a_server_that_fails_to_start_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the thread dies, whoever waits for it is let go."""
    seen: list[object] = []
    monkeypatch.setattr(threading, "excepthook", seen.append)

    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr("usagestream_adapters.local.server._Server.serve", fail)
    with pytest.raises(RuntimeError, match="did not start"):
        Emulator().start()
    assert len(seen) == 1


def test_script_in_order(post: Post, server: Emulator) -> None:
    """Scripted scenarios answer one request each; then the default answers again."""
    server.script(Scenario(text="first"), Scenario(text="second"))
    said = [
        post(stream=None, messages=DEMO).json()["choices"][0]["message"]["content"]
        for _ in range(3)
    ]
    assert said == ["first", "second", "Two"]


def test_refused_requests_do_not_use_the_script(post: Post, server: Emulator) -> None:
    """A request that is turned away at the door leaves the script alone."""
    server.script(Scenario(text="kept"))
    assert post(headers={}).status_code == 401
    assert "kept" in post(stream=None).text


def test_requests_are_logged(post: Post, server: Emulator) -> None:
    """The log has what was sent, also of requests that were refused or not JSON."""
    post("azure", seed=7)
    post(content="nonsense")
    first, second = server.requests
    assert (first.method, first.query) == ("POST", {"api-version": "2024-10-21"})
    assert first.path == "/openai/deployments/chat-mini/chat/completions"
    assert (first.headers["api-key"], first.body["seed"]) == ("some-key", 7)
    assert second.body is None


def test_no_credential_in_a_repr() -> None:
    """What is logged can be printed without printing secrets."""
    headers = {"authorization": "Bearer s3cret", "api-key": "s3cret", "accept": "*/*"}
    request = ReceivedRequest(method="POST", path="/", query={}, headers=headers, body=None)
    assert "s3cret" not in repr(request)
    assert "'accept': '*/*'" in repr(request)


def test_many_threads(post: Post, server: Emulator) -> None:
    """Many clients at once get each their own answer, and all are logged."""
    server.script(*[Scenario(text=str(i)) for i in range(40)])
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(post, stream=None) for _ in range(40)]
    said = {a.result().json()["choices"][0]["message"]["content"] for a in asked}
    assert said == {str(i) for i in range(40)}
    assert len(server.requests) == 40


def test_connections_are_kept_alive(post: Post, server: Emulator) -> None:
    """A connection serves several streams, one after another."""
    assert [post(messages=DEMO).status_code for _ in range(3)] == [200] * 3
    assert server.wait_idle()


def test_exports() -> None:
    """What is exported exists, and every ready scenario is one."""
    assert all(hasattr(package, name) for name in package.__all__)
    found = {name for name, value in vars(scenarios).items() if isinstance(value, Scenario)}
    assert found == set(scenarios.__all__)


def test_what_is_no_way_to_ask_for_an_answer(http: httpx2.Client) -> None:
    """Another method, and cancelling what cannot be: not found, as any wrong path."""
    with Emulator() as server:
        headers = {"authorization": "Bearer key"}
        path = f"{server.openai_base_url}/chat/completions"
        asked = {"model": "gpt-4o-mini", "store": True, "messages": DEMO}
        kept = http.post(path, json=asked, headers=headers).json()["id"]
        assert http.get(f"{path}/{kept}", headers=headers).json()["id"] == kept
        assert http.put(f"{path}/{kept}", headers=headers).status_code == 404
        assert http.post(f"{path}/{kept}/cancel", headers=headers).status_code == 404


def test_a_client_that_goes_before_its_request_is_whole() -> None:
    """There is nobody to answer."""
    answered: list[object] = []

    async def gone() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async def answer(message: object) -> None:
        answered.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "headers": [],
        "query_string": b"",
    }
    journal = Journal(scenarios.plain)
    app: Any = EmulatorApp(journal, None)
    asyncio.run(app(scope, gone, answer))
    assert answered == []
