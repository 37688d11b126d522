"""Recorded datasets: ask the manifest, or load a split into arrays that training draws from."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sims.contract import Array, Spec
from sims.errors import UserError
from training.book import FORMAT, MANIFEST
from training.images import decode_png
from training.lerobot import DATA_PATH, VERSION
from training.palette import colour_codes, index_by_code

ROWS_AT_ONCE = 4096  # images decoded together; bounds the memory that decoding takes


@dataclass(frozen=True)
class Found:
    """What a query found: int64 `episodes`, and int64 `rows` of the whole dataset, in order.

    `rows` are those where the event happened; all rows of the episodes when none was asked for.
    """

    episodes: Array
    rows: Array


@dataclass(frozen=True)
class Arrays:
    """A part of a dataset in memory, T rows of E episodes one after the other.

    Row t holds frame t, the action [T, A] float32 and chance [T, C] float32 of the step taken
    on it, that step's reward float32 and end (`dones` bool), and the sensors at frame t. The last
    row of a terminated episode is the frame after its end. `episodes` int64 [E, 2] are first row
    and one past the last; `events` maps names to int64 rows whose step had the event.
    """

    frames: Array  # uint8 [T, cameras, H, W] palette indices, or [T, cameras, H, W, 3] RGB
    palette: Array  # uint8 [K, 3]; [0, 3] when `frames` is RGB
    actions: Array
    chances: Array
    rewards: Array
    dones: Array
    sensors: dict[str, Array]
    state: Array  # float32 [T, S]: all sensors, flattened
    state_range: Array  # float32 [2, S]: least and greatest in the whole dataset
    events: dict[str, Array]
    episodes: Array
    episode_index: Array  # int64 [T]
    frame_index: Array  # int64 [T]
    _windows: dict[int, Array] = field(default_factory=dict, repr=False)

    def windows(self, length: int) -> Array:
        """Return int64 first rows of all windows of `length` steps (`length` + 1 frames)."""
        if length not in self._windows:
            spans = [np.arange(a, b - length) for a, b in self.episodes if b - a > length]
            self._windows[length] = np.concatenate(spans) if spans else np.zeros(0, np.int64)
        return self._windows[length]

    def rgba(self, rows: Array) -> Array:
        """Return frames as the models take them, uint8 [*rows, cams, H, W, 4]."""
        opaque = np.full((len(self.palette), 1), 255, np.uint8)
        return np.concatenate([self.palette, opaque], 1)[self.frames[rows]]


class Dataset:
    """One recorded dataset; only `load` opens the files that hold frames."""

    def __init__(self, path: Path, recording: dict[str, Any], info: dict[str, Any]) -> None:
        self.path, self.recording, self.info = path, recording, info
        self.world: str = recording["world"]
        self.spec: dict[str, Any] = recording["spec"]
        folder = path / MANIFEST
        self.episodes = self._columns(folder / "episodes.parquet")
        self.events = self._columns(folder / "events.parquet")

    @classmethod
    def open(cls, path: Path, spec: Spec | None = None) -> Dataset:
        """Open a dataset folder; `spec` is the sim that it must have been recorded from.

        Raises UserError for what is missing, unreadable, of another format or another sim.
        """
        if not path.is_dir():
            raise UserError(f"dataset '{path}': there is none. Run: wmsite train to record it")
        try:
            recording = json.loads((path / MANIFEST / "recording.json").read_text())
            info = json.loads((path / "meta" / "info.json").read_text())
            if recording["format"] != FORMAT or info["codebase_version"] != VERSION:
                raise UserError(f"dataset '{path}': of another format. {_AGAIN}")
            dataset = cls(path, recording, info)
            if len(dataset.episodes["length"]) != recording["episodes"]:
                raise ValueError("the manifest doesn't list all episodes")
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise UserError(
                f"dataset '{path}': its meta can't be read; {error}. {_AGAIN}"
            ) from error
        if spec is not None and recording["spec"] != json.loads(json.dumps(spec.to_json())):
            raise UserError(
                f"dataset '{path}': recorded from another sim than world '{spec.name}' now is "
                f"(it was '{dataset.world}'). {_AGAIN}"
            )
        return dataset

    def query(
        self,
        split: str | None = None,
        behaviour: str | None = None,
        scenario: str | None = None,
        event: str | None = None,
    ) -> Found:
        """Find episodes and rows by what the manifest says; UserError for an unknown value."""
        table = self.episodes
        picked = np.ones(len(table["length"]), np.bool_)
        asked = {"split": split, "behaviour": behaviour, "scenario": scenario}
        known = {"split": list(self.info["splits"]), "event": self.spec["events"]}
        known |= {"behaviour": self.spec["behaviours"], "scenario": self.spec["scenarios"]}
        for key, value in (asked | {"event": event}).items():
            if value is not None and value not in known[key]:
                raise UserError(
                    f"dataset '{self.path}': no {key} '{value}'; it has {', '.join(known[key])}."
                )
        for key, value in asked.items():
            if value is not None:
                picked &= table[key] == value
        if event is None:
            spans = zip(
                table["dataset_from_index"][picked], table["dataset_to_index"][picked], strict=True
            )
            rows = [np.arange(a, b) for a, b in spans]
            return Found(
                table["episode_index"][picked],
                np.concatenate(rows) if rows else np.zeros(0, np.int64),
            )
        mine = (self.events["event"] == event) & picked[self.events["episode_index"]]
        rows_of = np.sort(self.events["index"][mine])
        return Found(np.unique(self.events["episode_index"][mine]), rows_of)

    def load(self, split: str | None = None, rgb: bool = False) -> Arrays:
        """Load a split (None: all). Frames are palette indices, or RGB if asked.

        Frames are decoded once and kept beside the data, mapped into memory from then on.
        Raises UserError for missing, truncated or damaged files, and for a world of more than
        256 colours unless `rgb`.
        """
        palette = self.recording["palette"]
        if palette is None and not rgb:
            raise UserError(
                f"dataset '{self.path}': its frames show more than 256 colours, and this model "
                "family reads at most 256. Use fewer colours in the sim, or another family."
            )
        self._check_files()
        found = self.query(split=split)
        table = {name: column[found.episodes] for name, column in self.episodes.items()}
        stops = np.cumsum(table["length"])
        starts = stops - table["length"]
        columns = self._read_columns(found)
        names = [sensor["name"] for sensor in self.spec["sensors"]]
        count = len(found.rows)
        if names:
            stats = json.loads((self.path / "meta" / "stats.json").read_text())
            span = [np.ravel(stats["observation.state"][key]) for key in ("min", "max")]
        else:
            span = [np.zeros(0), np.zeros(0)]
        place = np.searchsorted(found.rows, self.events["index"])
        inside = place < count
        inside[inside] = found.rows[place[inside]] == self.events["index"][inside]
        return Arrays(
            frames=self._frames(split, rgb, found, table),
            palette=np.array([] if rgb else palette, np.uint8).reshape(-1, 3),
            actions=columns["action"].reshape(count, -1),
            chances=columns["chance"].reshape(count, len(self.spec["chance"])),
            rewards=columns["next.reward"],
            dones=columns["next.done"],
            sensors={name: columns[f"observation.{name}"] for name in names},
            state=columns["observation.state"].reshape(count, len(span[0])),
            state_range=np.array(span, np.float32),
            events={
                name: np.sort(place[inside & (self.events["event"] == name)])
                for name in self.spec["events"]
            },
            episodes=np.stack([starts, stops], axis=1),
            episode_index=columns["episode_index"],
            frame_index=columns["frame_index"],
        )

    def _check_files(self) -> None:
        for name, size in self.recording["files"].items():
            path = self.path / name
            if not path.exists():
                raise UserError(f"dataset '{self.path}': {name} is missing. {_AGAIN}")
            if path.stat().st_size != size:
                raise UserError(
                    f"dataset '{self.path}': {name} has {path.stat().st_size} bytes, "
                    f"not {size}: truncated or changed. {_AGAIN}"
                )

    def _columns(self, path: Path) -> dict[str, Array]:
        table = pq.read_table(path)
        return {name: _numpy(table.column(name)) for name in table.column_names}

    def _groups(self, found: Found) -> dict[Path, list[int]]:
        """Return, by data file, the row groups (one an episode) that hold the found episodes."""
        table = self.episodes
        files = table["data/chunk_index"] * self.info["chunks_size"] + table["data/file_index"]
        first = np.searchsorted(files, files)  # the first episode in each episode's file
        out: dict[Path, list[int]] = {}
        for episode in found.episodes:
            name = DATA_PATH.format(
                chunk_index=table["data/chunk_index"][episode],
                file_index=table["data/file_index"][episode],
            )
            out.setdefault(self.path / name, []).append(int(episode - first[episode]))
        return out

    def _read_columns(self, found: Found) -> dict[str, Array]:
        """Read all columns but the images; those that the sim lacks are empty."""
        features = self.info["features"]
        names = [name for name in features if features[name]["dtype"] != "image"]
        parts = []
        for path, groups in self._groups(found).items():
            try:
                parts.append(pq.ParquetFile(path).read_row_groups(groups, columns=names))
            except (OSError, pa.ArrowException) as error:
                raise UserError(f"dataset '{path}': damaged; {error}. {_AGAIN}") from error
        empty = np.zeros((len(found.rows), 0), np.float32)
        columns: dict[str, Array] = {"chance": empty, "observation.state": empty}
        table = pa.concat_tables(parts) if parts else None
        for name in names:
            shape = features[name]["shape"]
            values: Array = _numpy(table.column(name)) if table is not None else np.zeros(0)
            columns[name] = values.reshape(len(found.rows), *(shape if shape != [1] else []))
        return columns

    def _frames(self, split: str | None, rgb: bool, found: Found, table: dict[str, Array]) -> Array:
        """Map the decoded frames of a split, decoding them first if that wasn't done before."""
        camera = self.spec["cameras"][0]
        shape: tuple[int, ...] = (
            len(found.rows), len(self.spec["cameras"]), camera["height"], camera["width"]
        )  # fmt: skip
        if rgb:
            shape = (*shape, 3)
        kept = self.path / "decoded" / f"{split or 'all'}.{'rgb' if rgb else 'index'}.npy"
        if kept.exists():
            frames: Array = np.load(kept, mmap_mode="r")
            if frames.shape == shape:
                return frames
        kept.parent.mkdir(exist_ok=True)
        aside = kept.with_suffix(f".{os.getpid()}")
        try:
            out = np.lib.format.open_memmap(aside, "w+", np.uint8, shape)
            self._decode(found, table, out, rgb)
            out.flush()
            aside.replace(kept)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise UserError(f"dataset '{self.path}': can't decode; {error}. {_AGAIN}") from error
        finally:
            aside.unlink(missing_ok=True)
        return np.load(kept, mmap_mode="r")  # type: ignore[no-any-return]

    def _decode(self, found: Found, table: dict[str, Array], out: Array, rgb: bool) -> None:
        height, width = out.shape[2:4]
        palette = [] if rgb else self.recording["palette"]
        lookup = index_by_code(np.array(palette, np.uint8).reshape(-1, 3))
        names = [f"observation.images.{camera['name']}" for camera in self.spec["cameras"]]
        lengths = iter(table["length"].tolist())
        jobs: list[tuple[Path, list[int], int]] = []
        row = 0
        for path, groups in self._groups(found).items():
            batch: list[int] = []
            first = row
            for group in groups:
                batch.append(group)
                row += next(lengths)
                if row - first >= ROWS_AT_ONCE:
                    jobs.append((path, batch, first))
                    batch, first = [], row
            if batch:
                jobs.append((path, batch, first))

        def decode(job: tuple[Path, list[int], int]) -> None:
            path, groups, start = job
            columns = pq.ParquetFile(path).read_row_groups(groups, columns=names)
            for i, name in enumerate(names):
                images = pc.struct_field(columns.column(name), "bytes").to_pylist()
                for at in range(0, len(images), 32):  # few, so that they stay in the CPU's cache
                    frames = decode_png(images[at : at + 32], height, width)
                    values = frames if rgb else lookup[colour_codes(frames)]
                    out[start + at : start + at + len(values), i] = values

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(decode, jobs):
                pass


_AGAIN = "Delete that folder, then run: wmsite train to record it again"


def _numpy(column: Any) -> Array:
    """Turn an Arrow column into a NumPy array, lists into one flat array."""
    array = column.combine_chunks()
    while pa.types.is_list(array.type) or pa.types.is_fixed_size_list(array.type):
        array = array.flatten()
    if pa.types.is_string(array.type):
        return np.array(array.to_pylist(), np.object_)
    values: Array = array.to_numpy(zero_copy_only=False)
    return values
