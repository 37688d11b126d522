"""Write a world's spec as sections of its page: cameras, sensors, controls, scenarios.

The figures show a recorded row if the world has a dataset card (`recording_sections.py`).
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from builder.site import recording_sections, sensor_figures, tables
from builder.site.plugin import Shown
from builder.site.tables import table
from training.evaluation import bootstrap

Told = Mapping[str, Any]

ARROWS = {"ArrowLeft": "←", "ArrowRight": "→", "ArrowUp": "↑", "ArrowDown": "↓"}
STICKS = {"axis0": "left stick", "r2": "right trigger", "l2": "left trigger"}


def cameras(shown: Shown, home: str) -> str:
    """Show a still with the names of its views, the rig from above, and each camera's optics."""
    spec = shown.manifest.spec
    told = recording_sections.of(shown)
    still = told["stills"][0] if told and told["stills"] else None
    parts = []
    if still:
        picture = sensor_figures.views(spec, still, f"{home}{still['file']}")
        parts.append(figure(picture, f"A recorded row: {recording_sections.scene(still)}."))
    parts.append(
        figure(sensor_figures.from_above(spec, still), "The same moment from above.", "wm-plan")
    )
    rows = [
        [
            html.escape(c["name"]),
            f"{c['width']} × {c['height']}",
            f"{c['focal']:g} px",
            f"{c['width'] / 2:g}, {c['height'] / 2:g}",
            f"{math.degrees(sensor_figures.field_of_view(c)):.0f}° × "
            f"{math.degrees(2 * math.atan(c['height'] / 2 / c['focal'])):.0f}°",
            ", ".join(f"{v:g}" for v in c["place"]),
            f"{_signed(math.degrees(c['yaw']))}°",
            f"{_signed(math.degrees(c['pitch']))}°",
        ]
        for c in spec["cameras"]
        if c["focal"] > 0
    ]
    head = ["Camera", "Pixels", "Focal length", "Principal point", "Field of view",
            "Place, m (forward, left, up)", "Yaw, + is left", "Pitch, + is up"]  # fmt: skip
    return "".join(parts) + _turned(head, rows)


def _turned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table with one column for each of a few rows, so that it fits on a phone."""
    names, *lines = zip(head, *rows, strict=True)
    return table(names, lines, "wm-tight")


def _signed(value: float) -> str:
    text = f"{value:+.0f}"
    return "0" if float(text) == 0 else text.replace("-", "−")


def lidar(shown: Shown, home: str) -> str:
    """Show a recorded range image, and explain its numbers."""
    sensor = sensor_figures.shown(shown.manifest.spec, "scan")
    told = recording_sections.of(shown)
    if not sensor:
        return recording_sections.ABSENT.format(what="No sensor of this world is a range image.")
    rings, columns = sensor["shape"]
    picture = ""
    if told and told["stills"]:
        still = told["stills"][0]
        drawn = sensor_figures.range_image(sensor, sensor_figures.ranges(sensor, still))
        picture = figure(
            drawn, f"The range image of the same row: {recording_sections.scene(still)}.", "wm-wide"
        )
    up = [math.degrees(e) for e in sensor["elevations"]]
    rows = [
        ["Rings × columns", f"{rings} × {columns}, {rings * columns:,} beams a step"],
        ["From one column to the next", f"{360 / columns:.2f}°, all around"],
        ["Elevations", f"{_signed(up[0])}° to {up[-1]:.0f}°".replace("-", "−")] if up else [],
        ["Range", f"{sensor['high']:g} m; {html.escape(sensor['meaning'].partition('; ')[2])}"],
        ["Place (forward, left, up)", ", ".join(f"{v:g}" for v in sensor["place"]) + " m"],
    ]
    return picture + table([], [row for row in rows if row])


def sensors(shown: Shown, home: str) -> str:
    """List every sensor with its shape, unit, range and meaning."""
    rows = [
        [
            f"<code>{html.escape(s['name'])}</code>",
            html.escape(s["meaning"]),
            html.escape(written(s["unit"])),
            f"{_number(s['low'])} to {_number(s['high'])}",
            " × ".join(map(str, s["shape"])),
        ]
        for s in shown.manifest.spec["sensors"]
    ]
    return table(["Sensor", "What it is", "Unit", "Range", "Shape"], rows, "wm-worded")


def controls(shown: Shown, home: str) -> str:
    """List every axis with its range and the keys, sticks and triggers that move it."""
    rows = [
        [
            f"<code>{html.escape(axis['name'])}</code>",
            f"{_number(axis['low'])} to {_number(axis['high'])}"
            + (f" ({html.escape(axis['unit'])})" if axis["unit"] else ""),
            _keys(axis["increase"])
            + f" to {_number(axis['high'])}"
            + (
                f", {_keys(axis['decrease'])} to {_number(axis['low'])}" if axis["decrease"] else ""
            ),
            html.escape(STICKS.get((axis["gamepad"] or "").rstrip("-"), axis["gamepad"] or "–")),
            f"{(axis['high'] - axis['neutral']) / axis['pace']:g} s" if axis["pace"] else "at once",
        ]
        for axis in shown.manifest.spec["axes"]
    ]
    return _turned(["Control", "Range", "Keys", "Gamepad", "A key's way to the end"], rows)


def _keys(codes: Sequence[str]) -> str:
    return " ".join(f"<kbd>{ARROWS.get(c) or c.removeprefix('Key')}</kbd>" for c in codes)


def conditions(shown: Shown, home: str) -> str:
    """Show a recorded row of each condition."""
    told = recording_sections.of(shown)
    if not told or not told["stills"]:
        return recording_sections.ABSENT.format(what="Nothing of this world is recorded yet.")
    found = "".join(
        figure(
            sensor_figures.views(shown.manifest.spec, still, f"{home}{still['file']}", named=False),
            f"<strong>{html.escape(str(still.get('condition', still['scenario'])))}</strong> "
            f"{html.escape(str(still['scenario']))}",
        )
        for still in told["stills"]
    )
    return f'<div class="wm-pictures">{found}</div>'


def scenarios(shown: Shown, about: Mapping[str, str]) -> str:
    """List every scenario: its description (from the fence), and the measured driver's rates."""
    spec, rates = shown.manifest.spec, recording_sections.rates_of(shown)
    names = {name: f"<strong>{html.escape(name)}</strong>" for name in spec["scenarios"]}
    told = [[names[n], html.escape(about[n])] for n in spec["scenarios"] if n in about]
    if told or not rates:
        told = told or [[name, ""] for name in names.values()]
        drawn = table(["Scenario", "What happens"], told, "wm-tight")
    else:
        drawn = ""
    return drawn + (_rates(names, rates) if rates else "")


def _rates(names: Mapping[str, str], rates: Told) -> str:
    """Return the share of games in which each event happened, the most common event first."""
    found = {row["name"]: row for row in rates["scenarios"]}
    sums: dict[str, float] = {}
    for row in found.values():
        for event, share in row["events"].items():
            sums[event] = sums.get(event, 0.0) + share["mean"]
    said = {e: e.replace("_", " ") for e in sums} | {"lasted": "not over in time"}
    columns = sorted((e for e in sums if sums[e]), key=lambda e: -sums[e])
    rows = []
    for name, title in names.items():
        row = found.get(name)
        shares = [tables.figure(row and row["events"].get(k), "%") for k in columns]
        rows.append([title, *shares, f"{row['seconds']:.0f}" if row else "–"])
    head = ["Scenario", *(html.escape(said[k]).capitalize() for k in columns), "Mean seconds"]
    games, (first, last) = rates["games"], rates["seeds"]
    never = ", ".join(html.escape(said[k]) for k in sums if not sums[k])
    more = (
        f" In none of all {games * len(found):,}: {never}. That is 0 to "
        f"{100 * bootstrap.wilson(0, games)[1]:.1f} % for one scenario."
        if never
        else ""
    )
    return table(head, rows, "wm-figures wm-tight") + (
        f"<p>Shares of {games} drives a scenario in percent, with their 95 % intervals. "
        f"The <code>{html.escape(rates['behaviour'])}</code> drives, from seeds {first:,} to "
        f"{last:,}, which are never recorded. Each lasts until it is over, or {rates['limit']:g} "
        f"seconds.{more} Sim <code>{html.escape(rates['sim'][:12])}</code>.</p>"
    )


def figure(drawn: str, caption: str, kind: str = "") -> str:
    """Return a figure with its caption; both are HTML."""
    return f'<figure class="wm-figure {kind}">{drawn}<figcaption>{caption}</figcaption></figure>'


def written(unit: str) -> str:
    """Return a unit as pages write it."""
    return unit.replace("^2", "²").replace("^3", "³")


def _number(value: float) -> str:
    return f"{value:g}".replace("-", "−")
