"""The scenes on which models are measured: the sim, played from seeds that no dataset has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.canvas import rgba
from sims.contract import Sim
from sims.detector import Objects, detector_of
from sims.errors import UserError
from training.data.components import in_state
from training.data.dataset import Arrays, Dataset
from training.data.record import plan
from training.recipe import Recipe

Array = NDArray[Any]
# Evaluation seeds start here; recordings use lower seeds.
HELD_OUT = 1 << 40
WARM_UP = 90


@dataclass
class Scene:
    """The start and the inputs of one group of rollouts: N rollouts, T steps."""

    history: Array  # uint8 [N, K, cams, H, W, 4]
    history_sensors: Array  # float32 [N, K, S]
    history_actions: Array  # float32 [N, K - 1, A]
    history_chances: Array  # float32 [N, K - 1, C]
    start: dict[str, Array]  # the sim's snapshot at the end of the history
    frames: Array  # uint8 [N, T, cams, H, W, 4]: the sim's frame after each step
    sensors: Array  # float32 [N, T, S]: and its sensors
    actions: Array  # float32 [N, T, A]
    chances: Array  # float32 [N, T, C]
    alive: Array  # bool [N, T]: the game had not ended before the step
    rewards: Array  # float32 [N, T]: the reward of the step
    ends: Array  # bool [N, T]: it ended the game
    # Sensors of several dimensions, by name: [N, K, ...] and [N, T, ...].
    history_large: dict[str, Array] = field(default_factory=dict)
    large: dict[str, Array] = field(default_factory=dict)
    truth: Objects = field(default_factory=dict)  # [N, T]: the objects in the sim's state
    events: dict[str, Array] = field(default_factory=dict)  # bool [N, T]: the events of the sim

    @property
    def history_parts(self) -> dict[str, Any]:
        """Return the arguments of `watch` in `training.families.base`, by name."""
        return {
            "shown": self.history_shown,
            "actions": self.history_actions,
            "chances": self.history_chances,
        }

    @property
    def history_shown(self) -> dict[str, Array]:
        """Return the sim's observations in the history, by the names of the model's states."""
        return {"frame": self.history, "sensors": self.history_sensors, **self.history_large}

    @property
    def shown(self) -> dict[str, Array]:
        """Return the sim's observations after each step, by the names of the model's states."""
        return {"frame": self.frames, "sensors": self.sensors, **self.large}

    @property
    def observed(self) -> dict[str, Array]:
        """Return the sim's observations before each step, by the names of the model's states."""
        past, now = self.history_shown, self.shown
        return {name: np.concatenate([past[name][:, -1:], now[name][:, :-1]], 1) for name in now}

    def pick(self, rows: Any) -> Scene:
        """Return some of the rollouts: a slice, or an array of their indices."""
        parts: dict[str, Any] = {
            name: {k: v[rows] for k, v in value.items()} if isinstance(value, dict) else value[rows]
            for name, value in vars(self).items()
        }
        return Scene(**parts)


def one_hot(sim: Sim, actions: Array) -> Array:
    """Return the model's action vectors float32 [N, A] for actions as `Sim.step` takes them."""
    if sim.spec.actions:
        return np.eye(sim.spec.action_size, dtype=np.float32)[actions]
    return actions.astype(np.float32)


def sensor_matrix(sim: Sim) -> Array:
    """Return sensors float32 [N, S], flattened as a dataset's `observation.state`."""
    values = sim.sensors()
    told = [s for s in sim.spec.sensors if in_state(s.shape)]
    parts = [values[s.name].reshape(sim.worlds, -1) for s in told]
    empty = np.zeros((sim.worlds, 0), np.float32)
    return np.concatenate([empty, *parts], 1).astype(np.float32)


def large_sensors(sim: Sim) -> dict[str, Array]:
    """Return copies of the sensors of several dimensions, by name."""
    values = sim.sensors()
    return {s.name: values[s.name].copy() for s in sim.spec.sensors if not in_state(s.shape)}


class Cast:
    """Assign the recipe's behaviours and scenarios to worlds, and act for all of them."""

    def __init__(self, sim: Sim, recipe: Recipe, seeds: Array, rng: np.random.Generator) -> None:
        self.sim, self.seeds = sim, seeds

        def deal(shares: dict[str, float]) -> tuple[list[str], Array]:
            weights = np.array(list(shares.values()))
            return list(shares), rng.choice(len(shares), sim.worlds, p=weights / weights.sum())

        shares = plan(type(sim), recipe.data)
        self.behaviours, self.role = deal(shares["behaviours"])
        self.scenarios, self.scene = deal(shares["scenarios"])
        self.reset(np.ones(sim.worlds, bool))

    def reset(self, where: Array) -> None:
        """Reset the chosen worlds, each in its scenario, from a seed never used before."""
        self.seeds = self.seeds + self.sim.worlds * where
        for k, name in enumerate(self.scenarios):
            picked = where & (self.scene == k)
            if picked.any():
                self.sim.reset(self.seeds, name, picked)

    def act(self) -> Array:
        """Return each world's action by its own behaviour."""
        picks = np.stack([self.sim.act(name) for name in self.behaviours])
        return np.asarray(picks[self.role, np.arange(self.sim.worlds)])


def make_scene(
    sim_class: type[Sim], recipe: Recipe, seed: int, history: int, steps: int, rollouts: int
) -> Scene:
    """Play the sim from held-out seeds and store what a model is compared with."""
    sim = sim_class(rollouts)
    rng = np.random.default_rng(seed)
    seeds = HELD_OUT + seed * (1 << 30) + np.arange(rollouts, dtype=np.int64)
    cast = Cast(sim, recipe, seeds, rng)
    detector = detector_of(recipe.world)
    # Rollouts start at every phase of a game: each world is reset once in the warm-up.
    anew = rng.integers(0, WARM_UP, rollouts)
    for t in range(WARM_UP):
        _, terminated, _ = sim.step(cast.act(), sim.draw())
        cast.reset(terminated | (anew == t))
    frames, sensors, large = [rgba(sim)], [sensor_matrix(sim)], [large_sensors(sim)]
    actions, chances, rewards, ended = [], [], [], []
    truth: list[Objects] = []
    events: list[dict[str, Array]] = []
    start: dict[str, Array] = {}
    for t in range(history - 1 + steps):
        if t == history - 1:
            start = sim.snapshot()
        action, chance = cast.act(), sim.draw()
        reward, terminated, _ = sim.step(action, chance)
        actions.append(one_hot(sim, action))
        chances.append(chance)
        frames.append(rgba(sim))
        sensors.append(sensor_matrix(sim))
        large.append(large_sensors(sim))
        rewards.append(reward)
        ended.append(terminated)
        if detector and t >= history - 1:
            truth.append(detector.truth(sim.state))
            told = sim.events()
            events.append({name: told[name] for name in detector.event_labels})
    k = history - 1
    over = np.stack([np.zeros(rollouts, bool), *ended], 1)[:, k:]
    return Scene(
        history=np.stack(frames[:history], 1),
        history_sensors=np.stack(sensors[:history], 1),
        history_actions=np.stack(actions[:k], 1),
        history_chances=np.stack(chances[:k], 1),
        start=start,
        frames=np.stack(frames[history:], 1),
        sensors=np.stack(sensors[history:], 1),
        actions=np.stack(actions[k:], 1),
        chances=np.stack(chances[k:], 1),
        alive=~over[:, :-1],
        rewards=np.stack(rewards[k:], 1),
        ends=over[:, 1:] & ~over[:, :-1],
        history_large=stacked(large[:history]),
        large=stacked(large[history:]),
        truth=stacked(truth),
        events=stacked(events),
    )


def held_out(dataset: Dataset, history: int, rgb: bool = False) -> Arrays:
    """Return recordings that training never saw, or seen ones if there are no others."""
    for split in ("test", "val"):
        if split in dataset.info["splits"]:
            arrays = dataset.load(split, rgb=rgb)
            if len(arrays.windows(history)):
                return arrays
    return dataset.load("train", rgb=rgb)


def recorded(arrays: Arrays, rollouts: int, steps: int, history: int, seed: int) -> Scene:
    """Cut rollouts out of a dataset, at most `steps` long: shorter where nine games in ten are.

    Raises UserError if no episode is longer than the history.
    """
    lengths = np.sort(arrays.episodes[:, 1] - arrays.episodes[:, 0])
    # The few longest games alone would say little of how the others are played.
    usual = int(lengths[len(lengths) * 9 // 10]) if len(lengths) else 0
    longest = usual if usual > history else int(lengths.max(initial=0))
    steps = min(steps, longest - history)
    starts = arrays.windows(history - 1 + steps) if steps > 0 else np.zeros(0, np.int64)
    if not len(starts):
        raise UserError(
            f"recording: no episode is longer than the model's history of {history} frames. "
            "Run: raise data.episode_steps in the recipe, then build again"
        )
    rng = np.random.default_rng(seed)
    picked = rng.choice(starts, rollouts, replace=len(starts) < rollouts)
    return _cut(arrays, picked, history, steps)


def closing(arrays: Arrays, rollouts: int, steps: int, history: int, seed: int) -> Scene | None:
    """Cut the last `steps` of recorded games that ended, so that the last step ends each.

    None if no game that ended is long enough.
    """
    starts = arrays.episodes[:, 1] - history - steps
    # The last row is the frame after the end: the step before it ended the game.
    whole = (starts >= arrays.episodes[:, 0]) & arrays.dones[arrays.episodes[:, 1] - 2]
    if not whole.any():
        return None
    rng = np.random.default_rng(seed)
    picked = rng.choice(starts[whole], rollouts, replace=whole.sum() < rollouts)
    return _cut(arrays, picked, history, steps)


def whole_games(arrays: Arrays, rollouts: int, steps: int, history: int, seed: int) -> Scene | None:
    """Cut recorded games from their first frames to their ends, at most `steps` long.

    A game that is over repeats its last frame. None if no game is longer than the history.
    """
    games = arrays.episodes[arrays.episodes[:, 1] - arrays.episodes[:, 0] > history]
    if not len(games):
        return None
    rng = np.random.default_rng(seed)
    picked = games[rng.permutation(len(games))[:rollouts]]
    longest = int((picked[:, 1] - picked[:, 0]).max()) - history
    scene = _cut(arrays, picked[:, 0], history, min(steps, longest), picked[:, 1])
    scene.ends &= scene.alive
    return scene


def _cut(
    arrays: Arrays, starts: Array, history: int, steps: int, stops: Array | None = None
) -> Scene:
    """Cut rollouts out of a dataset that start at the rows `starts`, int64 [N].

    They hold no row from `stops` on, int64 [N]: the last one before is repeated.
    """
    rows = starts[:, None] + np.arange(history + steps)
    alive = np.ones((len(starts), steps), np.bool_)
    if stops is not None:
        alive = rows[:, history:] < stops[:, None]
        rows = np.minimum(rows, stops[:, None] - 1)
    frames = arrays.rgba(rows)
    k = history - 1
    return Scene(
        history=frames[:, :history],
        history_sensors=arrays.state[rows[:, :history]],
        history_actions=arrays.actions[rows[:, :k]],
        history_chances=arrays.chances[rows[:, :k]],
        start={},
        frames=frames[:, history:],
        sensors=arrays.state[rows[:, history:]],
        actions=arrays.actions[rows[:, k:-1]],
        chances=arrays.chances[rows[:, k:-1]],
        alive=alive,
        rewards=arrays.rewards[rows[:, k:-1]],
        ends=arrays.dones[rows[:, k:-1]],
        history_large={name: values[rows[:, :history]] for name, values in arrays.large.items()},
        large={name: values[rows[:, history:]] for name, values in arrays.large.items()},
    )


def stacked(parts: list[dict[str, Array]]) -> dict[str, Array]:
    """Return arrays [N, T, ...] by name from one dict of arrays [N, ...] for each step."""
    return {name: np.stack([part[name] for part in parts], 1) for name in parts[0]} if parts else {}
