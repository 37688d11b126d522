"""How well a model follows an edit of its sim: before, after `wmsite build`, and on the old rules.

Each edit is made in a copy of this project, and built there as a user would. An edit takes minutes,
so this runs only on request: python -m bench edits; or some: python -m bench edits:gravity
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.build import copy_project
from bench.table import ROOT, Figure
from sims.errors import UserError

WORLD, FAMILY = "breakout", "object_laws"
ROLLOUTS = 80
STEP = 30
# The figures; the edits here hardly affect those after the first two.
FIGURES = {
    "controllability": "controllability",
    "ball_held": f"ball held at step {STEP}",
    "paddle_held": f"paddle held at step {STEP}",
    "bricks": f"bricks right at step {STEP}",
    "lives": f"lives right at step {STEP}",
}

# Edits that a reader might try: (name, text of the sim, its replacement) ...
Edit = list[tuple[str, str]]
FLYING = '"flying": np.zeros(worlds, dtype=np.bool_),  # Is there a ball?'
EDITS: dict[str, Edit] = {
    "colours": [
        ("BACKGROUND = (12, 14, 28)", "BACKGROUND = (30, 12, 40)"),
        ("PADDLE = (96, 232, 255)", "PADDLE = (255, 200, 90)"),
        ("BALL = (224, 128, 208)", "BALL = (140, 240, 120)"),
    ],
    "paddle of 16 px": [("PADDLE_WIDTH = 12", "PADDLE_WIDTH = 16")],
    "gravity": [
        (
            "        # Up or down: the top wall, then bricks, then the paddle.\n",
            "        vy += 0.02 * flying\n"
            "        # Up or down: the top wall, then bricks, then the paddle.\n",
        )
    ],
    "a second ball": [
        (
            FLYING,
            f"{FLYING}\n"
            '            "ball2": np.zeros((worlds, 4), dtype=np.float64),\n'
            '            "flying2": np.zeros(worlds, dtype=np.bool_),',
        ),
        (
            '            self._fly(s["ball"], s["flying"])\n',
            '            self._fly(s["ball"], s["flying"])\n'
            '            self._fly(s["ball2"], s["flying2"], spare=True)\n',
        ),
        (
            '            self._serve(s["ball"], s["flying"], serve, chance)\n',
            '            self._serve(s["ball"], s["flying"], serve, chance)\n'
            "        # The second flies where the first would with the other chance.\n"
            '        self._serve(s["ball2"], s["flying2"], alive & ~s["flying2"], 1 - chance)\n',
        ),
        (
            "    def _fly(self, ball: Array, flying: Array) -> None:",
            "    def _fly(self, ball: Array, flying: Array, spare: bool = False) -> None:",
        ),
        ("        s[\"lives\"] -= lost\n        life |= lost\n",
         "        if not spare:\n            s[\"lives\"] -= lost\n            life |= lost\n"),
        (
            '        self._draw_ball(screen, s["ball"], s["flying"])\n',
            '        self._draw_ball(screen, s["ball"], s["flying"])\n'
            '        self._draw_ball(screen, s["ball2"], s["flying2"])\n',
        ),
        (
            '            Sensor("paddle", (1,)',
            '            Sensor("ball2", (4,), "float32", "px, px/step", -64, 64, "the second"),\n'
            '            Sensor("ball2_present", (1,), "int64", "0 or 1", 0, 1, "is it in play"),\n'
            '            Sensor("paddle", (1,)',
        ),
        (
            '            "paddle": s["paddle"].astype(np.float32)[:, None],\n',
            '            "ball2": s["ball2"].astype(np.float32),\n'
            '            "ball2_present": s["flying2"].astype(np.int64)[:, None],\n'
            '            "paddle": s["paddle"].astype(np.float32)[:, None],\n',
        ),
    ],
    "a moving row of bricks": [
        (
            "        near_x = np.abs(x[:, None] - BRICK_X)\n",
            "        near_x = np.abs(x[:, None, None] - BRICK_X - self._shift()[:, :, None])\n",
        ),
        (
            "& rows[:, :, None] & (near_x < REACH_X)[:, None, :]\n",
            "& rows[:, :, None] & (near_x < REACH_X)\n",
        ),
        (
            "distance = near_y[hit][:, :, None] + near_x[hit][:, None, :]\n",
            "distance = near_y[hit][:, :, None] + near_x[hit]\n",
        ),
        (
            "        hit, _, column = self._break_brick(x, y, flying)\n",
            "        hit, row, column = self._break_brick(x, y, flying)\n",
        ),
        (
            "x[hit] = BRICK_X[column] - np.sign",
            "x[hit] = BRICK_X[column] + self._shift()[hit, row] - np.sign",
        ),
        (
            "    def _refill(",
            "    def _shift(self) -> Array:\n"
            '        """Return how far each row is shifted now, int64 [N, rows]."""\n'
            "        shift = np.zeros((self.worlds, BRICK_ROWS), dtype=np.int64)\n"
            '        shift[:, -1] = np.abs(self.state["tick"] // 8 % 4 - 2) - 1\n'
            "        return shift\n\n"
            "    def _refill(",
        ),
        (
            "        w = np.arange(self.worlds)[:, None]\n        x = pixel(s[\"paddle\"])",
            "        shift = self._shift()[:, -1]\n"
            "        line = slice(int(BRICK_TOP[-1]), int(BRICK_TOP[-1]) + BRICK_HEIGHT)\n"
            "        for step in (-1, 1):\n"
            "            some = np.nonzero(shift == step)[0]\n"
            "            field = screen[some, line, LEFT:RIGHT]\n"
            "            screen[some, line, LEFT:RIGHT] = np.roll(field, step, axis=2)\n"
            "        w = np.arange(self.worlds)[:, None]\n        x = pixel(s[\"paddle\"])",
        ),
    ],
}  # fmt: skip
TWIN = '{ x = "ball2.0", y = "ball2.1", present = "ball2_present", like = "ball.0" }'
LANDMARK = ("landmarks = [\n", f"landmarks = [\n    {TWIN},\n")

# Run in a separate process, beside one project's sim: figures of a weights folder on it.
ASK = """
import dataclasses, json, shutil, sys, tempfile
from pathlib import Path
from builder.project.entries import Entry
from builder.project.worlds import Project
folder, weights, rollouts, step = Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:])
entry = Entry(Project.open(folder).world("breakout"), "object_laws")
sim = entry.world.load()
from training.evaluation.evaluate import evaluate  # now, so that its detector is of this sim
asked = dataclasses.replace(
    entry.asked.evaluate, seeds=1, rollouts=rollouts, horizons=[step], steps=step, games=2,
    play_steps=2,
)
with tempfile.TemporaryDirectory() as copy:
    work = Path(copy) / "weights"
    shutil.copytree(weights, work)
    recipe = dataclasses.replace(entry.asked, evaluate=asked)
    metrics = evaluate(work, sim, recipe)
values = metrics["rows"][0]["values"]
found = {name.removesuffix(f"@{step}"): value for name, value in values.items()}
print(json.dumps(found | {"controllability": metrics["checks"]["controllability"]}))
"""


def apply(folder: Path, name: str) -> None:
    """Make an edit in a project; UserError for an unknown one, or a sim that it does not fit."""
    if name not in EDITS:
        raise UserError(f"bench: no edit '{name}'; there are {', '.join(EDITS)}")
    files = [(folder / "sims" / "breakout" / "__init__.py", EDITS[name])]
    if name == "a second ball":
        files.append((folder / "recipes" / WORLD / f"{FAMILY}.toml", [LANDMARK]))
    for file, changes in files:
        text = file.read_text()
        for old, new in changes:
            if old not in text:
                raise UserError(f"bench edits: {file.name} has no {old.strip()[:60]!r}")
            text = text.replace(old, new)
        file.write_text(text)


def ask(folder: Path, weights: Path) -> dict[str, Any] | None:
    """Return the figures of weights on a project's sim; None if they don't fit it."""
    done = python(["-c", ASK, str(folder), str(weights), str(ROLLOUTS), str(STEP)])
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def build(folder: Path, training: str = "never") -> subprocess.CompletedProcess[str]:
    """Build a project as a user does."""
    return python(["-m", "builder.cli", "-C", str(folder), "build", "--train", training])


def python(arguments: list[str], quiet: bool = True) -> subprocess.CompletedProcess[str]:
    """Run this project's Python; its output is captured or, if not `quiet`, shown."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=quiet, text=True
    )


def rows(name: str, told: dict[str, Any] | None) -> list[Figure]:
    """Return the figures of weights on a sim from the result of `ask`."""
    found = []
    for key, label in FIGURES.items():
        what = f"{name}: {label}"
        if told is None:
            found.append(Figure(what, None, "%", note="does not fit, or failed"))
        else:
            note = f"[{told[key]['low']:.0f}, {told[key]['high']:.0f}]"
            found.append(Figure(what, told[key]["mean"], "%", note=note))
    return found


def measure(*names: str) -> list[Figure]:
    """Make each edit in a built copy of this project, and let its model follow."""
    shipped = ROOT / "weights" / WORLD / FAMILY
    with tempfile.TemporaryDirectory(prefix="wmsite-edits-") as place:
        old = Path(place) / "old"
        old.mkdir()
        copy_project(old)
        build(old)
        figures = rows("old rules, shipped model", ask(old, shipped))
        for name in names or EDITS:
            folder = Path(place) / name.replace(" ", "-")
            shutil.copytree(old, folder, symlinks=True)
            apply(folder, name)
            figures += rows(f"{name}, model as shipped", ask(folder, shipped))
            start = time.perf_counter()
            done = build(folder, "auto")
            seconds = time.perf_counter() - start
            last = (done.stderr.strip().splitlines() or [""])[-1][:200]
            figures.append(
                Figure(f"{name}: build", seconds, "s", 120, note=last if done.returncode else "")
            )
            mine = folder / "weights" / WORLD / FAMILY
            steps = json.loads((mine / "provenance.json").read_text())["steps"]
            figures.append(Figure(f"{name}: trained", steps, "steps"))
            figures += rows(f"{name}, after the build", ask(folder, mine))
            figures += rows(f"{name}, the same model on the old rules", ask(old, mine))
    return figures
