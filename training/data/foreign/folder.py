"""A LeRobotDataset v3 folder that another tool recorded: its spec, its episodes, its faults.

Only files inside the folder are read, and nothing in it is changed. `training.data.convert` makes a
dataset of ours from it.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sims.contract import Array, Camera, Spec
from sims.errors import UserError
from training import contained
from training.data import verify
from training.data.dataset_manifest import MANIFEST
from training.data.files import DAMAGE, opened, read, to_arrays, to_numpy
from training.data.foreign import features
from training.data.foreign.frames import View, decode, pyav, video
from training.data.lerobot import DATA_PATH, VERSION
from training.data.verify import Fault
from training.environment_recipe import SIDE

ROWS_AT_ONCE = 64  # rows decoded together; bounds the memory that decoding takes
FEWEST = 3  # episodes: one to train on, one to validate, one to test
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
FIELDS = {"video_key", "chunk_index", "file_index"}
FIELD = re.compile(r"\{(\w+)(?::0?(\d)d)?\}")
AGAIN = "Run: take the folder again from where it came"


def is_foreign(folder: Path) -> bool:
    """Return whether a folder is a LeRobotDataset that wmsite did not record."""
    return (folder / "meta" / "info.json").is_file() and not (folder / MANIFEST).exists()


@dataclass(frozen=True)
class Part:
    """Successive rows of one episode: columns [t, ...], and frames uint8 [t, H, W, 3] by camera.

    `last` marks the end of the episode.
    """

    episode: int
    columns: dict[str, Array]
    frames: dict[str, Array]
    last: bool


class Foreign:
    """A folder of another tool, opened; only `parts` and `faults` read its data."""

    def __init__(self, path: Path, name: str, side: int = SIDE) -> None:
        """Read `meta`; UserError for anything in it that can't be used."""
        self.path, self.name, self.where = path, name, f"dataset '{path}'"
        if not path.is_dir():
            raise UserError(
                f"{self.where}: there is no such folder. Run: put the recording there, or name its "
                "place as `dataset` in the recipe"
            )
        if not is_foreign(path):
            raise UserError(
                f"{self.where}: no LeRobotDataset of another tool: it needs meta/info.json, and no "
                f"{MANIFEST}. Run: name another folder as `dataset` in the recipe"
            )
        try:
            self._read(side)
        except (*DAMAGE, TypeError, AttributeError, RecursionError) as error:
            what = f"{type(error).__name__}: {error}"
            raise UserError(f"{self.where}: its meta can't be read; {what}. {AGAIN}") from error

    def _read(self, side: int) -> None:
        self.info: dict[str, Any] = json.loads(self._file("meta/info.json").read_bytes())
        version = self.info.get("codebase_version")
        if version != VERSION:
            raise UserError(
                f"{self.where}: its format is {version!r}, and wmsite reads {VERSION!r}. Run: "
                "python -m lerobot.scripts.convert_dataset_v21_to_v30, which LeRobot brings"
            )
        self.rate = float(self.info["fps"])
        if not 0 < self.rate < math.inf:
            raise ValueError(f"fps is {self.info['fps']!r}")
        self.features: dict[str, dict[str, Any]] = self.info["features"]
        self.stats: dict[str, Any] = json.loads(self._file("meta/stats.json").read_bytes())
        self.views = features.cameras(self.features, side)
        if not self.views:
            raise ValueError("it has no camera: info.json names no image or video")
        self.axes = features.axes(self.features, self.stats)
        self.sensors, self.left_out = features.sensors(self.features, self.stats)
        names = ["episode_index", "length", "tasks", "data/chunk_index", "data/file_index"]
        names += ["dataset_from_index", "dataset_to_index"]
        for view in self.views:
            if view.video:
                names += [f"videos/{view.column}/{n}" for n in ("chunk_index", "file_index")]
                names.append(f"videos/{view.column}/from_timestamp")
        files = contained.files(self._folder("meta/episodes"), self.where)
        tables = [read(file, names) for file in files if file.suffix == ".parquet"]
        if not tables:
            raise ValueError("meta/episodes holds no Parquet file")
        told = pa.concat_tables(tables, promote_options="permissive").sort_by("episode_index")
        self.tasks = [(row or [""])[0] or self.name for row in told["tasks"].to_pylist()]
        self.table = {n: to_numpy(told[n]) for n in names if n != "tasks"}
        for name, values in self.table.items():
            if not (np.isfinite(values.astype(np.float64)) & (values >= 0)).all():
                raise ValueError(f"meta/episodes: {name} lacks values, or has impossible ones")
        self._count()
        data, film = self.info.get("data_path", DATA_PATH), self.info.get("video_path")
        self.ways = (str(data), str(film or VIDEO_PATH))
        for way in self.ways:
            if strange := {name for name, _ in FIELD.findall(way)} - FIELDS:
                raise ValueError(f"info.json names files by {{{min(strange)}}}, unknown to v3.0")

    def _file(self, name: str) -> Path:
        return contained.inside(self.path, name, self.where)

    def _folder(self, name: str) -> Path:
        return contained.inside(self.path, f"{name}/x", self.where).parent

    def _count(self) -> None:
        """Refuse an episode table that contradicts itself or info.json."""
        table, length = self.table, self.table["length"]
        count, frames = len(length), int(length.sum())
        first, stop = table["dataset_from_index"], table["dataset_to_index"]
        for wrong, what in (
            (not np.array_equal(table["episode_index"], np.arange(count)), "are not 0, 1, 2 ..."),
            ((length < 1).any(), "are empty"),
            ((stop - first != length).any(), "have another length than their rows"),
            (not np.array_equal(first, np.cumsum(length) - length), "leave rows between them"),
            (count != self.info["total_episodes"], f"are {count}; info.json tells another number"),
            (frames != self.info["total_frames"], f"have {frames} rows; info.json tells others"),
        ):
            if wrong:
                raise UserError(f"{self.where}: meta/episodes: its episodes {what}. {AGAIN}")
        if count < FEWEST:
            raise UserError(
                f"{self.where}: it has {count} episodes, and at least {FEWEST} are needed: to "
                "train, to validate and to test. Run: record more"
            )

    @cached_property
    def spec(self) -> Spec:
        """The recording in the form in which a sim describes itself."""
        return Spec(
            name=self.name,
            title=self.name.replace("_", " ").replace("-", " ").capitalize(),
            rate=self.rate,
            cameras=tuple(Camera(view.name, *view.size) for view in self.views),
            axes=self.axes,
            sensors=tuple(sensor for some in self.sensors.values() for sensor in some),
            scenarios=("recorded",),
            behaviours=("recorded",),
            max_steps=int(self.table["length"].max()),
        )

    @cached_property
    def splits(self) -> dict[str, list[int]]:
        """The episodes of train, val and test: whole ones, as info.json says or by a fixed rule.

        Of val and test, each that info.json lacks gets one in ten of the others.
        """
        told: Mapping[str, str] = self.info.get("splits") or {}
        spans = {"val" if name.startswith("val") else name: span for name, span in told.items()}
        named = [name for name in ("train", "val", "test") if name in spans]
        found = {"train": list(range(len(self.tasks)))}
        if "train" in named and len(named) > 1:
            found = {name: self._span(name, spans[name]) for name in named}
            seen = Counter(episode for some in found.values() for episode in some)
            if twice := [episode for episode, times in seen.items() if times > 1]:
                raise UserError(
                    f"{self.where}: meta/info.json: episode {twice[0]} is in two splits. {AGAIN}"
                )
        missing = [name for name in ("val", "test") if name not in found]
        train = found["train"]
        every = min(len(train), 10)
        for at, name in enumerate(missing, every - len(missing)):
            found[name] = train[at::every]
        held = {episode for name in missing for episode in found[name]}
        found["train"] = [episode for episode in train if episode not in held]
        if not found["train"]:
            raise UserError(f"{self.where}: too few episodes to train on. Run: record more")
        return found

    def _span(self, name: str, told: object) -> list[int]:
        low, _, high = str(told).partition(":")
        count = len(self.tasks)
        if not (low.isdecimal() and high.isdecimal() and int(low) < int(high) <= count):
            raise UserError(
                f"{self.where}: meta/info.json: split {name} is {told!r}, no range of its {count} "
                f"episodes. {AGAIN}"
            )
        return list(range(int(low), int(high)))

    @property
    def columns(self) -> list[str]:
        """The numeric columns that are read."""
        more = [name for name in ("next.reward", "next.done") if name in self.features]
        return [*features.COUNTED, "action", *self.sensors, *more]

    def file_of(self, episode: int, column: str = "") -> str:
        """Return the name of an episode's data file, or of the video of a camera's column."""
        part = f"videos/{column}" if column else "data"
        told = self.ways[1 if column else 0]
        values = {n: int(self.table[f"{part}/{n}"][episode]) for n in ("chunk_index", "file_index")}

        def put(found: re.Match[str]) -> str:
            if found[1] == "video_key":
                return column
            return f"{values[found[1]]:0{int(found[2] or 1)}d}"

        return FIELD.sub(put, told)

    def parts(self, episodes: list[int]) -> Iterator[Part | Fault]:
        """Read episodes in their order: their parts one by one, or one fault in place of the rest.

        The rows of a file that lie between the episodes are skipped.
        """
        by_file: dict[str, list[int]] = {}
        for episode in episodes:
            by_file.setdefault(self.file_of(episode), []).append(episode)
        for name, some in by_file.items():
            yield from self._parts_of(name, some)

    def _parts_of(self, name: str, episodes: list[int]) -> Iterator[Part | Fault]:
        left = list(episodes)
        try:
            path = self._file(name)
            if not path.is_file():
                yield Fault(name, "is missing", tuple(left))
                return
            file = opened(path)
            images = [view.column for view in self.views if not view.video]
            wanted = [*self.columns, *images]
            if lacking := [c for c in wanted if c not in file.schema_arrow.names]:
                yield Fault(name, f"column {lacking[0]} is missing", tuple(left))
                return
            base = min(
                int(self.table["dataset_from_index"][e])
                for e in range(len(self.tasks)) if self.file_of(e) == name
            )  # fmt: skip
            rows = _Rows(file, wanted)
            for episode in episodes:
                first = int(self.table["dataset_from_index"][episode]) - base
                stop = first + int(self.table["length"][episode])
                if stop > file.metadata.num_rows:
                    what = f"has {file.metadata.num_rows} rows; episode {episode} ends at {stop}"
                    yield Fault(name, what, (episode,))
                else:
                    yield from self._episode(name, episode, rows.span(first, stop))
                left.remove(episode)
        except DAMAGE as error:
            yield Fault(name, f"can't be read ({_short(error)})", tuple(left))

    def _episode(self, name: str, episode: int, tables: Iterator[Any]) -> Iterator[Part | Fault]:
        """Read one episode. Its counting columns are checked when all of them are known."""
        length = int(self.table["length"][episode])
        shapes = {n: {**f, "shape": list(features.shape_of(f))} for n, f in self.features.items()}
        films: dict[str, Generator[Array]] = {}
        numbers: list[dict[str, Array]] = []
        row, where = 0, name
        try:
            for view in (view for view in self.views if view.video):
                where = self.file_of(episode, view.column)
                films[view.name] = self._film(where, view, episode)
            for table in tables:
                where = name
                numbers.append(to_arrays(table, shapes, self.columns))
                frames = {}
                for view in self.views:
                    if view.video:
                        where = self.file_of(episode, view.column)
                        film = itertools.islice(films[view.name], len(table))
                        frames[view.name] = np.stack([*film])
                    else:
                        where = name
                        frames[view.name] = decode(table.column(view.column).to_pylist(), view)
                where, row = name, row + len(table)
                if row == length and (wrong := self._wrong(numbers, episode)):
                    yield Fault(name, wrong, (episode,))
                    return
                yield Part(episode, self._ours(numbers[-1]), frames, row == length)
        except DAMAGE as error:
            yield Fault(where, f"episode {episode}: {_short(error)}", (episode,))
        finally:
            for one in films.values():
                one.close()

    def _film(self, name: str, view: View, episode: int) -> Generator[Array]:
        path = self._file(name)
        if not path.is_file():
            raise ValueError("is missing")
        start = float(self.table[f"videos/{view.column}/from_timestamp"][episode])
        times = np.arange(self.table["length"][episode]) / self.rate
        return video(path, view, start, times, self.where)

    def _wrong(self, numbers: list[dict[str, Array]], episode: int) -> str:
        """Return what is wrong with an episode's numbers; "" if nothing is."""
        first = int(self.table["dataset_from_index"][episode])
        whole = {n: np.concatenate([part[n] for part in numbers]) for n in self.columns}
        return next(iter(verify.of_rows(whole, episode, first, self.rate)), "")

    def _ours(self, columns: Mapping[str, Array]) -> dict[str, Array]:
        """Return a part's numbers in the columns that a dataset of ours has."""
        rows = len(columns["index"])
        none = np.zeros(rows, np.float32)
        found = {
            "action": columns["action"].astype(np.float32).reshape(rows, -1),
            "next.reward": columns.get("next.reward", none).astype(np.float32),
            "next.done": columns.get("next.done", none).astype(np.bool_),
        }
        for column, sensors in self.sensors.items():
            values = columns[column].astype(np.float32)
            parts = np.split(values.reshape(rows, -1), len(sensors), axis=1)
            for sensor, part in zip(sensors, parts, strict=True):
                found[f"observation.{sensor.name}"] = part.reshape(rows, *sensor.shape)
        return found

    def ready(self) -> None:
        """Raise UserError if something is missing that its frames are read with."""
        if any(view.video for view in self.views):
            pyav(self.where)

    def faults(self, told: Callable[[int], None] = lambda _: None) -> list[Fault]:
        """Read every value and every frame; return what is wrong."""
        self.ready()
        found = []
        for part in self.parts(list(range(len(self.tasks)))):
            if isinstance(part, Fault):
                found.append(part)
            else:
                told(len(part.columns["action"]))
        return found


class _Rows:
    """The rows of a data file, read forwards, some at a time."""

    def __init__(self, file: Any, columns: list[str]) -> None:
        self.file, self.columns = file, columns
        groups = range(file.metadata.num_row_groups)
        self.starts = np.cumsum([0, *(file.metadata.row_group(i).num_rows for i in groups)])
        self.batches: Iterator[Any] = iter(())
        self.at, self.rest = -1, None

    def span(self, first: int, stop: int) -> Iterator[Any]:
        """Yield the tables of rows `first` to `stop`, which the file has."""
        group = int(np.searchsorted(self.starts, first, "right")) - 1
        if not self.starts[group] <= self.at <= first:
            groups = list(range(group, len(self.starts) - 1))
            self.batches = self.file.iter_batches(
                ROWS_AT_ONCE, row_groups=groups, columns=self.columns
            )
            self.at, self.rest = int(self.starts[group]), None
        while self.at < stop:
            if (batch := self.rest or next(self.batches, None)) is None:
                raise ValueError("it ends early")
            low, high = max(first - self.at, 0), min(stop - self.at, batch.num_rows)
            self.at += high
            self.rest = batch.slice(high) if high < batch.num_rows else None
            if low < high:
                yield pa.Table.from_batches([batch.slice(low, high - low)])


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 160 else text[:157] + "..."
