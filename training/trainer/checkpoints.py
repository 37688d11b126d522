"""Weights folders: make a model for the data, load a trained one, start from another's weights."""

from __future__ import annotations

import itertools
import json
import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from sims.errors import UserError
from training import families
from training.data.components import in_state, state_names
from training.data.dataset import Arrays
from training.recipe import Recipe

MOST_EDITED = 4  # colours that may have been edited; every order of them is tried
LOOKED = 4000  # recorded frames in which shapes are found
TRIED = 48  # recorded frames on which the orders are tried


def build(recipe: Recipe, arrays: Arrays, spec: dict[str, Any], init: Path | None = None) -> Any:
    """Make the recipe's model, sized for the data; UserError for what does not suit the data.

    `spec` is the sim's, as the dataset holds it. `init` is a weights folder that training starts
    from.
    """
    module = families.part(recipe.family, "model")
    cameras, height, width = arrays.frames.shape[1:4]
    sizes: dict[str, Any] = {
        "palette": tuple(tuple(int(v) for v in colour) for colour in arrays.palette),
        "actions": arrays.actions.shape[1],
        "chance": arrays.chances.shape[1],
        "cameras": cameras,
        "height": height,
        "width": width,
        "sensor_low": tuple(float(v) for v in arrays.state_range[0]),
        "sensor_high": tuple(float(v) for v in arrays.state_range[1]),
        "sensor_whole": tuple(
            "int" in s["dtype"]
            for s in spec["sensors"]
            if in_state(s["shape"])
            for _ in range(math.prod(s["shape"]))
        ),
        "sensors": tuple(state_names(spec["sensors"])),
        "reward_scale": float(max(1.0, np.abs(arrays.rewards).max())),
    }
    fields = module.Config.__dataclass_fields__
    sizes = {name: value for name, value in sizes.items() if name in fields}
    found = families.optional(recipe.family, "found")
    more = found.config(recipe, spec, arrays) if found else {}
    config = module.Config(**{**sizes, **recipe.model, **more})
    if init is not None:
        config = config.grown_from(_before(init))
    model = _made(module, config)
    if model.palette_frames:
        model = model.that_holds(*_looked(arrays))
    if init is not None:
        model.go_on_from(_inherited(model, init))
    return model


def _made(module: Any, config: Any) -> Any:
    """Return a family's model; missing parts of a world (sensors, chance) make empty layers."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Initializing zero-element tensors")
        return module.Model(config)


def _inherited(model: Any, folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a folder, fitted to a model where possible."""
    found: dict[str, torch.Tensor] = model.inherited(
        load_file(folder / "weights.safetensors"), _before(folder)
    )
    return found


def _before(folder: Path) -> Any:
    """Return the Config of the model in a weights folder."""
    return _config(json.loads((folder / "provenance.json").read_text(encoding="utf-8")))


def _config(provenance: dict[str, Any]) -> Any:
    """Return the Config that a model was made with."""
    config = dict(provenance["config"])
    for name, value in config.items():
        if isinstance(value, list):
            config[name] = tuple(tuple(v) if isinstance(v, list) else v for v in value)
    return families.part(provenance["recipe"]["family"], "model").Config(**config)


def fit(model: Any, arrays: Arrays) -> Arrays:
    """Fit the parts of a model that are not trained; return `arrays` with an event "unforeseen".

    These are the steps that the model's forecast does not predict, and that have no other event.
    """
    rows = arrays.windows(1)
    before, after = (model.readings(arrays, some) for some in (rows, rows + 1))
    parts = (before, arrays.actions[rows], arrays.chances[rows], after)
    where = next(model.parameters()).device
    turned = model.fit(*(torch.from_numpy(part).to(where) for part in parts))
    known = np.concatenate([np.zeros(0, np.int64), *arrays.events.values()])
    if model.palette_frames:
        model.fit_shapes(*(part.to(where) for part in _looked(arrays)))
    unforeseen = np.setdiff1d(rows[turned.cpu().numpy()], known)
    return replace(arrays, events=arrays.events | {"unforeseen": unforeseen})


def _looked(arrays: Arrays) -> tuple[torch.Tensor, torch.Tensor]:
    """Return some recorded frames, as palette indices, and their sensors."""
    rows = arrays.windows(1)
    some = np.random.default_rng(0).choice(rows, min(LOOKED, len(rows)), replace=False)
    frames, state = (part[np.sort(some)] for part in (arrays.frames, arrays.state))
    return torch.from_numpy(frames), torch.from_numpy(state)


def load_model(folder: Path) -> Any:
    """Load the trained model of a weights folder, in evaluation mode; UserError if unreadable."""
    try:
        provenance = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
        model = _made(families.part(provenance["recipe"]["family"], "model"), _config(provenance))
        model.load_state_dict(load_file(folder / "weights.safetensors"))
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        raise UserError(
            f"weights {folder}: can't be read; {error}. Run: wmsite train with --train full"
        ) from error
    return model.eval()


def start_from(model: Any, folder: Path, arrays: Arrays) -> int:
    """Copy all trained weights whose name and shape match; return their number.

    Fitted parts (ranges, laws) stay the model's own. To match edited colours with old ones, the
    orders are tried on the dataset `arrays`.
    """
    mine = dict(model.named_parameters())
    saved = _inherited(model, folder)
    old = {k: v for k, v in saved.items() if k in mine and v.shape == mine[k].shape}
    orders = []
    if model.palette_frames:
        orders = _orders(saved["palette"][:, :3].int().tolist(), arrays.palette.tolist())
    if orders and len(old) == len(mine):
        tried = [model.recoloured(old, order) for order in orders]
        old = min(tried, key=lambda weights: _misses(model, weights, arrays))
    model.load_state_dict(old, strict=False)
    return len(old)


def _orders(old: list[list[int]], new: list[list[int]]) -> list[list[int]]:
    """Return the possible orders of the old colours; colours in both palettes are known."""
    left = [k for k, colour in enumerate(old) if colour not in new]
    if len(old) != len(new) or len(left) > MOST_EDITED:
        return []
    orders = []
    for guess in itertools.permutations(left):
        rest = iter(guess)
        orders.append([old.index(colour) if colour in old else next(rest) for colour in new])
    return orders


@torch.no_grad()
def _misses(model: Any, weights: dict[str, torch.Tensor], arrays: Arrays) -> float:
    """Return how many pixels one step from some recorded frames gets wrong with these weights."""
    model.load_state_dict(weights, strict=False)
    rows = np.random.default_rng(0).choice(arrays.windows(1), TRIED)
    where = next(model.parameters()).device
    parts = (arrays.rgba(rows), arrays.state[rows], arrays.actions[rows], arrays.chances[rows])
    seen, state, action, chance = (torch.from_numpy(part).to(where) for part in parts)
    frame, *_ = model.step(model.initial({"frame": seen, "sensors": state}), action, chance)
    return float((frame.cpu().numpy() != arrays.rgba(rows + 1)).any(-1).sum())


def reads_rgb(recipe: Recipe) -> bool:
    """Return whether the recipe's family trains on RGB frames, not on palette indices."""
    return not families.part(recipe.family, "model").Model.palette_frames
