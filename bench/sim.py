"""The sims' speed, in batches in CPython on one core and alone in real Pyodide; and their bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from bench.table import ROOT, Figure
from builder.site.vendor import in_pyodide

TIMING = ROOT / "bench" / "sim_timing.py"
REPLAY = ROOT / "tests" / "sims" / "replay.py"
SECONDS = 5
COMPARED = (32, 32, 8)  # worlds, steps and steps for each hash, of every scenario of driving
# For each world: the batch size, and the bounds in steps a second and in milliseconds.
WORLDS = (("breakout", 256, 40_000, 1.5), ("driving", 128, 1_500, 25.0))


def run(command: list[str]) -> dict[str, Any]:
    """Run a command on one thread; return the JSON object that it prints last."""
    told: dict[str, Any] = json.loads(lines(command)[-1])
    return told


def lines(command: list[str]) -> list[str]:
    """Run a command on one thread; return the lines that it prints."""
    environment = os.environ | {
        name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    }
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def compared(page: list[str]) -> Figure:
    """Play driving in both Pythons, and count the steps before the first different byte."""
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
    page = in_pyodide(ROOT / "sims", TIMING)[:-1]
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
