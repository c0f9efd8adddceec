"""Finding secrets in a text and putting something else in their place, by one list of kinds."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from usagestream_core.masking import spellings

from .kinds import KINDS, Kind, Span
from .names import ENVIRONMENT_NAME

__all__ = ["Secrets", "Sighting", "excerpt", "is_placeholder", "replaced"]

_SHORTEST: Final = 8
"""A shorter value is no secret, and replacing it would spoil ordinary words."""

_PLACEHOLDER: Final = re.compile(
    r"(?i)example|redacted|scrubbed|removed|filtered|masked|hidden|dummy|fake|placeholder|x{4,}"
    r"|\*{3,}|^\W*$|^[<{\[].*[>}\]]$|your[-_ ]|^(?:my|test)[-_]|^(?:bearer )?(?:test|none|null)$"
    r"|^contoso$"
)

_BY_CHANCE: Final = 100
"""How many times as long as such a word a value is that may well have it by chance: of private
keys of 1,600 characters, one in some six hundred has `fake` in it, in small letters or large."""


def is_placeholder(value: str) -> bool:
    """Whether this plainly stands for a secret that was taken out, or never was one."""
    found = _PLACEHOLDER.search(value)
    return found is not None and len(value) < _BY_CHANCE * len(found[0])


def excerpt(value: str) -> str:
    """Show enough of a secret to find it, and no more."""
    shown = value[: min(4, len(value) // 3)]
    return f"{shown if shown.isprintable() else ''}…, {len(value)} characters"


@dataclass(frozen=True, slots=True)
class Sighting:
    """A secret seen in a text."""

    kind: str
    value: str
    start: int
    identity: bool = False
    """Whether it says who somebody is, and opens nothing."""


class Secrets:
    """Secrets known by their value, because they were sent, or stand in the environment.

    Those are recognised whatever they look like, in every spelling that quoting and encoding give
    them; everything else is, if it looks like one.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._names: dict[str, str] = {}
        self._forms: dict[str, str] | None = None
        for name, value in environ.items():
            secret = value if ENVIRONMENT_NAME.fullmatch(name) else _password(value)
            self.add(secret, f"the value of {name}")

    def add(self, value: str, name: str) -> None:
        """Keep this value secret from now on, under a name that may be shown."""
        if len(value) >= _SHORTEST and not is_placeholder(value) and value not in self._names:
            self._names[value] = name
            self._forms = None

    def scrub(self, text: str) -> str:
        """Put placeholders where the secrets are."""
        return self.scrub_marked(text, [])[0]

    def scrub_marked(
        self, text: str, marks: list[int], *, identities: bool = False
    ) -> tuple[str, list[int]]:
        """Scrub, and say where these places of the text are now; within a secret: behind it.

        With `identities`, only what says who somebody is.
        """
        for kind in (self._known(), *KINDS):
            if identities and not kind.identity:
                continue
            spans = list(_apart(kind.spans(text)))
            if spans:
                text, marks = replaced(text, spans, kind.placing(text), marks)
        return text, marks

    def find(self, text: str) -> Iterator[Sighting]:
        """Find secrets, the known ones in any spelling, each once."""
        known = self._known()
        taken: list[Span] = []
        for kind in (known, *KINDS):
            for start, end in _apart(kind.spans(text)):
                place = bisect_left(taken, (start, end))
                if (place and taken[place - 1][1] > start) or (
                    place < len(taken) and taken[place][0] < end
                ):
                    continue
                taken.insert(place, (start, end))
                name = self._spelled()[text[start:end]] if kind is known else kind.name
                yield Sighting(name, text[start:end], start, kind.identity)

    def _known(self) -> Kind:
        """The values that are known, as a kind."""
        forms = self._spelled()

        def spans(text: str) -> Iterator[Span]:
            present = sorted((form for form in forms if form in text), key=len, reverse=True)
            if present:
                for match in re.finditer("|".join(map(re.escape, present)), text):
                    yield match.span()

        return Kind("a known secret", spans, "EXAMPLE")

    def _spelled(self) -> dict[str, str]:
        """Each spelling of what is known, and whose it is."""
        if self._forms is None:
            self._forms = {
                form: name for value, name in self._names.items() for form in spellings(value)
            }
        return self._forms


def _apart(spans: Iterable[Span]) -> Iterator[Span]:
    """Those that do not begin within the one before."""
    until = 0
    for start, end in spans:
        if start >= until:
            yield start, end
            until = end


def _password(value: str) -> str:
    """The password of an address that a variable holds, whatever the variable is called."""
    try:
        return urlsplit(value).password or "" if "://" in value else ""
    except ValueError:
        return ""


def replaced(
    text: str, spans: Iterable[Span], placed: Callable[[str], str], marks: list[int]
) -> tuple[str, list[int]]:
    """Put something in the place of these spans, and say where the marks are afterwards."""
    parts: list[str] = []
    edges: list[int] = [0]
    moved: list[int] = [0]
    at = length = 0
    for start, end in spans:
        placeholder = placed(text[start:end])
        parts += [text[at:start], placeholder]
        length += start - at + len(placeholder)
        # A place before this secret moves with what is before it, one within it to its end.
        edges += [start, end]
        moved += [length - len(placeholder), length]
        at = end
    parts.append(text[at:])
    return "".join(parts), [_moved(mark, edges, moved) for mark in marks]


def _moved(mark: int, edges: list[int], moved: list[int]) -> int:
    after = bisect_left(edges, mark)
    if after < len(edges) and edges[after] == mark:
        return moved[after]
    if after % 2 == 0 and after < len(edges):  # Within a secret: its end is the next.
        return moved[after]
    return moved[after - 1] + mark - edges[after - 1]
