"""Server-sent events: bytes in, JSON frames out. Shared by the wires that are made of them.

As in the WHATWG HTML standard, section 9.2.6, with one exception: an event that the end of the body
cuts off before its blank line still counts where its data is whole, because servers leave that line
out after the usage and the SDK then loses it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, Protocol

from jiter import from_json

from usagestream_core.adapter import Head, Report
from usagestream_core.chunk import Chunk
from usagestream_core.errors import EventTooLargeError, NotAStreamError, StreamFailedError
from usagestream_core.json_types import Json, is_object

__all__ = ["MAX_EVENT_BYTES", "FrameDecoder", "SseDecoder", "compressed", "failure_in", "word"]

MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
"""Default limit of one event. A second of audio is some 64 KB of base64."""

_EXCERPT: Final = 2_000
_MOST_FOREIGN: Final = 1024 * 1024
"""Bytes kept of a body that is no event stream, for what it may say of usage or an error."""
_SSE_FIELDS: Final = frozenset({b"data", b"event", b"id", b"retry"})
_BOM: Final = b"\xef\xbb\xbf"
_FIRST_WORDS: Final = (*_SSE_FIELDS, _BOM)


def compressed(encoding: str) -> str:
    """Say of a body that it is compressed in a way that nobody asked for, and what to do."""
    return (
        f"compressed as {encoding!r}, which cannot be undone here: have what stands between leave "
        "answers as they are, or install what the HTTP library needs for it, as in "
        '`pip install "httpx2[brotli,zstd]"`.'
    )


class FrameDecoder(Protocol):
    """What makes chunks and reports of the frames of one wire, whatever they came in."""

    def frame(self, frame: dict[str, Any], kind: bytes | None, out: list[Chunk | Report]) -> None:
        """Decode one event's JSON object; `kind` is the event's type, where it names one."""
        ...

    def document(self, document: dict[str, Any], out: list[Chunk | Report]) -> None:
        """Decode what came whole although a stream was wanted, as far as it is of use."""
        ...


class SseDecoder:
    """Decodes one response; satisfies `usagestream_core.adapter.Decoder`.

    `frames` makes chunks of what the events hold. `max_event_bytes` bounds what is held in memory
    while an event is incomplete: a longer one fails the stream.
    """

    def __init__(
        self, head: Head, frames: FrameDecoder, *, max_event_bytes: int = MAX_EVENT_BYTES
    ) -> None:
        self._head = head
        self._frame = frames.frame
        self._document = frames.document
        self._max_event_bytes = max_event_bytes
        self._held = bytearray()
        self._after_cr = False
        self._begun = False
        self._at_end = False
        self._is_sse = False
        self._foreign: list[bytes] = []
        self._foreign_bytes = 0

    def feed(self, data: bytes) -> list[Chunk | Report]:
        """Take the next bytes; give what they complete."""
        out: list[Chunk | Report] = []
        if self._held or self._after_cr or data.find(b"\r") >= 0:
            data = self._prepared(data, out)
        # Cut at single bytes: the two of a blank line take several times as long to look for.
        lines = data.split(b"\n")
        rest = lines.pop()
        event: list[bytes] = []
        for line in lines:
            if line:
                event.append(line)
            elif event:
                self._event(event, out)
                event = []
        if event or rest:
            self._hold(b"\n".join([*event, rest]), out)
        return out

    def close(self) -> list[Chunk | Report]:
        """The body has ended. A last event without its blank line counts if it can be read."""
        self._at_end = True
        out = self.feed(b"\n\n") if self._held else []
        foreign = b"\n\n".join(self._foreign)
        # A stream that breaks off within its first word is a cut stream, whatever it would say.
        if foreign and not self._is_sse and not any(f.startswith(foreign) for f in _FIRST_WORDS):
            out += self._not_a_stream(foreign)
        return out

    @property
    def is_between(self) -> bool:
        """Whether what comes next is the beginning of an event."""
        return not self._held

    def _prepared(self, data: bytes, out: list[Chunk | Report]) -> bytes:
        """The next bytes with LF for newlines, after those that are held."""
        if self._after_cr or b"\r" in data:
            data = self._unify_newlines(data)
        return self._joined(data, out) if self._held else data

    def _unify_newlines(self, data: bytes) -> bytes:
        """Turn CRLF and CR into LF, also where a read ends between the two."""
        if self._after_cr and data[:1] == b"\n":
            data = data[1:]
            self._after_cr = False
        if data:
            self._after_cr = data[-1:] == b"\r"
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _hold(self, data: bytes, out: list[Chunk | Report]) -> None:
        """Keep the beginning of an event, or more of it."""
        self._held += data
        if len(self._held) > self._max_event_bytes:
            out.append(Report(failure=EventTooLargeError(self._max_event_bytes)))

    def _joined(self, data: bytes, out: list[Chunk | Report]) -> bytes:
        """What is held and this, once they make a whole event; nothing, and held, until then.

        Joining on every read would take quadratic time.
        """
        if not (b"\n\n" in data or (data[:1] == b"\n" and self._held.endswith(b"\n"))):
            if data:
                self._hold(data, out)
            return b""
        data = bytes(self._held + data)
        self._held.clear()
        return data

    def _event(self, lines: list[bytes], out: list[Chunk | Report]) -> None:
        """Decode the lines of an event, of which there is mostly one."""
        kind = None
        data = lines[0]
        if len(lines) == 1 and data[:6] == b"data: ":
            self._is_sse = True
            data = data[6:]
        else:
            kind, data = self._fields(lines)
        try:
            frame: Json = from_json(data)
        except ValueError:
            for said in _unusual(data, cut=self._at_end):
                if isinstance(said, Report):
                    out.append(said)
                elif is_object(said):
                    self._frame(said, kind, out)
                else:
                    out.append(_unreadable(data))
            return
        if type(frame) is dict:
            self._frame(frame, kind, out)
        elif frame is not None:
            out.append(_unreadable(data))

    def _fields(self, lines: list[bytes]) -> tuple[bytes | None, bytes]:
        """Read an event line by line: its type, and its data joined by newlines."""
        kind = None
        data: list[bytes] = []
        if not (self._begun or self._is_sse):
            lines[0] = lines[0].removeprefix(_BOM)
        self._begun = True
        for line in lines:
            name, colon, value = line.partition(b":")
            self._is_sse = self._is_sse or name in _SSE_FIELDS or (not name and bool(colon))
            if name == b"data":
                data.append(value.removeprefix(b" "))
            elif name == b"event":
                kind = value.strip()
        if not self._is_sse and self._foreign_bytes < _MOST_FOREIGN:
            self._foreign.append(b"\n".join(lines))
            self._foreign_bytes += len(self._foreign[-1])
        return kind, b"\n".join(data)

    def take(self, frame: dict[str, Any], kind: bytes | None) -> list[Chunk | Report]:
        """Take an event that was decoded elsewhere, in place of its bytes."""
        self._is_sse = True
        out: list[Chunk | Report] = []
        self._frame(frame, kind, out)
        return out

    def _not_a_stream(self, body: bytes) -> Iterator[Chunk | Report]:
        """What a 200 that is no event stream says: the usage or the error in it, if it is JSON."""
        text = body.decode("utf-8", "replace").strip()
        excerpt = text[:_EXCERPT]
        code = None
        try:
            document: Json = _writable(json.loads(text))
        except (ValueError, RecursionError):
            document = None
        if isinstance(document, dict):
            out: list[Chunk | Report] = []
            self._document(document, out)
            for report in out:
                assert isinstance(report, Report), "a chunk without choices"
                if isinstance(report.failure, StreamFailedError):
                    excerpt, code = str(report.failure), report.failure.code
                report.failure = report.annotation = None
                yield report
        declared = self._head.content_type or "a body of undeclared type"
        what = f"not a stream: {excerpt[:200]}"
        if self._head.unread_encoding is not None:
            what = compressed(self._head.unread_encoding)
        message = f"The provider answered {self._head.status} with {declared}, {what}"
        failure = NotAStreamError(message, body=text[:_EXCERPT], code=code)
        yield Report(failure=failure)


_NEXT: Final = re.compile(r"\s*")
_DONE: Final = "[DONE]"
_JSON: Final = json.JSONDecoder()


def _unusual(data: bytes, *, cut: bool) -> Iterator[Any]:
    """What data says that is no strict JSON: nothing, `[DONE]`, or JSON with broken characters.

    Some servers forget the blank line between two events, so that there may be several of these.
    """
    text = data.decode("utf-8", "replace")
    place = _NEXT.match(text).end()  # type: ignore[union-attr]
    while place < len(text):
        if text.startswith(_DONE, place):
            yield Report(done=True)
            place += len(_DONE)
        else:
            try:
                value, place = _JSON.raw_decode(text, place)
                yield _writable(value)
            except (ValueError, RecursionError):
                if not cut:
                    yield _unreadable(data)
                return
        place = _NEXT.match(text, place).end()  # type: ignore[union-attr]


def _writable(value: Any) -> Any:
    """The same JSON without lone surrogates, which no record could be written out with."""
    text = json.dumps(value, ensure_ascii=False)
    return from_json(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode())


def _unreadable(data: bytes) -> Report:
    text = data.decode("utf-8", "replace")
    message = f"The provider sent a frame that is not a JSON object: {text[:200]}"
    return Report(failure=StreamFailedError(message, body=text[:_EXCERPT]))


def failure_in(frame: dict[str, Any], kind: bytes | None) -> StreamFailedError | None:
    """The error a frame reports: an object, a string, or the whole frame."""
    error: Json = frame.get("error")
    if not error and (kind == b"error" or frame.get("object") == "error"):
        error = frame
    if not error:
        return None
    code = message = None
    if isinstance(error, dict):
        kind_of_error = error.get("type")
        code = error.get("code") or (kind_of_error if kind_of_error != "error" else None)
        message = error.get("message")
    text = message or (error if isinstance(error, str) else json.dumps(error)[:_EXCERPT])
    return StreamFailedError(
        f"The provider reported an error mid-stream: {text}",
        code=None if code is None else str(code),
        body=error,
    )


def word(value: Any) -> str | None:
    """A non-empty string, or `None`."""
    return value if type(value) is str and value else None
