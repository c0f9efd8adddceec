"""Which recording answers a request, on the surface it was recorded on or on another.

A conversation is the same on both providers but for its address and the name of its model
(WIRE §2.3), so a recording of one answers the other: where a recording of the very request is not
there, one from another surface is, of the same operation with the same body but for `model`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from usagestream_core.json_types import Json

from ..cassettes.match import address, differences, read_body, without_boundary
from ..cassettes.scrub import clean_uri, scrub_body
from ..cassettes.secrets import Secrets
from ._load import Exchange

__all__ = ["Asked", "Recorded", "describe_miss", "find"]

_SURFACE: Final = re.compile(
    r"(?P<azure>(?:^|/)openai/)?(?:deployments/(?P<deployment>[^/]+)|v1)/(?P<operation>.+)$"
)
_NEVER: Final = 9
_SECRETS: Final = Secrets({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request, in the terms that decide."""

    method: str
    uri: str
    surface: str
    operation: str
    """The path behind the surface's own part of it."""
    name: str
    """The model's name, or the deployment's."""
    body: Any
    """As JSON, without the name and without what no answer depends on; text if it is no JSON."""

    @classmethod
    def of(cls, method: str, uri: str, body: bytes, hidden: Iterable[str] = ()) -> Asked:
        """Read a request; `hidden` are fields of its body that do not count.

        It is read as it would be recorded, since a recording has placeholders in it.
        """
        uri = clean_uri(uri, _SECRETS)
        body, _ = scrub_body(without_boundary(body), _SECRETS)
        path = urlsplit(uri).path
        match = _SURFACE.search(path)
        deployment = match["deployment"] if match else None
        asked, name = _split(body, uri, deployment, hidden)
        kind = "azure" if match and match["azure"] else "openai"
        return cls(
            method=method,
            uri=uri,
            surface=f"{kind} classic" if deployment else kind,
            operation=match["operation"] if match else path,
            name=name,
            body=asked,
        )


def _split(body: bytes, uri: str, deployment: str | None, hidden: Iterable[str]) -> tuple[Any, str]:
    try:
        asked: Json = read_body(body, uri)
    except ValueError:
        return body.decode("latin-1"), deployment or ""
    if not isinstance(asked, dict):
        return asked, deployment or ""
    name = str(asked.pop("model", None) or "")
    return {key: asked[key] for key in asked if key not in hidden}, deployment or name


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording, with its request read."""

    asked: Asked
    exchange: Exchange

    @classmethod
    def of(cls, exchange: Exchange, hidden: Iterable[str]) -> Recorded:
        """Read its request; `hidden` are fields of its body that do not count."""
        request = exchange.request
        body = request.body_bytes or b""
        return cls(Asked.of(request.method, request.uri, body, hidden), exchange)


def find(asked: Asked, recorded: Sequence[Recorded]) -> list[Exchange]:
    """Give all that answer the request equally well, in the order they were recorded."""
    ranked = [(_rank(asked, each.asked), each.exchange) for each in recorded]
    best = min((rank for rank, _ in ranked), default=_NEVER)
    return [each for rank, each in ranked if rank == best] if best < _NEVER else []


def _rank(asked: Asked, recorded: Asked) -> int:
    """0: the very request. 1: of another surface, by the same name. 2: by another name."""
    if asked.method != recorded.method or asked.body != recorded.body:
        return _NEVER
    if asked.surface == recorded.surface:
        same = asked.name == recorded.name and _same_address(asked, recorded)
        return 0 if same else _NEVER
    if asked.operation != recorded.operation:
        return _NEVER
    return 1 if asked.name == recorded.name else 2


def _same_address(asked: Asked, recorded: Asked) -> bool:
    try:
        address(asked, recorded)
    except AssertionError:
        return False
    return True


def describe_miss(asked: Asked, recorded: Sequence[Recorded], where: str) -> str:
    """Say in a sentence or two why nothing answers a request."""
    named = f" for {asked.name!r}" if asked.name else ""
    what = f"{asked.method} {asked.operation}{named}"
    told: list[tuple[int, str]] = []
    for each in recorded:
        was = each.asked
        if (was.method, was.operation) != (asked.method, asked.operation):
            continue
        found = list(differences(asked.body, was.body, ""))
        if not found and asked.name != was.name:
            found = [f"the model: {was.name!r} was recorded, {asked.name!r} was sent"]
        first = found[0] if found else f"the address: {was.uri} was recorded, {asked.uri} was sent"
        number = f"request {each.exchange.number} of {each.exchange.cassette}"
        told.append((len(found), f"{number}, differs in {first}"))
    if not told:
        return f"Nothing like {what} is recorded in {where}."
    return f"Nothing recorded in {where} answers {what}. The nearest, {min(told)[1]}."
