"""Make a dataset of ours from one that another tool recorded; the other folder is not changed.

The copy holds the frames at the size at which they are read, so training reads them as it reads its
own. Its episodes are ordered by split; their `seed` is their number in the recording.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sims.contract import Array
from sims.errors import UserError
from training.data.dataset_manifest import Book
from training.data.episodes import SAMPLE, with_state
from training.data.foreign.folder import Foreign, Part
from training.data.images import encode_png
from training.data.lerobot import VERSION, Writer
from training.data.palette import Colours
from training.data.record import set_aside, whole
from training.data.verify import Fault
from training.locks import lock
from training.progress import Progress


def convert(foreign: Foreign, out: Path, name: str, wait: bool = True) -> Path:
    """Make the dataset `out`/`name` unless it exists; return its folder.

    Raises UserError for the first fault of the recording, and for a disk that fails; no unfinished
    folder is left.
    """
    folder = out / name
    if whole(folder):
        return folder
    foreign.ready()
    try:
        out.mkdir(parents=True, exist_ok=True)
        with lock(out / f".{name}.lock", f"dataset '{folder}'", wait, keep=False):
            if not whole(folder):
                total = float(foreign.table["length"].sum())
                with Progress(f"read {foreign.name}", total) as bar, set_aside(folder) as aside:
                    _write(foreign, aside, bar)
    except OSError as error:
        raise UserError(
            f"{foreign.where}: its copy can't be written to {out}; {error.strerror or error}. "
            "Run: make room there, then the same command again"
        ) from error
    return folder


def _write(foreign: Foreign, folder: Path, bar: Progress) -> None:
    writer, book, colours = Writer(folder, foreign.spec), Book(foreign.spec), Colours()
    for split, episodes in foreign.splits.items():
        gathered: list[Part] = []
        images: dict[str, list[bytes]] = {}
        shades = np.zeros((len(foreign.views), 3, 256), np.int64)
        for part in foreign.parts(episodes):
            if isinstance(part, Fault):
                raise UserError(
                    f"{foreign.where}: {part}. Run: wmsite data verify {foreign.path}, to see all "
                    "that is wrong, then take those files again from where they came"
                )
            row = sum(len(one.columns["action"]) for one in gathered)
            for i, (camera, frames) in enumerate(part.frames.items()):
                images.setdefault(camera, []).extend(encode_png(frames))
                colours.see(frames)
                shades[i] += _shades(frames[-row % SAMPLE :: SAMPLE])
            gathered.append(Part(part.episode, part.columns, {}, part.last))
            bar.update(len(part.columns["action"]), episodes=book.count)
            if part.last:
                _note(foreign, gathered, images, shades, split, writer, book)
                gathered, images, shades = [], {}, np.zeros_like(shades)
    told: dict[str, Any] = {
        "format": VERSION,
        "cameras": {v.name: {"there": v.there, "here": v.size} for v in foreign.views},
        "left_out": foreign.left_out,
    }
    book.finish(writer, None, None, palette=colours.palette(), converted=told)


def _note(
    foreign: Foreign,
    parts: list[Part],
    images: dict[str, list[bytes]],
    shades: Array,
    split: str,
    writer: Writer,
    book: Book,
) -> None:
    """Write one episode from its parts, and note it in the manifest."""
    names = parts[0].columns
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in names}
    episode = parts[0].episode
    ended = "terminated" if columns["next.done"].any() else "truncated"
    columns = with_state(foreign.spec, columns)
    place = writer.add(columns, images, shades, foreign.tasks[episode])
    told = {"behaviour": "recorded", "scenario": "recorded", "condition": "", "split": split}
    book.note(told | {"seed": episode, "ended": ended}, [], place)


def _shades(frames: Array) -> Array:
    """Count the values of uint8 [N, H, W, 3]: int64 [3, 256]."""
    return np.stack([np.bincount(frames[..., i].ravel(), minlength=256) for i in range(3)])
