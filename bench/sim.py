"""The sim's speed: batched in CPython on one core, and one world in real Pyodide."""

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
SECONDS = 5
# Of each world: how many at once, and the bounds in steps a second and in milliseconds.
WORLDS = (("breakout", 256, 40_000, 1.5), ("driving", 128, 1_500, 25.0))


def run(command: list[str]) -> dict[str, Any]:
    environment = os.environ | {
        name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    }
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def measure() -> list[Figure]:
    """Time both worlds."""
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
    return figures
