"""A local HTTP server in a thread of its own, whose application may break a connection."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from typing import Final, cast

import uvicorn
from starlette.types import ASGIApp, Message, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["LocalServer", "break_connection"]

_FLUSH: Final = 0.02
"""Seconds given to the client to take what was sent before the connection ends."""


async def break_connection(scope: Scope, gone: asyncio.Future[Message], *, reset: bool) -> None:
    """End a response without its terminating chunk, by a FIN, or by an RST if `reset`.

    `gone` is what the application receives next, which is that the client is gone.
    """
    await asyncio.sleep(_FLUSH)
    transport: asyncio.Transport = scope["state"]["transport"]
    if reset:
        linger = struct.pack("ii", 1, 0)  # Closing a socket that does not linger sends an RST.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
    else:
        transport.close()
    # uvicorn calls a response unfinished if the application returns before the connection is lost.
    await gone


class LocalServer:
    """One run of a server: its socket, its event loop, its thread.

    `name` is that of the thread, and of the header `server`. Port 0 lets the system choose one.
    Raises `OSError` if the port is taken.
    """

    def __init__(self, app: ASGIApp, host: str, port: int, *, name: str) -> None:
        self._socket = socket.create_server((host, port))
        self.port = cast("int", self._socket.getsockname()[1])
        config = uvicorn.Config(
            app,
            interface="asgi3",
            http=_Protocol,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            proxy_headers=False,
            server_header=False,
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
    """uvicorn's HTTP protocol, handing its transport to the application, which may cut it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}
