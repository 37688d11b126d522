"""The manifest of a dataset: what each episode is, where it lies, and what happened in it.

`meta/wmsite/episodes.parquet` has a row an episode: its split, behaviour, scenario, condition
(where the world has some), seed, how it ended, and its window of the dataset's rows.
`events.parquet` has a row an event. `recording.json` tells the spec, the modalities with their
columns and units, and the files. All of it is asked without opening a frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sims.contract import Spec
from training.lerobot import Writer, modalities, write_json, write_parquet
from training.reading import read

MANIFEST = "meta/wmsite"
FORMAT = 1
ROWS_AT_ONCE = 1024  # rows held as Python's own objects, before Arrow packs them
EVENTS = pa.schema(
    [
        ("event", pa.string()),
        ("episode_index", pa.int64()),
        ("frame_index", pa.int64()),
        ("index", pa.int64()),
    ]
)


class Book:
    """Rows of both tables as they come, then `write` them."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.episodes: list[dict[str, Any]] = []
        self.events: dict[str, list[Any]] = {name: [] for name in EVENTS.names}
        self.packed: tuple[list[pa.Table], list[pa.Table]] = ([], [])
        self.splits: list[tuple[str, int, int]] = []
        self.count = 0

    def note(
        self,
        told: Mapping[str, Any],
        events: list[tuple[int, str]],
        place: Mapping[str, int],
    ) -> None:
        """Add an episode: what is told of it, its events as (row, name), and where it lies."""
        first = place["dataset_from_index"]
        length = place["dataset_to_index"] - first
        row = {"episode_index": self.count, "split": told["split"], "behaviour": told["behaviour"]}
        row |= {"scenario": told["scenario"]}
        if self.spec.conditions:
            row["condition"] = told["condition"]
        row |= {"seed": told["seed"], "ended": told["ended"], "length": length}
        self.episodes.append(row | dict(place))
        for frame, event in events:
            values = (event, self.count, frame, first + frame)
            for key, value in zip(self.events, values, strict=True):
                self.events[key].append(value)
        if self.splits and self.splits[-1][0] == told["split"]:
            self.splits[-1] = (*self.splits[-1][:2], self.count + 1)
        else:
            self.splits.append((told["split"], self.count, self.count + 1))
        self.count += 1
        if max(len(self.episodes), len(self.events["index"])) >= ROWS_AT_ONCE:
            self._pack()

    def _pack(self) -> None:
        if self.episodes:
            self.packed[0].append(pa.Table.from_pylist(self.episodes))
            self.episodes = []
        self.packed[1].append(pa.table(self.events, EVENTS))
        self.events = {name: [] for name in EVENTS.names}

    def finish(self, writer: Writer, seed: int | None, data: Any, **more: Any) -> None:
        """Finish the writer's files, and write the manifest beside them.

        `seed` and `data` are those of the recipe, if there was one; `more` is told as it is.
        """
        writer.finish({split: f"{first}:{stop}" for split, first, stop in self.splits})
        folder = writer.folder / MANIFEST
        folder.mkdir()
        self._pack()
        for name, parts in zip(("episodes", "events"), self.packed, strict=True):
            write_parquet(folder / f"{name}.parquet", pa.concat_tables(parts).combine_chunks())
        files = sorted(path for path in writer.folder.glob("data/*/*.parquet"))
        recording = {
            "format": FORMAT,
            "world": self.spec.name,
            "spec": self.spec.to_json(),
            "modalities": modalities(self.spec),
            "seed": seed,
            "data": data,
            "frames": writer.frames,
            "episodes": self.count,
            "files": {str(path.relative_to(writer.folder)): path.stat().st_size for path in files},
        }
        write_json(folder / "recording.json", recording | more)


def read_events(folder: Path) -> dict[int, list[tuple[int, str]]]:
    """Return a dataset's events by episode, as `Book.note` takes them."""
    table = read(folder / MANIFEST / "events.parquet")
    episode, frame = (np.asarray(table[name]) for name in ("episode_index", "frame_index"))
    found: dict[int, list[tuple[int, str]]] = {}
    for name, index, row in zip(table["event"].to_pylist(), episode, frame, strict=True):
        found.setdefault(int(index), []).append((int(row), name))
    return found
