"""What a local server takes: from whom, how much, for how long. Anybody on the machine can ask it.

A page in a browser can, too: a name that is made to point at 127.0.0.1 is no name of this server.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Bounded", "Bounds", "is_loopback"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much one server takes."""

    body: int = 16 * 1024 * 1024
    """Bytes of a request's body; more is refused with status 413."""
    head: int = 64 * 1024
    """Bytes of a request's head; more is refused with status 431."""
    connections: int = 512
    """At once. One more takes the place of one that has asked for nothing yet, or is refused with
    status 503."""
    patience: float = 20.0
    """Seconds from the first byte of a request, or from its connection, to its last; then it is
    refused with status 408."""


class Bounded:
    """An application that is asked only by who may, and for what it can hold.

    `loopback` is whether the server is bound to a loopback address: then only a request for a name
    of this machine's own is answered, any other is refused with status 421.
    """

    def __init__(self, app: ASGIApp, bounds: Bounds, *, loopback: bool) -> None:
        self._app = app
        self._bounds = bounds
        self._loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        if self._loopback and host and not is_loopback(_name(host)):
            await _refuse(send, 421, f"This server is no {host!r}: ask 127.0.0.1 or localhost.")
            return
        declared = headers.get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > self._bounds.body:
            await _refuse(send, 413, self._too_large)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._bounds.body:
                raise _TooLargeError
            return message

        try:
            await self._app(scope, counted, send)
        except _TooLargeError:  # Before an answer: the applications here read all of it first.
            await _refuse(send, 413, self._too_large)

    @property
    def _too_large(self) -> str:
        return f"The body is larger than {self._bounds.body} bytes."


class _TooLargeError(Exception):
    """A body goes on beyond what is taken."""


def is_loopback(host: str) -> bool:
    """Whether this names the machine itself."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback


def _name(host: str) -> str:
    """The name in a `host` header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


async def _refuse(send: Send, status: int, why: str) -> None:
    error: dict[str, Any] = {"message": why, "type": "refused", "param": None, "code": "refused"}
    body = json.dumps({"error": error}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-should-retry", b"false"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
