"""What the server's thread and the test's thread share: the script, the log, the open streams."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager

from ._request import ReceivedRequest
from ._stored import Stored
from .scenario import Scenario


class Journal:
    """Thread-safe, and all of its waiting is bounded."""

    def __init__(self, default: Scenario) -> None:
        self._changed = threading.Condition()
        self._default = default
        self._script: deque[Scenario] = deque()
        self._requests: list[ReceivedRequest] = []
        self._stored: dict[str, Stored] = {}
        self._open = 0
        self._disconnects = 0
        self._closed = False

    def script(self, *scenarios: Scenario) -> None:
        with self._changed:
            self._script.extend(scenarios)

    def next_scenario(self) -> Scenario:
        with self._changed:
            return self._script.popleft() if self._script else self._default

    def store(self, response_id: str, stored: Stored) -> None:
        """Keep an answer to be asked for later."""
        with self._changed:
            self._stored[response_id] = stored

    def stored(self, response_id: str) -> Stored | None:
        """Give an answer that was kept."""
        with self._changed:
            return self._stored.get(response_id)

    def record(self, request: ReceivedRequest) -> None:
        with self._changed:
            self._requests.append(request)

    @property
    def requests(self) -> list[ReceivedRequest]:
        with self._changed:
            return list(self._requests)

    @contextmanager
    def streaming(self) -> Generator[None]:
        """Count a response as open for as long as the block lasts."""
        with self._changed:
            self._open += 1
        try:
            yield
        finally:
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

    def client_left(self) -> None:
        """Count a client that went away; those the server itself shuts out do not count."""
        with self._changed:
            self._disconnects += 0 if self._closed else 1

    @property
    def open_connections(self) -> int:
        with self._changed:
            return self._open

    @property
    def disconnects(self) -> int:
        with self._changed:
            return self._disconnects

    def wait_idle(self, timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._open == 0, timeout)

    def close(self) -> None:
        with self._changed:
            self._closed = True
