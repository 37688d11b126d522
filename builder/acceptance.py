"""Whether fine-tuned weights have learned an edited sim; where they haven't, the old ones stay."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from builder import cache

if TYPE_CHECKING:
    from builder.pipeline import Entry


def fits(entry: Entry) -> bool:
    """Return whether the committed graphs can be played beside the sim, though it was edited."""
    spec, config = entry.world.load().spec, entry.provenance.get("config")
    if not config or entry.damaged() is not None:
        return False
    camera = spec.cameras[0]
    return (
        (config["cameras"], config["height"], config["width"])
        == (len(spec.cameras), camera.height, camera.width)
        and config["actions"] == (len(spec.actions) or len(spec.axes))
        and config["chance"] == len(spec.chance)
        and len(config["sensor_low"])
        == sum(math.prod(s.shape) for s in spec.sensors if len(s.shape) <= 1)
    )


def shortfall(entry: Entry, work: Path) -> str:
    """Say how the weights in `work` fall short of what the recipe accepts, or "".

    What counts is whether the model still follows the sim; without a detector that could tell, the
    moved pixels that are right.
    """
    from training.agreement import PIXEL_LABELS
    from training.detectors import DETECTORS

    detector, asked = DETECTORS.get(entry.world.name), entry.recipe.evaluate
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
    """Note that the sim as it is now was not learned, so that no build tries it again."""
    cache.write_json(_note(entry), {"key": _key(entry), "why": why})


def refused(entry: Entry) -> str:
    """Say why the sim as it is now was not learned, or ""."""
    told = cache.read_json(_note(entry)) or {}
    return str(told["why"]) if told.get("key") == _key(entry) else ""


def older(entry: Entry) -> str:
    """Say that the committed weights are of the sim before an edit, and why still; or ""."""
    if entry.made.get("sim") == entry.keys["sim"]:
        return ""
    return refused(entry) or "This model was made for the sim as it was before it was edited."


def _key(entry: Entry) -> str:
    """Return the hash of all that decides whether the sim as it is now is learned."""
    keys = entry.keys_of(True)
    return cache.key(train=keys["train"], evaluate=keys["evaluate"])


def _note(entry: Entry) -> Path:
    return entry.home / "refused" / f"{entry.stem}.json"
