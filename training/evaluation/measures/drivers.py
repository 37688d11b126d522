"""How well a model judges drivers: each drives in the model and in the sim, and both give scores.

Five drivers see only what a vehicle's sensors say. From each start they drive for four seconds,
under the same chance. A drive's score is the extended predictive driver model score of NAVSIM
(Dauner et al., 2024, arXiv:2406.15349; Cao et al., 2025, arXiv:2506.04218), as far as sensors,
reward and end tell it: its weights without that of two plans in a row, and progress as a part of
what the best of the five drove. If the model ranks the drivers as the sim does, it can stand in for
the sim where drivers are compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sims.contract import Array, Sim
from training.evaluation import bootstrap, players
from training.evaluation.measures.contract import Subject, Table
from training.evaluation.starts import Scene, large_sensors, sensor_matrix

SEED = 8000  # far from the seeds of other figures
SECONDS = 4.0
SENSORS = (
    "speed", "acceleration", "yaw_rate", "lateral_offset", "lead_distance", "waypoints",
)  # fmt: skip
CONTROLS = ("steer", "throttle", "brake")
# Of a drive, by the reward of a step: what costs more is a collision, what costs less a red light.
COLLISION, RED_LIGHT = -15.0, -5.0
OFF, HALF_LANE, ASIDE = 3.0, 1.75, 0.5  # metres beside the middle of the lane
ASIDE_SECONDS = 2.0  # for so long, a drive is not in its lane
WRONG_WAY = (2.0, 6.0)  # metres in the other lane that cost half, and all
NEAR_MISS = 1.0  # seconds to a collision
JUMP = 2.0  # metres in a step: another vehicle is ahead now
# Comfort as in nuPlan: m/s^2 along, m/s^2 across, rad/s.
BRAKING, PUSHING, ACROSS, TURNING = -4.05, 2.40, 4.89, 0.95
WEIGHTS = {"progress": 5.0, "time": 5.0, "lane": 2.0, "comfort": 2.0}
STARTED = 5.0  # metres: where no driver comes further, all have gone far enough


@dataclass(frozen=True)
class Driver:
    """A driver by rule: steers to the route's points, and keeps a distance."""

    wish: float  # metres a second
    headway: float  # seconds behind what drives ahead; 0: it does not look
    push: float = 2.0  # the most it accelerates, m/s^2
    late: float = 1.0  # how much of what it should steer it steers
    swing: float = 0.0  # steering to and fro, share

    def act(self, said: Mapping[str, Array], seconds: float) -> Array:
        """Return steer, throttle and brake float32 [N, 3] for what sensors say."""
        speed, lead = said["speed"], said["lead_distance"]
        points = said["waypoints"]
        x, y = points[:, 0, 0], points[:, 0, 1]
        far = np.clip((speed - 5) / 5, 0, 1)
        x, y = x + far * (points[:, 1, 0] - x), y + far * (points[:, 1, 1] - y)
        # Pure pursuit: the arc that starts straight ahead and goes through the point.
        steer = self.late * WHEELBASE * 2 * y / np.maximum(x * x + y * y, 4.0) / MAX_STEER
        steer = steer + self.swing * math.sin(2 * math.pi * seconds / 1.5)
        want = self.push * (1 - (speed / self.wish) ** 4)
        if self.headway:
            gap = 2.0 + speed * self.headway
            want = want - self.push * (gap / np.maximum(lead, 0.5)) ** 2
        throttle, brake = np.clip(want / POWER, 0, 1), np.clip(-want / BRAKES, 0, 1)
        return np.stack([np.clip(steer, -1, 1), throttle, brake], 1).astype(np.float32)


# What a driver takes its vehicle for: metres, radians, m/s^2.
WHEELBASE, MAX_STEER, POWER, BRAKES = 2.6, 0.6, 4.0, 8.0
DRIVERS = {
    "careful": Driver(wish=7.0, headway=2.0, push=1.2),
    "usual": Driver(wish=10.0, headway=1.2),
    "hasty": Driver(wish=15.0, headway=0.4, push=4.0),
    "blind": Driver(wish=10.0, headway=0.0),
    "drunk": Driver(wish=10.0, headway=1.2, late=0.7, swing=0.35),
}


def measure(subject: Subject) -> Table | None:
    """Let each driver drive in the model and in the sim; None for a world of other sensors."""
    roads = Roads.of(subject, SEED, SECONDS)
    if roads is None:
        return None
    scene = roads.scene
    subject.expect(len(DRIVERS) * scene.actions[:, :, 0].size)
    rows, scores = [], {}
    for where, drive in (("model", roads.in_model), ("sim", roads.in_sim)):
        drives = {name: drive(driver) for name, driver in DRIVERS.items()}
        best = np.max([one.metres for one in drives.values()], 0)
        parts = {name: one.parts(best) for name, one in drives.items()}
        scores[where] = np.stack([part["score"] for part in parts.values()])
        rows += [(name, where, part) for name, part in parts.items()]
    told: list[dict[str, Any]] = [
        {
            "name": f"{name}, in the {where}",
            "values": {
                key: bootstrap.mean(part[key], unit == "%") for key, (_, unit, _) in FIGURES.items()
            } | {"tau": None},
        }
        for name in DRIVERS
        for also, where, part in rows
        if also == name
    ]  # fmt: skip
    values: dict[str, Any] = dict.fromkeys(FIGURES)
    told.append({"name": "the ranking", "values": values | {"tau": _agreement(**scores)}})
    columns = [
        {"key": key, "label": label, "unit": unit, "better": better}
        for key, (label, unit, better) in FIGURES.items()
    ]
    columns.append({
        "key": "tau", "label": "Kendall's tau of the scores, 1: ranked alike", "unit": "",
        "better": "high",
    })  # fmt: skip
    return {
        "title": "How it judges drivers",
        "note": (
            f"Five drivers by rule drive for {SECONDS:g} seconds from {len(scene.history)} starts, "
            "in the model and in the sim. They see only the sensors. The score is that of NAVSIM "
            "(EPDMS), as far as sensors, reward and end tell it."
        ),
        "columns": columns,
        "rows": told,
        "curve": None,
    }


FIGURES = {
    "score": ("score", "%", "high"),
    "collision": ("drives with a collision", "%", ""),
    "off": (f"drives more than {OFF:g} m beside their lane", "%", ""),
    "metres": ("metres driven", "m", ""),
    "time": (f"drives never within {NEAR_MISS:g} s of a collision", "%", ""),
    "lane": ("drives in the middle of their lane", "%", ""),
    "comfort": ("comfortable drives", "%", ""),
}


@dataclass
class Drive:
    """What N vehicles did for T steps: float64 [N, T] each; `on` until it was over."""

    said: dict[str, Array]
    rewards: Array
    on: Array
    rate: float

    @property
    def metres(self) -> Array:
        """The metres that each drove, [N]."""
        return np.asarray((self.said["speed"] * self.on).sum(1) / self.rate)

    def parts(self, best: Array) -> dict[str, Array]:
        """Return the score and its parts, [N] each; `best` metres were driven by any driver."""
        s, on = self.said, self.on

        def never(wrong: Array) -> Array:
            return np.asarray(1.0 - (wrong & on).any(1))

        collision = 1 - never(self.rewards < COLLISION)
        off = 1 - never(np.abs(s["lateral_offset"]) > OFF)
        law = never((self.rewards < RED_LIGHT) & (self.rewards >= COLLISION))
        wrong = ((s["lateral_offset"] > HALF_LANE) & on) * s["speed"] / self.rate
        direction = 1 - 0.5 * sum(wrong.sum(1) > metres for metres in WRONG_WAY)
        progress = np.where(best > STARTED, self.metres / np.maximum(best, 1e-6), 1.0)
        closing = -np.diff(s["lead_distance"], axis=1, prepend=s["lead_distance"][:, :1])
        closing = np.where(np.abs(closing) < JUMP, closing, 0.0) * self.rate
        time = never(s["lead_distance"] < NEAR_MISS * closing)
        aside, long = np.abs(s["lateral_offset"]) > ASIDE, round(ASIDE_SECONDS * self.rate)
        run = np.cumsum(np.pad(aside & on, ((0, 0), (1, 0))), 1)
        lane = 1.0 - ((run[:, long:] - run[:, :-long]) == long).any(1)
        along, across = s["acceleration"], s["speed"] * s["yaw_rate"]
        comfort = never(
            (along < BRAKING) | (along > PUSHING) | (np.abs(across) > ACROSS)
            | (np.abs(s["yaw_rate"]) > TURNING)
        )  # fmt: skip
        told = {"progress": progress, "time": time, "lane": lane, "comfort": comfort}
        score = sum(WEIGHTS[name] * told[name] for name in WEIGHTS) / sum(WEIGHTS.values())
        score = score * (1 - collision) * (1 - off) * law * direction
        return told | {"score": score, "collision": collision, "off": off, "metres": self.metres}


Step = Callable[[Array, Array], tuple[Mapping[str, Array], Array, Array]]


@dataclass
class Roads:
    """Starts from which drivers drive, in a model and in its sim."""

    subject: Subject
    sim_class: type[Sim]
    scene: Scene
    layout: dict[str, int]  # the place of each sensor of one number among all of them

    @classmethod
    def of(cls, subject: Subject, seed: int, seconds: float) -> Roads | None:
        """Return held-out starts; None if the world or its model has not what drivers see."""
        sim_class = subject.sim_class
        if sim_class is None or tuple(axis.name for axis in sim_class.spec.axes) != CONTROLS:
            return None
        if not {*SENSORS} <= {sensor.name for sensor in sim_class.spec.sensors}:
            return None
        if not {"sensors", "waypoints"} <= {*subject.model.observed}:
            return None
        steps = round(seconds * sim_class.spec.rate)
        scene = subject.scene(seed, steps, subject.recipe.evaluate.rollouts)
        layout, at = {}, 0
        for sensor in sim_class.spec.sensors:
            if len(sensor.shape) == 1:
                layout[sensor.name] = at
                at += sensor.shape[0]
        return cls(subject, sim_class, scene.pick(np.flatnonzero(scene.alive[:, 0])), layout)

    def in_model(self, driver: Driver) -> Drive:
        """Let a driver drive in the model."""
        model = self.subject.counted(players.Model(self.subject.model))
        model.watch(self.scene)

        def step(action: Array, chance: Array) -> tuple[Mapping[str, Array], Array, Array]:
            model.step(action, chance)
            assert model.heads
            return _said(model.shown, self.layout), model.heads.rewards, model.heads.ends

        return self._driven(driver, step)

    def in_sim(self, driver: Driver) -> Drive:
        """Let a driver drive in the sim."""
        sim = self.sim_class(len(self.scene.history))
        sim.restore(self.scene.start)

        def step(action: Array, chance: Array) -> tuple[Mapping[str, Array], Array, Array]:
            reward, ended, _ = sim.step(action, chance)
            shown = {"sensors": sensor_matrix(sim), **large_sensors(sim)}
            return _said(shown, self.layout), reward, ended

        return self._driven(driver, step)

    def _driven(self, driver: Driver, step: Step) -> Drive:
        scene, rate = self.scene, self.sim_class.spec.rate
        said: Mapping[str, Array] = _said(
            {name: value[:, -1] for name, value in scene.history_shown.items()}, self.layout
        )
        on = np.ones(len(scene.history), bool)
        seen: dict[str, list[Array]] = {name: [] for name in SENSORS if name != "waypoints"}
        rewards, alive = [], []
        for t in range(scene.actions.shape[1]):
            said, reward, ended = step(driver.act(said, t / rate), scene.chances[:, t])
            for name, values in seen.items():
                values.append(said[name])
            rewards.append(reward)
            alive.append(on)
            on = on & ~ended
        told = {name: np.stack(values, 1).astype(np.float64) for name, values in seen.items()}
        return Drive(told, np.stack(rewards, 1), np.stack(alive, 1), rate)


def _said(shown: Mapping[str, Array], layout: Mapping[str, int]) -> dict[str, Array]:
    """Return each sensor of one number [N], and the route's points, by name."""
    told = {name: shown["sensors"][:, at] for name, at in layout.items()}
    return told | {"waypoints": shown["waypoints"]}


def _agreement(model: Array, sim: Array) -> bootstrap.Figure:
    """Return Kendall's tau of the drivers' mean scores [drivers, N], with its interval."""
    draws = np.random.default_rng(0).integers(0, sim.shape[1], (bootstrap.DRAWS, sim.shape[1]))
    drawn = [_tau(model[:, some].mean(1), sim[:, some].mean(1)) for some in draws]
    low, high = np.quantile(drawn, bootstrap.EDGES)
    return {"mean": _tau(model.mean(1), sim.mean(1)), "low": float(low), "high": float(high)}


def _tau(one: Array, other: Array) -> float:
    """Return Kendall's tau of two rankings (Kendall, 1938, doi:10.1093/biomet/30.1-2.81)."""
    first, second = np.triu_indices(len(one), 1)
    alike = np.sign(one[first] - one[second]) * np.sign(other[first] - other[second])
    return float(alike.mean())
