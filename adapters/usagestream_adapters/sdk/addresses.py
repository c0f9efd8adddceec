"""Addresses as users write them."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from usagestream_core.errors import ConfigError
from usagestream_core.masking import shown_address

__all__ = [
    "AZURE_DOMAINS",
    "host_of",
    "is_at",
    "is_azure",
    "is_foreign",
    "origin_of",
    "secrets_in_address",
    "shown_url",
    "split_url",
    "without",
]

AZURE_DOMAINS: Final = ("azure.com", "azure.us", "azure.cn")
"""The clouds: public, US Government (WIRE §2.3), China."""

_AZURE_SERVICES: Final = tuple(
    f".{service}.{domain}"
    for service in ("openai", "cognitiveservices", "services.ai")
    for domain in AZURE_DOMAINS
)
"""Where Azure OpenAI resources have their names (WIRE §2.3).

Nobody sees there what a request carries but Microsoft. Below the same domains anybody can rent a
name for a machine of their own (`cloudapp.azure.com`), and API Management (`azure-api.net`) shows
each request's headers to whoever set the gateway up: those are gateways like any other.
"""

_PLAIN: Final = re.compile(r"([\w.~!$&'()*+,;=:%-]*@)?[a-z0-9.-]+(:\d*)?", re.ASCII | re.IGNORECASE)
"""A user, host and port that nobody reads in two ways."""

_UNSEEN: Final = r"\s\x00-\x1f\x7f\u00ad\u200b-\u200f\u202a-\u202e\u2060\ufeff"
_AROUND: Final = re.compile(rf"^[{_UNSEEN}\"'<>]+|[{_UNSEEN}\"'<>]+$")
_NO_PART: Final = re.compile(rf"[{_UNSEEN}\\<>\"]")
"""What no path has in it: a second word, or a character that nobody sees."""
_NO_HOST: Final = re.compile(rf"[{_UNSEEN}!\"#$&'()*+,;<=>?@\[\\\]^`{{|}}]")

_PORTALS: Final = frozenset(
    {"portal.azure.com", "portal.azure.us", "portal.azure.cn", "ai.azure.com", "ai.azure.us",
     "oai.azure.com"}
)  # fmt: skip


def split_url(url: str, setting: str) -> SplitResult:
    """Split an http or https address; `https://` is supplied where there is no scheme.

    White space, quotes, angle brackets and what nobody sees around it, as they come along when it
    is copied, are dropped. Raises `ConfigError`, naming the setting, for anything else.
    """
    text = _AROUND.sub("", url)
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        _ = parts.port  # raises for what is no number
        is_whole = _is_host(parts.hostname or "") and not _NO_PART.search(parts.path)
    except ValueError:
        is_whole = False
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not is_whole:
        raise ConfigError(
            f"{setting} must be an address such as https://host, not {shown_url(url)!r}"
        )
    if parts.hostname in _PORTALS:
        raise ConfigError(
            f"{setting} is {shown_url(url)!r}, the portal's own address: take the resource's, such "
            "as https://NAME.openai.azure.com, from its page there."
        )
    return parts


def _is_host(name: str) -> bool:
    """Whether this is the name of a host, or its number. Raises `ValueError` for some that are not.

    A scheme that stands there is one that was written twice, or without a slash.
    """
    is_known = name.isascii() or bool(name.encode("idna"))
    return is_known and name not in ("", "http", "https") and not _NO_HOST.search(name)


def shown_url(url: str) -> str:
    """An address without what may be secret in it: a user, the query, a fragment."""
    return re.split(r"[?#]", shown_address(url), maxsplit=1)[0]


def origin_of(parts: SplitResult) -> str:
    """The beginning of an address: scheme, user, host and port."""
    return f"{parts.scheme}://{parts.netloc}"


def without(query: str, *names: str) -> str:
    """A query without the items of these names, otherwise as it was written."""
    items = (item for item in query.split("&") if item)
    return "&".join(item for item in items if unquote(item.partition("=")[0]) not in names)


def secrets_in_address(url: str) -> tuple[str, ...]:
    """What of an address is not to be shown: a user's password, and the values of the query."""
    parts = urlsplit(url)
    password = parts.netloc.rpartition("@")[0].partition(":")[2]
    values = [value for _, value in parse_qsl(parts.query) if value]
    return tuple(each for each in (password, unquote(password), *values) if each)


def host_of(url: str, setting: str) -> str:
    """The host of an address, with its port where it names one."""
    return split_url(url, setting).netloc.rpartition("@")[2].lower()


def is_azure(url: str, setting: str) -> bool:
    """Whether an address is at one of Azure OpenAI's own domains. A private gateway is not."""
    host = split_url(url, setting).hostname or ""
    return host.endswith(_AZURE_SERVICES)


def is_at(url: str, *hosts: str) -> bool:
    """Whether an address is, over https and beyond doubt, at one of these hosts or below one.

    A name that begins with a dot stands for those below it only.
    """
    try:
        parts = split_url(url, "address")
    except ConfigError:
        return False
    plain = _PLAIN.fullmatch(parts.netloc) is not None
    host = (parts.hostname or "").removesuffix(".")
    return (
        plain
        and parts.scheme == "https"
        and any(host.endswith(each) if each.startswith(".") else host == each for each in hosts)
    )


def is_foreign(url: str) -> bool:
    """Whether somebody else than OpenAI, or Microsoft as Azure OpenAI, may see what is sent there.

    Nothing is ever sent to what is no address.
    """
    try:
        split_url(url, "address")
    except ConfigError:
        return False
    return not is_at(url, "api.openai.com", ".api.openai.com", *_AZURE_SERVICES)
