"""Write a report's sections as static HTML and SVG: from spec, dataset card and weights folder."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from builder.project import cache
from builder.project.weights import FIGURES
from builder.site import (
    attack_sections,
    manifest,
    model_sections,
    recording_sections,
    spec_sections,
)
from builder.site.charts import Box, Line, chart, diagram, number
from builder.site.plugin import Shown
from builder.site.tables import fold, table
from builder.terminal import size
from training import contained, families

ABSENT = '<p class="wm-absent">{title} has no {kind} model yet{rest}.</p>'


def section(
    shown: Shown,
    name: str,
    root: str,
    family: str | None = None,
    about: Mapping[str, str] | None = None,
) -> str:
    """Return one section of a report as HTML; `root` is the site's root.

    `about` describes each scenario.
    """
    if name in OF_WORLD:
        home = f"{root}{shown.folder}{recording_sections.FOLDER}/"
        return f'<div class="wm-report">{OF_WORLD[name](shown, home)}</div>'
    if name == "scenarios":
        return f'<div class="wm-report">{spec_sections.scenarios(shown, about or {})}</div>'
    models = [m for m in shown.manifest.models if family in (None, m.family)]
    if not models:
        title, kind = html.escape(shown.manifest.title), html.escape(family or "trained")
        rest = "" if shown.manifest.models else ": the page plays its sim alone"
        return ABSENT.format(title=title, kind=kind, rest=rest)
    if name == "comparison":
        body = model_sections.comparison([(model, shown.weights[model.family]) for model in models])
        return f'<div class="wm-report">{body}</div>'
    model = models[0]
    body = SECTIONS[name](model, shown.weights[model.family], f"{root}{shown.folder}{model.family}")
    return f'<div class="wm-report">{body}</div>'


def architecture(model: manifest.Model, weights: Path, home: str) -> str:
    """Draw the model, with its size and the shapes of its inputs and outputs."""
    told = cache.read_json(weights / "provenance.json") or {}
    drawing = _drawn(model, told.get("config") or {})
    facts = [
        ["Parameters", f"{model.parameters:,}"],
        ["Multiplications a step", f"{model.variants[0].macs / 1e6:.1f} million"],
        ["Frames looked back on", str(model.history)],
    ]
    shapes = [
        [f"<code>{html.escape(t.name)}</code>", f"{direction} {t.dtype} {_shape(t.shape)}"]
        for direction, tensors in (("in:", model.inputs), ("out:", model.outputs))
        for t in tensors
    ]
    return f"{drawing}{table([], facts + shapes)}"


def _shape(shape: list[int]) -> str:
    return " × ".join(str(n) for n in shape)


def _drawn(model: manifest.Model, config: dict[str, Any]) -> str:
    """Draw the step as its family does; without a drawing: inputs, step, outputs."""
    own = families.optional(model.family, "diagram")
    if own and config:
        boxes, arrows = own.boxes(config)
        return diagram(model.label, [Box(*box) for box in boxes], arrows)
    middle = (max(len(model.inputs), len(model.outputs)) - 1) / 2
    boxes = [
        Box(t.name, f"{t.dtype} {_shape(t.shape)}", 0, row, "input")
        for row, t in enumerate(model.inputs)
    ]
    boxes.append(Box("step", f"{model.family}, {number(model.parameters)} weights", 1, middle))
    boxes += [
        Box(t.name, f"{t.dtype} {_shape(t.shape)}", 2, row, "output")
        for row, t in enumerate(model.outputs)
    ]
    step = len(model.inputs)
    arrows = [(i, step) for i in range(step)]
    arrows += [(step, step + 1 + i) for i in range(len(model.outputs))]
    return diagram(model.label, boxes, arrows)


def data(model: manifest.Model, weights: Path, home: str) -> str:
    """Show the dataset that the model was trained on."""
    recipe = (cache.read_json(weights / "provenance.json") or {}).get("recipe", {})
    if named := recipe.get("dataset"):
        return f"<p>It learned from the recording <code>{html.escape(str(named))}</code>.</p>"
    asked = recipe.get("data", {})
    rows = [
        ["Steps recorded", f"{asked.get('steps', 0):,}"],
        ["Longest game", f"{asked.get('episode_steps', 0):,} steps"],
    ]
    for name, label in (
        ("behaviours", "Who plays"),
        ("scenarios", "Where games start"),
        ("splits", "Split"),
    ):
        shares = asked.get(name) or {}
        total = sum(shares.values()) or 1
        said = ", ".join(f"{html.escape(k)} {100 * v / total:.0f} %" for k, v in shares.items())
        rows.append([label, said or "all alike"])
    return table([], rows)


def curves(model: manifest.Model, weights: Path, home: str) -> str:
    """Show the curves of the training run."""
    points = cache.read_json(weights / "curve.json") or []
    labels = {
        "frame_loss": ("Loss of the frame", "nats"),
        "sensor_loss": ("Loss of the sensors", ""),
        "val_moved_right": ("Moved pixels right, held out", "share"),
        "val_whole": ("Steps alone that look like recorded ones, held out, median", "steps"),
    }
    drawn = [
        chart(
            label,
            "minutes of training",
            [Line(model.family, [(p["minutes"], p[key]) for p in points if key in p])],
            unit,
        )
        for key, (label, unit) in labels.items()
    ]
    return "".join(drawn) or '<p class="wm-absent">No curve was kept.</p>'


def rollouts(model: manifest.Model, weights: Path, home: str) -> str:
    """Show strips of frames: the sim's above, the model's below."""
    metrics = cache.read_json(weights / "metrics.json") or {}
    truth = "the recording" if model_sections.recorded(weights) else "the sim"
    parts = []
    for strip in metrics.get("strips", []):
        file = contained.inside(weights, strip["file"], f"weights {weights}", FIGURES)
        if not file.is_file():
            continue
        steps = ", ".join(str(step) for step in strip["steps"])
        width, height = (int.from_bytes(file.read_bytes()[at : at + 4], "big") for at in (16, 20))
        parts.append(
            f'<figure class="wm-strip" tabindex="0"><img src="{home}/{strip["file"]}" '
            f'loading="lazy" width="{width}" height="{height}" '
            f'alt="Above {truth}, below the model, after {steps} steps played alone">'
            f"<figcaption>Above {truth}, below the model on its own, "
            f"after {steps} steps.</figcaption></figure>"
        )
    if not parts:
        return '<p class="wm-absent">No strips were kept.</p>'
    return parts[0] + (fold("Other rollouts", "".join(parts[1:])) if parts[1:] else "")


def provenance(model: manifest.Model, weights: Path, home: str) -> str:
    """Show how the model was made, and in which precisions it ships."""
    told = cache.read_json(weights / "provenance.json") or {}
    versions = ", ".join(f"{k} {v}" for k, v in sorted(told.get("versions", {}).items()))
    steps = told.get("steps", 0)
    kept = told.get("kept_step", steps)
    rows = [
        ["Sim", f"<code>{html.escape(str(told.get('keys', {}).get('sim', ''))[:12])}</code>"],
        [
            "Training",
            f"<code>{html.escape(str(told.get('keys', {}).get('train', ''))[:12])}</code>",
        ],
        ["Seed", html.escape(str(told.get("seed", "")))],
        [
            "Optimiser steps",
            f"{steps:,}" + (f"; weights of step {kept:,} are kept" if kept < steps else ""),
        ],
        ["Time", f"{told.get('minutes', 0)} minutes on {html.escape(str(told.get('device')))}"],
        ["Versions", html.escape(versions)],
    ]
    if spent := told.get("recipe", {}).get("spent"):
        rows.append(["Budget of the recipe", html.escape(str(spent))])
    if told.get("finetuned_from"):
        rows.append(["Fine-tuned from", html.escape(str(told["finetuned_from"]))])
    ships = [
        [
            variant.title,
            size(variant.step.bytes),
            ", ".join(variant.backends),
            ", ".join(
                f"{html.escape(k)} {v:.4g}" for k, v in variant.parity.items() if v is not None
            ),
        ]
        for variant in model.variants
    ]
    return table([], rows) + table(["Precision", "Step graph", "Runs on", "Parity"], ships)


def environment(shown: Shown, home: str) -> str:
    """Name the environment that a world was recorded from: its version and its licence."""
    files = [weights / "provenance.json" for weights in shown.weights.values()]
    found = ((cache.read_json(file, dict[str, Any]) or {}).get("environment") for file in files)
    told = next((one for one in found if isinstance(one, dict)), None)
    if told is None:
        return '<p class="wm-absent">No model tells yet which environment it was learned from.</p>'
    package = " ".join(str(told[key]) for key in ("package", "version") if told.get(key))
    gymnasium = f"Gymnasium {told.get('gymnasium', '')}"
    frame = " × ".join(str(n) for n in reversed(told.get("frame", [])))
    rows = [
        ["Environment", f"<code>{html.escape(str(told.get('id')))}</code>"],
        ["Package", html.escape(package or "its author's own")],
        ["Licence", html.escape(str(told.get("licence")))],
        ["Recorded with", html.escape(gymnasium)],
        ["Its frames", html.escape(f"{frame} pixels") if frame else ""],
    ]
    return table([], [row for row in rows if row[1]])


# Sections that need no model.
OF_WORLD: dict[str, Callable[[Shown, str], str]] = {
    "cameras": spec_sections.cameras,
    "lidar": spec_sections.lidar,
    "sensors": spec_sections.sensors,
    "controls": spec_sections.controls,
    "conditions": spec_sections.conditions,
    "counts": recording_sections.counts,
    "distributions": recording_sections.distributions,
    "samples": recording_sections.samples,
    "recording": recording_sections.recording,
    "environment": environment,
}

SECTIONS: dict[str, Callable[[manifest.Model, Path, str], str]] = {
    "evaluation": model_sections.evaluation,
    "events": model_sections.events,
    "autonomy": model_sections.autonomy,
    "measures": model_sections.measures,
    "attacks": attack_sections.attacks,
    "variants": model_sections.variants,
    "architecture": architecture,
    "data": data,
    "curves": curves,
    "rollouts": rollouts,
    "provenance": provenance,
}
