"""Scrubbing one exchange: what of it may be kept, and in which words."""

from __future__ import annotations

import json
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, pairwise
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from usagestream_core.json_types import is_list_or_tuple

from .addresses import canonical
from .frames import scrub_spread
from .limits import TooLargeError, unpacked
from .match import plain_boundary, without_boundary
from .names import is_random, tells
from .secrets import Secrets

__all__ = [
    "REQUEST_IDS",
    "clean_request",
    "clean_response",
    "clean_uri",
    "decompressed",
    "encoding_of",
    "header_values",
    "note_request",
    "note_response",
    "scrub_body",
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
REQUEST_IDS: Final = frozenset({"apim-request-id", "x-request-id"})
"""Headers that name a request by a GUID, which says nothing of anybody."""
# What the SDK and its HTTP library send whoever asks. The rest is of the user's own making.
_HARMLESS: Final = frozenset(
    {"accept", "accept-encoding", "accept-language", "connection", "content-length", "content-type"}
    | {"host", "transfer-encoding", "user-agent", "x-ms-client-request-id", "idempotency-key"}
)
_HARMLESS_PREFIX: Final = "x-stainless-"
_LONG: Final = 12


def note_request(request: Any, secrets: Secrets) -> None:
    """Learn the credentials that a request carries."""
    uri: str = request.uri
    parts = urlsplit(uri)
    secrets.add(parts.password or "", "the password in the address")
    for name, value in _secret_headers(request.headers, by_value=True):
        secrets.add(value, f"the value of the header {name}")
    for name, value in parse_qsl(parts.query):
        if tells(name, value, "query"):
            secrets.add(value, f"the value of the query's {name}")


def note_response(response: Mapping[str, Any], secrets: Secrets) -> None:
    """Learn the cookies and the identities that a response carries."""
    for name, value in _secret_headers(response["headers"], by_value=False):
        secrets.add(value, f"the value of the header {name}")


def _secret_headers(headers: Mapping[str, Any], *, by_value: bool) -> Iterator[tuple[str, str]]:
    """What is secret by the name of a header, or, where the sender made that up, by its looks."""
    for name, values in headers.items():
        lowered = str(name).lower()
        if lowered in _HARMLESS or lowered.startswith(_HARMLESS_PREFIX):
            continue
        for value in _texts(values):
            named = tells(lowered, value, "header")
            for secret in _secret_parts(lowered, value):
                if named or (by_value and is_random(secret, _LONG)):
                    yield lowered, secret


def _secret_parts(name: str, value: str) -> list[str]:
    """What is secret in a header: no scheme, no attribute of a cookie, no ordinary word."""
    if name.endswith("cookie"):
        pairs = value.split(";", 1)[:1] if name == "set-cookie" else value.split(";")
        return [pair.partition("=")[2].strip() for pair in pairs]
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
        body = scrub_body(without_boundary(body), secrets)[0]
        if not undone:
            headers["content-encoding"] = encoding
        if "content-type" in headers:
            headers["content-type"] = [plain_boundary(each) for each in headers["content-type"]]
    flat = {name: value[0] for name, value in headers.items()}
    return type(request)(request.method, clean_uri(request.uri, secrets), body, flat)


def decompressed(response: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give a response with its body decompressed, if its compression is one that can be undone.

    vcrpy would do so without a bound, and takes a body that was cut for one that never was
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
        "body": {"string": scrub_body(response["body"]["string"] or b"", secrets)[0]},
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
    if any(tells(name, value, "query") for name, value in pairs):
        query = urlencode(
            [(name, "EXAMPLE" if tells(name, value, "query") else value) for name, value in pairs]
        )
    return secrets.scrub(urlunsplit((scheme, netloc, parts.path, query, "")))


def _kept(
    headers: Mapping[str, Any], names: frozenset[str], secrets: Secrets
) -> dict[str, list[str]]:
    lowered = ((str(name).lower(), values) for name, values in headers.items())
    return {
        name: [value if name in REQUEST_IDS else secrets.scrub(value) for value in _texts(values)]
        for name, values in lowered
        if name in names or (names is _KEPT_OF_RESPONSE and name.startswith(_KEPT_PREFIXES))
    }


def header_values(headers: Mapping[str, Any], wanted: str) -> list[str]:
    """Give the values of a header, whatever the case of its name."""
    found = (values for name, values in headers.items() if str(name).lower() == wanted)
    return [value for values in found for value in _texts(values)]


def _texts(values: Any) -> list[str]:
    """The values of a header, however a recorder keeps them."""
    listed = values if is_list_or_tuple(values) else [values]
    return [value.decode("latin-1") if isinstance(value, bytes) else str(value) for value in listed]


def _decompressed(body: bytes, encodings: list[str]) -> tuple[bytes, bool]:
    """Undo a compression, and say whether that could be done. A cut body gives what there is.

    What is too large to be looked through stays compressed, and so is refused later.
    """
    names = [name.strip().lower() for value in encodings for name in value.split(",")]
    if not body or not [name for name in names if name not in ("", "identity")]:
        return body, True
    try:
        plain = unpacked(body, names[0]) if len(names) == 1 else None
    except TooLargeError:
        plain = None
    return (body, False) if plain is None else (plain, True)


def scrub_body(
    body: bytes, secrets: Secrets, marks: Iterable[int] = (), *, keys_in_pieces: bool = False
) -> tuple[bytes, list[int]]:
    """Scrub a body, and say where these places of it, in order, are now.

    A key that frames spell out in pieces is left, and so is refused later, unless `keys_in_pieces`.
    """
    # latin-1 keeps every byte of what is no text, and shows the ASCII that secrets are made of.
    encoding = encoding_of(body)
    decode = getincrementaldecoder(encoding)().decode
    pairs = list(pairwise([0, *marks]))
    places = list(accumulate(len(decode(body[start:end])) for start, end in pairs))
    text, places = secrets.scrub_marked(body.decode(encoding), places)
    text, places = scrub_spread(text, secrets, places, keys=keys_in_pieces)
    sizes = (len(text[start:end].encode(encoding)) for start, end in pairwise([0, *places]))
    return text.encode(encoding), list(accumulate(sizes))


def encoding_of(body: bytes) -> str:
    """Give an encoding that a body can be read in and written back."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"
