"""The family `transition`, on drives: what is seen is fetched from where it was."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sims.contract import Array
from sims.driving import Driving, rig
from sims.errors import UserError
from training.data.dataset import Dataset
from training.evaluation.evaluate import REPEATED, evaluate
from training.families.transition import geometry
from training.families.transition.geometry import NOTHING
from training.families.transition.model import Config, Model
from training.families.transition.options import check
from training.families.transition.road import KeptRoad
from training.families.transition.scan import FINE, between
from training.recipe import Recipe, from_json
from training.trainer.checkpoints import build, fit, load_model
from training.trainer.train import train

HEIGHT, WIDTH = 64, 96
LENSES = tuple(
    (c.focal, float(c.height), float(c.width), *c.place, c.yaw, c.pitch) for c in rig.CAMERAS
)
PLACES = torch.tensor([lens[3:6] for lens in LENSES])


def rays() -> torch.Tensor:
    return torch.stack([geometry.rays(lens, HEIGHT, WIDTH) for lens in LENSES])


def motion(forward: float, left: float, turn: float) -> geometry.Motion:
    return torch.tensor([forward]), torch.tensor([left]), torch.tensor([turn])


def test_after_a_turn_one_camera_sees_what_another_saw() -> None:
    far = torch.zeros(1, 3, HEIGHT, WIDTH)
    turned = geometry.before(rays(), PLACES, far, motion(0, 0, LENSES[1][6]))
    column, row, inside = geometry.seen_by(turned, far, LENSES[1])
    front = 0
    assert inside[0, front, 1:-1, 1:-1].all()
    wanted = torch.arange(WIDTH).expand(HEIGHT, WIDTH).float()
    torch.testing.assert_close(column[0, front], wanted, atol=1e-3, rtol=0)
    wanted = torch.arange(HEIGHT)[:, None].expand(HEIGHT, WIDTH).float()
    torch.testing.assert_close(row[0, front], wanted, atol=1e-3, rtol=0)
    # What lies behind a camera is seen by none.
    _, _, inside = geometry.seen_by(
        geometry.before(rays(), PLACES, far, motion(0, 0, math.pi)), far, LENSES[0]
    )
    assert not inside[0, front].any()


def test_level_ground_comes_nearer_by_what_was_driven() -> None:
    lens = LENSES[0]
    ray = rays()[:1]
    near = geometry.nearness(ray[0], lens)[None, None]
    assert not near[0, 0, : HEIGHT // 2].any()
    points = geometry.before(ray, PLACES[:1], near, motion(1.0, 0, 0))
    _, row, _ = geometry.seen_by(points, near, lens)
    for now in (40, 50, 63):
        metres = lens[0] * lens[5] / (now - (HEIGHT / 2 - 0.5))  # of ground ahead of the camera
        was = HEIGHT / 2 - 0.5 + lens[0] * lens[5] / (metres + 1)
        assert row[0, 0, now, 48] == pytest.approx(was, abs=1e-3)


@pytest.fixture(scope="module")
def drives() -> tuple[Array, Array, Array]:
    """Range images of some drives, and the true speed and turn of each step."""
    sim = Driving(8)
    sim.reset(np.arange(8) + 500)
    seen = []
    for _ in range(40):
        sim.step(sim.act("autopilot"))
        told = sim.sensors()
        seen.append([told["lidar"].copy(), told["speed"][:, 0], told["yaw_rate"][:, 0]])
    lidar, speed, turn = zip(*seen, strict=True)
    return np.stack(lidar), np.stack(speed), np.stack(turn)


def test_a_scan_moves_with_the_car(drives: tuple[Array, Array, Array]) -> None:
    lidar, speed, turn = (torch.from_numpy(np.asarray(part)).float() for part in drives)
    level = torch.cos(torch.tensor(rig.LIDAR_ELEVATIONS))[:, None]
    up = torch.tensor(rig.LIDAR_ELEVATIONS)[:, None]
    ground = torch.where(up < 0, rig.LIDAR_PLACE[2] / torch.sin(-up).clamp_min(1e-6), 1e9)
    first, last = 19, 39

    def things(scan: torch.Tensor) -> torch.Tensor:
        stands = (scan > 0) & ((scan - ground).abs() > 0.03 * ground)
        return torch.where(stands, scan * level, geometry.NOTHING)

    rays = things(lidar[first]).repeat_interleave(FINE, -1)
    fan = geometry.fan(rays.shape[-1])
    for t in range(first + 1, last + 1):
        ahead, turned = speed[t] * rig.DT, turn[t] * rig.DT
        rays = geometry.moved_scan(rays, fan, (ahead, torch.zeros_like(ahead), turned), (0.0, 0.0))
    made, true = rays[..., FINE // 2 :: FINE], things(lidar[last])

    def error(scan: torch.Tensor) -> float:
        both = (scan < geometry.NOTHING) & (true < geometry.NOTHING)
        return float((scan - true).abs()[both].mean())

    assert error(made) < 0.7 * error(things(lidar[first]))


TOLD = ("lateral_offset", "heading_error", "waypoints")


def told(sim: Driving) -> torch.Tensor:
    """What is told of the route: [N, 2 + 2 points]."""
    seen = sim.sensors()
    return torch.from_numpy(np.concatenate([seen[n].reshape(sim.worlds, -1) for n in TOLD], 1))


def test_the_road_that_is_kept_tells_where_the_car_is_on_it() -> None:
    """By true motions, for three seconds of bends, to centimetres; the points far ahead are new."""
    sim = Driving(16)
    sim.reset(np.arange(16) + 700)
    for _ in range(60):
        sim.step(sim.act("recovery"))
    first = told(sim)
    keeps = KeptRoad(rig.WAYPOINTS, rig.WAYPOINT_GAP, 1)
    road, along = keeps.told_by(first)
    rear = 1.3  # metres from the axle that goes where the car heads to its origin
    for _ in range(60):
        sim.step(sim.act("recovery"))
        seen = sim.sensors()
        ahead, turn = (torch.from_numpy(seen[n][:, 0]) * rig.DT for n in ("speed", "yaw_rate"))
        motion = (
            ahead * torch.cos(turn / 2) + rear * (torch.cos(turn) - 1),
            ahead * torch.sin(turn / 2) + rear * torch.sin(turn), turn,
        )  # fmt: skip
        with torch.no_grad():
            road, along, made = keeps.after(road, along, motion, torch.zeros(16, 1))
    off, still = ((one - told(sim)).abs().mean(0) for one in (made, first))
    assert off[0] < 0.02 < 0.1 < still[0], "metres"
    assert off[1] < 0.01 < 0.03 < still[1], "radians"
    assert off[2:6].max() < 0.1
    assert along.min() >= 0 and along.max() < 1.01


RECIPE: dict[str, Any] = {
    "world": "driving", "family": "transition", "seed": 1,
    "data": {"steps": 100, "worlds": 1, "episode_steps": 100},
    "model": {"patch": 16, "channels": 8, "detail": 4, "blocks": 1, "history": 2, "wide": 32},
    "train": {
        "minutes": 5.0, "steps": 24, "batch": 2, "unroll": 3, "dream": 6, "rows": 64,
        "teacher_share": 0.0, "validate_games": 2, "validate_steps": 5, "learning_rate": 4e-3,
        "ema": 0.5,
    },
    "evaluate": {"seeds": 1, "rollouts": 3, "horizons": [1, 4], "steps": 4},
    "export": {"variants": ["fp32"], "tolerance": {}, "calibration": 8, "replays": 2},
}  # fmt: skip


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return from_json(RECIPE)


@pytest.fixture(scope="module")
def untaught(recipe: Recipe, tiny_drives: Path) -> Model:
    """A model that has fitted what is linear, and has learned nothing."""
    data = Dataset.open(tiny_drives)
    arrays = data.load("train", rgb=True)
    torch.manual_seed(0)
    model = build(recipe, arrays, data.spec)
    fit(model, arrays)
    made = model.eval()
    assert isinstance(made, Model)
    return made


def looked(sim: Driving) -> dict[str, torch.Tensor]:
    frame = np.zeros((sim.worlds, 3, HEIGHT, WIDTH, 3), np.uint8)
    sim.render(frame)
    told = {name: value.copy() for name, value in sim.sensors().items()}
    state = np.concatenate([v for v in told.values() if v.ndim == 2], 1)
    opaque = np.concatenate([frame, np.full_like(frame[..., :1], 255)], -1)
    shown = {"frame": opaque, "sensors": state, **{k: told[k] for k in ("waypoints", "lidar")}}
    return {name: torch.from_numpy(value) for name, value in shown.items()}


def test_untaught_it_knows_what_the_cameras_see_next(untaught: Model) -> None:
    """Better than a still picture, by geometry alone: for a second, and for what it drew itself."""
    sim = Driving(6)
    sim.reset(np.arange(6) + 700)
    for _ in range(20):
        sim.step(sim.act("autopilot"))
    first = looked(sim)
    state = untaught.initial(first)
    for _ in range(20):
        action, chance = sim.act("autopilot"), sim.draw()
        sim.step(action, chance)
        frame, state, _ = untaught.step(
            state, torch.from_numpy(action.astype(np.float32)), torch.from_numpy(chance)
        )
    true = looked(sim)

    def error(made: torch.Tensor) -> float:
        return float((made[..., :3].float() - true["frame"][..., :3].float()).square().mean())

    assert error(frame) < 0.85 * error(first["frame"])
    # It has taken a new key in time.
    assert 0 < int(state["age"].max()) <= untaught.config.keep


def test_it_begins_anew_with_what_it_did_not_draw(untaught: Model) -> None:
    sim = Driving(2)
    sim.reset(np.arange(2))
    first = looked(sim)
    action, chance = torch.zeros(2, 3), torch.zeros(2, 4)
    _, one, _ = untaught.step(untaught.initial(first), action, chance)
    assert (one["age"] == 1).all()
    frame, two, _ = untaught.step(one, action, chance)
    assert (two["age"] == 2).all() and torch.equal(two["key"], one["key"])
    other = first["frame"].flip(3)
    _, three, _ = untaught.step({**one, "frame": other}, action, chance)
    assert (three["age"] == 1).all()
    torch.testing.assert_close(
        three["key"].reshape(2, 3, 3, HEIGHT, WIDTH).transpose(1, 2), untaught.opened(other)
    )
    # The picture that it drew itself is its own, to the last bit, whoever hands it back.
    _, again, _ = untaught.step({**two, "frame": frame.clone()}, action, chance)
    assert (again["age"] == 3).all()


def test_it_keeps_its_road_until_it_is_shown_another(untaught: Model) -> None:
    assert untaught.config.spacing == rig.WAYPOINT_GAP
    sim = Driving(2)
    sim.reset(np.arange(2) + 700)
    for _ in range(20):
        sim.step(sim.act("autopilot"))
    first = looked(sim)
    action, chance = torch.zeros(2, 3), torch.zeros(2, 4)
    _, one, _ = untaught.step(untaught.initial(first), action, chance)
    _, two, _ = untaught.step(one, action, chance)
    blank = {name: torch.zeros_like(one[name]) for name in ("road", "along")}
    _, fresh, _ = untaught.step(one | blank, action, chance)
    # It has come further on the same road, and does not begin again where it is.
    assert (two["along"] > one["along"]).all() and (one["along"] > 0).all()
    torch.testing.assert_close(fresh["along"], one["along"], atol=0.02, rtol=0)
    torch.testing.assert_close(fresh["waypoints"], two["waypoints"], atol=0.05, rtol=0)
    other = one["waypoints"] + torch.tensor([0.0, 1.0])
    _, three, _ = untaught.step({**one, "waypoints": other}, action, chance)
    aside = (three["waypoints"] - two["waypoints"])[:, :5, 1]
    torch.testing.assert_close(aside, torch.ones_like(aside), atol=0.2, rtol=0)


def test_what_tells_how_fast_a_number_changes_follows_from_it(
    recipe: Recipe, tiny_drives: Path, untaught: Model
) -> None:
    speed, acceleration, c = 0, 1, untaught.config
    assert c.rates == ((acceleration, speed),)
    sim = Driving(2)
    sim.reset(np.arange(2) + 700)
    for _ in range(20):
        sim.step(sim.act("autopilot"))
    state = untaught.initial(looked(sim))
    action = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    for _ in range(3):
        before, (_, state, _) = state, untaught.step(state, action, torch.zeros(2, 4))
        change = (state["sensors"] - before["sensors"])[:, speed] * rig.RATE
        change = change.clamp(c.sensor_low[acceleration], c.sensor_high[acceleration])
        torch.testing.assert_close(state["sensors"][:, acceleration], change, atol=1e-4, rtol=0)
    data = Dataset.open(tiny_drives)
    arrays = data.load("train", rgb=True)
    other = arrays.state.copy()
    other[:, acceleration] *= 1.1
    assert not build(recipe, dataclasses.replace(arrays, state=other), data.spec).config.rates


def test_rays_between_those_of_a_wall_are_on_the_wall() -> None:
    columns = 128
    turn = math.pi - 2 * math.pi * (torch.arange(columns) + 0.5) / columns
    wall = torch.where(turn.cos() > 0.3, 4 / turn.cos(), NOTHING)[None]  # four metres ahead
    fine = between(wall)
    looks = geometry.fan(FINE * columns)[0]
    inside = (fine < NOTHING) & (looks > 0.5)
    torch.testing.assert_close(
        (fine * looks)[inside], torch.full_like(fine[inside], 4.0), rtol=5e-3, atol=0
    )
    assert torch.equal(fine[:, FINE // 2 :: FINE], wall)
    # Nothing comes to lie between two things.
    step = torch.where(torch.arange(columns) < 64, 5.0, 20.0)[None]
    assert set(between(step).unique().round(decimals=3).tolist()) == {5.0, 20.0}


def test_a_route_of_uneven_points_is_learned_and_not_kept(
    recipe: Recipe, tiny_drives: Path
) -> None:
    data = Dataset.open(tiny_drives)
    arrays = data.load("train", rgb=True)
    points = arrays.sensors["waypoints"][np.arange(len(arrays.state))]
    uneven = points * np.linspace(1, 2, rig.WAYPOINTS, dtype=np.float32)[:, None]
    other = dataclasses.replace(arrays, sensors=arrays.sensors | {"waypoints": uneven})
    model = build(recipe, other, data.spec)
    assert model.config.spacing == 0 and model.road is None
    asked = dataclasses.replace(recipe, model=recipe.model | {"route": "waypoints"})
    assert build(asked, arrays, data.spec).config.spacing == rig.WAYPOINT_GAP
    with pytest.raises(UserError, match=r"route in \[model\] names no route that can be kept: "):
        build(asked, other, data.spec)


def test_one_camera_without_a_lidar_will_do() -> None:
    torch.manual_seed(0)
    model = Model(Config(
        (), 2, 1, sensor_low=(0.0, -1.0), sensor_high=(20.0, 1.0), sensor_step=(1.0, 0.1),
        height=16, width=24, sensors=("pace", "turn"), speed="pace", turn="turn",
        lenses=((20.0, 16.0, 24.0, 0.0, 0.0, 1.0, 0.0, 0.0),), channels=8, detail=4, blocks=1,
    )).eval()  # fmt: skip
    picture = torch.randint(0, 255, (2, 1, 16, 24, 4), dtype=torch.uint8)
    picture = picture[:, :, :1].expand(-1, -1, 16, -1, -1).contiguous()  # the same in each row
    first = {"frame": picture, "sensors": torch.tensor([[0.0, 0.0], [0.0, 1.0]])}
    frame, state, _ = model.step(model.initial(first), torch.zeros(2, 2), torch.zeros(2, 1))
    assert frame.shape == picture.shape and set(state) >= {"key", "source", "age", "marks"}
    gap = (frame[..., :3].float() - picture[..., :3].float()).abs().mean((1, 2, 3, 4))
    # What stands still sees the same; what turns by a radian a second sees it from a pixel aside.
    assert gap[0] < 4 and gap[1] > 10
    aside = picture[1, 0, 8, 2:-3, :3].float().roll(1, 0)[1:]
    assert (frame[1, 0, 8, 3:-3, :3].float() - aside).abs().mean() < 8


@pytest.mark.slow
def test_it_learns_and_is_measured(tiny_drives: Path, recipe: Recipe, tmp_path: Path) -> None:
    train(recipe, tiny_drives, tmp_path, Driving, keys={"sim": "x"})
    model = load_model(tmp_path)
    metrics = evaluate(tmp_path, Driving, recipe)
    rows = {row["name"]: row["values"] for row in metrics["rows"]}
    for key in ("front.psnr@4", "left.psnr@4"):
        assert rows["transition"][key]["mean"] > rows[REPEATED][key]["mean"], key
    assert rows["transition"]["speed.error@4"]["mean"] < rows[REPEATED]["speed.error@4"]["mean"]
    assert model.moves == (0, 2)
    assert rows["transition"]["lateral_offset.error@4"]["mean"] < 0.05


def test_a_world_whose_motion_or_cameras_are_unknown_is_refused() -> None:
    spec = Driving.spec
    check({}, spec, "recipes/driving/transition.toml")
    with pytest.raises(UserError, match=r"no sensor 'pace' of one number in m/s\. Run: name it as"):
        check({"speed": "pace"}, spec, "x")
    with pytest.raises(UserError, match="no sensor 'speed' of one number in rad/s"):
        check({"turn": "speed"}, spec, "x")
    with pytest.raises(UserError, match=r"route in \[model\] names 'way', and world 'driving' has"):
        check({"route": "way"}, spec, "x")
    flat = dataclasses.replace(spec, cameras=(dataclasses.replace(rig.CAMERAS[0], focal=0.0),))
    with pytest.raises(UserError, match=r"camera 'front' of world 'driving' has no focal length"):
        check({}, flat, "x")
