"""Driving: a car in a small town, seen by three cameras and a LiDAR.

The rules
---------
The seed decides the town: streets with curves, junctions with and without lights, and roundabouts
(`town.py`). Traffic drives on the right. The route is GOAL metres long (`route.py`). The car moves
like a bicycle with a roof: its front wheels steer, and its tyres have limited grip, less in the
rain (`ego.py`). Cars, vans, cyclists and pedestrians go their own ways (`traffic.py`). Drivers keep
a distance, give way at junctions, and stop at red lights (`sight.py`). A scenario begins with a
situation that happens within seconds: a pedestrian steps out, a car brakes hard, or somebody is in
a roundabout (`scenarios.py`). The weather is clear, or there is rain, fog or dusk.

The drive is over when the car touches somebody or something, is FAR_OFF metres beside the road, or
reaches its goal. After that the world does not change. A car that leaves its route gets a new route
from that place. The reward of a step is the progress along the route in metres. A collision costs
20, each tick beside the road 0.5 and a red light 10, and the goal is worth 10.

Everything is in metres, seconds and radians. In the town, x points east and y points north. A
heading starts at east and grows to the left. A second has RATE steps. The chance of a step is four
numbers: whether somebody new comes into the town and at which tile; on which of its lanes; how far
along it, and which way everybody turns; and whether a pedestrian crosses. You can change every
number in these files; the rest follows from them.

To try
------
In `sight.py` a higher LIMIT, or a HEADWAY of 0.4 seconds. In `ego.py` a GRIP of 0.2 in the rain. In
`rig.py` a longer WHEELBASE, or another place for a camera. In `traffic.py` a WHIM of 1: pedestrians
then cross whenever they may. In `palette.py` other colours. A new scenario: a line in TILES, and
the places of its actors in `_act`.
"""

from __future__ import annotations

import numpy as np

from sims import exact
from sims.contract import Array, HudField, Sim, Spec
from sims.driving import camera, drivers, ego, lidar, rig, route, scenarios, sight, town, traffic
from sims.driving.sight import RIDERS, USERS
from sims.errors import UserError

CHANCE = 0  # The source of random numbers for steps.
WORTH = (-20.0, -20.0, -20.0, -20.0, -0.5, -10.0, 10.0)  # The reward of each event.


class Driving(Sim):
    """N drives through N towns; `state` holds them as arrays with leading dimension N."""

    spec = Spec(
        name="driving",
        title="Driving",
        rate=rig.RATE,
        cameras=rig.CAMERAS,
        axes=rig.AXES,
        chance=("spawn", "place", "turn", "walk"),
        sensors=rig.SENSORS,
        hud=(HudField("speed", "km/h"), HudField("route", "Route, %")),
        events=rig.EVENTS,
        scenarios=scenarios.SCENARIOS,
        conditions=rig.CONDITIONS,
        behaviours=("autopilot", "clumsy", "aggressive", "recovery", "random"),
        max_steps=1500,
    )

    def __init__(self, worlds: int) -> None:
        super().__init__(worlds)
        self.state = _empty(worlds)
        self.reset(self.state["seed"])

    def reset(self, seeds: Array, scenario: str = "free-road", where: Array | None = None) -> None:
        """Start new drives from int64 [N] seeds; `where` (bool [N]) selects some (default: all)."""
        if not self.spec.has(scenario):
            known = ", ".join(self.spec.scenarios)
            raise UserError(f"world 'driving': no scenario '{scenario}'; it has {known}.")
        w = np.arange(self.worlds) if where is None else np.nonzero(where)[0]
        fresh = _empty(len(w))
        fresh["seed"][:] = np.asarray(seeds, dtype=np.int64)[w]
        name, _, condition = scenario.partition("/")
        scenarios.start(fresh, name, condition)
        _look(fresh)
        for key, value in fresh.items():
            self.state[key][w] = value

    def draw(self) -> Array:
        """Return the chance of the coming step, float32 [N, 4], from (seed, tick) alone."""
        return exact.uniform(self.state["seed"], self.state["tick"], CHANCE, 4)

    def step(self, actions: Array, chance: Array | None = None) -> tuple[Array, Array, Array]:
        """Advance one tick; actions float32 [N, 3] are steer, throttle and brake."""
        s = self.state
        if chance is None:
            chance = self.draw()
        over = s["over"].copy()
        kept = {key: value[over] for key, value in s.items()} if over.any() else {}
        before = s["progress"].copy()
        s["tick"] += 1
        traffic.advance(s, chance)
        ego.drive(s, actions)
        s["waited"][:] = np.where(s["ego"][:, 3] < 0.3, s["waited"] + rig.DT, 0.0)
        route.mend(s)
        _look(s)
        ended = ego.judge(s, before)
        reward = s["progress"] - before
        for i in range(len(rig.EVENTS)):
            reward += s["events"][:, i] * WORTH[i]
        s["over"] |= ended
        for key, value in kept.items():
            s[key][over] = value
        if kept:
            s["events"][over] = False
            reward[over] = 0.0
        truncated = (s["tick"] >= self.spec.max_steps) & ~s["over"]
        return reward.astype(np.float32), s["over"].copy(), truncated

    def render(self, out: Array) -> None:
        """Draw the cameras into `out`, uint8 [N, 3, 64, 96, 3]."""
        camera.render(self.state, out)

    def sensors(self) -> dict[str, Array]:
        """Return each sensor of the spec, float32 [N, *shape]."""
        s = self.state
        single = {
            "speed": s["ego"][:, 3],
            "acceleration": s["motion"][:, 0],
            "yaw_rate": s["motion"][:, 1],
            "steering": s["ego"][:, 4],
            "lateral_offset": s["bearing"][:, 0],
            "heading_error": s["bearing"][:, 1],
            "lead_distance": s["lead"],
        }
        found = {name: value.astype(np.float32)[:, None] for name, value in single.items()}
        found["waypoints"] = s["waypoints"].astype(np.float32)
        found["lidar"] = lidar.scan(s)
        return found

    def hud(self) -> dict[str, Array]:
        """Return the speed in km/h and the finished part of the route in percent, int64 [N]."""
        s = self.state
        part = np.clip(s["progress"] / s["goal"], 0, 1)
        return {
            "speed": np.floor(s["ego"][:, 3] * 3.6 + 0.5).astype(np.int64),
            "route": np.floor(part * 100).astype(np.int64),
        }

    def events(self) -> dict[str, Array]:
        """Return the events of the last step, bool [N] each."""
        return {name: self.state["events"][:, i].copy() for i, name in enumerate(rig.EVENTS)}

    def act(self, behaviour: str) -> Array:
        """Return the current actions of a behaviour, float32 [N, 3]."""
        if behaviour not in self.spec.behaviours:
            known = ", ".join(self.spec.behaviours)
            raise UserError(f"world 'driving': no behaviour '{behaviour}'; it has {known}.")
        return drivers.act(self.state, behaviour)


def _look(state: dict[str, Array]) -> None:
    """Update everything that follows from the rest of the state."""
    state["signals"][:] = town.signals(state["light_offset"], state["tick"])
    route.follow(state)
    sight.look(state)


def _empty(n: int) -> dict[str, Array]:
    grid = (n, town.GRID, town.GRID)
    return {
        "seed": np.zeros(n, dtype=np.int64),
        "tick": np.zeros(n, dtype=np.int64),
        "scenario": np.zeros(n, dtype=np.int64),  # Index into the spec's scenarios.
        "condition": np.zeros(n, dtype=np.int64),  # Index into the spec's conditions.
        "links": np.zeros(grid, dtype=np.int64),
        "roundabout": np.zeros(grid, dtype=np.bool_),
        "light_offset": np.full(grid, -1, dtype=np.int64),
        "signals": np.zeros(grid, dtype=np.int64),
        "route": np.zeros((n, route.TILES, 2), dtype=np.int64),  # Tile, path.
        "starts": np.zeros((n, route.TILES)),  # Metres along the route where each tile starts.
        "goal": np.zeros(n),
        "ego": np.zeros((n, 5)),  # x, y, heading, speed, angle of the front wheels.
        "motion": np.zeros((n, 2)),  # Acceleration, yaw rate.
        "progress": np.zeros(n),  # Metres along the route.
        "bearing": np.zeros((n, 2)),  # Left of the lane's middle, heading left of the lane's.
        "lead": np.full(n, rig.LEAD_RANGE),
        "waypoints": np.zeros((n, rig.WAYPOINTS, 2)),  # Forward, left.
        "users": np.zeros((n, USERS, 7)),  # x, y, heading, speed, length, width, height.
        "user_kind": np.zeros((n, USERS), dtype=np.int64),  # 1 car, 2 van, 3 cyclist, 4 walker.
        "place": np.zeros((n, USERS, 3), dtype=np.int64),  # Their tile, path and next path.
        "course": np.zeros((n, USERS, 5)),  # Along, side, target side, wish (m/s), waited (s).
        "guide": np.full((n, USERS), -1, dtype=np.int64),  # Index into the ego's route, or -1.
        "wanted": np.zeros((n, USERS), dtype=np.bool_),  # Does this place have a user?
        "script": np.zeros(n, dtype=np.int64),  # The actor's script, and its cues.
        "cue": np.zeros((n, 3)),
        "drive": np.zeros((n, RIDERS + 1)),  # Each driver's chosen acceleration, ego last.
        "dodge": np.zeros(n),  # How far left in its lane the ego should drive.
        "waited": np.zeros(n),  # Seconds at a standstill.
        "braking": np.zeros((n, USERS), dtype=np.bool_),  # Are its brake lights on?
        "events": np.zeros((n, len(rig.EVENTS)), dtype=np.bool_),  # Of the last step.
        "over": np.zeros(n, dtype=np.bool_),
    }
