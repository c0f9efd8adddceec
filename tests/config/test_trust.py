"""A profile file that was found, not named, has no secret of the user's until it is trusted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from platformdirs import user_config_path, user_state_path

from usagestream import AsyncClient, Client, ConfigError, Profile, UntrustedProfileError
from usagestream_adapters.azure import AzureProfile
from usagestream_adapters.cli.command import main
from usagestream_adapters.emulator import Emulator
from usagestream_adapters.openai import OpenAIProfile
from usagestream_adapters.replay import ReplayProfile
from usagestream_adapters.sdk.addresses import is_at, is_foreign
from usagestream_core.profiles import trust as trusting
from usagestream_core.profiles.file import find_file
from usagestream_core.profiles.listing import list_profiles
from usagestream_core.profiles.resolve import resolve, resolve_profile

Write = Callable[..., Path]

SEEDED = "seeded-secret-0123456789"
ELSEWHERE = "https://elsewhere.test/v1"
OPENAI = f'[profiles.x]\nprovider = "openai"\nbase_url = "{ELSEWHERE}"\n'
AZURE = '[profiles.x]\nprovider = "azure"\nendpoint = "https://elsewhere.test"\n'
OWN_AZURE = '[profiles.x]\nprovider = "azure"\nendpoint = "https://a.openai.azure.com"\n'
REPLAY = '[profiles.x]\nprovider = "replay"\ncassettes = "a.yaml"\n'
HERE = 'api_key = { file = "key.txt" }\n'
ENV: dict[str, str] = {
    "OPENAI_API_KEY": SEEDED,
    "AZURE_OPENAI_API_KEY": SEEDED,
    "OTHER_SECRET": SEEDED,
    "ELSEWHERE": ELSEWHERE,
}


def run(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture(autouse=True)
def _secrets(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One in the environment, one in the home folder, and one that comes with the file."""
    write(SEEDED, tmp_path / "home" / ".ssh" / "id")
    write("their-own-key", "key.txt")
    write(ELSEWHERE, "url.txt")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home" / "state"))
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)


SENT: list[tuple[str, dict[str, str], str]] = [
    (OPENAI, {}, "api_key (environment variable OPENAI_API_KEY) to base_url"),
    (OPENAI + 'api_key = { env = "OTHER_SECRET" }\n', {}, "(environment variable OTHER_SECRET)"),
    (OPENAI + 'api_key = { file = "~/.ssh/id" }\n', {}, "(file ~/.ssh/id)"),
    (OPENAI + 'api_key = { file = "../home/.ssh/id" }\n', {}, "(file ../home/.ssh/id)"),
    (OPENAI + 'api_key = { file = "link.txt" }\n', {}, "(file link.txt)"),
    (OPENAI + HERE + 'headers = { x-a = { env = "OTHER_SECRET" } }\n', {},
     "headers['x-a'] (environment variable OTHER_SECRET)"),
    (OPENAI + HERE + 'organization = { env = "OTHER_SECRET" }\n', {}, "organization"),
    (OPENAI + HERE, {"OPENAI_CUSTOM_HEADERS": "x-a: b"}, "OPENAI_CUSTOM_HEADERS"),
    (OPENAI.replace(f'"{ELSEWHERE}"', '{ file = "url.txt" }'), {},
     "to base_url { file = 'url.txt' }"),
    (OPENAI.replace(f'"{ELSEWHERE}"', '{ env = "OTHER_SECRET" }') + HERE, {},
     "base_url (environment variable OTHER_SECRET)"),
    (AZURE, {}, "api_key (environment variable AZURE_OPENAI_API_KEY) to endpoint"),
    (AZURE, {"AZURE_OPENAI_AD_TOKEN": SEEDED}, "ad_token (environment variable AZURE_OPENAI_AD_T"),
    (AZURE + 'credential = "entra"\n', {}, "the identity of credential = 'entra' to endpoint"),
    (AZURE, {"AZURE_CLIENT_ID": "c", "AZURE_OPENAI_API_KEY": ""}, "the identity"),
    (AZURE + 'credential = "azure-cli"\n', {}, "the identity of credential = 'azure-cli'"),
    (OWN_AZURE + 'credential = "entra"\nauthority = "https://elsewhere.test"\n', {},
     "to authority 'https://elsewhere.test'"),
    (OWN_AZURE + 'credential = "client-secret"\nauthority = "https://elsewhere.test"\n',
     {"AZURE_CLIENT_SECRET": SEEDED}, "client_secret (environment variable AZURE_CLIENT_SECRET)"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "environ", "says"), SENT)
def test_what_is_not_sent(
    write: Write, tmp_path: Path, text: str, environ: dict[str, str], says: str
) -> None:
    """The secret and the address are named, and how to trust the file; no secret is shown."""
    path = write(text)
    (path.parent / "link.txt").symlink_to(tmp_path / "home" / ".ssh" / "id")
    with pytest.raises(UntrustedProfileError) as caught:
        resolve_profile(None, {**ENV, **environ})
    assert says in str(caught.value)
    assert SEEDED not in str(caught.value)
    assert f"usagestream trust {path}" in str(caught.value)
    assert caught.value.path == str(path)


UNASKED: list[tuple[str, dict[str, str]]] = [
    ('[profiles.x]\nprovider = "openai"\n', {}),
    ('[profiles.x]\nprovider = "openai"\n', {"OPENAI_BASE_URL": ELSEWHERE}),
    ('[profiles.x]\nprovider = "openai"\nbase_url = { env = "OPENAI_BASE_URL" }\n',
     {"OPENAI_BASE_URL": ELSEWHERE}),
    (OPENAI.replace(ELSEWHERE, "https://eu.api.openai.com/v1"), {}),
    (OPENAI + HERE, {}),
    (OPENAI + HERE + 'headers = { x-a = "b" }\norganization = { env = "OPENAI_ORG_ID" }\n',
     {"OPENAI_ORG_ID": "org"}),
    (AZURE + HERE + 'deployments = { env = "OTHER_SECRET" }\n', {}),
    (OWN_AZURE + 'credential = "entra"\n', {}),
    (OWN_AZURE + 'credential = "entra"\nauthority = "login.microsoftonline.us"\n', {}),
    (OWN_AZURE + 'authority = "https://elsewhere.test"\n', {}),
    (OWN_AZURE + 'credential = "entra"\n', {"AZURE_AUTHORITY_HOST": "https://elsewhere.test"}),
    (REPLAY + 'headers = { x-a = { env = "OTHER_SECRET" } }\n', {}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "environ"), UNASKED)
def test_what_needs_no_trust(write: Write, text: str, environ: dict[str, str]) -> None:
    """The provider's own address; one from the variable of the SDK; a key that came along."""
    write(text)
    resolved = resolve(None, {**ENV, **environ})
    assert "needs no trust" in resolved.origin


def ask() -> None:
    """For the profile that is meant where none is named."""
    Client()


def ask_by_name() -> None:
    """For it by its name."""
    Client("x")


def ask_async() -> None:
    """In async code."""
    AsyncClient("x")


@pytest.mark.parametrize("ask", [ask, ask_by_name, ask_async])
@pytest.mark.parametrize("place", ["usagestream.toml", "../usagestream.toml", "pyproject.toml"])
def test_every_way_in_code(write: Write, ask: Callable[[], None], place: str) -> None:
    """Wherever the file was found, and whoever asks."""
    text = OPENAI.replace("[profiles", "[tool.usagestream.profiles") if "py" in place else OPENAI
    write(text, place)
    with pytest.raises(UntrustedProfileError):
        ask()


@pytest.mark.parametrize(
    "arguments", [("chat", "Hi"), ("chat", "Hi", "--profile", "x"), ("check",), ("check", "x")]
)
def test_every_command(write: Write, arguments: tuple[str, ...]) -> None:
    """Nothing is sent; trusted, it is."""
    with Emulator() as server:
        path = write(OPENAI.replace(ELSEWHERE, server.openai_base_url))
        refused = run(*arguments)
        assert refused.exit_code != 0
        assert f"usagestream trust {path}" in refused.output
        assert server.requests == []
        assert run("trust").exit_code == 0
        assert run(*arguments).exit_code == 0
        assert server.requests != []


def test_a_file_that_is_named_is_trusted(write: Write) -> None:
    """By the variable; and the user's own, wherever the program runs."""
    path = write(OPENAI, "elsewhere/any.toml")
    named = resolve(None, {**ENV, "USAGESTREAM_CONFIG": str(path)})
    assert "USAGESTREAM_CONFIG names" in named.origin
    own = write(OPENAI, user_config_path("usagestream", appauthor=False) / "usagestream.toml")
    assert "in your configuration folder" in resolve(None, ENV).origin
    assert "in your configuration folder" in resolve(None, ENV, start=own.parent).origin
    assert resolve(OpenAIProfile(base_url=ELSEWHERE), ENV).origin == "code"


def test_trusted_once_until_it_changes(write: Write) -> None:
    """Comments do not count; a word does, and so does a file of the folder that it refers to."""
    text = OPENAI.replace(f'"{ELSEWHERE}"', '{ file = "url.txt" }')
    path = write(text)
    result = run("trust", str(path))
    assert result.output.splitlines()[0] == f"{path} is trusted as it stands."
    assert "x: trusted with `usagestream trust`: sends api_key" in result.output
    assert "usagestream trust" in resolve(None, ENV).origin
    write(f"# Ours.\n{text}")
    resolve_profile(None, ENV)
    write("https://another.test/v1", "url.txt")
    with pytest.raises(UntrustedProfileError):
        resolve_profile(None, ENV)
    write(ELSEWHERE, "url.txt")
    resolve_profile(None, ENV)
    (path.parent / "url.txt").unlink()
    with pytest.raises(ConfigError):
        resolve_profile(None, ENV)
    write(ELSEWHERE, "url.txt")
    write(text + "timeout = 3\n")
    with pytest.raises(UntrustedProfileError):
        resolve_profile(None, ENV)


def test_trust_is_for_one_path(write: Write) -> None:
    """The same text in another folder is another file."""
    write(OPENAI)
    write(OPENAI, "sub/usagestream.toml")
    run("trust")
    resolve_profile(None, ENV)
    with pytest.raises(UntrustedProfileError):
        resolve_profile(None, ENV, start=Path("sub"))
    assert run("trust", "sub").exit_code == 0
    resolve_profile(None, ENV, start=Path("sub"))
    assert run("trust", "--forget", "sub").output.endswith("is trusted no longer.\n")
    assert run("trust", "--forget", "sub").output.endswith("was not trusted.\n")
    with pytest.raises(UntrustedProfileError):
        resolve_profile(None, ENV, start=Path("sub"))


def test_nothing_to_trust(write: Write) -> None:
    """No file; a file of something else; a file that cannot be read."""
    assert "There is no profile in" in run("trust").output
    write("[project]\n", "pyproject.toml")
    assert "There is no profile in pyproject.toml" in run("trust", "pyproject.toml").output
    write("this is not TOML")
    assert "is not valid TOML" in run("trust").output
    assert run("trust").exit_code == 1


@pytest.mark.parametrize("kept", ["", "[]", '{"a": 1}', None])
def test_what_is_kept_and_cannot_be_read_trusts_nothing(write: Write, kept: str | None) -> None:
    """And is written anew."""
    store = user_state_path("usagestream", appauthor=False) / "trusted.json"
    if kept is not None:
        write(kept, store)
    path = write(OPENAI)
    with pytest.raises(UntrustedProfileError):
        resolve_profile(None, ENV)
    assert run("trust").exit_code == 0
    resolve_profile(None, ENV)
    assert list(json.loads(store.read_text())) == [str(path)]


def test_trust_that_cannot_be_kept(write: Write, tmp_path: Path) -> None:
    """It is said, and the file is not trusted."""
    write("a file where the folder should be", tmp_path / "home" / "state")
    write(OPENAI)
    result = run("trust")
    assert result.exit_code == 1
    assert "cannot be written, so that nothing is trusted" in result.output


def test_in_the_home_folder_no_file_came_along(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive that is unpacked there lies beside everything that is secret."""
    write(OPENAI + 'api_key = { file = ".ssh/id" }\n', tmp_path / "home" / "usagestream.toml")
    monkeypatch.chdir(tmp_path / "home")
    with pytest.raises(UntrustedProfileError):
        resolve_profile(None, {})


def test_a_path_that_is_none(write: Write) -> None:
    """It is in nobody's folder."""
    write(
        OPENAI + '[profiles.y]\nprovider = "openai"\n'
        'api_key = { file = "a\\u0000b" }\norganization = { file = "~nobody-here/x" }\n'
    )
    with pytest.raises(ConfigError, match=r"(?s)ValueError.*~nobody-here/x, which cannot be read"):
        resolve_profile("y", ENV)
    run("trust")
    resolve_profile("x", ENV)


def test_the_list_says_what_is_trusted_and_why(write: Write) -> None:
    """Of every profile of a file; one that is not trusted is broken."""
    write(OPENAI + OWN_AZURE.replace("profiles.x", "profiles.y"))
    x, y, *_ = list_profiles(ENV)
    assert x.trust is not None
    assert x.trust.startswith("not trusted: would send api_key")
    assert "usagestream trust" in str(x.problem)
    assert (y.problem, str(y.trust)[:14]) == (None, "needs no trust")
    result = run("profiles")
    assert "needs no trust: " in result.output
    assert result.output.count("not trusted: would send") == 1
    assert result.exit_code == 1
    assert run("trust").exit_code == 0
    result = run("profiles")
    assert "trusted with `usagestream trust`: sends api_key" in result.output
    assert result.exit_code == 0


def test_an_address_that_cannot_be_read_is_not_judged(write: Write) -> None:
    """It is said what is wrong with it."""
    write(AZURE.replace("https://elsewhere.test", "ftp://x"))
    with pytest.raises(ConfigError, match="endpoint must be an address"):
        Client()
    x = list_profiles(ENV)[0]
    assert str(x.problem).count("endpoint must be an address") == 1


class Other(Profile, frozen=True):
    """A profile of somebody else's adapter, which says nothing about its addresses."""

    provider: str = "other"
    host: str | None = None
    region: str = ""
    retries: int = 1


def test_a_profile_that_does_not_say_where_its_addresses_are() -> None:
    """Every text of its own may be one."""
    assert Other(host="a", name="b").foreign_addresses() == {"host": "a"}
    assert Other().ambient_secrets(ENV) == ()
    assert ReplayProfile(cassettes="a").foreign_addresses() == {}
    assert AzureProfile().foreign_addresses() == {}


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("https://api.openai.com/v1", True),
        ("api.openai.com", True),
        ("https://API.openai.com.:443/v1", True),
        ("https://us.api.openai.com/v1", True),
        ("https://a.openai.azure.com", True),
        ("https://a.cognitiveservices.azure.us", True),
        ("https://a.services.ai.azure.com/api/projects/p", True),
        ("https://me:pw@a.openai.azure.cn", True),
        ("http://api.openai.com/v1", False),
        ("https://openai.com", False),
        ("https://xapi.openai.com", False),
        ("https://api.openai.com.elsewhere.test", False),
        ("https://api.openai.com@elsewhere.test", False),
        ("https://elsewhere.test\\@api.openai.com", False),
        ("https://elsewhere.test#@api.openai.com", False),
        ("https://elsewhere.test/.openai.azure.com", False),
        ("https://api.openai\u3002com", False),
        ("https://a.eastus.cloudapp.azure.com", False),
        ("https://a.azure-api.net", False),
        ("https://openai.azure.com.elsewhere.test", False),
        ("https://a.azurewebsites.net", False),
        ("https://127.0.0.1", False),
        ("https://[::1]:1", False),
    ],
)
def test_an_address_that_is_the_providers_own(url: str, own: bool) -> None:
    """Whole names, over https, and none that two readers could read in two ways."""
    assert not is_at("ftp://api.openai.com", "api.openai.com")
    assert is_foreign(url) is not own


FIELDS = st.sampled_from(["api_key", "organization", "project", "headers"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    host=st.from_regex(r"[a-z]{1,9}(\.[a-z]{1,9}){0,3}", fullmatch=True),
    scheme=st.sampled_from(["http", "https"]),
    fields=st.dictionaries(FIELDS, st.sampled_from(["env", "file"])),
)
def test_a_secret_never_goes_elsewhere_unasked(
    write: Write, host: str, scheme: str, fields: dict[str, str]
) -> None:
    """Whatever the address and wherever the secret is put."""
    targets = {"env": "OTHER_SECRET", "file": "~/.ssh/id"}
    lines = ["[profiles.x]", 'provider = "openai"', f'base_url = "{scheme}://{host}/v1"']
    for name, kind in fields.items():
        written = f'{{ {kind} = "{targets[kind]}" }}'
        lines.append(f"{name} = {{ x-a = {written} }}" if name == "headers" else
                     f"{name} = {written}")  # fmt: skip
    write("\n".join(lines))
    with pytest.raises(UntrustedProfileError):
        resolve_profile(None, ENV)
    file = find_file(ENV)
    assert file is not None
    trusting.trust(file)
    made: Any = resolve_profile(None, ENV)
    assert made.base_url == f"{scheme}://{host}/v1"
    trusting.forget(file)
