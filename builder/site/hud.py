"""Find out what each HUD field shows: the sum of the rewards, a sensor, or a sim-only value.

A model that plays alone has its own rewards and sensors. A page can show only these of its game. No
spec declares them: this module plays the sim for a while and compares the values at each step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.contract import Sim

Array = NDArray[Any]

WORLDS = 4
STEPS = 240  # steps of play with each behaviour
SEED = 31
WIDE = 10  # the least range of a field that is compared with multiples of sensors
SENSED = 4  # steps between two readings: reading sensors may cost more than a step
REWARD = "reward"


def sources(sim_class: type[Sim]) -> dict[str, str]:
    """Return for HUD fields, by name, "reward" or a sensor's number, such as "sensor.lives.0".

    A field may also be a multiple of a sensor in whole numbers: "sensor.speed.0 * 3.6". The result
    leaves out a field that never changed or that agrees with none of these.
    """
    spec = sim_class.spec
    if not spec.hud:
        return {}
    shown: dict[str, list[Array]] = {}
    for behaviour in spec.behaviours:
        for name, values in _play(sim_class, behaviour).items():
            shown.setdefault(name, []).append(values)
    series = {name: np.concatenate(parts) for name, parts in shown.items()}
    found = {}
    for field in spec.hud:
        mine = series.get(f"hud.{field.name}")
        if mine is None or not np.ptp(mine):
            continue
        others = {name: values for name, values in series.items() if not name.startswith("hud.")}
        same = (name for name, values in others.items() if np.array_equal(values, mine))
        multiples = (f"{name} * {k:g}" for name in others if (k := _factor(others[name], mine)))
        if source := next(same, None) or next(multiples, None):
            found[field.name] = source
    return found


def _factor(values: Array, mine: Array) -> float | None:
    """Return k, of at most three digits, if `mine` is k times `values` in whole numbers."""
    if np.ptp(mine) < WIDE or not np.ptp(values):
        return None
    k = float(mine @ values / (values @ values))
    for digits in (1, 2, 3):
        short = float(f"{k:.{digits}g}")
        # A sensor is a float32, so that its halves may be rounded otherwise.
        if (np.abs(short * values - mine) <= 0.501).all():
            return short
    return None


def _play(sim_class: type[Sim], behaviour: str) -> dict[str, Array]:
    """Play one behaviour until its games end; return numbers by name, for each game and moment."""
    sim = sim_class(WORLDS)
    sim.reset(np.arange(SEED, SEED + WORLDS, dtype=np.int64), sim.spec.scenarios[0])
    total = np.zeros(WORLDS)
    kept: dict[str, list[Array]] = {}
    on = np.ones(WORLDS, bool)
    for step in range(STEPS):
        try:
            actions = sim.act(behaviour)
        except NotImplementedError:
            break
        rewards, terminated, truncated = sim.step(actions)
        total = total + rewards
        if step % SENSED == 0:
            numbers = {REWARD: total, **_numbers(sim)}
            for name, values in numbers.items():
                kept.setdefault(name, []).append(np.asarray(values, np.float64)[on])
        on &= ~(terminated | truncated)
        if not on.any():
            break
    return {name: np.concatenate(values) for name, values in kept.items()}


def _numbers(sim: Sim) -> dict[str, Array]:
    """Return the current values of HUD and sensors, [N] by name."""
    found = {f"hud.{name}": values for name, values in sim.hud().items()}
    for name, values in sim.sensors().items():
        if values.ndim <= 2:
            flat = values.reshape(sim.worlds, -1)
            found |= {f"sensor.{name}.{i}": flat[:, i] for i in range(flat.shape[1])}
    return found
