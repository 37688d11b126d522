"""Find which files Play downloads the first time, and how many bytes hosts send for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import brotli
from pydantic import NonNegativeInt

from builder.project import cache
from builder.site import manifest, vendor

# The page fetches these only for a sim that imports more, or on devices with WebGPU.
LATER = (*vendor.EXTRA, ".jspi.mjs", ".jspi.wasm", ".jspi.min.mjs")

_sizes: dict[str, int] = {}


def first_load(
    wm: Path,
    runtime: Mapping[str, str],
    world: manifest.World,
    folder: Path,
    family: str | None = None,
) -> list[Path]:
    """Return the files that Play loads on a device that has only wasm.

    `runtime` is relative to the folder `wm`; `folder` is the folder of the world manifest. Without
    a `family`, the first model is loaded.
    """
    files = [
        file
        for part, place in runtime.items()
        if part != "editor" and (part != "pyodide" or world.sim)
        for file in cache.files_of(wm / place)
        if not file.name.endswith(LATER)
    ]
    used: list[manifest.File] = [*(world.sim.sources if world.sim else [])]
    used += [world.starts] if world.starts else []
    for model in [m for m in world.models if family in (None, m.family)][:1]:
        able = (variant for variant in model.variants if "wasm" in variant.backends)
        used += [variant.step for variant in list(able)[:1]]
    return [*files, folder / "world.json", *(folder / file.url for file in used)]


def compressed(files: Iterable[Path], quality: int = 5, known: Path | None = None) -> int:
    """Return the bytes of files as brotli sends them; files that do not shrink count in full.

    Sizes are cached by content: in the file `known`, or for the life of this process.
    """
    sizes = _sizes if known is None else cache.read_json(known, dict[str, NonNegativeInt]) or {}
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
