"""Projects of users who test with the plugin, made up for one test each."""

from __future__ import annotations

import importlib
import itertools
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests._support.sdk_http import http

from usagestream_adapters.emulator import Emulator

# pytester forgets modules that a run inside it imported first, and not all stand a second import:
# an exception of the second copy is not caught by the name of the first. Others only take time.
for needed in (
    "anyio.pytest_plugin",
    "genai_prices.data_snapshot",
    "genai_prices.update_prices",
    "hypothesis",
    http.__name__.replace("httpx", "httpcore"),
    "openai.resources.audio",
    "openai.resources.audio.speech",
    "openai.resources.audio.transcriptions",
    "openai.resources.chat.completions",
    "pytest_recording._vcr",
    "usagestream_adapters.azure",
    "usagestream_adapters.openai",
    "usagestream_adapters.testing._recording",
    "uvicorn.lifespan.off",
    "vcr.stubs.aiohttp_stubs",
    "vcr.stubs.httpx_stubs",
):
    importlib.import_module(needed)

KEY = "sk-proj-Zx81kfLq0934mnbvPoiu"

APP = """
import asyncio

import pytest
from usagestream import AsyncClient, Client
from usagestream_adapters.azure import AzureProfile
from usagestream_adapters.openai import OpenAIProfile


def ask(question, profile=None, model="gpt-4o-mini", **params):
    messages = [{"role": "user", "content": question}]
    with Client(profile or OpenAIProfile()) as client:
        with client.stream(model=model, messages=messages, **params) as stream:
            return stream.text()


async def aask(question):
    messages = [{"role": "user", "content": question}]
    async with AsyncClient(OpenAIProfile()) as client:
        async with client.stream(model="gpt-4o-mini", messages=messages) as stream:
            return await stream.text()


def azure(**more):
    return AzureProfile(**{"api_version": "2024-10-21", **more})
"""


@dataclass
class Project:
    """A folder with an application and its tests."""

    pytester: pytest.Pytester
    use: Callable[[str, str], None]
    runs: Iterator[int] = field(default_factory=itertools.count)

    @property
    def path(self) -> Path:
        """The project's folder."""
        return self.pytester.path

    def run(self, test: str, *options: str) -> pytest.RunResult:
        """Run a test file that finds the application's functions in `app`."""
        self.pytester.makepyfile(app=APP)
        self.pytester.makepyfile(
            test_app="import pytest, asyncio\nfrom app import ask, aask, azure\n"
            + textwrap.dedent(test)
            # Compiled anew: one of the same size, written in the same second, counts as the same.
            + f"\n{'#' * next(self.runs)}\n"
        )
        return self.pytester.runpytest_inprocess(
            "-p", "no:cacheprovider", "-p", "no:randomly", *options
        )

    def record(self, test: str, *options: str) -> pytest.RunResult:
        """Run a test file to record it."""
        return self.run(test, "--record-mode=rewrite", *options)

    def replay(self, test: str, *options: str) -> pytest.RunResult:
        """Run a test file where it can reach nothing, without any key worth having."""
        for variable, value in {
            "OPENAI_BASE_URL": "https://api.openai.com/v1",
            "AZURE_OPENAI_ENDPOINT": "https://example.openai.azure.com",
            "OPENAI_API_KEY": "replayed",
            "AZURE_OPENAI_API_KEY": "replayed",
        }.items():
            self.use(variable, value)
        return self.run(test, "--block-network", *options)

    def cassette(self, name: str) -> Any:
        """Load a cassette of the test file."""
        return yaml.safe_load(self.text_of(name))

    def text_of(self, name: str) -> str:
        """Read a cassette of the test file."""
        return self._file(name).read_text("utf-8")

    def has(self, name: str) -> bool:
        """Whether there is such a cassette."""
        return self._file(name).exists()

    def _file(self, name: str) -> Path:
        return self.path / "cassettes" / "test_app" / f"{name}.yaml"


@pytest.fixture
def server() -> Iterator[Emulator]:
    """The service that is recorded."""
    with Emulator() as running:
        yield running


@pytest.fixture
def project(
    pytester: pytest.Pytester, server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> Project:
    """A project whose environment names the emulator as the service."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", server.openai_base_url)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.azure_endpoint)
    pytester.makepyprojecttoml("[tool.pytest]\n")
    return Project(pytester, monkeypatch.setenv)
