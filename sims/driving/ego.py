"""The ego car: a kinematic bicycle, and its collisions.

The front wheels turn at a limited rate. The tyres have limited grip, in metres a second squared,
less on a wet road. Beyond this limit, the car turns less than the wheels steer, and brakes less
than the pedal asks. It never drives backwards.
"""

from __future__ import annotations

import numpy as np

from sims.contract import Array
from sims.driving import boxes, scenery, town
from sims.driving.rig import DT, EVENTS, LENGTH, MAX_STEER, WHEELBASE, WIDTH
from sims.driving.route import State, facing, locate, wrapped
from sims.driving.things import NUMBER
from sims.driving.town import BOX, TILE

STEER_RATE = 1.0  # Radians a second.
POWER, BRAKES = 4.0, 8.0  # Metres a second squared at full throttle and at full brake.
ROLLING, AIR = 0.15, 0.006  # Drag: m/s^2, and m/s^2 for each (m/s)^2. Full throttle: 25 m/s.
GRAVITY = 9.81
GRIP = np.array([0.9, 0.55, 0.85, 0.9])  # Friction in each condition: clear, rain, fog, dusk.
REAR = WHEELBASE / 2  # The distance of the rear axle behind the car's middle.
TOP_SPEED = 25.0

FAR_OFF = 4.0  # Metres beside the road at which the drive is over.
EDGE = 3.0  # Metres from the road's edge where the car may touch things beside the road.
FAR_AWAY = -1e4
WALLS = np.array([NUMBER[name] for name in ("house", "flats", "office")])
STOP = TILE / 2 - BOX  # Metres into a junction's tile where its box begins.


def drive(state: State, actions: Array) -> None:
    """Move the ego one tick by float32 [N, 3] steer, throttle and brake."""
    ego = state["ego"]
    steer, throttle, brake = actions.astype(np.float64).T
    x, y, heading, speed, angle = (ego[:, i].copy() for i in range(5))
    grip = GRIP[state["condition"]] * GRAVITY

    wanted = np.clip(steer, -1, 1) * MAX_STEER
    angle += np.clip(wanted - angle, -STEER_RATE * DT, STEER_RATE * DT)
    push = np.clip(throttle, 0, 1) * POWER - np.clip(brake, 0, 1) * BRAKES
    push = np.clip(push, -grip, grip) - ROLLING - AIR * speed * speed
    before = speed
    speed = np.clip(speed + push * DT, 0.0, TOP_SPEED)

    cosine, sine = facing(angle)
    bend = sine / (cosine * WHEELBASE)
    limit = grip / np.maximum(speed * speed, 0.1)
    yaw_rate = speed * np.clip(bend, -limit, limit)
    cosine, sine = facing(heading)
    rear_x, rear_y = x - REAR * cosine, y - REAR * sine
    # The mean direction of the way is the heading at half of the turn.
    cosine, sine = facing(heading + yaw_rate * (DT / 2))
    rear_x += speed * DT * cosine
    rear_y += speed * DT * sine
    heading = wrapped(heading + yaw_rate * DT)
    cosine, sine = facing(heading)
    ego[:, 0] = rear_x + REAR * cosine
    ego[:, 1] = rear_y + REAR * sine
    ego[:, 2], ego[:, 3], ego[:, 4] = heading, speed, angle
    state["motion"][:, 0] = (speed - before) * (1 / DT)
    state["motion"][:, 1] = yaw_rate


def overlaps(ego: Array, users: Array) -> Array:
    """Return which boxes of users [N, K, 7] overlap the ego's [N, 5]: bool [N, K].

    Two boxes are apart if their projections along a side of one of them are.
    """
    cosine, sine = facing(ego[:, 2])
    other_cosine, other_sine = facing(users[..., 2])
    dx, dy = users[..., 0] - ego[:, 0, None], users[..., 1] - ego[:, 1, None]
    cosine, sine = cosine[:, None], sine[:, None]
    half_length, half_width = users[..., 4] * 0.5, users[..., 5] * 0.5
    same = np.abs(cosine * other_cosine + sine * other_sine)
    cross = np.abs(cosine * other_sine - sine * other_cosine)
    a, b = LENGTH / 2, WIDTH / 2
    near = np.abs(dx * cosine + dy * sine) < a + half_length * same + half_width * cross
    near &= np.abs(dy * cosine - dx * sine) < b + half_length * cross + half_width * same
    ahead = np.abs(dx * other_cosine + dy * other_sine)
    beside = np.abs(dy * other_cosine - dx * other_sine)
    near &= ahead < half_length + a * same + b * cross
    near &= beside < half_width + a * cross + b * same
    return np.asarray(near)


def _solid(state: State, w: Array) -> Array:
    """Return the things on the ego's tile in worlds `w`: boxes [n, SLOTS, 7], like `users`."""
    seen = {name: state[name][w] for name in scenery.NEEDED}
    found = scenery.near(seen, seen["ego"][:, 0], seen["ego"][:, 1], 1)[:, 0].astype(np.float64)
    out = np.zeros((len(w), found.shape[2], 7))
    out[..., 0] = np.where(found[:, boxes.RADIUS] > 0, found[:, boxes.X], FAR_AWAY)
    out[..., 1] = found[:, boxes.Y]
    # Everything but buildings has a pole or a trunk to hit.
    wall = np.isin(found[:, boxes.THING], WALLS)
    out[..., 4] = np.where(wall, 2 * found[:, boxes.HALF_LENGTH], 0.3)
    out[..., 5] = np.where(wall, 2 * found[:, boxes.HALF_WIDTH], 0.3)
    return out


def judge(state: State, before: Array) -> Array:
    """Write the events of a tick; return the worlds that end. `before`: the old progress [N]."""
    ego, kind = state["ego"], state["user_kind"]
    events = state["events"]
    event = {name: events[:, i] for i, name in enumerate(EVENTS)}  # Views.
    hit = overlaps(ego, state["users"]) & (kind > 0)
    event["collision_vehicle"][:] = (hit & (kind <= 2)).any(axis=1)
    event["collision_cyclist"][:] = (hit & (kind == 3)).any(axis=1)
    event["collision_pedestrian"][:] = (hit & (kind == 4)).any(axis=1)

    w = np.arange(len(ego))
    beside = town.off_road(state["links"], state["roundabout"], ego[:, 0], ego[:, 1])
    event["off_road"][:] = beside > 0
    edge = np.nonzero(beside > -EDGE)[0]
    event["collision_static"][:] = False
    if len(edge):
        event["collision_static"][edge] = overlaps(ego[edge], _solid(state, edge)).any(axis=1)

    # The car's nose crosses the line where the box begins, at a red light.
    nose = np.stack([before, state["progress"]], axis=1) + LENGTH / 2
    _, tile, path, local = locate(state, nose)
    shown = state["signals"].reshape(len(ego), -1)[w, tile[:, 1]]
    crossed = (local[:, 0] <= STOP) | (tile[:, 0] != tile[:, 1])
    crossed &= (local[:, 1] > STOP) & (state["progress"] > before)
    event["red_light"][:] = crossed & red(shown, path[:, 1])
    event["goal"][:] = state["progress"] >= state["goal"]
    return np.asarray(events[:, :4].any(axis=1) | event["goal"] | (beside > FAR_OFF))


def red(shown: Array, path: Array) -> Array:
    """Return where a light in phase `shown` is red for a user on `path`."""
    from_side = path // 4 % 4 % 2  # 0 from north or south, 1 from east or west.
    other = np.where(from_side == 0, shown > town.AMBER_NS, shown <= town.AMBER_NS)
    return np.asarray((shown != town.DARK) & other)
