"""What a measure gets, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypedDict

from sims.contract import Sim
from training.data.dataset import Arrays, Dataset
from training.evaluation.players import Player
from training.evaluation.starts import Scene, held_out, make_scene, recorded
from training.recipe import Recipe
from training.trainer.checkpoints import reads_rgb


class Table(TypedDict):
    """Figures for metrics.json: `columns` and `rows` as everywhere in it.

    `note` says in a sentence how they were measured. `curve` is drawn below them: label, unit,
    steps and series.
    """

    title: str
    note: str
    columns: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    curve: dict[str, Any] | None


@dataclass
class Subject:
    """A model to measure, and the truth: the sim, or the recordings of a world without one.

    A measure calls `expect` with the frames that it is about to play, so that the time left is
    right, and `counted` counts those of a player. `root` is the project's folder.
    """

    model: Any
    recipe: Recipe
    sim_class: type[Sim] | None
    dataset: Dataset | None
    counted: Callable[[Player], Player]
    expect: Callable[[int], None] = lambda _: None
    root: Path = Path()

    def scene(self, seed: int, steps: int, rollouts: int) -> Scene:
        """Return held-out rollouts; `steps` are fewer where no recording is as long."""
        history = self.model.config.history
        if self.sim_class:
            return make_scene(self.sim_class, self.recipe, seed, history, steps, rollouts)
        return recorded(self.recordings, rollouts, steps, history, seed)

    @cached_property
    def recordings(self) -> Arrays:
        """The held-out recordings of a world without a sim."""
        assert self.dataset is not None
        return held_out(self.dataset, self.model.config.history, reads_rgb(self.recipe))


class Measure(Protocol):
    """Measure a model; None where the world has nothing to measure in this way."""

    def __call__(self, subject: Subject) -> Table | None:
        """Return the figures of a model, and of what it is compared with."""
        ...
