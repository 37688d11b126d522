"""Weights folders: make a model for the data, load a trained one, start from another's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file

from sims.errors import UserError
from training.dataset import Arrays
from training.models import family
from training.recipe import Recipe


def build(recipe: Recipe, arrays: Arrays) -> Any:
    """Make the recipe's model, sized for the data; UserError for a key its Config lacks."""
    module = family(recipe.family)
    cameras, height, width = arrays.frames.shape[1:]
    sizes = {
        "palette": tuple(tuple(int(v) for v in colour) for colour in arrays.palette),
        "actions": arrays.actions.shape[1],
        "chance": arrays.chances.shape[1],
        "cameras": cameras,
        "height": height,
        "width": width,
        "reward_scale": float(max(1.0, np.abs(arrays.rewards).max())),
    }
    known = set(module.Config.__dataclass_fields__) - set(sizes)
    for key in recipe.model:
        if key not in known:
            raise UserError(
                f"recipe {recipe.world}/{recipe.family}: unknown key model.{key}. "
                f"Known keys: {', '.join(sorted(known))}"
            )
    return module.Model(module.Config(**sizes, **recipe.model))


def load_model(folder: Path) -> Any:
    """Load the trained model of a weights folder, in evaluation mode; UserError if unreadable."""
    try:
        provenance = json.loads((folder / "provenance.json").read_text())
        module = family(provenance["recipe"]["family"])
        config = provenance["config"]
        config["palette"] = tuple(tuple(colour) for colour in config["palette"])
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
