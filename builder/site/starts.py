"""Keep recorded moments beside a model whose world has no simulator: its page starts from them.

What was recorded after a moment is kept for some seconds, so that the page can show it beside the
model, under the same actions.

They lie with the figures in the weights folder, so that a site can be built where the recording is
not. `Starts` in builder/site/manifest.py says what the file holds.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from builder.project import cache
from builder.site import manifest
from sims import canvas
from sims.contract import Array
from sims.errors import UserError
from training import contained

if TYPE_CHECKING:
    from training.data.dataset import Arrays

FILE = "figures/starts.bin"
MOMENTS = 8
LARGEST = 1_000_000  # Bytes; a larger file gets fewer moments.
AHEAD = 6.0  # Seconds that are kept of what follows a moment, at most.
LATEST = 2.0  # Seconds: a moment is not so close to the end of its episode, if there is another.


@dataclass(frozen=True)
class Moments:
    """Recorded moments: all arrays have the leading dimensions [moments, frames of each].

    history: how many of the frames lead to the moment; the others follow it. lengths: int32, how
    many of those are recorded; behind them, the last one is repeated. frames: uint8 [..., cameras,
    H, W, 3]. sensors: float32, all of the spec one after the other. actions and chances: float32,
    of the steps between the frames.
    """

    history: int
    lengths: Array
    frames: Array
    sensors: Array
    actions: Array
    chances: Array

    def packed(self) -> bytes:
        """Return them as the page reads them."""
        count, frames = self.frames.shape[:2]
        head = np.array([count, self.history, frames - self.history], "<i4")
        parts = [head, self.lengths.astype("<i4"), self.frames]
        parts += [part.astype("<f4") for part in (self.sensors, self.actions, self.chances)]
        return zlib.compress(b"".join(np.ascontiguousarray(part).tobytes() for part in parts), 9)


def choose(
    arrays: Arrays,
    spec: Mapping[str, Any],
    history: int,
    count: int = MOMENTS,
    ahead: int = 0,
    *,
    begin: bool = False,
) -> Moments:
    """Return up to `count` moments of some episodes, evenly spread, each after `history` frames.

    Up to `ahead` frames that follow each are part of it. `begin`: those frames are the first ones
    of an episode, if there are such.
    """
    latest = round(LATEST * spec["rate"])
    wanted = (max(ahead, latest), latest, 1, 0)
    found = next((w for a in wanted if len(w := arrays.windows(history - 1 + a))), None)
    if found is None:
        raise UserError(
            f"world {spec['name']!r}: none of its held-out episodes has {history} frames, so that "
            "a page could start from it. Run: record longer episodes"
        )
    if begin and len(firsts := np.intersect1d(found, arrays.episodes[:, 0])):
        found = firsts
    count = min(count, len(found))
    firsts = found[np.linspace(0, len(found) - 1, count + 2).round().astype(int)[1:-1]]
    stops = arrays.episodes[np.searchsorted(arrays.episodes[:, 1], firsts, "right"), 1]
    rows = np.minimum(firsts[:, None] + np.arange(history + ahead), stops[:, None] - 1)
    sensors = [
        np.asarray(arrays.sensors[s["name"]][rows.ravel()], np.float32).reshape(*rows.shape, -1)
        for s in spec["sensors"]
    ]
    none = np.zeros((*rows.shape, 0), np.float32)
    return Moments(
        history,
        np.minimum(stops - firsts - history, ahead),
        arrays.rgba(rows.ravel())[..., :3].reshape(*rows.shape, *canvas.size(spec["cameras"]), 3),
        np.concatenate([none, *sensors], -1),
        arrays.actions[rows[:, :-1]],
        arrays.chances[rows[:, :-1]],
    )


def write(weights: Path, dataset: Path, spec: Mapping[str, Any], *, begin: bool = False) -> None:
    """Write a model's moments from the episodes of its dataset that it did not learn from.

    `begin`: at the beginning of episodes, because they are games.
    """
    from training.data.dataset import Dataset

    told = cache.read_json(weights / "graphs" / "model.json") or {}
    opened = Dataset.open(dataset)
    splits = opened.info["splits"]
    split = next((name for name in ("test", "val") if name in splits), None)
    held = opened.load(split, rgb=True)
    most = round(AHEAD * spec["rate"])
    # What follows is shortened first: without moments, nothing can be played.
    sizes = [*((MOMENTS, most // part) for part in (1, 2, 4)), *((n, 0) for n in range(8, 0, -1))]
    for count, ahead in sizes:
        data = choose(held, spec, told["history"], count, ahead, begin=begin).packed()
        if len(data) <= LARGEST:
            break
    cache.write(weights / FILE, data)


def of(models: list[tuple[manifest.Model, Path]]) -> tuple[manifest.Model, Path]:
    """Return the model that looks back on the most frames, and the file of its moments.

    `models` pairs each with its folder of graphs. The other models start from the same moments.
    """
    model, graphs = max(models, key=lambda pair: pair[0].history)
    file = contained.inside(graphs.parent, FILE, f"weights {graphs.parent}")
    if not file.is_file():
        raise UserError(
            f"weights {graphs.parent}: {FILE} is missing, the recorded moments from which the page "
            "starts. Run: wmsite train WORLD --full, to make it"
        )
    return model, file


def told(models: list[tuple[manifest.Model, Path]]) -> manifest.Starts:
    """Return the moments' part of the manifest: `_ship` of world_folder.py copies the file."""
    model, file = of(models)
    data = file.read_bytes()
    count, _, ahead = (
        int(n) for n in np.frombuffer(zlib.decompressobj().decompress(data, 12), "<i4")
    )
    return manifest.Starts(
        url=f"{model.family}/{FILE}", sha256=cache.sha256(data), bytes=len(data), count=count,
        ahead=ahead,
    )  # fmt: skip


def unpack(data: bytes, spec: Mapping[str, Any]) -> Array:
    """Return the frames of `Moments.packed` up to each moment; UserError for other bytes."""
    try:
        whole = zlib.decompress(data)
        count, history, ahead = (int(n) for n in np.frombuffer(whole, "<i4", 3))
        shape = (count, history + ahead, *canvas.size(spec["cameras"]), 3)
        frames = np.frombuffer(whole, np.uint8, math.prod(shape), 12 + 4 * count).reshape(shape)
    except (zlib.error, ValueError) as error:
        raise UserError(
            f"world {spec['name']!r}: its {FILE} is damaged ({error}). "
            f"Run: wmsite train {spec['name']}"
        ) from None
    return frames[:, :history]
