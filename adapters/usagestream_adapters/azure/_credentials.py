"""Where tokens of Entra ID come from: azure-identity, by the name of a kind or as an object."""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from usagestream_core.errors import ConfigError
from usagestream_core.profile import is_unset, revealed

from ..sdk.credentials import Token
from ..sdk.errors import mask
from ._clouds import Cloud, is_known_authority
from ._profile import AzureProfile, is_async_credential

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["CredentialFetcher", "IdentityFetcher"]

_ADVICE: Final = (
    (r"AADSTS(90002|900023|500011|700016)|Unable to get authority",
     "Check tenant_id and client_id: the application must be registered in that tenant."),
    (r"AADSTS70002\d\d", "Check client_secret: it is wrong, or has expired."),
    (r"AADSTS53\d\d\d", "A conditional access policy of the tenant forbids it: ask its admin."),
    (r"AADSTS7002\d\d", "The federated credential does not fit this token: check its subject."),
    (r"az login|Azure CLI not found", "Sign in with `az login`, or set another credential."),
    (r"IMDS|managed identit|No identity has been assigned",
     "Assign a managed identity to this host, and check client_id if it is a user-assigned one."),
)  # fmt: skip


class CredentialFetcher:
    """Asks a `TokenCredential` or an `AsyncTokenCredential`, which keeps its own cache."""

    def __init__(
        self,
        credential: Any,
        scope: str,
        *,
        tenant_id: str | None = None,
        secrets: tuple[str, ...] = (),
    ) -> None:
        self._credential = credential
        self._scope = scope
        self._tenant_id = tenant_id
        self._secrets = secrets
        self.is_async = is_async_credential(credential)

    def __call__(self) -> Token | Awaitable[Token]:
        get_info = getattr(self._credential, "get_token_info", None)
        if get_info is None:
            more = {} if self._tenant_id is None else {"tenant_id": self._tenant_id}
            given = self._credential.get_token(self._scope, **more)
        else:
            options = None if self._tenant_id is None else {"tenant_id": self._tenant_id}
            given = get_info(self._scope, options=options)
        return self._awaited(given) if inspect.isawaitable(given) else _token(given)

    async def _awaited(self, given: Awaitable[Any]) -> Token:
        return _token(await given)

    def forget(self) -> None:
        """The credential is the caller's: it decides what it keeps."""

    def close(self) -> None:
        """The credential is the caller's to close."""

    def explain(self, exc: Exception) -> str:
        """Say what azure-identity said, which names the credentials it tried."""
        kind = type(self._credential).__name__
        said = str(getattr(exc, "message", None) or exc)
        advice = next((advice for pattern, advice in _ADVICE if re.search(pattern, said)), "")
        said = " ".join(mask(said, self._secrets).split())[:1500]
        return f"{kind} got no token for {self._scope}: {said} {advice}".rstrip()


class IdentityFetcher(CredentialFetcher):
    """A credential that is made here, so that it can be made anew without what it has cached."""

    def __init__(self, profile: AzureProfile, scope: str, cloud: Cloud) -> None:
        self._make = _maker(profile, cloud)
        secret = profile.client_secret
        super().__init__(
            self._make(),
            scope,
            tenant_id=profile.tenant_id if profile.credential == "entra" else None,
            secrets=() if is_unset(secret) else (revealed(secret),),
        )

    def forget(self) -> None:
        """Drop the credential and the tokens in its cache."""
        self.close()
        self._credential = self._make()

    def close(self) -> None:
        """Close the connections to the authority; the credential opens new ones if asked again."""
        self._credential.close()


def _token(given: Any) -> Token:
    now = time.time()
    refresh_on = getattr(given, "refresh_on", None)
    return Token.made(given.token, float(given.expires_on), refresh_on, now)


def _maker(profile: AzureProfile, cloud: Cloud) -> Callable[[], Any]:
    """How to make the credential. Raises `ConfigError` if azure-identity is not there."""
    identity = _azure_identity()
    kind = profile.credential
    patience = _patience(profile)
    options = {**patience, **_authority(profile, cloud)}
    client_id, tenant_id = profile.client_id, profile.tenant_id

    def make() -> Any:
        try:
            if kind == "managed-identity":
                return identity.ManagedIdentityCredential(client_id=client_id, **patience)
            if kind == "workload-identity":
                return identity.WorkloadIdentityCredential(
                    client_id=client_id, tenant_id=tenant_id, **options
                )
            if kind == "client-secret":
                secret = revealed(profile.client_secret)
                return identity.ClientSecretCredential(tenant_id, client_id, secret, **options)
            process_timeout = max(1, round(profile.token_timeout))
            if kind == "azure-cli":
                return identity.AzureCliCredential(
                    tenant_id=tenant_id or "", process_timeout=process_timeout
                )
            return identity.DefaultAzureCredential(
                managed_identity_client_id=client_id,
                additionally_allowed_tenants=[tenant_id] if tenant_id else [],
                process_timeout=process_timeout,
                **options,
            )
        except ValueError as exc:
            raise ConfigError(f"credential = {kind!r} cannot be used: {exc}") from exc

    return make


def _patience(profile: AzureProfile) -> dict[str, Any]:
    """An endpoint that hangs is not asked again; one that answers with 429 or 5xx is."""
    seconds = profile.token_timeout
    return {
        "connection_timeout": seconds,
        "read_timeout": seconds,
        "retry_connect": 0,
        "retry_read": 0,
    }


def _authority(profile: AzureProfile, cloud: Cloud) -> dict[str, Any]:
    authority = profile.authority or f"https://{cloud.authority}"
    if is_known_authority(authority):
        return {"authority": authority}
    # The public directory would be asked about it otherwise, which a private cloud cannot reach.
    return {"authority": authority, "disable_instance_discovery": True}


def _azure_identity() -> ModuleType:
    try:
        import azure.identity
    except ImportError as exc:
        raise ConfigError(
            "This credential needs azure-identity: install it with "
            '`pip install "usagestream[azure]"`.'
        ) from exc
    return azure.identity
