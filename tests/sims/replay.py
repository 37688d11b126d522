"""Play a world at random and print one hash a chunk; the same file runs in both Pythons.

Usage: replay.py MODULE WORLDS STEPS CHUNK [and MODULE ...]. Each line is a hash over CHUNK steps
of the frames, rewards, endings, chances, sensors, figures and the whole state of all worlds; every
scenario is played in turn.
"""

from __future__ import annotations

import hashlib
import sys

import numpy as np

from sims import exact
from sims.contract import Array, Sim
from sims.host import load_sim


def replay(module: str, scenario: str, worlds: int, steps: int, chunk: int) -> list[str]:
    sim = load_sim(module)(worlds)
    camera = sim.spec.cameras[0]
    shape = (worlds, len(sim.spec.cameras), camera.height, camera.width, 3)
    frames = np.zeros(shape, dtype=np.uint8)
    seeds = np.arange(worlds, dtype=np.int64) * 7919 - 3
    sim.reset(seeds, scenario)
    digest, lines = hashlib.blake2b(digest_size=32), []
    for t in range(steps):
        # Half of the worlds are played with skill, so that everything there is happens.
        action = sim.act(sim.spec.behaviours[t * len(sim.spec.behaviours) // steps])
        action[::2] = anything(sim, seeds, t // 4)[::2]
        results = sim.step(action)
        sim.render(frames)
        named = [sim.sensors(), sim.hud(), sim.events(), sim.state]
        for array in (frames, sim.draw(), *results, *(a for d in named for a in d.values())):
            digest.update(np.ascontiguousarray(array).tobytes())
        if results[1].any():
            sim.reset(seeds + t + 1, scenario, results[1])
        if (t + 1) % chunk == 0:
            lines.append(digest.hexdigest())
    return lines


def anything(sim: Sim, seeds: Array, t: int) -> Array:
    """Draw actions in the form that `sim` takes."""
    spec = sim.spec
    u = exact.uniform(seeds, np.full(len(seeds), t, dtype=np.int64), 99, spec.action_size)
    if spec.actions:
        return np.asarray((u[:, 0] * np.float32(len(spec.actions))).astype(np.int64))
    low = np.array([axis.low for axis in spec.axes], dtype=np.float32)
    high = np.array([axis.high for axis in spec.axes], dtype=np.float32)
    return np.asarray(low + u * (high - low))


if __name__ == "__main__":
    for asked in " ".join(sys.argv[1:]).split(" and "):
        name, *numbers = asked.split()
        for each in load_sim(name).spec.scenarios:
            print("\n".join(replay(name, each, *map(int, numbers))))
