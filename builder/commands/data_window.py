"""`wmsite data window`: a page that plays a window of a dataset, all modalities together."""

from __future__ import annotations

import base64
import html
import json
import math
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from builder.commands.data import warn_of
from builder.project import cache
from builder.project.worlds import TEMPLATE
from builder.site import views
from builder.terminal import Terminal, size
from sims.contract import Camera, Sensor
from sims.errors import UserError

if TYPE_CHECKING:
    from training.data.dataset import Dataset
    from training.data.windows import Window

MARK = '<meta name="generator" content="wmsite data window">'
PARTS = TEMPLATE / "window"


def run(
    folder: Path, terminal: Terminal, episode: int, start: float, seconds: float,
    out: Path | None, skip_bad: bool, root: Path = TEMPLATE,
) -> None:  # fmt: skip
    """Write the page of one window of an episode; `root`: a project, which may have views."""
    from training.data import windows
    from training.data.dataset import Dataset

    dataset = Dataset.open(folder, skip_bad=skip_bad)
    out = out or Path(f"{dataset.world.replace('/', '-')}-{episode}.html")
    if out.exists() and MARK not in out.read_text(encoding="utf-8", errors="replace")[:2000]:
        raise UserError(
            f"window {out}: there is a file of that name that wmsite did not write, and it was not "
            "touched. Run: give another name with --out",
            exit_code=2,
        )
    if not (math.isfinite(start) and math.isfinite(seconds)):
        raise UserError(
            "--from, --seconds: one is no finite number. Run: the same with --from 0 --seconds 10",
            exit_code=2,
        )
    rate = dataset.info["fps"]
    shown = windows.read(dataset, episode, round(start * rate), max(1, math.ceil(seconds * rate)))
    warn_of(dataset, terminal)
    text = page(dataset, shown, root)
    cache.write(out, text)
    rows = len(shown.columns["timestamp"])
    terminal.say(
        f"{out}: {rows} steps of episode {episode}, {size(len(text))}. Open it in a browser"
    )


def page(dataset: Dataset, window: Window, root: Path) -> str:
    """Return the whole page as HTML, which needs no other file."""
    sensors = [_whole(Sensor, sensor) for sensor in dataset.spec["sensors"]]
    views.check(sensors, root, f"dataset {dataset.world}")
    wanted = views.modules((sensor["show"] for sensor in sensors), dataset.spec["axes"])
    sheets = [views.FOLDER / "views.css", PARTS / "window.css"]
    told = json.dumps(payload(dataset, window), separators=(",", ":"), allow_nan=False)
    about = window.about
    scene = "/".join(str(about[k]) for k in ("scenario", "condition") if about.get(k))
    title = f"{dataset.world}, episode {about['episode_index']}: {scene}, {about['behaviour']}"
    filled = {
        "TITLE": html.escape(title),
        "STYLE": "".join(sheet.read_text(encoding="utf-8") for sheet in sheets),
        "SCRIPT": views.script(PARTS / "window.js", wanted, root),
        # Within a script element, only its end tag could end it.
        "DATA": told.replace("</", "<\\/"),
    }
    text = (PARTS / "window.html").read_text(encoding="utf-8")
    for name, value in filled.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return text


def payload(dataset: Dataset, window: Window) -> dict[str, Any]:
    """Return the data for the page's script, as plain JSON values."""
    spec, columns = dataset.spec, window.columns
    count = len(columns["timestamp"])
    lines, arrays = [], []
    sensors = [_whole(Sensor, s) for s in spec["sensors"] if f"observation.{s['name']}" in columns]
    for sensor in sensors:
        if sensor["show"] == "scan" and not sensor["elevations"]:
            sensor["elevations"] = [0.0] * sensor["shape"][0]
    for sensor in sensors:
        values = columns[f"observation.{sensor['name']}"]
        flat = values.reshape(count, -1)
        if sensor["show"] and flat.shape[1] > 1:
            arrays.append(_array(sensor, flat))
        elif flat.shape[1] <= 4:
            for i in range(flat.shape[1]):
                name = sensor["name"] if flat.shape[1] == 1 else f"{sensor['name']}.{i}"
                lines.append(_line(name, sensor["unit"], flat[:, i], sensor["low"], sensor["high"]))
    action = columns["action"].reshape(count, -1)
    for i, axis in enumerate(spec["axes"]):
        lines.append(_line(axis["name"], axis["unit"], action[:, i], axis["low"], axis["high"]))
    names = [one["name"] for one in spec["actions"]]
    return {
        "world": dataset.world,
        "rate": dataset.info["fps"],
        "first": window.first,
        "count": count,
        "spec": {
            "cameras": [
                _whole(Camera, c) for c in spec["cameras"] if c["name"] in window.images
            ],
            "sensors": sensors,
            "axes": spec["axes"],
            "actions": spec["actions"],
        },
        "images": {
            name: [base64.b64encode(image).decode() for image in images]
            for name, images in window.images.items()
        },
        "lines": lines,
        "arrays": arrays,
        "pressed": [names[int(i)] for i in action.argmax(axis=1)] if names else [],
        "reward": np.round(columns["next.reward"].astype(float), 4).tolist(),
        "events": spans(window.events),
        "about": [[key, str(value)] for key, value in window.about.items() if "index" not in key],
    }  # fmt: skip


def spans(events: list[tuple[int, str]]) -> list[dict[str, Any]]:
    """Return each run of an event as one span: its first row and its last row."""
    found: list[dict[str, Any]] = []
    open_: dict[str, dict[str, Any]] = {}
    for row, name in sorted(events):
        if name in open_ and open_[name]["last"] == row - 1:
            open_[name]["last"] = row
        else:
            open_[name] = {"row": row, "last": row, "name": name}
            found.append(open_[name])
    return found


def _whole(kind: type[Sensor] | type[Camera], told: dict[str, Any]) -> dict[str, Any]:
    """Return what a recording's spec says of a sensor or camera, with what it leaves out."""
    defaults = {f.name: f.default for f in fields(kind) if f.default is not MISSING}
    return {**defaults, **told}


def _line(name: str, unit: str, values: Any, low: float, high: float) -> dict[str, Any]:
    numbers = [float(f"{value:.5g}") for value in values]
    return {"name": name, "unit": unit, "low": low, "high": high, "values": numbers}


def _array(sensor: dict[str, Any], flat: Any) -> dict[str, Any]:
    """Return a sensor of several numbers; each stored number counts `scale` of its unit.

    Ranges are many, so they are packed as unsigned 16-bit numbers.
    """
    about = {"name": sensor["name"], "size": flat.shape[1]}
    if sensor["show"] != "scan":
        return {**about, "scale": 1, "rows": np.round(flat.astype(float), 2).tolist()}
    scale = sensor["high"] / 65535
    packed = np.clip(np.round(flat / scale), 0, 65535).astype("<u2")
    return {**about, "scale": scale, "packed": base64.b64encode(packed.tobytes()).decode()}
