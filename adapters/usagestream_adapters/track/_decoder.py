"""One decode of a stream, for the SDK's objects and for the account of the call.

The SDK's stream asks its client for what takes bytes apart. A tracked client gives it this: events
in the form that both services write are cut and decoded once. At the first that has another form,
the SDK's own decoder takes over for the rest of the stream, and the account reads bytes as before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jiter import from_json

from usagestream_core.json_types import Json

from ._objects import is_the_sdks
from .http import current_call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import Protocol

    class FrameWatcher(Protocol):
        """What watches a stream that is decoded here; see `TrackedCall`."""

        hides_usage: bool

        @property
        def passes_over(self) -> bool: ...
        def read_frames(self, *, yes: bool) -> None: ...
        def received(self, data: bytes) -> None: ...
        def next_event(self) -> bytes | None: ...
        def back(self, event: bytes) -> None: ...
        def took(self, event: bytes, frame: Any, kind: bytes | None) -> None: ...
        def pieces(self, data: bytes | None) -> Iterator[bytes]: ...


__all__ = ["decode_once"]

_DECODER = "_make_sse_decoder"


def decode_once(client: Any) -> None:
    """Let the streams of this client be decoded once, unless something else decodes them."""
    if not is_the_sdks(client, _DECODER):
        return
    plain: Callable[[], Any] = getattr(client, _DECODER)

    def make() -> Any:
        call = current_call.get()
        decoder = plain()
        if call is None or not call.owes_record or type(decoder).__module__ != "openai._streaming":
            return decoder
        return _Decoder(decoder, call)

    setattr(client, _DECODER, make)


class _Event:
    """An event as the SDK reads it: its `ServerSentEvent`, decoded already."""

    __slots__ = ("_frame", "data", "event", "id", "retry")

    def __init__(self, data: str, event: str | None, frame: dict[str, Any] | None) -> None:
        self.data = data
        self.event = event
        self.id = self.retry = None
        self._frame = frame

    def json(self) -> Any:
        return self._frame


class _Decoder:
    """Stands for the SDK's `SSEDecoder` over one response."""

    def __init__(self, plain: Any, watcher: FrameWatcher) -> None:
        self._plain = plain
        self._watcher = watcher
        self._is_plain = False

    def iter_bytes(self, reads: Iterator[bytes]) -> Iterator[Any]:
        self._watcher.read_frames(yes=True)
        for data in reads:
            yield from self._events(data)
            if self._is_plain:
                yield from self._plain.iter_bytes(self._pieces(reads))

    async def aiter_bytes(self, reads: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        self._watcher.read_frames(yes=True)
        async for data in reads:
            for event in self._events(data):
                yield event
            if self._is_plain:
                async for event in self._plain.aiter_bytes(self._apieces(reads)):
                    yield event

    def _pieces(self, reads: Iterator[bytes]) -> Iterator[bytes]:
        yield from self._watcher.pieces(b"")
        yield from reads

    async def _apieces(self, reads: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        for piece in self._watcher.pieces(b""):
            yield piece
        async for data in reads:
            yield data

    def _events(self, data: bytes) -> Iterator[_Event]:
        """The events that these bytes complete, until one that is not as known.

        What is not taken has not been given: this is a generator for that reason.
        """
        watcher = self._watcher
        watcher.received(data)
        if watcher.passes_over:
            watcher.read_frames(yes=False)
            self._is_plain = True
            return
        while (event := watcher.next_event()) is not None:
            read = _read(event)
            if read is None:
                watcher.back(event)
                watcher.read_frames(yes=False)
                self._is_plain = True
                return
            made, frame, kind = read
            watcher.took(event, frame, kind)
            if made is not None and not (frame and watcher.hides_usage and _hides(frame)):
                yield made


def _read(event: bytes) -> tuple[_Event | None, dict[str, Any] | None, bytes | None] | None:
    """Read an event in a form that is known: for the SDK, and its JSON and its type.

    One form is `data:` with a JSON object or `[DONE]`, after `event:` at most. The other is a
    comment, of which the SDK makes nothing. `None` for any other.
    """
    if event[-2:] != b"\n\n" or b"\r" in event:
        return None
    kind = None
    if event[:6] == b"data: ":
        data = event[6:-2]
    elif event[:7] == b"event: ":
        kind, _, data = event[7:-2].partition(b"\ndata: ")
    elif event[:1] == b":":
        return (None, None, None) if event.find(b"\n") == len(event) - 2 else None
    else:
        return None
    if b"\n" in data:
        return None
    try:
        frame: Json = None if data == b"[DONE]" else from_json(data)
        if not (frame is None or type(frame) is dict):
            return None
        made = _Event(data.decode(), kind.decode() if kind else None, frame)
    except ValueError:
        return None
    return made, frame, kind


def _hides(frame: dict[str, Any]) -> bool:
    """Take out of a frame what only asking for usage brought; whether that is the whole frame.

    Asking adds `"usage": null` to each frame, and a frame that has no choices (WIRE §1.1). Usage
    in a frame with choices comes from servers that send it unasked, and stays.
    """
    if "usage" not in frame:
        return False
    if frame["usage"] is None:
        del frame["usage"]
        return False
    return frame.get("choices") == []
