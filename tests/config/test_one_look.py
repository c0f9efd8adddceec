"""What is configured is looked at once for each client, and passed on to all that ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from usagestream import Client, OpenAIProfile, meter, track
from usagestream_core.profiles import configuration
from usagestream_core.profiles.file import ProfileFile, find_file

FILE = """
[profiles.mine]
provider = "openai"

[telemetry.log]

[[prices.price]]
provider = "openai"
model = "m"
input = "1"
output = "2"
"""


@pytest.fixture
def looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[ProfileFile | None]:
    """Each look for the profile file, which names a profile, a sink and a price."""
    (tmp_path / "usagestream.toml").write_text(FILE)
    monkeypatch.setenv("USAGESTREAM_CONFIG", str(tmp_path / "usagestream.toml"))
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.delenv("USAGESTREAM_TELEMETRY", raising=False)
    found: list[ProfileFile | None] = []

    def find(*args: object) -> ProfileFile | None:
        found.append(find_file(*args))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        return found[-1]

    monkeypatch.setattr(configuration, "find_file", find)
    return found


def test_a_client_looks_once(looks: list[ProfileFile | None]) -> None:
    """For its profile, its sinks and its prices."""
    Client("mine").close()
    assert len(looks) == 1


def test_a_tracked_client_looks_once(looks: list[ProfileFile | None]) -> None:
    """For its sinks and its prices."""
    from openai import OpenAI

    track(OpenAI(api_key="k")).close()
    assert len(looks) == 1


def test_a_metered_stream_looks_once(looks: list[ProfileFile | None]) -> None:
    """For its prices and its ledger."""
    list(meter([], model="m"))
    assert len(looks) == 1


def test_who_says_everything_looks_for_nothing(
    looks: list[ProfileFile | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong file elsewhere does not matter then."""
    monkeypatch.setenv("USAGESTREAM_TELEMETRY", "none")
    Client(OpenAIProfile(api_key="k"), pricer=None, ledger=None).close()
    assert looks == []


def test_each_look_sees_what_is_there(tmp_path: Path) -> None:
    """A file that comes, changes, goes, or is nearer than another, from the same folder."""
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)

    def ledger() -> object:
        file = find_file({}, inner)
        return file and file.ledger

    seen = [ledger()]
    far, near = tmp_path / "usagestream.toml", inner / "pyproject.toml"
    for file, text in (
        (far, 'ledger = "far"\n'),
        (near, '[tool.usagestream]\nledger = "near"\n'),
        (near, '[tool.usagestream]\nledger = "other"\n'),
    ):
        file.write_text(text)
        seen.append(ledger())
    near.unlink()
    seen.append(ledger())
    assert seen == [None, "far", "near", "other", "far"]
