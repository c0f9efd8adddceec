"""Looking for what scrubbing could not take out, and in what other spelling it may stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any, Final
from urllib.parse import unquote

from .frames import said
from .limits import packed
from .scrub import REQUEST_IDS, encoding_of, header_values
from .secrets import Secrets, Sighting, excerpt

__all__ = ["Leak", "leaks", "seen"]

_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(/))")


@dataclass(frozen=True, slots=True)
class Leak:
    """A secret that is still there, and where."""

    where: str
    sighting: Sighting

    def __str__(self) -> str:
        return f"{self.where} holds {self.sighting.kind} ({excerpt(self.sighting.value)})"


def leaks(requests: Iterable[Any], responses: Iterable[Any], secrets: Secrets) -> Iterator[Leak]:
    """Find what is still secret in scrubbed exchanges, also where it is written in another way."""
    for number, (request, response) in enumerate(zip(requests, responses, strict=True), 1):
        asked = request.body_bytes or b""
        yield from _seen(f"the address of request {number}", request.uri, secrets)
        yield from _seen_in_body(f"the body of request {number}", asked, request.headers, secrets)
        for name, values in response["headers"].items():
            if name in REQUEST_IDS:
                continue
            where = f"the header {name} of response {number}"
            yield from _seen(where, " ".join(values), secrets)
        where = f"the body of response {number}"
        answered = response["body"]["string"]
        yield from _seen_in_body(where, answered, response["headers"], secrets)


def seen(text: str, secrets: Secrets) -> Iterator[tuple[Sighting, bool]]:
    """Find secrets in a text, in what it says once its escapes are undone, and over its frames.

    With each, whether it is spread over frames. A place is given only in the text itself.
    """
    found: set[str] = set()
    for sighting in secrets.find(text):
        found.add(sighting.value)
        yield sighting, False
    plain = _ESCAPE.sub(lambda match: match[2] or chr(int(match[1], 16)), text)
    views = {plain, unquote(text), unquote(plain), unescape(text)} - {text}
    for spread, others in ((False, sorted(views)), (True, said(text))):
        for sighting in (each for other in others for each in secrets.find(other)):
            if sighting.value not in found:
                found.add(sighting.value)
                yield Sighting(sighting.kind, sighting.value, 0), spread


def _seen(where: str, text: str, secrets: Secrets) -> Iterator[Leak]:
    for sighting, spread in seen(text, secrets):
        yield Leak(f"{where}, spread over its frames," if spread else where, sighting)


def _seen_in_body(
    where: str, body: bytes, headers: Mapping[str, Any], secrets: Secrets
) -> Iterator[Leak]:
    compressed = header_values(headers, "content-encoding")
    how = ", ".join(compressed) or packed(body)
    if how:
        yield Leak(where, Sighting(f"bytes compressed by {how}, where no secret is seen", how, 0))
        return
    yield from _seen(where, body.decode(encoding_of(body)), secrets)
