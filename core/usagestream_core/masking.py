"""Covers secrets in whatever leaves us, in every spelling that quoting and encoding give them.

Covered too is whatever looks like a token of Entra ID, whose it may be; and at the end of a text
the beginning of a secret, where a text was cut within one.

A secret is looked for twice. Once in the spellings that are known, as they stand. And once with
every escape undone, case and white space ignored: so that it is found however its characters are
written, each in another way too, and escaped again by whoever passed it on.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from html import escape
from typing import Any, Final, cast
from urllib.parse import quote, quote_plus

from .json_types import is_array, is_list_or_tuple, is_object

__all__ = ["Mask", "shown_address", "spellings"]

_SHORTEST: Final = 8
"""What is shorter is no secret, and masking it would garble the text."""

_CUT: Final = 12
"""How much of a secret is one, at the end of a text. What stands before all of them, as `sk-proj-`,
is none."""

_DEEPEST: Final = 50

_SCHEME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*")
_UNFINISHED: Final = re.compile(r"[^/]*:.*", re.DOTALL)
"""A user's name and the beginning of a password, for all one can tell; or a host and a port."""
_VALUE: Final = re.compile(r"(?<==)(?<!api-version=)[^&#]+|(?<=#).+|(?:^|(?<=&))[^=&#]+(?=[&#]|$)")

_NAMES: Final = (
    *("message", "code", "param", "type", "body", "request_id"),
    *("msg", "doc", "object", "reason", "strerror", "filename", "__notes__"),
)
"""What exceptions of the SDK, of ours, and of Python keep beside their arguments."""
_JWT: Final = r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"


def shown_address(text: str) -> str:
    """An address without what may be secret in it: its user, and the values of its query.

    An api version is shown, and so is what stands before a path's own `@`, unless it may be a
    password with a slash in it.
    """
    scheme, mark, rest = text.partition("://")
    if not _SCHEME.fullmatch(scheme):  # that mark is in what may be secret
        scheme, mark, rest = "", "", text
    before, question, query = rest.partition("?")
    if "@" in query and _UNFINISHED.fullmatch(before):
        return f"{scheme}{mark}***@{query.rpartition('@')[2]}"
    user, at, behind = before.rpartition("@")
    if at and (":" in user or "/" not in user):
        before = f"***@{behind}"
    return scheme + mark + before + question + _VALUE.sub("***", query)


class Mask:
    """Covers these secrets with `***`. Made once for the same secrets: see `of`."""

    def __init__(self, secrets: Iterable[str]) -> None:
        secrets = tuple(secrets)
        found = {form for secret in secrets for form in spellings(secret)}
        longest_first = sorted(found, key=len, reverse=True)
        self._any = re.compile("|".join([*map(re.escape, longest_first), _JWT]))
        whole = [each for secret in secrets for each in _parts(secret)]
        plain = {undone for part in whole for undone in (_plain(part), _folded(part))}
        coded = {
            _folded(form)
            for part in whole
            for form in (part.encode("utf-8", "surrogatepass").hex(), *_coded(part))
        }
        self._plain = tuple(each for each in plain | coded if len(each) >= _SHORTEST)
        self._may_be_cut = tuple(each for each in plain if len(each) > _CUT)

    @staticmethod
    def of(secrets: Iterable[str]) -> Mask:
        """Give the mask for these secrets."""
        return _made(tuple(secrets))

    @staticmethod
    def of_everything() -> Mask:
        """Give a mask that covers any text: for where the secrets cannot be told."""
        mask = Mask(())
        mask._any = re.compile(r".+", re.DOTALL)
        return mask

    def text(self, text: str) -> str:
        """The same text without them."""
        if self._plain:
            plain = _plain(text)
            if self._cut_at(_uncut(text, plain)) is not None or any(
                each in plain for each in self._plain
            ):
                text = self._covered(text)
        return self._any.sub("***", text)

    def _cut_at(self, plain: bytes) -> int | None:
        """Where a secret begins that the end of the text cuts off."""
        begun = [(plain.rfind(each[:_CUT]), each) for each in self._may_be_cut]
        found = [at for at, each in begun if at >= 0 and each.startswith(plain[at:])]
        return min(found, default=None)

    def _covered(self, text: str) -> str:
        """A text without what stands in it in a spelling of its own."""
        plain, places = _placed(text)
        spans = [
            (places[found.start()][0], places[found.end() - 1][1])
            for each in self._plain
            for found in re.finditer(re.escape(each), plain)
        ]
        if (cut := self._cut_at(_uncut(text, plain))) is not None:
            spans.append((places[cut][0], len(text)))
        kept: list[str] = []
        at = 0
        for start, end in sorted(spans):
            if start >= at:
                kept += [text[at:start], "***"]
            at = max(at, end)
        return "".join([*kept, text[at:]])

    def value(self, value: Any, depth: int = 0) -> Any:
        """The same JSON without them, in keys and values; what is nested too deeply is covered."""
        if isinstance(value, str):
            return self.text(value)
        if depth > _DEEPEST:
            return "***"
        below = depth + 1
        if is_object(value):
            return {
                self.value(name, below): self.value(each, below) for name, each in value.items()
            }
        if is_list_or_tuple(value):
            covered: list[Any] = [self.value(each, below) for each in value]
            return covered if is_array(value) else tuple(covered)
        return value

    def error(self, error: BaseException | None) -> None:
        """Cover them in an exception and in all that it came from or holds, in place.

        The text of an exception group cannot be changed; that of its exceptions can.
        """
        seen: set[int] = set()
        left = [error]
        while left:
            each = left.pop()
            if each is None or id(each) in seen:
                continue
            seen.add(id(each))
            each.args = self.value(each.args)
            for name in _NAMES:
                if isinstance(kept := getattr(each, name, None), str | dict | list):
                    with suppress(AttributeError, TypeError):
                        setattr(each, name, self.value(kept))
            left += [each.__cause__, each.__context__]
            if isinstance(each, BaseExceptionGroup):
                left += cast("BaseExceptionGroup[BaseException]", each).exceptions


@lru_cache(64)
def _made(secrets: tuple[str, ...]) -> Mask:
    return Mask(secrets)


def spellings(secret: str) -> Iterator[str]:
    """A secret, and each of its lines, as they are and as formats and addresses write them."""
    for part in _parts(secret):
        yield from _forms(part)


def _parts(secret: str) -> Iterator[str]:
    """A secret, and each of its lines."""
    for part in {secret, secret.strip(), *secret.splitlines()}:
        if len(part) >= _SHORTEST:
            yield part


def _forms(part: str) -> Iterator[str]:
    data = part.encode("utf-8", "surrogatepass")
    yield part
    yield json.dumps(part)[1:-1]
    yield json.dumps(part)[1:-1].replace("/", "\\/")
    yield json.dumps(part, ensure_ascii=False)[1:-1]
    yield "".join(f"\\u{ord(each):04x}" for each in part)
    for shown in (repr(part)[1:-1], repr(data)[2:-1]):
        yield shown
        yield shown.replace('"', '\\"')
        yield shown.replace("'", "\\'")
    yield escape(part)
    for quoted in (quote(data, safe=""), quote_plus(data), quote(data)):
        yield quoted
        yield re.sub("%..", lambda match: match[0].lower(), quoted)
    yield data.hex()
    yield data.hex().upper()
    for inner in _coded(part):
        yield inner
        yield inner.replace("+", "-").replace("/", "_")


def _coded(part: str) -> Iterator[str]:
    """A secret as base64 has it, whatever stands before and behind it."""
    data = part.encode("utf-8", "surrogatepass")
    # In Basic credentials it stands behind a name: at each of three places, without its edges.
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + data + b"\0" * ((-before - len(data)) % 3))
        end = len(coded) - (0, 2, 3)[(-before - len(data)) % 3]
        yield coded[(0, 2, 3)[before] : end].decode()


_ESCAPE: Final = re.compile(
    r"""
    (?<!\\)\\+(?:
        (?-i:U)(?P<U>[0-9a-f]{8}) | u(?P<u>[0-9a-f]{4}) | u\{(?P<b>[0-9a-f]{1,6})\} |
        x(?P<x>[0-9a-f]{2}) | (?P<o>[0-3][0-7]{2}) | [nrt]
    )
    | %(?:25)*(?P<p>[0-9a-f]{2})
    | &(?:amp;)*(?:
        \#x0*(?P<h>[0-9a-f]{1,6}); | \#0*(?P<d>[0-9]{1,7}); | (?P<n>quot|amp|lt|gt|apos);
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_LONGEST: Final = 12
_HALF: Final = re.compile(
    r"(?:\\[ux]?\{?[0-9a-f]{0,7}|%(?:25)*[0-9a-f]?|&[#a-z0-9]{0,9})\Z", re.IGNORECASE
)
_BASES: Final = {"u": 16, "b": 16, "U": 16, "x": 16, "o": 8, "p": 16, "h": 16, "d": 10}
_BYTES: Final = "xop"
"""Escapes that stand for a byte; the others stand for a character."""
_NAMED: Final = {"quot": b'"', "amp": b"&", "lt": b"<", "gt": b">", "apos": b"'"}
_FOLD: Final = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ-_", b"abcdefghijklmnopqrstuvwxyz+/")
_DROPPED: Final = b" \t\r\n\0\\\"'"
"""What quoting, folding and other encodings put between the characters of a secret."""
_ZERO_WIDTH: Final = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")


def _unescaped(found: re.Match[str]) -> bytes:
    kind = found.lastgroup
    if kind is None:  # an escaped line break or tab
        return b""
    said = found[kind]
    if kind == "n":
        return _NAMED[said.lower()]
    number = int(said, _BASES[kind])
    if kind in _BYTES:
        return bytes([number])
    return chr(number).encode("utf-8", "surrogatepass") if number < 0x110000 else b""


def _plain(text: str) -> bytes:
    """A text with its escapes undone, in lower case, and without what may stand in between."""
    parts: list[bytes] = []
    at = 0
    for found in _ESCAPE.finditer(text):
        parts += [_encoded(text[at : found.start()]), _unescaped(found)]
        at = found.end()
    parts.append(_encoded(text[at:]))
    return b"".join(parts).translate(_FOLD, _DROPPED)


def _uncut(text: str, plain: bytes) -> bytes:
    """What a text says without an escape that its end cuts off."""
    half = _HALF.search(text[-_LONGEST:])
    return plain.removesuffix(_folded(half[0])) if half else plain


def _folded(text: str) -> bytes:
    """The same with its escapes as they are, for what only looks like some."""
    return _encoded(text).translate(_FOLD, _DROPPED)


def _encoded(text: str) -> bytes:
    if text.isascii():
        return text.encode()
    return _ZERO_WIDTH.sub("", text).encode("utf-8", "surrogatepass")


def _placed(text: str) -> tuple[bytes, list[tuple[int, int]]]:
    """`_plain`, and from where to where each of its bytes stands in the text."""
    plain = bytearray()
    places: list[tuple[int, int]] = []

    def put(data: bytes, start: int, end: int) -> None:
        kept = data.translate(_FOLD, _DROPPED)
        plain.extend(kept)
        places.extend([(start, end)] * len(kept))

    at = 0
    for found in _ESCAPE.finditer(text):
        for place in range(at, found.start()):
            put(_encoded(text[place]), place, place + 1)
        put(_unescaped(found), found.start(), found.end())
        at = found.end()
    for place in range(at, len(text)):
        put(_encoded(text[place]), place, place + 1)
    return bytes(plain), places
