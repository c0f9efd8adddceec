"""Opens streams on Azure OpenAI."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import SecretStr

from usagestream_core.adapter import Request, Target
from usagestream_core.errors import ConfigError
from usagestream_core.profile import Profile, check_all, is_unset, revealed

from ..sdk.adapter import SdkAdapter, sendable_headers
from ..sdk.credentials import CallableFetcher, Fetcher, TokenSource, sendable
from ..sdk.service import Service
from ..sdk.usage_option import RefusedOption
from ._clouds import cloud_of
from ._credentials import CredentialFetcher, IdentityFetcher
from ._profile import AzureProfile
from ._surface import Surface, find_surface

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

__all__ = ["AzureAdapter"]

ClientT = TypeVar("ClientT")

FETCHED = "fetched for each request"


class AzureAdapter(SdkAdapter):
    """Opens classic streams through the SDK's `AzureOpenAI`, and v1 streams through its `OpenAI`.

    `AzureOpenAI` puts `/deployments/...` into v1 addresses, which do not have it.
    """

    provider: ClassVar[str] = "azure"
    profile_type: ClassVar[type[Profile]] = AzureProfile

    def __init__(self, profile: AzureProfile, *, http_client: object = None) -> None:
        profile = profile.filled(os.environ)
        super().__init__(profile, _Account(profile).service(), http_client=http_client)


class _Account:
    """The credential and the address of a profile. Raises `ConfigError` for what cannot be used."""

    def __init__(self, profile: AzureProfile) -> None:
        self._profile = profile
        self._key = ""
        check_all(
            profile.require_complete,
            partial(sendable_headers, profile),
            self._take_address,
            self._take_key,
        )
        fetcher = _fetcher(profile, self._surface)
        self._tokens = None if fetcher is None else TokenSource(fetcher, "azure")

    def service(self) -> Service:
        # Version 2 of the SDK asks a function for a bearer only.
        fetches_key = not is_unset(self._profile.api_key) and not self._surface.is_v1
        secret = revealed(self._profile.client_secret)
        return Service(
            name="azure",
            client=self._client,
            async_client=self._async_client,
            target=self._target,
            query=self._surface.query,
            secrets=tuple(each for each in (self._key, secret) if each),
            tokens=self._tokens,
            keys=self._tokens if fetches_key else None,
            known_refusal=self._known_refusal,
            headers=self._headers,
        )

    def _take_address(self) -> None:
        if self._profile.endpoint:
            self._surface = find_surface(self._profile.endpoint, self._profile.api_version)

    def _take_key(self) -> None:
        profile = self._profile
        secret = profile.ad_token if is_unset(profile.api_key) else profile.api_key
        if isinstance(secret, str | SecretStr):
            name = "api_key (AZURE_OPENAI_API_KEY)"
            if is_unset(profile.api_key):
                name = "ad_token (AZURE_OPENAI_AD_TOKEN)"
            self._key = sendable(revealed(secret), name)

    def _target(self, model: str) -> Target:
        """Every deployment is at the resource's one address.

        Raises `ConfigError` for a model that the profile does not know, where it is to know all, or
        where its endpoint names a deployment that this model is not mapped to.
        """
        deployments = self._profile.deployments
        deployment = deployments.get(model)
        if deployment is None and self._profile.listed_models_only:
            near = get_close_matches(model, deployments, n=1)
            known = (
                f"Did you mean {near[0]!r}?"
                if near
                else f"Listed: {', '.join(deployments) or 'none'}."
            )
            raise ConfigError(f"No deployment is listed for the model {model!r}. {known}")
        pasted = self._surface.deployment
        if deployment is None and pasted not in (None, model):
            raise ConfigError(
                f"The endpoint names the deployment {pasted!r}, and the model {model!r} is not "
                f"mapped to one: set deployments = {{ {model!r} = {pasted!r} }} if it is meant, or "
                "leave the deployment out of the endpoint."
            )
        return Target(
            endpoint=self._surface.host,
            deployment=deployment or model,
            scope=self._profile.scope,
            provisioned=self._profile.provisioned,
        )

    def _known_refusal(self, request: Request) -> RefusedOption | None:
        """WIRE §2.1 and §2.2: old api versions, and On Your Data, which only classic has."""
        surface = self._surface
        body = request.params.get("extra_body")
        on_your_data = isinstance(body, dict) and "data_sources" in body
        refuses = (on_your_data and not surface.is_v1) or not surface.takes_usage_request
        return "stream_options" if refuses else None

    def _classic_options(self, token: Any) -> dict[str, Any]:
        options = {
            "azure_endpoint": self._surface.root,
            "api_version": self._surface.api_version,
        }
        if not is_unset(self._profile.api_key):
            return {**options, "api_key": self._key or FETCHED}
        if token is not None:
            return {**options, "azure_ad_token_provider": token}
        return {**options, "azure_ad_token": self._key}

    def _other_options(self, token: Any) -> dict[str, Any]:
        """What the SDK's plain client is given, which sends a key as a bearer (WIRE §3.1)."""
        surface = self._surface
        options: dict[str, Any] = {"api_key": token or self._key}
        if surface.is_v1:
            return {**options, "base_url": surface.v1_base_url}
        options["base_url"] = surface.models_base_url
        options["default_query"] = {"api-version": surface.api_version}
        if not is_unset(self._profile.api_key):
            options["api_key"] = self._key or FETCHED
        return options

    def _headers(self, key: str | None) -> dict[str, Any]:
        """A key that the SDK would send as a bearer, or could not fetch, goes where it belongs."""
        if key is None and (not self._surface.is_models or is_unset(self._profile.api_key)):
            return {}
        from openai import Omit

        return {"api-key": key or self._key, "Authorization": Omit()}

    @property
    def _is_classic(self) -> bool:
        return not self._surface.is_v1 and not self._surface.is_models

    def _client(self, options: dict[str, Any]) -> OpenAI:
        from openai import AzureOpenAI, OpenAI

        token = None if self._tokens is None else self._tokens.get
        if self._is_classic:
            options = {**self._classic_options(token), **options}
            return _as_told(AzureOpenAI(**options), options)
        return OpenAI(**self._other_options(token), **options)

    def _async_client(self, options: dict[str, Any]) -> AsyncOpenAI:
        from openai import AsyncAzureOpenAI, AsyncOpenAI

        token = None if self._tokens is None else self._tokens.aget
        if self._is_classic:
            options = {**self._classic_options(token), **options}
            return _as_told(AsyncAzureOpenAI(**options), options)
        return AsyncOpenAI(**self._other_options(token), **options)


def _as_told(client: ClientT, options: Mapping[str, Any]) -> ClientT:
    """The SDK's version 2 prefers AZURE_OPENAI_AD_TOKEN to what it is given: take that back."""
    vars(client)["_azure_ad_token"] = options.get("azure_ad_token")
    return client


def _fetcher(profile: AzureProfile, surface: Surface) -> Fetcher | None:
    """Where tokens come from; `None` for a key or a token that is given as text."""
    credential = profile.credential
    if credential is None or credential == "api-key":
        secret = profile.api_key if is_unset(profile.ad_token) else profile.ad_token
        return (
            CallableFetcher(secret, "The function that gives the key") if callable(secret) else None
        )
    cloud = cloud_of(surface, profile.authority)
    scope = profile.token_scope or cloud.scope(surface)
    if isinstance(credential, str):
        return IdentityFetcher(profile, scope, cloud)
    if hasattr(credential, "get_token") or hasattr(credential, "get_token_info"):
        return CredentialFetcher(credential, scope, tenant_id=profile.tenant_id)
    return CallableFetcher(credential, "The function that gives the token")
