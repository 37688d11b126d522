"""What a dataset stores beside its data, so that a later load is fast and takes little memory.

The decoded frames of a split, and its sensors of several dimensions, such as range images.
"""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sims import canvas
from sims.errors import UserError
from training.data.files import DAMAGE, Layout, again, opened, pngs, to_arrays
from training.data.images import decode_png
from training.data.palette import colour_codes, index_by_code
from training.data.rows import Rows, Writer

if TYPE_CHECKING:
    from training.data.dataset import Dataset, Found

ROWS_AT_ONCE = 4096  # rows stored together; bounds the memory that it takes
FRAMES = "frames"


def open_stored(
    dataset: Dataset, split: str | None, rgb: bool, found: Found, layouts: dict[str, Layout]
) -> dict[str, Any]:
    """Open a split's frames and large sensors, after storing what was not stored before."""
    features, count = dataset.info["features"], len(found.rows)
    cameras = [name for name in dataset.expected if features[name]["dtype"] == "image"]
    size = canvas.size(dataset.spec["cameras"])[1:]
    shape = (count, len(cameras), *size, *([3] if rgb else []))
    wanted: dict[str, tuple[tuple[int, ...], Any]] = {FRAMES: (shape, np.uint8)}
    for name in dataset.large_columns():
        wanted[name] = ((count, *features[name]["shape"]), np.dtype(features[name]["dtype"]))
    part, suffix = split or "all", ""
    if dataset.faults:
        some = json.dumps([found.episodes.tolist(), cameras]).encode()
        suffix = f".{hashlib.sha256(some).hexdigest()[:8]}"
    folder = dataset.path / "decoded"
    paths = {
        name: folder / f"{part}.{name.removeprefix('observation.')}{suffix}.npy" for name in wanted
    }
    paths[FRAMES] = folder / f"{part}.{'rgb' if rgb else 'index'}{suffix}.npy"
    absent = [name for name in wanted if not _holds(paths[name], *wanted[name])]
    try:
        folder.mkdir(exist_ok=True)
        with ExitStack() as stack:
            writers = {n: stack.enter_context(Writer(paths[n], *wanted[n])) for n in absent}
            if writers:
                _store(dataset, dataset.groups(found, layouts), cameras, found, writers, rgb)
    except DAMAGE as error:
        where = f"dataset '{dataset.path}'"
        raise UserError(f"{where}: can't decode; {error}. {again(dataset.path)}") from error
    out: dict[str, Any] = {name: Rows(path) for name, path in paths.items()}
    if not rgb:  # Training looks at single rows of it, everywhere.
        out[FRAMES] = np.load(paths[FRAMES], mmap_mode="r")
    return out


def _store(
    dataset: Dataset,
    by_file: dict[Path, list[int]],
    cameras: list[str],
    found: Found,
    writers: dict[str, Writer],
    rgb: bool,
) -> None:
    """Write the frames and the large sensors of the found episodes, some episodes at a time."""
    features = dataset.info["features"]
    size = canvas.size(dataset.spec["cameras"])[1:]
    palette = [] if rgb else dataset.recording["palette"]
    lookup = index_by_code(np.array(palette, np.uint8).reshape(-1, 3))
    lengths = iter(dataset.episodes["length"][found.episodes].tolist())
    jobs: list[tuple[Path, list[int], int]] = []
    row = 0
    for path, groups in by_file.items():
        batch: list[int] = []
        first = row
        for group in groups:
            batch.append(group)
            row += next(lengths)
            if row - first >= ROWS_AT_ONCE:
                jobs.append((path, batch, first))
                batch, first = [], row
        if batch:
            jobs.append((path, batch, first))
    large = [name for name in writers if name != FRAMES]
    counted = ["timestamp", "frame_index", "index", "episode_index"] if large else []

    def store(job: tuple[Path, list[int], int]) -> None:
        path, groups, start = job
        images = cameras if FRAMES in writers else []
        rows = opened(path).read_row_groups(groups, columns=[*images, *large, *counted])
        if large:
            columns = to_arrays(rows, features, [*large, *counted])
            if not dataset.skip_bad:
                dataset.check(found, columns, start)
            for name in large:
                writers[name].write(start, columns[name])
        pictures = [pngs(rows.column(name)) for name in images]
        for at in range(0, len(rows) if images else 0, 32):  # few, for the CPU's cache
            some = [column[at : at + 32] for column in pictures]
            frames = np.zeros((len(some[0]), len(cameras), *size, 3), np.uint8)
            for i, name in enumerate(images):
                height, width = features[name]["shape"][:2]
                frames[:, i, :height, :width] = decode_png(some[i], height, width)
            writers[FRAMES].write(start + at, frames if rgb else lookup[colour_codes(frames)])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(store, jobs):
            pass


def _holds(path: Path, shape: tuple[int, ...], dtype: Any) -> bool:
    """Return whether a file holds an array of this shape and type."""
    try:
        there = np.load(path, mmap_mode="r")
    except (OSError, ValueError):
        return False
    return bool(there.shape == shape and there.dtype == dtype)
