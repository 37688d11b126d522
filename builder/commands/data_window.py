"""`wmsite data window`: a page that plays a window of a dataset, all modalities in step."""

from __future__ import annotations

import base64
import html
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from builder import cache
from builder.commands.data import warn_of
from builder.terminal import Terminal, size

if TYPE_CHECKING:
    from training.dataset import Dataset
    from training.windows import Window

PARTS = Path(__file__).parents[1] / "window"


def run(
    folder: Path, terminal: Terminal, episode: int, start: float, seconds: float,
    out: Path | None, skip_bad: bool,
) -> None:  # fmt: skip
    """Write the page of one window of an episode."""
    from training import windows
    from training.dataset import Dataset

    dataset = Dataset.open(folder, skip_bad=skip_bad)
    rate = dataset.info["fps"]
    shown = windows.read(dataset, episode, round(start * rate), max(1, math.ceil(seconds * rate)))
    warn_of(dataset, terminal)
    out = out or Path(f"{dataset.world}-{episode}.html")
    text = page(dataset, shown)
    cache.write(out, text)
    rows = len(shown.columns["timestamp"])
    terminal.say(
        f"{out}: {rows} steps of episode {episode}, {size(len(text))}. Open it in a browser"
    )


def page(dataset: Dataset, window: Window) -> str:
    """Return the whole page as HTML: no other file is needed, and none is asked for."""
    told = json.dumps(payload(dataset, window), separators=(",", ":"), allow_nan=False)
    about = window.about
    scene = "/".join(str(about[k]) for k in ("scenario", "condition") if about.get(k))
    title = f"{dataset.world}, episode {about['episode_index']}: {scene}, {about['behaviour']}"
    filled = {
        "TITLE": html.escape(title),
        "STYLE": (PARTS / "window.css").read_text(),
        "SCRIPT": (PARTS / "window.js").read_text(),
        # Within a script element nothing but its end tag could end it.
        "DATA": told.replace("</", "<\\/"),
    }
    text = (PARTS / "window.html").read_text()
    for name, value in filled.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return text


def payload(dataset: Dataset, window: Window) -> dict[str, Any]:
    """Return what the page's script is given, as plain JSON values."""
    spec, columns = dataset.spec, window.columns
    count = len(columns["timestamp"])
    lines, scans, paths = [], [], []
    for sensor in spec["sensors"]:
        values = columns.get(f"observation.{sensor['name']}")
        if values is None:
            continue
        show = sensor.get("show", "")
        if show == "scan":
            scans.append(_scan(sensor, values))
        elif show == "path":
            paths.append({"name": sensor["name"], "points": np.round(values, 2).tolist()})
        elif values[0].size <= 4:
            flat = values.reshape(count, -1)
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
        "cameras": [
            {
                "name": camera["name"], "width": camera["width"], "height": camera["height"],
                "images": [base64.b64encode(i).decode() for i in window.images[camera["name"]]],
            }
            # From left to right.
            for camera in sorted(spec["cameras"], key=lambda c: -c.get("yaw", 0))
            if camera["name"] in window.images
        ],
        "lines": lines,
        "scans": scans,
        "paths": paths,
        "pressed": [names[int(i)] for i in action.argmax(axis=1)] if names else [],
        "reward": np.round(columns["next.reward"].astype(float), 4).tolist(),
        "events": spans(window.events),
        "about": [[key, str(value)] for key, value in window.about.items() if "index" not in key],
    }  # fmt: skip


def spans(events: list[tuple[int, str]]) -> list[dict[str, Any]]:
    """Return events that lasted as one each: their first row, and their last."""
    found: list[dict[str, Any]] = []
    open_: dict[str, dict[str, Any]] = {}
    for row, name in sorted(events):
        if name in open_ and open_[name]["last"] == row - 1:
            open_[name]["last"] = row
        else:
            open_[name] = {"row": row, "last": row, "name": name}
            found.append(open_[name])
    return found


def _line(name: str, unit: str, values: Any, low: float, high: float) -> dict[str, Any]:
    numbers = [float(f"{value:.5g}") for value in values]
    return {"name": name, "unit": unit, "low": low, "high": high, "values": numbers}


def _scan(sensor: dict[str, Any], values: Any) -> dict[str, Any]:
    """Return a range image's rows as unsigned 16-bit numbers of which `scale` metres are one."""
    scale = sensor["high"] / 65535
    packed = np.clip(np.round(values / scale), 0, 65535).astype("<u2")
    rings, columns = sensor["shape"]
    return {
        "name": sensor["name"], "rings": rings, "columns": columns, "range": sensor["high"],
        "scale": scale, "elevations": list(sensor["elevations"]) or [0.0] * rings,
        "place": list(sensor["place"]),
        "rows": base64.b64encode(packed.tobytes()).decode(),
    }  # fmt: skip
