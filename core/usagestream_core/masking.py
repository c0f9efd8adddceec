"""Covers secrets in whatever leaves us, in every spelling that quoting and encoding give them.

Covered too is whatever looks like a token of Entra ID, whose it may be.
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
        found = {form for secret in secrets for form in spellings(secret)}
        longest_first = sorted(found, key=len, reverse=True)
        self._any = re.compile("|".join([*map(re.escape, longest_first), _JWT]))

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
        return self._any.sub("***", text)

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
    for part in {secret, secret.strip(), *secret.splitlines()}:
        if len(part) >= _SHORTEST:
            yield from _forms(part)


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
    # In Basic credentials it stands behind a name: at each of three places, without its edges.
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + data + b"\0" * ((-before - len(data)) % 3))
        end = len(coded) - (0, 2, 3)[(-before - len(data)) % 3]
        inner = coded[(0, 2, 3)[before] : end].decode()
        yield inner
        yield inner.replace("+", "-").replace("/", "_")
