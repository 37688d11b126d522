"""Judge a model by the sim that plays beside it: when do its sensors part from the sim's?"""

from __future__ import annotations

import math

import numpy as np

from sims.contract import Array, Sim
from training.data.components import in_state, state_names
from training.evaluation.heads import Heads
from training.evaluation.players import Player
from training.evaluation.starts import Scene, sensor_matrix

PARTED = 0.1  # of a sensor's range
LATE = 3  # steps after the end of the sim's game within which a model must say so


class Beside:
    """The sim, which plays beside the model under the same actions and chance."""

    by = (
        f"It is broken when one of its sensors is {PARTED:.0%} of its range from the sim's, or "
        "when it says that a game is over that goes on, or goes on after the end."
    )

    def __init__(self, sim_class: type[Sim]) -> None:
        self.sim_class, spec = sim_class, sim_class.spec
        told = [{"name": s.name, "shape": s.shape} for s in spec.sensors if in_state(s.shape)]
        self.causes = {name: f"{name} is not the sim's" for name in state_names(told)}
        self.causes |= {"end": "the end of the game is not the sim's"}
        ranges = [np.full(math.prod(s.shape), s.high - s.low)
                  for s in spec.sensors if in_state(s.shape)]  # fmt: skip
        self.most = PARTED * np.concatenate(ranges)

    def begin(self, scene: Scene) -> None:
        """Begin with rollouts that start where a scene's history ends."""
        self.sim = self.sim_class(len(scene.history))
        self.sim.restore(scene.start)
        self.after = np.zeros(len(scene.history), np.int64)  # steps since the sim's game ended
        self.told = np.zeros(len(scene.history), bool)

    def judge(self, given: Array, chances: Array, after: Array, player: Player) -> Array:
        """Return bool [N, causes]: what a step of a player, as in `attacks.judges`, breaks."""
        assert player.heads is not None
        taken = given.argmax(1) if self.sim.spec.actions else given
        _, ended, _ = self.sim.step(taken, chances)
        self.after += ended
        self.told |= player.heads.ends
        off = np.abs(player.shown["sensors"] - sensor_matrix(self.sim)) > self.most
        early, late = self.told & ~ended, ~self.told & (self.after > LATE)
        return np.column_stack([off & ~ended[:, None], early | late])

    def over(self, heads: Heads | None) -> Array:
        """Return bool [N]: the sim's game is over, and the model has had time to say so."""
        return np.asarray((self.after > 0) & (self.told | (self.after > LATE)))
