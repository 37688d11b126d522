"""The situations that a drive can start in, each made from the seed.

A scenario chooses a tile of the town that fits its situation; the ego comes to it from the tile
before. Then it places its actors: on the route ahead, in the oncoming lane, or on another road of
the same junction, timed so that they meet. All others are placed by chance.
"""

from __future__ import annotations

import numpy as np

from sims.contract import Array
from sims.driving import lanes, route, town, traffic
from sims.driving.ego import STOP
from sims.driving.lanes import LENGTH
from sims.driving.rig import CONDITIONS
from sims.driving.route import State
from sims.driving.sight import (
    AIM,
    CAR,
    CYCLIST,
    LIMIT,
    RIDERS,
    SIDE,
    USERS,
    VAN,
    VEHICLES,
    WALKER,
    WISH,
)
from sims.driving.town import BITS, COUNT, CYCLE, GREEN, GRID
from sims.errors import UserError

# The tile that each scenario's situation needs.
STRAIGHT, CROSSING, LEFT, ROUND, LIGHTS, ANY = range(6)
TILES = {
    "free-road": STRAIGHT,
    "following": STRAIGHT,
    "hard-brake": STRAIGHT,
    "cut-in": STRAIGHT,
    "crossing-pedestrian": STRAIGHT,
    "late-pedestrian": STRAIGHT,
    "occluded-pedestrian": STRAIGHT,
    "junction": CROSSING,
    "left-turn": LEFT,
    "roundabout": ROUND,
    "red-light": LIGHTS,
    "fog": ANY,
    "rain": ANY,
    "dusk": ANY,
    "off-lane": STRAIGHT,
    "cyclist": STRAIGHT,
    "oncoming": STRAIGHT,
    "parked-vehicle": STRAIGHT,
    "stop-and-go": STRAIGHT,
    "dense-traffic": ANY,
}
SCENARIOS = tuple(TILES)
NEEDS = (
    "two straight tiles in a row",
    "a junction without lights",
    "a junction without lights to turn left at, with a road opposite",
    "a roundabout",
    "a junction with traffic lights",
    "a road",
)
# The number of vehicles, cyclists and pedestrians besides the actors.
USUAL = (4, 1, 2)
CROWDS = {"free-road": (0, 0, 2), "dense-traffic": (7, 2, 3), "oncoming": (1, 0, 2)}
WEATHER = (0.55, 0.7, 0.85)  # Without a condition, the seed chooses: clear, rain, fog or dusk.
STREAM = 20  # Random numbers of starts; the following streams are for each user.

Sides = tuple[Array, Array, Array, Array]


def start(state: State, scenario: str, condition: str) -> None:
    """Fill the state of new worlds: their "seed" is set, and everything else is still empty."""
    seeds = state["seed"]
    n = len(seeds)
    u = traffic.shuffle(seeds, STREAM, 16 + route.TILES)
    state.update(town.build(seeds))
    before, tile, entry, way_in = _place(state, scenario)
    exits = np.full((n, 2), -1, dtype=np.int64)
    exits[:, 0] = (entry + 2) % 4
    if scenario == "left-turn":
        exits[:, 1] = (entry + 1) % 4
    elif TILES[scenario] == STRAIGHT:
        exits[:, 1] = (entry + 2) % 4
    state["route"], state["starts"] = route.plan(
        state["links"], state["roundabout"], before, way_in, exits, u[:, 16:]
    )
    state["scenario"][:] = SCENARIOS.index(scenario)
    weather = (u[:, :1] >= np.array(WEATHER)).sum(axis=1)
    name = condition or (scenario if scenario in CONDITIONS else "")
    state["condition"][:] = CONDITIONS.index(name) if name else weather
    _seat(state, scenario, u)
    for kind, count in zip(
        (range(VEHICLES), range(VEHICLES, RIDERS), range(RIDERS, USERS)),
        CROWDS.get(scenario, USUAL),
        strict=True,
    ):
        state["wanted"][:, kind.start : kind.start + count] = True
    _act(state, scenario, u, tile, entry)
    w = np.arange(n)
    traffic.settle(state)
    for k in range(USERS):
        free = state["wanted"][:, k] & (state["user_kind"][:, k] == 0)
        if free.any():
            draw = traffic.shuffle(seeds, STREAM + 1 + k, 4)[free]
            traffic.spawn(state, w[free], np.full(len(draw), k), draw, 40.0)
            traffic.settle(state)


def _place(state: State, scenario: str) -> Sides:
    """Choose the tile of the situation and the side where the ego enters it.

    Returns the tile before, the tile, the side of its entry, and the entry side of the tile before.
    """
    seeds, n = state["seed"], len(state["seed"])
    links = state["links"].reshape(n, -1)
    round_, lit = state["roundabout"].reshape(n, -1), state["light_offset"].reshape(n, -1) >= 0
    tiles = np.arange(GRID * GRID)
    side = np.arange(4)
    open_ = (links[:, :, None] & BITS) > 0  # [N, tiles, sides]
    beyond = np.clip(tiles[:, None] + town.STEP_Y * GRID + town.STEP_X, 0, GRID * GRID - 1)
    opposite = np.roll(open_, 2, axis=2)
    before_links = links[:, beyond]
    ahead = (before_links & BITS[side]) > 0  # The road goes straight on, away from the tile.
    quiet = COUNT[before_links] == 2
    junction = (COUNT[links] >= 3)[:, :, None]
    plain = junction & ~(round_ | lit)[:, :, None]
    need = TILES[scenario]
    fits = (
        open_
        & [
            ~junction & opposite & quiet & ahead,
            plain,
            plain & opposite & np.roll(open_, -1, axis=2),
            round_[:, :, None],
            lit[:, :, None],
            open_,
        ][need]
    )
    score: Array = traffic.shuffle(seeds, STREAM - 1, 4 * GRID * GRID).reshape(open_.shape)
    score = np.where(fits, score + quiet + (quiet & ahead), -1.0).reshape(n, -1)
    missing = score.max(axis=1) < 0
    if missing.any():
        raise UserError(
            f"world 'driving': scenario '{scenario}' needs {NEEDS[need]}, and the town of seed "
            f"{seeds[missing][0]} has none; take another seed."
        )
    best = score.argmax(axis=1)
    tile, entry = best // 4, best % 4
    w = np.arange(n)
    before = beyond[tile, entry]
    draw = traffic.shuffle(seeds, STREAM - 2, 1)[:, 0]
    # The ego leaves the tile before opposite to `entry`, so it enters there by another side.
    way_in = lanes.choose(links[w, before], (entry + 2) % 4, draw)
    straight = ahead[w, tile, entry]
    return before, tile, entry, np.where(straight, entry, way_in)


def _seat(state: State, scenario: str, u: Array) -> None:
    """Put the ego at its start."""
    ego = state["ego"]
    state["progress"][:] = 3.0 + 6.0 * u[:, 1]
    state["goal"][:] = state["progress"] + route.GOAL
    at = route.points(state, state["progress"][:, None])[:, 0]
    side, turn = np.zeros(len(u)), np.zeros(len(u))
    if scenario == "off-lane":
        side = np.where(u[:, 3] < 0.6, 1.0 + 1.5 * u[:, 2], -0.8 - 1.2 * u[:, 2])
        turn = 0.5 * (u[:, 4] - 0.5)
    ego[:, 0] = at[:, lanes.X] - side * at[:, lanes.SIN]
    ego[:, 1] = at[:, lanes.Y] + side * at[:, lanes.COS]
    ego[:, 2] = route.wrapped(at[:, lanes.HEADING] * lanes.TURN + turn)
    ego[:, 3] = 5.0 + 3.0 * u[:, 5]


def _act(state: State, scenario: str, u: Array, tile: Array, entry: Array) -> None:
    """Place the actors of a scenario, and set their scripts."""
    cue, script = state["cue"], state["script"]
    leads = {"following": (14, 10), "hard-brake": (11, 6), "stop-and-go": (10, 8)}
    spot = state["starts"][:, 1] + 16.0 + 8.0 * u[:, 6]  # Somewhere in the situation's tile.
    cue[:, 2] = spot
    if scenario in leads:
        gap = leads[scenario][0] + leads[scenario][1] * u[:, 6]
        kind = np.where(u[:, 7] < 0.3, VAN, CAR)
        slow = 2.6 if scenario == "following" else 0.8
        _ahead(state, 0, kind, state["progress"] + gap + 2.5, LIMIT - slow * u[:, 8])
        state["users"][:, 0, 3] = np.minimum(state["ego"][:, 3], state["course"][:, 0, WISH])
        if scenario == "hard-brake":
            cue[:, 0] = np.floor(40 + 60 * u[:, 9])
            cue[:, 1] = cue[:, 0] + 50
            script[:] = traffic.HARD_BRAKE
        elif scenario == "stop-and-go":
            cue[:, 0] = np.floor(160 * u[:, 9])
            script[:] = traffic.STOP_AND_GO
    elif scenario == "cut-in":
        _ahead(state, 0, CAR, spot, 0.0, side=-2.3)
        cue[:, 0], cue[:, 1] = 13.0 + 6.0 * u[:, 9], 1.2
        script[:] = traffic.CUT_IN
    elif scenario == "parked-vehicle":
        _ahead(state, 0, np.where(u[:, 7] < 0.4, VAN, CAR), spot, 0.0, side=-1.8)
    elif scenario.endswith("-pedestrian"):
        first, more = {"crossing": (10.0, 2.6), "late": (3.0, 1.9)}.get(
            scenario.partition("-")[0], (4.0, 1.7)
        )
        _ahead(state, RIDERS, WALKER, spot, 0.0, side=traffic.PAVED)
        cue[:, 0], cue[:, 1] = first + 2.0 * u[:, 9], more
        script[:] = traffic.CROSS
        if scenario.startswith("occluded"):
            _ahead(state, 0, VAN, spot - 4.0, 0.0, side=-2.4)
    elif scenario == "cyclist":
        _ahead(state, VEHICLES, CYCLIST, state["progress"] + 20 + 15 * u[:, 6], 3.8 + u[:, 7])
    elif scenario == "oncoming":
        far = state["starts"][:, 2] - 3.0
        _ahead(state, 0, CAR, far, LIMIT, back=True)
        state["course"][:, 0, [SIDE, AIM]] = 3.2
        cue[:, 0] = 32.0 + 6.0 * u[:, 9]
        script[:] = traffic.ONCOMING
    elif scenario in ("junction", "left-turn", "roundabout"):
        _meet(state, scenario, u, tile, entry)
    elif scenario == "red-light":
        # The light turns amber while the ego approaches it.
        w = np.arange(len(u))
        ends = np.where(entry % 2 == 0, GREEN, CYCLE // 2 + GREEN)
        offset = (ends - 20 - (40 * u[:, 9]).astype(np.int64)) % CYCLE
        state["light_offset"].reshape(len(u), -1)[w, tile] = offset


def _ahead(
    state: State,
    k: int,
    kind: Array | int,
    s: Array,
    wish: Array | float,
    side: float | None = None,
    back: bool = False,
) -> None:
    """Put user `k` on the ego's route, `s` metres along it, or in the oncoming lane there.

    In the route's lane it follows the ego's route. `wish` is its speed, m/s.
    """
    n = len(s)
    w, who = np.arange(n), np.full(n, k)
    index, tile, path, local = (found[:, 0] for found in route.locate(state, s[:, None]))
    later = state["route"][w, index + 1, 1]
    if back:
        path, local = path // 16 * 16 + path % 4 * 4 + path // 4 % 4, LENGTH[path] - local
        later = traffic.after(state, w, tile, path)
    kinds = np.broadcast_to(np.asarray(kind, dtype=np.int64), n)
    traffic.put(state, w, who, kinds, tile, path, later, local)
    state["guide"][:, k] = -1 if back else index
    state["course"][:, k, WISH] = wish
    state["users"][:, k, 3] = wish
    state["wanted"][:, k] = True
    if side is not None:
        state["course"][:, k, SIDE] = state["course"][:, k, AIM] = side


def _meet(state: State, scenario: str, u: Array, tile: Array, entry: Array) -> None:
    """Let a car come to the junction `tile` from another side, at about the ego's time."""
    n = len(u)
    w = np.arange(n)
    links = state["links"].reshape(n, -1)
    if scenario == "left-turn":
        side = (entry + 2) % 4
    else:
        side = lanes.choose(links[w, tile], entry, u[:, 6])
    other = tile + town.STEP_Y[side] * GRID + town.STEP_X[side]
    out = (side + 2) % 4  # The side where it leaves that tile for the junction.
    way_in = lanes.choose(links[w, other], out, u[:, 7])
    path = lanes.path_of(links[w, other], state["roundabout"].reshape(n, -1)[w, other], way_in, out)
    # As far from the junction as the ego, which is slower at first.
    far = state["starts"][:, 1] - state["progress"]
    s = np.clip(LENGTH[path] - far * (0.85 + 0.3 * u[:, 8]), 0.0, LENGTH[path] - STOP)
    later = traffic.after(state, w, other, path)
    if scenario == "left-turn":
        rounds = np.zeros(n, dtype=np.bool_)
        later = lanes.path_of(links[w, tile], rounds, side, (side + 2) % 4)
    traffic.put(state, w, np.zeros(n, dtype=np.int64), np.full(n, CAR), other, path, later, s)
    state["course"][:, 0, WISH] = LIMIT
    state["users"][:, 0, 3] = state["ego"][:, 3]
    state["wanted"][:, 0] = True
