"""Recorded datasets: ask the manifest, or load a split into arrays that training draws from.

What is wrong with one is refused by name (see `training.verify`); opened with `skip_bad`, it is
used without the episodes that are spoilt, and without a sensor or camera that no file has.
"""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sims.contract import Array, Spec
from sims.errors import UserError
from training import verify
from training.book import FORMAT, MANIFEST
from training.images import decode_png
from training.lerobot import VERSION
from training.palette import colour_codes, index_by_code
from training.reading import DAMAGE, Layout, pngs, read, to_arrays, to_numpy
from training.verify import Fault, file_of

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
    state: Array  # float32 [T, S]: all sensors of at most one dimension, flattened
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

    def __init__(
        self, path: Path, recording: dict[str, Any], info: dict[str, Any], skip_bad: bool = False
    ) -> None:
        self.path, self.recording, self.info = path, recording, info
        self.skip_bad = skip_bad
        self.world: str = recording["world"]
        self.spec: dict[str, Any] = recording["spec"]
        folder = path / MANIFEST
        self.episodes, self.events = (
            {name: to_numpy(table.column(name)) for name in table.column_names}
            for table in (read(folder / f"{n}.parquet") for n in ("episodes", "events"))
        )
        self.faults: list[Fault] = []
        self.bad = np.zeros(len(self.episodes["length"]), np.bool_)
        self.expected = list(info["features"])

    @classmethod
    def open(cls, path: Path, spec: Spec | None = None, skip_bad: bool = False) -> Dataset:
        """Open a dataset folder; `spec` is the sim that it must have been recorded from.

        Raises UserError for what is missing, unreadable, of another format or another sim, and
        for a manifest that can't be true; with `skip_bad` the episodes that it is right about are
        used, and `faults` tells of the others.
        """
        if not path.is_dir():
            raise UserError(f"dataset '{path}': there is none. Run: wmsite data record, to make it")
        try:
            recording = json.loads((path / MANIFEST / "recording.json").read_text())
            info = json.loads((path / "meta" / "info.json").read_text())
            if recording["format"] != FORMAT or info["codebase_version"] != VERSION:
                raise UserError(f"dataset '{path}': of another format. {_again(path)}")
            dataset = cls(path, recording, info, skip_bad)
            if spec is not None:
                now = json.loads(json.dumps(spec.to_json()))
                if differs := verify.of_spec(recording["spec"], now):
                    raise UserError(
                        f"dataset '{path}': recorded from another sim than world '{spec.name}' "
                        f"now is (it was '{dataset.world}'): {differs}. {_again(path)}"
                    )
            dataset.refuse(verify.of_manifest(dataset))
        except DAMAGE as error:
            raise UserError(
                f"dataset '{path}': its meta can't be read; {error}. {_again(path)}"
            ) from error
        return dataset

    @property
    def everything(self) -> tuple[int, ...]:
        """The numbers of all episodes."""
        return tuple(range(len(self.episodes["length"])))

    def refuse(self, faults: list[Fault]) -> None:
        """Raise UserError for what is wrong, or leave out what that spoils."""
        if faults and not self.skip_bad:
            more = f"; and {len(faults) - 1} more" if len(faults) > 1 else ""
            raise UserError(f"dataset '{self.path}': {faults[0]}{more}. {_again(self.path)}")
        self.faults += faults
        for fault in faults:
            self.bad[list(fault.episodes)] = True
            if fault.column in self.expected:
                self.expected.remove(fault.column)
        if faults:
            events, count = self.events, len(self.bad)
            inside = (events["episode_index"] >= 0) & (events["episode_index"] < count)
            inside[inside] = ~self.bad[events["episode_index"][inside]]
            self.events = {name: column[inside] for name, column in events.items()}

    def query(
        self,
        split: str | None = None,
        behaviour: str | None = None,
        scenario: str | None = None,
        event: str | None = None,
        condition: str | None = None,
        least: int = 0,
        most: int | None = None,
    ) -> Found:
        """Find episodes and rows by what the manifest says; UserError for an unknown value.

        `least` and `most` bound the episodes' lengths, in rows.
        """
        table, spec = self.episodes, self.spec
        picked = ~self.bad & (table["length"] >= least)
        if most is not None:
            picked &= table["length"] <= most
        asked = {"split": split, "behaviour": behaviour, "scenario": scenario}
        asked["condition"] = condition
        known = {"split": list(self.info["splits"]), "event": spec["events"]}
        known |= {"behaviour": [*spec["behaviours"]], "scenario": spec["scenarios"]}
        known["condition"] = spec.get("conditions", [])
        if verify.PERSON in table["behaviour"]:
            known["behaviour"].append(verify.PERSON)
        for key, value in (asked | {"event": event}).items():
            if value is not None and value not in known[key]:
                raise UserError(
                    f"dataset '{self.path}': no {key} '{value}'; "
                    f"it has {', '.join(known[key]) or 'none'}."
                )
        for key, value in asked.items():
            if value is not None:
                picked &= table[key] == value
        if event is None:
            first, length = (table[name][picked] for name in ("dataset_from_index", "length"))
            # Each episode's rows: its first, and on.
            start = np.cumsum(length) - length
            rows = np.repeat(first - start, length) + np.arange(length.sum())
            return Found(np.flatnonzero(picked), rows)
        mine = (self.events["event"] == event) & picked[self.events["episode_index"]]
        rows_of = np.sort(self.events["index"][mine])
        return Found(np.unique(self.events["episode_index"][mine]), rows_of)

    def by_file(self, episodes: Array) -> dict[str, list[int]]:
        """Return some episodes by the data file that the manifest says they are in."""
        found: dict[str, list[int]] = {}
        for episode in episodes.tolist():
            found.setdefault(file_of(self.episodes, episode), []).append(episode)
        return found

    def load(self, split: str | None = None, rgb: bool = False) -> Arrays:
        """Load a split (None: all). Frames are palette indices, or RGB if asked.

        Frames are decoded once and kept beside the data, mapped into memory from then on.
        Raises UserError for missing, truncated or damaged files, for values that can't be true,
        and for a world of more than 256 colours unless `rgb`.
        """
        palette = self.recording["palette"]
        if palette is None and not rgb:
            raise UserError(
                f"dataset '{self.path}': its frames show more than 256 colours, and this model "
                "family reads at most 256. Use fewer colours in the sim, or another family."
            )
        found, layouts = self.sound(split)
        table = {name: column[found.episodes] for name, column in self.episodes.items()}
        stops = np.cumsum(table["length"])
        starts = stops - table["length"]
        columns = self._read_columns(found, layouts)
        if not self.skip_bad:  # Else every value has been looked at.
            wrong = (
                Fault(file_of(self.episodes, episode), what, (episode,))
                for episode, first, stop in zip(found.episodes.tolist(), starts, stops, strict=True)
                for what in verify.of_rows(
                    {name: values[first:stop] for name, values in columns.items()},
                    episode,
                    int(self.episodes["dataset_from_index"][episode]),
                    self.info["fps"],
                )
            )
            self.refuse([fault for fault, _ in zip(wrong, range(20), strict=False)])
        count = len(found.rows)
        span = [np.zeros(0), np.zeros(0)]
        if "observation.state" in columns:
            stats = json.loads((self.path / "meta" / "stats.json").read_text())
            span = [np.ravel(stats["observation.state"][key]) for key in ("min", "max")]
        place = np.searchsorted(found.rows, self.events["index"])
        inside = place < count
        inside[inside] = found.rows[place[inside]] == self.events["index"][inside]
        empty = np.zeros((count, 0), np.float32)
        return Arrays(
            frames=self._frames(split, rgb, found, table, layouts),
            palette=np.array([] if rgb else palette, np.uint8).reshape(-1, 3),
            actions=columns["action"].reshape(count, -1),
            chances=columns.get("chance", empty).reshape(count, len(self.spec["chance"])),
            rewards=columns["next.reward"],
            dones=columns["next.done"],
            sensors={
                name.removeprefix("observation."): columns[name]
                for name in (f"observation.{sensor['name']}" for sensor in self.spec["sensors"])
                if name in columns
            },
            state=columns.get("observation.state", empty).reshape(count, len(span[0])),
            state_range=np.array(span, np.float32),
            events={
                name: np.sort(place[inside & (self.events["event"] == name)])
                for name in self.spec["events"]
            },
            episodes=np.stack([starts, stops], axis=1),
            episode_index=columns["episode_index"],
            frame_index=columns["frame_index"],
        )

    def sound(self, split: str | None) -> tuple[Found, dict[str, Layout]]:
        """Return a split's episodes and its files' layouts, once those are found to be whole.

        With `skip_bad`, all is read, and the episodes that are good are returned.
        """
        found = self.query(split=split)
        faults, layouts = verify.of_files(self, found.episodes)
        if self.skip_bad:
            faults += verify.of_values(self, found.episodes.tolist(), layouts)
        self.refuse(faults)
        found = self.query(split=split)
        if not len(found.episodes):
            first = f": {self.faults[0]}" if self.faults else ""
            raise UserError(f"dataset '{self.path}': no good episode{first}. {_again(self.path)}")
        return found, layouts

    def groups(self, found: Found, layouts: dict[str, Layout]) -> dict[Path, list[int]]:
        """Return, by data file, the row groups (one an episode) that hold the found episodes."""
        return {
            self.path / name: [layouts[name].episodes[episode][0] for episode in some]
            for name, some in self.by_file(found.episodes).items()
        }

    def _read_columns(self, found: Found, layouts: dict[str, Layout]) -> dict[str, Array]:
        """Read all columns but the images."""
        features = self.info["features"]
        names = [name for name in self.expected if features[name]["dtype"] != "image"]
        parts = []
        for path, groups in self.groups(found, layouts).items():
            try:
                parts.append(pq.ParquetFile(path).read_row_groups(groups, columns=names))
            except DAMAGE as error:
                where = f"dataset '{path}'"
                raise UserError(f"{where}: damaged; {error}. {_again(self.path)}") from error
        try:
            return to_arrays(pa.concat_tables(parts), features, names)
        except DAMAGE as error:
            where = f"dataset '{self.path}'"
            raise UserError(f"{where}: damaged; {error}. {_again(self.path)}") from error

    def _frames(
        self,
        split: str | None,
        rgb: bool,
        found: Found,
        table: dict[str, Array],
        layouts: dict[str, Layout],
    ) -> Array:
        """Map the decoded frames of a split, decoding them first if that wasn't done before."""
        camera, features = self.spec["cameras"][0], self.info["features"]
        names = [name for name in self.expected if features[name]["dtype"] == "image"]
        shape: tuple[int, ...] = (
            len(found.rows), len(names), camera["height"], camera["width"]
        )  # fmt: skip
        if rgb:
            shape = (*shape, 3)
        part = f"{split or 'all'}.{'rgb' if rgb else 'index'}"
        if self.faults:
            some = json.dumps([found.episodes.tolist(), names]).encode()
            part += f".{hashlib.sha256(some).hexdigest()[:8]}"
        kept = self.path / "decoded" / f"{part}.npy"
        if kept.exists():
            frames: Array = np.load(kept, mmap_mode="r")
            if frames.shape == shape:
                return frames
        kept.parent.mkdir(exist_ok=True)
        aside = kept.with_suffix(f".{os.getpid()}")
        try:
            out = np.lib.format.open_memmap(aside, "w+", np.uint8, shape)
            self._decode(self.groups(found, layouts), names, table, out, rgb)
            out.flush()
            aside.replace(kept)
        except DAMAGE as error:
            where = f"dataset '{self.path}'"
            raise UserError(f"{where}: can't decode; {error}. {_again(self.path)}") from error
        finally:
            aside.unlink(missing_ok=True)
        return np.load(kept, mmap_mode="r")  # type: ignore[no-any-return]

    def _decode(
        self,
        by_file: dict[Path, list[int]],
        names: list[str],
        table: dict[str, Array],
        out: Array,
        rgb: bool,
    ) -> None:
        height, width = out.shape[2:4]
        palette = [] if rgb else self.recording["palette"]
        lookup = index_by_code(np.array(palette, np.uint8).reshape(-1, 3))
        lengths = iter(table["length"].tolist())
        jobs: list[tuple[Path, list[int], int]] = []
        row = 0
        for path, groups in by_file.items():
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
                images = pngs(columns.column(name))
                for at in range(0, len(images), 32):  # few, so that they stay in the CPU's cache
                    frames = decode_png(images[at : at + 32], height, width)
                    values = frames if rgb else lookup[colour_codes(frames)]
                    out[start + at : start + at + len(values), i] = values

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(decode, jobs):
                pass


def _again(path: Path) -> str:
    return (
        f"Run: wmsite data verify {path} to see all of it; what is good is taken with --skip-bad, "
        "or delete that folder and record again"
    )
