"""How fast an environment is recorded, beside how fast it steps and draws by itself."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.table import Figure
from sims.errors import UserError

ID, STEPS = "CartPole-v1", 6000
# Run in a separate process: step and draw for some seconds, and print the steps a second.
ALONE = f"""
import time
import gymnasium
env = gymnasium.make("{ID}", render_mode="rgb_array")
env.reset(seed=0)
env.render()
began, steps = time.monotonic(), 0
while time.monotonic() - began < 8:
    _, _, ended, cut, _ = env.step(env.action_space.sample())
    env.render()
    steps += 1
    if ended or cut:
        env.reset()
print(steps / (time.monotonic() - began))
"""


def measure() -> list[Figure]:
    """Record CartPole on all cores, and compare with the environment alone on one core."""
    quiet = os.environ | {"SDL_VIDEODRIVER": "dummy", "PYGAME_HIDE_SUPPORT_PROMPT": "1"}
    alone = float(_run([sys.executable, "-c", ALONE], quiet).split()[-1])
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="wmsite-bench-") as out:
        command = [sys.executable, "-m", "builder.cli", "data", "record", "--gym", ID]
        command += ["--steps", str(STEPS), "--out", str(Path(out) / "cartpole")]
        began = time.monotonic()
        _run(command, quiet)
        rate = STEPS / (time.monotonic() - began)
    said = f"recording {ID}, {STEPS:,} steps on {cores} cores, start and end included"
    note = f"{rate:.0f} steps a second; alone on one core {alone:.0f}"
    share = 100 * rate / (alone * cores)
    return [Figure(f"{said}: share of its own rate x cores", share, "%", at_least=80, note=note)]


def _run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    if done.returncode:
        raise UserError("bench environments: a run failed. Run: the same, and look")
    return done.stdout
