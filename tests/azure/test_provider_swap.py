"""One program, every profile: the answer and its usage are the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests._support.entra import CLIENT_ID, CLIENT_SECRET, TENANT, Directory

from usagestream import AsyncClient, Client, Usage
from usagestream_adapters.azure import AzureProfile
from usagestream_adapters.emulator import Emulator, Scenario

QUESTION: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "What's 1+1? Answer in one word."}],
}
PROFILES = (
    "openai", "openai-at-azure-v1", "classic-key", "v1-key", "classic-entra", "v1-entra",
    "v1-identity", "gateway",
)  # fmt: skip
FILE = """
default = "openai"

[profiles.openai]
provider = "openai"
base_url = "{openai}"
api_key = {{ env = "SWAP_KEY" }}

[profiles.openai-at-azure-v1]
provider = "openai"
base_url = "{azure}/openai/v1"
api_key = {{ env = "SWAP_KEY" }}

[profiles.classic-key]
provider = "azure"
endpoint = "{azure}"
api_version = "2024-10-21"
api_key = {{ env = "SWAP_KEY" }}
deployments = {{ "gpt-4o-mini" = "chat-mini" }}

[profiles.v1-key]
provider = "azure"
endpoint = "{azure}/openai/v1"
api_key = {{ file = "key.txt" }}
deployments = {{ "gpt-4o-mini" = "chat-mini" }}

[profiles.classic-entra]
provider = "azure"
endpoint = "{azure}"
api_version = "2024-10-21"
credential = "client-secret"
tenant_id = "{tenant}"
client_id = "{client}"
client_secret = {{ env = "SWAP_CLIENT_SECRET" }}
authority = "{authority}"
deployments = {{ "gpt-4o-mini" = "chat-mini" }}

[profiles.v1-entra]
provider = "azure"
endpoint = "{azure}"
credential = "client-secret"
tenant_id = "{tenant}"
client_id = "{client}"
client_secret = {{ env = "SWAP_CLIENT_SECRET" }}
authority = "{authority}"
deployments = {{ "gpt-4o-mini" = "chat-mini" }}

[profiles.v1-identity]
provider = "azure"
endpoint = "{azure}"
credential = "managed-identity"
deployments = {{ "gpt-4o-mini" = "chat-mini" }}

[profiles.gateway]
provider = "azure"
endpoint = "{azure}/team-a"
api_version = "2024-10-21"
credential = "api-key"
api_key = {{ env = "SWAP_KEY" }}
headers = {{ x-team = "a", subscription-key = {{ env = "SWAP_KEY" }} }}
deployments = {{ "gpt-4o-mini" = "chat-mini" }}
"""


@pytest.fixture
def _profiles(
    server: Emulator, directory: Directory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project whose file has all of them."""
    text = FILE.format(
        openai=server.openai_base_url, azure=server.azure_endpoint,
        authority=directory.authority, tenant=TENANT, client=CLIENT_ID,
    )  # fmt: skip
    (tmp_path / "usagestream.toml").write_text(text)
    (tmp_path / "key.txt").write_text("swap-key\n")
    monkeypatch.setenv("USAGESTREAM_CONFIG", str(tmp_path / "usagestream.toml"))
    monkeypatch.setenv("SWAP_KEY", "swap-key")
    monkeypatch.setenv("SWAP_CLIENT_SECRET", CLIENT_SECRET)


def ask() -> tuple[str, Usage]:
    """The program. It does not know who answers."""
    with Client() as client, client.stream(**QUESTION) as stream:
        return stream.text(), stream.usage


async def ask_async() -> tuple[str, Usage]:
    """Its twin."""
    async with AsyncClient() as client, client.stream(**QUESTION) as stream:
        return await stream.text(), stream.usage


@pytest.mark.usefixtures("_profiles")
def test_swap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changing one variable changes who answers, and nothing else."""
    answers: list[tuple[str, Usage]] = []
    for name in PROFILES:
        monkeypatch.setenv("USAGESTREAM_PROFILE", name)
        answers += [ask(), asyncio.run(ask_async())]
    assert len(answers) == 2 * len(PROFILES)
    assert len(set(answers)) == 1
    text, usage = answers[0]
    assert text
    assert (usage.source, usage.total_tokens) == ("reported", 20)


@pytest.mark.usefixtures("_profiles")
def test_every_way_in_was_used(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The profiles differ in address and credential, as their names say."""
    for name in PROFILES:
        monkeypatch.setenv("USAGESTREAM_PROFILE", name)
        ask()
    seen = [(each.path, each.api_key or each.bearer) for each in server.requests]
    classic = "/openai/deployments/chat-mini/chat/completions"
    v1 = "/openai/v1/chat/completions"
    assert seen == [
        ("/v1/chat/completions", "swap-key"),
        (v1, "swap-key"),
        (classic, "swap-key"),
        (v1, "swap-key"),
        (classic, "client-token-1"),
        (v1, "client-token-2"),
        (v1, "managed-token-3"),
        (f"/team-a{classic}", "swap-key"),
    ]
    assert server.requests[-1].headers["subscription-key"] == "swap-key"


@pytest.mark.slow
def test_a_run_outlives_its_tokens(
    server: Emulator, directory: Directory, entra_profile: Callable[..., AzureProfile]
) -> None:
    """Fifty tasks stream for longer than a token lives; none fails."""
    directory.expires_in = 2
    records: list[Any] = []
    begun = time.monotonic()

    async def one(client: AsyncClient, until: float) -> None:
        while time.monotonic() < until and len(directory.asked) < 2:
            await client.stream(**QUESTION).drain()
        await client.stream(**QUESTION).drain()

    async def run() -> None:
        async with AsyncClient(entra_profile(), on_record=records.append) as client:
            until = time.monotonic() + 20
            await asyncio.gather(*(one(client, until) for _ in range(50)))

    server.script(Scenario())
    asyncio.run(run())
    assert {record.outcome for record in records} == {"completed"}
    lasted = time.monotonic() - begun
    tokens = {request.bearer for request in server.requests}
    assert 2 <= len(tokens) <= 6 + lasted  # and not one for each task
    assert len(directory.asked) == len(tokens)
