"""What a caller says of the calls it makes, for their records."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["joined_tags", "usage_tags"]

_tags: Final[ContextVar[Mapping[str, str]]] = ContextVar(
    "usagestream_tags", default=MappingProxyType({})
)


@contextmanager
def usage_tags(tags: Mapping[str, str] | None = None, /, **more: str) -> Generator[None]:
    """Put these tags on the record of each call that begins in here, whoever makes it.

    For `Client`, tracked clients and `meter` alike. It holds for this thread or task and for the
    tasks that are started within; blocks nest, the inner one's tags winning. Over a client's own
    tags these win, and over these those that are given with a single call. A mapping is for names
    that are no identifiers. Raises `TypeError` for a value that is no string.
    """
    added = joined_tags(tags, more)
    token = _tags.set(MappingProxyType(added))
    try:
        yield
    finally:
        _tags.reset(token)


def joined_tags(
    *each: Mapping[str, str] | None, client: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The tags of a call that begins now: a client's, those around it, and these, the last winning.

    Raises `TypeError` for what is no mapping, and for a value that is no string, which no record
    could hold.
    """
    tags: dict[Any, Any] = {**(client or {}), **_tags.get()}
    given: tuple[Any, ...] = each
    for some in given:
        if not isinstance(some, Mapping | None):
            raise TypeError(f"tags are a mapping, as {{'team': 'search'}}, unlike {some!r}")
        tags |= some or {}
    for name, value in tags.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise TypeError(f"tags are strings; {name!r} is {value!r}")
    return tags
