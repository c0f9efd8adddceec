"""What the frames of an event stream say together: an answer comes in pieces."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Final

from usagestream_core.json_types import is_object

from .secrets import Secrets, replaced

__all__ = ["said", "scrub_spread"]

_DATA: Final = re.compile(r"^data:[ ]?(?P<json>\{.*\})[ ]*\r?$", re.MULTILINE)
_SPACED: Final = re.compile(r'\{"[^"]*":\s')
_DEEPEST: Final = 50


@dataclass(slots=True)
class _Frame:
    """A frame of JSON, and where it stands in the text."""

    start: int
    end: int
    value: Any
    compact: bool

    def text(self) -> str:
        separators = (",", ":") if self.compact else None
        return json.dumps(self.value, ensure_ascii=False, separators=separators)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A text in a frame, and what holds it there."""

    frame: _Frame
    holder: Any
    key: Any

    @property
    def text(self) -> str:
        return str(self.holder[self.key])


def said(text: str) -> list[str]:
    """Put together what stands in one and the same place of several frames."""
    return ["".join(piece.text for piece in pieces) for pieces in _spread(text)]


def scrub_spread(
    text: str, secrets: Secrets, marks: list[int], *, keys: bool
) -> tuple[str, list[int]]:
    """Put something in the place of names and addresses of people that no frame shows whole.

    Says where the marks are then. Without `keys`, only what says who somebody is: a key that is
    spelled out like that is left there, and refused.
    """
    changed: dict[int, _Frame] = {}
    for pieces in _spread(text):
        joined = "".join(piece.text for piece in pieces)
        ends = list(accumulate(len(piece.text) for piece in pieces))
        scrubbed, moved = secrets.scrub_marked(joined, ends, identities=not keys)
        if scrubbed == joined:
            continue
        for piece, (start, end) in zip(pieces, pairwise([0, *moved]), strict=True):
            if piece.text != scrubbed[start:end]:
                piece.holder[piece.key] = scrubbed[start:end]
                changed[piece.frame.start] = piece.frame
    frames = [changed[start] for start in sorted(changed)]
    spans = [(frame.start, frame.end) for frame in frames]
    texts = iter([frame.text() for frame in frames])
    return replaced(text, spans, lambda _: next(texts), marks)


def _spread(text: str) -> Iterator[list[_Piece]]:
    """The pieces of each place that several frames fill differently."""
    places: dict[tuple[object, ...], list[_Piece]] = {}
    for match in _DATA.finditer(text):
        try:
            value = json.loads(match["json"])
        except (ValueError, RecursionError):
            continue
        frame = _Frame(*match.span("json"), value, not _SPACED.match(match["json"]))
        kind = (value.get("type"), value.get("item_id"))
        for place, piece in _pieces(frame, value, tuple(map(str, kind))):
            places.setdefault(place, []).append(piece)
    for pieces in places.values():
        if len({piece.text for piece in pieces}) > 1:
            yield pieces


def _pieces(
    frame: _Frame, value: Any, place: tuple[object, ...]
) -> Iterator[tuple[tuple[object, ...], _Piece]]:
    if len(place) > _DEEPEST:
        return
    # A copy: what is found is replaced in place.
    items: list[tuple[Any, Any]] = [*value.items()] if is_object(value) else [*enumerate(value)]
    for key, inner in items:
        # Choices and tool calls say by themselves which one they are.
        step = inner.get("index", key) if is_object(inner) else key
        if isinstance(inner, str) and key != "obfuscation":  # That is padding, and says nothing.
            yield (*place, str(step)), _Piece(frame, value, key)
        elif isinstance(inner, dict | list):
            yield from _pieces(frame, inner, (*place, str(step)))
