"""Weights folders: make a model for the data, load a trained one, start from another's."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file

from sims.errors import UserError
from training.dataset import Arrays
from training.lerobot import state_names
from training.models import family
from training.recipe import Recipe


def build(recipe: Recipe, arrays: Arrays, spec: dict[str, Any]) -> Any:
    """Make the recipe's model, sized for the data; UserError for a key its Config lacks.

    `spec` is the sim's, as the recording tells it.
    """
    module = family(recipe.family)
    cameras, height, width = arrays.frames.shape[1:]
    sizes = {
        "palette": tuple(tuple(int(v) for v in colour) for colour in arrays.palette),
        "actions": arrays.actions.shape[1],
        "chance": arrays.chances.shape[1],
        "cameras": cameras,
        "height": height,
        "width": width,
        "sensor_low": tuple(float(v) for v in arrays.state_range[0]),
        "sensor_high": tuple(float(v) for v in arrays.state_range[1]),
        "sensor_whole": tuple(
            "int" in s["dtype"] for s in spec["sensors"] for _ in range(math.prod(s["shape"]))
        ),
        "reward_scale": float(max(1.0, np.abs(arrays.rewards).max())),
    }
    known = set(module.Config.__dataclass_fields__) - set(sizes)
    for key in recipe.model:
        if key not in known:
            raise UserError(
                f"recipe {recipe.world}/{recipe.family}: unknown key model.{key}. "
                f"Known keys: {', '.join(sorted(known))}"
            )
    told = dict(recipe.model)
    told["landmarks"] = tuple(_landmark(mark, spec, recipe) for mark in told.get("landmarks", ()))
    return module.Model(module.Config(**sizes, **told))


def _landmark(
    mark: dict[str, Any], spec: dict[str, Any], recipe: Recipe
) -> tuple[int, int, int, float, float]:
    """Turn a landmark of a recipe ({x, y, present: sensor value, shift: px}) into indices."""
    names = state_names(spec["sensors"])
    where = f"recipe {recipe.world}/{recipe.family}: model.landmarks"
    for key in mark:
        if key not in ("x", "y", "present", "shift"):
            raise UserError(f"{where}: unknown key {key}. Known keys: x, y, present, shift")
    found = []
    for key in ("x", "y", "present"):
        name = mark.get(key)
        if name is not None and name not in names:
            raise UserError(f"{where}: no sensor value '{name}'; the sim has {', '.join(names)}.")
        found.append(-1 if name is None else names.index(name))
    dx, dy = (float(v) for v in mark.get("shift", (0.0, 0.0)))
    return (found[0], found[1], found[2], dx, dy)


def load_model(folder: Path) -> Any:
    """Load the trained model of a weights folder, in evaluation mode; UserError if unreadable."""
    try:
        provenance = json.loads((folder / "provenance.json").read_text())
        module = family(provenance["recipe"]["family"])
        config = provenance["config"]
        for name, value in config.items():
            if isinstance(value, list):
                config[name] = tuple(tuple(v) if isinstance(v, list) else v for v in value)
        model = module.Model(module.Config(**config))
        model.load_state_dict(load_file(folder / "weights.safetensors"))
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        raise UserError(
            f"weights {folder}: can't be read; {error}. Run: wmsite train with --train full"
        ) from error
    return model.eval()


def start_from(model: Any, folder: Path) -> int:
    """Copy all weights whose name and shape match from a weights folder; return how many did."""
    mine = model.state_dict()
    old = load_file(folder / "weights.safetensors")
    buffers = {name for name, _ in model.named_buffers()}
    same = {k: v for k, v in old.items() if k in mine and v.shape == mine[k].shape}
    model.load_state_dict({k: v for k, v in same.items() if k not in buffers}, strict=False)
    return len(same)
