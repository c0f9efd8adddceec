"""What may go wrong on the way, and what a client sees of it."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable

import httpx2
import pytest

from usagestream_adapters.emulator import Emulator, Scenario, scenarios

Post = Callable[..., httpx2.Response]
BODY = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Hello"}],
    "stream": True,
}
AUTH = {"authorization": "Bearer k"}


def until_fault(http: httpx2.Client, server: Emulator) -> tuple[str, Exception | None]:
    """Return the text that came through, and what then went wrong."""
    got = ""
    url = server.openai_base_url + "/chat/completions"
    with http.stream("POST", url, json=BODY, headers=AUTH) as response:
        try:
            for piece in response.iter_text():
                got += piece
        except httpx2.TransportError as exc:
            return got, exc
    return got, None


def test_cut_clean(http: httpx2.Client, server: Emulator) -> None:
    """A clean cut is no error to HTTP: the body just ends too soon."""
    server.script(scenarios.broken_off)
    got, error = until_fault(http, server)
    assert error is None
    assert got.count("data: ") == 3
    assert "[DONE]" not in got


def test_cut_before_the_first_frame(http: httpx2.Client, server: Emulator) -> None:
    """Nothing but the headers may come."""
    server.script(Scenario(cut_after_frames=0))
    assert until_fault(http, server) == ("", None)


def test_dropped(http: httpx2.Client, server: Emulator) -> None:
    """A dropped connection leaves the chunked body incomplete, after what was sent."""
    server.script(scenarios.dropped)
    got, error = until_fault(http, server)
    assert isinstance(error, httpx2.RemoteProtocolError)
    assert "incomplete chunked read" in str(error)
    assert got.count("data: ") == 3


def test_reset(http: httpx2.Client, server: Emulator) -> None:
    """A reset is a read error to the client."""
    server.script(scenarios.reset)
    got, error = until_fault(http, server)
    assert isinstance(error, httpx2.ReadError)
    assert got.count("data: ") == 3
    assert server.wait_idle()
    assert server.disconnects == 0


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [scenarios.stalled, scenarios.held_after_done])
def test_silence(http: httpx2.Client, server: Emulator, scenario: Scenario) -> None:
    """The connection stays open and silent, until the client goes away."""
    server.script(scenario)
    url = server.openai_base_url + "/chat/completions"
    started = time.monotonic()
    with http.stream("POST", url, json=BODY, headers=AUTH, timeout=1.0) as response:
        got = ""
        with contextlib.suppress(httpx2.ReadTimeout):
            for piece in response.iter_text():
                got += piece
                assert server.open_connections == 1
    assert time.monotonic() - started > 0.9
    assert ("[DONE]" in got) == (scenario is scenarios.held_after_done)
    assert server.wait_idle()
    assert server.disconnects == 1


def test_client_leaves_early(http: httpx2.Client, server: Emulator) -> None:
    """A client that leaves in the middle is noticed during a pause."""
    server.script(Scenario(text="one two three four five", delay=30))
    url = server.openai_base_url + "/chat/completions"
    with http.stream("POST", url, json=BODY, headers=AUTH) as response:
        pieces = response.iter_text()
        assert next(pieces).startswith("data: ")
        assert not server.wait_idle(0.01)
    assert server.wait_idle()
    assert server.disconnects == 1


def test_delay(http: httpx2.Client, server: Emulator) -> None:
    """The pause is made between frames."""
    server.script(Scenario(text=("a", "b"), delay=0.02))
    started = time.monotonic()
    got, _ = until_fault(http, server)
    assert got.count("data: ") == 5
    assert time.monotonic() - started >= 4 * 0.02
    assert server.disconnects == 0


def test_client_leaves_before_its_request_is_whole(server: Emulator, post: Post) -> None:
    """Half a request is neither logged nor an error."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as half:
        half.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")
        time.sleep(0.05)
    assert post().status_code == 200
    assert len(server.requests) == 1


def test_error_in_the_middle(post: Post, server: Emulator) -> None:
    """An error frame ends the body, without `[DONE]`."""
    server.script(Scenario(text="a", error_frame={"error": "boom"}))
    late = post().text
    assert late.endswith('data: {"error":"boom"}\n\n')
    assert "[DONE]" not in late
    assert '"finish_reason":"stop"' in late


def test_error_after_three_frames(post: Post, server: Emulator) -> None:
    """The error frame comes after as many frames as the scenario says."""
    server.script(scenarios.error_mid_stream)
    *frames, error, _ = post().text.split("\n\n")
    assert len(frames) == 3
    assert error.startswith("event: error\ndata: ")


def test_faults_are_not_logged(
    http: httpx2.Client, server: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """What the emulator does on purpose is no reason to warn anybody."""
    server.script(scenarios.broken_off, scenarios.dropped, scenarios.reset)
    for _ in range(3):
        until_fault(http, server)
    assert server.wait_idle()
    assert caplog.records == []


def test_raw_frames(post: Post, server: Emulator) -> None:
    """Raw frames are all that is sent: mappings as events, strings as they are."""
    server.script(Scenario(raw_frames=(": ping\n\n", {"choices": []}, "data: [DO")))
    assert post("azure").text == ': ping\n\ndata: {"choices":[]}\n\ndata: [DO'


def test_a_page_instead_of_a_stream(post: Post, server: Emulator) -> None:
    """A 200 may be something else entirely."""
    server.script(scenarios.login_page, Scenario(body='{"error":"no"}'))
    page = post()
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html")
    assert post().headers["content-type"] == "application/json"
