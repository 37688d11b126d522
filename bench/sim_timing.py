"""Time a world in the Python that runs this file, and print one JSON object.

Usage: sim_timing.py MODULE WORLDS SECONDS. Prints frames_per_second (all worlds: step, all sensors
and all cameras) and host_ms, the median time of one `Host.step` (one world: step, render, figures).
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import numpy as np

from sims import canvas
from sims.host import Host, load_sim


def main(module: str, worlds: int, seconds: float) -> dict[str, float]:
    sim = load_sim(module)(worlds)
    frames = canvas.blank(sim.spec, worlds)
    seeds = np.arange(worlds, dtype=np.int64)
    sim.reset(seeds, sim.spec.scenarios[0])
    steps, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        # Any behaviour will do: it decides what is drawn, so its cost counts too.
        _, terminated, _ = sim.step(sim.act(sim.spec.behaviours[0]))
        sim.sensors()
        sim.render(frames)
        if terminated.any():
            sim.reset(seeds + steps, sim.spec.scenarios[0], terminated)
        steps += 1
    host = Host(module)
    times, start = [], time.perf_counter()
    while time.perf_counter() - start < seconds:
        action = host.act(sim.spec.behaviours[0])
        before = time.perf_counter()
        host.step(action)
        times.append(time.perf_counter() - before)
    return {
        "worlds": worlds,
        "frames_per_second": steps * worlds / elapsed,
        "host_ms": statistics.median(times) * 1000,
    }


if __name__ == "__main__":
    name, n, limit = sys.argv[1:]
    print(json.dumps(main(name, int(n), float(limit))))
