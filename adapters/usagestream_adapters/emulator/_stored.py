"""Answers that are kept, and asked for or cancelled later.

The paths and the states are those of the SDK's resources. That a connection which broke did not
stop the answer is played of all that are stored; it is known of those that run in the background
(WIRE §1.6).
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from typing import Any, Final

from ..wire.json_types import dumps
from . import errors
from ._request import ReceivedRequest
from .errors import ErrorReply

__all__ = ["Retrieval", "Stored", "retrieval"]

_PATH: Final = re.compile(
    r".*/(?:v1|openai)/(?P<api>responses|chat/completions)/(?P<id>[^/]+?)(?P<cancel>/cancel)?"
)


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """A request for an answer that was kept, or to cancel it."""

    received: ReceivedRequest
    id: str
    cancel: bool

    @property
    def azure(self) -> bool:
        """Whether Azure was asked."""
        return "/openai/" in self.received.path


def retrieval(received: ReceivedRequest) -> Retrieval | None:
    """Return the retrieval a request is, or `None` where it is something else."""
    match = _PATH.fullmatch(received.path)
    if match is None:
        return None
    cancel = match["cancel"] is not None
    if received.method != ("POST" if cancel else "GET"):
        return None
    return Retrieval(received=received, id=match["id"], cancel=cancel)


@dataclass
class Stored:
    """One answer: whole, but for a while it may not look so."""

    document: bytes
    """As it would have come without a stream."""
    unfinished: int = 0
    """How many retrievals still find it in progress."""
    _cancelled: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, asked: Retrieval) -> bytes | ErrorReply:
        """What a retrieval gets now. One that was cancelled reports no usage (WIRE §4)."""
        document: dict[str, Any] = json.loads(self.document)
        if document["object"] != "response":
            return errors.openai_not_found("POST", asked.id) if asked.cancel else self.document
        with self._lock:
            self._cancelled = self._cancelled or (asked.cancel and self.unfinished > 0)
            if self._cancelled:
                return _without_end(document, "cancelled")
            if self.unfinished:
                self.unfinished -= 1
                return _without_end(document, "in_progress")
        return self.document


def _without_end(document: dict[str, Any], status: str) -> bytes:
    return dumps({**document, "status": status, "output": [], "usage": None}).encode()
