"""Addresses as they are kept in a cassette: the services', never one resource's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

__all__ = [
    "Address",
    "canonical",
    "describe_origin",
    "is_token_request",
    "read_address",
]

OPENAI_HOST: Final = "api.openai.com"
AZURE_HOST: Final = "example.openai.azure.com"

# Domains whose first label is the name of somebody's resource.
_RESOURCE: Final = re.compile(
    r"[^.]+\.((openai|cognitiveservices)\.azure\.(com|us|cn)|services\.ai\.azure\.com"
    r"|azure-api\.net)"
)
_LOCAL: Final = re.compile(r"localhost|127(\.\d+){3}|0\.0\.0\.0|::1")
_AZURE_PATH: Final = re.compile(r"(?:^|/)openai/(?:deployments/(?P<deployment>[^/]+)|v1)/")
_OPENAI_PATH: Final = re.compile(r"(?:^|/)v1/")

# Microsoft's sign-in hosts and every managed-identity endpoint, and OpenAI's token exchange.
_SIGN_IN_HOST: Final = re.compile(
    r"(.*\.)?login\.(microsoftonline\.(com|us|de)|microsoft\.com|windows\.net|chinacloudapi\.cn)"
    r"|sts\.windows\.net|auth\.openai\.com|169\.254\.169\.254"
)
_SIGN_IN_PATH: Final = re.compile(
    r"/oauth2?/|/metadata/identity/|/msi/token|/discovery/instance|/openid-configuration"
)


@dataclass(frozen=True, slots=True)
class Address:
    """What of an address decides which recorded answer fits it."""

    host: str
    """Empty where it is an address of OpenAI's or Azure's API: those answer alike anywhere."""
    path: str
    deployment: str
    """Empty where the path names none."""
    api_version: str
    query: tuple[tuple[str, str], ...]
    """The rest of the query, sorted."""


def read_address(uri: str) -> Address:
    """Split an address into the parts that matter."""
    parts = urlsplit(uri)
    azure = _AZURE_PATH.search(parts.path)
    known = azure or _OPENAI_PATH.search(parts.path)
    query = sorted(parse_qsl(parts.query, keep_blank_values=True))
    return Address(
        host="" if known else parts.netloc,
        path=parts.path or "/",
        deployment=(azure["deployment"] or "") if azure else "",
        api_version=dict(query).get("api-version", ""),
        query=tuple(pair for pair in query if pair[0] != "api-version"),
    )


def canonical(parts: SplitResult) -> tuple[str, str]:
    """The scheme and the host, with its port, to keep for an address.

    A resource is called `example`. A local server that is spoken to as OpenAI or Azure stands for
    it. Any other address stays as it is; no user name or password does.
    """
    host = (parts.hostname or "").lower()
    if _RESOURCE.fullmatch(host):
        return "https", f"example.{host.partition('.')[2]}"
    if _LOCAL.fullmatch(host):
        if _AZURE_PATH.search(parts.path):
            return "https", AZURE_HOST
        if _OPENAI_PATH.search(parts.path):
            return "https", OPENAI_HOST
    return parts.scheme, parts.netloc.rpartition("@")[2]


def describe_origin(uri: str) -> str:
    """Say who answers at an address, without naming a resource."""
    host = (urlsplit(uri).hostname or "").lower()
    if _RESOURCE.fullmatch(host):
        return "Azure OpenAI"
    return "a local server" if _LOCAL.fullmatch(host) else host


def is_token_request(uri: str) -> bool:
    """Whether this asks for an access token, or prepares to."""
    parts = urlsplit(uri)
    host = (parts.hostname or "").lower()
    return bool(_SIGN_IN_HOST.fullmatch(host) or _SIGN_IN_PATH.search(parts.path))
