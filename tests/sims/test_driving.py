"""The driving world's rules: town, car and events; and that it keeps the contract."""

from __future__ import annotations

import numpy as np
import pytest
from drives import SEEDS, N, drives, still

from sims.driving import Driving, ego, lanes, rig, route, sight, town, traffic
from sims.driving.sight import ALONG, TILE_OF

# The town.


def test_towns_are_connected_and_have_no_dead_ends_and_one_of_each_junction() -> None:
    built = town.build(np.arange(300))
    links, count = built["links"], town.COUNT[built["links"]]
    assert not (count == 1).any()
    for side, (dy, dx) in enumerate(((1, 0), (0, 1), (-1, 0), (0, -1))):
        out = (links >> side & 1).astype(bool)
        back = np.roll((links >> (side + 2) % 4 & 1).astype(bool), (-dy, -dx), axis=(1, 2))
        assert (out == (out & back)).all(), "a road leads to where none is"
    for i in range(300):
        reached = np.zeros((town.GRID, town.GRID), dtype=bool)
        todo = [tuple(np.argwhere(links[i])[0])]
        while todo:
            y, x = todo.pop()
            if reached[y, x]:
                continue
            reached[y, x] = True
            for side in range(4):
                if links[i, y, x] >> side & 1:
                    todo.append((y + int(town.STEP_Y[side]), x + int(town.STEP_X[side])))
        assert (reached == (links[i] > 0)).all()
    lit, junction = built["light_offset"] >= 0, count >= 3
    assert (built["roundabout"] & junction).any(axis=(1, 2)).all()
    assert (lit & junction).any(axis=(1, 2)).all()
    assert (junction & ~lit & ~built["roundabout"]).any(axis=(1, 2)).all()
    assert not ((built["roundabout"] | lit) & ~junction).any()


def test_lanes_are_on_the_road_and_lead_from_side_to_side() -> None:
    sides = np.array([(0, 20), (20, 0), (0, -20), (-20, 0)])
    for path in np.nonzero(lanes.EXISTS)[0]:
        entry, exit_ = path // 4 % 4, path % 4
        s = np.arange(0.0, lanes.LENGTH[path], 0.25)
        at = lanes.along(np.full(len(s), path), s)
        for end, side in ((at[0], entry), (at[-1], exit_)):
            assert np.abs(end[:2] - sides[side]).sum() == pytest.approx(1.75, abs=0.3)
        step = np.sqrt((np.diff(at[:, :2], axis=0) ** 2).sum(axis=1))
        assert np.abs(step - 0.25).max() < 1e-3
        kind = path // 16
        bits = (1 << entry | 1 << exit_) if kind == lanes.CURVE else 15
        links = np.full((len(s), town.GRID, town.GRID), bits)
        x, y = (np.clip(at[:, i] + 20, 0, 39.99) for i in (0, 1))
        off = town.off_road(links, links * 0 + (kind == lanes.ROUND) > 0, x, y)
        assert off.max() < -1.1


def test_lights_go_round() -> None:
    offset = np.full((1, town.GRID, town.GRID), -1)
    offset[0, 2, 3] = 0
    shown = [town.signals(offset, np.array([t]))[0] for t in range(town.CYCLE)]
    assert all(s.sum() == s[2, 3] for s in shown)
    lit = [int(s[2, 3]) for s in shown]
    assert [lit.count(i) for i in (1, 2, 3, 4)] == [town.GREEN, town.AMBER] * 2
    from_south, from_east = np.array([2 * 4]), np.array([1 * 4 + 3])
    for light, south, east in ((1, False, True), (2, False, True), (3, True, False)):
        assert bool(ego.red(np.array([light]), from_south)[0]) == south
        assert bool(ego.red(np.array([light]), from_east)[0]) == east
    assert not ego.red(np.array([0]), from_south)[0]


# The car.


def test_the_car_turns_as_a_bicycle_does() -> None:
    sim = drives("free-road", 1)
    s = sim.state
    s["ego"][0] = (100, 100, 0.3, 3.0, 0.2)
    steer = np.array([[0.2 / rig.MAX_STEER, 0.0375, 0]], dtype=np.float32)
    start = s["ego"][0].copy()
    for _ in range(40):
        s["ego"][0, 3] = 3.0
        ego.drive(s, steer)
    radius = rig.WHEELBASE / np.tan(0.2)
    assert s["motion"][0, 1] == pytest.approx(3.0 / radius, rel=1e-2)
    assert s["ego"][0, 2] - start[2] == pytest.approx(2.0 * 3.0 / radius, rel=1e-2)
    # Its rear axle goes round a circle.
    rear = [e[:2] - ego.REAR * np.array([np.cos(e[2]), np.sin(e[2])]) for e in (start, s["ego"][0])]
    middle = rear[0] + radius * np.array([-np.sin(start[2]), np.cos(start[2])])
    assert np.linalg.norm(rear[1] - middle) == pytest.approx(radius, rel=1e-3)


def test_wheels_turn_slowly_and_tyres_hold_less_in_the_rain() -> None:
    sim = drives("free-road", 4)
    s = sim.state
    s["condition"][:] = (0, 1, 2, 3)
    s["ego"][:, 3] = 15.0
    full = np.tile(np.array([[1, 0, 1]], dtype=np.float32), (4, 1))
    ego.drive(s, full)
    assert s["ego"][:, 4] == pytest.approx(ego.STEER_RATE * rig.DT)
    assert s["motion"][1, 0] > s["motion"][0, 0]
    assert s["motion"][0, 0] == pytest.approx(-8.0 - 0.15 - 0.006 * 225, abs=1e-9)
    s["ego"][:, 3:] = (15.0, 0.5)
    ego.drive(s, full)
    sideways = s["motion"][:, 1] * s["ego"][:, 3]
    assert sideways == pytest.approx(ego.GRIP * ego.GRAVITY, rel=1e-6)
    s["ego"][:, 3:] = (0.1, 0.0)
    for _ in range(5):
        ego.drive(s, full)
    assert (s["ego"][:, 3] == 0).all(), "it drives backwards"


def test_telemetry_tells_where_the_lane_is() -> None:
    sim = drives("free-road")
    s = sim.state
    found = sim.sensors()
    assert np.abs(found["lateral_offset"]).max() < 1e-3
    assert np.abs(found["heading_error"]).max() < 1e-3
    assert (found["lead_distance"] == rig.LEAD_RANGE).all()
    gaps = np.sqrt((np.diff(found["waypoints"].astype(float), axis=1) ** 2).sum(axis=2))
    assert gaps.max() < 5.01
    assert gaps.min() > 4.4
    assert found["waypoints"][:, 0, 0] == pytest.approx(5.0, abs=0.05)
    # A metre to the left, and turned a little to the left.
    left = s["ego"][:, 2] + np.pi / 2
    s["ego"][:, 0] += np.cos(left)
    s["ego"][:, 1] += np.sin(left)
    s["ego"][:, 2] += 0.1
    route.follow(s)
    assert s["bearing"][:, 0] == pytest.approx(1.0, abs=0.02)
    assert s["bearing"][:, 1] == pytest.approx(0.1, abs=0.02)


def test_boxes_overlap_where_they_do() -> None:
    car = np.array([[0.0, 0.0, 0.0, 0.0, 0.0]])
    size = (4.2, 1.8, 1.5)
    for x, y, heading, hit in (
        (4.1, 0, 0, True),
        (4.3, 0, 0, False),
        (0, 1.7, 0, True),
        (0, 1.9, 0, False),
        (0, 2.9, np.pi / 2, True),
        (0, 3.1, np.pi / 2, False),
        (3.4, 1.9, np.pi / 4, True),
        (3.4, 2.9, np.pi / 4, False),
    ):
        users = np.array([[(x, y, heading, 0.0, *size)]])
        assert ego.overlaps(car, users)[0, 0] == hit, (x, y, heading)


# Events.


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        (sight.CAR, "collision_vehicle"),
        (sight.VAN, "collision_vehicle"),
        (sight.CYCLIST, "collision_cyclist"),
        (sight.WALKER, "collision_pedestrian"),
    ],
)
def test_touching_somebody_ends_the_drive(kind: int, event: str) -> None:
    sim = drives("following", 2)
    s = sim.state
    s["user_kind"][0, 0], s["users"][0, 0, 4:] = kind, traffic.SIZES[kind]
    s["course"][0, 0, ALONG] -= 14.0 if s["place"][0, 0, TILE_OF] == s["route"][0, 0, 0] else 0
    spot = route.locate(s, s["progress"][:, None] + 1.0)
    s["place"][0, 0, :2] = spot[1][0, 0], spot[2][0, 0]
    s["course"][0, 0, ALONG] = spot[3][0, 0]
    reward, terminated, truncated = sim.step(still(2))
    assert sim.events()[event][0]
    assert terminated.tolist() == [True, False]
    assert not truncated.any()
    assert reward[0] < -15
    before = sim.snapshot()
    reward, terminated, _ = sim.step(sim.act("autopilot"))
    assert terminated[0]
    assert reward[0] == 0
    assert not sim.events()[event][0]
    for name, value in sim.state.items():
        if name != "events":
            assert (value[0] == before[name][0]).all(), name


def test_leaving_the_road_is_told_and_far_off_it_is_over() -> None:
    sim = drives("free-road")
    over = np.zeros(N, dtype=bool)
    off = np.zeros(N, dtype=bool)
    hard = np.tile(np.array([[-0.4, 0.3, 0]], dtype=np.float32), (N, 1))
    static = np.zeros(N, dtype=bool)
    for _ in range(120):
        _, over, _ = sim.step(hard)
        off |= sim.events()["off_road"]
        static |= sim.events()["collision_static"]
    assert off.all()
    assert over.mean() > 0.9
    assert static.any(), "nothing stands beside the road"


@pytest.mark.slow
def test_running_a_red_light_is_told() -> None:
    sim = drives("red-light")
    ran = np.zeros(N, dtype=bool)
    for _ in range(250):
        action = sim.act("autopilot")
        action[::2, 1:] = (0.25, 0.0)  # Every other driver never brakes.
        sim.step(action)
        ran |= sim.events()["red_light"]
    assert not ran[1::2].any()
    assert ran[::2].mean() > 0.7


def test_the_goal_ends_a_drive() -> None:
    sim = drives("free-road", 2)
    sim.state["goal"][0] = sim.state["progress"][0] + 2.0
    for _ in range(10):
        reward, terminated, _ = sim.step(sim.act("autopilot"))
        if terminated[0]:
            break
    assert terminated.tolist() == [True, False]
    assert sim.events()["goal"][0]
    assert reward[0] > 10


@pytest.mark.slow
def test_who_takes_another_way_is_led_on() -> None:
    sim = drives("junction")
    s = sim.state
    s["user_kind"][:] = 0
    s["wanted"][:] = False
    own = s["route"].copy()
    entry, exit_ = own[:, 0, 1] // 4 % 4, own[:, 0, 1] % 4
    turn = (own[:, 1, 1] + 2) % 4  # Not the side that it takes.
    links = s["links"].reshape(N, -1)[np.arange(N), own[:, 1, 0]]
    real = ((links >> turn) & 1 > 0) & (turn != (exit_ + 2) % 4)
    exits = np.stack([exit_, np.where(real, turn, -1)], axis=1)
    town_ = (s["links"], s["roundabout"])
    other = route.plan(*town_, own[:, 0, 0], entry, exits, np.zeros((N, route.TILES)))[0]
    assert real.sum() > 3
    swapped = np.zeros(N, dtype=bool)
    for _ in range(500):
        past = ~swapped & real & (s["progress"] > s["starts"][:, 2] + 2)
        s["route"][past] = other[past]
        swapped |= past
        sim.step(sim.act("autopilot"))
    assert (swapped == real).all()
    assert not s["events"][real, :5].any()
    assert np.abs(s["bearing"][real, 0]).max() < 2
    assert (s["route"][real, 0, 0] != own[real, 0, 0]).all()


# The contract.


@pytest.mark.slow
def test_a_world_of_a_batch_is_itself_alone() -> None:
    batch, alone = drives("dense-traffic", 3), Driving(1)
    alone.reset(SEEDS[1:2], "dense-traffic")
    for t in range(200):
        action = batch.act(Driving.spec.behaviours[t // 50])
        batch.step(action)
        alone.step(action[1:2])
    for name, value in batch.state.items():
        assert value[1].tobytes() == alone.state[name][0].tobytes(), name


@pytest.mark.slow
def test_a_snapshot_brings_everything_back() -> None:
    sim = drives("junction", 4)
    for _ in range(50):
        sim.step(sim.act("clumsy"))
    saved = sim.snapshot()
    first = [sim.step(sim.act("autopilot"))[0] for _ in range(60)]
    end = sim.snapshot()
    other = drives("roundabout", 4)
    other.restore(saved)
    second = [other.step(other.act("autopilot"))[0] for _ in range(60)]
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    for name, value in other.state.items():
        assert value.tobytes() == end[name].tobytes(), name


def test_resetting_some_leaves_the_others() -> None:
    sim = drives("following", 4)
    for _ in range(30):
        sim.step(sim.act("autopilot"))
    before = sim.snapshot()
    where = np.array([False, True, False, False])
    sim.reset(SEEDS[:4] + 1000, "roundabout", where)
    assert sim.state["tick"].tolist() == [30, 0, 30, 30]
    for name, value in sim.state.items():
        assert (value[~where] == before[name][~where]).all(), name


@pytest.mark.slow
def test_sensors_stay_within_their_ranges() -> None:
    for behaviour in ("random", "aggressive"):
        sim = drives("dense-traffic")
        for t in range(200):
            sim.step(sim.act(behaviour))
            if t % 10:
                continue
            found = sim.sensors()
            for sensor in sim.spec.sensors:
                values = found[sensor.name]
                assert values.shape == (N, *sensor.shape)
                assert values.dtype == sensor.dtype
                assert values.min() >= sensor.low, sensor.name
                assert values.max() <= sensor.high, sensor.name
