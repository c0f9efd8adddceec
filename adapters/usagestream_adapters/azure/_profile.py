"""What an Azure profile holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, SecretStr

from usagestream.config import Profile
from usagestream.errors import ConfigError

__all__ = ["AzureProfile", "require"]


class AzureProfile(Profile, frozen=True):
    """Which Azure OpenAI resource is asked, by which surface, and what its deployments are called.

    What is `None` is taken from the SDK's environment variables.
    """

    provider: Literal["azure"] = "azure"
    endpoint: str | None = None
    """The resource's address as the portal shows it; `AZURE_OPENAI_ENDPOINT` if `None`."""
    api_version: str | None = None
    """`v1`, or a date such as `2024-10-21` for the classic surface. If `None`: `v1` for an endpoint
    that ends in `/openai/v1`, else `OPENAI_API_VERSION`, else `v1`."""
    api_key: SecretStr | None = None
    """`AZURE_OPENAI_API_KEY` if `None`."""
    deployments: Mapping[str, str] = Field(default_factory=dict[str, str])
    """Deployment by model name. A model that is not listed is the name of its deployment."""

    required_variables: ClassVar[tuple[str, ...]] = (
        "AZURE_OPENAI_ENDPOINT",
        "AZURE_OPENAI_API_KEY",
    )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Make a profile of `AZURE_OPENAI_ENDPOINT` and its companions."""
        return cls(
            name="azure",
            endpoint=require(environ, "AZURE_OPENAI_ENDPOINT", "endpoint"),
            api_key=SecretStr(require(environ, "AZURE_OPENAI_API_KEY", "api_key")),
        )


def require(environ: Mapping[str, str], variable: str, field: str) -> str:
    """Read a variable that must be set. Raises `ConfigError`, naming it and its field."""
    value = environ.get(variable)
    if not value:
        raise ConfigError(
            f"Azure OpenAI has no {field}: set {variable}, or pass AzureProfile({field}=...)."
        )
    return value
