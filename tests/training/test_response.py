"""The answer to a jump of a control: a model that answers less, later or the other way is found."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sims.breakout import Breakout
from sims.contract import Array
from sims.driving import Driving
from training.evaluation import players
from training.evaluation.measures import response
from training.evaluation.measures.contract import Subject
from training.evaluation.starts import Scene, sensor_matrix
from training.recipe import load

STEER = 0  # its column of the actions
pytestmark = pytest.mark.slow  # It draws some hundred pictures.


class Steered(players.Real):
    """The sim, as a model would be that steers so many times as much, and some steps later."""

    def __init__(self, factor: float, late: int) -> None:
        super().__init__(Driving)
        self.factor, self.late = factor, late

    def watch(self, scene: Scene, rows: Array | None = None) -> None:
        super().watch(scene, rows)
        self.steers: list[Array] = [scene.history_actions[:, -1, STEER] * 0] * self.late

    def step(self, actions: Array, chances: Array) -> Array:
        self.steers.append(actions[:, STEER] * self.factor)
        taken = actions.copy()
        taken[:, STEER] = self.steers.pop(0)
        frames = super().step(taken, chances)
        self.shown = {"sensors": sensor_matrix(self.sim)}
        return frames


@pytest.mark.parametrize(
    ("factor", "late", "sign", "gain"),
    [(1.0, 0, 100, 1.0), (1.0, 5, 100, 1.0), (0.5, 0, 100, 0.5), (-1.0, 0, 0, -1.0)],
)
def test_the_answer_to_the_steering_wheel(
    factor: float, late: int, sign: float, gain: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load(Path(__file__).parents[2] / "recipes" / "driving" / "latent.toml")
    few = dataclasses.replace(recipe.evaluate, rollouts=3)
    model = SimpleNamespace(config=SimpleNamespace(history=3))
    subject = Subject(
        model, dataclasses.replace(recipe, evaluate=few), Driving, None, lambda player: player
    )
    monkeypatch.setattr(response.players, "Model", lambda _: Steered(factor, late))
    table = response.measure(subject)
    assert table is not None
    found = {key: value["mean"] for key, value in table["rows"][0]["values"].items() if value}
    assert found["sign@steer to 1: steering"] == sign
    assert np.isclose(found["gain@steer to 1: steering"], gain, atol=0.1)
    if abs(factor) == 1:  # The wheel turns at its own pace: it has turned half as far sooner.
        assert abs(found["delay@steer to 1: steering"] - late) <= 1
    # The other controls answer as in the sim.
    (throttle,) = (v for k, v in found.items() if k.startswith("gain@throttle to 1: acceleration"))
    assert np.isclose(throttle, 1.0)


def test_a_world_of_keys_has_no_such_answer() -> None:
    recipe = load(Path(__file__).parents[2] / "recipes" / "breakout" / "object_laws.toml")
    assert response.measure(Subject(None, recipe, Breakout, None, lambda player: player)) is None
