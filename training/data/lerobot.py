"""The files of LeRobotDataset v3.0, written directly: Parquet with PNG images, and `meta/`.

Layout and names follow the format's own writer (huggingface/lerobot: datasets/dataset_writer.py,
dataset_metadata.py, feature_utils.py, compute_stats.py), so the format's readers can read our
files: one row group for each episode, Hugging Face `datasets` features in each file's schema,
statistics of every feature for each episode and overall. Images are true-colour PNG, exact to the
pixel.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sims.contract import Spec
from training.data import statistics
from training.data.components import state_names

Array = NDArray[Any]

VERSION = "v3.0"
CHUNK_FILES = 1000  # most files in one chunk folder
FILE_MB = 100  # bytes after which a new data file starts
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
EPISODES_PATH = "meta/episodes/chunk-000/file-000.parquet"
TASKS_PATH = "meta/tasks.parquet"
ROWS_AT_ONCE = 256  # episodes whose metadata stays in memory before it is written
CARD = """---
tags:
- LeRobot
configs:
- config_name: default
  data_files: data/*/*.parquet
---
{title}, recorded by wmsite as a LeRobotDataset {version}.
"""

Features = dict[str, dict[str, Any]]


def features(spec: Spec) -> Features:
    """Return the format's feature table (dtype, shape, names of every column) for a sim."""
    table: Features = {}

    def column(name: str, dtype: str, shape: tuple[int, ...], names: list[str] | None) -> None:
        table[name] = {"dtype": dtype, "shape": list(shape) or [1], "names": names}

    for camera in spec.cameras:
        shape = (camera.height, camera.width, 3)
        column(f"observation.images.{camera.name}", "image", shape, ["height", "width", "channels"])
    if values := state_names(spec.to_json()["sensors"]):
        column("observation.state", "float32", (len(values),), values)
    for sensor in spec.sensors:
        column(f"observation.{sensor.name}", sensor.dtype, sensor.shape, None)
    names = [part.name for part in (spec.actions or spec.axes)]
    column("action", "float32", (len(names),), names)
    if spec.chance:
        column("chance", "float32", (len(spec.chance),), list(spec.chance))
    column("next.reward", "float32", (1,), None)
    column("next.done", "bool", (1,), None)
    column("timestamp", "float32", (1,), None)
    for name in ("frame_index", "episode_index", "index", "task_index"):
        column(name, "int64", (1,), None)
    return table


def modalities(spec: Spec) -> list[dict[str, Any]]:
    """List the modalities, each with its column, its shape, unit and range."""
    found: list[dict[str, Any]] = []

    def note(kind: str, name: str, column: str, shape: Sequence[int], **more: Any) -> None:
        told = {"kind": kind, "name": name, "column": column, "shape": list(shape)}
        found.append(told | more)

    for camera in spec.cameras:
        shape = (camera.height, camera.width, 3)
        column = f"observation.images.{camera.name}"
        note("camera", camera.name, column, shape, dtype="uint8", unit="")
    for sensor in spec.sensors:
        told = {"dtype": sensor.dtype, "unit": sensor.unit, "low": sensor.low, "high": sensor.high}
        note("sensor", sensor.name, f"observation.{sensor.name}", sensor.shape, **told)
    for i, axis in enumerate(spec.axes):
        told = {"dtype": "float32", "unit": axis.unit, "low": axis.low, "high": axis.high}
        note("control", axis.name, "action", (1,), **told, place=i)
    if spec.actions:
        names = [action.name for action in spec.actions]
        note("control", "action", "action", (len(names),), dtype="float32", unit="", names=names)
    if spec.chance:
        told = {"dtype": "float32", "unit": "1", "low": 0.0, "high": 1.0}
        note("chance", "chance", "chance", (len(spec.chance),), **told, names=list(spec.chance))
    note("label", "reward", "next.reward", (1,), dtype="float32", unit="")
    note("label", "done", "next.done", (1,), dtype="bool", unit="")
    return found


def _schema(table: Features) -> pa.Schema:
    """Make the Arrow schema, with the `datasets` features that the format's readers expect."""
    hugging: dict[str, Any] = {}
    fields = []
    for name, feature in table.items():
        dtype, shape = feature["dtype"], feature["shape"]
        value = {"dtype": dtype, "_type": "Value"}
        if dtype == "image":
            kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
            hugging[name] = {"_type": "Image"}
        elif shape == [1]:
            kind = _arrow(dtype)
            hugging[name] = value
        elif len(shape) == 1:
            kind = pa.list_(_arrow(dtype), shape[0])
            hugging[name] = {"feature": value, "length": shape[0], "_type": "Sequence"}
        else:
            kind = _arrow(dtype)
            for _ in shape:
                kind = pa.list_(kind)
            hugging[name] = {"shape": shape, "dtype": dtype, "_type": f"Array{len(shape)}D"}
        fields.append(pa.field(name, kind))
    return pa.schema(fields, {"huggingface": json.dumps({"info": {"features": hugging}})})


def _repeating(schema: pa.Schema) -> bool | list[str]:
    """Return the columns whose values may repeat; a wide sensor's do not, and cost the most."""
    leaves, wide = [], False
    for field in schema:
        if pa.types.is_list(field.type):
            wide = True
        elif pa.types.is_struct(field.type):
            leaves += [f"{field.name}.{part.name}" for part in field.type]
        else:
            fixed = pa.types.is_fixed_size_list(field.type)
            leaves.append(f"{field.name}.list.element" if fixed else field.name)
    return leaves if wide else True


def _arrow(dtype: str) -> pa.DataType:
    return pa.bool_() if dtype == "bool" else pa.from_numpy_dtype(np.dtype(dtype))


def _column(values: Array, kind: pa.DataType) -> pa.Array:
    """Turn an array [T, ...] into an Arrow array of `kind`, without a loop over rows."""
    if values.ndim == 1 or (values[0].size == 1 and not pa.types.is_list(kind)):
        return pa.array(np.ascontiguousarray(values).reshape(len(values)), kind)
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), kind.list_size)
    inner = _column(values.reshape(-1, *values.shape[2:]), kind.value_type)
    return pa.ListArray.from_arrays(
        np.arange(len(values) + 1, dtype=np.int32) * values.shape[1], inner
    )


class Writer:
    """Write episodes into a new folder, then `finish` with the files that describe all of them.

    Data that grows with the number of episodes is on the disk, not in memory.
    """

    def __init__(self, folder: Path, spec: Spec) -> None:
        self.folder, self.spec = folder, spec
        self.features = features(spec)
        self.schema = _schema(self.features)
        self.rate = int(spec.rate) if spec.rate == int(spec.rate) else spec.rate
        self.frames = self.episodes = 0
        self.tasks: dict[str, int] = {}
        self.overall = statistics.Overall()
        self.listed = _Rows(folder / EPISODES_PATH)
        self.file_number = -1
        self.sink: BinaryIO | None = None
        self.parquet: Any = None

    def add(
        self, columns: dict[str, Array], images: dict[str, list[bytes]], shades: Array, task: str
    ) -> dict[str, int]:
        """Write one episode and return its place, as the format's metadata names it.

        columns: [T, ...] by feature, all except the images and the five that count rows. images:
        PNG by camera. shades: int64 [cameras, 3, 256], the count of each value.
        """
        count = len(next(iter(images.values())))
        steps = np.arange(count, dtype=np.int64)
        columns = columns | {
            "timestamp": (steps / self.rate).astype(np.float32),
            "frame_index": steps,
        }
        columns |= self._numbers(count, task)
        arrays = []
        for field in self.schema:
            camera = field.name.removeprefix("observation.images.")
            if camera in images and camera != field.name:
                png = pa.array(images[camera], pa.binary())
                names = pa.nulls(count, pa.string())
                arrays.append(pa.StructArray.from_arrays([png, names], fields=list(field.type)))
            else:
                arrays.append(_column(columns[field.name], field.type))
        told = statistics.of_columns(columns, self.features)
        told |= statistics.of_images(shades, self.spec)
        return self._write(pa.Table.from_arrays(arrays, schema=self.schema), task, told)

    def adopt(self, table: pa.Table, row: Mapping[str, Any]) -> dict[str, int]:
        """Write an episode of another dataset: its rows, and its row of the metadata."""
        (task,) = row["tasks"]
        told: statistics.Statistics = {name: {} for name in self.features}
        for key, value in row.items():
            if key.startswith("stats/"):
                _, name, what = key.split("/")
                told[name][what] = value
        for name, values in self._numbers(len(table), task).items():
            column = _column(values, self.schema.field(name).type)
            table = table.set_column(table.schema.get_field_index(name), name, column)
            moved = float(values[0]) - told[name]["min"][0]
            told[name] |= {
                k: [v[0] + moved] for k, v in told[name].items() if k not in ("std", "count")
            }
        return self._write(table.cast(self.schema), task, told)

    def _numbers(self, count: int, task: str) -> dict[str, Array]:
        """Return the counting columns of the next episode, continued from earlier episodes."""
        number = self.tasks.setdefault(task, len(self.tasks))
        return {
            "episode_index": np.full(count, self.episodes, np.int64),
            "index": np.arange(count, dtype=np.int64) + self.frames,
            "task_index": np.full(count, number, np.int64),
        }

    def _write(self, table: pa.Table, task: str, told: statistics.Statistics) -> dict[str, int]:
        if self.sink is None or self.sink.tell() >= FILE_MB * 2**20:
            self._next_file()
        self.parquet.write_table(table)
        chunk_index, file_index = divmod(self.file_number, CHUNK_FILES)
        place = {
            "data/chunk_index": chunk_index,
            "data/file_index": file_index,
            "dataset_from_index": self.frames,
            "dataset_to_index": self.frames + len(table),
        }
        self.listed.add(
            {"episode_index": self.episodes, "tasks": [task], "length": len(table)}
            | place
            | {f"stats/{name}/{k}": v for name, s in told.items() for k, v in s.items()}
            | {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
        )
        self.overall.add(told)
        self.frames += len(table)
        self.episodes += 1
        return place

    def finish(self, splits: dict[str, str]) -> None:
        """Close the data and write everything under `meta/`; splits as "first:last" episodes."""
        self.close()
        meta = self.folder / "meta"
        self.listed.close()
        write_parquet(self.folder / TASKS_PATH, _tasks(self.tasks))
        write_json(meta / "stats.json", self.overall.to_json(list(self.features)))
        info = {
            "codebase_version": VERSION,
            "robot_type": self.spec.name,
            "total_episodes": self.episodes,
            "total_frames": self.frames,
            "total_tasks": len(self.tasks),
            "chunks_size": CHUNK_FILES,
            "data_files_size_in_mb": FILE_MB,
            "video_files_size_in_mb": 200,
            "fps": self.rate,
            "splits": splits,
            "data_path": DATA_PATH,
            "video_path": None,
            "features": self.features,
        }
        write_json(meta / "info.json", info)
        write_text(self.folder / "README.md", CARD.format(title=self.spec.title, version=VERSION))

    def close(self) -> None:
        """Finish the open data file, if any."""
        if self.sink is not None:
            self.parquet.close()
            _sync(self.sink)
            self.sink.close()
            self.sink = None

    def _next_file(self) -> None:
        self.close()
        self.file_number += 1
        chunk_index, file_index = divmod(self.file_number, CHUNK_FILES)
        path = self.folder / DATA_PATH.format(chunk_index=chunk_index, file_index=file_index)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.sink = path.open("wb")
        self.parquet = pq.ParquetWriter(
            self.sink,
            self.schema,
            compression="snappy",
            use_dictionary=_repeating(self.schema),
            write_page_checksum=True,
        )


class _Rows:
    """A Parquet file that grows by rows, with few rows in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        self.sink: BinaryIO | None = None
        self.parquet: Any = None

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if len(self.rows) >= ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        schema = self.parquet.schema if self.parquet else None
        table = pa.Table.from_pylist(self.rows, schema)
        if self.sink is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.sink = self.path.open("wb")
            self.parquet = pq.ParquetWriter(self.sink, table.schema, write_page_checksum=True)
        self.parquet.write_table(table)
        self.rows = []

    def close(self) -> None:
        if self.rows or self.sink is None:
            self._flush()
        assert self.sink is not None
        self.parquet.close()
        _sync(self.sink)
        self.sink.close()


def _tasks(tasks: dict[str, int]) -> pa.Table:
    """Make the task table; its readers find tasks by pandas index, so name that index."""
    described = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [
            {"name": n, "field_name": n, "pandas_type": p, "numpy_type": t, "metadata": None}
            for n, p, t in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
        ],
        "pandas_version": "2.2.0",
    }
    table = pa.table({"task_index": list(tasks.values()), "task": list(tasks)})
    return table.replace_schema_metadata({"pandas": json.dumps(described)})


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write a table and wait until it is on the disk."""
    with path.open("wb") as sink:
        pq.write_table(table, sink, write_page_checksum=True)
        _sync(sink)


def write_json(path: Path, values: Any) -> None:
    """Write JSON and wait until it is on the disk."""
    write_text(path, json.dumps(values, indent=4, ensure_ascii=False))


def write_text(path: Path, text: str) -> None:
    """Write text and wait until it is on the disk."""
    with path.open("wb") as sink:
        sink.write(text.encode())
        _sync(sink)


def _sync(sink: BinaryIO) -> None:
    sink.flush()
    os.fsync(sink.fileno())
