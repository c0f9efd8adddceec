"""Reading a cassette of vcrpy's, or of ours, whatever is in the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usagestream_core.json_types import is_array, is_object

from . import yaml as _yaml
from .limits import CassetteError, read
from .vcr import deserialize, json_format

__all__ = ["Interaction", "read_cassette"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """One request and its answer, as they stand in a file."""

    request: Any
    """vcrpy's."""
    status: int
    headers: tuple[tuple[str, str], ...]
    """Their names in lower case."""
    body: bytes
    timing: dict[str, Any] | None
    """What is kept beside the body, if anything is."""


def read_cassette(path: Path) -> tuple[dict[str, Any], list[Interaction]]:
    """Give what a cassette says of itself, and what was recorded.

    Raises `CassetteError` for a file that is none, and `TooLargeError` for one that is larger than
    is read, or grows when it is.
    """
    serializer = json_format if path.suffix == ".json" else _yaml
    try:
        document: Any = serializer.deserialize(read(path).decode())
        requests, responses, *_ = deserialize("", _Read(document))
        kept = document["interactions"]
        found = list(map(_interaction, requests, responses, kept))
    except CassetteError as exc:
        raise type(exc)(f"{path} is not read: {exc}.") from exc
    except Exception as exc:  # A file of any other kind fails in any other way.
        raise CassetteError(f"{path} is not a cassette of vcrpy: {_said(exc)}") from exc
    return document, found


def _said(exc: Exception) -> str:
    return str(exc) or type(exc).__name__


class _Read:
    """A serializer of vcrpy's kind that has read its one document."""

    def __init__(self, document: Any) -> None:
        self._document = document

    def deserialize(self, text: str) -> Any:
        return {**self._document, "interactions": list(self._document["interactions"])}


def _interaction(request: Any, response: Any, kept: Any) -> Interaction:
    # A body of any other kind is a TypeError here.
    body = bytes(memoryview(response["body"]["string"] or b""))
    memoryview(request.body_bytes or b"")
    for text in (request.uri, request.method):
        if not isinstance(text, str):
            raise TypeError("a method or an address is no text")
    timing = kept.get("timing")
    return Interaction(
        request=request,
        status=int(response["status"]["code"]),
        headers=tuple(_headers(response["headers"])),
        body=body,
        timing=timing if is_object(timing) else None,
    )


def _headers(headers: Any) -> Iterator[tuple[str, str]]:
    for name, values in headers.items():
        for value in values if is_array(values) else [values]:
            yield str(name).lower(), str(value)
