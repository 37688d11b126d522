"""A LeRobotDataset that another tool recorded: read, made ours, and refused where it is damaged."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import foreign_folder as lerobot
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from builder.project.cache import tree_hash
from sims import bindings
from sims.errors import UserError
from training.data import verify
from training.data.dataset import Dataset
from training.data.foreign.convert import convert
from training.data.foreign.folder import Foreign, Part
from training.data.foreign.frames import fitted

no_av = importlib.util.find_spec("av") is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lerobot.write(tmp_path_factory.mktemp("foreign") / "arm")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "arm"))


def shown(frames: Any, row: int, camera: int, name: str) -> np.ndarray:
    height, width = lerobot.SIZES[name]
    return np.asarray(frames[row])[camera, :height, :width]


def test_the_spec_says_what_the_folder_holds(folder: Path) -> None:
    spec = Foreign(folder, "arm").spec
    assert spec.to_json()["name"] == "arm" and spec.rate == lerobot.RATE
    assert [(c.name, c.height, c.width) for c in spec.cameras] == [
        ("front", 48, 64), ("wrist", 20, 32),
    ]  # fmt: skip
    assert [axis.name for axis in spec.axes] == ["shoulder_pan_pos", "elbow_pos", "gripper_pos"]
    values = np.concatenate([lerobot.columns(e, 20, 0)["action"] for e in range(12)])
    for axis, low, high in zip(spec.axes, values.min(0), values.max(0), strict=True):
        assert (axis.low, axis.high) == pytest.approx((low, high)) and axis.low <= axis.neutral
    names = ["shoulder_pan_pos", "elbow_pos", "gripper_pos", "touch", "effort"]
    assert [(s.name, s.shape) for s in spec.sensors] == [
        (n, shape) for n, shape in zip(names, [(1,), (1,), (1,), (4, 5), (2,)], strict=True)
    ]
    assert [s.show for s in spec.sensors] == ["gauge"] * 3 + ["", ""]
    assert (spec.scenarios, spec.behaviours) == (("recorded",), ("recorded",))
    assert spec.events == spec.chance == () and spec.max_steps == 20
    assert bindings.problem(spec) == "" and Foreign(folder, "arm").left_out == ["subtask"]


@pytest.mark.slow
@pytest.mark.parametrize("groups", [True, False])
@pytest.mark.parametrize("reward", [True, False])
def test_it_becomes_a_dataset_of_ours(tmp_path: Path, groups: bool, reward: bool) -> None:
    folder = lerobot.write(tmp_path / "arm", groups=groups, reward=reward)
    before = tree_hash([folder], tmp_path)
    made = convert(Foreign(folder, "arm"), tmp_path / "out", "arm")
    assert tree_hash([folder], tmp_path) == before
    dataset = Dataset.open(made)
    assert verify.everything(Dataset.open(made, skip_bad=True)) == []
    assert {s: len(dataset.query(split=s).episodes) for s in ("train", "val", "test")} == {
        "train": 10, "val": 1, "test": 1,
    }  # fmt: skip
    loaded = dataset.load("test", rgb=True)
    assert loaded.frames.shape == (20, 2, 48, 64, 3)
    truth = lerobot.columns(9, 20, 0)
    for row in (0, 7, 19):
        assert np.array_equal(
            shown(loaded.frames, row, 0, "front"), lerobot.picture("front", 9, row)
        )
        assert np.array_equal(
            shown(loaded.frames, row, 1, "wrist"), lerobot.picture("wrist", 9, row)
        )
        assert not np.asarray(loaded.frames[row])[1, 20:].any()
    assert np.array_equal(loaded.actions, truth["action"])
    assert np.array_equal(np.ravel(loaded.sensors["elbow_pos"]), truth["observation.state"][:, 1])
    assert np.array_equal(np.asarray(loaded.sensors["touch"][:]), truth["observation.touch"])
    assert np.array_equal(loaded.rewards, truth["next.reward"] * reward)
    assert np.array_equal(loaded.dones, truth["next.done"] & reward)
    ended = dataset.episodes["ended"][np.argsort(dataset.episodes["seed"])]
    assert list(ended[:2]) == (["terminated", "truncated"] if reward else ["truncated"] * 2)


def test_large_frames_are_made_smaller(folder: Path, tmp_path: Path) -> None:
    assert fitted(480, 640, 96) == (72, 96) and fitted(720, 1280, 96) == (56, 96)
    assert fitted(96, 50, 96) == (96, 50) and fitted(4000, 10, 96) == (96, 8)
    foreign = Foreign(folder, "arm", side=32)
    made = Dataset.open(convert(foreign, tmp_path, "arm")).load("val", rgb=True)
    assert made.frames.shape == (20, 2, 24, 32, 3)
    whole = lerobot.picture("front", 8, 3).astype(float)
    mean = whole.reshape(24, 2, 32, 2, 3).mean((1, 3))
    assert np.abs(np.asarray(made.frames[3])[0].astype(float) - mean).max() <= 1


def test_the_guides_script_makes_a_recording_of_a_film(tmp_path: Path) -> None:
    shown = [lerobot.picture("front", take, t) for take in range(3) for t in range(6)]
    (tmp_path / "film").mkdir()
    for k, one in enumerate(shown):
        Image.fromarray(one).save(tmp_path / f"film/{k:05d}.png")
    rows = [f"{k // 6},{k % 6 / 5},{-k}" for k in range(len(shown))]
    (tmp_path / "controls.csv").write_text("\n".join(["take,steer,gas", *rows]))
    script = Path(__file__).parents[2] / "docs/examples/film_to_recording.py"
    asked = ["film", "controls.csv", "tape", "10"]
    subprocess.run([sys.executable, str(script), *asked], cwd=tmp_path, check=True)
    found = Foreign(tmp_path / "tape", "tape")
    assert not found.faults()
    assert [axis.name for axis in found.axes] == ["steer", "gas"]
    parts = [*found.parts([0, 1, 2])]
    told = np.concatenate([part.columns["action"] for part in parts if isinstance(part, Part)])
    assert np.allclose(told[:, 0], [k % 6 / 5 for k in range(18)])
    assert told[:, 1].tolist() == [-k for k in range(18)]
    frames = [part.frames["camera"] for part in parts if isinstance(part, Part)]
    assert np.array_equal(np.concatenate(frames), shown)


def test_splits_are_whole_episodes(tmp_path: Path) -> None:
    told = {"train": "0:4", "validation": "4:6", "test": "6:8"}
    few = Foreign(lerobot.write(tmp_path / "few", 4, 5), "few")
    assert few.splits == {"train": [0, 1], "val": [2], "test": [3]}
    said = Foreign(lerobot.write(tmp_path / "said", 8, 5, splits=told), "said")
    assert said.splits == {"train": [0, 1, 2, 3], "val": [4, 5], "test": [6, 7]}
    half = {"train": "0:6", "test": "6:8"}
    one = Foreign(lerobot.write(tmp_path / "one", 8, 5, splits=half), "one")
    assert one.splits == {"train": [0, 1, 2, 3, 4], "test": [6, 7], "val": [5]}
    with pytest.raises(UserError, match="it has 2 episodes, and at least 3 are needed"):
        Foreign(lerobot.write(tmp_path / "two", 2, 5), "two")


@pytest.mark.skipif(no_av, reason="PyAV reads videos, and is not installed: pip install av==15.1.0")
def test_videos_are_read_frame_by_frame(tmp_path: Path) -> None:
    folder = lerobot.write(tmp_path / "arm", video=True)
    made = Dataset.open(convert(Foreign(folder, "arm"), tmp_path / "out", "arm"))
    for split, episode in (("val", 8), ("test", 9)):  # Neither is the first of its file.
        loaded = made.load(split, rgb=True)
        for row in range(20):
            near = [
                np.abs(
                    shown(loaded.frames, row, 0, "front").astype(float)
                    - lerobot.picture("front", episode, t)
                ).mean()
                for t in range(20)
            ]
            assert int(np.argmin(near)) == row and min(near) < 8
    cut = folder / "videos/observation.images.wrist/chunk-000/file-001.mp4"
    cut.write_bytes(cut.read_bytes()[:600])
    (fault, *_) = Foreign(folder, "arm").faults()
    assert str(fault).startswith("videos/observation.images.wrist/chunk-000/file-001.mp4: ")
    cut.unlink()
    assert "file-001.mp4: episode 7: is missing" in str(Foreign(folder, "arm").faults()[0])


def test_videos_without_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    info = folder / "meta/info.json"
    copy = Path(shutil.copytree(folder, tmp_path / "arm"))
    told = json.loads(info.read_text())
    told["features"]["observation.images.front"]["dtype"] = "video"
    (copy / "meta/info.json").write_text(json.dumps(told))
    path = copy / "meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    for name in ("chunk_index", "file_index", "from_timestamp"):
        column = pa.array(np.zeros(len(table), float if name[:2] == "fr" else np.int64))
        table = table.append_column(f"videos/observation.images.front/{name}", column)
    pq.write_table(table, path)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"PyAV.*not installed. Run: pip install av==\d") as error:
        convert(Foreign(copy, "arm"), tmp_path / "out", "arm")
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def change(column: str, episode: int, make: Callable[[list[Any]], list[Any]]) -> Any:
    def apply(folder: Path) -> None:
        path = folder / "data/chunk-000/file-000.parquet"
        table = pq.read_table(path)
        field = table.schema.field(column)
        values = table[column].to_pylist()
        values[episode * 20 : episode * 20 + 20] = make(values[episode * 20 : episode * 20 + 20])
        place = table.schema.get_field_index(column)
        pq.write_table(table.set_column(place, field, pa.array(values, field.type)), path)

    return apply


def info(**more: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "meta/info.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | more))

    return apply


def link(name: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / name
        path.rename(folder / "elsewhere")
        path.symlink_to(folder / "elsewhere")

    return apply


def drop(folder: Path) -> None:
    path = folder / "data/chunk-000/file-001.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["observation.touch"]), path)


def widen(folder: Path, count: int) -> None:
    told = json.loads((folder / "meta/info.json").read_text())
    told["features"]["action"]["shape"] = [count]
    (folder / "meta/info.json").write_text(json.dumps(told))
    stats = json.loads((folder / "meta/stats.json").read_text())
    stats["action"] = {key: [1.0] for key in ("min", "max", "mean")}
    (folder / "meta/stats.json").write_text(json.dumps(stats))


def nulls(folder: Path) -> None:
    path = folder / "meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    place = table.schema.get_field_index("data/file_index")
    values = pa.array([None, *table["data/file_index"].to_pylist()[1:]], pa.int64())
    pq.write_table(table.set_column(place, "data/file_index", values), path)


DATA, NEXT = "data/chunk-000/file-000.parquet", "data/chunk-000/file-001.parquet"
HUGE = "data/chunk-{chunk_index:0999999999d}/file-{file_index:03d}.parquet"
FAULTS: list[tuple[str, Callable[[Path], Any], str]] = [
    ("cut", lambda f: (f / DATA).write_bytes((f / DATA).read_bytes()[:5000]), f"{DATA}: can't be"),
    ("empty", lambda f: (f / NEXT).write_bytes(b""), f"{NEXT}: can't be read"),
    ("gone", lambda f: (f / NEXT).unlink(), f"{NEXT}: is missing"),
    ("column", drop, f"{NEXT}: column observation.touch is missing"),
    ("nan", change("action", 2, lambda v: [*v[:3], [np.nan, 0, 0], *v[4:]]),
     "action holds NaN or an infinity in episode 2, row 3"),
    ("time", change("timestamp", 1, lambda v: v[::-1]), "timestamp runs backwards in episode 1"),
    ("order", change("frame_index", 1, lambda v: v[::-1]), "frame_index doesn't count"),
    ("other", change("episode_index", 1, lambda v: [5] * 20), "episode_index doesn't count"),
    ("short", change("action", 1, lambda v: [*v[:-1], None]), "episode 1: action"),
    ("png", change("observation.images.front", 1, lambda v: [*v[1:], {"bytes": b"x" * 60}]),
     "episode 1: observation.images.front holds an image that can't be decoded"),
    ("lacks", change("observation.images.wrist", 0, lambda v: [*v[1:], None]),
     "episode 0: observation.images.wrist lacks an image"),
    ("size", change("observation.images.wrist", 0, lambda v: [
        *v[1:], {"bytes": lerobot._png(np.zeros((9, 32, 3), np.uint8))}]),
     "observation.images.wrist is 32 x 9; info.json tells 32 x 20"),
    ("link", link(DATA), "is a link, and only plain files are read"),
    ("way", link("data"), "is a link, and only plain files are read"),
    ("up", info(data_path="../other/file-{file_index:03d}.parquet"), "no plain file inside"),
    ("wide", info(data_path=HUGE), "no plain file inside|is missing"),
    ("old", info(codebase_version="v2.1"), "its format is 'v2.1', and wmsite reads 'v3.0'"),
    ("rate", info(fps=0), "fps is 0"),
    ("field", info(data_path="data/episode_{episode_index:06d}.parquet"), "unknown to v3.0"),
    ("components", lambda f: widen(f, 10**9), "is not read|are read"),
    ("null", nulls, "data/file_index lacks values"),
    ("rows", info(total_frames=239), "have 240 rows; info.json tells others"),
    ("none", info(features={}), "has no camera"),
    ("json", lambda f: (f / "meta/info.json").write_text("[" * 9999), "its meta can't be read"),
    ("list", lambda f: (f / "meta/info.json").write_text("[]"), "its meta can't be read"),
    ("stats", lambda f: (f / "meta/stats.json").write_text("{}"), "its meta can't be read"),
    ("absent", lambda f: (f / "meta/stats.json").unlink(), "its meta can't be read"),
    ("table", lambda f: (f / "meta/episodes/chunk-000/file-000.parquet").write_bytes(b"PAR1"),
     "its meta can't be read"),
    ("splits", info(splits={"train": "0:9", "val": "8:10", "test": "10:12"}), "is in two splits"),
    ("range", info(splits={"train": "0:9", "val": "9:10", "test": "10:99"}), "no range of its 12"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "said"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_damage_is_refused_by_name(
    copy: Path, tmp_path: Path, damage: Callable[[Path], Any], said: str
) -> None:
    damage(copy)
    with pytest.raises(UserError, match=said) as error:
        convert(Foreign(copy, "arm"), tmp_path / "out", "arm")
    assert "\n" not in str(error.value) and "Run: " in str(error.value)
    assert not [p for p in (tmp_path / "out").glob("*") if not p.name.endswith(".lock")]


def test_all_faults_are_listed(copy: Path) -> None:
    change("action", 2, lambda v: [*v[:3], [np.nan, 0, 0], *v[4:]])(copy)
    change("timestamp", 4, lambda v: v[::-1])(copy)
    (copy / NEXT).unlink()
    faults = Foreign(copy, "arm").faults()
    assert [fault.episodes for fault in faults] == [(2,), (4,), (7, 8, 9, 10, 11)]
