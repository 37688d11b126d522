"""Decide whether fine-tuned weights have learned an edited sim; if not, the old weights stay."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from builder.project import cache

if TYPE_CHECKING:
    from builder.project.entries import Entry


def fits(entry: Entry) -> bool:
    """Return whether the committed graphs can play beside the sim although it was edited."""
    from sims import canvas

    spec, config = entry.world.spec, entry.provenance.get("config")
    if not config or entry.damaged() is not None:
        return False
    return (
        (config["cameras"], config["height"], config["width"]) == canvas.size(spec.cameras)
        and config["actions"] == (len(spec.actions) or len(spec.axes))
        and config["chance"] == len(spec.chance)
        and len(config["sensor_low"])
        == sum(math.prod(s.shape) for s in spec.sensors if len(s.shape) <= 1)
    )


def shortfall(entry: Entry, work: Path) -> str:
    """Return how the weights in `work` fall short of the recipe's limits, or "".

    The model must still follow the sim. Without a detector, the share of moved pixels that are
    right decides.
    """
    from sims.detector import detector_of
    from training.evaluation.agreement import PIXEL_LABELS

    detector, asked = detector_of(entry.world.name), entry.recipe.evaluate
    name = detector.held if detector else "moved"
    label = (PIXEL_LABELS | (detector.labels if detector else {}))[name][0]
    step = max(horizon for horizon in asked.horizons if horizon <= asked.steps)
    metrics = cache.read_json(work / "metrics.json") or {"rows": [{"values": {}}]}
    figure = metrics["rows"][0]["values"].get(f"{name}@{step}")
    found = figure["mean"] if figure else 0.0
    if found >= asked.accept:
        return ""
    return (
        f"model {entry.name}: it did not learn the edited sim: {label} at step {step}: "
        f"{found:.0f} %, {asked.accept:.0f} % are asked; the model of the sim before stays. "
        f"Run: wmsite train {entry.world.name} --full"
    )


def refuse(entry: Entry, why: str) -> None:
    """Store that the current sim was not learned, so that no build tries it again."""
    cache.write_json(_note(entry), {"key": _key(entry), "why": why})


def refused(entry: Entry) -> str:
    """Return why the current sim was not learned, or ""."""
    told = cache.read_json(_note(entry), dict[str, str]) or {}
    return str(told["why"]) if told.get("key") == _key(entry) else ""


def older(entry: Entry) -> str:
    """Return that the committed weights belong to an earlier sim, and why they remain; or ""."""
    if entry.made.get("sim") == entry.keys["sim"]:
        return ""
    return refused(entry) or "This model was made for the sim as it was before it was edited."


def _key(entry: Entry) -> str:
    """Return the hash of everything that decides whether the current sim is learned."""
    keys = entry.keys_of(True)
    return cache.key(train=keys["train"], evaluate=keys["evaluate"])


def _note(entry: Entry) -> Path:
    return entry.home / "refused" / f"{entry.stem}.json"
