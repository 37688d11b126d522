"""Measure a world model against its sim: the sim knows the truth, so measure the truth.

The sim's own behaviours play held-out seeds. The model steps through `history` frames and then
continues alone, with the same actions and chance (`agreement`), or under a player that sees only
its frames (`autonomy`). Every figure stands beside baselines and beside the detector's own error on
the sim's frames, and has a 95 % interval over rollouts (`bootstrap`).
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
from sims.detector import Detector, detector_of
from training.data.components import observations
from training.data.dataset import Dataset
from training.evaluation import agreement, autonomy, bootstrap, measures, observed, players
from training.evaluation.agreement import PIXEL_LABELS, Agreement, agree, detector_error
from training.evaluation.heads import Heads, values_of
from training.evaluation.measures.contract import Subject
from training.evaluation.players import Player
from training.evaluation.starts import Scene, held_out, make_scene, recorded
from training.progress import Progress
from training.recipe import Recipe
from training.trainer.checkpoints import load_model, reads_rgb

Array = NDArray[Any]
STRIP_STEPS = (1, 4, 8, 12, 16, 20, 24, 30, 40, 50, 60, 80)
# Baselines need fewer rollouts: they are far worse, and cost as much time as the model.
BASELINE = 24
READER = "the sim's frames, as read"
SIM = "the sim itself"
REPEATED = "last observation repeated"
SAMPLE_HORIZONS = (30, 100)
SAMPLE_SEED = 1000  # far from the seeds of a recipe's evaluation
CONTROL = {"unit": "%", "better": "high"}


@dataclass
class Counted:
    """A player that reports each step, as its number of rollouts."""

    player: Player
    tell: Callable[[float], None]

    @property
    def heads(self) -> Heads | None:
        """The player's predictions of the last step, beside the frame."""
        return self.player.heads

    @property
    def shown(self) -> dict[str, Array]:
        """The player's predicted observations of the last step, beside the frame."""
        return self.player.shown

    def watch(self, scene: Scene, rows: Array | None = None) -> None:
        """Start from a scene's history; see `Player`."""
        self.player.watch(scene, rows)

    def step(self, actions: Array, chances: Array) -> Array:
        """Advance one step; see `Player`."""
        self.tell(len(actions))
        return self.player.step(actions, chances)


def evaluate(
    weights: Path, sim_class: type[Sim] | None, recipe: Recipe, dataset: Path | None = None,
    root: Path = Path(),
) -> dict[str, Any]:  # fmt: skip
    """Evaluate a weights folder; write metrics.json and figures/ into it and return the metrics.

    Without a sim, the held-out episodes of the `dataset` are the truth. `root` is the project's
    folder, where agents lie that have played.

    The JSON holds tables, each with `columns` (the measures) and `rows` (the model, then its
    baselines): by horizon at the top, then `heads`, `events`, `autonomy` and `measures`; `curves`
    by horizon, `checks` (single figures) and `strips` (pictures). Raises UserError for weights that
    can't be read.
    """
    model = load_model(weights)
    asked, history = recipe.evaluate, model.config.history
    detector = detector_of(recipe.world)
    few = min(-(-BASELINE // asked.seeds), asked.rollouts)
    if not model.palette_frames:  # Rollouts differ more than players do: compare on the same ones.
        few = asked.rollouts
    others = (3 if model.palette_frames else 4) + len(model.samplers())
    total = asked.steps * asked.seeds * (asked.rollouts + others * few)
    if detector:
        total += asked.play_steps * (2 * asked.games) + autonomy.LEAST * min(BASELINE, asked.games)
    with Progress(f"evaluate {recipe.world}/{recipe.family}", total, "frames") as bar:

        def counted(player: Player) -> Player:
            return Counted(player, bar.update)

        scenes, spec = _scenes(sim_class, recipe, model, dataset)
        metrics = _agreement(recipe, model, scenes, few, counted, spec)
        player = players.Model(model)
        if detector and sim_class and sim_class.spec.actions:
            held = [agreement.controllability(player, s, sim_class, detector) for s in scenes]
            metrics["checks"]["controllability"] = {
                **CONTROL,
                "label": detector.control_label,
                **(bootstrap.mean(np.concatenate(held), True) or {}),
            }
        metrics["strips"] = _strips(player, scenes[0].pick(slice(0, 4)), weights)
        scenes.clear()
        told = Dataset.open(dataset) if dataset else None
        subject = Subject(model, recipe, sim_class, told, counted, bar.expect, root)
        for name in asked.measures:
            if table := measures.measure(name)(subject):
                metrics.setdefault("measures", {})[name] = table
        if detector and sim_class:
            alone = _alone(recipe, model, sim_class, detector, counted)
            metrics |= {"autonomy": alone} if alone else {}
        # A session in which all rollouts failed ends early; another may take longer than estimated.
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
    text = json.dumps(metrics, indent=1, allow_nan=False)
    aside.write_text(text, encoding="utf-8")
    aside.replace(weights / "metrics.json")
    return metrics


def _scenes(
    sim_class: type[Sim] | None, recipe: Recipe, model: Any, folder: Path | None
) -> tuple[list[Scene], dict[str, Any]]:
    """Return the held-out rollouts, and the spec of what they show, as JSON values."""
    asked, history = recipe.evaluate, model.config.history
    if sim_class:
        scenes = [
            make_scene(sim_class, recipe, seed, history, asked.steps, asked.rollouts)
            for seed in range(asked.seeds)
        ]
        return scenes, json.loads(json.dumps(sim_class.spec.to_json()))
    assert folder is not None
    dataset = Dataset.open(folder)
    arrays = held_out(dataset, history, reads_rgb(recipe))
    scenes = [
        recorded(arrays, asked.rollouts, asked.steps, history, seed) for seed in range(asked.seeds)
    ]
    return scenes, dataset.spec


def _agreement(
    recipe: Recipe,
    model: Any,
    scenes: list[Scene],
    few: int,
    counted: Callable[[Player], Player],
    spec: dict[str, Any],
) -> dict[str, Any]:
    """Compare the model, its baselines and the detector with the sim, by horizon and by events."""
    asked = recipe.evaluate
    longest = scenes[0].actions.shape[1]
    steps = sorted({min(h, longest) for h in asked.horizons if h <= asked.steps})
    detector = detector_of(recipe.world)
    labels = PIXEL_LABELS | (detector.labels if detector else {})
    seen = [] if model.palette_frames else observations(spec)
    if seen:
        labels = observed.labels(seen)
    sample = [scene.pick(slice(0, few)) for scene in scenes]
    rewards = values_of(np.concatenate([scene.rewards.ravel() for scene in scenes]))

    def compare(player: Player, some: list[Scene]) -> Agreement:
        return agree(counted(player), some, None if seen else detector, steps, rewards, seen)

    found = {recipe.family: compare(players.Model(model), scenes)}
    baselines: dict[str, Player] = {
        **{name: players.Model(other) for name, other in model.samplers().items()},
        REPEATED if seen else "last frame repeated": players.Still(),
        **(
            {
                "action repeated": players.Model(model, act="repeated"),
                "actions shuffled": players.Model(model, act="shuffled"),
            }
            if seen
            else {"action zeroed": players.Model(model, act="zeroed")}
        ),
        "no carried state": players.Model(model, carry=False),
    }
    for name, player in baselines.items():
        found[name] = compare(player, sample)
    lines = dict(found)
    detector = None if seen else detector
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
        "heads": {
            "columns": agreement.head_columns(),
            "rows": [
                {"name": name, "values": agreement.head_figures(one.heads)}
                for name, one in found.items()
                if one.heads
            ],
            "steps": asked.steps,
            "ends": sum(int(scene.ends.sum()) for scene in scenes),
            "within": agreement.WITHIN,
        },
        "samplers": {name: one.evaluations for name, one in model.samplers().items()},
    }
    if seen:
        metrics["observations"] = [
            {
                "name": one.name,
                "kind": one.kind,
                "keys": [key for key in labels if key.startswith(f"{one.name}.")],
            }
            for one in seen
        ]
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
) -> dict[str, Any] | None:
    """Let the model, the model without its carried state, and the sim play alone.

    None if every game ends during the history.
    """
    asked, history = recipe.evaluate, model.config.history
    few = min(BASELINE, asked.games)
    # The baseline of a session is the sim's play from other starts.
    starts, others = (
        autonomy.openings(sim_class, recipe, asked.seeds + i, history, asked.games) for i in (0, 1)
    )
    if not len(starts.history) or not len(others.history):
        return None
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
    """Save pictures of rollouts, the sim's frames above the model's; return paths and steps."""
    frames = players.play(player, scene)
    out = []
    for k in range(len(frames)):
        file = f"figures/rollout-{k}.png"
        if steps := strip(scene, frames, k, weights / file):
            out.append({"file": file, "steps": steps})
    return out


def strip(scene: Scene, frames: Array, rollout: int, path: Path) -> list[int]:
    """Save one rollout as a PNG, the sim's frames above the model's; return the steps shown.

    A game that ended during its history has no step and no picture.
    """
    steps = [s for s in STRIP_STEPS if s <= frames.shape[1] and scene.alive[rollout, s - 1]]
    if not steps:
        return []

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
    """A few held-out scenes, to measure players that run elsewhere: `rollouts` of `steps` each."""

    sim_class: type[Sim]
    detector: Detector
    scene: Scene
    starts: Scene

    @classmethod
    def make(
        cls, sim_class: type[Sim] | None, recipe: Recipe, history: int, rollouts: int, steps: int
    ) -> Sample | None:
        """Play the sim from held-out seeds; None without a sim, rollouts or a detector."""
        detector = detector_of(recipe.world)
        if sim_class is None or detector is None or not rollouts:
            return None
        scene = make_scene(sim_class, recipe, SAMPLE_SEED, history, steps, rollouts)
        starts = autonomy.openings(sim_class, recipe, SAMPLE_SEED + 1, history, rollouts)
        return cls(sim_class, detector, scene, starts)

    @property
    def columns(self) -> list[dict[str, Any]]:
        """Return the columns of `measure`, for tables."""
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
        control_too = [control] if self.sim_class.spec.actions else []
        return [*held, *control_too, events, *agreement.head_columns(), alone]

    @property
    def horizons(self) -> list[int]:
        """Return the steps at which the model must still follow the sim."""
        steps = self.scene.actions.shape[1]
        return sorted({min(h, steps) for h in SAMPLE_HORIZONS})

    def measure(self, player: Player) -> dict[str, bootstrap.Figure | None]:
        """Return a player's figures, by the keys of `columns`."""
        n, steps = self.scene.actions.shape[:2]
        rewards = values_of(self.scene.rewards)
        found = agree(player, [self.scene], self.detector, self.horizons, rewards)
        values = found.values(PIXEL_LABELS | self.detector.labels)
        figures = {
            f"{self.detector.held}@{h}": values[f"{self.detector.held}@{h}"] for h in self.horizons
        }
        if self.sim_class.spec.actions:
            held = agreement.controllability(player, self.scene, self.sim_class, self.detector)
            figures["controllability"] = bootstrap.mean(held, True)
        figures["f1_all"] = agreement.event_figures(found.events)["f1_all"]
        figures |= agreement.head_figures(found.heads)
        figures["survived"] = None
        if len(self.starts.history):
            alone = autonomy.play_alone(
                player, self.sim_class, self.detector, self.starts, n, steps
            )
            figures["survived"] = autonomy.survival(alone, steps)
        return figures
