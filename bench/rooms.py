"""Doom's rooms: whether a full turn comes back, whether walls hold, how long its views stay known.

The committed weights start from recorded frames of held-out games, and play on alone for a minute,
walked by the rule that walks in the recording too: it sees the model's numbers only. What the map
is follows from what was recorded: where a player ever stood, and what was ever seen.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from bench.table import ROOT, Figure
from builder.project import steps
from builder.project.entries import Entry
from builder.project.worlds import Project
from recipes.rooms.players import walker
from sims.contract import Array
from training.data.dataset import Arrays, Dataset
from training.evaluation import observed, players
from training.evaluation.starts import Scene, held_out, recorded
from training.trainer.checkpoints import load_model

WORLD, FAMILY, PLAYS = "rooms", "first_person", 32
RATE = 35  # steps a second; a view is looked up once a second
MINUTE = 60 * RATE
TURN, TURNED = 105, 360.4  # steps, and their degrees: 5 of 1.758, then 100 of 3.516
LEFT = 0  # the button
CELL = 16.0  # units: the radius of a player
USUAL = 99.9  # % of held-out views are as near to a recorded one as a known view must be
SMALL = 4  # pixels that become one before views are compared


def measure() -> list[Figure]:
    """Return the figures of the committed weights."""
    entry = Entry(Project.open(ROOT).world(WORLD), FAMILY)
    model = load_model(entry.weights)
    dataset = Dataset.open(steps.dataset(entry))
    tests, seen = held_out(dataset, model.config.history, True), dataset.load("train", rgb=True)
    scene = recorded(tests, PLAYS, 1, model.config.history, 1)
    player = players.Model(model)
    return _turned(player, scene) + _walked(player, scene, seen, tests)


def _turned(player: players.Model, scene: Scene) -> list[Figure]:
    """Turn round once on the spot, and compare the last view with the first."""
    player.watch(scene)
    actions, chances = np.zeros_like(scene.actions[:, 0]), scene.chances[:, 0]
    for _ in range(2 * TURN):  # Come to rest first.
        first = player.step(actions, chances)
    stood = player.shown["sensors"].copy()
    actions[:, LEFT] = 1
    views, total, before = [], np.zeros(len(stood)), stood
    for _ in range(TURN):
        views.append(player.step(actions, chances))
        now = player.shown["sensors"].copy()
        across = before[:, 4] * now[:, 5] - before[:, 5] * now[:, 4]
        total += np.arctan2(across, (before[:, 4:6] * now[:, 4:6]).sum(1))
        before = now
    off = np.abs(np.degrees(total) - TURNED)
    aside = np.hypot(*(before[:, :2] - stood[:, :2]).T)
    third, whole = (
        float(observed.psnr(first[..., :3], views[t][..., :3]).mean()) for t in (TURN // 3, -1)
    )
    return [
        _figure("the view after a full turn, beside the one before", whole, "dB",
                f"0.4 degrees further; after a third of a turn: {third:.1f} dB"),
        _figure("such a turn is wrong by, median", float(np.median(off)), "degrees"),
        _figure("such a turn leads away by, median", float(np.median(aside)), "units"),
    ]  # fmt: skip


def _walked(player: players.Model, scene: Scene, seen: Arrays, tests: Arrays) -> list[Figure]:
    """Walk for a minute; look up where the player stands, and what it sees.

    Who comes to the armour begins anew.
    """
    free = {*map(tuple, _cells(seen.state))}
    views = _small(seen.frames)
    limit = float(np.percentile(_nearest(_small(tests.frames[::5]), views), USUAL))
    rng = np.random.default_rng(1)
    player.watch(scene)
    numbers, chances = scene.history_sensors[:, -1], scene.chances[:, 0]
    walkers = [SimpleNamespace(unwrapped=SimpleNamespace(goal=None)) for _ in range(PLAYS)]
    stands = np.zeros((PLAYS, MINUTE), bool)
    known = np.zeros((PLAYS, MINUTE // RATE), bool)
    went, ended = np.zeros(PLAYS), 0
    for t in range(MINUTE):
        actions = np.array(
            [walker({"numbers": one}, who, rng) for one, who in zip(numbers, walkers, strict=True)],
            np.float32,
        )
        frames, before = player.step(actions, chances), numbers
        numbers = player.shown["sensors"].copy()
        went += np.hypot(*(numbers[:, :2] - before[:, :2]).T)
        stands[:, t] = [tuple(cell) in free for cell in _cells(numbers)]
        if t % RATE == 0:
            known[:, t // RATE] = _nearest(_small(frames), views) <= limit
        assert player.heads is not None
        over = np.flatnonzero(player.heads.ends)
        if len(over):
            ended += len(over)
            player.watch(scene.pick(over), over)
            numbers[over] = scene.history_sensors[over, -1]
            for one in over:
                walkers[one].unwrapped.goal = None
    inside = np.mean([tuple(cell) in free for cell in _cells(tests.state)])
    first = np.where(stands.all(1), MINUTE, (~stands).argmax(1)) / RATE
    lost = np.where(known.all(1), MINUTE // RATE, (~known).argmax(1))
    walked = f"{PLAYS} plays of a minute; {went.mean():,.0f} units each; {ended} came to the armour"
    return [
        _figure("steps on ground where a player of the recording stood", 100 * stands.mean(), "%",
                f"{100 * inside:.1f} % of held-out steps"),
        _figure("plays that never leave this ground", 100 * stands.all(1).mean(), "%", walked),
        _figure("seconds until a play leaves it, median", float(np.median(first)), "s"),
        _figure("views as near to a recorded one as held-out views", 100 * known.mean(), "%",
                f"as near as {USUAL} % of these"),
        Figure("rooms: seconds until a view is not, median", float(np.median(lost)), "s",
               at_least=60.0, note="of 60"),
    ]  # fmt: skip


def _figure(what: str, value: float, unit: str, note: str = "") -> Figure:
    return Figure(f"rooms: {what}", value, unit, note=note)


def _cells(numbers: Array) -> Array:
    """Return the cells of the ground in which places lie, int64 [N, 2].

    Walls stand at multiples of 16 units. So cells reach 8 units beyond where a player can stand.
    """
    cells: Array = np.round(numbers[:, :2] / CELL).astype(np.int64)
    return cells


def _small(frames: Array) -> Array:
    """Return frames [N, 1, H, W, 3 or 4] as float32 [N, D], each made smaller."""
    n, height, width = len(frames), *frames.shape[2:4]
    parts = frames[:, 0, ..., :3].reshape(n, height // SMALL, SMALL, width // SMALL, SMALL, 3)
    small: Array = parts.mean((2, 4), dtype=np.float32).reshape(n, -1)
    return small


def _nearest(views: Array, known: Array) -> Array:
    """Return the root mean square difference of each view from the nearest known one, in levels."""
    size = (known**2).sum(1)
    off = [((one**2).sum(1)[:, None] + size - 2 * one @ known.T).min(1)
           for one in np.array_split(views, max(1, len(views) // 64))]  # fmt: skip
    found: Array = np.sqrt(np.maximum(np.concatenate(off), 0) / views.shape[1])
    return found
