"""Dot, 8 by 8 pixels: a dot that goes round; its button lets it stand still."""

from __future__ import annotations

import numpy as np

from sims.contract import Action, Array, Camera, Sim, Spec


class Dot(Sim):
    """N dots."""

    spec = Spec(
        name="dot",
        title="Dot",
        rate=10,
        cameras=(Camera("screen", 8, 8),),
        actions=(Action("go"), Action("stand", ("Space",), "stand")),
    )

    def __init__(self, worlds: int) -> None:
        super().__init__(worlds)
        self.state = {name: np.zeros(worlds, dtype=np.int64) for name in ("seed", "tick", "x")}

    def reset(self, seeds: Array, scenario: str = "default", where: Array | None = None) -> None:
        """Start anew."""
        w = np.ones(self.worlds, dtype=np.bool_) if where is None else where
        for value in self.state.values():
            value[w] = 0
        self.state["seed"][w] = np.asarray(seeds, dtype=np.int64)[w]

    def draw(self) -> Array:
        """Draw nothing: there is no chance here."""
        return np.zeros((self.worlds, 0), dtype=np.float32)

    def step(self, actions: Array, chance: Array | None = None) -> tuple[Array, Array, Array]:
        """Go on by one pixel."""
        s = self.state
        s["tick"] += 1
        s["x"] = (s["x"] + (actions == 0)) % 8
        ended = np.zeros(self.worlds, dtype=np.bool_)
        return np.zeros(self.worlds, dtype=np.float32), ended, s["tick"] >= self.spec.max_steps

    def render(self, out: Array) -> None:
        """Draw the dot."""
        out[:] = 0
        out[np.arange(self.worlds), 0, 4, self.state["x"]] = 255

    def act(self, behaviour: str) -> Array:
        """Go."""
        return np.zeros(self.worlds, dtype=np.int64)
