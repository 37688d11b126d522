"""Write small PNG images with the standard library alone: the base install has no Pillow.

An image is one picture, or several that play (APNG, which every browser shows). It uses a palette
if 256 colours are enough, as for most sims.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]
MAGIC = b"\x89PNG\r\n\x1a\n"


def encode(image: Pixels, scale: int = 1, texts: Mapping[str, str] | None = None) -> bytes:
    """Return uint8 [H, W, 3] as PNG bytes, with `scale` x `scale` pixels for each pixel.

    `texts` are the file's text entries by keyword (Latin-1).
    """
    kind, palette, pixels = _indexed(image[None])
    large = pixels[0].repeat(scale, 0).repeat(scale, 1)
    data = _chunk(b"IDAT", _packed(large))
    return MAGIC + _header(large, kind, palette, texts) + data + _chunk(b"IEND", b"")


def animate(images: Pixels, rate: int, texts: Mapping[str, str] | None = None) -> bytes:
    """Return uint8 [N, H, W, 3] as an APNG that plays them in a loop, `rate` a second.

    Each picture after the first stores only the rectangle that has changed; of shades, which do not
    fit a palette, only the pixels in it that have.
    """
    kind, palette, pixels = _indexed(images)
    shaded = not palette
    if shaded:  # With opacity: what has not changed is clear.
        kind, pixels = 6, np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], -1)
    parts = [MAGIC, _header(pixels[0], kind, palette, texts)]
    parts.append(_chunk(b"acTL", struct.pack(">II", len(pixels), 0)))
    number = 0
    for at, now in enumerate(pixels):
        rows, columns = (slice(0, n) for n in now.shape[:2])
        if at:
            changed = np.any(now != pixels[at - 1], axis=-1)
            rows, columns = _span(changed.any(1)), _span(changed.any(0))
            if shaded:
                now = now * changed[..., None]
        part = now[rows, columns]
        over = int(shaded and at > 0)
        place = (part.shape[1], part.shape[0], columns.start, rows.start, 1, rate, 0, over)
        parts.append(_chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, *place)))
        number += 1
        if at:
            parts.append(_chunk(b"fdAT", struct.pack(">I", number) + _packed(part)))
            number += 1
        else:
            parts.append(_chunk(b"IDAT", _packed(part)))
    return b"".join([*parts, _chunk(b"IEND", b"")])


def texts(data: bytes) -> dict[str, str]:
    """Return the text entries of a PNG file; nothing for any other or a cut file."""
    found, at = {}, len(MAGIC)
    while data.startswith(MAGIC) and at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        if kind == b"tEXt":
            name, _, said = body.partition(b"\0")
            found[name.decode("latin-1")] = said.decode("latin-1")
        at += size + 12
    return found


def _span(changed: Pixels) -> slice:
    """Return the range from the first change to the last; one place without changes."""
    where = np.flatnonzero(changed)
    return slice(int(where[0]), int(where[-1]) + 1) if len(where) else slice(0, 1)


def _indexed(images: Pixels) -> tuple[int, bytes, Pixels]:
    """Return (colour type, palette, pixels [N, H, W, channels]) of uint8 [N, H, W, 3]."""
    # As one number each, red first: rows of three take numpy thirty times as long.
    red, green, blue = np.moveaxis(images.astype(np.uint32), -1, 0)
    codes = red << 16 | green << 8 | blue
    if len(np.unique(codes[0])) > 256:
        return 2, b"", images
    colours, index = np.unique(codes, return_inverse=True)
    if len(colours) > 256:
        return 2, b"", images
    palette = np.stack([colours >> 16, colours >> 8, colours], 1).astype(np.uint8)
    return 3, palette.tobytes(), index.reshape(*images.shape[:3], 1).astype(np.uint8)


def _header(image: Pixels, kind: int, palette: bytes, texts: Mapping[str, str] | None) -> bytes:
    height, width = image.shape[:2]
    parts = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))]
    for name, said in (texts or {}).items():
        parts.append(_chunk(b"tEXt", f"{name}\0{said}".encode("latin-1")))
    if palette:
        parts.append(_chunk(b"PLTE", palette))
    return b"".join(parts)


def _packed(pixels: Pixels) -> bytes:
    rows = pixels.reshape(len(pixels), -1)
    return zlib.compress(np.concatenate([np.zeros((len(rows), 1), np.uint8), rows], 1).tobytes(), 9)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
