"""Every kind of credential through the real azure-identity, against a local Entra over TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import stat
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import azure.identity
import azure.identity.aio
import pytest
from azure.core.exceptions import AzureError
from pydantic import ValidationError
from tests._support.entra import CLIENT_ID, CLIENT_SECRET, TENANT, Directory
from tests._support.worlds import ASK, World

from usagestream import AsyncClient, AuthenticationError, Client, ConfigError
from usagestream_adapters.azure import AzureProfile
from usagestream_adapters.azure._credentials import CredentialFetcher
from usagestream_adapters.emulator import Emulator

Make = Callable[..., AzureProfile]


def bearer(server: Emulator) -> str:
    """The token of the one request that was made."""
    (request,) = server.requests
    assert not request.api_key
    return request.bearer


@pytest.fixture
def _azure_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program `az` that is signed in."""
    program = tmp_path / "az"
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, time\n"
        "print(json.dumps({'accessToken': 'cli-token', 'tenant': 't', 'tokenType': 'Bearer',"
        " 'expires_on': int(time.time()) + 3600, 'expiresOn': '2100-01-01 00:00:00.000000'}))\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def test_a_client_secret(
    world: World, server: Emulator, directory: Directory, entra_profile: Make
) -> None:
    """The secret is exchanged for a token, for the scope of the surface."""
    world.stream(entra_profile()).drain()
    assert bearer(server) == "client-token-1"
    (asked,) = directory.asked
    assert asked["client_id"] == CLIENT_ID
    assert asked["scope"].split()[0] == "https://ai.azure.com/.default"


def test_a_client_secret_from_the_environment(
    server: Emulator, directory: Directory, entra_profile: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables that azure-identity reads fill what the profile leaves open."""
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", CLIENT_SECRET)
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", directory.authority)
    profile = entra_profile(tenant_id=None, client_id=None, client_secret=None, authority=None)
    with Client(profile) as client:
        client.stream(**ASK).drain()
    assert bearer(server) == "client-token-1"


@pytest.mark.parametrize("client_id", [None, CLIENT_ID], ids=["system", "user-assigned"])
def test_a_managed_identity(
    world: World,
    server: Emulator,
    directory: Directory,
    entra_profile: Make,
    client_id: str | None,
) -> None:
    """The instance-metadata endpoint is asked for the host's identity, or for one by its id."""
    world.stream(entra_profile("managed-identity", client_id=client_id)).drain()
    assert bearer(server) == "managed-token-1"
    (asked,) = directory.asked
    assert asked.get("client_id") == client_id
    assert asked["resource"] == "https://ai.azure.com"


def test_a_workload_identity(
    world: World, server: Emulator, directory: Directory, entra_profile: Make,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The pod's own token is exchanged for one of Entra ID."""
    federated = tmp_path / "token"
    federated.write_text("pod-token")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(federated))
    profile = entra_profile("workload-identity", tenant_id=TENANT, client_id=CLIENT_ID)
    world.stream(profile).drain()
    assert bearer(server) == "workload-token-1"
    assert directory.asked[0]["client_assertion"] == "pod-token"


@pytest.mark.usefixtures("_azure_cli")
def test_the_azure_cli(world: World, server: Emulator, entra_profile: Make) -> None:
    """Whoever has done `az login` needs nothing else."""
    world.stream(entra_profile("azure-cli")).drain()
    assert bearer(server) == "cli-token"


@pytest.mark.usefixtures("_azure_cli")
@pytest.mark.parametrize("tenant", [None, TENANT])
def test_the_default_chain(
    world: World, server: Emulator, entra_profile: Make, tenant: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """`entra` is the default chain, which `AZURE_TOKEN_CREDENTIALS` narrows."""
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    world.stream(entra_profile("entra", tenant_id=tenant)).drain()
    assert bearer(server) == "cli-token"


def test_the_default_chain_on_a_host_with_an_identity(
    server: Emulator, entra_profile: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nothing but `AZURE_TOKEN_CREDENTIALS` and an endpoint, the environment is enough."""
    profile = entra_profile()
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "prod")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", profile.endpoint or "")
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", profile.authority or "")
    with Client() as client:
        client.stream(**ASK).drain()
    assert bearer(server) == "managed-token-1"


def options(directory: Directory, authority: tuple[ssl.SSLContext, str]) -> dict[str, Any]:
    """What a credential made by hand needs to find the local Entra."""
    return {
        "authority": directory.authority,
        "disable_instance_discovery": True,
        "connection_verify": authority[1],
    }


def test_a_credential_object(
    world: World, server: Emulator, directory: Directory, entra_profile: Make,
    authority: tuple[ssl.SSLContext, str],
) -> None:  # fmt: skip
    """A sync credential of the caller's serves both kinds of client."""
    with azure.identity.ClientSecretCredential(
        TENANT, CLIENT_ID, CLIENT_SECRET, **options(directory, authority)
    ) as credential:
        world.stream(entra_profile(credential, tenant_id=TENANT)).drain()
    assert bearer(server) == "client-token-1"


def test_an_async_credential_object(
    server: Emulator, directory: Directory, entra_profile: Make,
    authority: tuple[ssl.SSLContext, str],
) -> None:  # fmt: skip
    """An async credential of azure-identity serves an async client, on its own event loop."""

    async def run() -> None:
        async with (
            azure.identity.aio.ClientSecretCredential(
                TENANT, CLIENT_ID, CLIENT_SECRET, **options(directory, authority)
            ) as credential,
            AsyncClient(entra_profile(credential)) as client,
        ):
            await client.stream(**ASK).drain()

    asyncio.run(run())
    assert bearer(server) == "client-token-1"


class Handmade:
    """An `AsyncTokenCredential` that says on which threads it was asked."""

    def __init__(self, **more: Any) -> None:
        self.threads: set[str] = set()
        self.scopes: list[str] = []
        self.more = more

    async def get_token(self, *scopes: str, **options: Any) -> Any:
        await asyncio.sleep(0)
        self.threads.add(threading.current_thread().name)
        self.scopes += scopes
        self.more |= options
        from azure.core.credentials import AccessToken

        return AccessToken("handmade-token", int(time.time()) + 3600)


@pytest.mark.parametrize("tenant", [None, TENANT])
def test_a_credential_of_ones_own(
    world: World, server: Emulator, entra_profile: Make, tenant: str | None
) -> None:
    """The older of azure-core's two protocols is enough; in sync code it has a loop of its own."""
    credential = Handmade()
    with_tenant = entra_profile(credential, tenant_id=tenant, token_scope="api://mine/.default")
    world.stream(with_tenant).drain()
    assert bearer(server) == "handmade-token"
    assert credential.scopes == ["api://mine/.default"]
    assert credential.more == ({} if tenant is None else {"tenant_id": tenant})
    expected = "MainThread" if world.asynchronous else "usagestream-credential"
    assert credential.threads == {expected}


def test_a_private_event_loop_ends_with_the_client(entra_profile: Make) -> None:
    """Closing the client stops the thread."""
    with Client(entra_profile(async_function)) as client:
        client.stream(**ASK).drain()
        client.stream(**ASK).drain()
        names = [thread.name for thread in threading.enumerate()]
        assert names.count("usagestream-credential") == 1
    names = [thread.name for thread in threading.enumerate()]
    assert "usagestream-credential" not in names


class CallableObject:
    """An object whose call is async."""

    async def __call__(self) -> str:
        return "called-token"


async def async_function() -> str:
    """A provider that must be awaited."""
    return "called-token"


@pytest.mark.parametrize(
    "provider",
    [lambda: "called-token", async_function, lambda: async_function(), CallableObject()],
    ids=["sync", "async", "sync-that-gives-a-coroutine", "object"],
)
def test_a_token_provider(
    world: World, server: Emulator, entra_profile: Make, provider: Any
) -> None:
    """A function that gives a token serves both kinds of client, whichever kind it is itself."""
    world.stream(entra_profile(provider)).drain()
    assert bearer(server) == "called-token"


@pytest.mark.parametrize("version", ["v1", "2024-10-21"])
def test_a_token_from_the_environment(
    world: World, server: Emulator, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`AZURE_OPENAI_AD_TOKEN` is used as it is, and beats a key in the environment."""
    monkeypatch.setenv("OPENAI_API_VERSION", version)
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "environment-token")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "environment-key")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.azure_endpoint)
    world.stream("azure").drain()
    assert bearer(server) == "environment-token"


@pytest.mark.parametrize("version", ["v1", "2024-10-21"])
def test_what_is_given_beats_the_environment(
    world: World, server: Emulator, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key in the profile is sent, whatever token the environment has."""
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "environment-token")
    profile = AzureProfile(
        endpoint=server.azure_endpoint, api_key="profile-key", api_version=version
    )
    world.stream(profile).drain()
    (request,) = server.requests
    assert (request.api_key or request.bearer) == "profile-key"
    assert "environment-token" not in str(request.headers)


@pytest.mark.parametrize("version", ["v1", "2024-10-21"])
@pytest.mark.parametrize("field", ["api_key", "ad_token"])
def test_a_function_that_gives_a_key_or_a_token(
    world: World, server: Emulator, version: str, field: str
) -> None:
    """It is asked when a request is made, and the answer is sent where it belongs."""
    secret: dict[str, Any] = {field: lambda: "given-secret"}
    profile = AzureProfile(endpoint=server.azure_endpoint, api_version=version, **secret)
    world.stream(profile).drain()
    (request,) = server.requests
    as_key = field == "api_key" and version != "v1"
    assert (request.api_key, request.bearer) == (
        ("given-secret", "") if as_key else ("", "given-secret")
    )


# --- what goes wrong


def refused(world: World, profile: AzureProfile, server: Emulator) -> AuthenticationError:
    """The error of a token that cannot be had. Nothing was asked of the provider."""
    with pytest.raises(AuthenticationError) as caught:
        world.stream(profile).drain()
    assert server.requests == []
    assert (caught.value.provider, caught.value.status) == ("azure", None)
    (record,) = world.records
    assert caught.value.record is record
    return caught.value


def test_a_wrong_secret(world: World, server: Emulator, entra_profile: Make) -> None:
    """Entra's words come with what to do, and without the secret they repeat."""
    wrong = "wrong-seeded-secret-9876543210"
    raised = refused(world, entra_profile(client_secret=wrong), server)
    first, line = str(raised).split("\n")
    assert first.startswith("ClientSecretCredential got no token for https://ai.azure.com")
    assert first.endswith("Check client_secret: it is wrong, or has expired.")
    assert line.startswith("  ClientSecretCredential: AADSTS7000215: ")
    assert "Trace ID" not in line
    assert isinstance(raised.__cause__, AzureError)
    (record,) = world.records
    assert wrong not in f"{raised} {raised!r} {record.model_dump_json()}"


def test_a_wrong_tenant(world: World, server: Emulator, entra_profile: Make) -> None:
    """A directory that does not exist is named, and the fields to look at."""
    raised = refused(world, entra_profile(tenant_id="contoso.example"), server)
    assert "tenant_id and client_id" in str(raised)


def test_the_default_chain_names_what_it_tried(
    world: World, server: Emulator, directory: Directory, entra_profile: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Every credential that was tried has a line, below what to do first."""
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "prod")
    directory.refuse = (
        400,
        {"error": "invalid_request", "error_description": "Identity not found"},
    )
    raised = refused(world, entra_profile("entra"), server)
    first, *lines = str(raised).split("\n")
    assert "Assign a managed identity to this host" in first
    assert [line.partition(": ")[0] for line in lines] == [
        "  EnvironmentCredential",
        "  WorkloadIdentityCredential",
        "  ManagedIdentityCredential",
    ]
    assert lines[0].endswith(": Environment variables are not fully configured.")
    assert isinstance(raised.__cause__, AzureError)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_failure_is_said_once(
    kind: str, server: Emulator, directory: Directory, entra_profile: Make,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """What is raised here is not logged by azure-identity too; what others ask for is."""
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "prod")
    directory.refuse = (400, {"error": "invalid_request", "error_description": "Not found"})

    async def run() -> None:
        async with (
            azure.identity.aio.DefaultAzureCredential() as credential,
            AsyncClient(entra_profile(credential)) as client,
        ):
            with pytest.raises(AuthenticationError):
                await client.stream(**ASK).drain()
            assert caplog.records == []
            with pytest.raises(AzureError):
                await credential.get_token_info("https://ai.azure.com/.default")

    if kind == "async":
        asyncio.run(run())
    else:
        with azure.identity.DefaultAzureCredential() as credential:
            with Client(entra_profile(credential)) as client, pytest.raises(AuthenticationError):
                client.stream(**ASK).drain()
            assert caplog.records == []
            with pytest.raises(AzureError):
                credential.get_token("https://ai.azure.com/.default")
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    assert server.requests == []


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Az authentication unavailable. No accounts.", "No accounts."),
        ("Az authentication unavailable.", "authentication unavailable."),
        ("No. Visit https://aka.ms/x to troubleshoot this issue.", "No."),
        ("Visit https://aka.ms/x", "Visit https://aka.ms/x"),
        ("too long " * 40, ("too long " * 40)[:199] + "…"),
    ],
)
def test_what_a_credential_says_is_one_short_line(said: str, shown: str) -> None:
    """Without where to read on, where there is more; the error's cause has all of it."""
    az = type("Az", (), {"get_token": None})()
    explained = CredentialFetcher(az, "scope").explain(ValueError(said))
    assert explained == f"Az got no token for scope.\n  Az: {shown}"


def test_no_azure_cli(
    server: Emulator, entra_profile: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one credential that was wanted is not there."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(AuthenticationError, match="Sign in with `az login`"):
        Client(entra_profile("azure-cli")).stream(**ASK).drain()
    assert server.requests == []


@contextmanager
def silent_port() -> Generator[str]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_metadata_endpoint_that_hangs(
    world: World, server: Emulator, entra_profile: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting is bounded by `token_timeout`, and not repeated."""
    with silent_port() as url:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", url)
        begun = time.monotonic()
        raised = refused(world, entra_profile("managed-identity", token_timeout=0.3), server)
        assert time.monotonic() - begun < 30
    assert "no response from the IMDS endpoint" in str(raised)


def test_a_metadata_endpoint_that_is_not_there(
    server: Emulator, entra_profile: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed port fails at once."""
    with silent_port() as url:
        pass
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", url)
    begun = time.monotonic()
    with pytest.raises(AuthenticationError, match="Assign a managed identity"):
        Client(entra_profile("managed-identity")).stream(**ASK).drain()
    assert time.monotonic() - begun < 30
    assert server.requests == []


def test_an_authority_that_is_slow(
    world: World, server: Emulator, directory: Directory, entra_profile: Make
) -> None:
    """Entra's own answer is waited for no longer than `token_timeout`."""
    directory.delay = 1.0
    begun = time.monotonic()
    refused(world, entra_profile(token_timeout=0.2), server)
    assert time.monotonic() - begun < 30


def test_the_event_loop_is_never_blocked(directory: Directory, entra_profile: Make) -> None:
    """While a sync credential waits for Entra, other tasks run."""
    directory.held = threading.Event()

    async def others() -> None:
        while not directory.asked:  # noqa: ASYNC110 - by another thread
            await asyncio.sleep(0.001)
        assert directory.held
        directory.held.set()

    async def run() -> None:
        running = asyncio.create_task(others())
        async with AsyncClient(entra_profile(token_timeout=60)) as client:
            await client.stream(**ASK).drain()
        await running

    asyncio.run(run())
    assert directory.was_let_go  # blocked, the loop would have let Entra answer too late


@pytest.mark.parametrize(
    ("provider", "says"),
    [
        (lambda: "", "it gave str, not a non-empty str"),
        (lambda: None, "it gave NoneType"),
        (lambda: 1 / 0, "raised ZeroDivisionError."),
    ],
)
def test_a_token_provider_that_fails(
    world: World, server: Emulator, entra_profile: Make, provider: Any, says: str
) -> None:
    """It is named, and its own exception is the cause."""
    raised = refused(world, entra_profile(provider), server)
    assert says in str(raised)
    assert isinstance(raised.__cause__, (TypeError, ZeroDivisionError))


# --- configuration


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"api_key": "k", "credential": "entra"}, "api_key and credential='entra' are given"),
        ({"api_key": "k", "ad_token": "t"}, "api_key and ad_token are given"),
        ({"ad_token": "t", "credential": "api-key"}, "ad_token and credential='api-key'"),
        ({"ad_token": "t", "credential": Handmade()}, "ad_token and credential=Handmade"),
        ({"client_secret": "s"}, 'set credential = "client-secret"'),
    ],
)
def test_two_credentials(fields: dict[str, Any], message: str) -> None:
    """Nobody guesses which one was meant."""
    with pytest.raises(ConfigError, match=message):
        AzureProfile(endpoint="https://contoso.openai.azure.com", **fields)


@pytest.mark.parametrize("credential", ["enrta", 17])
def test_what_is_no_credential(credential: Any) -> None:
    """A wrong name or a wrong object is refused on making."""
    with pytest.raises(ValueError, match="must be"):
        AzureProfile(endpoint="https://contoso.openai.azure.com", credential=credential)


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({}, "AZURE_TENANT_ID"),
        ({"tenant_id": "t"}, "AZURE_CLIENT_ID"),
        ({"tenant_id": "t", "client_id": "c"}, "AZURE_CLIENT_SECRET"),
    ],
)
def test_an_incomplete_client_secret(fields: dict[str, Any], missing: str) -> None:
    """The variable to set is named."""
    profile = AzureProfile(
        endpoint="https://contoso.openai.azure.com", credential="client-secret", **fields
    )
    with pytest.raises(ConfigError, match=missing):
        Client(profile)


def test_a_key_is_wanted_and_there_is_none() -> None:
    """`api-key` never falls back on an identity."""
    profile = AzureProfile(endpoint="https://contoso.openai.azure.com", credential="api-key")
    with pytest.raises(ConfigError, match="AZURE_OPENAI_API_KEY"):
        Client(profile)


@pytest.mark.parametrize(
    ("credential", "variables", "message"),
    [
        ("entra", {"AZURE_TOKEN_CREDENTIALS": "bogus"}, "'entra' cannot be used"),
        ("workload-identity", {}, "'workload-identity' cannot be used"),
        ("client-secret", {"AZURE_TENANT_ID": "no such!", "AZURE_CLIENT_ID": "c",
                           "AZURE_CLIENT_SECRET": "s"}, "'client-secret' cannot be used"),
    ],
)  # fmt: skip
def test_what_azure_identity_will_not_make(
    credential: str, variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its complaint is a configuration error, raised with the client."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    profile = AzureProfile.model_validate(
        {"endpoint": "https://contoso.openai.azure.com", "credential": credential}
    )
    with pytest.raises(ConfigError, match=message) as caught:
        Client(profile)
    assert isinstance(caught.value.__cause__, ValueError)


def test_without_azure_identity_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence can be pasted into a shell."""
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    profile = AzureProfile(endpoint="https://contoso.openai.azure.com", credential="entra")
    with pytest.raises(ConfigError, match=r'pip install "usagestream\[azure\]"'):
        Client(profile)


@pytest.mark.parametrize(
    ("endpoint", "version", "authority", "scope"),
    [
        ("https://c.openai.azure.com", "v1", None, "https://ai.azure.com/.default"),
        ("https://c.services.ai.azure.com", "v1", None, "https://ai.azure.com/.default"),
        ("https://c.openai.azure.com", "2024-10-21", None,
         "https://cognitiveservices.azure.com/.default"),
        ("https://c.openai.azure.us", "v1", None, "https://cognitiveservices.azure.us/.default"),
        ("https://c.openai.azure.cn", "v1", None, "https://cognitiveservices.azure.cn/.default"),
        ("https://gw.example/openai", "v1", "login.microsoftonline.us",
         "https://cognitiveservices.azure.us/.default"),
        ("https://gw.example:8443", "v1", None, "https://ai.azure.com/.default"),
        ("https://gw.example", "v1", "https://login.example", "https://ai.azure.com/.default"),
    ],
)  # fmt: skip
def test_the_scope_follows_cloud_and_surface(
    endpoint: str, version: str, authority: str | None, scope: str
) -> None:
    """WIRE §3.1; a gateway's cloud is that of who issues the tokens."""
    from usagestream_adapters.azure._clouds import cloud_of
    from usagestream_adapters.azure._surface import find_surface

    surface = find_surface(endpoint, version)
    assert cloud_of(surface, authority).scope(surface) == scope


@pytest.mark.parametrize(
    ("endpoint", "authority"),
    [
        ("https://c.openai.azure.com", "login.microsoftonline.com"),
        ("https://c.openai.azure.us", "login.microsoftonline.us"),
    ],
)
def test_the_authority_follows_the_cloud(
    endpoint: str, authority: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A known authority keeps azure-identity's own checks."""
    made: list[dict[str, Any]] = []

    def credential(*_: Any, **options: Any) -> Any:
        made.append(options)
        return Handmade()

    monkeypatch.setattr(azure.identity, "ClientSecretCredential", credential)
    more: dict[str, Any] = {"tenant_id": TENANT, "client_id": CLIENT_ID, "client_secret": "s"}
    Client(AzureProfile(endpoint=endpoint, credential="client-secret", **more))
    (options_given,) = made
    assert options_given["authority"] == f"https://{authority}"
    assert "disable_instance_discovery" not in options_given


def test_what_is_no_table_of_fields_is_no_profile() -> None:
    """It has no scope to tell apart."""
    with pytest.raises(ValidationError):
        AzureProfile.model_validate("https://contoso.openai.azure.com")
