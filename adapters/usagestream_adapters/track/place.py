"""Where a call goes, read off the SDK client and the address."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from ..sdk import pasted
from ..sdk.addresses import host_of
from ..sdk.addresses import is_azure as is_azure_address

__all__ = ["deployment_in", "endpoint_of", "find_place", "host", "provider_of"]


def endpoint_of(url: str) -> str:
    """The path of a request, without a slash at its end."""
    return urlsplit(url).path.rstrip("/")


def host(base_url: str) -> str:
    """Host, and port where the address names one."""
    return host_of(base_url, "base_url")


def find_place(client: Any, options: Any, model: str) -> tuple[str, ...]:
    """The address, the model and the api version: what decides which parameters are taken."""
    own: Mapping[str, Any] = options.params or {}
    query: dict[str, Any] = {**client.default_query, **own}
    return str(client.base_url), model, str(query.get("api-version") or "")


def provider_of(base_url: str, header_names: Collection[str], *, is_azure: bool) -> str:
    """Name who answers.

    Other services have `/openai/v1` in their addresses too, and a gateway (Azure's API Management
    among them) may stand before anybody: there it is Azure's own header that tells.
    """
    if is_azure or is_azure_address(base_url, "base_url") or "apim-request-id" in header_names:
        return "azure"
    return "openai"


def deployment_in(base_url: str) -> str | None:
    """The deployment that an address of Azure's classic surface names."""
    return pasted.deployment_in(urlsplit(base_url).path)
