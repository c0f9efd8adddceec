"""What the server's thread and the test's thread share: the script, the log, the open streams."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Generator, Hashable
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

from ._request import ReceivedRequest
from ._stored import Stored
from .scenario import Scenario

T = TypeVar("T")

_MOST: Final = 10_000
_LARGEST: Final = 64 * 1024 * 1024


class _Kept(Generic[T]):
    """What came last, under its key: so many at most, and of so many bytes."""

    def __init__(self) -> None:
        self._items: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._size = 0

    def keep(self, key: Hashable, item: T, size: int) -> None:
        _, before = self._items.pop(key, (None, 0))
        self._items[key] = item, size
        self._size += size - before
        while len(self._items) > _MOST or (self._size > _LARGEST and len(self._items) > 1):
            _, (_, gone) = self._items.popitem(last=False)
            self._size -= gone

    def get(self, key: Hashable) -> T | None:
        item, _ = self._items.get(key, (None, 0))
        return item

    def all(self) -> list[T]:
        return [item for item, _ in self._items.values()]


class Journal:
    """Thread-safe, and all of its waiting is bounded, as is what it keeps."""

    def __init__(self, default: Scenario) -> None:
        self._changed = threading.Condition()
        self._default = default
        self._script: deque[Scenario] = deque()
        self._requests: _Kept[ReceivedRequest] = _Kept()
        self._received = 0
        self._stored: _Kept[Stored] = _Kept()
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
            self._stored.keep(response_id, stored, len(stored.document))

    def stored(self, response_id: str) -> Stored | None:
        """Give an answer that was kept."""
        with self._changed:
            return self._stored.get(response_id)

    def record(self, request: ReceivedRequest, size: int = 0) -> None:
        """Keep a request; `size` is that of its body, in bytes."""
        with self._changed:
            self._received += 1
            self._requests.keep(self._received, request, size)

    @property
    def requests(self) -> list[ReceivedRequest]:
        with self._changed:
            return self._requests.all()

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
