"""Write small PNG images with the standard library alone: the base install has no Pillow."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def encode(image: NDArray[Any], scale: int = 1) -> bytes:
    """Return uint8 [H, W, 3] as PNG bytes, each pixel as `scale` x `scale` pixels.

    Uses a palette where 256 colours are enough, which a sim's frame mostly has.
    """
    height, width, _ = image.shape
    colours, index = np.unique(image.reshape(-1, 3), axis=0, return_inverse=True)
    if len(colours) <= 256:
        kind, palette = 3, colours.tobytes()
        pixels = index.reshape(height, width, 1).astype(np.uint8)
    else:
        kind, palette = 2, b""
        pixels = image
    pixels = pixels.repeat(scale, 0).repeat(scale, 1)
    rows = pixels.reshape(height * scale, -1)
    raw = np.concatenate([np.zeros((len(rows), 1), np.uint8), rows], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", width * scale, height * scale, 8, kind, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", header)]
    if palette:
        parts.append(_chunk(b"PLTE", palette))
    return b"".join([*parts, _chunk(b"IDAT", zlib.compress(raw, 9)), _chunk(b"IEND", b"")])


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
