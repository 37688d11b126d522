"""Doom's model: where its monster is, what its bullets do, and whether its numbers can be read.

The committed weights play held-out games under the actions of those games. What a frame shows is
read from its pixels, by the same rules in the model's frames and in the recorded ones.
"""

from __future__ import annotations

import numpy as np

from bench.table import ROOT, Figure
from builder.project import steps
from builder.project.entries import Entry
from builder.project.worlds import Project
from sims.contract import Array
from training.data.dataset import Dataset
from training.evaluation import players
from training.evaluation.starts import Scene, held_out, whole_games
from training.trainer.checkpoints import load_model

WORLD, FAMILY, GAMES, STEPS, NEAR = "doom", "numbers", 400, 100, 2
HORIZONS = {30: 90.0, 100: 75.0}  # and what is asked of the monster's place, in %
BULLETS = 3  # of the sensors
SHARE = 2 / 80  # of the width: so far from its place is near
BAND = slice(36, 52)  # rows in which the monster is seen, of 96
DIGITS = (slice(83, 92), slice(4, 20))  # rows and columns of the number of bullets
BLUE = 6  # levels by which the monster is bluer than red; the room is brown


def measure() -> list[Figure]:
    """Return the figures of the committed weights."""
    entry = Entry(Project.open(ROOT).world(WORLD), FAMILY)
    model = load_model(entry.weights)
    arrays = held_out(Dataset.open(steps.dataset(entry)), model.config.history, True)
    scene = whole_games(arrays, GAMES, STEPS, model.config.history, 1)
    assert scene is not None
    frames, ends = _played(players.Model(model), scene)
    patterns = _patterns(scene)
    found = []
    true = {t: scene.frames[:, t - 1, 0] for t in HORIZONS}
    for t, asked in HORIZONS.items():
        here = scene.alive[:, t - 1]
        at = _monster(true[t][here])
        seen = ~np.isnan(at)
        off = np.abs(_monster(frames[t][here])[seen] - at[seen])
        near = off <= SHARE * scene.frames.shape[4]
        said = f"doom, step {t}: the monster within {SHARE:.1%} of the width"
        note = f"{seen.sum()} held-out games of {here.sum()} that go on show it"
        found.append(Figure(said, _share(near), "%", at_least=asked, note=note))
        mine, real = (_read(shown[here], patterns) for shown in (frames[t], true[t]))
        told = scene.sensors[here, t - 1, BULLETS].round()
        said = f"doom, step {t}: bullets read as from the recorded frame"
        note = f"read from that: {_share(real == told):.0f} %, since a shot shows a step late"
        found.append(Figure(said, _share(mine == real), "%", at_least=95.0, note=note))
    return found + _shots(scene, ends)


def _played(player: players.Model, scene: Scene) -> tuple[dict[int, Array], Array]:
    """Play alone; return the frames at the horizons, and bool [N, T] where it says the end."""
    player.watch(scene)
    frames: dict[int, Array] = {}
    ends = np.zeros(scene.ends.shape, bool)
    for t in range(scene.ends.shape[1]):
        shown = player.step(scene.actions[:, t], scene.chances[:, t])
        assert player.heads is not None
        ends[:, t] = player.heads.ends
        if t + 1 in HORIZONS:
            frames[t + 1] = shown[:, 0]
    return frames, ends


def _monster(frames: Array) -> Array:
    """Return the column of the monster, float64 [N], NaN where no pixel looks like it."""
    part = frames[:, BAND].astype(np.int64)
    blue = np.maximum(part[..., 2] - part[..., 0] - BLUE, 0).sum(1)
    total = blue.sum(1)
    columns = (blue * np.arange(blue.shape[1])).sum(1) / np.maximum(total, 1)
    return np.where(total > 0, columns, np.nan)


def _patterns(scene: Scene) -> dict[int, Array]:
    """Return how each number of bullets looks in recorded frames, on average.

    A game that is over repeats its last frame, which shows a bullet more than is left.
    """
    told = np.where(scene.alive, scene.sensors[..., BULLETS].round(), np.nan)
    shown = scene.frames[:, :, 0, *DIGITS, :3].astype(np.float32)
    return {int(n): shown[told == n].mean(0) for n in np.unique(told[scene.alive])}


def _read(frames: Array, patterns: dict[int, Array]) -> Array:
    """Return the number of bullets that frames show: that of the nearest pattern."""
    shown = frames[:, *DIGITS, :3].astype(np.float32)
    off = [np.abs(shown - one).mean((1, 2, 3)) for one in patterns.values()]
    read: Array = np.array([*patterns])[np.argmin(off, 0)]
    return read


def _shots(scene: Scene, ends: Array) -> list[Figure]:
    """Return whether shots that hit end the model's game, and those that miss don't."""
    told = scene.sensors[..., BULLETS]
    shot = (np.diff(told, axis=1, prepend=told[:, :1]) < 0) & scene.alive
    games, times = np.nonzero(shot)
    hits = scene.ends[games, times]
    span = np.arange(-NEAR, NEAR + 1)
    around = np.clip(times[:, None] + span, 0, ends.shape[1] - 1)
    ended = ends[games[:, None], around].any(1)
    return [
        Figure("doom: shots that hit, and end its game", _share(ended[hits]), "%",
               at_least=95.0, note=f"{hits.sum()} shots"),
        Figure("doom: shots that miss, and do not", _share(~ended[~hits]), "%",
               at_least=95.0, note=f"{(~hits).sum()} shots"),
    ]  # fmt: skip


def _share(right: Array) -> float:
    """Return the share of what is right, in percent."""
    return 100 * float(right.mean())
