"""The OpenAI adapter, for api.openai.com and servers that speak its wire."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field

from usagestream_core.adapter import Target
from usagestream_core.errors import ConfigError
from usagestream_core.profile import Profile, Secret, check_all, is_unset, revealed

from .sdk.adapter import SdkAdapter, sendable_headers
from .sdk.addresses import (
    host_of,
    is_azure,
    is_foreign,
    origin_of,
    shown_url,
    split_url,
)
from .sdk.credentials import CallableFetcher, TokenSource, custom_headers, sendable
from .sdk.pasted import take_apart
from .sdk.service import Service

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

__all__ = ["OpenAIAdapter", "OpenAIProfile"]

DEFAULT_BASE_URL = "https://api.openai.com/v1"


class OpenAIProfile(Profile, frozen=True):
    """Who asks OpenAI, and where. What is `None` is taken from the SDK's environment variables.

    A `base_url` of an Azure resource works too, as its v1 surface: the path is supplied, records
    say `azure`, and `AZURE_OPENAI_API_KEY` will do where there is no `OPENAI_API_KEY`.
    """

    provider: Literal["openai"] = "openai"
    api_key: Secret | None = Field(default=None, repr=False)
    """`OPENAI_API_KEY` if `None`. As a function, sync or async, it is called for every request that
    does not come at the same time as another."""
    base_url: str | None = None
    """`OPENAI_BASE_URL` if `None`, and api.openai.com if that is not set."""
    organization: str | None = None
    """`OPENAI_ORG_ID` if `None`."""
    project: str | None = None
    """`OPENAI_PROJECT_ID` if `None`."""

    required_variables: ClassVar[tuple[str, ...]] = ("OPENAI_API_KEY",)
    variables: ClassVar[Mapping[str, str]] = {
        "api_key": "OPENAI_API_KEY",
        "base_url": "OPENAI_BASE_URL",
        "organization": "OPENAI_ORG_ID",
        "project": "OPENAI_PROJECT_ID",
    }

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Make a profile of `OPENAI_API_KEY` and its companions."""
        profile = cls(name="openai").filled(environ)
        profile.require_complete()
        return profile

    def filled(self, environ: Mapping[str, str]) -> Self:
        """Take from the environment what this profile leaves open."""
        profile = super().filled(environ)
        if is_unset(profile.api_key) and profile.is_at_azure:
            # Never the other way round: a key of Azure's is not sent to anyone else.
            azure = {"OPENAI_API_KEY": environ.get("AZURE_OPENAI_API_KEY", "")}
            profile = profile.filled_in(azure, "api_key")
        return profile

    def foreign_addresses(self) -> Mapping[str, str]:
        """`base_url`, unless it is OpenAI's or Azure OpenAI's own."""
        url = self.base_url
        return {"base_url": url} if url and is_foreign(url) else {}

    def ambient_secrets(self, environ: Mapping[str, str]) -> tuple[str, ...]:
        """Headers that the SDK takes from the environment."""
        return custom_headers(environ)

    @property
    def is_at_azure(self) -> bool:
        """Whether the address is that of an Azure resource."""
        try:
            return self.base_url is not None and is_azure(self.base_url, "base_url")
        except ConfigError:  # said where the address is used
            return False

    def require_complete(self) -> None:
        """Raise `ConfigError` where there is no key."""
        if is_unset(self.api_key):
            raise ConfigError(
                "There is no OpenAI key: set OPENAI_API_KEY, or pass OpenAIProfile(api_key=...)."
            )


class OpenAIAdapter(SdkAdapter):
    """Opens streams through the SDK's `OpenAI` and `AsyncOpenAI`."""

    provider: ClassVar[str] = "openai"
    profile_type: ClassVar[type[Profile]] = OpenAIProfile

    def __init__(self, profile: OpenAIProfile, *, http_client: object = None) -> None:
        profile = profile.filled(os.environ)
        super().__init__(profile, _Account(profile).service(), http_client=http_client)


class _Account:
    """The key and the address of a profile. Raises `ConfigError` for what cannot be used."""

    def __init__(self, profile: OpenAIProfile) -> None:
        self._profile = profile
        self._who = "azure" if profile.is_at_azure else "openai"
        self._key = ""
        self._tokens: TokenSource | None = None
        check_all(
            profile.require_complete,
            partial(sendable_headers, profile),
            self._take_key,
            self._take_address,
        )

    def service(self) -> Service:
        return Service(
            name=self._who,
            client=self._client,
            async_client=self._async_client,
            target=self._target,
            query=self._query,
            secrets=(self._key,) if self._key else (),
            tokens=self._tokens,
        )

    def _take_key(self) -> None:
        key = self._profile.api_key
        if callable(key):
            fetcher = CallableFetcher(key, "The function that gives the key")
            self._tokens = TokenSource(fetcher, self._who)
        else:
            self._key = sendable(revealed(key), "api_key (OPENAI_API_KEY)")

    def _take_address(self) -> None:
        url = self._profile.base_url or DEFAULT_BASE_URL
        parts = split_url(url, "base_url")
        pasted = take_apart(parts.path)
        path = pasted.base
        if self._profile.is_at_azure:
            # The v1 address of an Azure resource, whose root alone is often given (WIRE §3.2).
            path = "/openai/v1/"
            is_root = not (pasted.prefix or pasted.project or pasted.deployment)
            if not is_root or pasted.surface == "models":
                raise ConfigError(
                    f"base_url is {shown_url(url)!r}, which is not the v1 address of an Azure "
                    'resource: use provider "azure", with it as the endpoint.'
                )
        self._base_url = origin_of(parts) + path
        self._query = parts.query
        self._host = host_of(url, "base_url")

    def _target(self, model: str) -> Target:
        """Every model is at the one address. On an Azure resource its name is the deployment's."""
        if self._profile.is_at_azure:
            return Target(endpoint=self._host, deployment=model, provider=self._who)
        return Target(endpoint=self._host)

    def _options(self, token: Any) -> dict[str, Any]:
        return {
            "api_key": token or self._key,
            "base_url": self._base_url,
            "organization": self._profile.organization,
            "project": self._profile.project,
        }

    def _client(self, options: dict[str, Any]) -> OpenAI:
        from openai import OpenAI

        token = None if self._tokens is None else self._tokens.get
        return OpenAI(**self._options(token), **options)

    def _async_client(self, options: dict[str, Any]) -> AsyncOpenAI:
        from openai import AsyncOpenAI

        token = None if self._tokens is None else self._tokens.aget
        return AsyncOpenAI(**self._options(token), **options)
