"""What Play downloads the first time: which files, and what they weigh as hosts send them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import brotli

from builder import cache, manifest, vendor

# Fetched only by a sim that imports more, and by devices with WebGPU.
LATER = (*vendor.EXTRA, ".jspi.mjs", ".jspi.wasm", ".jspi.min.mjs")

_sizes: dict[str, int] = {}


def first_load(
    wm: Path, runtime: Mapping[str, str], world: manifest.World, folder: Path
) -> list[Path]:
    """Return the files that Play loads on a device with wasm alone.

    `wm` is the folder that `runtime` is relative to, `folder` the one of the world's manifest.
    """
    files = [
        file
        for part, place in runtime.items()
        if part != "editor"
        for file in cache.files_of(wm / place)
        if not file.name.endswith(LATER)
    ]
    used: list[manifest.File] = [*world.sim.sources]
    for model in world.models[:1]:
        able = (variant for variant in model.variants if "wasm" in variant.backends)
        used += [variant.step for variant in list(able)[:1]]
    return [*files, folder / "world.json", *(folder / file.url for file in used)]


def compressed(files: Iterable[Path], quality: int = 5, known: Path | None = None) -> int:
    """Return the bytes of files as brotli sends them; what does not shrink goes as it is.

    Sizes are remembered by content: in the file `known`, or while this process lives.
    """
    sizes = _sizes if known is None else cache.read_json(known) or {}
    before = len(sizes)
    total = 0
    for file in files:
        key = f"{cache.sha256_file(file)} {quality}"
        if key not in sizes:
            data = file.read_bytes()
            sizes[key] = min(len(data), len(brotli.compress(data, quality=quality)))
        total += sizes[key]
    if known is not None and len(sizes) > before:
        cache.write_json(known, sizes)
    return total
