"""`Client`, `AsyncClient` and how a profile is found."""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any, ClassVar, Literal

import pytest
from tests._support.fakes import FakeAdapter, FakeProfile
from tests._support.worlds import ASK, World

from usagestream import AsyncClient, Client, ConfigError, Profile
from usagestream_core.estimates.estimate import (
    _installed_counter,  # pyright: ignore[reportPrivateUsage]
)
from usagestream_core.pricing import _installed_pricers  # pyright: ignore[reportPrivateUsage]
from usagestream_core.profiles.listing import list_profiles
from usagestream_core.profiles.providers import installed_providers, load_adapter_type
from usagestream_core.profiles.resolve import resolve_profile


class OtherProfile(FakeProfile, frozen=True):
    """A second provider's profile."""

    provider: Literal["other"] = "other"  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]
    required_variables: ClassVar[tuple[str, ...]] = ("OTHER_URL", "OTHER_KEY")


class OtherAdapter(FakeAdapter):
    """A second provider."""

    provider = "other"
    profile_type = OtherProfile


@pytest.fixture(autouse=True)
def _two_providers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two installed packages declare an adapter each."""
    found = EntryPoints(
        EntryPoint(name, f"{__name__}:{kind.__name__}", "usagestream.adapters")
        for name, kind in (("other", OtherAdapter), ("fake", FakeAdapter))
    )
    types: dict[str, Any] = {"other": OtherAdapter, "fake": FakeAdapter}

    def load(point: EntryPoint) -> Any:
        return types[point.name]

    def select(**wanted: Any) -> EntryPoints:
        return found.select(**wanted)

    monkeypatch.setattr(EntryPoint, "load", load)
    monkeypatch.setattr(importlib.metadata, "entry_points", select)
    monkeypatch.delenv("USAGESTREAM_PROFILE", raising=False)
    looks = (_installed_counter, _installed_pricers, load_adapter_type)
    for look in looks:
        look.cache_clear()
    yield
    for look in looks:
        look.cache_clear()  # what was found among these packages, or not


def test_installed_providers_are_sorted() -> None:
    """The names come from the packages' own declarations."""
    assert installed_providers() == ("fake", "other")


def test_an_adapter_is_loaded_by_its_name() -> None:
    """The core imports an adapter only when it is named."""
    assert load_adapter_type("fake") is FakeAdapter


def test_an_adapter_that_was_found_is_not_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look goes through all that is installed, and a program makes many clients."""
    asked: list[dict[str, Any]] = []
    look: Any = importlib.metadata.entry_points

    def counted(**wanted: Any) -> EntryPoints:
        asked.append(wanted)
        found: EntryPoints = look(**wanted)
        return found

    monkeypatch.setattr(importlib.metadata, "entry_points", counted)
    assert [load_adapter_type("fake"), load_adapter_type("fake")] == [FakeAdapter] * 2
    assert len(asked) == 1


def test_an_unknown_provider_names_those_that_are_there() -> None:
    """A misspelt name is answered with the right ones."""
    with pytest.raises(ConfigError, match=r"no provider 'fkae' here\. Installed: fake, other"):
        Client("fkae")


def test_without_any_adapter_the_error_asks_about_the_installation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A source tree without its package metadata declares nothing."""

    def none(**_: Any) -> EntryPoints:
        return EntryPoints(())

    monkeypatch.setattr(importlib.metadata, "entry_points", none)
    with pytest.raises(ConfigError, match=r"none; is the package installed\?"):
        load_adapter_type("openai")


def test_a_profile_is_itself() -> None:
    """What was made in code is taken as it is."""
    profile = FakeProfile(name="mine")
    assert resolve_profile(profile, {}) is profile


@pytest.mark.parametrize(
    ("name", "environ", "expected"),
    [
        ("fake", {"FAKE_KEY": "k"}, FakeProfile(name="fake")),
        (None, {"FAKE_KEY": "k"}, FakeProfile(name="fake")),
        (None, {"FAKE_KEY": "k", "OTHER_URL": "u"}, FakeProfile(name="fake")),
        (
            None,
            {"USAGESTREAM_PROFILE": "fake", "FAKE_KEY": "k", "OTHER_URL": "u", "OTHER_KEY": "k"},
            FakeProfile(name="fake"),
        ),
    ],
)
def test_a_profile_is_found(name: str | None, environ: dict[str, str], expected: Profile) -> None:
    """By name, by `USAGESTREAM_PROFILE`, or as the only provider whose variables are all set."""
    assert resolve_profile(name, environ) == expected


def test_no_provider_is_configured() -> None:
    """The error lists what to set for each provider."""
    ways = "Set FAKE_KEY for fake; OTHER_URL and OTHER_KEY for other."
    with pytest.raises(ConfigError, match="No provider is configured") as caught:
        resolve_profile(None, {"FAKE_KEY": "", "OTHER_URL": "u"})
    assert str(caught.value).endswith(ways)


class BareProfile(Profile, frozen=True):
    """As little as a profile may be."""

    provider: Literal["other"] = "other"


def test_a_provider_that_no_environment_describes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in nobody's way; by its name alone it cannot be had."""
    monkeypatch.setattr(OtherAdapter, "profile_type", BareProfile)
    assert resolve_profile(None, {"FAKE_KEY": "k"}) == FakeProfile(name="fake")
    with pytest.raises(ConfigError, match=r"configured\. Set FAKE_KEY for fake\.$"):
        resolve_profile(None, {})
    with pytest.raises(ConfigError, match="A profile of other cannot be made of the environment"):
        resolve_profile("other", {})
    problems = {listed.name: listed.problem for listed in list_profiles({"FAKE_KEY": "k"})}
    assert problems["fake"] is None
    assert "in code, or in a profile file" in str(problems["other"])


def test_two_providers_are_configured() -> None:
    """Nothing is guessed between two."""
    with pytest.raises(ConfigError, match="say which, 'fake' or 'other'"):
        resolve_profile(None, {"FAKE_KEY": "k", "OTHER_URL": "u", "OTHER_KEY": "k"})


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({**ASK, "stream": True}, "always streams"),
        ({"messages": []}, "needs model="),
        ({**ASK, "model": ""}, "needs model="),
        ({**ASK, "model": None}, "needs model="),
        ({**ASK, "model": 3}, "needs model="),
        ({"model": "m"}, "needs messages="),
    ],
)
def test_a_request_that_cannot_be_asked_is_a_type_error(
    world: World, asked: dict[str, Any], message: str
) -> None:
    """The mistake shows where the call is, before anything is sent."""
    made = FakeAdapter()
    with pytest.raises(TypeError, match=message):
        world.stream(made, **asked)
    assert made.requests == []


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_repr_names_the_profile(kind: type[Client | AsyncClient]) -> None:
    """The profile's name, or its provider's where it has none; nothing else."""
    assert repr(kind(FakeProfile(name="prod"))) == f"<{kind.__name__} prod>"
    assert repr(kind(FakeProfile())) == f"<{kind.__name__} fake>"
    assert repr(kind(FakeAdapter())) == f"<{kind.__name__} fake>"


def test_the_http_client_reaches_the_adapter() -> None:
    """It is handed over as it is."""
    mine = object()
    client = Client(FakeProfile(), http_client=mine)
    made = vars(client)["_adapter"]
    assert isinstance(made, FakeAdapter)
    assert made.http_client is mine


def test_an_adapter_of_the_callers_own_takes_no_http_client() -> None:
    """It already has one."""
    with pytest.raises(TypeError, match="give http_client to the adapter"):
        Client(FakeAdapter(), http_client=object())


@pytest.mark.parametrize("given", [object(), 3, FakeProfile])
def test_what_is_no_profile_is_refused(given: Any) -> None:
    """A client of the SDK's, above all, has another place."""
    with pytest.raises(TypeError, match=r"takes a profile, .*track\(\)"):
        Client(given)


def test_the_profile_is_on_the_record(world: World) -> None:
    """Records say which profile paid."""
    stream = world.stream(FakeProfile(name="prod"))
    stream.drain()
    assert (stream.record.profile, stream.record.provider) == ("prod", "fake")


def test_without_a_sink_nothing_happens() -> None:
    """`on_record` is optional."""
    stream = Client(FakeAdapter()).stream(**ASK)
    stream.drain()


def test_a_client_closes_its_adapter() -> None:
    """By `close()` and by `with`, sync and async."""
    sync, twin = FakeAdapter(), FakeAdapter()

    async def main() -> None:
        async with AsyncClient(twin):
            pass

    with Client(sync):
        pass
    asyncio.run(main())
    assert (sync.closed, twin.closed) == (1, 1)
