"""Answering requests from cassettes."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, get_args

from usagestream_core.errors import ConfigError

from ._playback import Playback, Step
from .faults import Fault

if TYPE_CHECKING:
    from ._load import Exchange

__all__ = ["Pace", "Replay"]

Pace: TypeAlias = Literal["at_once", "recorded"]

MISSING = 'Cassettes are read by vcrpy, which is not here: pip install "usagestream[replay]"'


class Replay:
    """Answers requests from a cassette, or from all cassettes of a folder and below it.

    Give `http_client()` to a `Client`, or `async_http_client()` to an `AsyncClient`; the clients of
    the openai SDK take them as well. Nothing is sent. A request that nothing answers is refused
    with status 501 and a sentence that says what is nearest, and is not retried.

    Where several recordings answer a request they do so in turn, in the order of their paths, and
    from the first again after the last. A recording made on one provider's surface answers the same
    request on another's.

    `pace` is `at_once`, or `recorded`: with the pauses that `Recorder` kept. What was recorded
    otherwise has none, and is read frame by frame at once. `faults` go wrong with every stream, in
    their order.

    Every method may be called from any thread. Raises `ConfigError` where there is no cassette, or
    a file is none.
    """

    def __init__(
        self,
        cassettes: str | os.PathLike[str],
        *,
        pace: Pace = "at_once",
        faults: Iterable[Fault] = (),
    ) -> None:
        if pace not in get_args(Pace):
            raise ValueError(f"pace must be 'at_once' or 'recorded', not {pace!r}")
        try:
            from ._find import Recorded
            from ._load import load
        except ImportError as exc:
            raise ConfigError(MISSING) from exc
        self._path = Path(cassettes)
        self._paced = pace == "recorded"
        self._faults = tuple(faults)
        hidden = frozenset[str]().union(*(fault.hidden for fault in self._faults))
        self._hidden = hidden
        self._recorded = [Recorded.of(each, hidden) for each in load(self._path)]
        self._played: dict[tuple[str, int], int] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Replay {self._path}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Nothing is held: this is here so that `Recorder` can be put in its place."""

    def http_client(self) -> Any:
        """Make an HTTP client, of the library that the openai SDK uses, that replays."""
        from ._transport import replaying_client

        return replaying_client(self)

    def async_http_client(self) -> Any:
        """`http_client` for async code."""
        from ._transport import replaying_async_client

        return replaying_async_client(self)

    @property
    def unplayed(self) -> list[str]:
        """What was not asked for so far, as `FILE, request N`."""
        with self._lock:
            exchanges = [each.exchange for each in self._recorded]
            return [
                f"{each.cassette}, request {each.number}"
                for each in exchanges
                if (each.cassette, each.number) not in self._played
            ]

    def answer(self, method: str, uri: str, body: bytes) -> Playback:
        """Give the answer to a request. Raises nothing for one that has none; see the class."""
        from ._find import Asked, describe_miss, find

        for fault in self._faults:
            refusal = fault.refuse(_json(body)) if fault.refuse else None
            if refusal is not None:
                return refusal
        asked = Asked.of(method, uri, body, self._hidden)
        found = find(asked, self._recorded)
        if not found:
            return _unanswerable(describe_miss(asked, self._recorded, str(self._path)))
        exchange = self._next(found)
        playback = exchange.playback(paced=self._paced)
        for fault in self._faults if playback.is_stream else ():
            try:
                playback = fault.change(playback)
            except ValueError as exc:
                where = f"request {exchange.number} of {exchange.cassette}"
                return _unanswerable(f"{fault!r} cannot be played with {where}: {exc}.")
        return playback

    def _next(self, found: list[Exchange]) -> Exchange:
        with self._lock:
            played = {(each.cassette, each.number): each for each in found}
            key = min(played, key=lambda each: self._played.get(each, 0))
            self._played[key] = self._played.get(key, 0) + 1
            return played[key]


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _unanswerable(why: str) -> Playback:
    error = {"message": why, "type": "nothing_recorded", "param": None, "code": "nothing_recorded"}
    return Playback(
        status=501,
        headers=(("content-type", "application/json"), ("x-should-retry", "false")),
        steps=(Step(0.0, json.dumps({"error": error}, ensure_ascii=False).encode()),),
    )
