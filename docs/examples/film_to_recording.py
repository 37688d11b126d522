"""Make a recording of pictures and controls.

Run: python film_to_recording.py PICTURES CONTROLS OUT RATE

PICTURES is a folder with one picture for each step, in the order of their names. CONTROLS is a CSV
file with a row for each picture: `take`, the number of its episode, and one column for each
control. A row's controls are those that lead from its picture to the next one. RATE is the number
of pictures a second. OUT becomes a LeRobotDataset v3. Needs numpy, pillow and pyarrow.
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

CAMERA = "observation.images.camera"


def main(pictures: Path, controls: Path, out: Path, rate: float) -> None:
    """Write the folder `out`."""
    files = sorted(file for file in pictures.iterdir() if not file.name.startswith("."))
    with controls.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    if len(rows) != len(files):
        sys.exit(f"{controls}: {len(rows)} rows, and {len(files)} pictures in {pictures}")
    names = [name for name in rows[0] if name != "take"]
    action = np.array([[float(row[name]) for name in names] for row in rows], np.float32)
    takes = [row["take"] for row in rows]
    first = [i for i in range(len(rows)) if i == 0 or takes[i] != takes[i - 1]]
    length = np.diff([*first, len(rows)])
    episode = np.repeat(np.arange(len(first)), length)
    frame = np.concatenate([np.arange(n) for n in length])

    shown = [{"bytes": file.read_bytes(), "path": file.name} for file in files]
    width, height = Image.open(files[0]).size
    table = pa.table({
        CAMERA: pa.array(shown, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        "action": pa.array(action.tolist(), pa.list_(pa.float32(), len(names))),
        "timestamp": (frame / rate).astype(np.float32),
        "frame_index": frame,
        "episode_index": episode,
        "index": np.arange(len(rows)),
        "task_index": np.zeros(len(rows), np.int64),
    })  # fmt: skip
    write(table, out / "data/chunk-000/file-000.parquet")
    write(pa.table({
        "episode_index": np.arange(len(first)),
        "tasks": [["film"]] * len(first),
        "length": length,
        "data/chunk_index": np.zeros(len(first), np.int64),
        "data/file_index": np.zeros(len(first), np.int64),
        "dataset_from_index": np.array(first),
        "dataset_to_index": np.array(first) + length,
    }), out / "meta/episodes/chunk-000/file-000.parquet")  # fmt: skip
    write(pa.table({"task_index": [0], "task": ["film"]}), out / "meta/tasks.parquet")
    of = {key: getattr(action, key)(axis=0).tolist() for key in ("min", "max", "mean", "std")}
    told = json.dumps({"action": of | {"count": [len(rows)]}})
    (out / "meta/stats.json").write_text(told, encoding="utf-8")
    one = {"shape": [1], "names": None}
    integers = ("frame_index", "episode_index", "index", "task_index")
    info = {
        "codebase_version": "v3.0",
        "fps": rate,
        "total_episodes": len(first),
        "total_frames": len(rows),
        "splits": {"train": f"0:{len(first)}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "features": {
            "action": {"dtype": "float32", "shape": [len(names)], "names": names},
            CAMERA: {
                "dtype": "image",
                "shape": [height, width, 3],
                "names": ["height", "width", "channels"],
            },
            "timestamp": {"dtype": "float32", **one},
            **{name: {"dtype": "int64", **one} for name in integers},
        },
    }
    (out / "meta/info.json").write_text(json.dumps(info, indent=1), encoding="utf-8")


def write(table: pa.Table, file: Path) -> None:
    """Write a Parquet file, and its folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
