"""Who is on the driving world's roads: others, the situations that they make, and who drives."""

from __future__ import annotations

import numpy as np
import pytest
from drives import N, drives, still

from sims.contract import Array
from sims.driving import Driving, ego, rig, route, scenarios, sight, town, traffic
from sims.driving.rig import EVENTS
from sims.driving.sight import ALONG, PATH_OF, RIDERS, TILE_OF, WAITED
from sims.errors import UserError

# The others.


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_one_who_follows_keeps_a_distance() -> None:
    sim = drives("following")
    s = sim.state
    for _ in range(400):
        sim.step(sim.act("autopilot"))
        assert s["lead"].min() > 0
    assert not s["events"][:, :4].any()


@pytest.mark.slow
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


@pytest.mark.slow
def test_traffic_does_not_jam() -> None:
    sim = drives("dense-traffic")
    for _ in range(1000):
        sim.step(still(N) if _ == 0 else sim.act("autopilot"))
    waited = sim.state["course"][:, :RIDERS, WAITED][sim.state["user_kind"][:, :RIDERS] > 0]
    assert (waited > 30).mean() < 0.03


@pytest.mark.slow
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


# Situations.


@pytest.mark.slow
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
        if happened.mean() > 0.8:
            return
    pytest.fail(f"{scenario}: {happened.mean():.2f}")


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


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["free-road", "following"])
def test_the_autopilot_comes_to_its_goal(scenario: str) -> None:
    sim = drives(scenario)
    goal = np.zeros(N, dtype=bool)
    for _ in range(sim.spec.max_steps):
        _, terminated, _ = sim.step(sim.act("autopilot"))
        goal |= sim.events()["goal"] & ~sim.events()["collision_vehicle"]
        if terminated.all():
            break
    assert goal.mean() >= 0.95


@pytest.mark.slow
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
