"""The dataset manifest: for each episode its properties, its place, and its events.

`meta/wmsite/episodes.parquet` has one row for each episode: its split, behaviour, scenario,
condition (if the world has conditions), seed, its kind of end, and its range of the dataset's rows.
`events.parquet` has one row for each event. `recording.json` holds the spec, the modalities with
their columns and units, the files with their hashes, and in `seal` the hash of its own content.
Queries read these files and open no frame.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sims.contract import Spec
from sims.errors import UserError
from training import contained
from training.data.files import read
from training.data.lerobot import Writer, modalities, write_json, write_parquet

MANIFEST = "meta/wmsite"
FORMAT = 1
TOLD: dict[str, type[Any] | tuple[type[Any], ...]] = {
    "format": int, "world": str, "spec": dict, "frames": int, "episodes": int, "files": dict,
    "palette": (list, type(None)),
}  # fmt: skip
ROWS_AT_ONCE = 1024  # rows held as Python objects, before Arrow packs them
EVENTS = pa.schema(
    [
        ("event", pa.string()),
        ("episode_index", pa.int64()),
        ("frame_index", pa.int64()),
        ("index", pa.int64()),
    ]
)


class Book:
    """Collect rows of both tables, then `write` them."""

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
        """Add an episode: its properties, its events as (row, name), and its place."""
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

        `seed` and `data` come from the recipe, if there was one; `more` is written unchanged.
        """
        writer.finish({split: f"{first}:{stop}" for split, first, stop in self.splits})
        folder = writer.folder / MANIFEST
        folder.mkdir()
        self._pack()
        for name, parts in zip(("episodes", "events"), self.packed, strict=True):
            write_parquet(folder / f"{name}.parquet", pa.concat_tables(parts).combine_chunks())
        files = {
            path.relative_to(writer.folder).as_posix(): path
            for path in sorted(writer.folder.rglob("*"))
            if path.is_file()
        }
        recording = {
            "format": FORMAT,
            "world": self.spec.name,
            "spec": self.spec.to_json(),
            "modalities": modalities(self.spec),
            "seed": seed,
            "data": data,
            "frames": writer.frames,
            "episodes": self.count,
            "files": {n: p.stat().st_size for n, p in files.items() if n.startswith("data/")},
            "hashes": {name: hash_of(path) for name, path in files.items()},
        }
        recording |= more
        write_json(folder / "recording.json", recording | {"seal": seal(recording)})


def hash_of(path: Path) -> str:
    """Return the sha256 of a file's bytes as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(recording: Mapping[str, Any]) -> str:
    """Return the hash of the content of a recording.json, without this hash."""
    rest = {key: value for key, value in recording.items() if key != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def recording_of(folder: Path) -> dict[str, Any]:
    """Return the content of `recording.json`; UserError if it is unusable.

    Every reader of a dataset starts here: this checks that the dataset holds only plain files, and
    that its world has a name.
    """
    contained.files(folder, f"dataset '{folder}'")
    where = f"dataset '{folder}': {MANIFEST}/recording.json"
    again = f"Run: move {folder} away, then record it again"
    try:
        data = (folder / MANIFEST / "recording.json").read_bytes()
        told = json.loads(data)
    except OSError as error:
        name = f"{MANIFEST}/recording.json"
        raise UserError(
            f"dataset '{folder}': its meta can't be read; {name}: {error.strerror}. {again}"
        ) from error
    except (ValueError, RecursionError) as error:
        what = f"is damaged; {error}" if data.strip(b"\0 \t\r\n") else "is empty"
        raise UserError(f"{where}: {what}. {again}") from error
    if not isinstance(told, dict) or not told:
        raise UserError(f"{where}: holds nothing that wmsite writes. {again}")
    for key, kind in TOLD.items():
        if not isinstance(told.get(key, ...), kind):
            what = f"lacks '{key}'" if key not in told else f"'{key}' isn't what wmsite writes"
            raise UserError(f"{where}: {what}. {again}")
    if not contained.plain(told["world"]):
        raise UserError(f"{where}: its world has no name. {again}")
    recording: dict[str, Any] = told
    return recording


def read_events(folder: Path) -> dict[int, list[tuple[int, str]]]:
    """Return a dataset's events by episode, in the form for `Book.note`."""
    table = read(folder / MANIFEST / "events.parquet")
    episode, frame = (np.asarray(table[name]) for name in ("episode_index", "frame_index"))
    found: dict[int, list[tuple[int, str]]] = {}
    for name, index, row in zip(table["event"].to_pylist(), episode, frame, strict=True):
        found.setdefault(int(index), []).append((int(row), name))
    return found
