"""A local HTTP server in a thread of its own, whose application may break a connection."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import threading
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any, Final, cast

import h11
import uvicorn
from starlette.types import ASGIApp, Message, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from .bounds import Bounded, Bounds, is_loopback

__all__ = ["LocalServer", "break_connection"]

_FLUSH: Final = 0.02
"""Seconds given to the client to take what was sent before the connection ends."""
_KEEP_ALIVE: Final = 30
"""Seconds that a connection is kept for the next request: longer than clients keep theirs (5 in
httpx, 15 in aiohttp). One that is closed just as it is used again is an error to the client."""


async def break_connection(scope: Scope, gone: asyncio.Future[Message], *, reset: bool) -> None:
    """End a response without its terminating chunk, by a FIN, or by an RST if `reset`.

    `gone` is what the application receives next, which is that the client is gone.
    """
    await asyncio.sleep(_FLUSH)
    transport: asyncio.Transport = scope["state"]["transport"]
    if reset:
        linger = struct.pack("ii", 1, 0)  # Closing a socket that does not linger sends an RST.
        connection = transport.get_extra_info("socket")
        with suppress(OSError):  # it may be closed by now, from the other side
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
    else:
        transport.close()
    # uvicorn calls a response unfinished if the application returns before the connection is lost.
    await gone


class LocalServer:
    """One run of a server: its socket, its event loop, its thread.

    `name` is that of the thread, and of the header `server`. Port 0 lets the system choose one.
    What is asked is kept within `bounds`. Raises `OSError` if the port is taken.
    """

    def __init__(self, app: ASGIApp, host: str, port: int, *, name: str, bounds: Bounds) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        self.port = cast("int", self._socket.getsockname()[1])
        config = uvicorn.Config(
            Bounded(app, bounds, loopback=is_loopback(host)),
            interface="asgi3",
            http=partial(_Protocol, bounds),  # type: ignore[arg-type]
            h11_max_incomplete_event_size=bounds.head,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            headers=[("server", name)],  # A recording tells by it who answered.
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self._server.ready.wait()
        if not self._server.started:
            self._thread.join()
            raise RuntimeError("the server did not start: its thread has reported why")

    def _run(self) -> None:
        try:
            asyncio.run(self._server.serve(sockets=[self._socket]))
        finally:
            self._socket.close()
            self._server.ready.set()  # Whoever starts us must not wait for ever.

    def stop(self) -> None:
        """Stop at once, closing every connection."""
        self._server.request_stop()
        self._thread.join()

    def wait(self) -> None:
        """Wait until it was stopped."""
        # In slices, since a wait without an end cannot be interrupted on every platform.
        while self._thread.is_alive():
            self._thread.join(0.5)


class _Server(uvicorn.Server):
    """uvicorn's server, told to stop by an event instead of by polling, and stopping at once."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    def request_stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        await self.on_tick(0)  # Makes the `date` header of the run.
        self.ready.set()
        await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        while self.server_state.connections or self.server_state.tasks:
            for connection in list(self.server_state.connections):
                cast("_Protocol", connection).transport.abort()
            await asyncio.sleep(0)


class _Protocol(H11Protocol):
    """uvicorn's HTTP protocol, with an end to its patience.

    It hands its transport to the application, which may cut it.
    """

    def __init__(self, bounds: Bounds, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._bounds = bounds
        self.deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}
        if len(self.connections) > self._bounds.connections and not self._makes_room():
            self.refuse(503)
            return
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        whole = self.conn.their_state not in (h11.IDLE, h11.SEND_BODY)
        if whole or self.transport.is_closing():
            self._stop_waiting()
        elif self.deadline is None:
            self._wait()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # What was sent without waiting for the answer before.
        begun = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if self.deadline is None and (begun or self.conn.their_state is h11.SEND_BODY):
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, or more of it than is taken: h11 says which."""
        self.refuse(getattr(sys.exception(), "error_status_hint", 400))

    def _makes_room(self) -> bool:
        """Close the connection that has waited longest for its request, if one does."""
        waiting = [
            (each.deadline.when(), each)
            for each in cast("set[_Protocol]", self.connections)
            if each.deadline is not None
        ]
        if waiting:
            min(waiting, key=lambda each: each[0])[1].refuse(503)
        return bool(waiting)

    def _wait(self) -> None:
        self.deadline = self.loop.call_later(self._bounds.patience, self.refuse, 408)

    def _stop_waiting(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def refuse(self, status: int) -> None:
        """Say so where no answer has begun, and close."""
        self._stop_waiting()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
            self.transport.write(f"{head}content-length: 0\r\nconnection: close\r\n\r\n".encode())
        self.transport.close()
