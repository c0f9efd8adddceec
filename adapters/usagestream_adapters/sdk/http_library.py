"""The HTTP library that the installed openai SDK stands on: httpx2, or httpx before version 3."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final
from urllib.request import getproxies, proxy_bypass

from usagestream_core.errors import ConfigError
from usagestream_core.masking import shown_address

from .addresses import secrets_in_address

__all__ = [
    "explained",
    "http_library",
    "library_type",
    "proxy_for",
    "proxy_secrets",
    "unread_encoding",
]

_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy")

_NO_ENCODING: Final = b"\xff\xfe\xfd\xfc"
"""The beginning of nothing that is compressed."""


@cache
def http_library() -> Any:
    """Import it. The SDK accepts HTTP clients of this library only."""
    from openai import DefaultHttpxClient

    return importlib.import_module(library_type(DefaultHttpxClient).__module__.partition(".")[0])


def library_type(kind: type) -> type:
    """Give the library's own class of an HTTP client, since the SDK accepts its instances only.

    Not the SDK's subclass of it, which closes its connections when it is dropped.
    """
    return next(
        base
        for base in kind.__mro__
        if base.__module__.partition(".")[0] in ("httpx", "httpx2")
        and base.__name__ in ("Client", "AsyncClient")
    )


def explained(exc: Exception, environ: Mapping[str, str] = os.environ) -> ConfigError | None:
    """Say what in the environment keeps an HTTP client from being made; `None` for anything else.

    The library reads proxies and certificates from there, and raises whatever comes of it.
    """
    if isinstance(exc, OSError):
        path = environ.get("SSL_CERT_FILE")
        if not path:
            return None
        return ConfigError(
            f"SSL_CERT_FILE names {path!r}, which cannot be used: {exc}. Name a file of "
            "certificates in PEM, or unset it."
        )
    proxies = dict(_proxies(environ))
    if isinstance(exc, ImportError):
        socks = [name for name, url in proxies.items() if url.startswith("socks")]
        if not socks:
            return None
        return ConfigError(
            f"{socks[0]} names a SOCKS proxy, which takes another package: "
            f'pip install "{http_library().__name__}[socks]"; or unset it, or name an HTTP proxy.'
        )
    if isinstance(exc, ValueError) and proxies and "proxy" in str(exc).lower():
        named = " or ".join(f"{name} ({shown_address(url)})" for name, url in proxies.items())
        return ConfigError(
            f"{named} cannot be used as a proxy: write it as http://host:port, or unset it."
        )
    return None


def proxy_for(scheme: str, host: str) -> str | None:
    """The proxy that the environment has for an address, without its password; `None` for none."""
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    return None if proxy is None or proxy_bypass(host) else shown_address(proxy)


def proxy_secrets() -> tuple[str, ...]:
    """The passwords of the proxies that are set."""
    return tuple(secret for url in getproxies().values() for secret in secrets_in_address(url))


def unread_encoding(response: Any) -> str | None:
    """How a body is compressed, where the library cannot undo that; `None` where it can."""
    named: str = response.headers.get("content-encoding", "")
    encodings = [each.strip().lower() for each in named.split(",")]
    kind: Any = response.__class__
    return next((each for each in encodings if each and not _is_undone(kind, each)), None)


def _proxies(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in environ.items():
        if name.lower() in _PROXIES and value:
            yield name, value


@cache
def _is_undone(kind: type[Any], encoding: str) -> bool:
    """Whether the library changes, or refuses, what is not compressed in this way."""
    if encoding == "identity":
        return True
    try:
        read = kind(200, headers={"content-encoding": encoding}, content=_NO_ENCODING).content
    except Exception:  # noqa: BLE001 - a DecodingError of one library or the other
        return True
    return bool(read != _NO_ENCODING)
