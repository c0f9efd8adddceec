"""Answering from cassettes: which answer, and what if there is none."""

from __future__ import annotations

import asyncio
import gzip
import importlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr
from tests._support.worlds import World

from usagestream import Client, ConfigError, ProviderError, StreamTruncatedError, Usage
from usagestream_adapters.azure import AzureProfile
from usagestream_adapters.openai import OpenAIProfile
from usagestream_adapters.replay import Replay, ReplayProfile, drop_usage, refuse_stream_options

from .conftest import ASK, TEXT, openai

CASSETTES = Path(__file__).parents[2] / "cassettes"
TURNS = ["Name a prime.", "And the next one? 🤔"]
SURFACES = ["openai", "azure-classic", "azure-entra", "azure-v1"]


def azure(api_version: str, **deployments: str) -> AzureProfile:
    """Make a profile of Azure, at no address that exists."""
    return AzureProfile(
        endpoint="https://contoso.openai.azure.com",
        api_key=SecretStr("k" * 32),
        api_version=api_version,
        deployments=deployments,
        max_retries=0,
    )


PROFILES: dict[str, Any] = {
    "openai": openai("https://api.openai.com/v1"),
    "azure-classic": azure("2024-10-21", **{"gpt-4o-mini": "chat-mini"}),
    "azure-v1": azure("v1", **{"gpt-4o-mini": "chat-mini"}),
}


def converse(profile: Any, replay: Replay) -> list[tuple[str, Usage]]:
    """Have the conversation that every surface has a cassette of."""
    messages: list[Any] = []
    told: list[tuple[str, Usage]] = []
    with replay.http_client() as http, Client(profile, http_client=http) as client:
        for turn in TURNS:
            messages.append({"role": "user", "content": turn})
            with client.stream(model="gpt-4o-mini", messages=messages, temperature=0) as stream:
                told.append((stream.text(), stream.usage))
            messages.append({"role": "assistant", "content": told[-1][0]})
    return told


@pytest.mark.parametrize("surface", ["openai", "azure-v1"])
def test_another_surface_may_have_another_name(surface: str) -> None:
    """A deployment is called what its owner likes."""
    profile = azure("2025-01-01-preview")
    told = converse(profile, Replay(CASSETTES / surface / "conversation.yaml"))
    assert [text for text, _ in told] == ["Seven, I'd say.", "Eleven follows."]


@pytest.mark.parametrize("profile", PROFILES)
def test_one_cassette_replays_through_either_provider(profile: str) -> None:
    """Whichever surface it was recorded on, and under whichever name of the model."""
    told = [
        converse(PROFILES[profile], Replay(CASSETTES / surface / "conversation.yaml"))
        for surface in SURFACES
    ]
    assert told[0] == [
        ("Seven, I'd say.", told[0][0][1]),
        ("Eleven follows.", told[0][1][1]),
    ]
    assert told[0][0][1].total_tokens
    assert told[1:] == told[:1] * 3


def test_on_its_own_surface_the_model_counts(good: Path) -> None:
    """Another model would have answered something else."""
    asked: Any = {**ASK, "model": "gpt-4o"}
    with Client(ReplayProfile(cassettes=good)) as client:
        with pytest.raises(ProviderError) as caught:
            client.stream(**asked).drain()
        assert caught.value.status == 501
        assert caught.value.code == "nothing_recorded"
        assert "the model: 'gpt-4o-mini' was recorded, 'gpt-4o' was sent" in str(caught.value)


def test_the_api_version_counts(tmp_path: Path) -> None:
    """On Azure's surface a recording of another version is not the same request."""
    path = CASSETTES / "azure-classic" / "conversation.yaml"
    profile = azure("2025-01-01-preview", **{"gpt-4o-mini": "chat-mini"})
    with pytest.raises(ProviderError, match="the address"):
        converse(profile, Replay(path))


def test_what_is_not_recorded_is_told_at_once(world: World, good: Path) -> None:
    """With what is nearest, and without a retry."""
    other: Any = {**ASK, "messages": [{"role": "user", "content": "Count to five."}]}
    replay = Replay(good)
    client = replay.async_http_client() if world.asynchronous else replay.http_client()
    profile = openai("https://api.openai.com/v1", max_retries=5)
    with pytest.raises(ProviderError) as caught:
        world.stream(profile, http_client=client, **other).drain()
    assert caught.value.status == 501
    assert (
        f"Nothing recorded in {good} answers POST chat/completions for 'gpt-4o-mini'. The nearest, "
        "request 1 of good.yaml, differs in `messages[0].content` of the body: "
        '"Count to four." was recorded, "Count to five." was sent.'
    ) in str(caught.value)
    assert replay.unplayed == ["good.yaml, request 1"]
    assert world.records[0].outcome == "rejected"


def test_another_operation_has_no_nearest(good: Path) -> None:
    """The Responses API was not recorded here."""
    with (
        Client(ReplayProfile(cassettes=good)) as client,
        pytest.raises(ProviderError, match="Nothing like POST responses for 'gpt-4o-mini'"),
    ):
        client.responses.stream(model="gpt-4o-mini", input="Hi").drain()


@pytest.mark.parametrize(
    ("method", "path", "body", "found"),
    [
        ("GET", "/v1/models", b"", True),
        ("GET", "/v1/models?limit=3", b"", False),
        ("POST", "/elsewhere", b"no JSON", True),
        ("POST", "/elsewhere", b"other", False),
        ("POST", "/v1/list", b"[1]", True),
        ("POST", "/openai/v1/list", b"[1]", True),
        ("POST", "/openai/v1/other", b"[1]", False),
    ],
)
def test_any_request_can_be_replayed(
    tmp_path: Path, method: str, path: str, body: bytes, *, found: bool
) -> None:
    """Not only chat: other tools record whatever there is, in JSON as well."""
    recorded = [
        ("GET", "/v1/models", ""),
        ("POST", "/elsewhere", "no JSON"),
        ("POST", "/v1/list", "[1]"),
    ]
    interactions: list[Any] = [
        {
            "request": {
                "method": method,
                "uri": f"https://api.openai.com{path}",
                "body": body,
                "headers": {},
            },
            "response": {
                "status": {"code": 200, "message": "OK"},
                "headers": {"Content-Type": "text/plain", "Content-Length": ["99"]},
                "body": {"string": "here"},
            },
        }
        for method, path, body in recorded
    ]
    file = tmp_path / "other.json"
    file.write_text(json.dumps({"version": 1, "interactions": interactions}))
    replay = Replay(file)
    playback = replay.answer(method, f"https://api.openai.com{path}", body)
    assert (playback.status == 200) is found
    assert (playback.body == b"here") is found
    if found:
        assert playback.headers == (("content-type", "text/plain"),)
        assert len(replay.unplayed) == 2


def test_a_body_that_ends_within_a_frame(tmp_path: Path, good: Path) -> None:
    """As one does that other tools recorded of a broken connection: all of it is played."""
    document = yaml.safe_load(good.read_text("utf-8"))
    (interaction,) = document["interactions"]
    del interaction["timing"]
    body = interaction["response"]["body"]["string"]
    interaction["response"]["body"]["string"] = body[: body.index('" three') + 9]
    file = tmp_path / "cut.yaml"
    file.write_text(yaml.dump(document), "utf-8")
    with Client(ReplayProfile(cassettes=file)) as client:
        stream = client.stream(**ASK)
        with pytest.raises(StreamTruncatedError) as caught:
            stream.drain()
    assert caught.value.record is not None
    assert caught.value.record.chunk_count == 3


def test_what_is_no_json_is_refused_by_no_fault(tmp_path: Path, good: Path) -> None:
    """`refuse_stream_options` looks into JSON only."""
    replay = Replay(good, faults=[refuse_stream_options()])
    assert replay.answer("POST", "https://api.openai.com/v1/files", b"no JSON").status == 501


def test_several_answers_come_in_turn(tmp_path: Path, good: Path) -> None:
    """In the order of their paths, and from the first again."""
    text = good.read_text("utf-8")
    for name, said in (("b", "two"), ("a", "deux"), ("c/d", "zwei")):
        file = tmp_path / f"{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text.replace('" two"', f'" {said}"'), "utf-8")
    (tmp_path / "notes.yaml").write_text("- not a cassette")
    with Client(ReplayProfile(cassettes=tmp_path)) as client:
        told = [client.stream(**ASK).text().split()[1] for _ in range(4)]
    assert told == ["deux", "two", "zwei", "deux"]


def test_an_edited_body_plays_without_its_times(good: Path, tmp_path: Path) -> None:
    """Sizes that do not add up are of another body."""
    file = tmp_path / "edited.yaml"
    file.write_text(good.read_text("utf-8").replace('" two"', '" and two"'), "utf-8")
    with Client(ReplayProfile(cassettes=file, pace="recorded")) as client:
        assert client.stream(**ASK).text() == "one and two three four"


def test_concurrent_requests_share_a_replay(good: Path) -> None:
    """From many tasks at once."""
    from usagestream import AsyncClient

    async def ask_all() -> list[str]:
        async with AsyncClient(ReplayProfile(cassettes=good)) as client:
            return list(await asyncio.gather(*(client.stream(**ASK).text() for _ in range(20))))

    assert asyncio.run(ask_all()) == [TEXT] * 20


def test_compressed_bodies_are_left_as_they_are(tmp_path: Path) -> None:
    """Other tools keep gzip; the client undoes it, and faults pass it by."""
    body = b'data: {"choices":[],"usage":{"total_tokens":3}}\n\ndata: [DONE]\n\n'
    interaction: Any = {
        "request": {
            "method": "POST",
            "uri": "https://api.openai.com/v1/chat/completions",
            "body": json.dumps({**ASK, "stream": True, "stream_options": {"include_usage": True}}),
            "headers": {},
        },
        "response": {
            "status": {"code": 200, "message": "OK"},
            "headers": {"content-type": ["text/event-stream"], "content-encoding": ["gzip"]},
            "body": {"string": gzip.compress(body)},
        },
    }
    file = tmp_path / "gzip.yaml"
    file.write_text(yaml.dump({"version": 1, "interactions": [interaction]}))
    with Client(ReplayProfile(cassettes=file, faults=(drop_usage(),))) as client:
        stream = client.stream(**ASK)
        assert stream.drain().total_tokens == 3


def test_wrong_folders_are_told_before_anything(tmp_path: Path, good: Path) -> None:
    """What there is not, what is empty, and what is no cassette."""
    with pytest.raises(ConfigError, match="no file and no folder"):
        Replay(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="no file with a recording"):
        Replay(tmp_path)
    broken = tmp_path / "broken.yaml"
    broken.write_text("interactions: 1")
    with pytest.raises(ConfigError, match=r"broken\.yaml is not a cassette"):
        Replay(tmp_path)
    with pytest.raises(ValueError, match="pace"):
        Replay(good, pace="fast")  # type: ignore[arg-type]


def test_as_a_context_manager(good: Path) -> None:
    """So that it can stand in a Recorder's place."""
    with Replay(good) as replay:
        assert repr(replay) == f"<Replay {good}>"


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, good: Path) -> None:
    """It says what to install."""
    package = importlib.import_module("usagestream_adapters.replay")
    monkeypatch.delattr(package, "_load", raising=False)
    monkeypatch.setitem(sys.modules, f"{package.__name__}._load", None)
    with pytest.raises(ConfigError, match=r'pip install "usagestream\[replay\]"'):
        Replay(good)


class TestProfile:
    """The provider `replay`, by configuration alone."""

    def test_the_environment_alone_is_enough(
        self, good: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("USAGESTREAM_CASSETTES", str(good))
        with Client() as client:
            assert client.stream(**ASK).text() == TEXT

    def test_a_profile_file(
        self, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.copy(good, tmp_path / "good.yaml")
        monkeypatch.chdir(tmp_path)
        (tmp_path / "usagestream.toml").write_text(
            '[profiles.offline]\nprovider = "replay"\ncassettes = "good.yaml"\npace = "recorded"\n'
        )
        with Client("offline") as client:
            stream = client.stream(**ASK)
            assert stream.text() == TEXT
        assert stream.record.profile == "offline"

    def test_nothing_to_replay(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("USAGESTREAM_CASSETTES", raising=False)
        for profile in ("replay", ReplayProfile()):
            with pytest.raises(ConfigError, match="set USAGESTREAM_CASSETTES"):
                Client(profile)

    def test_an_http_client_is_refused(self, good: Path) -> None:
        with pytest.raises(ConfigError, match="leave http_client out"):
            Client(ReplayProfile(cassettes=good), http_client=object())

    def test_the_sdk_replays_too(self, good: Path) -> None:
        """The HTTP client is of its own kind."""
        from openai import OpenAI

        with Replay(good).http_client() as http_client:
            client = OpenAI(api_key="any", http_client=http_client)
            stream = client.chat.completions.create(
                **ASK, stream=True, stream_options={"include_usage": True}
            )
            chunks = list(stream)
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == TEXT
        assert OpenAIProfile().provider == "openai"
