"""The games that training samples from: many side by side, step after step, one stream for each.

`Recorded` replays a dataset. `Live` plays the sim itself, and lets the model continue from its own
predictions while the sim follows it (`adopt` in `sims.detector`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sims.canvas import rgba
from sims.contract import Array, Sim
from sims.detector import detector_of
from training.data.dataset import Arrays
from training.data.palette import colour_codes, index_by_code
from training.evaluation.starts import Cast, one_hot, sensor_matrix
from training.recipe import Recipe, Train
from training.trainer.events import Events

NEAR = 40  # wrong pixels up to which a dream continues beside a sim without `adopt`
STRIKES = 4  # unreadable frames in a row after which a dream ends


@dataclass
class Tick:
    """One step of B streams, as arrays; frames are palette indices uint8 [B, cams, H, W].

    The model gets `seen` and `sensors`, float32 [B, S]; `target` and `state` follow. `placed`, bool
    [B]: the stream has just moved to a new place, and the model's carried state is void. `own`,
    bool [B]: frame and sensors are the model's own. `drawn`, bool [B]: the next frame is a target
    too, not only the sensors. `past`, uint8 [B, P, cams, H, W], are the frames before `seen`,
    oldest first, and `given`, float32 [B, P, A + C], the action and chance of the step from each:
    as many as the model's family asks for; live games have none.
    """

    seen: Array
    sensors: Array
    target: Array
    action: Array
    chance: Array
    reward: Array
    done: Array
    state: Array
    placed: Array
    own: Array
    drawn: Array
    past: Array
    given: Array


@dataclass
class Guess:
    """A model's predictions for B streams: frames as palette indices, and settled sensors."""

    frames: Array  # uint8 [B, cams, H, W]
    sensors: Array  # float32 [B, S]


class Source(Protocol):
    """B streams that can be stepped."""

    def tick(self, guess: Guess | None) -> Tick:
        """Advance one step; `guess` is the model's prediction of the previous step."""


class Recorded:
    """Replay recorded games; a stream that reaches an end continues at another place."""

    def __init__(self, arrays: Arrays, size: int, plan: Train, seed: int, past: int = 0) -> None:
        self.arrays, self.plan, self.past = arrays, plan, np.arange(past, 0, -1)
        self.rng = np.random.default_rng(seed)
        lengths = arrays.episodes[:, 1] - arrays.episodes[:, 0]
        self.starts, self.stops = np.repeat(arrays.episodes, lengths, axis=0).T
        self.anywhere = arrays.windows(1)
        # An event in the last step of a game that was cut short has no frame after it.
        self.events = Events(rows[rows + 1 < self.stops[rows]] for rows in arrays.events.values())
        self.eventful = np.zeros(len(arrays.rewards), bool)
        for event in self.events.rows:
            self.eventful[event] = True
        self.rows = np.zeros(size, np.int64)
        self.fresh = np.ones(size, bool)

    def tick(self, guess: Guess | None = None) -> Tick:
        """Advance one step; the model's guess is not used."""
        a, plan = self.arrays, self.plan
        self.fresh |= self.rng.random(len(self.rows)) < 1 / plan.stream
        for slot in np.flatnonzero(self.fresh):
            self.rows[slot] = self._place()
        rows = self.rows
        drawn = self.eventful[rows] | (self.rng.random(len(rows)) < plan.draw_share)
        drawn[:1] |= not drawn.any()
        before = rows[:, None] - self.past
        began = before >= self.starts[rows][:, None]
        before = np.where(began, before, self.starts[rows][:, None])
        given = np.concatenate([a.actions[before], a.chances[before]], 2)
        out = Tick(
            seen=a.frames[rows],
            sensors=a.state[rows],
            target=a.frames[rows + 1],
            action=a.actions[rows],
            chance=a.chances[rows],
            reward=a.rewards[rows],
            done=a.dones[rows].astype(np.float32),
            state=a.state[rows + 1],
            placed=self.fresh,
            own=np.zeros(len(rows), bool),
            drawn=drawn,
            past=a.frames[before],
            given=given * began[:, :, None],
        )
        self.rows = rows + 1
        self.fresh = self.rows + 1 >= self.stops[rows]
        return out

    def _place(self) -> int:
        """Choose a row to continue from: anywhere, or a little before an event."""
        if self.rng.random() < self.plan.event_share and self.events:
            row = self.events.row(self.rng)
            return max(int(self.starts[row]), row - int(self.rng.integers(0, self.plan.stream)))
        return int(self.rng.choice(self.anywhere))


class Live:
    """Play the sim, and dream: after a first step the model continues from its own predictions.

    `horizon` is the longest dream in steps (0: none). During a dream, the sim moves to the model's
    prediction and gives the next target.
    """

    def __init__(
        self, sim: Sim, recipe: Recipe, palette: Array, size: int, seed: int, horizon: int = 0
    ) -> None:
        self.sim, self.plan = sim, recipe.train
        self.rng = np.random.default_rng(seed)
        self.cast = Cast(sim, recipe, (1 << 36) + (seed << 24) + np.arange(size), self.rng)
        detector = detector_of(recipe.world)
        self.adopt = detector.adopt if detector else self._unmoved
        self.palette = palette
        self.lookup = index_by_code(palette)
        self.horizon = horizon
        self.age = np.zeros(size, np.int64)  # steps since the stream was placed
        self.strikes = np.zeros(size, np.int64)
        self.fresh = np.ones(size, bool)
        self.frames, self.sensors = self.index(), sensor_matrix(sim)
        self.lost = self.dreamt = 0  # dreams that went too far; steps in dreams

    def mean_dream(self) -> float:
        """Return the mean length of dreams in steps since the last call."""
        steps, self.dreamt, lost, self.lost = self.dreamt, 0, self.lost, 0
        return steps / max(1, lost)

    def index(self) -> Array:
        """Return the sim's frames as palette indices [B, cams, H, W]."""
        return np.asarray(self.lookup[colour_codes(rgba(self.sim))])

    def _unmoved(self, sim: Sim, shown: Array, sensors: Array, where: Array) -> tuple[Array, Array]:
        """Leave a sim without `adopt` in its state; nearby dreams still help."""
        wrong = (shown != self.palette[self.frames[:, 0]]).any(-1).sum((1, 2))
        return np.ones(len(wrong), bool), where & (wrong > NEAR)

    def tick(self, guess: Guess | None) -> Tick:
        """Advance one step, from the model's own frames and sensors where it dreams."""
        sim = self.sim
        # A dream that has reached its horizon is over.
        self.fresh |= self.age >= max(self.horizon, self.plan.stream)
        dreaming = ~self.fresh & (self.age > 0) & (self.age < self.horizon)
        seen, sensors = self.frames, self.sensors
        if guess is not None and dreaming.any():
            shown = self.palette[guess.frames[:, 0]]
            clean, far = self.adopt(sim, shown, guess.sensors, dreaming)
            self.strikes = np.where(dreaming & ~clean, self.strikes + 1, 0)
            gone = dreaming & (far | (self.strikes >= STRIKES))
            self.lost += int(gone.sum())
            self.dreamt += int(dreaming.sum())
            if gone.any():
                self.fresh |= gone
                dreaming &= ~gone
            seen = np.where(dreaming[:, None, None, None], guess.frames, seen)
            sensors = np.where(dreaming[:, None], guess.sensors, sensors)
        self.age[self.fresh] = 0
        self.strikes[self.fresh] = 0
        action, chance = self.cast.act(), sim.draw()
        reward, terminated, truncated = sim.step(action, chance)
        target, state = self.index(), sensor_matrix(sim)
        out = Tick(
            seen=seen,
            sensors=sensors,
            target=target,
            action=one_hot(sim, action),
            chance=chance,
            reward=reward,
            done=terminated.astype(np.float32),
            state=state,
            placed=self.fresh,
            own=dreaming,
            drawn=np.ones(len(dreaming), bool),
            past=seen[:, None][:, :0],
            given=np.zeros((len(seen), 0, sim.spec.action_size + len(sim.spec.chance)), np.float32),
        )
        over = terminated | truncated
        self.cast.reset(over)
        self.age += 1
        self.fresh = over
        self.frames, self.sensors = target, state
        if over.any():
            self.frames, self.sensors = self.index(), sensor_matrix(sim)
        return out


class Both:
    """Recorded games and, during dreams, live games in the place of some of them.

    A model that reads earlier frames learns from recorded games alone, because only those have a
    past, and so does every model of a world without a sim.
    """

    def __init__(
        self, arrays: Arrays, sim_class: type[Sim] | None, recipe: Recipe, size: int, seed: int,
        past: int = 0,
    ) -> None:  # fmt: skip
        n = 0 if past or sim_class is None else round(size * recipe.train.dream_share)
        self.dreams = n
        self.awake = Recorded(arrays, n, recipe.train, seed, past)  # until the live games dream
        self.recorded = Recorded(arrays, size - n, recipe.train, seed + 1, past)
        self.live = (
            Live(sim_class(max(1, n)), recipe, arrays.palette, max(1, n), seed)
            if sim_class
            else None
        )

    @classmethod
    def source(
        cls, arrays: Arrays, sim_class: type[Sim] | None, recipe: Recipe, size: int, seed: int,
        model: Any,
    ) -> Both:  # fmt: skip
        """Return the source of a family that brings none of its own."""
        return cls(arrays, sim_class, recipe, size, seed, model.past)

    @property
    def horizon(self) -> int:
        """The longest dream in steps."""
        return self.live.horizon if self.live else 0

    @horizon.setter
    def horizon(self, steps: int) -> None:
        if self.live:
            self.live.horizon = steps

    def mean_dream(self) -> float:
        """Return the mean length of dreams in steps since the last call."""
        return self.live.mean_dream() if self.live else 0.0

    def tick(self, guess: Guess | None) -> Tick:
        """Advance one step."""
        n = self.dreams
        mine = guess and Guess(guess.frames[:n], guess.sensors[:n])
        dreams = self.live if n and self.live and self.live.horizon else None
        dreamt = dreams.tick(mine) if dreams else self.awake.tick()
        return joined(dreamt, self.recorded.tick())


def joined(one: Tick, other: Tick) -> Tick:
    """Put the streams of two sources side by side."""
    return Tick(
        **{name: np.concatenate([v, getattr(other, name)]) for name, v in vars(one).items()}
    )
