"""Autonomous play: a model alone with a player that sees only its frames, judged by the rules.

No sim gives frames to compare with. The figures measure how long the model keeps the world's rules,
and whether its events are like those of the sim under the same player.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims import exact
from sims.contract import Sim
from sims.detector import Detector, Objects
from training.evaluation import bootstrap
from training.evaluation.players import Player
from training.evaluation.starts import HELD_OUT, Scene, make_scene, stacked
from training.recipe import Recipe

Array = NDArray[Any]
# Streams of random numbers: 0 is every world's chance; the player's aim is far from a sim's own.
CHANCE, AIM = 0, 1 << 20
AIM_STEPS = 40  # the player aims the same way for so many steps
# A session in which every rollout has broken a rule ends here: no rollout is left to survive.
LEAST = 300

COLUMNS = (
    ("survived", "rollouts that break no rule", "%", "high"),
    ("collapse", "steps to the first broken rule, median", "", "high"),
    ("clean", "steps that break no rule", "%", "high"),
)
OCCUPANCY = ("occupancy", "where the ball is, distance from the sim's play", "%", "low")


@dataclass
class Session:
    """A session and its judgement: N rollouts, T of the `steps` that were requested."""

    broken: Array  # bool [N, T, rules]
    before: Objects  # [N, T]: the objects before each step
    after: Objects  # [N, T]: and after it
    steps: int

    @property
    def first(self) -> Array:
        """The step of each rollout's first broken rule, from 1; `steps` + 1 without one."""
        bad = np.any(self.broken, -1)
        return np.where(bad.any(1), bad.argmax(1) + 1, self.steps + 1)


def openings(sim_class: type[Sim], recipe: Recipe, seed: int, history: int, rollouts: int) -> Scene:
    """Return held-out starts in which the game is on: `rollouts` of them, and more in reserve."""
    scene = make_scene(sim_class, recipe, seed, history, 1, 2 * rollouts + 8)
    return scene.pick(np.flatnonzero(scene.alive[:, 0]))


def play_alone(
    player: Player,
    sim_class: type[Sim],
    detector: Detector,
    starts: Scene,
    rollouts: int,
    steps: int,
    tell: Callable[[], None] = lambda: None,
) -> Session:
    """Let the detector's player play from the first `rollouts` starts, for `steps` steps.

    If games end at once, there are fewer starts, but at least one is required. A game that ends
    continues at once from one of the other starts; that breaks no rule, and its steps continue to
    count. Chance is drawn as sims draw it, from seeds of its own. `tell` is called after each step.
    """
    spec = sim_class.spec
    rollouts = min(rollouts, len(starts.history))
    seeds = HELD_OUT + (1 << 39) + np.arange(rollouts, dtype=np.int64)
    spare, games = len(starts.history), rollouts
    scene = starts.pick(slice(0, rollouts))
    player.watch(scene)
    referee = detector.referee(rollouts)
    referee.watch(np.arange(rollouts), scene.start)
    shown = detector.read(scene.history[:, -1, 0])
    broken: list[Array] = []
    before: list[Objects] = []
    after: list[Objects] = []
    collapsed = np.zeros(rollouts, bool)
    for t in range(steps):
        tick = np.full(rollouts, t)
        actions = detector.act(shown, exact.uniform(seeds, tick // AIM_STEPS, AIM, 1)[:, 0])
        given = np.eye(spec.action_size, dtype=np.float32)[actions] if spec.actions else actions
        chances = exact.uniform(seeds, tick, CHANCE, len(spec.chance))
        seen = detector.read(player.step(given, chances)[:, 0])
        broken.append(referee.judge(shown, actions, seen))
        before.append(shown)
        after.append(seen)
        collapsed |= broken[-1].any(1)
        tell()
        if t + 1 >= LEAST and collapsed.all():
            break
        shown = seen
        rows = np.flatnonzero(detector.over(seen))
        if len(rows):
            again = starts.pick((games + np.arange(len(rows))) % spare)
            games += len(rows)
            player.watch(again, rows)
            referee.watch(rows, again.start)
            shown = {name: value.copy() for name, value in seen.items()}
            for name, value in detector.read(again.history[:, -1, 0]).items():
                shown[name][rows] = value
    return Session(np.stack(broken, 1), stacked(before), stacked(after), steps)


def row(name: str, session: Session, detector: Detector, other: Session) -> dict[str, Any]:
    """Return one player's figures; `other` is the sim's play from other starts."""
    values = {
        "survived": survival(session, session.steps),
        "collapse": bootstrap.median(np.minimum(session.first, session.steps)),
        "clean": bootstrap.mean(1.0 - session.broken.any(-1).mean(1), True),
    }
    for key, found in detector.statistics(session.before, session.after).items():
        values[key] = bootstrap.mean(found)
    values["occupancy"] = bootstrap.distance(
        detector.places(session.after), detector.places(other.after)
    )
    return {"name": name, "values": values}


def survival(session: Session, step: int) -> bootstrap.Figure | None:
    """Return the share of rollouts that broke no rule up to a step."""
    return bootstrap.mean(session.first > step, True)


def curve(session: Session, steps: list[int]) -> list[bootstrap.Figure | None]:
    """Return the survival at each of some steps."""
    return [survival(session, step) for step in steps]


def culprits(session: Session, detector: Detector) -> dict[str, int]:
    """Count the rules that ended rollouts; of several in one step, the first in order."""
    names = list(detector.rules)
    steps = session.first
    found = Counter(
        names[int(session.broken[i, step - 1].argmax())]
        for i, step in enumerate(steps)
        if step <= session.steps
    )
    return {name: found[name] for name in names if found[name]}


def broken(session: Session, detector: Detector) -> dict[str, float]:
    """Return the share of steps in which each rule is broken, in percent."""
    shares = 100 * session.broken.mean((0, 1))
    return dict(zip(detector.rules, map(float, shares), strict=True))


def columns(detector: Detector) -> list[dict[str, str]]:
    """Return the columns of `row`, for tables."""
    told = [*COLUMNS, *((k, *v) for k, v in detector.statistic_labels.items()), OCCUPANCY]
    return [
        {"key": key, "label": label, "unit": unit, "better": better}
        for key, label, unit, better in told
    ]


def report(sessions: dict[str, Session], detector: Detector, other: Session) -> dict[str, Any]:
    """Return metrics.json's `autonomy`: a table, survival by step, and the first broken rules."""
    steps = next(iter(sessions.values())).steps
    grid = sorted({round(steps * i / 50) for i in range(51)})
    return {
        "columns": columns(detector),
        "rows": [row(name, played, detector, other) for name, played in sessions.items()],
        "curve": {
            "label": "rollouts that have broken no rule",
            "unit": "%",
            "steps": grid,
            "series": {name: curve(played, grid) for name, played in sessions.items()},
        },
        "rules": detector.rules,
        "broken": {name: broken(played, detector) for name, played in sessions.items()},
        "culprits": {name: culprits(played, detector) for name, played in sessions.items()},
        "steps": steps,
        "rollouts": {name: len(played.broken) for name, played in sessions.items()},
    }
