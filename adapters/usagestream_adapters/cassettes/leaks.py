"""Looking for what scrubbing could not take out."""

# JSON has no static types; pyright makes dict[Unknown, Unknown] of an Any that was checked to be a
# dict.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from .scrub import encoding_of, header_values
from .secrets import Secrets, Sighting, excerpt

__all__ = ["Leak", "leaks"]

_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(/))")
_LINE_END: Final = re.compile(r"\r\n|\n|\r")


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
            where = f"the header {name} of response {number}"
            yield from _seen(where, " ".join(values), secrets)
        where = f"the body of response {number}"
        answered = response["body"]["string"]
        yield from _seen_in_body(where, answered, response["headers"], secrets)


def _seen(where: str, text: str, secrets: Secrets) -> Iterator[Leak]:
    for view in _views(text):
        for sighting in secrets.find(view):
            yield Leak(where, sighting)


def _views(text: str) -> set[str]:
    """A text, and what it says once its escapes are undone."""
    plain = _ESCAPE.sub(lambda match: match[2] or chr(int(match[1], 16)), text)
    return {text, plain, unquote(text), unquote(plain)}


def _seen_in_body(
    where: str, body: bytes, headers: Mapping[str, Any], secrets: Secrets
) -> Iterator[Leak]:
    compressed = header_values(headers, "content-encoding")
    if compressed or body.startswith(b"\x1f\x8b"):
        how = ", ".join(compressed) or "gzip"
        yield Leak(where, Sighting(f"bytes compressed by {how}, where no secret is seen", how, 0))
        return
    text = body.decode(encoding_of(body))
    yield from _seen(where, text, secrets)
    for said in _said(text):
        yield from _seen(f"{where}, spread over its frames,", said, secrets)


def _said(text: str) -> Iterable[str]:
    """What the frames of an event stream say together: an answer comes in pieces."""
    joined: dict[tuple[object, ...], list[str]] = {}
    for line in _LINE_END.split(text):
        name, _, data = line.partition(":")
        if name != "data":
            continue
        try:
            frame = json.loads(data)
        except ValueError:
            continue
        for place, piece in _leaves(frame, ()):
            joined.setdefault(place, []).append(piece)
    return ["".join(pieces) for pieces in joined.values() if len(pieces) > 1]


def _leaves(value: Any, place: tuple[object, ...]) -> Iterator[tuple[tuple[object, ...], str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, (*place, name))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            # Choices and tool calls say by themselves which one they are.
            index = inner.get("index", position) if isinstance(inner, dict) else position
            yield from _leaves(inner, (*place, str(index)))
