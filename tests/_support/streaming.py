"""What a process does that streams into a ledger until it is killed."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

from tests._support.fakes import FakeAdapter
from tests._support.worlds import ASK

from usagestream import Client, SqlLedger

__all__ = ["fork", "stream_for_ever"]


def fork(action: Callable[[], object]) -> int:
    """Do something in a forked child, and give the number of that. It ends with 0 if that did."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads are meant to be there
        number = os.fork()
    if number == 0:  # pragma: no cover - in another process
        try:
            action()
            os._exit(0)
        finally:
            os._exit(1)
    return number


def stream_for_ever(url: str, spool: str, told: int) -> NoReturn:  # pragma: no cover - as above
    """Stream on three threads, and tell what was acknowledged: a line each, in one write.

    `begun ID` once a first chunk was handed over, and `ended ID` once the ledger says that all it
    was given is kept.
    """
    ledger = SqlLedger(url, spool=spool, beat_every=0.2)
    client = Client(FakeAdapter(), ledger=ledger, token_counter=None, pricer=None)

    def run() -> None:
        while True:
            stream: Any = client.stream(**ASK)
            next(stream)
            os.write(told, f"begun {stream._state.meter._id}\n".encode())
            stream.drain()
            if ledger.flush(0.05):
                os.write(told, f"ended {stream.record.id}\n".encode())

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    while True:
        threads[0].join()
