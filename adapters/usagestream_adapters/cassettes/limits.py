"""How much is read of a file, and of what it unpacks to; what is larger is an error of ours."""

from __future__ import annotations

import io
import zlib
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from usagestream_core.errors import ConfigError

__all__ = ["LARGEST", "CassetteError", "TooLargeError", "packed", "read", "unpacked"]

LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a file, and of what is compressed in it once it is not."""

_BITS: Final = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16}
_SIGNS: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


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


def packed(data: bytes) -> str | None:
    """By what this is compressed, as it begins. `None` where that does not tell, as brotli's."""
    return next((how for sign, how in _SIGNS.items() if data.startswith(sign)), None)


def unpacked(data: bytes, encoding: str = "gzip") -> bytes | None:
    """Undo a compression; of data that was cut, give what there is.

    `None` where that cannot be done: what is no such data, `br` without a brotli that can be told
    where to stop, or `zstd` without zstandard. Raises `TooLargeError`.
    """
    try:
        plain = _LIBRARIES.get(encoding, partial(_zlib, encoding=encoding))(data)
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


def _zstd(data: bytes) -> bytes | None:
    try:
        library: Any = import_module("zstandard")
        packed_data = io.BytesIO(data)
        with library.ZstdDecompressor().stream_reader(packed_data, read_across_frames=True) as read:
            plain: bytes = read.read(LARGEST + 1)
    except Exception:  # noqa: BLE001 - absent, or no such data
        return None
    return plain or None  # of one that was cut within its first block, nothing


_LIBRARIES: Final = {"br": _brotli, "zstd": _zstd}
