"""Measure a world model against its sim: the sim knows the truth, so measure the truth.

Held-out seeds are played by the sim's own behaviours; the model watches `history` frames and then
goes on alone, with the same actions and chance. Every figure stands beside baselines and has a
95 % bootstrap interval over rollouts (Efron, 1979, doi:10.1214/aos/1176344552). Where the world
has a detector (`training.detectors`), objects are read from the frames.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sims.contract import Sim
from training.detectors import DETECTORS
from training.progress import Progress
from training.recipe import Recipe
from training.record import plan
from training.weights import load_model

Array = NDArray[Any]
Player = Callable[["Scene"], Array]
# Evaluation seeds start here; recordings take theirs from below.
HELD_OUT = 1 << 40
WARM_UP = 90
STRIP_STEPS = (1, 4, 8, 12, 16, 20, 24, 30, 40, 50, 60, 80)


@dataclass
class Scene:
    """What one group of rollouts starts from and is driven by: N rollouts, T steps."""

    history: Array  # uint8 [N, K, cams, H, W, 4]
    history_actions: Array  # float32 [N, K - 1, A]
    history_chances: Array  # float32 [N, K - 1, C]
    start: dict[str, Array]  # the sim's snapshot at the end of the history
    frames: Array  # uint8 [N, T, cams, H, W, 4]: the sim's frame after each step
    actions: Array  # float32 [N, T, A]
    chances: Array  # float32 [N, T, C]
    alive: Array  # bool [N, T]: the game had not ended before the step


def one_hot(sim: Sim, actions: Array) -> Array:
    """Return the model's action vectors float32 [N, A] for actions as `Sim.step` takes them."""
    if sim.spec.actions:
        return np.eye(sim.spec.action_size, dtype=np.float32)[actions]
    return actions.astype(np.float32)


def rgba(sim: Sim) -> Array:
    """Render every camera as the graphs take it, uint8 [N, cams, H, W, 4]."""
    camera = sim.spec.cameras[0]
    rgb = np.empty((sim.worlds, len(sim.spec.cameras), camera.height, camera.width, 3), np.uint8)
    sim.render(rgb)
    return np.concatenate([rgb, np.full((*rgb.shape[:-1], 1), 255, np.uint8)], -1)


class Cast:
    """Deal the recipe's behaviours and scenarios to worlds, and act for all of them."""

    def __init__(self, sim: Sim, recipe: Recipe, seeds: Array, rng: np.random.Generator) -> None:
        self.sim, self.seeds = sim, seeds

        def deal(shares: dict[str, float]) -> tuple[list[str], Array]:
            weights = np.array(list(shares.values()))
            return list(shares), rng.choice(len(shares), sim.worlds, p=weights / weights.sum())

        shares = plan(type(sim), recipe.data)
        self.behaviours, self.role = deal(shares["behaviours"])
        self.scenarios, self.scene = deal(shares["scenarios"])
        self.reset(np.ones(sim.worlds, bool))

    def reset(self, where: Array) -> None:
        """Start the picked worlds anew, each in its scenario, from a seed never used before."""
        self.seeds = self.seeds + self.sim.worlds * where
        for k, name in enumerate(self.scenarios):
            picked = where & (self.scene == k)
            if picked.any():
                self.sim.reset(self.seeds, name, picked)

    def act(self) -> Array:
        """Return each world's action by its own behaviour."""
        picks = np.stack([self.sim.act(name) for name in self.behaviours])
        return np.asarray(picks[self.role, np.arange(self.sim.worlds)])


def make_scene(sim_class: type[Sim], recipe: Recipe, seed: int, history: int, steps: int) -> Scene:
    """Play the sim from held-out seeds and keep what a model is to be compared with."""
    n = recipe.evaluate.rollouts
    sim = sim_class(n)
    rng = np.random.default_rng(seed)
    seeds = HELD_OUT + seed * (1 << 30) + np.arange(n, dtype=np.int64)
    cast = Cast(sim, recipe, seeds, rng)
    # Rollouts begin at every phase of a game: each world starts anew once in the warm-up.
    anew = rng.integers(0, WARM_UP, n)
    for t in range(WARM_UP):
        _, terminated, _ = sim.step(cast.act(), sim.draw())
        cast.reset(terminated | (anew == t))
    first = rgba(sim)
    frames, actions, chances, ended = [], [], [], []
    start: dict[str, Array] = {}
    for t in range(history - 1 + steps):
        if t == history - 1:
            start = sim.snapshot()
        action, chance = cast.act(), sim.draw()
        _, terminated, _ = sim.step(action, chance)
        actions.append(one_hot(sim, action))
        chances.append(chance)
        frames.append(rgba(sim))
        ended.append(terminated)
    k = history - 1
    over = np.stack([np.zeros(n, bool), *ended], 1)[:, k:-1]
    return Scene(
        history=np.stack([first, *frames[:k]], 1),
        history_actions=np.stack(actions[:k], 1),
        history_chances=np.stack(chances[:k], 1),
        start=start,
        frames=np.stack(frames[k:], 1),
        actions=np.stack(actions[k:], 1),
        chances=np.stack(chances[k:], 1),
        alive=~over,
    )


@torch.no_grad()
def play(model: Any, scene: Scene, *, act: bool = True, carry: bool = True) -> Array:
    """Return the model's own rollout, uint8 [N, T, cams, H, W, 4].

    `act=False` zeroes its action input; `carry=False` zeroes its carried state before each step.
    """
    state = model.encode(
        torch.from_numpy(scene.history),
        torch.from_numpy(scene.history_actions),
        torch.from_numpy(scene.history_chances),
    )
    frames = []
    for t in range(scene.actions.shape[1]):
        action = torch.from_numpy(scene.actions[:, t])
        if not carry:
            state["hidden"] = torch.zeros_like(state["hidden"])
        chance = torch.from_numpy(scene.chances[:, t])
        frame, state, _ = model.step(state, action if act else torch.zeros_like(action), chance)
        frames.append(frame.numpy())
    return np.stack(frames, 1)


def hold(scene: Scene) -> Array:
    """Repeat the last frame seen: the persistence baseline."""
    return np.broadcast_to(scene.history[:, -1:], scene.frames.shape)


def pixel_figures(scene: Scene, frames: Array) -> dict[str, Array]:
    """Compare frames with the sim's by pixels: float64 [N, T] each, NaN where not defined.

    `psnr` in dB, at most 60 (an exact frame); `moved`: the share of right pixels among those
    that differ from the start frame in the sim or in the model; `exact`: the frame is the sim's.
    """
    error = scene.frames[..., :3].astype(np.int16) - frames[..., :3]
    axes = tuple(range(2, error.ndim))
    mse = np.mean(error.astype(np.float32) ** 2, axes)
    wrong = np.any(error != 0, -1)
    start = scene.history[:, -1:]
    moved = np.any(scene.frames != start, -1) | np.any(frames != start, -1)
    count = moved.sum(axes[:-1])
    right = (moved & ~wrong).sum(axes[:-1])
    return {
        "psnr": np.minimum(60.0, 10 * np.log10(255.0**2 / np.maximum(mse, 1e-9))),
        "moved": np.where(count > 0, right / np.maximum(count, 1), np.nan),
        "exact": (~wrong.any(axes[:-1])).astype(np.float64),
    }


PIXEL_LABELS = {
    "psnr": ("PSNR", "dB", "high"),
    "moved": ("moved pixels right", "%", "high"),
    "exact": ("frames exact", "%", "high"),
}


def interval(values: Array, rng: np.random.Generator, percent: bool) -> dict[str, float] | None:
    """Return mean and 95 % bootstrap interval of one value a rollout; None if there is none."""
    values = values[np.isfinite(values)] * (100.0 if percent else 1.0)
    if not len(values):
        return None
    means = rng.choice(values, (1000, len(values))).mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return {"mean": float(values.mean()), "low": float(low), "high": float(high)}


def controllability(model: Any, scene: Scene, sim_class: type[Sim], world: str) -> Array:
    """Hold every action for 8 steps from one state; was the controlled object where the sim's is.

    Returns float64 [N * actions], 1 where within the detector's tolerance, NaN if the game ended.
    """
    detector = DETECTORS[world]
    n, steps = len(scene.actions), 8
    out = []
    for a in range(scene.actions.shape[2]):
        sim = sim_class(n)
        sim.restore(scene.start)
        actions = np.full(n, a, np.int64)
        chances, ended = [], np.zeros(n, bool)
        for _ in range(steps):
            chances.append(sim.draw())
            ended |= sim.step(actions, chances[-1])[1]
        held = Scene(
            scene.history, scene.history_actions, scene.history_chances, scene.start,
            rgba(sim)[:, None], np.repeat(one_hot(sim, actions)[:, None], steps, 1),
            np.stack(chances, 1), ~ended[:, None],
        )  # fmt: skip
        mine = play(model, held)[:, -1]
        near = detector.controlled(detector.read(mine[:, 0]), detector.read(held.frames[:, 0, 0]))
        out.append(np.where(ended, np.nan, near))
    return np.concatenate(out)


def strip(scene: Scene, frames: Array, rollout: int, path: Path) -> list[int]:
    """Save one rollout as a PNG, the sim's frames above the model's; return the steps shown."""
    steps = [s for s in STRIP_STEPS if s <= frames.shape[1] and scene.alive[rollout, s - 1]]

    def row(source: Array) -> Array:
        pictures = [source[rollout, s - 1, 0, :, :, :3] for s in steps]
        gap = np.full((pictures[0].shape[0], 4, 3), 128, np.uint8)
        return np.concatenate([x for p in pictures for x in (p, gap)][:-1], 1)

    sim_row, model_row = row(scene.frames), row(frames)
    gap = np.full((4, sim_row.shape[1], 3), 128, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate([sim_row, gap, model_row])).save(path, optimize=True)
    return steps


def compare(
    name: str, player: Player, scenes: list[Scene], world: str, horizons: list[int]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return one player's table row and its curves, over all scenes."""
    detector = DETECTORS.get(world)
    series: dict[str, list[Array]] = {}
    for scene in scenes:
        frames = player(scene)
        figures = pixel_figures(scene, frames)
        truth = scene.frames[:, :, 0]
        if detector:
            figures |= detector.compare(detector.read(frames[:, :, 0]), detector.read(truth))
        for key, values in figures.items():
            series.setdefault(key, []).append(np.where(scene.alive, values, np.nan))
    labels = PIXEL_LABELS | (detector.labels if detector else {})
    rng = np.random.default_rng(0)
    row: dict[str, Any] = {}
    curves: dict[str, Any] = {}
    for key, parts in series.items():
        joined = np.concatenate(parts)
        percent = labels[key][1] == "%"
        points = [interval(joined[:, h - 1], rng, percent) for h in horizons]
        row |= {f"{key}@{h}": p for h, p in zip(horizons, points, strict=True)}
        curves[key] = points
    return {"name": name, "values": row}, curves


def evaluate(weights: Path, sim_class: type[Sim], recipe: Recipe) -> dict[str, Any]:
    """Evaluate a weights folder; write metrics.json and figures/ into it and return the metrics.

    The JSON holds `columns` (what was measured, at which step), `rows` (model and baselines),
    `curves` by horizon, `checks` (single figures) and `strips` (pictures). Raises UserError for
    weights that can't be read.
    """
    model = load_model(weights)
    plan = recipe.evaluate
    horizons = sorted(h for h in plan.horizons if h <= plan.steps)
    detector = DETECTORS.get(recipe.world)
    players: dict[str, Player] = {
        recipe.family: lambda scene: play(model, scene),
        "last frame repeated": hold,
        "action zeroed": lambda scene: play(model, scene, act=False),
        "no carried state": lambda scene: play(model, scene, carry=False),
    }
    rows: list[dict[str, Any]] = []
    curves: dict[str, dict[str, Any]] = {}
    checks: dict[str, Any] = {}
    with Progress(f"evaluate {recipe.world}/{recipe.family}", len(players) + 1, "rows") as bar:
        scenes = [
            make_scene(sim_class, recipe, seed, model.config.history, plan.steps)
            for seed in range(plan.seeds)
        ]
        for name, player in players.items():
            row, curve = compare(name, player, scenes, recipe.world, horizons)
            rows.append(row)
            for key, points in curve.items():
                curves.setdefault(key, {})[name] = points
            bar.update(1)
        rng = np.random.default_rng(0)
        if detector and sim_class.spec.actions:
            held = [controllability(model, scene, sim_class, recipe.world) for scene in scenes]
            checks["controllability"] = {
                "label": detector.control_label,
                "unit": "%",
                **(interval(np.concatenate(held), rng, True) or {}),
            }
        strips = []
        frames = play(model, scenes[0])
        for k in range(min(4, plan.rollouts)):
            file = f"figures/rollout-{k}.png"
            strips.append({"file": file, "steps": strip(scenes[0], frames, k, weights / file)})
        bar.update(1)
    labels = PIXEL_LABELS | (detector.labels if detector else {})
    metrics = {
        "columns": [
            {"key": f"{key}@{h}", "label": label, "step": h, "unit": unit, "better": better}
            for key, (label, unit, better) in labels.items()
            for h in horizons
        ],
        "rows": rows,
        "curves": {
            key: {"label": labels[key][0], "unit": labels[key][1], "steps": horizons, "series": s}
            for key, s in curves.items()
        },
        "checks": checks,
        "strips": strips,
        "setup": {
            "seeds": plan.seeds,
            "rollouts": plan.seeds * plan.rollouts,
            "steps": plan.steps,
            "history": model.config.history,
            "interval": "95 % bootstrap over rollouts",
        },
    }
    aside = weights / f"metrics.{os.getpid()}"
    aside.write_text(json.dumps(metrics, indent=1))
    aside.replace(weights / "metrics.json")
    return metrics
