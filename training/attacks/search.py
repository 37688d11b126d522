"""Search for actions that break a model soon, and take out of them what is not needed.

CMA-ES (Hansen, 2016, arXiv:1604.00772; the library `cma`) finds them: an action is held for some
steps, and a rollout is the better the sooner it breaks; of those that do not break, the one whose
frames differ most from the sim's under the same actions. It is a simple form of adaptive stress
testing (Lee et al., 2020, arXiv:1811.02188).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sims import exact
from sims.canvas import rgba
from sims.contract import Array, Sim, Spec
from sims.errors import UserError
from training.attacks.judges import Judge
from training.attacks.victim import Broken, play
from training.evaluation.autonomy import CHANCE
from training.evaluation.players import Player
from training.evaluation.starts import Scene, large_sensors, sensor_matrix, stacked

HOLD = 6  # steps for which an action is held
POPULATION = 32  # rollouts side by side
SPREAD = 0.5  # of the first generation, of the range -1..1 of each gene
FINEST = 3  # steps that are taken out at once, at last
AXIS_STEPS = 254  # of an axis in a link to a game, as in site_template/player/replay/link.js


@dataclass(frozen=True)
class Case:
    """A game that breaks a model: its start, the action vectors from there, and where it breaks.

    `actions` are float32 [T, A]; those of the history come first. `step` counts all of them.
    """

    seed: int
    scenario: str
    actions: Array
    step: int
    cause: int


@dataclass(frozen=True)
class Opening:
    """A game from its first frame: a scene of one rollout, and the chance of its steps."""

    seed: int
    scenario: str
    sim_class: type[Sim]
    scene: Scene
    chances: Array  # float32 [T, C], of the steps after the history

    @classmethod
    def of(
        cls, sim_class: type[Sim], seed: int, scenario: str, history: int, steps: int
    ) -> Opening:
        """Start a game; while the model watches, nothing is done. UserError for other chance."""
        sim = sim_class(1)
        sim.reset(np.array([seed]), scenario)
        frames, sensors, large = [rgba(sim)], [sensor_matrix(sim)], [large_sensors(sim)]
        ticks = np.arange(history - 1 + steps)
        chances = exact.uniform(np.full(len(ticks), seed), ticks, CHANCE, len(sim.spec.chance))
        if not np.array_equal(sim.draw(), chances[:1]):
            raise UserError(
                f"world '{sim.spec.name}': the chance of a step is not exact.uniform(seed, tick, "
                "0, ...), so its games can't be searched. Run: draw it so, then the same again"
            )
        still = neutral(sim.spec)
        for _ in range(history - 1):
            sim.step(taken(still[None], sim.spec), sim.draw())
            frames.append(rgba(sim))
            sensors.append(sensor_matrix(sim))
            large.append(large_sensors(sim))
        k = history - 1
        none = np.zeros((1, 0))
        scene = Scene(
            np.stack(frames, 1), np.stack(sensors, 1), np.repeat(still[None, None], k, 1),
            chances[None, :k], sim.snapshot(), none, none, none, none, none, none, none,
            history_large=stacked(large),
        )  # fmt: skip
        return cls(seed, scenario, sim_class, scene, chances[k:])

    def played(self, player: Player, judge: Judge, actions: Array) -> tuple[Broken, Array]:
        """Play action vectors float32 [N, T, A]; return also how far frames are from the sim's.

        That is the mean share of pixels that differ, float64 [N].
        """
        count, steps = actions.shape[:2]
        scene = self.scene.pick(np.zeros(count, np.int64))
        sim = self.sim_class(count)
        sim.restore(scene.start)
        off = np.zeros(count)

        def choose(step: int, frames: Array) -> tuple[Array, Array]:
            nonlocal off
            off = off + (frames != rgba(sim)).any(-1).reshape(count, -1).mean(1) / steps
            chances = np.repeat(self.chances[step : step + 1], count, 0)
            sim.step(taken(actions[:, step], sim.spec), chances)
            return actions[:, step], chances

        return play(player, scene, judge, choose, steps), off


def neutral(spec: Spec) -> Array:
    """Return the action vector of doing nothing: the first action, or all axes at rest."""
    still: Array = np.array([axis.neutral for axis in spec.axes], np.float32)
    if spec.actions:
        still = np.eye(len(spec.actions), dtype=np.float32)[0]
    return still


def taken(vectors: Array, spec: Spec) -> Array:
    """Return actions as `Sim.step` takes them, for vectors [N, A]."""
    return vectors.argmax(1) if spec.actions else vectors


def decoded(genes: Array, spec: Spec, steps: int) -> Array:
    """Return action vectors float32 [N, steps, A] for genes [N, segments * A], -1..1."""
    parts = genes.reshape(len(genes), -1, spec.action_size)
    held = np.repeat(parts, HOLD, 1)[:, :steps]
    vectors: Array
    if spec.actions:
        vectors = np.eye(spec.action_size, dtype=np.float32)[held.argmax(-1)]
        return vectors
    low, high = (np.array([getattr(axis, end) for axis in spec.axes]) for end in ("low", "high"))
    at = np.round((np.clip(held, -1, 1) + 1) / 2 * AXIS_STEPS) / AXIS_STEPS
    vectors = (low + (high - low) * at).astype(np.float32)
    return vectors


def search(
    player: Player, judge: Judge, opening: Opening, generations: int, seed: int,
    tell: Callable[[], None] = lambda: None,
) -> Case | None:  # fmt: skip
    """Return actions that break a model soon, those not needed taken out; None if none are found.

    `tell` is called after each of the generations.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # It would like to draw.
        import cma

    spec, steps = opening.sim_class.spec, len(opening.chances)
    genes = -(-steps // HOLD) * spec.action_size
    options = {"popsize": POPULATION, "seed": seed + 1, "verbose": -9}
    strategy: Any = cma.CMAEvolutionStrategy(np.zeros(genes), SPREAD, options)
    best: tuple[int, Array] | None = None
    for _ in range(generations):
        asked = strategy.ask()
        actions = decoded(np.array(asked), spec, steps)
        broken, off = opening.played(player, judge, actions)
        when = np.where(broken.step > 0, broken.step, steps + 1)
        strategy.tell(asked, list(when - off))
        first = int(when.argmin())
        if when[first] <= steps and (best is None or when[first] < best[0]):
            best = int(when[first]), actions[first]
        tell()
    if best is None:
        return None
    actions = least(best[1][: best[0]], neutral(spec), lambda some: opening.played(
        player, judge, some)[0].step > 0)  # fmt: skip
    broken, _ = opening.played(player, judge, actions[None])
    # In a batch of another size, the last bits differ: it may not break there.
    return case(opening, actions, broken) if broken.step[0] else None


def case(opening: Opening, actions: Array, broken: Broken) -> Case:
    """Return a game that breaks, up to the step that breaks it."""
    step, past = int(broken.step[0]), opening.scene.history_actions[0]
    whole = np.concatenate([past, actions[:step]])
    return Case(opening.seed, opening.scenario, whole, len(whole), int(broken.cause[0]))


def least(actions: Array, still: Array, breaks: Callable[[Array], Array]) -> Array:
    """Take out of action vectors [T, A] all parts without which a model still breaks.

    `breaks` tells of action vectors [N, T, A] which break it, bool [N]. Parts become smaller and
    smaller (Zeller and Hildebrandt, 2002, delta debugging).
    """
    size = max(FINEST, len(actions) // 2)
    while True:
        parts = [slice(k, k + size) for k in range(0, len(actions), size)]
        parts = [part for part in parts if (actions[part] != still).any()]
        tried = np.repeat(actions[None], len(parts), 0)
        for one, part in zip(tried, parts, strict=True):
            one[part] = still
        kept = breaks(tried) if parts else np.zeros(0, bool)
        without = actions.copy()
        for part, works in zip(parts, kept, strict=True):
            if works:
                without[part] = still
        if kept.sum() > 1 and not breaks(without[None])[0]:
            actions = tried[int(kept.argmax())]
            continue
        actions = without
        if size == FINEST:
            return actions
        size = max(FINEST, size // 2)
