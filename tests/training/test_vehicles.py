"""What is measured of vehicles: where they come to, and how a model judges drivers."""

from __future__ import annotations

import dataclasses
import types
from typing import Any

import numpy as np
import pytest
import torch

from sims.breakout import Breakout
from sims.driving import Driving
from training.evaluation.beside import Beside
from training.evaluation.measures import collisions, drivers, lane, path, ranges, scenarios
from training.evaluation.measures.contract import Subject
from training.evaluation.measures.drivers import DRIVERS, Drive, Driver, Roads
from training.families.latent.model import Config, Model
from training.recipe import Recipe, from_json

RATE = 20.0
RECIPE: dict[str, Any] = {
    "world": "driving", "family": "latent", "seed": 1,
    "data": {"steps": 100, "worlds": 1, "episode_steps": 100},
    "train": {"minutes": 1.0, "steps": 1, "batch": 2, "unroll": 3, "learning_rate": 1e-3},
    "evaluate": {"seeds": 1, "rollouts": 6, "horizons": [1], "steps": 4},
    "export": {"variants": ["fp32"], "tolerance": {}, "calibration": 8, "replays": 2},
}  # fmt: skip


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return from_json(RECIPE)


@pytest.fixture(scope="module")
def still(recipe: Recipe) -> Subject:
    """A model that predicts no change."""
    torch.manual_seed(0)
    large = (("waypoints", "path", (10, 2), -80.0, 80.0), ("lidar", "scan", (16, 128), 0.0, 60.0))
    config = Config(
        (), 3, 4, sensor_low=(-50.0,) * 7, sensor_high=(50.0,) * 7, sensor_step=(1.0,) * 7,
        height=64, width=96, cameras=3, large=large, large_step=(5.0, 5.0), patch=16, channels=8,
        detail=4, blocks=1, history=2,
    )  # fmt: skip
    model = Model(config).eval()
    return Subject(model, recipe, Driving, None, lambda player: player)


def test_a_model_without_change_comes_to_where_speed_and_turn_held_lead(still: Subject) -> None:
    table = path.measure(still)
    assert table
    rows = {row["name"]: row["values"] for row in table["rows"]}
    assert list(rows) == ["latent", "actions shuffled", path.HELD]
    assert [c["key"] for c in table["columns"]] == ["ade@20", "fde@20", "ade@60", "fde@60"]
    for key, figure in rows["latent"].items():
        assert figure["mean"] == pytest.approx(rows[path.HELD][key]["mean"], rel=1e-4)
    held = {key: figure["mean"] for key, figure in rows[path.HELD].items()}
    assert 0 < held["ade@20"] < held["fde@20"] < held["fde@60"]


def test_the_way_is_that_of_the_sim() -> None:
    sim = Driving(4)
    sim.reset(np.arange(4), "free-road")
    x, y, heading = (sim.state["ego"][:, i].copy() for i in range(3))
    speed, turn = [], []
    for _ in range(60):
        sim.step(sim.act("recovery"))
        told = sim.sensors()
        speed.append(told["speed"][:, 0].copy())
        turn.append(told["yaw_rate"][:, 0].copy())
    way = path._way(np.stack(speed, 1), np.stack(turn, 1), RATE)
    dx, dy = sim.state["ego"][:, 0] - x, sim.state["ego"][:, 1] - y
    ahead = dx * np.cos(heading) + dy * np.sin(heading)
    left = dy * np.cos(heading) - dx * np.sin(heading)
    # The sensors tell of the car's middle, and its rear axle goes where it heads.
    assert np.hypot(*(way[:, -1] - np.stack([ahead, left], 1)).T).max() < 1.0
    assert ahead.max() > 10


def drive(**changes: Any) -> Drive:
    """Two vehicles that do everything right for four seconds; the first one is changed."""
    said = {
        "speed": 10.0, "acceleration": 0.0, "yaw_rate": 0.0, "lateral_offset": 0.0,
        "lead_distance": 48.0,
    }  # fmt: skip
    told = {name: np.full((2, 80), value) for name, value in said.items()}
    rewards = np.full((2, 80), 0.5)
    for name, value in changes.items():
        (rewards if name == "rewards" else told[name])[0] = value
    return Drive(told, rewards, np.ones((2, 80), bool), RATE)


@pytest.mark.parametrize(
    ("changes", "score"),
    [
        ({}, 1.0),
        ({"rewards": np.where(np.arange(80) == 70, -20.0, 0.5)}, 0.0),  # a collision
        ({"rewards": np.where(np.arange(80) == 70, -10.0, 0.5)}, 0.0),  # a red light
        ({"lateral_offset": -3.5}, 0.0),
        ({"lateral_offset": 0.6}, 12 / 14),
        ({"lateral_offset": np.where(np.arange(80) < 20, 0.6, 0.0)}, 1.0),
        # Four metres in the other lane, and aside for too short to leave its own.
        ({"lateral_offset": np.where(np.arange(80) < 8, 2.0, 0.0)}, 0.5),
        ({"acceleration": 3.0}, 12 / 14),
        ({"speed": 5.0}, 11.5 / 14),
        # It comes nearer by 10 m a second, and is 6 m away at last: 0.6 s.
        ({"lead_distance": np.linspace(45.5, 6, 80)}, 9 / 14),
        # Another vehicle comes in between: that is no speed.
        ({"lead_distance": np.where(np.arange(80) < 40, 40.0, 9.0)}, 1.0),
    ],
)
def test_a_drive_is_scored_by_its_parts(changes: dict[str, Any], score: float) -> None:
    best = np.full(2, 40.0)
    scores = drive(**changes).parts(best)["score"]
    assert scores.tolist() == pytest.approx([score, 1.0])


def test_what_happens_after_the_end_of_a_drive_does_not_count() -> None:
    one = drive(lateral_offset=np.where(np.arange(80) >= 40, 9.0, 0.0))
    one.on[0, 40:] = False
    assert one.parts(np.full(2, 40.0))["score"].tolist() == pytest.approx([11.5 / 14, 1.0])


def test_drivers_are_ranked_in_the_model_and_in_the_sim(
    still: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drivers, "SECONDS", 2.0)
    table = drivers.measure(still)
    assert table
    rows = {row["name"]: row["values"] for row in table["rows"]}
    assert list(rows) == [
        *(f"{name}, in the {where}" for name in DRIVERS for where in ("model", "sim")),
        "the ranking",
    ]
    assert -1 <= rows["the ranking"]["tau"]["mean"] <= 1
    metres = {name: rows[f"{name}, in the sim"]["metres"]["mean"] for name in DRIVERS}
    assert metres["hasty"] > metres["usual"] > metres["careful"]
    swung = rows["drunk, in the sim"]["score"]["mean"]
    assert swung < rows["usual, in the sim"]["score"]["mean"]
    # In a model without change, nobody's speed depends on how they drive.
    assert rows["hasty, in the model"]["metres"] == rows["careful, in the model"]["metres"]
    one, other = np.array([0.1, 0.2, 0.3, 0.4]), np.array([1.0, 2.0, 4.0, 3.0])
    assert drivers._tau(one, one) == 1 and drivers._tau(one, -one) == -1
    assert drivers._tau(one, other) == pytest.approx(4 / 6)


def test_a_drive_is_in_its_lane_until_it_is_beside_it_or_suddenly_elsewhere() -> None:
    late = np.arange(80) >= 40
    for changes, until in (
        ({}, 80),
        ({"lateral_offset": np.where(late, 3.5, 2.5)}, 40),
        ({"lateral_offset": np.where(late, 1.5, 0.0)}, 40),
        ({"speed": np.where(late, 5.0, 10.0)}, 40),
        ({"lateral_offset": np.linspace(0, 2.9, 80), "speed": np.linspace(20, 0, 80)}, 80),
    ):
        assert lane._kept(drive(**changes)).tolist() == [until, 80], changes
    over = drive(lateral_offset=np.where(late, 9.0, 0.0))
    over.on[0, 40:] = False  # what happens after the end does not count
    assert lane._kept(over).tolist() == [80, 80]


def test_the_sim_keeps_its_lane(still: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "SECONDS", (1.0, 3.0))
    table = lane.measure(still)
    assert table and [c["key"] for c in table["columns"]] == ["kept@20", "kept@60"]
    rows = {row["name"]: row["values"] for row in table["rows"]}
    assert rows["the sim itself"]["kept@60"]["mean"] == 100


def test_ranges_that_stay_are_as_far_off_as_the_last_ones_repeated(still: Subject) -> None:
    table = ranges.measure(still)
    assert table
    rows = {row["name"]: row["values"] for row in table["rows"]}
    keys = [f"lidar.{key}@{n}" for n in (20, 60) for key in ("median", "right")]
    assert [c["key"] for c in table["columns"]] == keys
    repeated = rows[ranges.REPEATED]
    assert 0 < repeated["lidar.median@20"]["mean"] < repeated["lidar.median@60"]["mean"]
    assert all(90 < repeated[f"lidar.right@{n}"]["mean"] < 100 for n in (20, 60))
    # An untaught model mixes neighbouring rays a little.
    assert rows["latent"]["lidar.right@20"]["mean"] > 90


def test_each_scenario_is_reproduced_for_as_long_as_it_is(
    still: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenarios, "ROLLOUTS", 3)
    monkeypatch.setattr(scenarios, "SECONDS", 1.0)
    some = dataclasses.replace(Driving.spec, scenarios=("free-road", "dusk", "stop-and-go"))
    monkeypatch.setattr(Driving, "spec", some)
    table = scenarios.measure(still)
    assert table
    rows = {row["name"]: row["values"] for row in table["rows"]}
    assert list(rows) == list(Driving.spec.scenarios)
    assert sum(row["recorded"]["mean"] for row in rows.values()) == pytest.approx(100)
    # In a model without change, whoever drives fast parts from the sim soon; in a jam, later.
    assert all(1 <= row["steps"]["mean"] <= 20 for row in rows.values())
    assert any(row["kept"]["mean"] < 100 for row in rows.values())
    for row in rows.values():
        causes = [row[name]["mean"] for name in Beside(Driving).causes]
        assert sum(causes) == pytest.approx(100 - row["kept"]["mean"])


def test_who_foresees_collisions_is_told_from_who_guesses() -> None:
    true = np.array([True, True, False, False, False])
    assert collisions.auroc(np.array([0.9, 0.6, 0.5, 0.1, 0.0]), true) == 1
    assert collisions.auroc(np.full(5, 0.3), true) == 0.5
    assert collisions.auroc(np.array([0.1, 0.6, 0.5, 0.2, 0.0]), true) == pytest.approx(4 / 6)
    often = np.arange(10) < 3
    assert collisions.calibration(np.full(10, 0.3), often) == pytest.approx(0)
    assert collisions.calibration(np.full(10, 0.95), often) == pytest.approx(0.65)
    assert collisions.calibration(often.astype(np.float64), often) == 0


def test_a_drive_is_cut_where_the_model_goes_on(still: Subject) -> None:
    """Who drives fast and blind collides now and then; each drive begins as the sim's went on."""
    roads = Roads.of(still, collisions.SEED, 4.0)
    assert roads
    scene, hit = collisions.driven(roads, Driver(wish=15.0, headway=0.0, push=4.0))
    assert 0 < hit.sum() < len(hit) and scene.actions.shape[1] == 40
    costs = np.where(scene.alive, scene.rewards, 0) < drivers.COLLISION
    assert np.array_equal(hit, costs.any(1))
    assert scene.history.shape[1] == still.model.config.history
    speed = np.concatenate([scene.history_sensors[:, :, 0], scene.sensors[:, :, 0]], 1)
    pushed = (speed > 1) & (speed < 12)
    change = np.diff(speed, axis=1)[(pushed[:, 1:] & pushed[:, :-1])]
    assert (np.abs(change) < 0.5).mean() > 0.95, "no step is left out where they are cut"
    # Its frames are those of the same moments.
    still_there = (scene.history[:, -1] == scene.frames[:, 0]).mean((1, 2, 3, 4))
    later = (scene.history[:, -1] == scene.frames[:, 20]).mean((1, 2, 3, 4))
    assert still_there.mean() > later.mean()


def test_what_a_model_says_of_an_end_adds_up(
    still: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def says(self: Model, state: Any, action: torch.Tensor, chance: torch.Tensor) -> Any:
        ends = torch.clamp(action[:, 2], 0.1, 0.5)  # who brakes is in danger
        frame = torch.zeros(len(action), 3, 64, 96, 4, dtype=torch.uint8)
        return frame, state, {"reward": torch.zeros(len(action)), "terminated": ends}

    monkeypatch.setattr(Model, "step", says)
    scene = still.scene(1, 2, 3)
    scene.actions[:] = 0
    scene.actions[1, :, 2] = 1.0
    wanted = [1 - 0.9**2, 1 - 0.5**2, 1 - 0.9**2]
    assert collisions.foreseen(still, scene, "given").tolist() == pytest.approx(wanted)
    # Each gets the actions of another drive.
    shuffled = collisions.foreseen(still, scene, "shuffled")
    assert shuffled.tolist() == pytest.approx([wanted[0], wanted[0], wanted[1]])


def test_a_model_that_knows_nothing_guesses(
    still: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collisions, "FEWEST", 1)
    some = {name: DRIVERS[name] for name in ("hasty", "blind")}
    monkeypatch.setattr(collisions, "DRIVERS", some)
    asked = dataclasses.replace(still.recipe.evaluate, rollouts=32)
    recipe = dataclasses.replace(still.recipe, evaluate=asked)
    table = collisions.measure(dataclasses.replace(still, recipe=recipe))
    assert table
    rows = {row["name"]: row["values"] for row in table["rows"]}
    assert list(rows) == ["latent", "actions shuffled"]
    told = rows["latent"]
    assert 0 < told["true"]["mean"] < 60 and told["auroc"]["mean"] == 50
    # An untaught model gives an end in each step with a probability of a half.
    assert told["told"]["mean"] > 99
    assert told["calibration"]["mean"] == pytest.approx(100 - told["true"]["mean"], abs=1)


def test_other_worlds_have_none_of_them(recipe: Recipe) -> None:
    seeing = types.SimpleNamespace(observed=("frame",))
    other = Subject(seeing, recipe, Breakout, None, lambda player: player)
    assert path.measure(other) is None and drivers.measure(other) is None
    assert scenarios.measure(other) is None and lane.measure(other) is None
    assert ranges.measure(other) is None and collisions.measure(other) is None
