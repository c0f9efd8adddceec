"""How much is read of a file, and of what it unpacks to; what is larger is an error of ours."""

from __future__ import annotations

import zlib
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from usagestream_core.errors import ConfigError

__all__ = ["LARGEST", "CassetteError", "TooLargeError", "packed", "read", "unpacked"]

LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a file, and of what is compressed in it once it is not."""

_BITS: Final = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16}
_GZIP: Final = b"\x1f\x8b"


class CassetteError(ConfigError):
    """A file is no cassette of vcrpy's, or asks for more than is read."""


class TooLargeError(CassetteError):
    """A file, or what is compressed in it, is larger than `LARGEST`, or grows without an end."""


def read(path: Path) -> bytes:
    """Give what a file holds. Raises `TooLargeError`."""
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise TooLargeError(f"the file is larger than {LARGEST >> 20} MiB")
    return data


def packed(data: bytes) -> bool:
    """Whether this is compressed, by how it begins."""
    return data.startswith(_GZIP)


def unpacked(data: bytes, encoding: str = "gzip") -> bytes | None:
    """Undo a compression; of data that was cut, give what there is.

    `None` where that cannot be done: what is no such data, or `br` without a brotli that can be
    told where to stop. Raises `TooLargeError`.
    """
    try:
        plain = _brotli(data) if encoding == "br" else _zlib(data, encoding)
    except zlib.error:
        return None
    if plain is not None and len(plain) > LARGEST:
        raise TooLargeError(f"what {encoding} compressed is larger than {LARGEST >> 20} MiB")
    return plain


def _zlib(data: bytes, encoding: str) -> bytes | None:
    if encoding == "deflate":
        try:
            return zlib.decompressobj().decompress(data, LARGEST + 1)
        except zlib.error:  # Some servers leave the head out.
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, LARGEST + 1)
    bits = _BITS.get(encoding)
    return None if bits is None else zlib.decompressobj(bits).decompress(data, LARGEST + 1)


def _brotli(data: bytes) -> bytes | None:
    try:
        library: Any = import_module("brotli")
        plain: bytes = library.Decompressor().process(data, output_buffer_limit=LARGEST + 1)
    except Exception:  # noqa: BLE001 - absent, too old to be told a limit, or no such data
        return None
    return plain
