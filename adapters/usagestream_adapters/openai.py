"""The OpenAI adapter, for api.openai.com and servers that speak its wire."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import SecretStr

from usagestream.adapter import Target
from usagestream.config import Profile
from usagestream.errors import ConfigError

from ._sdk import SdkAdapter
from ._urls import host_of

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

__all__ = ["OpenAIAdapter", "OpenAIProfile"]

DEFAULT_BASE_URL = "https://api.openai.com/v1"


class OpenAIProfile(Profile, frozen=True):
    """Who asks OpenAI, and where. What is `None` is taken from the SDK's environment variables."""

    provider: Literal["openai"] = "openai"
    api_key: SecretStr | None = None
    """`OPENAI_API_KEY` if `None`."""
    base_url: str | None = None
    """`OPENAI_BASE_URL` if `None`, and api.openai.com if that is not set."""
    organization: str | None = None
    """`OPENAI_ORG_ID` if `None`."""
    project: str | None = None
    """`OPENAI_PROJECT_ID` if `None`."""

    required_variables: ClassVar[tuple[str, ...]] = ("OPENAI_API_KEY",)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Make a profile of `OPENAI_API_KEY` and its companions."""
        return cls(
            name="openai",
            api_key=_key(environ),
            base_url=environ.get("OPENAI_BASE_URL") or None,
            organization=environ.get("OPENAI_ORG_ID") or None,
            project=environ.get("OPENAI_PROJECT_ID") or None,
        )


def _key(environ: Mapping[str, str]) -> SecretStr:
    key = environ.get("OPENAI_API_KEY")
    if not key:
        raise ConfigError(
            "There is no OpenAI key: set OPENAI_API_KEY, or pass OpenAIProfile(api_key=...)."
        )
    return SecretStr(key)


class OpenAIAdapter(SdkAdapter):
    """Opens streams through the SDK's `OpenAI` and `AsyncOpenAI`."""

    provider: ClassVar[str] = "openai"
    profile_type: ClassVar[type[Profile]] = OpenAIProfile

    def __init__(self, profile: OpenAIProfile, *, http_client: object = None) -> None:
        super().__init__(profile, http_client=http_client)
        self._profile = profile
        self._key = (profile.api_key or _key(os.environ)).get_secret_value()
        self._base_url = profile.base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL
        self._host = host_of(self._base_url, "base_url")

    def target(self, model: str) -> Target:
        """Every model is at the one address."""
        return Target(endpoint=self._host)

    def _secrets(self) -> tuple[str, ...]:
        return (self._key,)

    def _options(self) -> dict[str, object]:
        return {
            "api_key": self._key,
            "base_url": self._base_url,
            "organization": self._profile.organization,
            "project": self._profile.project,
            **self._client_options(),
        }

    def _make_client(self) -> OpenAI:
        from openai import OpenAI

        return OpenAI(**self._options())  # type: ignore[arg-type]

    def _make_async_client(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI

        return AsyncOpenAI(**self._options())  # type: ignore[arg-type]
