"""Check whether a recipe fits its world and this machine, before anything is recorded."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from sims import canvas
from sims.contract import Spec
from training import families
from training.evaluation import measures
from training.keys import wrong
from training.recipe import Data, DataRecipe, Recipe

LIMIT = Path("/sys/fs/cgroup/memory.max")  # the memory that a container may use
IMAGE = 100  # bytes of the smallest image: PNG, and Python's own


def world(recipe: Recipe, spec: Spec, where: str) -> None:
    """Refuse names in a recipe that its world does not have; UserError with the nearest name."""
    options = families.part(recipe.family, "options")
    if check := getattr(options, "check", None):
        check(recipe.model, spec, where)
    for name in recipe.evaluate.measures:
        if name not in measures.names():
            known = ", ".join(measures.names())
            raise wrong(
                where, f"evaluate.measures names '{name}', which is unknown; known: {known}"
            )
    (_, height, width), patch = canvas.size(spec.cameras), recipe.model.get("patch", 1)
    if height % patch or width % patch:
        frame = f"{width} x {height}"
        raise wrong(where, f"model.patch is {patch}, which doesn't divide the frame, {frame}")


def recording(recipe: Recipe | DataRecipe, spec: Spec, where: str) -> None:
    """Refuse to record if that takes more memory than this machine has."""
    data = recipe.data
    worlds = _worlds(data)
    row = _row(spec) + IMAGE * len(spec.cameras)
    need = worlds * (6 * _pixels(spec) + row * (min(data.episode_steps, data.steps) + 1))
    told = f"data.worlds is {data.worlds:,} and data.episode_steps {data.episode_steps:,}"
    _refuse(need, f"{told}: to record them takes", "data.worlds or data.episode_steps", where)


def training(recipe: Recipe, spec: Spec, where: str) -> None:
    """Refuse to train, evaluate and export if that takes more memory than this machine has."""
    data, plan, asked, pixels = recipe.data, recipe.train, recipe.evaluate, _pixels(spec)
    need = int(data.steps * data.splits["train"] / sum(data.splits.values())) * _row(spec)
    _refuse(need, f"data.steps is {data.steps:,}: to train on them takes", "data.steps", where)
    model: dict[str, Any] = recipe.model
    cells = pixels // model.get("patch", 4) ** 2 * model.get("channels", 48)
    told = f"train.batch is {plan.batch:,} and train.unroll {plan.unroll:,}"
    need = 4 * plan.batch * plan.unroll * (pixels + cells)
    _refuse(need, f"{told}: a step of training takes", "train.batch or train.unroll", where)
    told = f"evaluate.rollouts is {asked.rollouts:,} and evaluate.steps {asked.steps:,}"
    need = 4 * pixels * asked.seeds * asked.rollouts * asked.steps
    _refuse(need, f"{told}: to evaluate takes", "evaluate.rollouts or evaluate.steps", where)


def _worlds(data: Data) -> int:
    return min(data.worlds, max(1, data.steps // data.episode_steps))


def _row(spec: Spec) -> int:
    """Return the bytes of a recorded step without its images."""
    sensors = sum(math.prod(s.shape) * np.dtype(s.dtype).itemsize for s in spec.sensors)
    return 5 + 4 * (spec.action_size + len(spec.chance)) + sensors


def _pixels(spec: Spec) -> int:
    return sum(camera.height * camera.width for camera in spec.cameras)


def _refuse(need: int, told: str, lower: str, where: str) -> None:
    """Raise UserError if `need` bytes are more than this machine has."""
    there = memory()
    if need > there:
        gigabytes = f"{told} at least {need / 1e9:,.1f} GB of memory, and there are"
        raise wrong(where, f"{gigabytes} {there / 1e9:,.1f} GB here; lower {lower}")


def memory() -> int:
    """Return the bytes of memory of this machine, or that this container may use."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(there, int(LIMIT.read_text(encoding="ascii")))
    except (OSError, ValueError):  # No container, or "max".
        return there
