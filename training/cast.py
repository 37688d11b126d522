"""Who plays the sim: the recipe's behaviours and scenarios dealt to a batch of worlds."""

from __future__ import annotations

import numpy as np

from sims.contract import Array, Sim
from training.recipe import Recipe
from training.record import plan


def one_hot(sim: Sim, actions: Array) -> Array:
    """Return the model's action vectors float32 [N, A] for actions as `Sim.step` takes them."""
    if sim.spec.actions:
        return np.eye(sim.spec.action_size, dtype=np.float32)[actions]
    return actions.astype(np.float32)


def rgb(sim: Sim) -> Array:
    """Render every camera, uint8 [N, cams, H, W, 3]."""
    camera = sim.spec.cameras[0]
    out = np.empty((sim.worlds, len(sim.spec.cameras), camera.height, camera.width, 3), np.uint8)
    sim.render(out)
    return out


class Cast:
    """Deal the recipe's behaviours and scenarios to worlds, and act for all of them."""

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
        """Start the picked worlds anew, each in its scenario, from a seed never used before."""
        self.seeds = self.seeds + self.sim.worlds * where
        for k, name in enumerate(self.scenarios):
            picked = where & (self.scene == k)
            if picked.any():
                self.sim.reset(self.seeds, name, picked)

    def act(self) -> Array:
        """Return each world's action by its own behaviour."""
        picks = np.stack([self.sim.act(name) for name in self.behaviours])
        return np.asarray(picks[self.role, np.arange(self.sim.worlds)])
