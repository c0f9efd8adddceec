"""The clouds that Azure OpenAI runs in: who issues tokens there, and for which audience."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from ._surface import Surface

__all__ = ["AUTHORITIES", "Cloud", "cloud_of", "is_known_authority"]


@dataclass(frozen=True, slots=True)
class Cloud:
    """Sources: WIRE §3.1."""

    domain: str
    authority: str
    classic_scope: str
    v1_scope: str

    def scope(self, surface: Surface) -> str:
        """The audience that tokens for this surface are asked for."""
        return self.v1_scope if surface.is_v1 else self.classic_scope


PUBLIC: Final = Cloud(
    "azure.com",
    "login.microsoftonline.com",
    "https://cognitiveservices.azure.com/.default",
    "https://ai.azure.com/.default",
)
_GOVERNMENT: Final = Cloud(
    "azure.us",
    "login.microsoftonline.us",
    "https://cognitiveservices.azure.us/.default",
    # Its refusals name https://ai.azure.us/ beside this one: either is taken there.
    "https://cognitiveservices.azure.us/.default",
)
_CHINA: Final = Cloud(
    "azure.cn",
    "login.chinacloudapi.cn",
    # Known from one comment about another service only: not verified for Azure OpenAI.
    "https://cognitiveservices.azure.cn/.default",
    "https://cognitiveservices.azure.cn/.default",
)
_CLOUDS: Final = (PUBLIC, _GOVERNMENT, _CHINA)
AUTHORITIES: Final = tuple(cloud.authority for cloud in _CLOUDS)
"""Microsoft's own issuers of tokens."""


def cloud_of(surface: Surface, authority: str | None) -> Cloud:
    """The cloud of a resource by its host, of a gateway's by who issues its tokens, or public."""
    host = surface.host.partition(":")[0]
    issuer = _host(authority) if authority else ""
    for cloud in _CLOUDS:
        if host.endswith(f".{cloud.domain}"):
            return cloud
    return next((cloud for cloud in _CLOUDS if cloud.authority == issuer), PUBLIC)


def is_known_authority(authority: str) -> bool:
    """Whether the public directory of authorities knows this one; it is asked about others."""
    return _host(authority) in AUTHORITIES


def _host(authority: str) -> str:
    return urlsplit(authority if "://" in authority else f"https://{authority}").hostname or ""
