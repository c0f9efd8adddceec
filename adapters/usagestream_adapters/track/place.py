"""Where a call goes, read off the SDK client and the address."""

# What the SDK passes on has no static type that its versions share.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from ..sdk.addresses import host_of

__all__ = ["deployment_in", "endpoint_of", "find_place", "host", "provider_of"]

_AZURE_HOSTS: Final = (".azure.com", ".azure.us", ".azure.cn", ".azure-api.net")


def endpoint_of(url: str) -> str:
    """The path of a request, without a slash at its end."""
    return urlsplit(url).path.rstrip("/")


def host(base_url: str) -> str:
    """Host, and port where the address names one."""
    return host_of(base_url, "base_url")


def find_place(client: Any, options: Any, model: str) -> tuple[str, ...]:
    """The address, the model and the api version: what decides which parameters are taken."""
    query = {**client.default_query, **(options.params or {})}
    return str(client.base_url), model, str(query.get("api-version") or "")


def provider_of(base_url: str, header_names: Collection[str], *, is_azure: bool) -> str:
    """Name who answers.

    Other services have `/openai/v1` in their addresses too, so that behind a gateway of any name
    it is Azure's own header that tells.
    """
    name = host(base_url).partition(":")[0]
    if is_azure or name.endswith(_AZURE_HOSTS) or "apim-request-id" in header_names:
        return "azure"
    return "openai"


def deployment_in(base_url: str) -> str | None:
    """The deployment that an address of Azure's classic surface names."""
    found = re.search(r"/deployments/([^/?]+)", base_url)
    return unquote(found[1]) if found else None
