"""What the local servers that people start have in common: a life, and addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Self

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from .server import LocalServer

__all__ = ["LocalService"]


class LocalService:
    """A local HTTP server that is entered and left, as often as wanted.

    What it takes is bounded: see `bounds.Bounds`. `max_body` is in bytes, `None` for the usual.
    """

    _called: ClassVar[str]
    """What errors call it."""
    _signs_as: ClassVar[str]
    """Its header `server`, and the name of its thread."""

    def __init__(self, host: str, port: int, max_body: int | None = None) -> None:
        self._host = host
        self._port = port
        self._max_body = max_body
        self._running: LocalServer | None = None

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop()

    def serve_forever(self, on_ready: Callable[[Self], object] | None = None) -> None:
        """Serve until Ctrl-C, or until it is stopped elsewhere. Prints nothing.

        `on_ready` is called with this once it serves, so that its addresses can be shown.
        """
        with self:
            running = self._running
            assert running is not None
            try:
                if on_ready is not None:
                    on_ready(self)
                running.wait()
            except KeyboardInterrupt:
                pass

    @property
    def url(self) -> str:
        """Scheme, host and port. Raises `RuntimeError` if this is not running."""
        if self._running is None:
            raise RuntimeError(f"the {self._called} is not running")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._running.port}"

    @property
    def openai_base_url(self) -> str:
        """What `base_url` of an OpenAI client should be."""
        return f"{self.url}/v1"

    @property
    def azure_endpoint(self) -> str:
        """The endpoint of an Azure resource, without any path."""
        return self.url

    def _application(self) -> ASGIApp:
        """Make what answers, for one run."""
        raise NotImplementedError

    def _start(self) -> None:
        from .bounds import Bounds
        from .server import LocalServer  # uvicorn: only for those who serve

        if self._running is not None:
            raise RuntimeError(f"the {self._called} is running already")
        bounds = Bounds() if self._max_body is None else Bounds(body=self._max_body)
        self._running = LocalServer(
            self._application(), self._host, self._port, name=self._signs_as, bounds=bounds
        )

    def _stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            self._stopping()
            running.stop()

    def _stopping(self) -> None:
        """Called before a run is stopped."""
