"""Whether a model foresees collisions: the probability that it gives one within two seconds.

The five drivers of `drivers` drive in the sim from held-out starts. After two seconds the model
goes on alone, under the same controls. What it says of an end in each step makes the probability
that the drive is over within two seconds. AUROC is the probability that a drive with a collision
gets a higher value than one without (Hanley and McNeil, 1982, doi:10.1148/radiology.143.1.7063747):
50 % for who guesses. The calibration error is the expected one over ten equal bins (Naeini et al.,
2015, doi:10.1609/aaai.v29i1.9602).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from sims.contract import Array
from training.evaluation import bootstrap, players
from training.evaluation.measures.contract import Subject, Table
from training.evaluation.measures.drivers import COLLISION, DRIVERS, Driver, Roads
from training.evaluation.starts import Scene, large_sensors, sensor_matrix, stacked

SEED = 10_000  # far from the seeds of other figures
SECONDS = 2.0
FEWEST = 5  # drives with a collision; of fewer, nothing is told
BINS = 10
DRAWS = 500


def measure(subject: Subject) -> Table | None:
    """Measure AUROC and calibration; None for a world of other sensors, or of few collisions."""
    roads = Roads.of(subject, SEED, 2 * SECONDS)
    if roads is None:
        return None
    cast: dict[str, players.Act] = {subject.recipe.family: "given", "actions shuffled": "shuffled"}
    subject.expect(len(cast) * len(DRIVERS) * roads.scene.alive.size // 2)
    true: list[Array] = []
    told: dict[str, list[Array]] = {name: [] for name in cast}
    for driver in DRIVERS.values():
        scene, collided = driven(roads, driver)
        true.append(collided)
        for name, act in cast.items():
            told[name].append(foreseen(subject, scene, act))
    hit = np.concatenate(true)
    if hit.sum() < FEWEST or (~hit).sum() < FEWEST:
        return None
    return {
        "title": "Whether it foresees a collision",
        "note": (
            f"Five drivers by rule drive in the sim: {len(hit)} drives, of which {hit.sum()} "
            f"collide within {SECONDS:g} s. What the model says of an end under the same controls "
            "makes its probability of a collision."
        ),
        "columns": COLUMNS,
        "rows": [
            {"name": name, "values": _figures(np.concatenate(parts), hit)}
            for name, parts in told.items()
        ],
        "curve": None,
    }


COLUMNS: list[dict[str, Any]] = [
    {"key": "auroc", "label": "AUROC of collisions, 50 %: it guesses", "unit": "%",
     "better": "high"},
    {"key": "calibration", "label": "calibration error of collisions", "unit": "%",
     "better": "low"},
    {"key": "told", "label": "probability of a collision, mean", "unit": "%", "better": ""},
    {"key": "true", "label": "drives with a collision", "unit": "%", "better": ""},
]  # fmt: skip


@dataclass(frozen=True)
class _Noted(Driver):
    """A driver whose controls are kept."""

    actions: list[Array] = field(default_factory=list)

    def act(self, said: Mapping[str, Array], seconds: float) -> Array:
        self.actions.append(super().act(said, seconds))
        return self.actions[-1]


def driven(roads: Roads, driver: Driver) -> tuple[Scene, Array]:
    """Let a driver drive in the sim: the second half of its drives, and which collide in it.

    A model tells that a drive is over, not why: drives that end otherwise are left out.
    """
    noted = _Noted(**asdict(driver))
    drive, given = roads.in_sim(noted), roads.scene
    actions = np.stack(noted.actions, 1)
    real, frames, sensors, large = players.Real(roads.sim_class), [], [], []
    real.watch(given)
    for t in range(actions.shape[1]):
        frames.append(real.step(actions[:, t], given.chances[:, t]))
        sensors.append(sensor_matrix(real.sim))
        large.append(large_sensors(real.sim))
    now = actions.shape[1] // 2
    past, next_ = slice(now - roads.subject.model.config.history, now), slice(now, None)
    between = slice(past.start + 1, now)
    hit = (drive.rewards < COLLISION) & drive.on
    scene = Scene(
        history=np.stack(frames[past], 1),
        history_sensors=np.stack(sensors[past], 1),
        history_actions=actions[:, between],
        history_chances=given.chances[:, between],
        start={},
        frames=np.stack(frames[next_], 1),
        sensors=np.stack(sensors[next_], 1),
        actions=actions[:, next_],
        chances=given.chances[:, next_],
        alive=drive.on[:, next_],
        rewards=drive.rewards[:, next_],
        ends=hit[:, next_],
        history_large=stacked(large[past]),
        large=stacked(large[next_]),
    )
    some = np.flatnonzero(scene.alive[:, 0] & (scene.ends.any(1) | scene.alive[:, -1]))
    return scene.pick(some), np.asarray(scene.ends[some].any(1))


class _Heard:
    """A model whose last probability of an end is kept."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.ends: Array = np.zeros(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def step(self, *inputs: Any) -> Any:
        made = self.model.step(*inputs)
        self.ends = made[2]["terminated"].cpu().numpy().astype(np.float64)
        return made


def foreseen(subject: Subject, scene: Scene, act: players.Act) -> Array:
    """Return the probability that a model gives an end of each drive, float64 [N]."""
    heard = _Heard(subject.model)
    player = subject.counted(players.Model(heard, act=act))
    player.watch(scene)
    goes_on = np.ones(len(scene.actions))
    for t in range(scene.actions.shape[1]):
        player.step(scene.actions[:, t], scene.chances[:, t])
        goes_on *= 1 - heard.ends
    return 1 - goes_on


def _figures(told: Array, true: Array) -> dict[str, bootstrap.Figure | None]:
    return {
        "auroc": _resampled(auroc, told, true),
        "calibration": _resampled(calibration, told, true),
        "told": bootstrap.mean(told, percent=True),
        "true": bootstrap.mean(true, percent=True),
    }


def _resampled(
    figure: Callable[[Array, Array], float], told: Array, true: Array
) -> bootstrap.Figure:
    """Return a figure of all drives in %, with the interval of those drawn from them."""
    rng, drawn = np.random.default_rng(0), []
    for _ in range(DRAWS):
        some = rng.integers(0, len(true), len(true))
        if 0 < true[some].sum() < len(true):
            drawn.append(100 * figure(told[some], true[some]))
    value = 100 * figure(told, true)
    low, high = np.quantile(drawn, bootstrap.EDGES)
    return {"mean": value, "low": min(value, float(low)), "high": max(value, float(high))}


def auroc(told: Array, true: Array) -> float:
    """Return how often a drive with a collision gets a higher value than one without, 0..1."""
    above = told[true][:, None] - told[~true][None]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def calibration(told: Array, true: Array) -> float:
    """Return how far, on average, the told probability is from how often it came true, 0..1."""
    part = np.minimum((told * BINS).astype(np.int64), BINS - 1)
    off = [abs(float((told - true)[part == k].sum())) for k in range(BINS)]
    return sum(off) / len(true)
