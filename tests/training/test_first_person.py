"""The family `first_person`: a still place seen from within, drawn ray by ray."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from sims.contract import Action, Camera, Sensor, Spec
from sims.errors import UserError
from training.data.dataset import Arrays
from training.evaluation import players
from training.evaluation.starts import recorded
from training.families.first_person.diagram import boxes
from training.families.first_person.ground import CELLS, EDGE, LOOKS, STEEP, Ground, find_trodden
from training.families.first_person.loss import loss, source
from training.families.first_person.model import Config, Model
from training.families.first_person.options import USUAL, check
from training.recipe import Recipe, from_json
from training.trainer.checkpoints import build, fit

NAMES = ("east", "north", "looks_east", "looks_north")
HEIGHT, WIDTH, TURN, STEP, WALL = 8, 16, 12.0, 0.1, 0.8
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]], np.uint8)


def spec() -> dict[str, Any]:
    sensors = [{"name": n, "shape": [], "dtype": "float32", "unit": ""} for n in NAMES]
    return {"sensors": sensors, "cameras": []}


def small(**changes: Any) -> Model:
    told: dict[str, Any] = {
        "palette": (), "actions": 3, "chance": 0, "height": HEIGHT, "width": WIDTH,
        "sensor_low": (-1.0, -1.0, -1.0, -1.0), "sensor_high": (1.0, 1.0, 1.0, 1.0),
        "sensor_whole": (False,) * 4, "sensor_step": (0.05, 0.05, 0.1, 1.0), "sensors": NAMES,
        "channels": 8, "wide": 16,
    }  # fmt: skip
    return Model(Config(**(told | changes))).eval()


def seen(place: tuple[float, float], angle: float) -> np.ndarray[Any, Any]:
    """Draw a square room with a colour on each wall, uint8 [H, W, 3]."""
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rows = np.abs(np.arange(HEIGHT) + 0.5 - HEIGHT / 2)
    for column in range(WIDTH):
        aside = np.arctan((column + 0.5) / WIDTH * 2 - 1)
        way = np.array([np.cos(angle - aside), np.sin(angle - aside)])
        meets = [(np.sign(w) - p) / w if w else np.inf for p, w in zip(place, way, strict=True)]
        axis = int(np.argmin(meets))
        wall = 2 * axis + int(way[axis] > 0)
        frame[rows < 2 / (meets[axis] * np.cos(aside)), column] = COLOURS[wall]
    return frame


def room(games: int = 40, steps: int = 40) -> Arrays:
    """Walk and turn in the room by chance."""
    random = np.random.default_rng(0)
    numbers, acts, frames = [], [], []
    for _ in range(games):
        place, angle, act = random.uniform(-WALL, WALL, 2), float(random.uniform(0, 2 * np.pi)), 0
        for _ in range(steps):
            act = int(random.integers(3)) if random.random() < 0.3 else act
            numbers.append((*place, np.cos(angle), np.sin(angle)))
            frames.append(seen((place[0], place[1]), angle))
            acts.append(act)
            if act == 2:
                way = np.array([np.cos(angle), np.sin(angle)])
                place = np.clip(place + STEP * way, -WALL, WALL)
            else:
                angle += np.radians(TURN if act == 0 else -TURN)
    state, count = np.array(numbers, np.float32), len(numbers)
    firsts = np.arange(0, count, steps)
    return Arrays(
        np.stack(frames)[:, None], np.zeros((0, 3), np.uint8), np.eye(3, dtype=np.float32)[acts],
        np.zeros((count, 0), np.float32), np.zeros(count, np.float32), np.zeros(count, bool), {},
        state, np.stack([state.min(0), state.max(0)]), {}, np.stack([firsts, firsts + steps], 1),
        np.repeat(np.arange(games), steps), np.zeros(count, np.int64),
    )  # fmt: skip


def recipe() -> Recipe:
    return from_json({
        "world": "room", "family": "first_person", "seed": 1, "dataset": "tapes/room",
        "model": {"channels": 16, "wide": 64, "patch": 4, "waves": 3},
        "train": {"minutes": 1.0, "steps": 1, "batch": 16, "unroll": 4, "dream": 8, "pictures": 2},
        "evaluate": {"seeds": 1, "rollouts": 2, "horizons": [1], "steps": 2},
        "export": {"variants": ["fp32"], "tolerance": {}, "calibration": 8, "replays": 2},
    })  # fmt: skip


def test_a_turn_is_a_turn_wherever_one_looks() -> None:
    model = small()
    at = torch.tensor([[0.0, 0.0, np.cos(3.1), np.sin(3.1)]], dtype=torch.float32)
    turned = model.moved(at, torch.tensor([[0.1, 0.2, 0.3, 9.0]]))
    wanted = [0.1, 0.2, np.cos(3.4), np.sin(3.4)]  # past the angle at which atan2 jumps
    assert torch.allclose(turned, torch.tensor([wanted], dtype=torch.float32), atol=1e-5)
    change = model.difference(turned, at)
    assert torch.allclose(change, torch.tensor([[0.1, 0.2, 0.3, 0.0]]), atol=1e-5)


def walked(steps: int = 40_000) -> torch.Tensor:
    """Return places in two rooms, with a wall between them and a door in it: [steps, 2]."""
    places = torch.rand(steps, 2, generator=torch.Generator().manual_seed(0)) * 1.8 - 0.9
    return places[(places[:, 0].abs() > 0.1) | (places[:, 1].abs() < 0.2)]


def test_no_step_leads_through_a_wall_but_through_its_door() -> None:
    model = small()
    model.ground.trodden.copy_(find_trodden(walked()))
    at = torch.tensor([[-0.15, 0.5, 1.0, 0.0], [-0.15, 0.0, 1.0, 0.0]])
    for _ in range(30):
        at = model.moved(at, torch.tensor([[0.02, 0.005, 0.0, 0.0]]))
    assert -0.15 <= at[0, 0] < -0.08, "it stops at the wall"
    assert at[0, 1] == pytest.approx(0.65, abs=1e-3), "and goes along it"
    assert at[1, 0] == pytest.approx(0.45, abs=1e-3), "it goes through the door"
    # While it trains, it has to learn that by itself.
    model.train()
    assert model.moved(at[:1], torch.tensor([[0.2, 0.0, 0.0, 0.0]]))[0, 0] > 0.05
    # Who was put where nobody stood can leave.
    inside = model.eval().moved(torch.tensor([[0.0, 0.5, 1.0, 0.0]]), torch.full((1, 4), 0.01))
    assert inside[0, 0] == pytest.approx(0.01)


def test_a_whole_place_is_judged_as_it_will_be_rounded() -> None:
    model, at = small(), torch.tensor([[0.0, 0.0, 1.0, 0.0]])
    model.ground.trodden.zero_()
    model.ground.trodden[CELLS // 2, CELLS // 2] = model.ground.trodden[-1, CELLS // 2] = 1.0
    step = torch.tensor([[0.9, 0.0, 0.0, 0.0]])
    assert model.moved(at, step)[0, 0] == 0.0
    model.whole[:2] = 1.0
    assert model.moved(at, step)[0, 0] == pytest.approx(0.9)


def test_a_recording_that_has_not_been_everywhere_bars_no_way() -> None:
    fine, usual = (find_trodden(walked(steps)) for steps in (200_000, 40_000))
    assert 0.6 < fine.mean() < 0.9 and 0.6 < usual.mean() < 0.9
    first = [ground.reshape(CELLS // 2, 2, CELLS // 2, 2)[:, :1, :, :1] for ground in (fine, usual)]
    alike = [
        (ground.reshape(CELLS // 2, 2, CELLS // 2, 2) == one).all()
        for ground, one in zip((fine, usual), first, strict=True)
    ]
    assert alike == [False, True], "the more was recorded, the finer its cells are"
    assert find_trodden(walked(4000)).all()
    assert find_trodden(walked(300)).all()


def test_looking_stays_a_direction_however_long_one_turns() -> None:
    model = small(sensor_step=(0.05, 0.05, 2 * np.pi / 1000, 1.0))
    model.linear[2, -1] = 1.0  # each step turns by a thousandth of a full turn
    values = torch.tensor([[0.3, 0.2, 1.0, 0.0]])
    for step in range(1, 1001):
        with torch.no_grad():
            values, _ = model.advance(values, torch.zeros(1, 3), torch.zeros(1, 0))
        assert abs(float(values[0, 2:].norm()) - 1) < 1e-4
        if step == 250:
            assert torch.allclose(values, torch.tensor([[0.3, 0.2, 0.0, 1.0]]), atol=1e-3)
    assert torch.allclose(values, torch.tensor([[0.3, 0.2, 1.0, 0.0]]), atol=1e-3)


def test_training_learns_the_room_and_a_full_turn_comes_back() -> None:
    torch.manual_seed(0)
    arrays, asked = room(), recipe()
    model = build(asked, arrays, spec())
    fit(model, arrays)
    windows = source(arrays, None, asked, 16, 1, model)
    windows.horizon = 8
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    carried = None
    for _ in range(400):
        total, _, carried = loss(model, windows, carried, asked.train, 0.0)  # type: ignore[arg-type]
        optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    scene = recorded(arrays, 20, 8, 2, 3)
    player = players.Model(model.eval())
    player.watch(scene)
    for t in range(8):
        player.step(scene.actions[:, t], scene.chances[:, t])
    assert np.abs(player.shown["sensors"] - scene.sensors[:, -1]).mean() < 0.1
    state = {"frame": torch.zeros(1, 1, HEIGHT, WIDTH, 4, dtype=torch.uint8),
             "sensors": torch.tensor([[0.2, -0.1, 1.0, 0.0]])}  # fmt: skip
    left, none = torch.tensor([[1.0, 0.0, 0.0]]), torch.zeros(1, 0)
    off = []
    for step in range(1, 31):
        with torch.no_grad():
            frame, state, _ = model.step(state, left, none)
        true = seen((0.2, -0.1), np.radians(TURN * step))
        off.append(np.abs(frame[0, 0, ..., :3].numpy().astype(int) - true).mean())
    assert np.mean(off) < 30, off  # of 255; an empty room is off by 70
    stands, looks = state["sensors"][:, :2], state["sensors"][:, 2:]
    assert torch.allclose(looks, torch.tensor([[1.0, 0.0]]), atol=0.15)
    assert torch.allclose(stands, torch.tensor([[0.2, -0.1]]), atol=0.3)


def test_a_ray_ends_at_the_wall_on_its_way() -> None:
    ground = Ground().eval()
    with torch.no_grad():
        ground.map.zero_()
        ground.map[:, 0] = -2.0
        # A wall in the east from 0.5 on, and what is seen of it.
        wall = (torch.arange(CELLS) + 0.5) / CELLS * 2 - 1 > 0.5 / EDGE
        ground.map[0, 0, :, wall], ground.map[0, 1, :, wall] = 2.0, 0.3
    stands = torch.tensor([[0.0, 0.0], [0.3, -0.2]])
    turned = [0.0, 0.5, -0.5, np.pi]
    way = torch.tensor([[np.cos(one), np.sin(one)] for one in turned], dtype=torch.float32)
    with torch.no_grad():
        told = ground(stands, way.expand(2, -1, -1))
    looks, far = told[..., 0], told[..., LOOKS + 1].exp()
    assert torch.allclose(looks[:, :3], torch.tensor(0.3 * STEEP), rtol=0.05)
    assert (looks[:, 3] < 0.1).all()  # To the west there is nothing.
    wanted = (0.5 - stands[:, :1]) / way[:3, 0]
    assert torch.allclose(far[:, :3], wanted, rtol=0.12), (far, wanted)  # a step of a ray


def test_left_is_left_and_a_view_below_0_is_mirrored() -> None:
    model, mirrored = small(), small(view=-90.0)
    looks = model._turned(torch.tensor([[0.0, 0.0, 1.0, 0.0]]), model.columns)[0]
    assert looks[0, 1] > 0 > looks[-1, 1] and (looks[:, 0] > 0).all()
    other = mirrored._turned(torch.tensor([[0.0, 0.0, 1.0, 0.0]]), mirrored.columns)[0]
    assert torch.allclose(other, looks.flip(0), atol=1e-6)


def test_other_numbers_are_seen_too() -> None:
    names = (*NAMES[:2], "door", *NAMES[2:])
    model = small(
        sensors=names, sensor_low=(-1.0,) * 5, sensor_high=(1.0,) * 5, sensor_whole=(False,) * 5,
        sensor_step=(0.05, 0.05, 0.1, 0.1, 1.0),
    )  # fmt: skip
    doors = torch.tensor([[0.1, 0.2, -1.0, 0.6, 0.8], [0.1, 0.2, 1.0, 0.6, 0.8]])
    (shut, ajar), _ = model.drawn(doors, torch.zeros(2, 3))
    assert not torch.allclose(shut, ajar, atol=1e-4)
    boxes_, arrows = boxes(model.config.to_json())
    assert all(max(arrow) < len(boxes_) for arrow in arrows)


def test_numbers_that_are_no_direction_are_refused() -> None:
    arrays, asked = room(games=4), recipe()
    arrays.state[5, 2:] = 0.5
    with pytest.raises(UserError, match=r"names looks_east and looks_north, and in the data they"):
        build(asked, arrays, spec())


def test_one_may_turn_round_where_nobody_did() -> None:
    arrays, asked = room(games=4), recipe()
    arrays.state_range[:, 2] = 0.3, 0.5
    assert build(asked, arrays, spec()).config.sensor_low[2] == -1


def test_what_is_checked_without_torch_is_the_default() -> None:
    assert {key: getattr(Config, key) for key in USUAL} == USUAL


def test_a_world_that_does_not_tell_where_one_looks_is_refused() -> None:
    def world(*names: str) -> Spec:
        sensors = tuple(Sensor(name, (), "float32", "", -1.0, 1.0, name) for name in names)
        return Spec(
            "room",
            "Room",
            10.0,
            (Camera("eye", 8, 16),),
            actions=(Action("wait"),),
            sensors=sensors,
        )

    check({}, world(*NAMES), "room.toml")
    check({"place": ["x", "y"]}, world("x", "y", *NAMES[2:]), "room.toml")
    with pytest.raises(UserError, match=r"no number 'looks_east', but east, north\. Run"):
        check({}, world("east", "north"), "room.toml")
    with pytest.raises(UserError, match="no number 'u'"):
        check({"look": ["u", "v"]}, world(*NAMES), "room.toml")
    with pytest.raises(UserError, match="four different numbers are needed"):
        check({"look": ["east", "looks_north"]}, world(*NAMES), "room.toml")
    with pytest.raises(UserError, match=r"model\.view is 0 degrees"):
        check({"view": 0.0}, world(*NAMES), "room.toml")
    two = dataclasses.replace(world(*NAMES), cameras=(Camera("a", 8, 8), Camera("b", 8, 8)))
    with pytest.raises(UserError, match="has 2 cameras"):
        check({}, two, "room.toml")
