"""Recording while it streams: what reaches the disk, and that it is the same again."""

# What is waited for is looked at before it is waited for.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr
from tests._support.worlds import World

from usagestream import Client, ConfigError, Outcome, ProviderError, StreamError, UsageStream
from usagestream_adapters.azure import AzureProfile
from usagestream_adapters.emulator import Emulator, Scenario
from usagestream_adapters.emulator.errors import rate_limited
from usagestream_adapters.replay import Recorder, RecordingRefusedError, ReplayProfile
from usagestream_adapters.replay._transport import _Waiting

from .conftest import ASK, KEY, TEXT, openai


def recording_client(recorder: Recorder, world: World) -> Any:
    """An HTTP client that is recorded, of the world's kind."""
    made = recorder.async_http_client() if world.asynchronous else recorder.http_client()
    return world.kept(made)


def interactions(path: Path) -> list[Any]:
    """What is in a cassette."""
    found: list[Any] = yaml.safe_load(path.read_text("utf-8"))["interactions"]
    return found


@pytest.mark.slow
def test_reads_reach_the_program_as_they_come(
    world: World, emulator: Emulator, tmp_path: Path
) -> None:
    """Recording does not hold the first chunk back until the last."""
    emulator.script(Scenario(text=TEXT, delay=0.1))
    path = tmp_path / "a.yaml"
    with Recorder(path) as recorder:
        client = recording_client(recorder, world)
        with world.stream(openai(emulator.openai_base_url), http_client=client, **ASK) as stream:
            begun = time.monotonic()
            arrivals = [time.monotonic() - begun for _ in stream]
    assert arrivals[-1] - arrivals[0] > 0.4
    (interaction,) = interactions(path)
    timing = interaction["timing"]
    times = [when for when, _ in timing["reads"]]
    assert times == sorted(times)
    assert times[-1] - times[0] == pytest.approx(arrivals[-1] - arrivals[0], abs=0.2)
    assert 0 < timing["head"] <= times[0]
    assert timing["end"] >= times[-1]
    assert timing["ended"] == "complete"
    body = interaction["response"]["body"]["string"].encode()
    assert sum(size for _, size in timing["reads"]) == len(body)


def test_a_recording_replays_as_it_was(world: World, good: Path) -> None:
    """The same text, the same usage, the same ids: at once."""
    stream = world.stream(ReplayProfile(cassettes=good), **ASK)
    with stream:
        assert stream.text() == TEXT
    (record,) = world.records
    assert record.outcome is Outcome.COMPLETED
    assert record.provider == "replay"
    assert record.endpoint == str(good)
    assert record.usage.source == "reported"
    assert record.request_ids


@pytest.mark.parametrize(("pace", "waited"), [("at_once", False), ("recorded", True)])
def test_pace(
    world: World, good: Path, pace: Any, waited: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pauses that were recorded, or none."""
    pauses: list[float] = []
    within = _Waiting._within

    def noted(waiting: _Waiting, seconds: float) -> tuple[float, bool]:
        pauses.append(seconds)
        return within(waiting, seconds)

    monkeypatch.setattr(_Waiting, "_within", noted)
    begun = time.monotonic()
    stream = world.stream(ReplayProfile(cassettes=good, pace=pace), **ASK)
    with stream:
        stream.drain()
    assert time.monotonic() - begun >= sum(pauses)
    assert (sum(pauses) > 0.1) is waited
    assert waited or not any(pauses)


def test_plain_vcrpy_reads_it(good: Path) -> None:
    """What is kept beside the body is passed over."""
    vcr: Any = importlib.import_module("vcr")  # It has no types.
    recorder = vcr.VCR(record_mode="none", match_on=("method", "path"))
    with (
        recorder.use_cassette(str(good)) as cassette,
        Client(openai("https://api.openai.com/v1")) as client,
        client.stream(**ASK) as stream,
    ):
        assert stream.text() == TEXT
    assert cassette.all_played


@pytest.mark.parametrize(
    ("cut", "ended"), [("drop", "RemoteProtocolError"), ("reset", "ReadError")]
)
def test_a_broken_stream_is_recorded_and_replayed_as_one(
    world: World, emulator: Emulator, tmp_path: Path, cut: Any, ended: str
) -> None:
    """What came is kept, and the same error is raised after it."""
    emulator.script(Scenario(text=TEXT, cut_after_frames=3, cut=cut))
    path = tmp_path / "broken.yaml"
    with Recorder(path) as recorder:
        client = recording_client(recorder, world)
        stream = world.stream(openai(emulator.openai_base_url), http_client=client, **ASK)
        assert until_it_breaks(stream, ended) == "one two"
    again = world.stream(ReplayProfile(cassettes=path), **ASK)
    assert until_it_breaks(again, ended) == "one two"
    assert [each.outcome for each in world.records] == [Outcome.TRUNCATED] * 2
    assert interactions(path)[0]["timing"]["ended"] == ended


def until_it_breaks(stream: UsageStream, error: str) -> str:
    """The text before the error."""
    texts: list[str] = []
    with pytest.raises(StreamError, match=error):
        texts.extend(chunk.text for chunk in stream)
    return "".join(texts)


def test_a_left_stream_is_recorded_as_left(
    world: World, emulator: Emulator, tmp_path: Path
) -> None:
    """And replayed up to there: what would have come is not known."""
    emulator.script(Scenario(text=TEXT, delay=0.2))
    path = tmp_path / "left.yaml"
    with Recorder(path) as recorder:
        client = recording_client(recorder, world)
        stream = world.stream(openai(emulator.openai_base_url), http_client=client, **ASK)
        next(iter(stream))
        stream.close()
    assert interactions(path)[0]["timing"]["ended"] == "left"
    again = world.stream(ReplayProfile(cassettes=path), **ASK)
    next(iter(again))
    again.close()
    assert [each.outcome for each in world.records] == [Outcome.CLOSED] * 2
    with pytest.raises(StreamError, match="left the stream here"):
        world.stream(ReplayProfile(cassettes=path), **ASK).drain()


def test_refusals_are_recorded_with_what_follows(
    world: World, emulator: Emulator, tmp_path: Path
) -> None:
    """A 429 with its headers, then the answer: replayed in turn, and from the first again."""
    limited = Scenario(error=rate_limited(retry_after="0", retry_after_ms="1"))
    emulator.script(limited, Scenario(text=TEXT))
    path = tmp_path / "limited.yaml"
    with Recorder(path) as recorder:
        client = recording_client(recorder, world)
        profile = openai(emulator.openai_base_url, max_retries=1)
        assert world.stream(profile, http_client=client, **ASK).text() == TEXT
    assert [each["response"]["status"]["code"] for each in interactions(path)] == [429, 200]
    again = ReplayProfile(cassettes=path, max_retries=1)
    assert world.stream(again, **ASK).text() == TEXT
    with pytest.raises(ProviderError, match="429"):
        world.stream(ReplayProfile(cassettes=path, max_retries=0), **ASK).drain()


def test_no_secret_reaches_the_disk(world: World, emulator: Emulator, tmp_path: Path) -> None:
    """Of a key in the text too, whose placeholder is shorter: the reads still add up."""
    said = f"The key is {KEY} as you said, and sk-anotherkey999 is not."
    emulator.script(Scenario(raw_frames=[frame("So: "), frame(said), "data: [DONE]\n\n"]))
    path = tmp_path / "secret.yaml"
    with Recorder(path) as recorder:
        client = recording_client(recorder, world)
        stream = world.stream(openai(emulator.openai_base_url), http_client=client, **ASK)
        assert stream.text() == f"So: {said}"
    text = path.read_text("utf-8")
    assert KEY not in text
    assert "sk-anotherkey999" not in text
    assert "https://api.openai.com/v1/chat/completions" in text
    assert "recorded_against: usagestream emulator" in text
    assert "EXAMPLE" in world.stream(ReplayProfile(cassettes=path), **ASK).text()
    (interaction,) = interactions(path)
    size = len(interaction["response"]["body"]["string"].encode())
    assert sum(size for _, size in interaction["timing"]["reads"]) == size
    assert all(size > 0 for _, size in interaction["timing"]["reads"])


def test_a_key_spelt_over_frames_is_refused(emulator: Emulator, tmp_path: Path) -> None:
    """Nothing is written, and the error says why."""
    pieces = ["sk-proj-", "abcdefgh", "ijklmnop"]
    emulator.script(Scenario(raw_frames=[*map(frame, pieces), "data: [DONE]\n\n"]))
    path = tmp_path / "refused.yaml"
    with (
        pytest.raises(RecordingRefusedError, match="spread over its frames"),
        Recorder(path) as recorder,
        recorder.http_client() as http_client,
        Client(openai(emulator.openai_base_url), http_client=http_client) as client,
    ):
        client.stream(**ASK).drain()
    assert not path.exists()


def frame(text: str) -> dict[str, Any]:
    """One frame of this text."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return {"id": "1", "object": "chat.completion.chunk", "choices": [choice]}


def test_nothing_recorded_replaces_nothing(good: Path) -> None:
    """A cassette that is there stays if nothing was asked."""
    before = good.read_bytes()
    with Recorder(good) as recorder:
        assert repr(recorder) == f"<Recorder {good}>"
    assert good.read_bytes() == before


def test_azure_is_recorded_without_its_resource(
    world: World, emulator: Emulator, tmp_path: Path
) -> None:
    """With the address of the service, and the deployment in it."""
    emulator.script(Scenario(text=TEXT))
    path = tmp_path / "azure.yaml"
    profile = AzureProfile(
        endpoint=emulator.azure_endpoint,
        api_key=SecretStr("a" * 32),
        api_version="2024-10-21",
        deployments={"gpt-4o-mini": "chat-mini"},
    )
    with Recorder(path) as recorder:
        client = recording_client(recorder, world)
        assert world.stream(profile, http_client=client, **ASK).text() == TEXT
    uri = interactions(path)[0]["request"]["uri"]
    assert uri.startswith("https://example.openai.azure.com/openai/deployments/chat-mini/")
    assert world.stream(ReplayProfile(cassettes=path), **ASK).text() == TEXT


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It says what to install, before anything is sent."""
    import usagestream_adapters.cassettes as package

    monkeypatch.delattr(package, "yaml", raising=False)
    monkeypatch.setitem(importlib.import_module("sys").modules, f"{package.__name__}.yaml", None)
    with pytest.raises(ConfigError, match=r'pip install "usagestream\[replay\]"'):
        Recorder(tmp_path / "a.yaml")
