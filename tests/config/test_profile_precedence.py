"""Which profile is used, and from which file: each row beats the ones after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from platformdirs import user_config_path

from usagestream import Client, ConfigError
from usagestream_adapters.azure import AzureProfile
from usagestream_adapters.openai import OpenAIProfile
from usagestream_core.profile import revealed
from usagestream_core.profiles.resolve import resolve_profile

Write = Callable[..., Path]

ONE = '[profiles.{name}]\nprovider = "openai"\nbase_url = "http://{name}.test/v1"\n'
TWO = ONE.format(name="first") + ONE.format(name="second")


def base_url(name: str | None = None, **environ: str) -> str | None:
    """The address of the profile that is found, by which the files of these tests are told."""
    profile = resolve_profile(name, environ)
    assert isinstance(profile, OpenAIProfile)
    return profile.base_url


@pytest.mark.parametrize(
    ("head", "named", "variable", "expected"),
    [
        ('default = "first"\n', "second", "first", "second"),
        ('default = "first"\n', None, "second", "second"),
        ('default = "second"\n', None, None, "second"),
    ],
    ids=["name in code", "USAGESTREAM_PROFILE", "default in the file"],
)
def test_which_profile(
    write: Write, head: str, named: str | None, variable: str | None, expected: str
) -> None:
    """Code beats the environment, which beats the file."""
    write(head + TWO)
    environ = {} if variable is None else {"USAGESTREAM_PROFILE": variable}
    assert base_url(named, **environ) == f"http://{expected}.test/v1"


def test_a_single_profile_needs_no_default(write: Write) -> None:
    """There is nothing to choose."""
    write(ONE.format(name="only"))
    assert base_url() == "http://only.test/v1"


def test_several_profiles_and_no_default(write: Write) -> None:
    """Nothing is guessed."""
    write(TWO)
    with pytest.raises(ConfigError, match=r"say which \(first, second\).*USAGESTREAM_PROFILE"):
        base_url()


def test_which_file(write: Write) -> None:
    """A named file, then the nearest one, then the user's own."""
    user = user_config_path("usagestream", appauthor=False) / "usagestream.toml"
    places: list[tuple[str, Path | str]] = [
        ("user", user),
        ("above", "../usagestream.toml"),
        ("pyproject", "pyproject.toml"),
        ("here", "usagestream.toml"),
    ]
    for name, path in places:
        text = ONE.format(name=name)
        write(text.replace("[profiles", "[tool.usagestream.profiles")
              if name == "pyproject" else text, path)  # fmt: skip
        assert base_url() == f"http://{name}.test/v1"
    named = write(ONE.format(name="named"), "other/any.toml")
    assert base_url(USAGESTREAM_CONFIG=str(named)) == "http://named.test/v1"


@pytest.mark.parametrize("text", ["[project]\nname = 'x'\n", "[tool.usagestreamer]\n", "[tool]\n",
                                  "usagestream = 1\n"])  # fmt: skip
def test_a_pyproject_of_something_else_is_passed_over(write: Write, text: str) -> None:
    """It need not even be read to its end."""
    write(text, "pyproject.toml")
    write(ONE.format(name="above"), "../usagestream.toml")
    assert base_url() == "http://above.test/v1"


def test_a_pyproject_of_ours_by_name(write: Write) -> None:
    """`USAGESTREAM_CONFIG` may name a pyproject.toml."""
    text = ONE.format(name="named").replace("[profiles", "[tool.usagestream.profiles")
    path = write(text, "sub/pyproject.toml")
    assert base_url(USAGESTREAM_CONFIG=str(path)) == "http://named.test/v1"


def test_a_provider_beside_a_file(write: Write) -> None:
    """A name that no profile has may be a provider's, whose profile the environment makes."""
    write(ONE.format(name="mine"))
    found = resolve_profile("azure", {"AZURE_OPENAI_ENDPOINT": "e", "AZURE_OPENAI_API_KEY": "k"})
    assert isinstance(found, AzureProfile)


def test_a_file_without_profiles(write: Write) -> None:
    """Then the environment decides, as if there were no file."""
    write("")
    assert resolve_profile(None, {"OPENAI_API_KEY": "k"}).provider == "openai"


@pytest.mark.parametrize(
    ("environ", "provider"),
    [
        ({"OPENAI_API_KEY": "k"}, "openai"),
        ({"AZURE_OPENAI_ENDPOINT": "e", "AZURE_OPENAI_API_KEY": "k"}, "azure"),
        ({"AZURE_OPENAI_ENDPOINT": "e", "AZURE_OPENAI_AD_TOKEN": "t"}, "azure"),
        ({"AZURE_OPENAI_ENDPOINT": "e", "AZURE_TOKEN_CREDENTIALS": "prod"}, "azure"),
        ({"AZURE_OPENAI_ENDPOINT": "e", "AZURE_CLIENT_ID": "c"}, "azure"),
        ({"AZURE_OPENAI_ENDPOINT": "e", "OPENAI_API_KEY": "k"}, "openai"),
    ],
)
def test_the_environment_alone(environ: dict[str, str], provider: str) -> None:
    """With no file the variables that the SDKs read are enough."""
    assert resolve_profile(None, environ).provider == provider


@pytest.mark.parametrize(
    ("environ", "field", "value"),
    [
        ({"AZURE_OPENAI_AD_TOKEN": "t", "AZURE_OPENAI_API_KEY": "k"}, "ad_token", "t"),
        ({"AZURE_OPENAI_API_KEY": "k", "AZURE_CLIENT_ID": "c"}, "api_key", "k"),
        ({"AZURE_CLIENT_ID": "c"}, "credential", "entra"),
    ],
)
def test_which_credential_of_the_environment(
    environ: dict[str, str], field: str, value: str
) -> None:
    """A token beats a key, as in the openai SDK, and a key beats an identity."""
    profile = resolve_profile("azure", {"AZURE_OPENAI_ENDPOINT": "e", **environ})
    given = {name: revealed(getattr(profile, name)) for name in ("ad_token", "api_key")}
    given["credential"] = getattr(profile, "credential") or ""  # noqa: B009 - not of the base class
    assert {name for name, each in given.items() if each} == {field}
    assert given[field] == value


def test_a_value_in_the_file_beats_the_environment(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what the file leaves open is taken from there."""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://environment.test/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "environment-key")
    path = write(TWO + '[profiles.open]\nprovider = "openai"\n')
    monkeypatch.setenv("USAGESTREAM_CONFIG", str(path))
    hosts = {name: Client(name)._adapter.target("m").endpoint for name in ("first", "open")}  # pyright: ignore[reportPrivateUsage]
    assert hosts == {"first": "first.test", "open": "environment.test"}


def test_a_profile_in_code_beats_everything(write: Write) -> None:
    """Nothing is looked for."""
    write("this is not TOML")
    profile = OpenAIProfile(api_key="k")
    assert resolve_profile(profile, {"USAGESTREAM_CONFIG": "nowhere"}) is profile


def test_the_name_of_a_profile_is_on_it(write: Write) -> None:
    """Records call it so."""
    write(ONE.format(name="mine"))
    assert resolve_profile("mine", {}).name == "mine"
