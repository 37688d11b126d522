"""`wmsite data card`: what a dataset holds, small enough to commit, for the page of its world.

`card.json` has the counts, the distributions, and a list of sample windows. What a sample plays
is in files of its own: `sample-N.json` has its numbers at `rate` frames a second (`lines` of
sensors and controls, `paths`, and `scans` as base64 of a byte a point, 255 the whole range), and
`sample-N.webp` its frames: a row a frame, its cameras side by side.
"""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from builder import cache
from builder.commands.data import size_of, warn_of
from builder.project import Project
from builder.terminal import Terminal, size
from sims.contract import Array

if TYPE_CHECKING:
    from training.dataset import Dataset
    from training.windows import Window

FORMAT = 1
BINS = 32
SAMPLES = 4
SECONDS = 8  # most of a sample
A_SECOND = 5  # frames of a sample
QUALITY = 72  # of the strips, WebP's 0 to 100
COUNTED = ("split", "scenario", "condition", "behaviour", "ended")


def run(root: Path, folder: Path, terminal: Terminal, out: Path | None, skip_bad: bool) -> None:
    """Write the card of a dataset, in place of the one that was there."""
    from training.dataset import Dataset

    dataset = Dataset.open(folder, skip_bad=skip_bad)
    out = out or Project.open(root).root / "data-cards" / dataset.world
    told, files = card(dataset)
    warn_of(dataset, terminal)
    for old in out.glob("sample-*.*"):
        old.unlink()
    for name, data in files.items():
        cache.write(out / name, data)
    cache.write(out / "card.json", _json(told))
    terminal.say(f"card {out}: {len(told['samples'])} samples, {size(size_of(out))}")


def _json(told: dict[str, Any]) -> str:
    return json.dumps(told, separators=(",", ":"), allow_nan=False) + "\n"


def card(dataset: Dataset) -> tuple[dict[str, Any], dict[str, bytes | str]]:
    """Return what card.json tells, and the samples' files by name."""
    found, layouts = dataset.sound(None)
    table = {name: column[found.episodes] for name, column in dataset.episodes.items()}
    steps = int(table["length"].sum())
    told: dict[str, Any] = {
        "format": FORMAT,
        "world": dataset.world,
        "dataset": dataset.path.name,
        "rate": dataset.info["fps"],
        "steps": steps,
        "episodes": len(found.episodes),
        "seconds": round(steps / dataset.info["fps"], 1),
        "bytes": size_of(dataset.path / "data"),
        "modalities": dataset.recording.get("modalities", []),
        "counts": {name: _counts(table, name) for name in COUNTED if name in table},
        "by": _cross(table),
        "events": _events(dataset),
        "histograms": _histograms(dataset, found, layouts, table),
    }
    samples, files = _samples(dataset)
    return told | {"samples": samples}, files


def _counts(table: dict[str, Array], name: str) -> list[dict[str, Any]]:
    return [
        {
            "name": value,
            "episodes": int((table[name] == value).sum()),
            "steps": int(table["length"][table[name] == value].sum()),
        }
        for value in sorted(set(table[name]))
    ]


def _cross(table: dict[str, Array]) -> dict[str, Any]:
    """Count steps by scenario and behaviour: a row a scenario."""
    scenarios, behaviours = (sorted(set(table[name])) for name in ("scenario", "behaviour"))
    rows = [
        [
            int(table["length"][(table["scenario"] == s) & (table["behaviour"] == b)].sum())
            for b in behaviours
        ]
        for s in scenarios
    ]
    return {"scenarios": scenarios, "behaviours": behaviours, "steps": rows}


def _events(dataset: Dataset) -> list[dict[str, Any]]:
    names, episodes = dataset.events["event"], dataset.events["episode_index"]
    return [
        {
            "name": name,
            "count": int((names == name).sum()),
            "episodes": len(set(episodes[names == name].tolist())),
        }
        for name in dataset.spec["events"]
    ]


def _histograms(
    dataset: Dataset, found: Any, layouts: Any, table: dict[str, Array]
) -> list[dict[str, Any]]:
    """Count how often each sensor of one number, and each axis, had which value."""
    import pyarrow.parquet as pq

    from training.reading import to_arrays

    spec, features = dataset.spec, dataset.info["features"]
    sensors = [
        (s["name"], s["unit"], f"observation.{s['name']}", 0)
        for s in spec["sensors"]
        if s["shape"] == [1] and f"observation.{s['name']}" in dataset.expected
    ]
    axes = [(a["name"], a["unit"], "action", i) for i, a in enumerate(spec["axes"])]
    wanted = [*sensors, *axes]
    columns = sorted({column for _, _, column, _ in wanted})
    if not columns:
        return []
    stats = json.loads((dataset.path / "meta" / "stats.json").read_text())
    behaviours = sorted(set(table["behaviour"]))
    edges, counts = {}, {}
    for name, _, column, place in wanted:
        low, high = (float(np.ravel(stats[column][end])[place]) for end in ("min", "max"))
        edges[name] = np.linspace(low, high if high > low else low + 1, BINS + 1)
        counts[name] = np.zeros((len(behaviours), BINS), np.int64)
    who = np.repeat(np.searchsorted(behaviours, table["behaviour"].astype(str)), table["length"])
    at = 0
    for path, groups in dataset.groups(found, layouts).items():
        rows = pq.ParquetFile(path).read_row_groups(groups, columns=columns)
        values = to_arrays(rows, features, columns)
        mine = who[at : at + len(rows)]
        at += len(rows)
        for name, _, column, place in wanted:
            numbers = values[column].reshape(len(rows), -1)[:, place]
            bins = np.clip(np.searchsorted(edges[name], numbers, "right") - 1, 0, BINS - 1)
            np.add.at(counts[name], (mine, bins), 1)
    return [
        {
            "name": name,
            "unit": unit,
            "kind": "control" if column == "action" else "sensor",
            "edges": [float(f"{edge:.6g}") for edge in edges[name]],
            "counts": counts[name].sum(axis=0).tolist(),
            "behaviours": dict(zip(behaviours, counts[name].tolist(), strict=True)),
        }
        for name, unit, column, _ in wanted
    ]


def _samples(dataset: Dataset) -> tuple[list[dict[str, Any]], dict[str, bytes | str]]:
    """Choose a few episodes of different scenarios and behaviours, and show a window of each."""
    from training import windows

    table = dataset.episodes
    scenarios = sorted(set(table["scenario"][~dataset.bad]))
    chosen = [scenarios[i * len(scenarios) // SAMPLES] for i in range(SAMPLES)]
    samples: list[dict[str, Any]] = []
    files: dict[str, bytes | str] = {}
    rate = dataset.info["fps"]
    stride = max(1, round(rate / A_SECOND))
    for number, scenario in enumerate(dict.fromkeys(chosen)):
        mine = np.flatnonzero((table["scenario"] == scenario) & ~dataset.bad)
        behaviours = sorted(set(table["behaviour"][mine]))
        behaviour = behaviours[number % len(behaviours)]
        some = mine[table["behaviour"][mine] == behaviour]
        episode = int(some[np.argmax(table["length"][some])])
        happened = dataset.events["frame_index"][dataset.events["episode_index"] == episode]
        length, count = int(table["length"][episode]), int(SECONDS * rate)
        # What happens first is in the middle of it.
        middle = int(happened.min()) if len(happened) else 0
        first = max(0, min(middle - count // 2, length - count))
        window = windows.read(dataset, episode, first, count)
        name = f"sample-{number + 1}"
        told = _sample(dataset, window, stride) | {"strip": f"{name}.webp"}
        files[f"{name}.webp"] = _strip(dataset, window, told, stride)
        files[f"{name}.json"] = _json(told)
        about = {key: value for key, value in told.items() if not isinstance(value, list)}
        samples.append(about | {"file": f"{name}.json", "cameras": told["cameras"]})
    return samples, files


def _sample(dataset: Dataset, window: Window, stride: int) -> dict[str, Any]:
    from builder.commands.data_window import payload

    told, about = payload(dataset, window), window.about
    names = ("scenario", "condition", "behaviour", "seed", "ended", "episode_index")
    scans = []
    for sensor in dataset.spec["sensors"]:
        values = window.columns.get(f"observation.{sensor['name']}")
        if sensor.get("show") == "scan" and values is not None:
            # A byte a point: of which 255 are the sensor's whole range.
            scaled = np.ceil(np.clip(values[::stride] / sensor["high"], 0, 1) * 255)
            data = base64.b64encode(scaled.astype(np.uint8).tobytes()).decode()
            scans.append({"name": sensor["name"], "shape": sensor["shape"], "rows": data,
                          "scale": sensor["high"] / 255, "place": sensor["place"],
                          "elevations": sensor["elevations"]})  # fmt: skip
    return {
        **{name: about[name] for name in names if name in about},
        "start": round(window.first / told["rate"], 3),
        "rate": told["rate"] / stride,
        "frames": len(range(0, told["count"], stride)),
        "cameras": [
            {"name": c["name"], "width": c["width"], "height": c["height"]} for c in told["cameras"]
        ],
        "lines": [line | {"values": line["values"][::stride]} for line in told["lines"]],
        "paths": [path | {"points": path["points"][::stride]} for path in told["paths"]],
        "scans": scans,
        "pressed": told["pressed"][::stride],
        "events": [
            {"frame": e["row"] // stride, "last": e["last"] // stride, "name": e["name"]}
            for e in told["events"]
        ],
    }


def _strip(dataset: Dataset, window: Window, told: dict[str, Any], stride: int) -> bytes:
    from PIL import Image

    from training.images import decode_png

    camera = dataset.spec["cameras"][0]
    size = (camera["height"], camera["width"])
    images = [window.images[camera["name"]] for camera in told["cameras"]]
    views = [decode_png(some[::stride], *size) for some in images]
    rows = np.concatenate(views, axis=2)  # [frames, H, cameras W, 3]
    out = io.BytesIO()
    exact = dataset.recording["palette"] is not None  # Pixel art is small as it is.
    Image.fromarray(np.concatenate(list(rows))).save(
        out, "WEBP", quality=QUALITY, lossless=exact, method=6
    )
    return out.getvalue()
