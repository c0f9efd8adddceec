"""Server-sent events line by line, whatever their frames are of."""

from __future__ import annotations

from typing import Any

import pytest

from usagestream import NotAStreamError, StreamFailedError
from usagestream_adapters.wire import sse
from usagestream_adapters.wire.sse import SseDecoder, compressed
from usagestream_core.adapter import Head, Report
from usagestream_core.chunk import Chunk

HEAD = Head(status=200, content_type="text/event-stream")
BOM = b"\xef\xbb\xbf"


class Frames:
    """Takes note of the frames, and of what came whole."""

    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, Any], bytes | None]] = []
        self.documents: list[dict[str, Any]] = []

    def frame(self, frame: dict[str, Any], kind: bytes | None, out: list[Chunk | Report]) -> None:
        """One event."""
        self.seen.append((frame, kind))
        out.append(Report(model="seen"))

    def document(self, document: dict[str, Any], out: list[Chunk | Report]) -> None:
        """What was no stream."""
        self.documents.append(document)


class Read:
    """A decoder, and what it made of the reads until now."""

    def __init__(self, *reads: bytes) -> None:
        self.frames = Frames()
        self.decoder = SseDecoder(HEAD, self.frames)
        self.failures: list[Exception] = []
        for data in reads:
            self.read(data)

    def read(self, data: bytes | None) -> None:
        """Take the next bytes, or `None` for the end."""
        for item in self.decoder.close() if data is None else self.decoder.feed(data):
            if isinstance(item, Report) and item.failure is not None:
                self.failures.append(item.failure)

    @property
    def values(self) -> list[dict[str, Any]]:
        """The frames without their types."""
        return [frame for frame, _ in self.frames.seen]


def test_a_body_may_begin_with_a_blank_line() -> None:
    """Of any kind."""
    for newline in (b"\n", b"\r", b"\r\n"):
        assert Read(newline + b'data: {"a": 1}\n\n').values == [{"a": 1}]


def test_a_newline_that_two_reads_share_is_one() -> None:
    """An event of several lines goes on after it."""
    read = Read(b'data: {"a":\r', b"\ndata: 1}\r", b"\n\r", b"\n")
    assert (read.values, read.failures) == ([{"a": 1}], [])


def test_only_the_first_line_feed_after_a_carriage_return_belongs_to_it() -> None:
    """The next one is a blank line, and ends the event."""
    read = Read(b'data: {"a": 1}\r', b"\n")
    assert read.values == []
    read.read(b"\n")
    assert read.values == [{"a": 1}]


def test_an_event_is_given_with_the_read_that_ends_it() -> None:
    """Where the two newlines of its blank line come in two reads, and the next begins with it."""
    read = Read(b'data: {"a": 1}\n', b'\ndata: {"b"')
    assert read.values == [{"a": 1}]
    read.read(b": 2}\n\n")
    assert read.values == [{"a": 1}, {"b": 2}]


def test_whether_an_event_has_begun() -> None:
    """Between two of them nothing is held."""
    read = Read()
    assert read.decoder.is_between is True
    read.read(b"data: ")
    assert read.decoder.is_between is False
    read.read(b"{}\n\n")
    assert read.decoder.is_between is True


@pytest.mark.parametrize("lines", [b"data: {}\nevent: ping", b"event: ping\ndata: {}"])
def test_an_event_of_two_lines(lines: bytes) -> None:
    """The type may come after the data."""
    assert Read(lines + b"\n\n").frames.seen == [({}, b"ping")]


@pytest.mark.parametrize("first", [b"data: {}", b"garbage", b": comment"])
def test_a_byte_order_mark_begins_a_body_only(first: bytes) -> None:
    """Elsewhere it is a part of its line, which is no field then."""
    read = Read(first + b"\n\n" + BOM + b'data: {"a": 1}\n\n')
    assert {"a": 1} not in read.values
    assert Read(BOM + b'data: {"a": 1}\n\n').values == [{"a": 1}]


@pytest.mark.parametrize("first", [b"data: {}", b"id: 1", b": comment", b"retry: 5\ndata: {}"])
def test_what_follows_an_event_is_part_of_the_stream(first: bytes) -> None:
    """Whatever it is: that this is an event stream is known."""
    read = Read(first + b"\n\n", b"garbage\n\n")
    read.read(None)
    assert read.failures == []


@pytest.mark.parametrize("body", [b"garbage", b"name: value", b"no colon\nhere"])
def test_what_has_no_field_is_no_stream(body: bytes) -> None:
    """It is named, as far as it is shown."""
    read = Read(body + b"\n\n")
    read.read(None)
    (failure,) = read.failures
    assert isinstance(failure, NotAStreamError)
    assert body.decode() in str(failure)


def test_an_event_that_was_decoded_elsewhere() -> None:
    """It counts as one that came in bytes."""
    read = Read()
    (report,) = read.decoder.take({"a": 1}, b"ping")
    assert isinstance(report, Report)
    assert read.frames.seen == [({"a": 1}, b"ping")]
    read.read(b"garbage\n\n")
    read.read(None)
    assert read.failures == []


@pytest.mark.parametrize(("most", "kept"), [(5, "abcd\n\nefgh"), (4, "abcd"), (1, "abcd")])
def test_what_is_kept_of_a_body_that_is_no_stream(
    most: int, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks that begin within so many bytes."""
    monkeypatch.setattr(sse, "_MOST_FOREIGN", most)
    read = Read(b"abcd\n\n", b"efgh\n\n", b"ijkl\n\n")
    read.read(None)
    (failure,) = read.failures
    assert isinstance(failure, NotAStreamError)
    assert failure.body == kept


def test_how_much_a_message_shows() -> None:
    """The first 200 characters of a body that is no stream, or of a frame that is no object."""
    foreign = Read(b"x" * 300 + b"\n\n")
    foreign.read(None)
    unreadable = Read(b"data: " + b"x" * 300 + b"\n\n")
    for read, kind in ((foreign, NotAStreamError), (unreadable, StreamFailedError)):
        (failure,) = read.failures
        assert isinstance(failure, kind)
        assert str(failure).count("x") - str(failure).replace("x" * 200, "").count("x") == 200
        assert "x" * 201 not in str(failure)


def test_how_a_body_is_compressed_that_cannot_be_read() -> None:
    """By which name, and what undoes it."""
    assert compressed("br").startswith("compressed as 'br', which cannot be undone here")
    assert "pip install" in compressed("br")


@pytest.mark.parametrize("between", [b"", b" ", b"\ndata: ", b"\ndata:\ndata:"])
def test_several_documents_in_one_event(between: bytes) -> None:
    """Each is a frame, until one that is none."""
    read = Read(b'data: {"a": 1}' + between + b'{"a": 2}' + between + b"[DONE]\n\n")
    assert (read.values, read.failures) == ([{"a": 1}, {"a": 2}], [])
    read = Read(b'data: {"a": 1}' + between + b'7\n\ndata: {"a": 3}' + between + b"{\n\n")
    assert read.values == [{"a": 1}, {"a": 3}]
    assert [type(each) for each in read.failures] == [StreamFailedError, StreamFailedError]


def test_a_second_document_that_the_end_cuts_off() -> None:
    """The first one counts."""
    read = Read(b'data: {"a": 1}\ndata: {"a"')
    read.read(None)
    assert (read.values, read.failures) == ([{"a": 1}], [])
