"""Opens streams on Azure OpenAI."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

from usagestream.adapter import Target
from usagestream.config import Profile

from .._sdk import SdkAdapter
from ._profile import AzureProfile, require
from ._surface import find_surface

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

__all__ = ["AzureAdapter"]


class AzureAdapter(SdkAdapter):
    """Opens classic streams through the SDK's `AzureOpenAI`, and v1 streams through its `OpenAI`.

    `AzureOpenAI` puts `/deployments/...` into v1 addresses, which do not have it.
    """

    provider: ClassVar[str] = "azure"
    profile_type: ClassVar[type[Profile]] = AzureProfile

    def __init__(self, profile: AzureProfile, *, http_client: object = None) -> None:
        super().__init__(profile, http_client=http_client)
        environ = os.environ
        self._deployments = profile.deployments
        self._surface = find_surface(
            profile.endpoint or require(environ, "AZURE_OPENAI_ENDPOINT", "endpoint"),
            profile.api_version,
            fallback=environ.get("OPENAI_API_VERSION"),
        )
        self._key = (
            profile.api_key.get_secret_value()
            if profile.api_key
            else require(environ, "AZURE_OPENAI_API_KEY", "api_key")
        )

    def target(self, model: str) -> Target:
        """Every deployment is at the resource's one address."""
        return Target(endpoint=self._surface.host, deployment=self._deployments.get(model, model))

    def _secrets(self) -> tuple[str, ...]:
        return (self._key,)

    def _classic_options(self) -> dict[str, Any]:
        return {
            "azure_endpoint": self._surface.root,
            "api_version": self._surface.api_version,
            "api_key": self._key,
            **self._client_options(),
        }

    def _v1_options(self) -> dict[str, Any]:
        return {
            "base_url": self._surface.v1_base_url,
            "api_key": self._key,
            **self._client_options(),
        }

    def _make_client(self) -> OpenAI:
        from openai import AzureOpenAI, OpenAI

        if self._surface.api_version is None:
            return OpenAI(**self._v1_options())
        return AzureOpenAI(**self._classic_options())

    def _make_async_client(self) -> AsyncOpenAI:
        from openai import AsyncAzureOpenAI, AsyncOpenAI

        if self._surface.api_version is None:
            return AsyncOpenAI(**self._v1_options())
        return AsyncAzureOpenAI(**self._classic_options())
