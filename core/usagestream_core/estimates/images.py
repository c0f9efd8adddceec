"""How many tokens an image in a prompt is, by OpenAI's published rules ("Images and vision").

Two rules: older models count tiles of 512 pixels over a base price, small newer ones patches of 32
pixels times a factor. Both need the size, which only an image sent as a data URL tells.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from typing import Final

__all__ = ["image_size", "image_tokens"]

_TILES: Final = (
    ("gpt-4o-mini", 2833, 5667),
    ("gpt-5", 70, 140),
    ("o1", 75, 150),
    ("o3", 75, 150),
    ("computer-use", 65, 129),
)
"""Model name's beginning, tokens of the base, tokens of each tile."""
_OTHER_TILES: Final = (85, 170)
_PATCHES: Final = (
    ("gpt-4.1-mini", 1.62),
    ("gpt-4.1-nano", 2.46),
    ("gpt-5-mini", 1.62),
    ("gpt-5-nano", 2.46),
    ("o4-mini", 1.72),
)
_MOST_PATCHES: Final = 1536
_MOST_BASE64: Final = 1 << 20
"""Where a size has not shown up in as many characters, it is not looked for any further."""


def image_tokens(url: str, detail: str, model: str) -> int:
    """Tokens of one image: the base price alone where the size is unknown or `detail` is `low`."""
    size = image_size(url)
    for name, factor in _PATCHES:
        if model.startswith(name):
            return 0 if size is None else math.ceil(_patches(*size) * factor)
    base, tile = next(((b, t) for name, b, t in _TILES if model.startswith(name)), _OTHER_TILES)
    if size is None or detail == "low":
        return base
    return base + tile * _tiles(*size)


def image_size(url: str) -> tuple[int, int] | None:
    """Width and height of an image in a data URL; `None` for any other address or format."""
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return None
    usable = min(len(data), _MOST_BASE64) // 4 * 4
    try:
        raw = base64.b64decode(data[:usable])
        size = _read_size(raw)
    except (binascii.Error, ValueError, struct.error):
        return None
    return size if size is not None and all(size) else None


def _read_size(raw: bytes) -> tuple[int, int] | None:
    if raw.startswith(b"\x89PNG"):
        return _pair(struct.unpack_from(">II", raw, 16))
    if raw.startswith(b"GIF8"):
        return _pair(struct.unpack_from("<HH", raw, 6))
    if raw.startswith(b"\xff\xd8"):
        return _jpeg_size(raw)
    if raw[8:12] == b"WEBP":
        return _webp_size(raw)
    return None


def _jpeg_size(raw: bytes) -> tuple[int, int] | None:
    """Walk the segments up to the frame header (ITU T.81, annex B)."""
    at = 2
    while at + 4 <= len(raw) and raw[at] == 0xFF:
        marker = raw[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", raw, at + 5)
            return _pair((width, height))
        at += 2 + int(struct.unpack_from(">H", raw, at + 2)[0])
    return None


def _webp_size(raw: bytes) -> tuple[int, int] | None:
    """Read the first chunk of the container: lossy, lossless or extended."""
    kind = raw[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", raw, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        bits = int(struct.unpack_from("<I", raw, 21)[0])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        return (
            int.from_bytes(raw[24:27], "little") + 1,
            int.from_bytes(raw[27:30], "little") + 1,
        )
    return None


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    return int(values[0]), int(values[1])


def _tiles(width: float, height: float) -> int:
    """Fit into 2048 x 2048, bring the shorter side down to 768, count tiles of 512."""
    scale = min(1.0, 2048 / max(width, height))
    width, height = width * scale, height * scale
    scale = min(1.0, 768 / min(width, height))
    return math.ceil(width * scale / 512) * math.ceil(height * scale / 512)


def _patches(width: float, height: float) -> int:
    """Count patches of 32, of an image brought down until 1,536 of them cover it."""
    if math.ceil(width / 32) * math.ceil(height / 32) > _MOST_PATCHES:
        scale = math.sqrt(32 * 32 * _MOST_PATCHES / (width * height))
        across, down = width * scale / 32, height * scale / 32
        scale *= min(max(math.floor(across), 1) / across, max(math.floor(down), 1) / down)
        width, height = width * scale, height * scale
    # Rounded first: what was brought down to whole patches may be a hair above them.
    across, down = round(width / 32, 6), round(height / 32, 6)
    return min(math.ceil(across) * math.ceil(down), _MOST_PATCHES)
