"""Addresses as users write them."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from usagestream.errors import ConfigError

__all__ = ["host_of", "split_url"]


def split_url(url: str, setting: str) -> SplitResult:
    """Split an http or https address; `https://` is supplied where there is no scheme.

    Raises `ConfigError`, naming the setting, for anything else.
    """
    text = url.strip()
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{setting} must be an address such as https://host, not {url!r}")
    return parts


def host_of(url: str, setting: str) -> str:
    """The host of an address, with its port where it names one."""
    return split_url(url, setting).netloc.rpartition("@")[2].lower()
