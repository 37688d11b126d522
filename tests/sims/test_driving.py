"""The driving world's rules: town, car, others, situations, and who drives."""

from __future__ import annotations

import numpy as np
import pytest

from sims.contract import Array
from sims.driving import Driving, ego, lanes, rig, route, scenarios, sight, town, traffic
from sims.driving.rig import EVENTS
from sims.driving.sight import ALONG, PATH_OF, RIDERS, TILE_OF, WAITED
from sims.errors import UserError

N = 24
SEEDS = np.arange(N, dtype=np.int64) * 101 + 5


def drives(scenario: str, n: int = N) -> Driving:
    sim = Driving(n)
    sim.reset(SEEDS[:n], scenario)
    return sim


def still(n: int) -> Array:
    return np.zeros((n, 3), dtype=np.float32)


def named(sim: Driving) -> dict[str, Array]:
    return sim.events()


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


# The others.


def test_nobody_drives_into_the_one_ahead() -> None:
    sim = drives("dense-traffic")
    s = sim.state
    closest = np.inf
    for _ in range(300):
        sim.step(sim.act("autopilot"))
        users = s["users"][:, :RIDERS]
        there = s["user_kind"][:, :RIDERS] > 0
        cos, sin = np.cos(users[..., 2]), np.sin(users[..., 2])
        dx = users[:, None, :, 0] - users[:, :, None, 0]
        dy = users[:, None, :, 1] - users[:, :, None, 1]
        ahead = dx * cos[:, :, None] + dy * sin[:, :, None]
        beside = np.abs(dy * cos[:, :, None] - dx * sin[:, :, None])
        same = cos[:, None] * cos[:, :, None] + sin[:, None] * sin[:, :, None]
        gap = ahead - (users[:, None, :, 4] + users[:, :, None, 4]) / 2
        pair = there[:, None] & there[:, :, None] & (ahead > 0.5) & (beside < 0.9) & (same > 0.95)
        closest = min(closest, gap[pair].min())
    assert closest > 0
    assert closest < 6, "nobody follows anybody"


def test_the_one_who_follows_keeps_a_distance() -> None:
    sim = drives("following")
    s = sim.state
    for _ in range(400):
        sim.step(sim.act("autopilot"))
        assert s["lead"].min() > 0
    assert not s["events"][:, :4].any()


def test_others_stop_at_red_lights() -> None:
    sim = drives("dense-traffic")
    s = sim.state
    w = np.arange(N)[:, None]
    crossed = held = 0
    for _ in range(500):
        old, at = s["place"][:, :RIDERS].copy(), s["course"][:, :RIDERS, ALONG].copy()
        sim.step(sim.act("autopilot"))
        tile, path = old[..., TILE_OF], old[..., PATH_OF]
        red = ego.red(s["signals"].reshape(N, -1)[w, tile], path)
        nose = s["users"][:, :RIDERS, 4] / 2 - ego.STOP
        same = (s["place"][:, :RIDERS, TILE_OF] == tile) & (s["user_kind"][:, :RIDERS] > 0)
        now = s["course"][:, :RIDERS, ALONG]
        crossed += int((red & same & (at + nose <= 0) & (now + nose > 0)).sum())
        held += int((red & same & (s["course"][:, :RIDERS, WAITED] > 1)).sum())
    assert crossed < 4  # Only who came anew right before the line.
    assert held > 50


def test_traffic_does_not_jam() -> None:
    sim = drives("dense-traffic")
    for _ in range(1000):
        sim.step(still(N) if _ == 0 else sim.act("autopilot"))
    waited = sim.state["course"][:, :RIDERS, WAITED][sim.state["user_kind"][:, :RIDERS] > 0]
    assert (waited > 30).mean() < 0.03


def test_pedestrians_cross_and_walk_on() -> None:
    sim = drives("free-road")
    s = sim.state
    crossing, sides = np.zeros(N, dtype=bool), []
    for _ in range(600):
        sim.step(still(N))
        walkers = s["course"][:, RIDERS:]
        crossing |= (walkers[..., sight.AIM] > 0).any(axis=1)
        sides.append(walkers[..., sight.SIDE].copy())
    assert crossing.mean() > 0.3
    assert np.min(sides) >= traffic.PAVED - 1e-9
    assert np.max(sides) <= traffic.ACROSS + 1e-9
    assert not s["events"][:, EVENTS.index("collision_pedestrian")].any()


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
        off |= named(sim)["off_road"]
        static |= named(sim)["collision_static"]
    assert off.all()
    assert over.mean() > 0.9
    assert static.any(), "nothing stands beside the road"


def test_running_a_red_light_is_told() -> None:
    sim = drives("red-light")
    ran = np.zeros(N, dtype=bool)
    for _ in range(250):
        action = sim.act("autopilot")
        action[::2, 1:] = (0.25, 0.0)  # Every other driver never brakes.
        sim.step(action)
        ran |= named(sim)["red_light"]
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
    assert named(sim)["goal"][0]
    assert reward[0] > 10


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


# Situations.


@pytest.mark.parametrize("scenario", scenarios.SCENARIOS)
def test_every_situation_happens_within_seconds(scenario: str) -> None:
    sim = drives(scenario)
    s = sim.state
    start = sim.snapshot()
    happened = np.zeros(N, dtype=bool)
    w = np.arange(N)
    for t in range(260):
        action = sim.act("autopilot")
        sim.step(action)
        ahead, slow = s["drive"][:, -1], s["users"][:, 0, 3]
        dx, dy = (s["users"][:, 0, i] - s["ego"][:, i] for i in (0, 1))
        actor = np.sqrt(dx * dx + dy * dy)
        kind = scenarios.TILES[scenario]
        tile = route.tile_at(s["ego"][:, 0], s["ego"][:, 1])
        at_place = tile == start["route"][:, 1, 0]
        if scenario in ("following", "hard-brake", "stop-and-go", "cut-in"):
            brake = slow < 1.0 if scenario in ("hard-brake", "stop-and-go") else slow > 1.0
            happened |= (s["lead"] < 25) & brake & (t > 10)
        elif scenario.endswith("pedestrian"):
            side = s["course"][:, RIDERS, sight.SIDE]
            close = s["starts"][:, 1] + 40 > s["progress"]
            happened |= (side > -0.8) & (side < 0.8) & close & (ahead < -1.0)
        elif scenario == "red-light":
            shown = s["signals"].reshape(N, -1)[w, start["route"][:, 1, 0]]
            happened |= ego.red(shown, start["route"][:, 1, 1]) & (s["ego"][:, 3] < 1.0)
        elif scenario in ("junction", "left-turn", "roundabout"):
            happened |= at_place & (actor < 28)
        elif scenario == "cyclist":
            gap = s["users"][:, sight.VEHICLES, :2] - s["ego"][:, :2]
            happened |= np.sqrt((gap * gap).sum(axis=1)) < 14
        elif scenario == "oncoming":
            happened |= (start["course"][:, 0, sight.SIDE] > 3) & (actor < 30)
        elif scenario == "parked-vehicle":
            happened |= (actor < 3.0) & (s["ego"][:, 3] > 2)
        elif scenario == "off-lane":
            happened |= np.abs(start["bearing"][:, 0]) > 0.7
        elif scenario == "dense-traffic":
            happened |= (s["user_kind"] > 0).sum(axis=1) > 9
        elif scenario in rig.CONDITIONS:
            happened |= s["condition"] == rig.CONDITIONS.index(scenario)
        else:
            happened |= (s["lead"] == rig.LEAD_RANGE) & (s["progress"] > 50)
        assert kind in range(6)
    assert happened.mean() > 0.8, f"{scenario}: {happened.mean():.2f}"


def test_a_condition_may_be_named_with_a_scenario() -> None:
    for i, condition in enumerate(rig.CONDITIONS):
        assert (drives(f"junction/{condition}").state["condition"] == i).all()
    seen = drives("junction").state["condition"]
    assert len(set(seen.tolist())) > 2
    assert (drives("fog/rain").state["condition"] == 1).all()
    with pytest.raises(UserError, match="no scenario 'junction/snow'"):
        drives("junction/snow")


def test_a_scenario_that_a_town_has_no_place_for_says_which_and_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build = town.build

    def bare(seeds: Array) -> dict[str, Array]:
        made = build(seeds)
        made["roundabout"][1] = False
        return made

    monkeypatch.setattr(town, "build", bare)
    with pytest.raises(UserError, match=r"'roundabout' needs a roundabout.* seed 106 has none"):
        drives("roundabout")


# Who drives.


@pytest.mark.parametrize("scenario", ["free-road", "following"])
def test_the_autopilot_comes_to_its_goal(scenario: str) -> None:
    sim = drives(scenario)
    goal = np.zeros(N, dtype=bool)
    for _ in range(sim.spec.max_steps):
        _, terminated, _ = sim.step(sim.act("autopilot"))
        goal |= named(sim)["goal"] & ~named(sim)["collision_vehicle"]
        if terminated.all():
            break
    assert goal.mean() >= 0.95


def test_behaviours_differ_as_they_should() -> None:
    ends = {}
    for behaviour in Driving.spec.behaviours:
        sim = drives("dense-traffic/clear")
        offset, speed = [], []
        for _ in range(300):
            sim.step(sim.act(behaviour))
            alive = ~sim.state["over"]
            offset.append(np.abs(sim.state["bearing"][alive, 0]).mean() if alive.any() else 0)
            speed.append(sim.state["ego"][:, 3].max())
        events = (sim.state["over"]).mean()
        ends[behaviour] = (events, np.mean(offset), max(speed))
    assert ends["autopilot"][0] < 0.1
    assert ends["random"][0] > 0.5
    assert ends["autopilot"][1] < ends["recovery"][1]
    assert ends["autopilot"][1] < ends["clumsy"][1]
    assert ends["aggressive"][2] > ends["autopilot"][2] + 2
    assert ends["recovery"][0] < 0.3
    with pytest.raises(UserError, match="no behaviour 'asleep'"):
        drives("free-road", 1).act("asleep")


# The contract.


def test_a_world_of_a_batch_is_itself_alone() -> None:
    batch, alone = drives("dense-traffic", 3), Driving(1)
    alone.reset(SEEDS[1:2], "dense-traffic")
    for t in range(200):
        action = batch.act(Driving.spec.behaviours[t // 50])
        batch.step(action)
        alone.step(action[1:2])
    for name, value in batch.state.items():
        assert value[1].tobytes() == alone.state[name][0].tobytes(), name


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
