"""The recording against the format's written layout, its consumers and the sim itself."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import io
import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sims.breakout import Breakout
from sims.contract import Array, Axis, Camera, Sensor, Sim, Spec
from sims.errors import UserError
from training.data import episodes, lerobot, record, statistics
from training.data.dataset import Dataset
from training.evaluation.starts import HELD_OUT
from training.recipe import Recipe

SCREEN = "observation.images.screen"


def manifest(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path / "meta/wmsite/episodes.parquet").to_pylist()


def digest(path: Path) -> dict[str, str]:
    files = sorted(p for p in path.rglob("*") if p.is_file() and "decoded" not in p.parts)
    return {str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def with_data(recipe: Recipe, **changes: Any) -> Recipe:
    return dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, **changes))


def consumers_features(datasets: ModuleType, info: dict[str, Any]) -> Any:
    """What LeRobot's own reader makes of `info.json` before it opens the data with it."""
    out: dict[str, Any] = {}
    for name, feature in info["features"].items():
        shape, dtype = tuple(feature["shape"]), feature["dtype"]
        if dtype == "image":
            out[name] = datasets.Image()
        elif shape == (1,):
            out[name] = datasets.Value(dtype)
        elif len(shape) == 1:
            out[name] = datasets.Sequence(datasets.Value(dtype), length=shape[0])
        elif len(shape) == 2:
            out[name] = datasets.Array2D(shape=shape, dtype=dtype)
    return datasets.Features(out)


def read_as_consumers_do(datasets: ModuleType, path: Path, cache: Path) -> Any:
    info = json.loads((path / "meta/info.json").read_text())
    files = [str(p) for p in sorted((path / "data").glob("*/*.parquet"))]
    return datasets.Dataset.from_parquet(
        files, features=consumers_features(datasets, info), cache_dir=str(cache)
    )


def test_layout_is_the_formats(tiny_dataset: Path) -> None:
    info = json.loads((tiny_dataset / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0"
    assert info["data_path"] == "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
    assert info["video_path"] is None and info["fps"] == 30 and info["chunks_size"] == 1000
    assert info["features"][SCREEN] == {
        "dtype": "image",
        "shape": [64, 64, 3],
        "names": ["height", "width", "channels"],
    }
    assert info["features"]["action"]["names"] == ["noop", "left", "right"]
    for name in ("timestamp", "frame_index", "episode_index", "index", "task_index"):
        dtype = "float32" if name == "timestamp" else "int64"
        assert info["features"][name] == {"dtype": dtype, "shape": [1], "names": None}

    episodes = pq.read_table(tiny_dataset / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [e["episode_index"] for e in episodes] == list(range(info["total_episodes"]))
    assert sum(e["length"] for e in episodes) == info["total_frames"]
    tasks = pq.read_table(tiny_dataset / "meta/tasks.parquet")
    assert len(tasks) == info["total_tasks"]
    named = set(tasks["task"].to_pylist())
    row = 0
    for e in episodes:
        name = info["data_path"].format(
            chunk_index=e["data/chunk_index"], file_index=e["data/file_index"]
        )
        assert (tiny_dataset / name).exists()
        assert (e["dataset_from_index"], e["dataset_to_index"]) == (row, row + e["length"])
        assert (e["meta/episodes/chunk_index"], e["meta/episodes/file_index"]) == (0, 0)
        assert set(e["tasks"]) <= named
        row = e["dataset_to_index"]
    ranges = [tuple(map(int, span.split(":"))) for span in info["splits"].values()]
    assert list(info["splits"]) == ["train", "test", "val"]
    assert ranges[0][0] == 0 and ranges[-1][1] == info["total_episodes"]
    assert all(a[1] == b[0] for a, b in itertools.pairwise(ranges))


def test_statistics_are_those_of_the_data(tiny_dataset: Path) -> None:
    info = json.loads((tiny_dataset / "meta/info.json").read_text())
    stats = json.loads((tiny_dataset / "meta/stats.json").read_text())
    table = pq.read_table(tiny_dataset / "data")
    assert set(stats) == set(info["features"])
    for name, feature in info["features"].items():
        assert set(stats[name]) == {"min", "max", "mean", "std", "count", *statistics.QUANTILES}
        if feature["dtype"] == "image":
            assert np.shape(stats[name]["mean"]) == (3, 1, 1)
            continue
        values = np.array(table.column(name).to_pylist(), np.float64)
        values = values.reshape(len(values), *feature["shape"])
        np.testing.assert_allclose(stats[name]["min"], values.min(0))
        np.testing.assert_allclose(stats[name]["max"], values.max(0))
        np.testing.assert_allclose(stats[name]["mean"], values.mean(0), atol=1e-9)
        np.testing.assert_allclose(stats[name]["std"], values.std(0), atol=1e-6)
        assert stats[name]["count"] == [len(values)]

    # An episode's own figures, and the images of its every tenth frame.
    first = pq.read_table(tiny_dataset / "meta/episodes").slice(0, 1).to_pylist()[0]
    rows = table.slice(0, first["length"])
    action = np.array(rows.column("action").to_pylist())
    np.testing.assert_allclose(first["stats/action/q90"], np.quantile(action, 0.9, axis=0))
    images = [row["bytes"] for row in rows.column(SCREEN).to_pylist()[:: episodes.SAMPLE]]
    pixels = np.stack([np.array(Image.open(io.BytesIO(image))) for image in images]) / 255
    for key, value in (("mean", pixels.mean((0, 1, 2))), ("std", pixels.std((0, 1, 2)))):
        np.testing.assert_allclose(np.ravel(first[f"stats/{SCREEN}/{key}"]), value)
    assert first[f"stats/{SCREEN}/count"] == [len(images)]


def test_consumers_read_the_very_pixels_that_the_sim_drew(
    datasets: ModuleType, tiny_dataset: Path, tmp_path: Path
) -> None:
    data = read_as_consumers_do(datasets, tiny_dataset, tmp_path)
    rows = manifest(tiny_dataset)
    picked = [next(r for r in rows if r["ended"] == "terminated")]
    picked += [next(r for r in rows if r["scenario"] == s) for s in Breakout.spec.scenarios]
    for row in picked:
        part = data.select(range(row["dataset_from_index"], row["dataset_to_index"]))
        sim = Breakout(1)
        sim.reset(np.array([row["seed"]]), row["scenario"])
        frame = np.zeros((1, 1, 64, 64, 3), np.uint8)
        happened = []
        for t, item in enumerate(part):
            sim.render(frame)
            assert item[SCREEN].mode == "RGB"
            assert np.array_equal(np.array(item[SCREEN]), frame[0, 0])
            sensors = sim.sensors()
            assert np.array_equal(np.float32(item["observation.ball"]), sensors["ball"][0])
            state = np.concatenate([sensors[s.name][0] for s in sim.spec.sensors])
            assert np.array_equal(np.float32(item["observation.state"]), np.float32(state))
            assert np.float32(item["chance"]) == sim.draw()[0, 0]
            reward, done, _ = sim.step(
                np.array([np.argmax(item["action"])]), np.float32([[item["chance"]]])
            )
            assert (item["next.reward"], item["next.done"]) == (reward[0], done[0])
            assert (item["frame_index"], item["episode_index"]) == (t, row["episode_index"])
            assert item["timestamp"] == np.float32(t / 30)
            happened += [(name, t) for name, value in sim.events().items() if value[0]]
        events = pq.read_table(tiny_dataset / "meta/wmsite/events.parquet").to_pylist()
        noted = {
            (e["event"], e["frame_index"])
            for e in events
            if e["episode_index"] == row["episode_index"]
        }
        assert noted == set(happened)
        if row["ended"] == "terminated":  # and the frame that the end left is there
            assert part["next.done"][-3:] == [False, True, True]


def test_the_folder_loads_by_name_of_folder_alone(
    datasets: ModuleType, tiny_dataset: Path, tmp_path: Path
) -> None:
    data = datasets.load_dataset(str(tiny_dataset), cache_dir=str(tmp_path), split="train")
    info = json.loads((tiny_dataset / "meta/info.json").read_text())
    assert len(data) == info["total_frames"]
    assert data.features[SCREEN] == datasets.Image()
    tasks = importlib.import_module("pandas").read_parquet(tiny_dataset / "meta/tasks.parquet")
    assert len(tasks) == info["total_tasks"]
    told = pq.read_table(tiny_dataset / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    for row in told:
        assert all(task in tasks.index for task in row["tasks"])  # looked up by pandas index


def test_lerobot_itself_reads_it(tiny_dataset: Path) -> None:
    package = pytest.importorskip("lerobot.datasets.lerobot_dataset")
    data = package.LeRobotDataset("wmsite/breakout", root=tiny_dataset)
    table = pq.read_table(tiny_dataset / "data")
    assert len(data) == len(table)
    image = Image.open(io.BytesIO(table.column(SCREEN)[7].as_py()["bytes"]))
    assert np.array_equal(np.array(image), (data[7][SCREEN] * 255).round().permute(1, 2, 0).numpy())


def test_held_out_seeds_are_never_trained_on(tiny_dataset: Path, tiny_recipe: Recipe) -> None:
    rows = manifest(tiny_dataset)
    seeds = [row["seed"] for row in rows]
    assert len(set(seeds)) == len(seeds)
    assert min(seeds) >= 10**6 and max(seeds) < HELD_OUT
    total = sum(row["length"] for row in rows)
    for split, share in tiny_recipe.data.splits.items():
        steps = sum(row["length"] for row in rows if row["split"] == split)
        assert steps / total == pytest.approx(share, abs=0.03)


@pytest.mark.slow
def test_behaviours_get_their_shares_of_steps(tiny_recipe: Recipe, tmp_path: Path) -> None:
    shares = {"good": 3.0, "bad": 1.0, "random": 0.0}
    recipe = with_data(tiny_recipe, behaviours=shares, steps=6000, splits={"train": 1.0})
    rows = manifest(record.record(Breakout, recipe, tmp_path, "x"))
    steps = {b: sum(r["length"] for r in rows if r["behaviour"] == b) for b in shares}
    assert steps["random"] == 0
    assert steps["good"] / sum(steps.values()) == pytest.approx(0.75, abs=0.05)


@pytest.mark.slow
def test_the_same_recipe_gives_the_same_bytes(
    tiny_dataset: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    # Another order of the keys is the same recipe.
    splits = dict(reversed(tiny_recipe.data.splits.items()))
    again = record.record(Breakout, with_data(tiny_recipe, splits=splits), tmp_path, "again")
    assert {k: v for k, v in digest(again).items() if "recording" not in k} == {
        k: v for k, v in digest(tiny_dataset).items() if "recording" not in k
    }
    other = record.record(Breakout, dataclasses.replace(tiny_recipe, seed=4), tmp_path, "other")
    assert (
        digest(other)["data/chunk-000/file-000.parquet"]
        != digest(again)["data/chunk-000/file-000.parquet"]
    )
    before = (again / "meta/info.json").stat().st_mtime_ns
    record.record(Breakout, tiny_recipe, tmp_path, "again")
    assert (again / "meta/info.json").stat().st_mtime_ns == before  # what stands is left alone


def test_large_data_is_split_into_files(
    datasets: ModuleType, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lerobot, "FILE_MB", 0.2)
    monkeypatch.setattr(lerobot, "CHUNK_FILES", 2)
    path = record.record(Breakout, tiny_recipe, tmp_path, "x")
    files = sorted(str(p.relative_to(path / "data")) for p in (path / "data").glob("*/*.parquet"))
    assert files[:3] == [
        "chunk-000/file-000.parquet",
        "chunk-000/file-001.parquet",
        "chunk-001/file-000.parquet",
    ]
    data = read_as_consumers_do(datasets, path, tmp_path / "hf")
    assert data["index"] == list(range(len(data)))
    loaded = Dataset.open(path).load("val")
    rows = Dataset.open(path).query(split="val").rows
    shown = loaded.palette[loaded.frames[-1, 0]]
    assert np.array_equal(shown, np.array(data[int(rows[-1])][SCREEN]))


RECORDER = """
import dataclasses, json, sys
from pathlib import Path
from sims.breakout import Breakout
from training.recipe import from_json
from training.data.record import record
record(Breakout, from_json(json.loads(sys.argv[1])), Path(sys.argv[2]), "killed")
"""


@pytest.mark.slow
def test_a_killed_recorder_leaves_nothing_half_in_place(
    tiny_recipe: Recipe, tmp_path: Path
) -> None:
    from training.recipe import to_json

    long = json.dumps(to_json(with_data(tiny_recipe, steps=10**7, worlds=32)))
    process = subprocess.Popen(
        [sys.executable, "-c", RECORDER, long, str(tmp_path)], stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while not any(p.stat().st_size > 10**5 for p in tmp_path.rglob("*.parquet")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    left = [p.name for p in tmp_path.iterdir()]
    assert sorted(left) == [f".killed.{process.pid}", ".killed.lock"]
    record.record(Breakout, tiny_recipe, tmp_path, "killed")
    assert [p.name for p in tmp_path.iterdir()] == ["killed"]
    Dataset.open(tmp_path / "killed").load("val")


def test_a_full_disk_is_one_line_and_leaves_nothing(tiny_recipe: Recipe, tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # what a write beyond fails on
    try:
        with pytest.raises(UserError, match="can't be written to"):
            record.record(Breakout, tiny_recipe, tmp_path, "x")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert list(tmp_path.iterdir()) == []


class Drift(Sim):
    """A world unlike Breakout: two cameras, an axis, a matrix of sensors, any colour."""

    spec = Spec(
        name="drift",
        title="Drift",
        rate=12.5,
        cameras=(Camera("left", 8, 6), Camera("right", 8, 6)),
        axes=(Axis("steer", -1.0, 1.0, "1"), Axis("gas", 0.0, 1.0, "1")),
        sensors=(Sensor("grid", (2, 3), "float32", "m", 0, 1, "a grid"),),
    )

    def reset(self, seeds: Array, scenario: str = "default", where: Array | None = None) -> None:
        chosen = np.ones(self.worlds, np.bool_) if where is None else where
        for name in ("seed", "tick"):
            self.state.setdefault(name, np.zeros(self.worlds, np.int64))
        self.state["seed"][chosen] = seeds[chosen]
        self.state["tick"][chosen] = 0

    def step(self, actions: Array, chance: Array | None = None) -> tuple[Array, Array, Array]:
        self.state["tick"] += 1
        no = np.zeros(self.worlds, np.bool_)
        return np.ones(self.worlds, np.float32), no, self.state["tick"] >= 9

    def render(self, out: Array) -> None:
        noise = np.random.default_rng(self.state["tick"][0])
        out[:] = noise.integers(0, 256, out.shape)

    def draw(self) -> Array:
        return np.zeros((self.worlds, 0), np.float32)

    def sensors(self) -> dict[str, Array]:
        return {"grid": np.tile(np.arange(6, dtype=np.float32).reshape(2, 3), (self.worlds, 1, 1))}

    def act(self, behaviour: str) -> Array:
        return np.full((self.worlds, 2), 0.5, np.float32)


def test_any_sim_of_the_contract_is_recorded(
    datasets: ModuleType, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    recipe = with_data(tiny_recipe, steps=200, worlds=3, episode_steps=20)
    path = record.record(Drift, recipe, tmp_path, "drift")
    data = read_as_consumers_do(datasets, path, tmp_path / "hf")
    item = data[4]
    assert (item["action"], item["observation.grid"]) == ([0.5, 0.5], [[0, 1, 2], [3, 4, 5]])
    assert "chance" not in item
    assert {row["length"] for row in manifest(path) if row["ended"] == "truncated"} >= {9}
    frames = np.zeros((1, 2, 8, 6, 3), np.uint8)
    sim = Drift(1)
    sim.reset(np.zeros(1, np.int64))
    for _ in range(4):
        sim.step(np.zeros((1, 2)))
    sim.render(frames)
    rgb = Dataset.open(path, Drift.spec).load("train", rgb=True)
    assert rgb.frames.shape[1:] == (2, 8, 6, 3) and rgb.chances.shape[1:] == (0,)
    for i, name in enumerate(("left", "right")):
        image = np.array(item[f"observation.images.{name}"])
        assert np.array_equal(image, np.array(rgb.frames[4, i]))
    with pytest.raises(UserError, match="more than 256 colours"):
        Dataset.open(path).load("train")


@pytest.mark.parametrize(
    ("method", "broken", "said"),
    [
        ("step", lambda self, a, c=None: 1 / 0, r"test_record.py, line \d+\): ZeroDivisionError"),
        ("act", lambda self, b: np.full((self.worlds, 2), np.nan), "action holds NaN"),
        ("sensors", lambda self: {"grid": np.zeros((self.worlds, 2))}, "grid has shape"),
        ("sensors", lambda self: {}, "KeyError: 'grid'"),
    ],
)
def test_a_sim_that_fails_is_one_line_and_leaves_nothing(
    tiny_recipe: Recipe, tmp_path: Path, method: str, broken: Any, said: str
) -> None:
    failing = type("Failing", (Drift,), {method: broken, "__module__": Drift.__module__})
    with pytest.raises(UserError, match=said) as caught:
        record.record(failing, with_data(tiny_recipe, steps=100), tmp_path, "x")
    assert "world 'drift'" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_behaviour_that_the_sim_lacks_is_refused(tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = with_data(tiny_recipe, behaviours={"godo": 1.0})
    with pytest.raises(UserError, match="names 'godo'; the sim has good, bad, random, recovery"):
        record.record(Breakout, recipe, tmp_path, "x")
    assert list(os.scandir(tmp_path)) == []
