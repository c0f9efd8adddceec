"""Where tokens of Entra ID come from: azure-identity, by the name of a kind or as an object."""

from __future__ import annotations

import inspect
import logging
import re
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
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

_LONGEST: Final = 200
"""Characters of what one credential said; all of it is in the error's cause."""
_BESIDE: Final = re.compile(r"aka\.ms|troubleshoot")
"""Sentences that say where to read on."""
_TRACES: Final = re.compile(r" *\b(Trace ID|Correlation ID|Timestamp): .*")
_UNAVAILABLE: Final = re.compile(r"\w+ authentication unavailable\.$")

_asking: ContextVar[bool] = ContextVar("usagestream_asking_identity", default=False)
"""Whether a credential is asked by us, whose error says what azure-identity would log."""


@contextmanager
def _asked_by_us() -> Generator[None]:
    token = _asking.set(True)
    try:
        yield
    finally:
        _asking.reset(token)


def _is_news(record: logging.LogRecord) -> bool:
    return record.levelno != logging.WARNING or not _asking.get()


def _say_once() -> None:
    """Keep azure-identity from logging the failures that are raised here, with all it has to say.

    A program without logging set up would have them on its terminal, beside the error.
    """
    for room in ("azure.identity", "azure.identity.aio"):
        for module in ("_credentials.chained", "_internal.decorators"):
            logging.getLogger(f"{room}.{module}").addFilter(_is_news)


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
        _say_once()

    def __call__(self) -> Token | Awaitable[Token]:
        with _asked_by_us():
            given = self._ask()
        return self._awaited(given) if inspect.isawaitable(given) else _token(given)

    def _ask(self) -> Any:
        get_info = getattr(self._credential, "get_token_info", None)
        if get_info is None:
            more = {} if self._tenant_id is None else {"tenant_id": self._tenant_id}
            return self._credential.get_token(self._scope, **more)
        options = None if self._tenant_id is None else {"tenant_id": self._tenant_id}
        return get_info(self._scope, options=options)

    async def _awaited(self, given: Awaitable[Any]) -> Token:
        with _asked_by_us():
            return _token(await given)

    def forget(self) -> None:
        """The credential is the caller's: it decides what it keeps."""

    def close(self) -> None:
        """The credential is the caller's to close."""

    def explain(self, exc: Exception) -> str:
        """Say what to do first, and below, in a line each, what the credentials said."""
        kind = type(self._credential).__name__
        said = mask(str(getattr(exc, "message", None) or exc), self._secrets)
        advice = next((advice for pattern, advice in _ADVICE if re.search(pattern, said)), "")
        first = f"{kind} got no token for {self._scope}. {advice}".rstrip()
        lines = [f"  {name}: {_in_short(name, words)}" for name, words in _attempts(kind, said)]
        return "\n".join((first, *lines))


def _attempts(kind: str, said: str) -> list[tuple[str, str]]:
    """Each credential that was tried, and what it said; the one that there is, where it was one."""
    _, chain, tried = said.partition("Attempted credentials:\n\t")
    if not chain:
        return [(kind, said)]
    tried = tried.partition("\nTo mitigate this issue")[0]
    return [
        (name, words) for name, _, words in (one.partition(": ") for one in tried.split("\n\t"))
    ]


def _in_short(name: str, words: str) -> str:
    """One line of what a credential said, without its name."""
    words = _TRACES.sub("", " ".join(words.split())).removeprefix("Authentication failed: ")
    sentences = [each for each in re.split(r"(?<=[.!]) ", words) if not _BESIDE.search(each)]
    if len(sentences) > 1 and _UNAVAILABLE.match(sentences[0]):
        del sentences[0]
    text = (" ".join(sentences) or words).removeprefix(f"{name} ")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


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
