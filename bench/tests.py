"""How long `make quick` and `make test` take on this machine."""

from __future__ import annotations

import subprocess
import sys
import time

from bench.table import ROOT, Figure

TARGETS = {"quick": 60.0, "test": 480.0}  # seconds


def measure(*names: str) -> list[Figure]:
    """Time these targets, or both."""
    found = []
    for name in names or TARGETS:
        began = time.monotonic()
        done = subprocess.run(["make", name], cwd=ROOT, stdout=sys.stderr)
        took = time.monotonic() - began
        note = "" if done.returncode == 0 else "it FAILED"
        found.append(Figure(f"make {name}", took, "s", at_most=TARGETS[name], note=note))
    return found
