"""The sample windows and the stills of a dataset card.

A sample window plays in the page: `sample-<n>.json` has its numbers, and `sample-<n>.webp` its
frames as one strip, one row for each frame, with the cameras side by side from left to right.
`poster-<n>.webp` is the picture before the reader presses Play. A still is one row of the dataset,
exact to the pixel.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from builder.commands.data_window import payload
from sims.contract import Array

if TYPE_CHECKING:
    from training.data.dataset import Dataset
    from training.data.windows import Window

SAMPLES = 4
SECONDS = 6  # the longest sample window
A_SECOND = 10  # frames of a sample window
QUALITY = 55  # WebP quality of the strips, 0 to 100
LOOKED_AT = 8  # episodes among which a still is chosen
TOLD = ("scenario", "condition", "behaviour", "seed", "ended", "episode_index")


def choose(dataset: Dataset) -> list[tuple[int, int]]:
    """Choose a few episodes that differ as much as possible, and the first row of each window.

    Their scenarios are spread evenly over the world's. Episodes with events are preferred; the
    first event is then in the middle of the window.
    """
    table, rate = dataset.episodes, dataset.info["fps"]
    count = int(SECONDS * rate)
    columns = [table[n] for n in ("condition", "behaviour") if n in table]
    had: list[set[str]] = [set() for _ in columns]
    there = set(table["scenario"][~dataset.bad])
    scenarios = [name for name in dataset.spec["scenarios"] if name in there]
    left = [int(e) for e in np.flatnonzero(~dataset.bad)]
    happened = dict.fromkeys(left, -1)
    events = zip(dataset.events["episode_index"], dataset.events["frame_index"], strict=True)
    for e, row in sorted((int(e), int(row)) for e, row in events):
        if happened.get(e) == -1:
            happened[e] = row
    found: list[tuple[int, int]] = []
    for number in range(min(SAMPLES, len(left))):
        wanted = scenarios[(2 * number + 1) * len(scenarios) // (2 * SAMPLES)]

        def worth(e: int, wanted: str = wanted) -> tuple[bool, int, bool, bool]:
            new = [str(c[e]) not in known for c, known in zip(columns, had, strict=True)]
            whole = int(table["length"][e]) >= count
            return table["scenario"][e] == wanted, sum(new), whole, happened[e] >= 0

        best = max(left, key=worth)
        left.remove(best)
        for column, known in zip(columns, had, strict=True):
            known.add(str(column[best]))
        last = int(table["length"][best]) - count
        found.append((best, max(0, min(happened[best] - count // 2, last))))
    return found


def sample(dataset: Dataset, episode: int, first: int) -> tuple[dict[str, Any], bytes, bytes]:
    """Return the numbers, the strip and the poster of a sample window."""
    from training.data import windows

    rate = dataset.info["fps"]
    stride = max(1, round(rate / A_SECOND))
    window = windows.read(dataset, episode, first, int(SECONDS * rate))
    told = payload(dataset, window)
    events = [
        {"frame": e["row"] // stride, "last": e["last"] // stride, "name": e["name"]}
        for e in told["events"]
    ]
    spec = {name: dataset.spec[name] for name in ("cameras", "sensors", "axes", "actions")}
    rows = range(0, told["count"], stride)
    about = {name: window.about[name] for name in TOLD if name in window.about}
    about |= {"start": round(first / rate, 3), "rate": rate / stride, "frames": len(rows)}
    numbers = {
        "about": about,
        "spec": spec,
        # From left to right, as they are in the strip.
        "cameras": [
            camera["name"] for camera in sorted(told["spec"]["cameras"], key=lambda c: -c["yaw"])
        ],
        "lines": {line["name"]: line["values"][::stride] for line in told["lines"]},
        "pressed": told["pressed"][::stride],
        "events": events,
        **_shapes(dataset, window, slice(None, None, stride)),
    }
    views = _views(dataset, window, slice(None, None, stride))
    exact = dataset.recording["palette"] is not None  # Pixel art is small without scaling.
    poster = _webp(views[len(views) // 2], exact)
    return numbers, _webp(np.concatenate(list(views)), exact), poster


def stills(dataset: Dataset) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Yield one row of each condition, or of all: that with the most detail (the largest PNGs)."""
    from training.data import windows

    table = dataset.episodes
    first = dataset.spec["behaviours"][0]
    for condition in dataset.spec["conditions"] or [None]:
        good = ~dataset.bad
        if condition is not None:
            good = good & (table["condition"] == condition)
        preferred = good & (table["behaviour"] == first)
        some = np.flatnonzero(preferred if preferred.any() else good)[:LOOKED_AT]
        best: tuple[int, int, Window] | None = None
        for episode in some.tolist():
            window = windows.read(dataset, episode)
            sizes = np.sum([[*map(len, data)] for data in window.images.values()], axis=0)
            row = int(np.argmax(sizes))
            if best is None or sizes[row] > best[0]:
                best = (int(sizes[row]), row, window)
        if best is None:
            continue
        _, row, window = best
        one = slice(row, row + 1)
        told = {name: window.about[name] for name in TOLD if name in window.about}
        told |= {"row": row, **_shapes(dataset, window, one)}
        yield told, _webp(_views(dataset, window, one)[0], exact=True)


def _shapes(dataset: Dataset, window: Window, rows: slice) -> dict[str, Any]:
    """Return sensors of several numbers: points ahead in cm, ranges as a byte each (base64)."""
    paths, scans, others = {}, {}, {}
    for sensor in dataset.spec["sensors"]:
        values = window.columns.get(f"observation.{sensor['name']}")
        if values is None:
            continue
        if sensor["show"] == "path":
            cm = np.round(values[rows].reshape(len(values[rows]), -1) * 100)
            paths[sensor["name"]] = cm.astype(int).tolist()
        elif sensor["show"] == "scan":
            # 255 is the sensor's whole range; a return is never 0.
            bytes_ = np.ceil(np.clip(values[rows] / sensor["high"], 0, 1) * 255).astype(np.uint8)
            scans[sensor["name"]] = base64.b64encode(bytes_.tobytes()).decode()
        elif sensor["show"] and values[0].size > 1:
            flat = values[rows].reshape(len(values[rows]), -1).astype(float)
            others[sensor["name"]] = np.round(flat, 2).tolist()
    return {"paths": paths, "scans": scans, **({"values": others} if others else {})}


def _views(dataset: Dataset, window: Window, rows: slice) -> Array:
    """Return the cameras from left to right: uint8 [rows, H, all W, 3]; below low ones is black."""
    from training.data.images import decode_png

    cameras = sorted(dataset.spec["cameras"], key=lambda c: -c["yaw"])
    views = [
        decode_png(window.images[c["name"]][rows], c["height"], c["width"])
        for c in cameras
        if c["name"] in window.images
    ]
    tall = max(c["height"] for c in cameras)
    views = [np.pad(v, ((0, 0), (0, tall - v.shape[1]), (0, 0), (0, 0))) for v in views]
    return np.concatenate(views, axis=2)


def _webp(picture: Array, exact: bool) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(picture).save(out, "WEBP", quality=QUALITY, lossless=exact, method=6)
    return out.getvalue()
