"""The sims' speed, batched in CPython on one core and alone in real Pyodide; and their bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from bench.table import ROOT, Figure
from builder.vendor import numpy_wheel

TIMING = ROOT / "bench" / "sim_timing.py"
PYODIDE = ROOT / "tests" / "sims" / "pyodide_run.mjs"
REPLAY = ROOT / "tests" / "sims" / "replay.py"
SECONDS = 5
COMPARED = (32, 32, 8)  # worlds, steps and steps a hash, of every scenario of driving
# Of each world: how many at once, and the bounds in steps a second and in milliseconds.
WORLDS = (("breakout", 256, 40_000, 1.5), ("driving", 128, 1_500, 25.0))


def run(command: list[str]) -> dict[str, Any]:
    """Return the JSON object that a command prints last, run on one thread."""
    told: dict[str, Any] = json.loads(lines(command)[-1])
    return told


def lines(command: list[str]) -> list[str]:
    """Return what a command prints, run on one thread."""
    environment = os.environ | {
        name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    }
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def compared(page: list[str]) -> Figure:
    """Play driving in both Pythons, and count the steps up to where a byte differs."""
    numbers = [str(REPLAY), "sims.driving", *map(str, COMPARED)]
    ours, theirs = lines([sys.executable, *numbers]), lines([*page, *numbers])
    same = sum(a == b for a, b in zip(ours, theirs, strict=True))
    return Figure(
        "driving, world-steps of all scenarios with the same bytes in both Pythons",
        same * COMPARED[0] * COMPARED[2],
        "steps",
        at_least=20_000,
        note=f"{same} of {len(ours)} hashes over frames, sensors and state",
    )


def measure() -> list[Figure]:
    """Time both worlds, and compare driving's bytes."""
    figures = []
    page = ["node", str(PYODIDE), str(ROOT / "sims"), str(numpy_wheel())]
    for world, worlds, least, most in WORLDS:
        module = f"sims.{world}"
        batched = run([sys.executable, str(TIMING), module, str(worlds), str(SECONDS)])
        single = run([*page, str(TIMING), module, "1", str(SECONDS)])
        figures += [
            Figure(
                f"{world}, batched ({worlds} worlds), one core, all cameras and sensors",
                batched["frames_per_second"],
                "steps/s",
                at_least=least,
            ),
            Figure(
                f"{world}, one world in Pyodide: step, sensors and render",
                single["host_ms"],
                "ms",
                at_most=most,
            ),
        ]
    return [*figures, compared(page)]
