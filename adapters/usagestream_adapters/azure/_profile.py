"""What an Azure profile holds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, Self, TypeAlias, cast

from pydantic import ConfigDict, Field, field_validator, model_validator

from usagestream_core.cost import Scope
from usagestream_core.errors import ConfigError
from usagestream_core.profile import Profile, Secret, SecretText, is_unset

from ..sdk.addresses import is_at, is_foreign
from ..sdk.credentials import custom_headers
from ._clouds import AUTHORITIES
from ._surface import names_version

__all__ = ["AzureProfile", "CredentialKind"]

CredentialKind = Literal[
    "api-key", "entra", "managed-identity", "workload-identity", "client-secret", "azure-cli"
]
Credential: TypeAlias = CredentialKind | Callable[[], Any] | Any

KINDS = CredentialKind.__args__  # type: ignore[attr-defined]

# Set by whoever wants azure-identity to find a credential without being told in code.
IDENTITY_VARIABLES = ("AZURE_TOKEN_CREDENTIALS", "AZURE_CLIENT_ID")


class AzureProfile(Profile, frozen=True):
    """Which Azure OpenAI resource is asked, by which surface, and what its deployments are called.

    What is `None` is taken from the environment. At most one of `api_key`, `ad_token` and a
    `credential` may be given, and it beats the environment; there, `AZURE_OPENAI_AD_TOKEN` beats
    `AZURE_OPENAI_API_KEY`, as in the openai SDK.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    provider: Literal["azure"] = "azure"
    endpoint: str | None = None
    """The resource's address as the portal shows it, or a gateway's before it;
    `AZURE_OPENAI_ENDPOINT` if `None`."""
    api_version: str | None = None
    """`v1`, or a date such as `2024-10-21` for the classic surface. If `None`: `v1` for an endpoint
    that ends in `/openai/v1`, else the one in the endpoint, else `OPENAI_API_VERSION`, else
    `v1`."""

    api_key: Secret | None = Field(default=None, repr=False)
    """`AZURE_OPENAI_API_KEY` if `None` and no other credential is given."""
    ad_token: Secret | None = Field(default=None, repr=False)
    """A token of Entra ID, used as it is; `AZURE_OPENAI_AD_TOKEN` if `None` and no other is given.
    As a function it is called for every request that does not come at the same time as another."""
    credential: Credential | None = Field(default=None, repr=False)
    """How to get tokens of Entra ID: a kind by name, or in code a `TokenCredential` or
    `AsyncTokenCredential` of azure-identity (closing it stays with you), or a function, sync or
    async, that returns a token. Both kinds of client take all of them."""
    client_id: str | None = None
    """Which identity: of `client-secret` and `workload-identity`, where `None` is
    `AZURE_CLIENT_ID`; or a user-assigned managed one, where `None` is the system-assigned one."""
    tenant_id: str | None = None
    """The directory to sign in to; `AZURE_TENANT_ID`, or the credential's own, if `None`."""
    client_secret: SecretText | None = Field(default=None, repr=False)
    """For `client-secret`; `AZURE_CLIENT_SECRET` if `None`."""
    authority: str | None = None
    """Who issues tokens, as an https address; `AZURE_AUTHORITY_HOST`, or that of the endpoint's
    cloud, if `None`."""
    token_scope: str | None = None
    """The audience of tokens; that of the endpoint's cloud and surface if `None`."""
    token_timeout: float = Field(default=10.0, gt=0)
    """Seconds that one attempt to get a token may take, with a `credential` given by its kind."""

    deployments: Mapping[str, str] = Field(default_factory=dict[str, str])
    """Deployment by model name. A model that is not listed is the name of its deployment."""
    listed_models_only: bool = False
    """Whether a model that is not in `deployments` is refused before anything is sent."""
    scope: Scope | None = None
    """What kind of deployments these are: `global`, `data-zone` or `regional`. The last two cost
    more, and no response says which it was; where it is `None`, a cost assumes `global`. An address
    here is taken for a `token_scope`, which this setting was before."""
    provisioned: bool = False
    """Whether these deployments are paid for by the hour, so that their tokens cost nothing more.
    A request that spilled over to another deployment is priced as any other."""

    required_variables: ClassVar[tuple[str, ...]] = (
        "AZURE_OPENAI_ENDPOINT",
        "AZURE_OPENAI_API_KEY",
    )
    variables: ClassVar[Mapping[str, str]] = {
        "endpoint": "AZURE_OPENAI_ENDPOINT",
        "api_version": "OPENAI_API_VERSION",
        "api_key": "AZURE_OPENAI_API_KEY",
        "ad_token": "AZURE_OPENAI_AD_TOKEN",
        "credential": "AZURE_TOKEN_CREDENTIALS or AZURE_CLIENT_ID",
        "client_id": "AZURE_CLIENT_ID",
        "tenant_id": "AZURE_TENANT_ID",
        "client_secret": "AZURE_CLIENT_SECRET",
        "authority": "AZURE_AUTHORITY_HOST",
    }

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Make a profile of `AZURE_OPENAI_ENDPOINT` and its companions."""
        profile = cls(name="azure").filled(environ)
        profile.require_complete()
        return profile

    @classmethod
    def is_described_by(cls, environ: Mapping[str, str]) -> bool:
        """Whether there is an endpoint and something to sign in with."""
        alternatives = ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN", *IDENTITY_VARIABLES)
        return bool(environ.get("AZURE_OPENAI_ENDPOINT")) and any(map(environ.get, alternatives))

    @model_validator(mode="before")
    @classmethod
    def _tells_scopes_apart(cls, values: Any) -> Any:
        """An audience is an address or an application's URI; a kind of deployment is neither."""
        if isinstance(values, dict):
            given = cast("dict[str, Any]", values)
            scope = given.get("scope")
            if isinstance(scope, str) and ("/" in scope or ":" in scope):
                rest = {name: value for name, value in given.items() if name != "scope"}
                return {"token_scope": scope, **rest}
        return values  # pyright: ignore[reportUnknownVariableType]

    @field_validator("credential")
    @classmethod
    def _is_a_credential(cls, value: Any) -> Any:
        if isinstance(value, str) and value not in KINDS:
            raise ValueError(f"must be one of {', '.join(KINDS)}")
        if not isinstance(value, str) and value is not None and not is_credential(value):
            raise ValueError(
                "must be a kind of credential, a TokenCredential, or a function that gives a token"
            )
        return value

    @model_validator(mode="after")
    def _has_one_credential(self) -> Self:
        given = [name for name in ("api_key", "ad_token") if not is_unset(getattr(self, name))]
        if self.credential is not None and not (
            self.credential == "api-key" and "api_key" in given
        ):
            given.append(f"credential={_named(self.credential)}")
        mistakes: list[str] = []
        if len(given) > 1:
            mistakes.append(f"{' and '.join(given)} are given: keep one credential.")
        if not is_unset(self.client_secret) and self.credential != "client-secret":
            mistakes.append('client_secret is given: set credential = "client-secret" to use it.')
        if mistakes:
            raise ConfigError("\n".join(mistakes))
        return self

    def filled(self, environ: Mapping[str, str]) -> Self:
        """Take from the environment what this profile leaves open; see the class."""
        profile = self.filled_in(environ, "endpoint")
        if profile.endpoint and not names_version(profile.endpoint):
            profile = profile.filled_in(environ, "api_version")
        kind = profile.credential
        if kind is None and is_unset(profile.api_key) and is_unset(profile.ad_token):
            profile = profile.filled_in(environ, "ad_token")
            if profile.ad_token is None:
                profile = profile.filled_in(environ, "api_key")
            if is_unset(profile.api_key) and is_unset(profile.ad_token):
                kind = "entra" if any(map(environ.get, IDENTITY_VARIABLES)) else None
                profile = profile.model_copy(update={"credential": kind})
        elif kind == "api-key":
            profile = profile.filled_in(environ, "api_key")
        if not isinstance(kind, str) or kind == "api-key":
            return profile
        profile = profile.filled_in(environ, "authority")
        if kind in ("client-secret", "workload-identity"):
            profile = profile.filled_in(environ, "client_id", "tenant_id")
        if kind == "client-secret":
            profile = profile.filled_in(environ, "client_secret")
        return profile

    def foreign_addresses(self) -> Mapping[str, str]:
        """`endpoint`, unless it is Azure OpenAI's own; `authority`, unless it is Microsoft's."""
        found: dict[str, str] = {}
        if self.endpoint and is_foreign(self.endpoint):
            found["endpoint"] = self.endpoint
        if self.authority and self.has_identity and not is_at(self.authority, *AUTHORITIES):
            found["authority"] = self.authority
        return found

    def ambient_secrets(self, environ: Mapping[str, str]) -> tuple[str, ...]:
        """The identity whose tokens would be sent, and headers that the SDK takes by itself."""
        identity = (f"the identity of credential = {self.credential!r}",)
        return (*(identity if self.has_identity else ()), *custom_headers(environ))

    @property
    def has_identity(self) -> bool:
        """Whether tokens come from azure-identity by the name of a kind."""
        return isinstance(self.credential, str) and self.credential != "api-key"

    def require_complete(self) -> None:
        """Raise `ConfigError`, with field and variable, where an endpoint or a key is missing."""
        missing = [_missing("endpoint")] if is_unset(self.endpoint) else []
        if self.credential is None or self.credential == "api-key":
            if is_unset(self.api_key) and is_unset(self.ad_token):
                missing.append(_missing("api_key", ', or credential="entra" to use an identity'))
        elif self.credential == "client-secret":
            needed = ("tenant_id", "client_id", "client_secret")
            missing += [_missing(field) for field in needed if is_unset(getattr(self, field))]
        if missing:
            raise ConfigError("\n".join(missing))


def is_credential(value: object) -> bool:
    """Whether tokens can be had from this: by azure-core's protocols, or by calling it."""
    methods = (getattr(value, name, None) for name in ("get_token", "get_token_info"))
    return callable(value) or any(callable(method) for method in methods)


def is_async_credential(value: object) -> bool:
    """Whether its `get_token` belongs on an event loop."""
    method = getattr(value, "get_token_info", None) or getattr(value, "get_token", None)
    return inspect.iscoroutinefunction(method)


def _named(credential: object) -> str:
    return repr(credential) if isinstance(credential, str) else type(credential).__name__


def _missing(field: str, otherwise: str = "") -> str:
    variable = AzureProfile.variables[field]
    return (
        f"Azure OpenAI has no {field}: set {variable}, or pass AzureProfile({field}=...)"
        f"{otherwise}."
    )
