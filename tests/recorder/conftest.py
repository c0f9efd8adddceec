"""What these tests record, and how they ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests._support.worlds import World, make_world

from usagestream import Client
from usagestream_adapters.emulator import Emulator, Scenario
from usagestream_adapters.openai import OpenAIProfile
from usagestream_adapters.replay import Recorder

TEXT = "one two three four"
ASK: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Count to four."}],
}
KEY = "sk-of-the-recorder-1234"


def openai(address: str, **more: Any) -> OpenAIProfile:
    """Make a profile of OpenAI at this address."""
    options: dict[str, Any] = {"max_retries": 0, **more}
    return OpenAIProfile(api_key=SecretStr(KEY), base_url=address, **options)


@pytest.fixture(params=["sync", "async"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Each kind of client in turn."""
    with make_world(asynchronous=request.param == "async") as made:
        yield made


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """The emulator, for the whole run."""
    with Emulator() as server:
        yield server


@pytest.fixture(scope="session")
def good(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cassette with one good answer, recorded with its times."""
    path = tmp_path_factory.mktemp("good") / "good.yaml"
    emulator.script(Scenario(text=TEXT, delay=0.02))
    profile = openai(emulator.openai_base_url)
    with (
        Recorder(path) as recorder,
        recorder.http_client() as http_client,
        Client(profile, http_client=http_client) as client,
        client.stream(**ASK) as stream,
    ):
        assert stream.text() == TEXT
    return path
