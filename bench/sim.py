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
MODULE = "sims.breakout"
WORLDS, SECONDS = 256, 5


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
    """Time Breakout, the world that is held to these figures."""
    batched = run([sys.executable, str(TIMING), MODULE, str(WORLDS), str(SECONDS)])
    page = ["node", str(PYODIDE), str(ROOT / "sims"), str(numpy_wheel())]
    single = run([*page, str(TIMING), MODULE, "1", str(SECONDS)])
    return [
        Figure(
            f"sim, batched ({WORLDS} worlds), one core, rendered",
            batched["frames_per_second"],
            "frames/s",
            at_least=40_000,
        ),
        Figure("sim, one world in Pyodide: step + render", single["host_ms"], "ms", at_most=1.5),
    ]
