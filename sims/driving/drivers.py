"""The behaviours that drive for data: good, clumsy, aggressive, recovering, or random."""

from __future__ import annotations

import numpy as np

from sims import exact
from sims.contract import Array
from sims.driving.ego import AIR, BRAKES, POWER, ROLLING
from sims.driving.rig import MAX_STEER, WHEELBASE
from sims.driving.route import State

# Sources of random numbers for behaviours.
WANDER, LAPSE, MOOD = 40, 41, 42


def act(state: State, behaviour: str) -> Array:
    """Return the current actions of a behaviour, float32 [N, 3].

    autopilot keeps its lane and obeys the law. clumsy steers late and unevenly, and sees badly.
    aggressive drives too fast and keeps no distance. recovery leaves its way now and then and comes
    back. random keeps each random action for half a second.
    """
    seed, tick = state["seed"], state["tick"]
    if behaviour == "random":
        u = exact.uniform(seed, tick // 10, WANDER, 3).astype(np.float64)
        return _pedals(u[:, 0] * 1.2 - 0.6, u[:, 1] * 7 - 2.5, state)
    want = state["drive"][:, -1].copy()
    speed = state["ego"][:, 3]
    if behaviour == "autopilot":
        return _pedals(_steer(state, state["dodge"]), want, state)
    if behaviour == "clumsy":
        u = exact.uniform(seed, tick // 12, WANDER, 3).astype(np.float64)
        blind = u[:, 1] < 0.15
        want = np.where(blind, 1.0, want + 2.0 * (u[:, 2] - 0.5))
        steer = _steer(state, state["dodge"] + 1.6 * (u[:, 0] - 0.5))
        return _pedals(steer + 0.25 * (u[:, 2] - 0.5), want, state)
    if behaviour == "aggressive":
        # Closer to the car ahead, faster, and later on the brakes.
        want = np.where(want > -2.5, want * 0.5 + 1.4, want)
        want = np.where(speed > 13.0, np.minimum(want, 0.0), want)
        return _pedals(_steer(state, state["dodge"]), want, state)
    # recovery: steers wrongly for a while, then drives correctly.
    u = exact.uniform(seed, tick // 60, MOOD, 2).astype(np.float64)
    lapse = (u[:, 0] < 0.6) & (tick % 60 < 14)
    steer = _steer(state, state["dodge"])
    astray = np.where(u[:, 1] < 0.5, -1.0, 1.0) * (0.1 + 0.15 * u[:, 1])
    return _pedals(np.where(lapse, steer * 0.3 + astray, steer), want, state)


def _steer(state: State, side: Array) -> Array:
    """Return the wheel angle that leads to the route's points, `side` metres left of them.

    Pure pursuit: the arc starts straight ahead and goes through the point.
    """
    points, speed = state["waypoints"], state["ego"][:, 3]
    # A point 4 to 10 metres ahead, farther at a higher speed, between two waypoints.
    place = np.clip(speed * 0.7 + 1.5, 4.5, 10.0) / 5.0 - 1.0
    place = np.clip(place, 0.0, 1.0)
    x = points[:, 0, 0] + (points[:, 1, 0] - points[:, 0, 0]) * place
    y = points[:, 0, 1] + (points[:, 1, 1] - points[:, 0, 1]) * place
    y = y + side
    bend = 2 * y / np.maximum(x * x + y * y, 4.0)
    angle = bend * WHEELBASE
    # The tangent of an angle is slightly larger than the angle.
    return np.asarray(angle * (1 - angle * angle * (1 / 3)))


def _pedals(angle: Array, push: Array, state: State) -> Array:
    """Return actions float32 [N, 3] that turn the wheels to `angle` and give the acceleration."""
    speed = state["ego"][:, 3]
    push = push + ROLLING + AIR * speed * speed
    steer = np.clip(angle * (1 / MAX_STEER), -1, 1)
    throttle = np.clip(push * (1 / POWER), 0, 1)
    brake = np.clip(-push * (1 / BRAKES), 0, 1)
    # At a standstill the brake holds the car.
    brake = np.where((speed < 0.2) & (push < 0.3), np.maximum(brake, 0.3), brake)
    throttle = np.where(brake > 0, 0.0, throttle)
    return np.stack([steer, throttle, brake], axis=1).astype(np.float32)
