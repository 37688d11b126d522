"""The files of LeRobotDataset v3.0, written directly: Parquet with PNG images, and `meta/`.

Layout and names follow the format's own writer (huggingface/lerobot: datasets/dataset_writer.py,
dataset_metadata.py, feature_utils.py, compute_stats.py), so its consumers read what we write:
one row group an episode, Hugging Face `datasets` features in each file's schema, statistics of
every feature for each episode and overall. Images are true-colour PNG, exact to the pixel.
"""

from __future__ import annotations

import json
import math
import os
import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sims.contract import Spec

Array = NDArray[Any]

VERSION = "v3.0"
CHUNK_FILES = 1000  # most files in one chunk folder
FILE_MB = 100  # a data file that has grown to this is followed by a new one
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
EPISODES_PATH = "meta/episodes/chunk-000/file-000.parquet"
QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
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
    if spec.sensors:
        values = state_names(spec.to_json()["sensors"])
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


def state_names(sensors: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name each component of `observation.state`: all sensors of a spec, as JSON, flattened."""
    names = []
    for sensor in sensors:
        name, size = sensor["name"], math.prod(sensor["shape"])
        names += [name] if size == 1 else [f"{name}.{i}" for i in range(size)]
    return names


def _schema(table: Features) -> pa.Schema:
    """Make the Arrow schema, with the `datasets` features that the format's readers look for."""
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


def _arrow(dtype: str) -> pa.DataType:
    return pa.bool_() if dtype == "bool" else pa.from_numpy_dtype(np.dtype(dtype))


def _column(values: Array, kind: pa.DataType) -> pa.Array:
    """Turn an array [T, ...] into an Arrow array of `kind` without touching single rows."""
    if values.ndim == 1 or (values[0].size == 1 and not pa.types.is_list(kind)):
        return pa.array(np.ascontiguousarray(values).reshape(len(values)), kind)
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), kind.list_size)
    inner = _column(values.reshape(-1, *values.shape[2:]), kind.value_type)
    return pa.ListArray.from_arrays(
        np.arange(len(values) + 1, dtype=np.int32) * values.shape[1], inner
    )


class Writer:
    """Write episodes into a new folder, then `finish` with what describes them all."""

    def __init__(self, folder: Path, spec: Spec) -> None:
        self.folder, self.spec = folder, spec
        self.features = features(spec)
        self.schema = _schema(self.features)
        self.rate = int(spec.rate) if spec.rate == int(spec.rate) else spec.rate
        self.frames = 0
        self.episodes: list[dict[str, Any]] = []
        self.tasks: dict[str, int] = {}
        self.file_number = -1
        self.sink: BinaryIO | None = None
        self.parquet: Any = None

    def add(
        self, columns: dict[str, Array], images: dict[str, list[bytes]], shades: Array, task: str
    ) -> dict[str, int]:
        """Write one episode and return where it lies, as the format's metadata names it.

        columns: [T, ...] by feature, all but the images and the five that count rows. images:
        PNG by camera. shades: int64 [cameras, 3, 256], how often each value was seen.
        """
        count = len(next(iter(images.values())))
        episode = len(self.episodes)
        steps = np.arange(count, dtype=np.int64)
        task_index = self.tasks.setdefault(task, len(self.tasks))
        columns = columns | {
            "timestamp": (steps / self.rate).astype(np.float32),
            "frame_index": steps,
            "episode_index": np.full(count, episode, np.int64),
            "index": steps + self.frames,
            "task_index": np.full(count, task_index, np.int64),
        }
        if self.sink is None or self.sink.tell() >= FILE_MB * 2**20:
            self._next_file()
        arrays = []
        for field in self.schema:
            camera = field.name.removeprefix("observation.images.")
            if camera in images and camera != field.name:
                png = pa.array(images[camera], pa.binary())
                names = pa.nulls(count, pa.string())
                arrays.append(pa.StructArray.from_arrays([png, names], fields=list(field.type)))
            else:
                arrays.append(_column(columns[field.name], field.type))
        self.parquet.write_table(pa.Table.from_arrays(arrays, schema=self.schema))

        chunk_index, file_index = divmod(self.file_number, CHUNK_FILES)
        place = {
            "data/chunk_index": chunk_index,
            "data/file_index": file_index,
            "dataset_from_index": self.frames,
            "dataset_to_index": self.frames + count,
        }
        self.frames += count
        statistics = _numbers(columns, self.features) | _shades(shades, self.spec)
        self.episodes.append(
            {"episode_index": episode, "tasks": [task], "length": count}
            | place
            | {f"stats/{name}/{k}": v for name, s in statistics.items() for k, v in s.items()}
            | {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
        )
        return place

    def finish(self, splits: dict[str, str]) -> None:
        """Close the data and write everything under `meta/`; splits as "first:last" episodes."""
        self.close()
        meta = self.folder / "meta"
        (self.folder / EPISODES_PATH).parent.mkdir(parents=True)
        write_parquet(self.folder / EPISODES_PATH, pa.Table.from_pylist(self.episodes))
        write_parquet(meta / "tasks.parquet", _tasks(self.tasks))
        write_json(meta / "stats.json", _overall(self.episodes, self.features))
        info = {
            "codebase_version": VERSION,
            "robot_type": self.spec.name,
            "total_episodes": len(self.episodes),
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
        self.parquet = pq.ParquetWriter(self.sink, self.schema, compression="snappy")


def _numbers(columns: dict[str, Array], table: Features) -> dict[str, dict[str, Any]]:
    """Describe one episode's numeric columns, all in one matrix because sorting is dear."""
    names = [name for name in table if name in columns]
    flat = [columns[name].reshape(len(columns[name]), -1) for name in names]
    matrix = np.sort(np.concatenate(flat, axis=1, dtype=np.float64, casting="unsafe"), axis=0)
    rows = {
        "min": matrix[0],
        "max": matrix[-1],
        "mean": matrix.mean(axis=0),
        "std": matrix.std(axis=0),
    }
    for name, share in QUANTILES.items():
        place = share * (len(matrix) - 1)
        low = matrix[int(place)]
        high = matrix[min(int(place) + 1, len(matrix) - 1)]
        rows[name] = low + (high - low) * (place - int(place))
    out: dict[str, dict[str, Any]] = {}
    start = 0
    for name, part in zip(names, flat, strict=True):
        stop = start + part.shape[1]
        shape = table[name]["shape"]
        out[name] = {k: row[start:stop].reshape(shape).tolist() for k, row in rows.items()}
        out[name]["count"] = [len(matrix)]
        start = stop
    return out


def _shades(shades: Array, spec: Spec) -> dict[str, dict[str, Any]]:
    """Describe one episode's images by the histograms of their channels, in 0..1."""
    out = {}
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
        out[f"observation.images.{camera.name}"] = stats
    return out


def _overall(episodes: list[dict[str, Any]], table: Features) -> dict[str, dict[str, Any]]:
    """Combine the statistics of all episodes, as the format's own aggregation does."""
    out: dict[str, dict[str, Any]] = {}
    for name in table:

        def every(key: str, name: str = name) -> Array:
            return np.array([episode[f"stats/{name}/{key}"] for episode in episodes])

        counts = every("count")[:, 0]
        means, deviations = every("mean"), every("std")
        weights = (counts / counts.sum()).reshape(-1, *[1] * (means.ndim - 1))
        mean = (weights * means).sum(axis=0)
        spread = (weights * (deviations**2 + (means - mean) ** 2)).sum(axis=0)
        rows = {
            "min": every("min").min(axis=0),
            "max": every("max").max(axis=0),
            "mean": mean,
            "std": np.sqrt(spread),
        }
        rows |= {key: (weights * every(key)).sum(axis=0) for key in QUANTILES}
        out[name] = {key: row.tolist() for key, row in rows.items()}
        out[name]["count"] = [int(counts.sum())]
    return out


def _tasks(tasks: dict[str, int]) -> pa.Table:
    """Make the task table; its readers look tasks up by pandas index, so name that index."""
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
        pq.write_table(table, sink)
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


# Images. Flat pixel art packs best unfiltered, and level 1 is three times as fast as the rest.

_MAGIC = b"\x89PNG\r\n\x1a\n"
_END = b"\0\0\0\0IEND\xaeB`\x82"
_IDAT = zlib.crc32(b"IDAT")


def _head(height: int, width: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return _MAGIC + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def encode_png(frames: Array) -> list[bytes]:
    """Encode uint8 [N, H, W, 3] as N true-colour PNG images."""
    n, height, width, _ = frames.shape
    raw = np.zeros((n, height, 1 + 3 * width), np.uint8)
    raw[:, :, 1:] = frames.reshape(n, height, 3 * width)
    head = _head(height, width)
    images = []
    for picture in raw:
        data = zlib.compress(picture, 1)
        crc = zlib.crc32(data, _IDAT)
        images.append(
            b"".join(
                (head, struct.pack(">I", len(data)), b"IDAT", data, struct.pack(">I", crc), _END)
            )
        )
    return images


def decode_png(images: list[bytes], height: int, width: int) -> Array:
    """Decode images that `encode_png` wrote: uint8 [N, H, W, 3]; ValueError for any other."""
    head = _head(height, width)
    if not all(image.startswith(head) and image.endswith(_END) for image in images):
        raise ValueError(f"not {width}x{height} PNG images of the kind that wmsite writes")
    try:
        raw = b"".join([zlib.decompress(memoryview(image)[41:-16]) for image in images])
    except zlib.error as error:
        raise ValueError(f"a damaged image ({error})") from error
    rows = np.frombuffer(raw, np.uint8).reshape(len(images), height, 1 + 3 * width)
    return rows[:, :, 1:].reshape(len(images), height, width, 3)
