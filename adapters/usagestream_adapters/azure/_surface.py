"""Where an Azure OpenAI resource answers, and how: the classic surface or v1."""

from __future__ import annotations

import re
from dataclasses import dataclass

from usagestream.errors import ConfigError

from .._urls import host_of, split_url

__all__ = ["Surface", "find_surface"]

_DATED = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")


@dataclass(frozen=True, slots=True)
class Surface:
    """Classic takes a dated api version and the deployment in the path; v1 takes neither."""

    root: str
    """The resource's address, without a slash at the end and without `/openai`."""
    host: str
    api_version: str | None
    """A dated api version on the classic surface; `None` on v1, which refuses one."""

    @property
    def v1_base_url(self) -> str:
        return f"{self.root}/openai/v1/"


def find_surface(endpoint: str, api_version: str | None, *, fallback: str | None = None) -> Surface:
    """Read an endpoint as users paste it.

    It may end in a slash, `/openai`, `/openai/v1` or the rest of a request's address. What stands
    before `/openai`, a gateway's prefix, is kept. An api version that was not given is v1 for a v1
    address, else the `fallback`, else v1.

    Raises `ConfigError` for an api version that is neither `v1` nor a date, and for a date given
    together with a v1 address.
    """
    parts = split_url(endpoint, "endpoint")
    before, marker, after = parts.path.partition("/openai")
    path = before if marker and after[:1] in ("", "/") else parts.path
    is_v1 = marker != "" and re.match(r"/v1(/|$)", after) is not None
    version = api_version or (None if is_v1 else fallback) or "v1"
    if version != "v1":
        if not _DATED.fullmatch(version):
            raise ConfigError(
                f"api_version must be 'v1' or a date such as '2024-10-21', not {version!r}"
            )
        if is_v1:
            raise ConfigError(
                f"The endpoint {endpoint!r} is a v1 address, which takes no dated api version: "
                "set api_version to 'v1', or leave /v1 out of the endpoint"
            )
    return Surface(
        root=f"{parts.scheme}://{parts.netloc}{path.rstrip('/')}",
        host=host_of(endpoint, "endpoint"),
        api_version=None if version == "v1" else version,
    )
