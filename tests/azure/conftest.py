"""Fixtures of these tests: the emulator, a local Entra, and one question for both clients."""

from __future__ import annotations

import sys
from pathlib import Path

# Under a bare `pytest` the project's root is not importable, as it is under `python -m pytest`.
ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.append(ROOT)

import os  # noqa: E402
import ssl  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from typing import Any  # noqa: E402

import pytest  # noqa: E402
import trustme  # noqa: E402
from tests._support.closing import closing_world  # noqa: E402
from tests._support.entra import CLIENT_ID, TENANT, Directory, running_directory  # noqa: E402
from tests._support.worlds import World  # noqa: E402

from usagestream_adapters.azure import AzureProfile  # noqa: E402
from usagestream_adapters.emulator import Emulator  # noqa: E402


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the machine reaches a profile, an SDK client or azure-identity."""
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "AZURE_", "USAGESTREAM_", "IDENTITY_", "MSI_")):
            monkeypatch.delenv(name)


@pytest.fixture(params=["sync", "async"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The same test over `Client` and over `AsyncClient`."""
    with closing_world(asynchronous=request.param == "async") as made:
        yield made


@pytest.fixture
def server() -> Iterator[Emulator]:
    """An emulator with nothing scripted and nothing logged."""
    with Emulator() as running:
        yield running


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    """A certificate for localhost, and the file that makes a client trust it."""
    ca = trustme.CA()
    path = str(tmp_path_factory.mktemp("ca") / "ca.pem")
    ca.cert_pem.write_to_path(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate: Any = ca.issue_cert("localhost")
    certificate.configure_cert(context)
    return context, path


@pytest.fixture
def directory(
    authority: tuple[ssl.SSLContext, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Directory]:
    """A local Entra and a local instance-metadata endpoint."""
    with running_directory(authority[0]) as running:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", authority[1])
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", running.imds)
        yield running


MakeProfile = Callable[..., AzureProfile]


@pytest.fixture
def entra_profile(server: Emulator, directory: Directory) -> MakeProfile:
    """Make a profile that signs in to the local Entra."""

    def make(credential: Any = "client-secret", **more: Any) -> AzureProfile:
        fields: dict[str, Any] = {
            "name": "entra",
            "endpoint": server.azure_endpoint,
            "credential": credential,
            "authority": directory.authority,
            "max_retries": 0,
            "token_timeout": 2.0,
        }
        if credential == "client-secret":
            fields |= {
                "tenant_id": TENANT,
                "client_id": CLIENT_ID,
                "client_secret": "seeded-client-secret-0123456789",
            }
        return AzureProfile(**{**fields, **more})

    return make
