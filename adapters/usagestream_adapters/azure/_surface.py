"""Where an Azure OpenAI resource answers, and how: the classic surface, v1, or model inference."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs

from usagestream_core.errors import ConfigError

from ..sdk.addresses import host_of, origin_of, shown_url, split_url, without
from ..sdk.pasted import take_apart
from ..sdk.usage_option import is_too_early

__all__ = ["Surface", "find_surface", "names_version"]

_DATED = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")


@dataclass(frozen=True, slots=True)
class Surface:
    """Classic takes a dated api version and the deployment in the path; v1 takes neither."""

    root: str
    """The resource's address, without a slash at the end and without `/openai`."""
    host: str
    api_version: str | None
    """A dated api version on the classic surface; `None` on v1, which refuses one."""
    deployment: str | None = None
    """The deployment that the endpoint names, where it was pasted with one."""
    is_models: bool = False
    """Whether this is Foundry's model inference, at `/models` (WIRE §2.3)."""
    query: str = ""
    """What the endpoint has behind a `?` beside an api version: a gateway's, for each request."""

    @property
    def v1_base_url(self) -> str:
        return f"{self.root}/openai/v1/"

    @property
    def models_base_url(self) -> str:
        return f"{self.root}/models/"

    @property
    def is_v1(self) -> bool:
        return self.api_version is None

    @property
    def takes_usage_request(self) -> bool:
        """Whether `stream_options` can be asked for, as far as is known beforehand."""
        return not is_too_early(self.api_version, is_models=self.is_models)


def find_surface(endpoint: str, api_version: str | None, *, fallback: str | None = None) -> Surface:
    """Read an endpoint as users paste it.

    It may end in a slash, `/openai`, `/openai/v1`, `/models`, `/api/projects/NAME`, or the rest of
    a request's address, query included. What stands before that, a gateway's prefix, is kept.
    An api version that was not given is v1 for a v1 address, else the one in the address, else the
    `fallback`, else v1.

    Raises `ConfigError` for an api version that is neither `v1` nor a date, and for a date given
    together with a v1 address.
    """
    parts = split_url(endpoint, "endpoint")
    found = take_apart(parts.path)
    is_v1, is_models = found.surface == "v1", found.surface == "models"
    pasted = parse_qs(parts.query).get("api-version", [None])[0]
    version = api_version or (None if is_v1 else pasted or fallback) or "v1"
    if version != "v1" and not _DATED.fullmatch(version):
        raise ConfigError(
            f"api_version must be 'v1' or a date such as '2024-10-21', not {version!r}"
        )
    if version != "v1" and is_v1:
        raise ConfigError(
            f"The endpoint {shown_url(endpoint)!r} is a v1 address, which takes no dated api "
            "version: set api_version to 'v1', or leave /v1 out of the endpoint"
        )
    if version == "v1" and is_models:
        raise ConfigError(
            f"The endpoint {shown_url(endpoint)!r} is that of model inference, which takes a dated "
            "api version: set api_version to '2024-05-01-preview', or leave /models out of the "
            "endpoint to use v1"
        )
    return Surface(
        root=origin_of(parts) + found.prefix,
        host=host_of(endpoint, "endpoint"),
        api_version=None if version == "v1" else version,
        deployment=found.deployment,
        is_models=is_models,
        query=without(parts.query, "api-version"),
    )


def names_version(endpoint: str) -> bool:
    """Whether the address alone decides the api version, or is none."""
    try:
        surface = find_surface(endpoint, None, fallback="0000-00-00")
    except ConfigError:
        return True
    return surface.api_version != "0000-00-00"
