"""Sending a stream, with what may go wrong on its way.

What each fault does at the socket, the response being chunked HTTP/1.1:

- `clean`: the terminating chunk is sent. To HTTP the body is whole; only `[DONE]` is missing.
- `drop`: what was sent is flushed, then the connection is closed with a FIN, without the
  terminating chunk: "incomplete chunked read" to an HTTP client.
- `reset`: the same with an RST: `ECONNRESET` to the client, once it has read what its own buffer
  still holds.
- `stall`, `hold_after_done`: the connection stays open and silent until the client closes it, or
  the emulator stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from starlette.types import Message, Receive, Scope, Send

from ..local.server import break_connection
from ._journal import Journal
from .frames import DONE, encode
from .scenario import Scenario


def planned(frames: Sequence[bytes], scenario: Scenario) -> list[bytes]:
    """Return the frames that are really sent: cut short, and with the error frame if there is one.

    An error frame ends the body without `[DONE]`, as recorded from a compatible server (WIRE §5).
    """
    sent = list(frames[: scenario.cut_after_frames])
    if scenario.error_frame is None:
        return sent
    return [frame for frame in sent if frame != DONE] + [encode(scenario.error_frame)]


async def send_stream(
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    headers: Mapping[str, str],
    frames: Sequence[bytes],
    scenario: Scenario,
    journal: Journal,
) -> None:
    """Send a response as the scenario wants it, and notice at once when the client leaves."""
    # The request's body has been read, so that the next message can only be a disconnect.
    gone = asyncio.ensure_future(receive())
    with journal.streaming():
        try:
            await send(_start(headers))
            left = await _send_frames(send, planned(frames, scenario), scenario.delay, gone)
            if not left:
                left = await _end(scope, send, scenario, gone)
            if left:
                journal.client_left()
        finally:
            gone.cancel()
            await asyncio.wait({gone})


def _start(headers: Mapping[str, str]) -> Message:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": 200, "headers": pairs}


async def _send_frames(
    send: Send, frames: Sequence[bytes], delay: float, gone: asyncio.Future[Message]
) -> bool:
    """Return whether the client left before all was sent."""
    for i, frame in enumerate(frames):
        await asyncio.wait({gone}, timeout=delay if i else 0)
        if gone.done():
            return True
        await send({"type": "http.response.body", "body": frame, "more_body": True})
    return False


async def _end(scope: Scope, send: Send, scenario: Scenario, gone: asyncio.Future[Message]) -> bool:
    """End the body in the way the scenario says; return whether the client left first."""
    if scenario.hold_after_done or scenario.cut == "stall":
        await gone
        return True
    if scenario.cut == "clean":
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return False
    await break_connection(scope, gone, reset=scenario.cut == "reset")
    return False
