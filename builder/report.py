"""Static HTML and SVG of what is known about a world and its model: spec, card, weights folder."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from builder import cache, card, manifest, measured, sheet
from builder.charts import Box, Line, chart, diagram, number
from builder.plugin import Shown
from builder.tables import table
from builder.terminal import size

ABSENT = '<p class="wm-absent">{title} has no {kind} model yet{rest}.</p>'


def section(
    shown: Shown,
    name: str,
    root: str,
    family: str | None = None,
    about: Mapping[str, str] | None = None,
) -> str:
    """Return one section of a report as HTML; `root` is the site's root.

    `about` says what happens in each scenario.
    """
    if name in OF_WORLD:
        home = f"{root}{shown.folder}{card.FOLDER}/"
        return f'<div class="wm-report">{OF_WORLD[name](shown, home)}</div>'
    if name == "scenarios":
        return f'<div class="wm-report">{sheet.scenarios(shown, about or {})}</div>'
    models = [m for m in shown.manifest.models if family in (None, m.family)]
    if not models:
        title, kind = html.escape(shown.manifest.title), html.escape(family or "trained")
        rest = "" if shown.manifest.models else ": the page plays its sim alone"
        return ABSENT.format(title=title, kind=kind, rest=rest)
    if name == "comparison":
        body = measured.comparison([(model, shown.weights[model.family]) for model in models])
        return f'<div class="wm-report">{body}</div>'
    model = models[0]
    body = SECTIONS[name](model, shown.weights[model.family], f"{root}{shown.folder}{model.family}")
    return f'<div class="wm-report">{body}</div>'


def architecture(model: manifest.Model, weights: Path, home: str) -> str:
    """The model drawn, with its size and the shapes that go in and out."""
    told = cache.read_json(weights / "provenance.json") or {}
    drawing = DRAWN.get(model.family, _plain)(model, told.get("config") or {})
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


def _plain(model: manifest.Model, config: dict[str, Any]) -> str:
    """Inputs, the step, outputs: for a family that has no drawing of its own."""
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


def _recurrent(model: manifest.Model, config: dict[str, Any]) -> str:
    """The step of `training.models.recurrent`, as its `advance` does it."""
    if "channels" not in config:
        return _plain(model, config)
    c, p, sensors = config["channels"], config["patch"], len(config["sensor_low"])
    grid = f"{config['height'] // p} × {config['width'] // p}"
    boxes = [
        Box("frame", f"{config['height']} × {config['width']} pixels", 0, 0, "input"),
        Box("memory", f"{config['memory']} channels, {grid}", 0, 1, "input"),
        Box("action, chance", f"{config['actions']} + {config['chance']} numbers", 0, 2, "input"),
        Box("sensors", f"{sensors} numbers", 0, 3, "input"),
        Box("look", f"{c} ch., {config['blocks']} × 3 × 3", 1, 0.5),
        Box(
            "glimpses",
            f"{len(config['landmarks'])} of {config['glimpse']} × {config['glimpse']} px",
            1,
            1.5,
        ),
        Box("forecast", "linear, found", 1, 3),
        Box("judge", f"2 × {config['wide']} units", 2, 1.5),
        Box("laws", f"given, {config['laws']} found, own", 2, 3),
        Box("draw", f"{c} ch., {config['drawing']} × 3 × 3", 3, 0.5),
        Box("pick", "one law a sensor", 3, 3),
        Box("next frame", "likeliest colour a pixel", 4, 0, "output"),
        Box("next memory", f"{config['memory']} channels, {grid}", 4, 1, "output"),
        Box("reward, terminated", "2 numbers", 4, 2, "output"),
        Box("next sensors", f"{sensors} numbers", 4, 3, "output"),
    ]
    arrows = [(0, 4), (1, 4), (2, 4), (0, 5), (2, 6), (3, 6), (6, 5), (4, 7), (5, 7), (6, 8)]
    arrows += [(7, 10), (8, 10), (4, 9), (7, 9), (10, 9), (9, 11), (9, 12), (9, 13), (10, 14)]
    return diagram(model.label, boxes, arrows)


DRAWN: dict[str, Callable[[manifest.Model, dict[str, Any]], str]] = {"recurrent": _recurrent}


def data(model: manifest.Model, weights: Path, home: str) -> str:
    """What the model has seen."""
    told = cache.read_json(weights / "provenance.json") or {}
    asked = told.get("recipe", {}).get("data", {})
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
    """How training went."""
    points = cache.read_json(weights / "curve.json") or []
    labels = {
        "frame_loss": ("Loss of the frame", "nats"),
        "sensor_loss": ("Loss of the sensors", ""),
        "val_moved_right": ("Moved pixels right, held out", "share"),
        "val_whole_frames": ("Whole frames right, held out", "share"),
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
    """Strips of frames: the sim's above, the model's below."""
    metrics = cache.read_json(weights / "metrics.json") or {}
    parts = []
    for strip in metrics.get("strips", []):
        file = weights / strip["file"]
        if not file.is_file():
            continue
        steps = ", ".join(str(step) for step in strip["steps"])
        width, height = (int.from_bytes(file.read_bytes()[at : at + 4], "big") for at in (16, 20))
        parts.append(
            f'<figure class="wm-strip"><img src="{home}/{strip["file"]}" loading="lazy" '
            f'width="{width}" height="{height}" alt="The sim\'s frames above, the model\'s below, '
            f'after {steps} steps played alone"><figcaption>Above the sim, below the model on its '
            f"own, after {steps} steps.</figcaption></figure>"
        )
    return "".join(parts) or '<p class="wm-absent">No strips were kept.</p>'


def provenance(model: manifest.Model, weights: Path, home: str) -> str:
    """What made the model, and in which precisions it ships."""
    told = cache.read_json(weights / "provenance.json") or {}
    versions = ", ".join(f"{k} {v}" for k, v in sorted(told.get("versions", {}).items()))
    rows = [
        ["Sim", f"<code>{html.escape(str(told.get('keys', {}).get('sim', ''))[:12])}</code>"],
        [
            "Training",
            f"<code>{html.escape(str(told.get('keys', {}).get('train', ''))[:12])}</code>",
        ],
        ["Seed", html.escape(str(told.get("seed", "")))],
        ["Optimiser steps", f"{told.get('steps', 0):,}"],
        ["Time", f"{told.get('minutes', 0)} minutes on {html.escape(str(told.get('device')))}"],
        ["Versions", html.escape(versions)],
    ]
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


# What is told of a world, whether it has a model or not.
OF_WORLD: dict[str, Callable[[Shown, str], str]] = {
    "cameras": sheet.cameras,
    "lidar": sheet.lidar,
    "sensors": sheet.sensors,
    "controls": sheet.controls,
    "conditions": sheet.conditions,
    "counts": card.counts,
    "distributions": card.distributions,
    "samples": card.samples,
    "recording": card.recording,
}

SECTIONS: dict[str, Callable[[manifest.Model, Path, str], str]] = {
    "evaluation": measured.evaluation,
    "events": measured.events,
    "autonomy": measured.autonomy,
    "variants": measured.variants,
    "architecture": architecture,
    "data": data,
    "curves": curves,
    "rollouts": rollouts,
    "provenance": provenance,
}
