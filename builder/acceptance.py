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
        and len(config["sensor_low"]) == sum(math.prod(s.shape) for s in spec.sensors)
    )


def shortfall(entry: Entry, work: Path) -> str:
    """Say how the weights in `work` fall short of what the recipe accepts, or ""."""
    from training.detectors import DETECTORS

    detector, asked = DETECTORS.get(entry.world.name), entry.recipe.evaluate
    if detector is None or not asked.accept:
        return ""
    step = max(horizon for horizon in asked.horizons if horizon <= asked.steps)
    metrics = cache.read_json(work / "metrics.json") or {"rows": [{"values": {}}]}
    figure = metrics["rows"][0]["values"].get(f"{detector.held}@{step}")
    found = figure["mean"] if figure else 0.0
    if found >= asked.accept:
        return ""
    return (
        f"model {entry.name}: it did not learn the edited sim: {detector.labels[detector.held][0]} "
        f"at step {step} in {found:.0f} % of rollouts, {asked.accept:.0f} % are asked; the model "
        f"of the sim before stays. Run: wmsite train {entry.world.name} --full"
    )


def refuse(entry: Entry, why: str) -> None:
    """Note that the sim as it is now was not learned, so that no build tries it again."""
    cache.write_json(_note(entry), {"train": entry.keys["train"], "why": why})


def refused(entry: Entry) -> str:
    """Say why the sim as it is now was not learned, or ""."""
    told = cache.read_json(_note(entry)) or {}
    return str(told["why"]) if told.get("train") == entry.keys["train"] else ""


def _note(entry: Entry) -> Path:
    return entry.home / "refused" / f"{entry.stem}.json"
