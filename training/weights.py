"""Weights folders: make a model for the data, load a trained one, start from another's."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from sims.errors import UserError
from training.dataset import Arrays
from training.lerobot import in_state, state_names
from training.models import family
from training.models.twins import Twin
from training.models.units import find_units
from training.recipe import Recipe

LANDMARK = ("x", "y", "present", "shift", "like")  # keys of one in a recipe
MOST_EDITED = 4  # colours that may have been edited, to be tried in every order
LOOKED = 4000  # recorded frames in which shapes are found
TRIED = 48  # recorded frames that they are tried on


def build(recipe: Recipe, arrays: Arrays, spec: dict[str, Any], init: Path | None = None) -> Any:
    """Make the recipe's model, sized for the data; UserError for a key its Config lacks.

    `spec` is the sim's, as the recording tells it. `init` is a weights folder that it will start
    from.
    """
    module = family(recipe.family)
    cameras, height, width = arrays.frames.shape[1:]
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
        "twins": _twins(recipe, spec),
        "reward_scale": float(max(1.0, np.abs(arrays.rewards).max())),
    }
    fields = module.Config.__dataclass_fields__
    if "units" in fields:
        sizes["units"] = find_units(arrays.frames, len(arrays.palette))
    sizes = {name: value for name, value in sizes.items() if name in fields}
    known = set(fields) - set(sizes)
    for key in recipe.model:
        if key not in known:
            raise UserError(
                f"recipe {recipe.world}/{recipe.family}: unknown key model.{key}. "
                f"Known keys: {', '.join(sorted(known))}"
            )
    told = dict(recipe.model)
    if "landmarks" in told:
        told["landmarks"] = tuple(_landmark(mark, spec, recipe) for mark in told["landmarks"])
    config = module.Config(**sizes, **told)
    if init is not None and "glimpse" in fields:
        # What was widened stays wide: nothing would be known of a narrower window.
        config = replace(config, glimpse=max(config.glimpse, getattr(_before(init), "glimpse", 0)))
    model = module.Model(config)
    if "landmarks" in told:
        model = model.that_holds(*_looked(arrays))
    if init is not None:
        model.go_on_from(_inherited(model, init))
    return model


def _inherited(model: Any, folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a folder as they fit a model, where they can."""
    found: dict[str, torch.Tensor] = model.inherited(
        load_file(folder / "weights.safetensors"), _before(folder)
    )
    return found


def _before(folder: Path) -> Any:
    """Return the Config of the model in a weights folder."""
    return _config(json.loads((folder / "provenance.json").read_text()))


def _config(provenance: dict[str, Any]) -> Any:
    """Return the Config that a model was made with."""
    config = dict(provenance["config"])
    for name, value in config.items():
        if isinstance(value, list):
            config[name] = tuple(tuple(v) if isinstance(v, list) else v for v in value)
    return family(provenance["recipe"]["family"]).Config(**config)


def fit(model: Any, arrays: Arrays) -> Arrays:
    """Find in the data what a model isn't taught; return them with the event "unforeseen".

    Those are steps that the model's forecast doesn't tell, and that are no other event.
    """
    rows = arrays.windows(1)
    parts = (arrays.state[rows], arrays.actions[rows], arrays.chances[rows], arrays.state[rows + 1])
    where = next(model.parameters()).device
    turned = model.fit(*(torch.from_numpy(part).to(where) for part in parts))
    known = np.concatenate([np.zeros(0, np.int64), *arrays.events.values()])
    model.fit_shapes(*(part.to(where) for part in _looked(arrays)))
    unforeseen = np.setdiff1d(rows[turned.cpu().numpy()], known)
    return replace(arrays, events=arrays.events | {"unforeseen": unforeseen})


def _looked(arrays: Arrays) -> tuple[torch.Tensor, torch.Tensor]:
    """Return some recorded frames, as palette indices, and their sensors."""
    rows = arrays.windows(1)
    some = np.random.default_rng(0).choice(rows, min(LOOKED, len(rows)), replace=False)
    frames, state = (part[np.sort(some)] for part in (arrays.frames, arrays.state))
    return torch.from_numpy(frames), torch.from_numpy(state)


def _landmark(
    mark: dict[str, Any], spec: dict[str, Any], recipe: Recipe
) -> tuple[int, int, int, float, float]:
    """Turn a landmark of a recipe ({x, y, present: sensor value, shift: px}) into indices."""
    names = state_names(spec["sensors"])
    where = _landmarks_of(recipe)
    for key in mark:
        if key not in LANDMARK:
            raise UserError(f"{where}: unknown key {key}. Known keys: {', '.join(LANDMARK)}")
    found = []
    for key in LANDMARK[:3]:
        name = mark.get(key)
        if name is not None and name not in names:
            raise UserError(f"{where}: no sensor value '{name}'; the sim has {', '.join(names)}.")
        found.append(-1 if name is None else names.index(name))
    dx, dy = (float(v) for v in mark.get("shift", (0.0, 0.0)))
    return (found[0], found[1], found[2], dx, dy)


def _landmarks_of(recipe: Recipe) -> str:
    return f"recipe {recipe.world}/{recipe.family}: model.landmarks"


def _twins(recipe: Recipe, spec: dict[str, Any]) -> tuple[Twin, ...]:
    """Return of each landmark that is `like` another which sensor values are like which.

    `like` names the other by its x. All values of the sensors that the two have are alike.
    """
    names = state_names(spec["sensors"])
    marks = recipe.model.get("landmarks", [])
    found = []
    for mark in marks:
        if "like" not in mark:
            continue
        where = f"{_landmarks_of(recipe)}: '{mark.get('x')}' is like '{mark['like']}'"
        others = [m for m in marks if m.get("x") == mark["like"] and "like" not in m]
        if not others:
            raise UserError(f"{where}, which is the x of no landmark that is like none.")
        pairs: dict[str, str] = {}
        for key in LANDMARK[:3]:
            mine, other = (str(m.get(key, "")).partition(".")[0] for m in (mark, others[0]))
            values = [[n for n in names if n.partition(".")[0] == s] for s in (mine, other)]
            if len(values[0]) != len(values[1]):
                raise UserError(
                    f"{where}, but '{mine}' has {len(values[0])} values and '{other}' "
                    f"{len(values[1])}. Give both sensors the same."
                )
            pairs |= dict(zip(*values, strict=True))
        if any(a == b for a, b in pairs.items()):
            raise UserError(f"{where}, but they share a sensor. Give each its own.")
        found.append(tuple((names.index(a), names.index(b)) for a, b in pairs.items()))
    return tuple(found)


def load_model(folder: Path) -> Any:
    """Load the trained model of a weights folder, in evaluation mode; UserError if unreadable."""
    try:
        provenance = json.loads((folder / "provenance.json").read_text())
        model = family(provenance["recipe"]["family"]).Model(_config(provenance))
        model.load_state_dict(load_file(folder / "weights.safetensors"))
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        raise UserError(
            f"weights {folder}: can't be read; {error}. Run: wmsite train with --train full"
        ) from error
    return model.eval()


def start_from(model: Any, folder: Path, arrays: Arrays) -> int:
    """Copy all that was trained, where name and shape match; return how many weights did.

    What was found in the data (ranges, laws) is the model's own. Colours that were edited are told
    apart by trying which of the old ones each is, in the recording `arrays`.
    """
    mine = dict(model.named_parameters())
    saved = _inherited(model, folder)
    old = {k: v for k, v in saved.items() if k in mine and v.shape == mine[k].shape}
    orders = _orders(saved["palette"][:, :3].int().tolist(), arrays.palette.tolist())
    if orders and len(old) == len(mine):
        tried = [model.recoloured(old, order) for order in orders]
        old = min(tried, key=lambda weights: _misses(model, weights, arrays))
    model.load_state_dict(old, strict=False)
    return len(old)


def _orders(old: list[list[int]], new: list[list[int]]) -> list[list[int]]:
    """Return in which orders the old colours may be the new ones; those in both are known."""
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
    frame, *_ = model.step(model.initial(seen, state), action, chance)
    return float((frame.cpu().numpy() != arrays.rgba(rows + 1)).any(-1).sum())
