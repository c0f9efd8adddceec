"""Cassettes over HTTP: connections that break where they did, and clients that leave."""

from __future__ import annotations

import http.client
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from usagestream import Client, StreamInterruptedError
from usagestream_adapters.replay import Replay, ReplayServer, stall

from .conftest import ASK, TEXT, openai


def ended(good: Path, how: str, folder: Path) -> Path:
    """A cassette whose answer ended in another way."""
    file = folder / "ended.yaml"
    text = good.read_text("utf-8").replace("ended: complete", f"ended: {how}")
    file.write_text(text, "utf-8")
    return file


@pytest.mark.parametrize(
    ("how", "raised"),
    [
        ("RemoteProtocolError", "RemoteProtocolError"),
        ("ReadError", "ReadError"),
        ("left", "ReadError"),
        pytest.param("ReadTimeout", "ReadTimeout", marks=pytest.mark.slow),
    ],
)
def test_a_connection_ends_as_it_was_recorded(
    good: Path, tmp_path: Path, how: str, raised: str
) -> None:
    """Closed, reset, or silent: after all that was recorded."""
    with (
        ReplayServer(Replay(ended(good, how, tmp_path))) as server,
        Client(openai(server.openai_base_url, timeout=1.0)) as client,
        client.stream(**ASK) as stream,
    ):
        # What comes after `[DONE]` changes nothing, so the connection itself is looked at.
        assert stream.text() == TEXT
    body = yaml.safe_load(good.read_text("utf-8"))["interactions"][0]["request"]["body"]
    with ReplayServer(Replay(ended(good, how, tmp_path))) as server:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=1.0)
        connection.request("POST", "/v1/chat/completions", body.encode())
        expected = {
            "RemoteProtocolError": http.client.IncompleteRead,
            "ReadError": ConnectionResetError,
            "ReadTimeout": TimeoutError,
        }
        response = connection.getresponse()
        with pytest.raises(expected[raised]):
            response.read()
        connection.close()


def test_a_client_that_leaves_is_not_waited_for(good: Path) -> None:
    """Between frames."""
    slow = Replay(good, faults=[stall(60.0, after=2)])
    with (
        ReplayServer(slow) as server,
        Client(openai(server.openai_base_url, timeout=1.0)) as client,
    ):
        stream = client.stream(**ASK)
        with pytest.raises(StreamInterruptedError):
            stream.drain()
        time.sleep(0.1)
    assert not [each for each in threading.enumerate() if each.name == "usagestream-replay"]


def test_a_client_that_leaves_before_the_head(good: Path, tmp_path: Path) -> None:
    """And one that leaves before its request is whole."""
    file = tmp_path / "late.yaml"
    document = yaml.safe_load(good.read_text("utf-8"))
    (interaction,) = document["interactions"]
    interaction["timing"].update(head=60.0, end=61.0)
    file.write_text(yaml.dump(document), "utf-8")
    with ReplayServer(Replay(file, pace="recorded")) as server:
        for length in (len(interaction["request"]["body"].encode()), 10_000):
            connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
            connection.putrequest("POST", "/v1/chat/completions")
            connection.putheader("content-length", str(length))
            connection.endheaders(interaction["request"]["body"].encode())
            time.sleep(0.2)
            connection.close()
        time.sleep(0.1)


def test_it_serves_until_interrupted(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends it quietly; `on_ready` is optional."""

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("usagestream_adapters.local.server.LocalServer.wait", interrupt)
    server = ReplayServer(Replay(good))
    addresses: list[str] = []
    server.serve_forever(lambda running: addresses.append(running.url))
    server.serve_forever()
    assert addresses[0].startswith("http://127.0.0.1:")


def test_it_runs_once_at_a_time(good: Path) -> None:
    """Its address is known while it runs."""
    server = ReplayServer(Replay(good))
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.url
    with server:
        assert server.azure_endpoint == server.url
        with pytest.raises(RuntimeError, match="running already"):
            server.__enter__()
    server.__exit__(None, None, None)
