"""Replaying over HTTP, for programs that are given an address."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

from ..local.service import LocalService

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ._playback import Playback
    from ._replay import Replay

__all__ = ["ReplayServer"]


class ReplayServer(LocalService):
    """A local server that answers from cassettes, as OpenAI and as Azure OpenAI.

    Use it as a context manager, and give its addresses to any program, whatever it is written in.
    No key is looked at. Connections break and stall as they were recorded, or as the replay's
    faults make them. Port 0 lets the system choose one. Bodies of more than `max_body` bytes
    (16 MiB) are refused with status 413, requests for a host that is not this machine with 421,
    unless `host` is an address that others can reach. Raises `OSError` on entry if the port is
    taken.
    """

    _called = "replay server"
    _signs_as = "usagestream-replay"

    def __init__(
        self,
        replay: Replay,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        max_body: int | None = None,
    ) -> None:
        super().__init__(host, port, max_body)
        self._replay = replay

    def _application(self) -> ASGIApp:
        return self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.requests import ClientDisconnect, Request

        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        # A large body takes long to be looked through.
        answer = self._replay.answer
        playback = await asyncio.to_thread(answer, request.method, str(request.url), body)
        gone = asyncio.ensure_future(receive())
        try:
            await _play(playback, scope, send, gone)
        finally:
            gone.cancel()
            await asyncio.wait({gone})


async def _play(
    playback: Playback, scope: Scope, send: Send, gone: asyncio.Future[Message]
) -> None:
    from ..local.server import break_connection

    if await _left(gone, playback.head_after):
        return
    headers = [(name.encode(), value.encode("latin-1")) for name, value in playback.headers]
    start: dict[str, Any] = {"status": playback.status, "headers": headers}
    await send({"type": "http.response.start", **start})
    for pause, data in playback.steps:
        if await _left(gone, pause):
            return
        await send({"type": "http.response.body", "body": data, "more_body": True})
    # A time-out was the client's own: what it waited for never came.
    silent = "Timeout" in (playback.error or "")
    if await _left(gone, math.inf if silent else playback.end_after):
        return
    if playback.error is None:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    else:
        await break_connection(scope, gone, reset=playback.error == "ReadError")


async def _left(gone: asyncio.Future[Message], seconds: float) -> bool:
    """Wait, and say whether the client left meanwhile."""
    await asyncio.wait({gone}, timeout=None if math.isinf(seconds) else seconds)
    return gone.done()
