"""Recorded datasets: query the manifest, or load a split into arrays for training.

A faulty dataset is refused, with its faults by name (see `training.data.verify`). With `skip_bad`
it is used without the damaged episodes, and without a sensor or camera that no file has.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sims.contract import Array, Spec
from sims.errors import UserError
from training.data import verify
from training.data.components import in_state
from training.data.dataset_manifest import FORMAT, MANIFEST, recording_of
from training.data.files import DAMAGE, Layout, again, opened, read, to_arrays, to_numpy
from training.data.lerobot import VERSION
from training.data.stored import FRAMES, open_stored
from training.data.verify import Fault, file_of


@dataclass(frozen=True)
class Found:
    """The result of a query: int64 `episodes`, and int64 `rows` of the whole dataset, in order.

    `rows` are the rows in which the event happened; without an event, all rows of the episodes.
    """

    episodes: Array
    rows: Array


@dataclass(frozen=True)
class Arrays:
    """A part of a dataset in memory, T rows of E episodes one after the other.

    Row t holds frame t, the action [T, A] float32 and chance [T, C] float32 of the step from it,
    that step's reward float32 and end (`dones` bool), and the sensors at frame t. The last row of a
    terminated episode is the frame after its end. `episodes` int64 [E, 2] are the first row and one
    past the last row; `events` maps names to int64 rows whose step had the event.
    """

    frames: Any  # uint8 [T, cameras, H, W] palette indices, or [T, cameras, H, W, 3] RGB as `Rows`
    palette: Array  # uint8 [K, 3]; [0, 3] when `frames` is RGB
    actions: Array
    chances: Array
    rewards: Array
    dones: Array
    sensors: dict[str, Any]  # arrays, and `Rows` for sensors of several dimensions
    state: Array  # float32 [T, S]: all sensors with at most one dimension, flattened
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
        """Return frames as the models read them, uint8 [*rows, cams, H, W, 4]."""
        if not len(self.palette):
            rgb: Array = self.frames[rows]
            whole: Array = np.full((*rgb.shape[:-1], 4), 255, np.uint8)
            whole[..., :3] = rgb
            return whole
        opaque = np.full((len(self.palette), 1), 255, np.uint8)
        found: Array = np.concatenate([self.palette, opaque], 1)[self.frames[rows]]
        return found

    @property
    def large(self) -> dict[str, Any]:
        """The sensors of several dimensions, which are not part of `state`."""
        return {name: v for name, v in self.sensors.items() if not in_state(v.shape[1:])}


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
        """Open a dataset folder; `spec` is the sim that must have recorded it.

        Raises UserError for missing or unreadable files, a link, another format, another sim, and a
        contradictory manifest. With `skip_bad`, the consistent episodes are used, and `faults`
        lists the others.
        """
        if not path.is_dir():
            raise UserError(f"dataset '{path}': there is none. Run: wmsite data record, to make it")
        if not (path / MANIFEST).exists() and (path / "meta" / "info.json").is_file():
            raise UserError(
                f"dataset '{path}': another tool recorded it, and models learn from a copy of it; "
                f"nothing of it was touched. Run: wmsite data show {path}, which makes that copy"
            )
        recording = recording_of(path)
        try:
            info = json.loads((path / "meta" / "info.json").read_text(encoding="utf-8"))
            if recording["format"] != FORMAT or info["codebase_version"] != VERSION:
                raise UserError(f"dataset '{path}': of another format. {again(path)}")
            dataset = cls(path, recording, info, skip_bad)
            if spec is not None:
                now = json.loads(json.dumps(spec.to_json()))
                if differs := verify.of_spec(recording["spec"], now):
                    raise UserError(
                        f"dataset '{path}': recorded from another sim than world '{spec.name}' "
                        f"now is (it was '{dataset.world}'): {differs}. {again(path)}"
                    )
            dataset.refuse(verify.of_manifest(dataset))
        except (*DAMAGE, TypeError, AttributeError, RecursionError) as error:
            changed = verify.of_hashes(path, recording, data=False)
            why = f"{changed[0]}" if changed else f"{type(error).__name__}: {error}"
            raise UserError(
                f"dataset '{path}': its meta can't be read; {why}. {again(path)}"
            ) from error
        return dataset

    @property
    def everything(self) -> tuple[int, ...]:
        """The numbers of all episodes."""
        return tuple(range(len(self.episodes["length"])))

    def refuse(self, faults: list[Fault]) -> None:
        """Raise UserError for the faults, or leave out the episodes that they damage."""
        if faults and not self.skip_bad:
            more = f"; and {len(faults) - 1} more" if len(faults) > 1 else ""
            raise UserError(f"dataset '{self.path}': {faults[0]}{more}. {again(self.path)}")
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
        """Find episodes and rows by the manifest; UserError for an unknown value.

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
            # The rows of each episode, from its first row on.
            start = np.cumsum(length) - length
            rows = np.repeat(first - start, length) + np.arange(length.sum())
            return Found(np.flatnonzero(picked), rows)
        mine = (self.events["event"] == event) & picked[self.events["episode_index"]]
        rows_of = np.sort(self.events["index"][mine])
        return Found(np.unique(self.events["episode_index"][mine]), rows_of)

    def by_file(self, episodes: Array) -> dict[str, list[int]]:
        """Return some episodes by their data file, according to the manifest."""
        found: dict[str, list[int]] = {}
        for episode in episodes.tolist():
            found.setdefault(file_of(self.episodes, episode), []).append(episode)
        return found

    def load(self, split: str | None = None, rgb: bool = False) -> Arrays:
        """Load a split (None: all). Frames are palette indices, or RGB on request.

        Frames are decoded once and stored beside the data; later calls map them into memory. Raises
        UserError for missing, truncated or damaged files, for impossible values, and for a world of
        more than 256 colours unless `rgb`.
        """
        palette = self.recording["palette"]
        if palette is None and not rgb:
            raise UserError(
                f"dataset '{self.path}': its frames show more than 256 colours, and this model "
                "family reads at most 256. Use fewer colours in the sim, or the family latent."
            )
        found, layouts = self.sound(split)
        table = {name: column[found.episodes] for name, column in self.episodes.items()}
        stops = np.cumsum(table["length"])
        starts = stops - table["length"]
        columns = self._read_columns(found, layouts)
        if not self.skip_bad:  # Otherwise every value has been checked.
            self.check(found, columns)
        stored = open_stored(self, split, rgb, found, layouts)
        count = len(found.rows)
        span = [np.zeros(0), np.zeros(0)]
        if "observation.state" in columns:
            stats = json.loads((self.path / "meta" / "stats.json").read_text(encoding="utf-8"))
            span = [np.ravel(stats["observation.state"][key]) for key in ("min", "max")]
        place = np.searchsorted(found.rows, self.events["index"])
        inside = place < count
        inside[inside] = found.rows[place[inside]] == self.events["index"][inside]
        empty = np.zeros((count, 0), np.float32)
        return Arrays(
            frames=stored[FRAMES],
            palette=np.array([] if rgb else palette, np.uint8).reshape(-1, 3),
            actions=columns["action"].reshape(count, -1),
            chances=columns.get("chance", empty).reshape(count, len(self.spec["chance"])),
            rewards=columns["next.reward"],
            dones=columns["next.done"],
            sensors={
                sensor["name"]: values[column]
                for sensor in self.spec["sensors"]
                for values in (columns, stored)
                if (column := f"observation.{sensor['name']}") in values
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
        """Return a split's episodes and its files' layouts, after checking that they are complete.

        With `skip_bad`, all files are read, and only good episodes are returned.
        """
        found = self.query(split=split)
        faults, layouts = verify.of_files(self, found.episodes)
        if self.skip_bad:
            faults += verify.of_values(self, found.episodes.tolist(), layouts)
        self.refuse(faults)
        found = self.query(split=split)
        if not len(found.episodes):
            first = f": {self.faults[0]}" if self.faults else ""
            raise UserError(f"dataset '{self.path}': no good episode{first}. {again(self.path)}")
        return found, layouts

    def groups(self, found: Found, layouts: dict[str, Layout]) -> dict[Path, list[int]]:
        """Return, by data file, the row groups (one for each episode) of the found episodes."""
        return {
            self.path / name: [layouts[name].episodes[episode][0] for episode in some]
            for name, some in self.by_file(found.episodes).items()
        }

    def large_columns(self) -> list[str]:
        """Name the columns that are stored beside the data: sensors of several dimensions."""
        return [
            name
            for name in (f"observation.{s['name']}" for s in self.spec["sensors"])
            if name in self.expected and not in_state(self.info["features"][name]["shape"])
        ]

    def check(self, found: Found, columns: dict[str, Array], start: int = 0) -> None:
        """Refuse impossible values in columns whose first row is row `start` of what was found."""
        table = self.episodes
        at = -start
        wrong = []
        for episode in found.episodes.tolist():
            first, at = at, at + int(table["length"][episode])
            if at <= 0 or first >= len(columns["index"]):
                continue
            part = {name: values[max(first, 0) : at] for name, values in columns.items()}
            row, rate = int(table["dataset_from_index"][episode]), self.info["fps"]
            wrong += [
                Fault(file_of(table, episode), what, (episode,))
                for what in verify.of_rows(part, episode, row, rate)
            ]
            if len(wrong) >= 20:
                break
        self.refuse(wrong)

    def _read_columns(self, found: Found, layouts: dict[str, Layout]) -> dict[str, Array]:
        """Read all columns except the images and the large sensors."""
        features, large = self.info["features"], self.large_columns()
        names = [n for n in self.expected if features[n]["dtype"] != "image" and n not in large]
        parts = []
        for path, groups in self.groups(found, layouts).items():
            try:
                parts.append(opened(path).read_row_groups(groups, columns=names))
            except DAMAGE as error:
                where = f"dataset '{path}'"
                raise UserError(f"{where}: damaged; {error}. {again(self.path)}") from error
        try:
            return to_arrays(pa.concat_tables(parts), features, names)
        except DAMAGE as error:
            where = f"dataset '{self.path}'"
            raise UserError(f"{where}: damaged; {error}. {again(self.path)}") from error
