"""Measure a world model against its sim: the sim knows the truth, so measure the truth.

Held-out seeds are played by the sim's own behaviours; the model watches `history` frames and then
goes on alone, with the same actions and chance (`training.agreement`), or under a player that sees
only its frames (`training.autonomy`). Every figure stands beside baselines, beside the detector's
own error on the sim's frames, and has a 95 % interval over rollouts (`training.bootstrap`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sims.contract import Sim
from training import agreement, autonomy, bootstrap, players
from training.agreement import PIXEL_LABELS, agree, detector_error
from training.detectors import DETECTORS, Detector
from training.players import Player
from training.progress import Progress
from training.recipe import Recipe
from training.scenes import Scene, make_scene
from training.weights import load_model

Array = NDArray[Any]
STRIP_STEPS = (1, 4, 8, 12, 16, 20, 24, 30, 40, 50, 60, 80)
# What is compared with takes fewer rollouts: it is far off, and costs as much as the model.
BASELINE = 24
READER = "the sim's frames, as read"
SIM = "the sim itself"
SAMPLE_HORIZONS = (30, 100)
SAMPLE_SEED = 1000  # far from the seeds of a recipe's evaluation
CONTROL = {"unit": "%", "better": "high"}


@dataclass
class Counted:
    """A player whose steps are told, as a number of rollouts each."""

    player: Player
    tell: Callable[[float], None]

    def watch(self, scene: Scene, rows: Array | None = None) -> None:
        """Start from a scene's history; see `Player`."""
        self.player.watch(scene, rows)

    def step(self, actions: Array, chances: Array) -> Array:
        """Advance one step; see `Player`."""
        self.tell(len(actions))
        return self.player.step(actions, chances)


def evaluate(weights: Path, sim_class: type[Sim], recipe: Recipe) -> dict[str, Any]:
    """Evaluate a weights folder; write metrics.json and figures/ into it and return the metrics.

    The JSON holds tables, each `columns` (what was measured) and `rows` (the model, then what it
    is compared with): by horizon at the top, then `events` and `autonomy`; `curves` by horizon,
    `checks` (single figures) and `strips` (pictures). Raises UserError for weights that can't be
    read.
    """
    model = load_model(weights)
    asked, history = recipe.evaluate, model.config.history
    detector = DETECTORS.get(recipe.world)
    few = min(-(-BASELINE // asked.seeds), asked.rollouts)
    total = asked.steps * asked.seeds * (asked.rollouts + (3 + len(model.samplers())) * few)
    if detector:
        total += asked.play_steps * (2 * asked.games) + autonomy.LEAST * min(BASELINE, asked.games)
    with Progress(f"evaluate {recipe.world}/{recipe.family}", total, "frames") as bar:

        def counted(player: Player) -> Player:
            return Counted(player, bar.update)

        scenes = [
            make_scene(sim_class, recipe, seed, history, asked.steps, asked.rollouts)
            for seed in range(asked.seeds)
        ]
        metrics = _agreement(recipe, model, scenes, few, counted)
        player = players.Model(model)
        if detector and sim_class.spec.actions:
            held = [agreement.controllability(player, s, sim_class, detector) for s in scenes]
            metrics["checks"]["controllability"] = {
                **CONTROL,
                "label": detector.control_label,
                **(bootstrap.mean(np.concatenate(held), True) or {}),
            }
        metrics["strips"] = _strips(player, scenes[0].pick(slice(0, 4)), weights)
        scenes.clear()
        if detector:
            metrics["autonomy"] = _alone(recipe, model, sim_class, detector, counted)
        # A session that has collapsed ends early, or goes on for longer than was thought.
        bar.update(bar.total - bar.done)
    metrics["setup"] = {
        "seeds": asked.seeds,
        "rollouts": asked.seeds * asked.rollouts,
        "baseline_rollouts": asked.seeds * few,
        "steps": asked.steps,
        "history": history,
        "interval": "95 %, bootstrap over rollouts; Wilson's for shares of yes and no",
    }
    aside = weights / f"metrics.{os.getpid()}"
    aside.write_text(json.dumps(metrics, indent=1))
    aside.replace(weights / "metrics.json")
    return metrics


def _agreement(
    recipe: Recipe,
    model: Any,
    scenes: list[Scene],
    few: int,
    counted: Callable[[Player], Player],
) -> dict[str, Any]:
    """Compare the model, its baselines and the detector with the sim, by horizon and by events."""
    asked = recipe.evaluate
    steps = sorted(h for h in asked.horizons if h <= asked.steps)
    detector = DETECTORS.get(recipe.world)
    labels = PIXEL_LABELS | (detector.labels if detector else {})
    sample = [scene.pick(slice(0, few)) for scene in scenes]
    found = {recipe.family: agree(counted(players.Model(model)), scenes, detector, steps)}
    baselines: dict[str, Player] = {
        **{name: players.Model(other) for name, other in model.samplers().items()},
        "last frame repeated": players.Still(),
        "action zeroed": players.Model(model, act=False),
        "no carried state": players.Model(model, carry=False),
    }
    for name, player in baselines.items():
        found[name] = agree(counted(player), sample, detector, steps)
    lines = dict(found)
    if detector:
        found[READER] = detector_error(scenes, detector, steps)
    metrics: dict[str, Any] = {
        "columns": [
            {"key": f"{key}@{h}", "label": label, "step": h, "unit": unit, "better": better}
            for key, (label, unit, better) in labels.items()
            for h in steps
        ],
        "rows": [{"name": name, "values": one.values(labels)} for name, one in found.items()],
        "curves": {
            key: {
                "label": label,
                "unit": unit,
                "steps": steps,
                "series": {name: one.curve(key, unit) for name, one in lines.items()},
            }
            for key, (label, unit, _) in labels.items()
        },
        "checks": {},
        "samplers": {name: one.evaluations for name, one in model.samplers().items()},
    }
    if detector:
        metrics["events"] = {
            "columns": agreement.event_columns(detector),
            "rows": [
                {"name": name, "values": agreement.event_figures(one.events)}
                for name, one in found.items()
            ],
            "steps": asked.steps,
            "within": agreement.WITHIN,
        }
    return metrics


def _alone(
    recipe: Recipe,
    model: Any,
    sim_class: type[Sim],
    detector: Detector,
    counted: Callable[[Player], Player],
) -> dict[str, Any]:
    """Let the model, itself without its carried state, and the sim play alone."""
    asked, history = recipe.evaluate, model.config.history
    few = min(BASELINE, asked.games)
    # What a session is compared with is the sim's play from other starts.
    starts, others = (
        autonomy.openings(sim_class, recipe, asked.seeds + i, history, asked.games) for i in (0, 1)
    )
    cast: dict[str, tuple[Player, Scene, int]] = {
        recipe.family: (counted(players.Model(model)), starts, asked.games),
        "no carried state": (counted(players.Model(model, carry=False)), starts, few),
        SIM: (counted(players.Real(sim_class)), starts, asked.games),
        "": (players.Real(sim_class), others, asked.games),
    }
    sessions = {
        name: autonomy.play_alone(player, sim_class, detector, scene, games, asked.play_steps)
        for name, (player, scene, games) in cast.items()
    }
    return autonomy.report(sessions, detector, sessions.pop(""))


def _strips(player: Player, scene: Scene, weights: Path) -> list[dict[str, Any]]:
    """Save pictures of rollouts, the sim's frames above the model's; return where, and steps."""
    frames = players.play(player, scene)
    out = []
    for k in range(len(frames)):
        file = f"figures/rollout-{k}.png"
        out.append({"file": file, "steps": strip(scene, frames, k, weights / file)})
    return out


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


@dataclass
class Sample:
    """A few held-out scenes, to measure what runs elsewhere: `rollouts` of `steps` each."""

    sim_class: type[Sim]
    detector: Detector
    scene: Scene
    starts: Scene

    @classmethod
    def make(
        cls, sim_class: type[Sim], recipe: Recipe, history: int, rollouts: int, steps: int
    ) -> Sample | None:
        """Play the sim from held-out seeds; None without rollouts, or a detector of the world."""
        detector = DETECTORS.get(recipe.world)
        if detector is None or not rollouts:
            return None
        scene = make_scene(sim_class, recipe, SAMPLE_SEED, history, steps, rollouts)
        starts = autonomy.openings(sim_class, recipe, SAMPLE_SEED + 1, history, rollouts)
        return cls(sim_class, detector, scene, starts)

    @property
    def columns(self) -> list[dict[str, Any]]:
        """Return what `measure` returns, for tables."""
        label, unit, better = self.detector.labels[self.detector.held]
        steps = self.scene.actions.shape[1]
        held = [
            {"key": f"{self.detector.held}@{h}", "label": label, "step": h, "unit": unit}
            | {"better": better}
            for h in self.horizons
        ]
        survived = f"rollouts that break no rule in {steps} steps alone"
        control = {"key": "controllability", "label": self.detector.control_label, **CONTROL}
        events = {"key": "f1_all", "label": "all events: F1", "unit": "%", "better": "high"}
        alone = {"key": "survived", "label": survived, "unit": "%", "better": "high"}
        return [*held, *([control] if self.sim_class.spec.actions else []), events, alone]

    @property
    def horizons(self) -> list[int]:
        """Return the steps at which the model must still follow the sim."""
        steps = self.scene.actions.shape[1]
        return sorted({min(h, steps) for h in SAMPLE_HORIZONS})

    def measure(self, player: Player) -> dict[str, bootstrap.Figure | None]:
        """Return a player's figures, by the keys of `columns`."""
        n, steps = self.scene.actions.shape[:2]
        found = agree(player, [self.scene], self.detector, self.horizons)
        values = found.values(PIXEL_LABELS | self.detector.labels)
        figures = {
            f"{self.detector.held}@{h}": values[f"{self.detector.held}@{h}"] for h in self.horizons
        }
        if self.sim_class.spec.actions:
            held = agreement.controllability(player, self.scene, self.sim_class, self.detector)
            figures["controllability"] = bootstrap.mean(held, True)
        figures["f1_all"] = agreement.event_figures(found.events)["f1_all"]
        alone = autonomy.play_alone(player, self.sim_class, self.detector, self.starts, n, steps)
        figures["survived"] = autonomy.survival(alone, steps)
        return figures
