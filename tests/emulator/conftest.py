"""One client for the folder, one emulator for each test, and a way to ask it on any surface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from usagestream_adapters.emulator import Emulator

PATHS = {
    "openai": "/v1/chat/completions",
    "azure": "/openai/deployments/chat-mini/chat/completions?api-version=2024-10-21",
    "azure-v1": "/openai/v1/chat/completions",
}


@pytest.fixture(scope="session")
def http() -> Iterator[httpx2.Client]:
    """Return a client without credentials."""
    with httpx2.Client(timeout=60) as client:
        yield client


@pytest.fixture
def server() -> Iterator[Emulator]:
    """Return a running emulator with the default answers."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def post(http: httpx2.Client, server: Emulator) -> Callable[..., httpx2.Response]:
    """Return a function that asks the emulator; streamed, with usage, unless told otherwise."""

    def ask(
        surface: str = "openai",
        *,
        path: str | None = None,
        headers: dict[str, str] | None = None,
        content: str | None = None,
        **body: Any,
    ) -> httpx2.Response:
        credential = (
            {"authorization": "Bearer key"} if surface == "openai" else {"api-key": "some-key"}
        )
        asked: dict[str, Any] = {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": "Hello"}],
            "stream": True,
            "stream_options": {"include_usage": True},
            **body,
        }
        asked = {key: value for key, value in asked.items() if value is not None}
        sent = credential if headers is None else headers
        url = server.url + (PATHS[surface] if path is None else path)
        if content is not None:
            return http.post(url, content=content, headers=sent)
        return http.post(url, json=asked, headers=sent)

    return ask
