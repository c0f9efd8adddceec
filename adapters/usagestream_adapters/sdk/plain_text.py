"""The text of a body that nobody vouches for: bounded, and decoded by what is known to be sound."""

from __future__ import annotations

import importlib
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["MOST_BYTES", "charset_of", "plain", "text_of"]

MOST_BYTES: Final = 64 * 1024
"""Of an error's body, compressed and decompressed; the services' own have a few hundred."""

_MOST_CODINGS: Final = 3
_ZSTD_WINDOW: Final = 8 * 1024 * 1024
"""Bytes; what RFC 8878 asks everybody to support."""
_CHARSET: Final = re.compile(r"""charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE)
_TEXTUAL: Final = re.compile(
    r"utf[-_]?(8|16|32)([-_]?[bl]e)?|(us[-_]?)?ascii|iso[-_]?8859[-_]?\d+|latin[-_]?\d+|"
    r"(windows|cp)[-_]?\d+|koi8[-_][ru]|gbk|gb2312|gb18030|big5|shift[-_]?jis|euc[-_](jp|kr)",
    re.IGNORECASE,
)
"""Character sets. Python has codecs of other kinds under such names: rot13, zip, punycode."""


def charset_of(content_type: str | None) -> str:
    """The charset that a content type names, where it is one; UTF-8 for any other."""
    named = _CHARSET.search(content_type or "")
    if named is None or not _TEXTUAL.fullmatch(named[1]):
        return "utf-8"
    try:
        "".encode(named[1])
    except LookupError:
        return "utf-8"
    return named[1]


def text_of(response: Any) -> str:
    """The beginning of a response's body that the SDK has read, as text, whatever it is."""
    data: bytes = response.content[:MOST_BYTES]
    return data.decode(charset_of(response.headers.get("content-type")), "replace")


def plain(data: bytes, codings: str, most: int = MOST_BYTES) -> bytes:
    """The beginning of a body without its content codings, which are named as in the header.

    `most` bytes of it at most. For one whose codings cannot be taken off (unknown, broken, or the
    library is not installed), a sentence that says so.
    """
    names = [name for name in re.split(r"[\s,]+", codings.lower()) if name not in ("", "identity")]
    if len(names) > _MOST_CODINGS:
        return _unreadable(codings)
    for name in reversed(names):
        take_off = _CODINGS.get(name)
        try:
            data = b"" if take_off is None else take_off(data, most)
        except Exception:  # noqa: BLE001 - each library has errors of its own
            data = b""
        if not data:
            return _unreadable(codings)
    return data


def _unreadable(codings: str) -> bytes:
    return f"(the body cannot be read: its content-encoding is {codings[:80]!r})".encode()


def _gzip(data: bytes, most: int) -> bytes:
    return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, most)


def _deflate(data: bytes, most: int) -> bytes:
    """With the header that the standard wants, or without it, as some servers send it."""
    try:
        return zlib.decompressobj().decompress(data, most)
    except zlib.error:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, most)


def _brotli(data: bytes, most: int) -> bytes:
    library: Any = importlib.import_module("brotli")
    unpacker = library.Decompressor()
    try:
        made = bytearray(unpacker.process(data, output_buffer_limit=most))
    except TypeError:
        # Before version 1.2 only what goes in can be bounded: a byte gives 16 MB at most.
        made = bytearray()
        for at in range(len(data)):
            made += unpacker.process(data[at : at + 1])
            if len(made) >= most:
                break
    return bytes(made[:most])


def _zstd(data: bytes, most: int) -> bytes:
    library: Any = importlib.import_module("zstandard")
    reader = library.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).stream_reader(data)
    made: bytes = reader.read(most)
    return made


_CODINGS: Final[Mapping[str, Callable[[bytes, int], bytes]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
