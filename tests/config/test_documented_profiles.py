"""The profile files in the docs are profile files."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from usagestream import Client
from usagestream_core.profiles.resolve import resolve_profile

Write = Callable[..., Path]

DOCS = Path(__file__).parents[2] / "docs"
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in (DOCS / "azure.md", DOCS / "configuration.md")
    for number, block in enumerate(re.findall(r"^```toml\n(.*?)^```$", page.read_text("utf-8"),
                                              re.MULTILINE | re.DOTALL))
]  # fmt: skip


@pytest.mark.parametrize("text", BLOCKS)
def test_a_documented_file_can_be_used(
    write: Write, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each profile in it makes a client."""
    write(text)
    write("a-secret", tmp_path / "home" / ".secrets" / "azure-test")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k")
    environ = {
        "USAGESTREAM_CONFIG": "usagestream.toml",
        "LOCAL_KEY": "a-secret",
        "APIM_KEY": "a-secret",
        "TEST_ENDPOINT": "https://test.openai.azure.com",
    }
    profiles: Mapping[str, object] = tomllib.loads(text)["profiles"]
    for name in profiles:
        Client(resolve_profile(name, environ)).close()
