"""Describe recorded columns as LeRobotDataset v3.0 does: for each episode, and overall.

Names and meaning follow the format's own (huggingface/lerobot: datasets/compute_stats.py). A sensor
of many numbers, such as a range image, gets one figure as a whole that broadcasts over all of it,
as images do: with a figure for each number, the statistics would be larger than the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sims.contract import Array, Spec

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
MOST_CELLS = 64  # most numbers of a column that get figures of their own

Statistics = dict[str, dict[str, Any]]


def of_columns(columns: Mapping[str, Array], table: Mapping[str, Mapping[str, Any]]) -> Statistics:
    """Describe one episode's numeric columns [T, ...]; `table` is the format's feature table.

    The small columns are sorted in one matrix, because sorting is expensive.
    """
    names = [name for name in table if name in columns]
    wide = [name for name in names if np.prod(table[name]["shape"]) > MOST_CELLS]
    small = [name for name in names if name not in wide]
    flat = [columns[name].reshape(len(columns[name]), -1) for name in small]
    matrix = np.sort(np.concatenate(flat, axis=1, dtype=np.float64, casting="unsafe"), axis=0)
    rows = _describe(matrix)
    found: Statistics = {}
    start = 0
    for name, part in zip(small, flat, strict=True):
        stop = start + part.shape[1]
        shape = table[name]["shape"]
        found[name] = {k: row[start:stop].reshape(shape).tolist() for k, row in rows.items()}
        found[name]["count"] = [len(matrix)]
        start = stop
    for name in wide:
        values = np.sort(columns[name], axis=None).reshape(-1, 1)
        shape = [1] * len(table[name]["shape"])
        found[name] = {k: row.reshape(shape).tolist() for k, row in _describe(values).items()}
        found[name]["count"] = [len(columns[name])]
    return {name: found[name] for name in names}


def _describe(ordered: Array) -> dict[str, Array]:
    """Return the figures of each column of a matrix whose columns are sorted."""
    rows: dict[str, Array] = {
        "min": ordered[0].astype(np.float64),
        "max": ordered[-1].astype(np.float64),
        "mean": ordered.mean(axis=0, dtype=np.float64),
        "std": ordered.std(axis=0, dtype=np.float64),
    }
    for name, share in QUANTILES.items():
        place = share * (len(ordered) - 1)
        low = ordered[int(place)].astype(np.float64)
        high = ordered[min(int(place) + 1, len(ordered) - 1)]
        rows[name] = low + (high - low) * (place - int(place))
    return rows


def of_images(shades: Array, spec: Spec) -> Statistics:
    """Describe one episode's images by their channels' histograms, in 0..1.

    shades: int64 [cameras, 3, 256], the count of each value.
    """
    found: Statistics = {}
    values = np.arange(256) / 255
    for camera, counts in zip(spec.cameras, shades, strict=True):
        total = counts.sum(axis=1)
        mean = counts @ values / total
        running = np.cumsum(counts, axis=1)
        rows = {
            "min": values[(counts > 0).argmax(axis=1)],
            "max": values[255 - (counts[:, ::-1] > 0).argmax(axis=1)],
            "mean": mean,
            "std": np.sqrt((counts * (values - mean[:, None]) ** 2).sum(axis=1) / total),
        }
        for name, share in QUANTILES.items():
            rows[name] = values[(running >= share * total[:, None]).argmax(axis=1)]
        stats: dict[str, Any] = {k: row.reshape(3, 1, 1).tolist() for k, row in rows.items()}
        stats["count"] = [int(total[0]) // (camera.height * camera.width)]
        found[f"observation.images.{camera.name}"] = stats
    return found


class Overall:
    """The statistics of all episodes, combined one by one, so that memory does not grow."""

    def __init__(self) -> None:
        self.count: dict[str, int] = {}
        self.parts: dict[str, dict[str, Array]] = {}

    def add(self, episode: Mapping[str, Mapping[str, Any]]) -> None:
        """Add one episode's statistics; quantiles are averaged, as the format does."""
        for name, told in episode.items():
            more = int(told["count"][0])
            new = {key: np.array(told[key]) for key in ("min", "max", "mean", *QUANTILES)}
            new["squares"] = more * np.array(told["std"]) ** 2
            had = self.count.get(name, 0)
            self.count[name] = had + more
            if not had:
                self.parts[name] = new
                continue
            known, share = self.parts[name], more / (had + more)
            apart = new["mean"] - known["mean"]
            known["min"] = np.minimum(known["min"], new["min"])
            known["max"] = np.maximum(known["max"], new["max"])
            known["squares"] = known["squares"] + new["squares"] + apart**2 * had * share
            for key in ("mean", *QUANTILES):
                known[key] = known[key] + (new[key] - known[key]) * share

    def to_json(self, names: list[str]) -> Statistics:
        """Return the statistics of these features, in the form of `meta/stats.json`."""
        found: Statistics = {}
        for name in names:
            part, count = self.parts[name], self.count[name]
            rows = {key: part[key] for key in ("min", "max", "mean")}
            rows |= {"std": np.sqrt(part["squares"] / count)}
            rows |= {key: part[key] for key in QUANTILES}
            found[name] = {key: row.tolist() for key, row in rows.items()} | {"count": [count]}
        return found
