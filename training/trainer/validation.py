"""How a model does on held-out games while it trains, and which weights are kept.

Where a recipe says so, that follows from how long rollouts stay whole. A loss says little of that:
a model that draws nothing where it is unsure has a low loss.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sims.detector import detector_of
from training.data.components import observations
from training.data.dataset import Arrays
from training.evaluation import observed, players
from training.evaluation.agreement import pixel_figures
from training.evaluation.measures import whole
from training.evaluation.starts import Scene, recorded
from training.recipe import Recipe, Train

SEED = 1  # of the held-out moments from which rollouts begin, and of the actions


class Wholeness:
    """Measure how long rollouts stay whole, as `training.evaluation.measures.whole` does.

    `arrays` are the recordings that are trained on, `held_out` others. The rollouts begin in these
    and are at most `play_steps` long.
    """

    def __init__(self, recipe: Recipe, arrays: Arrays, held_out: Arrays, history: int) -> None:
        self.games, self.steps = recipe.train.validate_games, recipe.evaluate.play_steps
        self.known = whole.learned_from(whole.episodes(arrays), whole.episodes(held_out))
        starts = recorded(held_out, 2 * self.games, 1, history, SEED)
        self.starts = starts.pick(np.flatnonzero(starts.alive[:, 0]))
        self.inputs = recorded(held_out, self.games, whole.LENGTH, history, SEED + 1)

    def median(self, model: Any) -> float:
        """Return for how many steps rollouts are whole; one more than asked if to the end."""
        player = players.Model(model)
        first, _ = whole.session(
            self.known, player, self.starts, self.inputs, self.games, self.steps
        )
        return float(np.median(first))


def wholeness(recipe: Recipe, arrays: Arrays, held_out: Arrays, history: int) -> Wholeness | None:
    """Return what weights are selected by, if the recipe asks for it; see `Wholeness`.

    None also where it can't tell: no held-out games, or frames that are too varied.
    """
    if recipe.train.select != "whole" or _longest(held_out) <= history:
        return None
    judge = Wholeness(recipe, arrays, held_out, history)
    return judge if judge.known.size or len(judge.known.colours) else None


def _skills(scene: Scene, mine: dict[str, Any], spec: dict[str, Any]) -> dict[str, float]:
    """Return how much of the error of "last observation repeated" is gone, 0..1, by kind.

    It is counted over all steps of a scene; below 0, repeating is better.
    """
    still = {
        name: np.broadcast_to(value[:, -1:], scene.shown[name].shape)
        for name, value in scene.history_shown.items()
    }
    found: dict[str, list[float]] = {}
    seen = observations(spec)
    kinds = {o.name: o.kind for o in seen}
    theirs = observed.figures(seen, scene.shown, still)
    for key, values in observed.figures(seen, scene.shown, mine).items():
        name, _, measure = key.rpartition(".")
        if measure in ("error", "ssim"):
            best = 1.0 if measure == "ssim" else 0.0
            mine_off, still_off = (np.nanmean(np.abs(best - v)) for v in (values, theirs[key]))
            if still_off > 0:  # Otherwise nothing changed.
                skill = 1 - float(mine_off / still_off)
                found.setdefault(f"val_{kinds[name]}", []).append(skill)
    return {name: float(np.mean(some)) for name, some in found.items()}


def validate(
    model: Any, plan: Train, arrays: Arrays, world: str, spec: dict[str, Any]
) -> dict[str, float]:
    """Play held-out windows open loop; return shares 0..1 of what is right.

    They are `validate_steps` long, or shorter if no held-out game is as long; {} without any.
    `val_moved_right` counts pixels that have moved, over all steps; with a detector, its figures of
    shares follow, at steps 30 and 100 (`val_ball_held_30`).
    """
    history = model.config.history
    if _longest(arrays) <= history:  # The dataset has no held-out episodes.
        return {}
    scene = recorded(arrays, plan.validate_games, plan.validate_steps, history, 0)
    frames, _, shown = players.perform(players.Model(model), scene)
    if not model.palette_frames:
        return _skills(scene, {"frame": frames} | shown, spec)
    out = {"val_moved_right": float(np.nanmean(pixel_figures(scene, frames)["moved"]))}
    if detector := detector_of(world):
        for after in (30, 100):
            if after > frames.shape[1]:
                break
            mine, true = (detector.read(part[:, after - 1, 0]) for part in (frames, scene.frames))
            for name, values in detector.compare(mine, true).items():
                if detector.labels[name][1] == "%":
                    out[f"val_{name}_{after}"] = float(np.nanmean(values))
    return out


def _longest(arrays: Arrays) -> int:
    """Return the length of the longest game, 0 without any."""
    return int((arrays.episodes[:, 1] - arrays.episodes[:, 0]).max(initial=0))
