"""What is wrong in a file is said with file, line, key and fix; secrets are referred to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from platformdirs import user_config_path
from pydantic import SecretStr, model_validator

from usagestream import Client, ConfigError, Profile
from usagestream_adapters.azure import AzureProfile
from usagestream_adapters.openai import OpenAIAdapter, OpenAIProfile
from usagestream_core.profile import secret_fields
from usagestream_core.profiles.file import line_of, read_file
from usagestream_core.profiles.resolve import resolve_profile

Write = Callable[..., Path]

SEEDED = "sk-seeded-0123456789"

MISTAKES: list[tuple[str, str]] = [
    # what is no file of ours
    ("default = ", "usagestream.toml is not valid TOML: Invalid value (at end of document)"),
    ("a = 1\na = 2", "is not valid TOML: Cannot overwrite a value"),
    ('\ndefualt = "x"', ":2: defualt is no setting of usagestream: did you mean 'default'?"),
    ("[profile.x]", ":1: profile is no setting of usagestream: did you mean 'profiles'?"),
    ("zzz = 1", "zzz is no setting of usagestream: there are: default, ledger, prices, profiles, "),
    ("profiles = 1", "profiles must be a table of profiles"),
    ("[profiles]\nx = 1", ":2: profiles.x must be a table: write [profiles.x]."),
    ('default = "azur"\n[profiles.azure]\nprovider = "azure"',
     ":1: default names the profile 'azur', which is not there: did you mean 'azure'?"),
    ('default = "azure"', "default names the profile 'azure', which is not there: there are: none"),
    # what is no profile
    ("[profiles.x]\ntimeout = 1", ':1: profiles.x has no provider: set provider = "azure" or'),
    ('[profiles.x]\nprovider = "opanai"',
     ":2: profiles.x.provider: there is no provider 'opanai' here; did you mean 'openai'?"),
    ('[profiles.x]\nprovider = "openai"\nname = "y"', ":3: profiles.x.name cannot be set"),
    # what is no setting, or has the wrong type or value
    ('[profiles."a.b"]\nprovider = "azure"\napi_verson = "v1"',
     ":3: profiles.a.b.api_verson is no setting of provider 'azure': did you mean 'api_version'?"),
    ('[profiles.x]\nprovider = "openai"\ntimeout = "soon"', ":3: profiles.x.timeout: input should"),
    ('[profiles.x]\nprovider = "openai"\ntimeout = "soon"', "not 'soon'"),
    ('[profiles.x]\nprovider = "openai"\nmax_retries = -1', "greater than or equal to 0, not -1"),
    ('[profiles.x]\nprovider = "openai"\ninclude_usage = "maybe"', "'auto', 'always' or 'never'"),
    ('[profiles.x]\nprovider = "openai"\nheaders = 1', ":3: profiles.x.headers: input should be"),
    ('[profiles.x]\nprovider = "openai"\nheaders = { x-n = 1 }', "profiles.x.headers.x-n"),
    ('[profiles.x]\nprovider = "azure"\ndeployments = { a = 1 }',
     ":3: profiles.x.deployments.a: input should be a valid string"),
    ('[profiles.x]\nprovider = "azure"\ncredential = "enrta"',
     ":3: profiles.x.credential: must be one of api-key, entra, managed-identity, workload-id"),
    ('[profiles.x]\nprovider = "azure"\ncredential = "entra"\napi_key = { env = "SEEDED" }',
     ":1: profiles.x: api_key and credential='entra' are given: keep one credential."),
    # secrets
    (f'[profiles.x]\nprovider = "openai"\napi_key = "{SEEDED}"',
     ":3: profiles.x.api_key must not hold a secret. Secrets come from the environment"),
    (f'[profiles.x]\nprovider = "openai"\napi_kye = "{SEEDED}"', "did you mean 'api_key'?"),
    (f'[profiles.x]\nprovider = "openai"\nheaders = {{ Authorization = "{SEEDED}" }}',
     ":3: profiles.x.headers.Authorization must not hold a secret"),
    ('[profiles.x]\nprovider = "openai"\napi_key = { var = "SEEDED" }', "must not hold a secret"),
    ('[profiles.x]\nprovider = "openai"\napi_key = { env = 1 }', "must not hold a secret"),
    ('[profiles.x]\nprovider = "openai"\napi_key = { env = "UNSET" }',
     ":3: profiles.x.api_key is to come from the environment variable UNSET, which is not set"),
    ('[profiles.x]\nprovider = "openai"\napi_key = { file = "none.txt" }',
     "none.txt, which cannot be read: No such file or directory."),
    ('[profiles.x]\nprovider = "openai"\napi_key = { file = "empty.txt" }',
     "empty.txt, which is empty."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says"), MISTAKES)
def test_a_mistake_in_a_file(write: Write, text: str, says: str) -> None:
    """The message holds the place and the fix, and no secret."""
    path = write(text)
    write("\n", "empty.txt")
    with pytest.raises(ConfigError) as caught:
        resolve_profile(None, {"SEEDED": SEEDED})
    assert str(caught.value).startswith(str(path))
    assert says in str(caught.value)
    assert SEEDED not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_several_mistakes_are_named_at_once(write: Write) -> None:
    """One run of the program is enough to see them."""
    write('[profiles.x]\nprovider = "openai"\ntimeout = 0\nmax_retrys = 1')
    with pytest.raises(ConfigError) as caught:
        resolve_profile(None, {})
    assert len(str(caught.value).splitlines()) == 2


SEVERAL: list[tuple[str, list[str]]] = [
    # of a file
    ('defualt = "x"\nprofile = 1\ndefault = "y"\n[profiles]\nx = 1\nz = 2',
     ["did you mean 'default'", "did you mean 'profiles'", "profiles.x must be a table",
      "profiles.z must be a table", "names the profile 'y', which is not there"]),
    ("default = 1\nprofiles = 1\nzzz = 1", ["profiles must be a table of profiles", "zzz is no"]),
    ('default = ["x"]\nzzz = 1\n[profiles.x]', ["zzz is no setting", "names the profile ['x']"]),
    # of a profile
    ('[profiles.x]\nprovider = "opanai"\nname = "y"\nbase_url = { env = "UNSET" }',
     ["there is no provider 'opanai'", "profiles.x.name cannot be set", "variable UNSET"]),
    ('[profiles.x]\nname = "y"\norganization = { file = "none" }',
     ["has no provider", "profiles.x.name cannot be set", "which cannot be read"]),
    ((f'[profiles.x]\nprovider = "openai"\napi_key = "{SEEDED}"\n'
     'organization = { env = "UNSET" }\nheaders = { x-key = "a", x-b = { env = "UNSET" } }\n'
     'timeout = 0\ntimout = 1'),
     ["api_key must not hold", "organization is to come", "x-key must not hold", "x-b is to come",
      "timeout: input should be greater than 0", "did you mean 'timeout'"]),
    # what only shows when all is put together, beside what shows before
    (('[profiles.x]\nprovider = "azure"\ncredential = "entra"\napi_key = { env = "SEEDED" }\n'
     'client_secret = { env = "SEEDED" }\ntimeout = 0'),
     ["timeout: input should be", "keep one credential", "client_secret is given"]),
    (('[profiles.x]\nprovider = "azure"\ncredential = "enrta"\nmax_retries = -1\n'
     'api_version = "preview"\nendpoint = "https://a.openai.azure.com"'),
     ["credential: must be one of", "max_retries: input should", "api_version must be 'v1'"]),
    ('[profiles.x]\nprovider = "azure"\ncredential = "client-secret"\ntimeout = 0',
     ["timeout: input", "no endpoint", "no tenant_id", "no client_id"]),
    (('[profiles.x]\nprovider = "openai"\napi_key = { env = "BAD" }\nbase_url = "ftp://x"\n'
     'headers = { "x-\u00e9" = "a", x-b = "\u00e9" }\nmax_retries = -1'),
     ["max_retries: input", "api_key (OPENAI_API_KEY) cannot be sent", "base_url must be an ad",
      "the name of headers['x-\u00e9'] cannot be sent", "headers['x-b'] cannot be sent"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says"), SEVERAL)
def test_every_mistake_is_named_at_once(write: Write, text: str, says: list[str]) -> None:
    """A line each, with its place, however early it would have ended the reading."""
    path = write(text)
    with pytest.raises(ConfigError) as caught:
        resolve_profile(None, {"SEEDED": SEEDED, "BAD": "sk-\u2010abcdef"})
    lines = str(caught.value).splitlines()
    assert all(line.startswith(str(path)) for line in lines)
    assert [each for each in says if not any(each in line for line in lines)] == []
    assert len(lines) == len(says)
    assert SEEDED not in str(caught.value)


@pytest.mark.parametrize(
    ("profile", "says"),
    [
        (OpenAIProfile(base_url="ftp://x", headers={"x-a": "\u00e9"}),
         ["no OpenAI key", "headers['x-a'] cannot be sent", "base_url must be"]),
        (AzureProfile(endpoint="ftp://x"), ["no api_key", "endpoint must be an address"]),
        (AzureProfile(api_version="zzz"), ["no endpoint", "no api_key"]),
        (AzureProfile(endpoint="https://a.test", api_key="\u00e9", api_version="zzz"),
         ["api_version must be", "api_key (AZURE_OPENAI_API_KEY) cannot be sent"]),
        (AzureProfile(credential="client-secret"),
         ["no endpoint", "no tenant_id", "no client_id", "no client_secret"]),
    ],
)  # fmt: skip
def test_every_mistake_of_a_profile_made_in_code(profile: Profile, says: list[str]) -> None:
    """One run of the program is enough to see them."""
    with pytest.raises(ConfigError) as caught:
        Client(profile)
    lines = str(caught.value).splitlines()
    assert [line for each, line in zip(says, lines, strict=True) if each not in line] == []


class Odd(OpenAIProfile, frozen=True):
    """A profile of somebody else's, which has to be whole, and checks that in its own way."""

    needed: str
    count: int = 0

    @model_validator(mode="after")
    def _checked(self) -> Odd:
        if self.count == 1:
            raise ValueError("one is too few")
        return self


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("", ["profiles.x.needed: field required"]),
        ("count = 1\nneeded = 'a'", ["profiles.x: one is too few"]),
        ('count = 1\nneeded = { env = "UNSET" }\ntimeout = 0',
         ["needed is to come from", "timeout: input should be"]),
        ('count = { env = "SEEDED" }\nneeded = "a"', ["profiles.x.count: input should be a valid"]),
    ],
)  # fmt: skip
def test_the_mistakes_of_another_providers_profile(
    write: Write, monkeypatch: pytest.MonkeyPatch, lines: str, says: list[str]
) -> None:
    """Whatever pydantic says of it, and no value that comes from elsewhere."""
    monkeypatch.setattr(OpenAIAdapter, "profile_type", Odd)
    write(f'[profiles.x]\nprovider = "openai"\n{lines}')
    with pytest.raises(ConfigError) as caught:
        resolve_profile(None, {"SEEDED": SEEDED})
    found = str(caught.value).splitlines()
    assert [line for each, line in zip(says, found, strict=True) if each not in line] == []
    assert SEEDED not in str(caught.value)


def test_a_byte_order_mark_is_no_mistake(write: Write) -> None:
    """Some editors put one before a file: before ours, and before one that holds a key."""
    write("\ufeff" + '[profiles.x]\nprovider = "openai"\napi_key = { file = "key.txt" }\n')
    write(f"\ufeff{SEEDED}\r\n", "key.txt")
    found = resolve_profile(None, {})
    assert isinstance(found, OpenAIProfile)
    assert found.api_key == SecretStr(SEEDED)


def test_a_name_without_any_file(tmp_path: Path) -> None:
    """Where one was looked for is said, and what providers there are."""
    with pytest.raises(ConfigError) as caught:
        resolve_profile("opena", {})
    said = str(caught.value)
    assert "no provider 'opena' here. Installed: azure, openai, replay." in said
    assert f"in {tmp_path / 'project'} or a folder above it" in said
    assert f"no {user_config_path('usagestream', appauthor=False) / 'usagestream.toml'}" in said
    assert said.endswith("Did you mean 'openai'?")
    with pytest.raises(ConfigError, match="profile of that name that USAGESTREAM_PROFILE names"):
        resolve_profile(None, {"USAGESTREAM_PROFILE": "zzz"})


def test_a_pyproject_names_the_whole_path_of_the_key(write: Write) -> None:
    """So that it can be searched for."""
    write('[tool.usagestream.profiles.x]\nprovider = "openai"\ntimout = 1', "pyproject.toml")
    with pytest.raises(ConfigError, match=r"pyproject.toml:3: tool.usagestream.profiles.x.timout"):
        resolve_profile(None, {})
    write("[tool]\nusagestream = 1", "pyproject.toml")
    with pytest.raises(ConfigError, match=r"pyproject.toml:2: tool.usagestream must be a table"):
        resolve_profile(None, {})


@pytest.mark.parametrize(
    ("name", "environ", "says"),
    [
        ("azure-prd", {}, "There is no profile 'azure-prd' in .*: did you mean 'azure-prod'"),
        (None, {"USAGESTREAM_PROFILE": "zzz"},
         "'zzz' that USAGESTREAM_PROFILE names in .*: there are: azure-prod"),
        (None, {"USAGESTREAM_CONFIG": "nowhere.toml"}, "USAGESTREAM_CONFIG names 'nowhere.toml'"),
    ],
)  # fmt: skip
def test_a_name_that_leads_nowhere(
    write: Write, name: str | None, environ: dict[str, str], says: str
) -> None:
    """The variable or the file that should have had it is named."""
    write('[profiles.azure-prod]\nprovider = "azure"')
    with pytest.raises(ConfigError, match=says):
        resolve_profile(name, environ)


def test_a_file_that_cannot_be_read(write: Write) -> None:
    """Bytes that are not UTF-8."""
    write("x").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="toml cannot be read"):
        resolve_profile(None, {})


def test_references_are_followed(write: Write, tmp_path: Path) -> None:
    """For secrets, for headers, and for any other single value; `~` is the home folder."""
    write(f"{SEEDED}-file\n", tmp_path / "home" / "key.txt")
    write("https://contoso.openai.azure.com", "endpoint.txt")
    write(
        "[profiles.x]\n"
        'provider = "azure"\n'
        'endpoint = { file = "endpoint.txt" }\n'
        'timeout = { env = "WAIT" }\n'
        'api_key = { file = "~/key.txt" }\n'
        'headers = { x-team = "search", x-key = { env = "SEEDED" } }\n'
        'deployments = { env = "a deployment for a model called env" }\n'
    )
    found = resolve_profile("x", {"SEEDED": SEEDED, "WAIT": "7.5"})
    assert isinstance(found, AzureProfile)
    assert found == AzureProfile(
        name="x",
        endpoint="https://contoso.openai.azure.com",
        timeout=7.5,
        api_key=f"{SEEDED}-file",
        headers={"x-team": "search", "x-key": SEEDED},
        deployments={"env": "a deployment for a model called env"},
    )


def test_invariant_7_a_profile_shows_no_secret() -> None:
    """However it is shown, and however the secret was given."""
    given: list[Any] = [SEEDED, SecretStr(SEEDED), lambda: SEEDED]
    for key in given:
        profile = OpenAIProfile(api_key=key, headers={"x": SEEDED})
        assert SEEDED not in f"{profile!r} {profile!s} {Client(profile)!r}"
        assert SEEDED not in str(profile.model_dump())
    changed = OpenAIProfile().model_copy(update={"api_key": SEEDED})
    assert SEEDED not in repr(changed)
    with pytest.raises(ValueError, match="api_kye") as caught:
        OpenAIProfile.model_validate({"api_kye": SEEDED})
    assert SEEDED not in str(caught.value)


def test_secret_fields_are_found_by_their_type() -> None:
    """A provider package of someone else's need not list them."""

    class Other(Profile, frozen=True):
        password: SecretStr
        token: SecretStr | None = None
        notes: str = ""

    assert secret_fields(Other) == {"password", "token"}
    assert secret_fields(AzureProfile) == {"api_key", "ad_token", "client_secret"}


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("default",), 1),
        (("profiles", "a"), 3),
        (("profiles", "a", "timeout"), 5),
        (("profiles", "a", "inner", "x"), 6),
        (("profiles", "b.c", "x"), 8),
        (("profiles", "d"), 10),
        (("profiles", "nowhere"), 9),
        (("nowhere",), None),
    ],
)
def test_the_line_of_a_key(keys: tuple[str, ...], line: int | None) -> None:
    """The key's own, or that of the nearest table around it."""
    text = (
        'default = "a"\n'
        "\n"
        "[profiles.a] # the first\n"
        "# timeout = 1\n"
        "timeout = 2\n"
        "inner.x = [\n"
        "]\n"
        "[profiles.'b.c']\n"
        "[profiles]\n"
        "d.provider = 1\n"
    )
    assert line_of(text, keys) == line


def test_a_file_that_has_gone(tmp_path: Path) -> None:
    """The reason is a sentence."""
    with pytest.raises(ConfigError, match=r"usagestream\.toml cannot be read: No such file or"):
        read_file(tmp_path / "usagestream.toml")
