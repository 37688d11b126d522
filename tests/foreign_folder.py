"""Write small LeRobotDataset v3 folders as LeRobot's own writer lays them out.

After huggingface/lerobot: datasets/dataset_writer.py, dataset_metadata.py, io_utils.py and
video_utils.py. Episodes follow one another in few Parquet files, images lie in them as structs of
bytes and path, and videos hold several episodes each.
"""

from __future__ import annotations

import io
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

RATE = 10
SIZES = {"front": (48, 64), "wrist": (20, 32)}
JOINTS = ["shoulder_pan.pos", "elbow.pos", "gripper.pos"]
PER_FILE = 7  # episodes


def features(video: bool, reward: bool) -> dict[str, dict[str, Any]]:
    """Return the feature table: the first camera tells its channels last, the second first."""
    kind = "video" if video else "image"
    table: dict[str, dict[str, Any]] = {
        "action": {"dtype": "float32", "shape": [3], "names": JOINTS},
        "observation.state": {"dtype": "float32", "shape": [3], "names": {"motors": JOINTS}},
        "observation.images.front": {
            "dtype": kind, "shape": [*SIZES["front"], 3], "names": ["height", "width", "channels"],
        },
        "observation.images.wrist": {
            "dtype": kind, "shape": [3, *SIZES["wrist"]], "names": ["channels", "height", "width"],
        },
        "observation.touch": {"dtype": "float32", "shape": [4, 5], "names": None},
        "observation.effort": {"dtype": "float64", "shape": [2], "names": None},
        "subtask": {"dtype": "string", "shape": [1], "names": None},
        "timestamp": {"dtype": "float32", "shape": [1], "names": None},
    }  # fmt: skip
    if reward:
        table["next.reward"] = {"dtype": "float32", "shape": [1], "names": None}
        table["next.done"] = {"dtype": "bool", "shape": [1], "names": None}
    for name in ("frame_index", "episode_index", "index", "task_index"):
        table[name] = {"dtype": "int64", "shape": [1], "names": None}
    return table


def picture(camera: str, episode: int, frame: int) -> np.ndarray:
    """Return uint8 [H, W, 3]: a smooth background, and a light bar that moves."""
    height, width = SIZES[camera]
    y, x = np.mgrid[:height, :width]
    shade = 60 + 80 * x / width + 40 * y / height
    out = np.repeat(shade[..., None], 3, 2)
    out[:, (frame * 2 + episode) % (width - 4) :][:, :4] = (240, 200, 40 + 10 * episode)
    return out.astype(np.uint8)


def columns(episode: int, steps: int, first: int) -> dict[str, np.ndarray]:
    """Return the numbers of one episode."""
    t = np.arange(steps)
    action = np.stack([np.sin(t / 5 + i + episode) * (i + 1) for i in range(3)], 1)
    return {
        "action": action.astype(np.float32),
        "observation.state": np.cumsum(action, 0).astype(np.float32) / 10,
        "observation.touch": np.outer(t, np.ones(20)).reshape(steps, 4, 5).astype(np.float32),
        "observation.effort": np.stack([t * 0.5, -t * 0.25], 1),
        "timestamp": (t / RATE).astype(np.float32),
        "next.reward": (t % 4 == 3).astype(np.float32),
        "next.done": (t == steps - 1) & (episode % 2 == 0),
        "frame_index": t,
        "episode_index": np.full(steps, episode),
        "index": t + first,
        "task_index": np.zeros(steps, np.int64),
    }


def write(
    folder: Path,
    episodes: int = 12,
    steps: int = 20,
    *,
    video: bool = False,
    reward: bool = True,
    groups: bool = True,
    splits: dict[str, str] | None = None,
) -> Path:
    """Write a dataset; with `groups`, one row group for each episode, as newer versions do."""
    table = features(video, reward)
    rows, seen = [], {name: [] for name in table}
    films: dict[tuple[str, int], Any] = {}
    for file in range(-(-episodes // PER_FILE)):
        tables = []
        for episode in range(file * PER_FILE, min(episodes, (file + 1) * PER_FILE)):
            numbers = columns(episode, steps, episode * steps)
            tables.append(_table(numbers, table, episode, steps))
            for name in seen:
                if name in numbers:
                    seen[name].append(numbers[name])
            row = {"episode_index": episode, "tasks": ["pick the bar"], "length": steps}
            row |= {"data/chunk_index": 0, "data/file_index": file}
            row |= {
                "dataset_from_index": episode * steps,
                "dataset_to_index": (episode + 1) * steps,
            }
            if video:
                for camera in SIZES:
                    column = f"videos/observation.images.{camera}"
                    row |= {f"{column}/chunk_index": 0, f"{column}/file_index": file}
                    start = (episode - file * PER_FILE) * steps / RATE
                    row[f"{column}/from_timestamp"] = start
                    row[f"{column}/to_timestamp"] = start + steps / RATE
                    frames = [picture(camera, episode, t) for t in range(steps)]
                    films.setdefault((camera, file), []).extend(frames)
            row |= {"stats/action/min": numbers["action"].min(0).tolist()}
            rows.append(row | {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0})
        path = folder / f"data/chunk-000/file-{file:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(path, tables[0].schema, compression="snappy") as writer:
            for one in tables if groups else [pa.concat_tables(tables).combine_chunks()]:
                writer.write_table(one)
    for (camera, file), frames in films.items():
        _film(folder / f"videos/observation.images.{camera}/chunk-000/file-{file:03d}.mp4", frames)
    meta = folder / "meta"
    (meta / "episodes/chunk-000").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), meta / "episodes/chunk-000/file-000.parquet")
    pq.write_table(pa.table({"task_index": [0], "task": ["pick the bar"]}), meta / "tasks.parquet")
    (meta / "stats.json").write_text(json.dumps(_stats(seen, table)))
    info = {
        "codebase_version": "v3.0", "robot_type": "arm", "fps": RATE, "features": table,
        "total_episodes": episodes, "total_frames": episodes * steps, "total_tasks": 1,
        "chunks_size": 1000, "data_files_size_in_mb": 100, "video_files_size_in_mb": 200,
        "splits": splits or {"train": f"0:{episodes}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    }  # fmt: skip
    (meta / "info.json").write_text(json.dumps(info, indent=4))
    return folder


def _table(numbers: dict[str, np.ndarray], table: dict[str, Any], episode: int, steps: int) -> Any:
    made = {}
    for name, feature in table.items():
        if feature["dtype"] == "video":
            continue
        if feature["dtype"] == "image":
            camera = name.rpartition(".")[2]
            images = [_png(picture(camera, episode, t)) for t in range(steps)]
            kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
            told = [{"bytes": b, "path": f"frame-{t:06d}.png"} for t, b in enumerate(images)]
            made[name] = pa.array(told, kind)
        elif feature["dtype"] == "string":
            made[name] = pa.array(["reach"] * steps)
        else:
            kind = pa.from_numpy_dtype(np.dtype(feature["dtype"]))
            shape = feature["shape"]
            if len(shape) == 1 and shape != [1]:
                kind = pa.list_(kind, shape[0])
            elif len(shape) == 2:
                kind = pa.list_(pa.list_(kind))
            made[name] = pa.array(numbers[name].tolist(), kind)
    return pa.table(made)


def _png(frame: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(frame).save(out, "PNG")
    return out.getvalue()


def _film(path: Path, frames: list[np.ndarray]) -> None:
    """Write an mp4 as LeRobot does: AV1, with a key frame at every second frame."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        options = {"g": "2", "crf": "20", "preset": "12"}
        stream = container.add_stream("libsvtav1", Fraction(RATE), options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def _stats(seen: dict[str, list[np.ndarray]], table: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, parts in seen.items():
        if parts:
            values = np.concatenate(parts).astype(np.float64)
            values = values.reshape(len(values), *table[name]["shape"])
            figures = {key: getattr(values, key)(axis=0) for key in ("min", "max", "mean", "std")}
            told[name] = {key: value.tolist() for key, value in figures.items()}
            told[name]["count"] = [len(values)]
        elif table[name]["dtype"] in ("image", "video"):
            told[name] = {key: [[[0.5]]] * 3 for key in ("min", "max", "mean", "std")}
    return told
