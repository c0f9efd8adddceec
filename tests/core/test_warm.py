"""The time of a stream begins when it is sent, not when the SDK is loaded."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from tests._support.fakes import FakeAdapter
from tests._support.worlds import World

from usagestream import AsyncClient, Client, ConfigError, OpenAIProfile
from usagestream_core.adapter import Request

ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


class Ready(FakeAdapter):
    """Notes when it was ready."""

    def __init__(self) -> None:
        super().__init__()
        self.warmed: list[bool] = []
        self.ready_at: datetime | None = None

    def warm(self, request: Request, *, asynchronous: bool) -> None:
        self.warmed.append(asynchronous)
        self.ready_at = datetime.now(UTC)


def test_getting_ready_is_not_the_stream_s_time(world: World) -> None:
    """Neither of the first chunk nor of the whole."""
    adapter = Ready()
    stream = world.stream(adapter, **ASK)
    assert stream.text()
    assert adapter.warmed == [world.asynchronous]
    assert adapter.ready_at is not None
    assert stream.record.started_at >= adapter.ready_at


def test_what_fails_while_getting_ready_is_said_by_opening(world: World) -> None:
    """On the record, as if it had failed there."""

    class Broken(FakeAdapter):
        def warm(self, request: Request, *, asynchronous: bool) -> None:
            raise ConfigError("cannot be made")

    assert world.stream(Broken(), **ASK).text()


def test_warm_beforehand() -> None:
    """`warm=True` gets ready when the client is made, each for its own kind."""
    adapter = Ready()
    Client(adapter, warm=True)
    AsyncClient(adapter, warm=True)
    Client(adapter)
    assert adapter.warmed == [False, True]


def test_warm_beforehand_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the SDK's client cannot be made."""
    import openai

    def fail(**options: object) -> None:
        raise ConfigError("cannot be made")

    monkeypatch.setattr(openai, "OpenAI", fail)
    with pytest.raises(ConfigError, match="cannot be made"):
        Client(OpenAIProfile(api_key="k"), warm=True)


@pytest.mark.slow
def test_warm_loads_the_sdk() -> None:
    """Without it, making a client loads no SDK; with it, all that asking takes is there."""
    program = (
        "import sys; from usagestream import Client, OpenAIProfile; "
        "profile = OpenAIProfile(api_key='k'); Client(profile); "
        "print('openai' in sys.modules); Client(profile, warm=True); "
        "print('openai.resources.chat.completions' in sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == ["False", "True"]
