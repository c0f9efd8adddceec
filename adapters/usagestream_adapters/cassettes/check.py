"""Finding secrets and resource names in files that any recorder wrote."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from usagestream_core.json_types import is_array, is_object

from .leaks import seen
from .limits import TooLargeError, packed, read, unpacked
from .names import Place, tells
from .scrub import REQUEST_IDS, encoding_of
from .secrets import Secrets, Sighting, excerpt, is_placeholder
from .yaml import measure

__all__ = ["Finding", "check_file", "files_below"]

_ENCODED_KEYS: Final = frozenset({"base64_string", "base64"})


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something that looks secret in a file."""

    line: int
    kind: str
    """Or why nothing was looked for."""
    excerpt: str

    def __str__(self) -> str:
        return f"{self.kind} ({self.excerpt})"


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A text in a document: on which line it begins, and whether its own line ends are real."""

    text: str
    name: str
    """The key it stands under, a list between the two not counted."""
    line: int
    literal: bool = False
    place: Place = "text"


def files_below(path: Path) -> list[Path]:
    """Give the file, or every file in the folder but hidden ones."""
    if path.is_file():
        return [path]
    return sorted(
        one
        for one in path.rglob("*")
        if one.is_file() and not any(part[0] == "." for part in one.relative_to(path).parts)
    )


def check_file(path: Path, environ: Mapping[str, str]) -> list[Finding]:
    """Find what looks secret: YAML and JSON by their structure, anything else line by line.

    The values of the variables in `environ` that hold secrets are found whatever they look like.
    """
    secrets = Secrets(environ)
    try:
        data = read(path)
        text = _text(_inflated(data))
        leaves = _leaves(path, text)
        codings = _codings(leaves)
        found = {finding for leaf in leaves for finding in _findings(leaf, secrets, codings)}
    except TooLargeError as exc:
        return [Finding(1, "too much to be looked into", str(exc))]
    return sorted(found)


_NEED_NO_LIBRARY: Final = frozenset({"gzip", "x-gzip", "deflate", "identity", ""})
"""What these do not undo was not packed by them."""


class _PackedError(Exception):
    """What a text holds is compressed, and cannot be looked into here."""


def _codings(leaves: Iterable[_Leaf]) -> list[str]:
    """By what the bodies of a file are compressed, as their headers say."""
    said = (leaf for leaf in leaves if leaf.place == "header")
    named = (one.text for one in said if one.name.lower() == "content-encoding")
    return sorted({coding.strip().lower() for text in named for coding in text.split(",")})


def _findings(leaf: _Leaf, secrets: Secrets, codings: Sequence[str]) -> Iterator[Finding]:
    try:
        sightings = list(_sightings(leaf, secrets, codings))
    except _PackedError as exc:
        kind = f"bytes that may be compressed by {exc}, where no secret is seen"
        yield Finding(leaf.line, kind, "they cannot be decompressed here")
        return
    for sighting in sightings:
        if not is_placeholder(sighting.value):
            line = leaf.line + (leaf.text.count("\n", 0, sighting.start) if leaf.literal else 0)
            yield Finding(line, sighting.kind, excerpt(sighting.value))


def _sightings(leaf: _Leaf, secrets: Secrets, codings: Sequence[str]) -> Iterable[Sighting]:
    if leaf.name in REQUEST_IDS and leaf.place == "header":
        return []
    if tells(leaf.name, leaf.text, leaf.place):
        return [Sighting(f"the value of {leaf.name.lower()}", leaf.text, 0)]
    return [sighting for text in _decoded(leaf, codings) for sighting, _ in seen(text, secrets)]


def _decoded(leaf: _Leaf, codings: Sequence[str]) -> list[str]:
    """A text, and what it holds where it is base64, compressed or not."""
    if leaf.name not in _ENCODED_KEYS:
        return [leaf.text]
    try:
        data = base64.b64decode(leaf.text)
    except binascii.Error:
        return [leaf.text]
    how = packed(data)
    if how is None and encoding_of(data) == "utf-8":
        codings = ()  # a text, whatever a header says
    candidates = [how] if how else codings
    plain = next(
        (found for each in candidates if (found := unpacked(data, each)) is not None), None
    )
    unread = [each for each in candidates if each not in _NEED_NO_LIBRARY]
    if plain is None and unread:
        raise _PackedError(" or ".join(unread))
    return [leaf.text, _text(data if plain is None else plain)]


def _inflated(data: bytes) -> bytes:
    how = packed(data)
    plain = unpacked(data, how) if how else None
    return data if plain is None else plain


def _text(data: bytes) -> str:
    return data.decode(encoding_of(data))


def _leaves(path: Path, text: str) -> list[_Leaf]:
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    try:
        if suffix == ".json":
            return list(_json_leaves(json.loads(text), "", "text", _Lines(text)))
        if suffix in (".yaml", ".yml"):
            measure(text)
            documents = yaml.compose_all(text, Loader=_LOADER)
            return [leaf for node in documents for leaf in _yaml_leaves(node, "", "text")]
    except (ValueError, RecursionError, yaml.YAMLError):
        pass  # Not what its name says: read it as text.
    return [_Leaf(text, "", 1, literal=True)]


def _place(name: str, place: Place) -> Place:
    """Where what stands under this name stands."""
    return "header" if name.lower() in ("headers", "header") else place


_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _yaml_leaves(node: Any, name: str, place: Place) -> Iterator[_Leaf]:
    if isinstance(node, yaml.MappingNode):
        keys = [key.value if isinstance(key, yaml.ScalarNode) else "" for key, _ in node.value]
        values = [value for _, value in node.value]
        for key, value in zip(_names(keys, [one.value for one in values]), values, strict=True):
            yield from _yaml_leaves(value, key, _place(key, place))
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _yaml_leaves(value, name, place)
    else:
        line = node.start_mark.line + 1
        if node.tag.endswith(":binary"):
            yield _Leaf(node.value, "base64", line)
        else:
            literal = node.style == "|"
            yield _Leaf(node.value, name, line + literal, literal, place)


def _names(keys: list[str], values: list[Any]) -> list[str]:
    """The names that values stand under: their keys, but for pairs called `name` and `value`."""
    pairs = dict(zip(keys, values, strict=True))
    if pairs.keys() >= {"name", "value"} and isinstance(pairs["name"], str):
        return [pairs["name"] if key == "value" else key for key in keys]
    return keys


class _Lines:
    """Finds the line of a value in JSON text, going forward as the values do."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1

    def of(self, value: str) -> int:
        """Count the lines to the next place where this value is written."""
        forms = {json.dumps(value), json.dumps(value, ensure_ascii=False)}
        places = [self._text.find(form, self._at) for form in forms]
        place = min((place for place in places if place >= 0), default=self._at)
        self._line += self._text.count("\n", self._at, place)
        self._at = place
        return self._line


def _json_leaves(value: Any, name: str, place: Place, lines: _Lines) -> Iterator[_Leaf]:
    if is_object(value):
        for key, inner in zip(_names([*value], [*value.values()]), value.values(), strict=True):
            yield from _json_leaves(inner, key, _place(key, place), lines)
    elif is_array(value):
        for inner in value:
            yield from _json_leaves(inner, name, place, lines)
    elif isinstance(value, str):
        yield _Leaf(value, name, lines.of(value), place=place)
