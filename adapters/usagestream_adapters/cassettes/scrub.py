"""Scrubbing one exchange: what of it may be kept, and in which words."""

# JSON and vcrpy's objects have no static types; pyright makes dict[Unknown, Unknown] of an Any that
# was checked to be a dict.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from .addresses import canonical
from .secrets import SECRET_FIELD, Secrets

__all__ = [
    "clean_request",
    "clean_response",
    "decompressed",
    "encoding_of",
    "header_values",
    "note_request",
    "note_response",
]

_KEPT_OF_REQUEST: Final = frozenset({"content-type"})
_KEPT_OF_RESPONSE: Final = frozenset(
    {
        "apim-request-id",
        "content-encoding",
        "content-type",
        "openai-processing-ms",
        "openai-version",
        "retry-after",
        "retry-after-ms",
        "x-ms-served-model",
        "x-request-id",
        "x-should-retry",
    }
)
_KEPT_PREFIXES: Final = ("x-ratelimit-limit-", "x-ratelimit-remaining-", "x-ratelimit-reset-")
_SECRET_PARAMETER: Final = re.compile(
    rf"(?:{SECRET_FIELD.pattern}|code|key|sig|token)", re.IGNORECASE
)
_BITS: Final = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


def note_request(request: Any, secrets: Secrets) -> None:
    """Learn the credentials that a request carries."""
    parts = urlsplit(request.uri)
    secrets.add(parts.password or "", "the password in the address")
    for name, value in _secret_headers(request.headers):
        secrets.add(value, f"the value of the header {name}")
    for name, value in parse_qsl(parts.query):
        if _SECRET_PARAMETER.fullmatch(name):
            secrets.add(value, f"the value of the query's {name}")


def note_response(response: Mapping[str, Any], secrets: Secrets) -> None:
    """Learn the cookies and the identities that a response carries."""
    for name, value in _secret_headers(response["headers"]):
        secrets.add(value, f"the value of the header {name}")


def _secret_headers(headers: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, values in headers.items():
        lowered = str(name).lower()
        if not SECRET_FIELD.fullmatch(lowered):
            continue
        for value in _texts(values):
            yield from ((lowered, secret) for secret in _secret_parts(lowered, value))


def _secret_parts(name: str, value: str) -> list[str]:
    """What is secret in a header: no scheme, no attribute of a cookie, no ordinary word."""
    if name.endswith("cookie"):
        pairs = value.split(";", 1)[:1] if name == "set-cookie" else value.split(";")
        return [pair.partition("=")[2].strip() for pair in pairs]
    if name.startswith("openai-"):
        return [] if value.isalpha() else [value]
    scheme, _, credential = value.partition(" ")
    return [credential.strip() or scheme]


def clean_request(request: Any, secrets: Secrets) -> Any:
    """Give a request as it may be kept: no credential, no resource, `content-type` only."""
    headers = _kept(request.headers, _KEPT_OF_REQUEST, secrets)
    encoding = header_values(request.headers, "content-encoding")
    body = request.body_bytes
    if isinstance(body, dict):  # vcrpy's recorder of aiohttp keeps what JSON is made of.
        body = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    if body is not None:
        body, undone = _decompressed(bytes(body), encoding)
        body = _scrubbed(body, secrets)
        if not undone:
            headers["content-encoding"] = encoding
    flat = {name: value[0] for name, value in headers.items()}
    return type(request)(request.method, clean_uri(request.uri, secrets), body, flat)


def decompressed(response: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give a response with its body decompressed, if its compression is gzip or deflate.

    vcrpy undoes others where it can, but takes a body that was cut for one that never was
    compressed.
    """
    body, undone = _decompressed(
        response["body"]["string"] or b"", header_values(response["headers"], "content-encoding")
    )
    if not undone:
        return response
    headers = {
        name: values
        for name, values in response["headers"].items()
        if str(name).lower() != "content-encoding"
    }
    return {**response, "headers": headers, "body": {"string": body}}


def clean_response(response: Mapping[str, Any], secrets: Secrets) -> dict[str, Any]:
    """Give a decompressed response as it may be kept."""
    kept: dict[str, Any] = {
        **response,
        "headers": _kept(response["headers"], _KEPT_OF_RESPONSE, secrets),
        "body": {"string": _scrubbed(response["body"]["string"] or b"", secrets)},
    }
    kept["status"] = {**response["status"]}
    kept["status"]["message"] = secrets.scrub(str(response["status"].get("message") or ""))
    if "url" in kept:  # vcrpy's recorder of aiohttp keeps the address here too.
        kept["url"] = clean_uri(str(kept["url"]), secrets)
    return kept


def clean_uri(uri: str, secrets: Secrets) -> str:
    """Give an address as it may be kept."""
    parts = urlsplit(uri)
    scheme, netloc = canonical(parts)
    query = parts.query
    pairs = parse_qsl(query, keep_blank_values=True)
    if any(_SECRET_PARAMETER.fullmatch(name) for name, _ in pairs):
        query = urlencode(
            [
                (name, "EXAMPLE" if _SECRET_PARAMETER.fullmatch(name) else value)
                for name, value in pairs
            ]
        )
    return secrets.scrub(urlunsplit((scheme, netloc, parts.path, query, "")))


def _kept(
    headers: Mapping[str, Any], names: frozenset[str], secrets: Secrets
) -> dict[str, list[str]]:
    lowered = ((str(name).lower(), values) for name, values in headers.items())
    return {
        name: [secrets.scrub(value) for value in _texts(values)]
        for name, values in lowered
        if name in names or (names is _KEPT_OF_RESPONSE and name.startswith(_KEPT_PREFIXES))
    }


def header_values(headers: Mapping[str, Any], wanted: str) -> list[str]:
    """Give the values of a header, whatever the case of its name."""
    found = (values for name, values in headers.items() if str(name).lower() == wanted)
    return [value for values in found for value in _texts(values)]


def _texts(values: Any) -> list[str]:
    """The values of a header, however a recorder keeps them."""
    listed: Iterable[Any] = values if isinstance(values, list | tuple) else [values]
    return [value.decode("latin-1") if isinstance(value, bytes) else str(value) for value in listed]


def _decompressed(body: bytes, encodings: list[str]) -> tuple[bytes, bool]:
    """Undo a compression, and say whether that could be done. A cut body gives what there is."""
    names = [name.strip().lower() for value in encodings for name in value.split(",")]
    if not body or not [name for name in names if name not in ("", "identity")]:
        return body, True
    bits = _BITS.get(names[0]) if len(names) == 1 else None
    if bits is None:
        return body, False
    try:
        return zlib.decompressobj(bits).decompress(body), True
    except zlib.error:
        return body, False


def _scrubbed(body: bytes, secrets: Secrets) -> bytes:
    # latin-1 keeps every byte of what is no text, and shows the ASCII that secrets are made of.
    encoding = encoding_of(body)
    return secrets.scrub(body.decode(encoding)).encode(encoding)


def encoding_of(body: bytes) -> str:
    """Give an encoding that a body can be read in and written back."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"
