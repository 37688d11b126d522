"""Queries that never open a frame, and arrays that hold just what was recorded."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from test_record import SCREEN, Drift

from sims.breakout import EVENTS, PALETTE, Breakout
from sims.errors import UserError
from training.data.dataset import Arrays, Dataset
from training.data.images import encode_png


@pytest.fixture(scope="module")
def arrays(tiny_dataset: Path) -> Arrays:
    return Dataset.open(tiny_dataset, Breakout.spec).load("train")


def test_queries_open_no_frame(tiny_dataset: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_dataset, copy, ignore=shutil.ignore_patterns("data", "decoded"))
    assert not (copy / "data").exists()
    dataset = Dataset.open(copy, Breakout.spec)
    rows = pq.read_table(tiny_dataset / "meta/wmsite/episodes.parquet").to_pylist()

    found = dataset.query(split="val", behaviour="bad")
    wanted = [r for r in rows if (r["split"], r["behaviour"]) == ("val", "bad")]
    assert wanted and found.episodes.tolist() == [r["episode_index"] for r in wanted]
    assert len(found.rows) == sum(r["length"] for r in wanted)

    assert len(dataset.query().episodes) == len(rows)
    assert set(dataset.query(scenario="half").episodes) == {
        r["episode_index"] for r in rows if r["scenario"] == "half"
    }
    lost = dataset.query(split="train", event="life")
    data = pq.read_table(tiny_dataset / "data")
    lives, episode = np.array(data["observation.lives"]), np.array(data["episode_index"])
    shown = lost.rows[episode[lost.rows] == episode[lost.rows + 1]]  # the next frame is there too
    assert len(shown) > 10 and (lives[shown + 1] == lives[shown] - 1).all()
    with pytest.raises(UserError, match="no event 'lives'; it has brick, paddle, wall, life"):
        dataset.query(event="lives")
    with pytest.raises(UserError, match="no split 'eval'; it has train, test, val"):
        dataset.query(split="eval")
    with pytest.raises(UserError, match=r"file-000\.parquet is missing"):
        dataset.load("train")


def test_arrays_hold_what_was_recorded(tiny_dataset: Path, arrays: Arrays) -> None:
    dataset = Dataset.open(tiny_dataset)
    found = dataset.query(split="train")
    table = pq.read_table(tiny_dataset / "data").take(found.rows)
    count = len(found.rows)
    assert arrays.frames.shape == (count, 1, 64, 64) and arrays.frames.dtype == np.uint8
    assert set(map(tuple, arrays.palette)) <= set(map(tuple, PALETTE))
    for row in range(0, count, 61):
        image = Image.open(io.BytesIO(table.column(SCREEN)[row].as_py()["bytes"]))
        assert np.array_equal(arrays.palette[arrays.frames[row, 0]], np.array(image))
    for values, name in (
        (arrays.actions, "action"),
        (arrays.rewards, "next.reward"),
        (arrays.dones, "next.done"),
        (arrays.sensors["ball"], "observation.ball"),
        (arrays.state, "observation.state"),
        (arrays.frame_index, "frame_index"),
    ):
        assert np.array_equal(values, np.array(table.column(name).to_pylist(), values.dtype))
    assert arrays.chances.shape == (count, 1)
    low, high = arrays.state_range
    assert (
        arrays.state.shape == (count, 7) and ((low <= arrays.state) & (arrays.state <= high)).all()
    )
    for first, stop in arrays.episodes:
        assert arrays.frame_index[first:stop].tolist() == list(range(stop - first))
    assert set(arrays.events) == set(EVENTS)
    rows = dataset.query(split="train", event="brick").rows
    assert np.array_equal(found.rows[arrays.events["brick"]], rows)
    assert (arrays.rewards[arrays.events["brick"]] >= 10).all()


def test_rgb_and_indices_agree_and_are_decoded_once(tiny_dataset: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_dataset, copy, ignore=shutil.ignore_patterns("decoded"))
    dataset = Dataset.open(copy)
    index, rgb = dataset.load("test"), dataset.load("test", rgb=True)
    assert np.array_equal(index.palette[index.frames], rgb.frames)
    kept = copy / "decoded" / "test.index.npy"
    before = kept.stat().st_mtime_ns
    assert np.array_equal(dataset.load("test").frames, index.frames)
    assert kept.stat().st_mtime_ns == before


def test_windows_stay_within_episodes(arrays: Arrays) -> None:
    length = 20
    starts = arrays.windows(length)
    wanted = [
        row
        for first, stop in arrays.episodes
        for row in range(first, stop)
        if row + length < stop  # `length` steps and the frame after them
    ]
    assert starts.tolist() == wanted and len(wanted) > 100
    assert len(arrays.windows(10_000)) == 0


def test_windows_show_how_a_game_ends(arrays: Arrays) -> None:
    starts = arrays.windows(5)
    steps = starts[:, None] + np.arange(5)
    assert arrays.dones[steps].any()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda p: shutil.rmtree(p / "meta"), "its meta can't be read"),
        (lambda p: (p / "meta/info.json").write_text("{"), "its meta can't be read"),
        (lambda p: (p / "meta/wmsite/events.parquet").write_bytes(b"PAR1"), "its meta can't be"),
        (lambda p: shutil.rmtree(p), "there is none"),
        (lambda p: cut(p / "data/chunk-000/file-000.parquet"), "truncated or changed"),
        (lambda p: repaint(p / "data/chunk-000/file-000.parquet"), "can't decode"),
        (lambda p: version(p / "meta/info.json"), "of another format"),
    ],
)
def test_a_damaged_dataset_is_one_line(
    tiny_dataset: Path, tmp_path: Path, damage: object, said: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_dataset, copy, ignore=shutil.ignore_patterns("decoded"))
    assert callable(damage)
    damage(copy)
    with pytest.raises(UserError, match=said) as caught:
        Dataset.open(copy).load("train")
    assert str(copy) in str(caught.value) and "Run:" in str(caught.value).replace("run:", "Run:")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def repaint(path: Path) -> None:
    """Damage the compressed pixels of every image, and nothing else."""
    data = bytearray(path.read_bytes())
    at = -1
    while (at := data.find(b"IDAT", at + 1)) >= 0:
        data[at + 40 : at + 44] = b"\xff\xff\xff\xff"
    path.write_bytes(bytes(data))


def version(path: Path) -> None:
    info = json.loads(path.read_text())
    info["codebase_version"] = "v2.1"
    path.write_text(json.dumps(info))


def test_a_dataset_of_another_sim_is_refused(tiny_dataset: Path) -> None:
    with pytest.raises(UserError, match="recorded from another sim than world 'drift'"):
        Dataset.open(tiny_dataset, Drift.spec)


def test_images_are_exact_for_any_pixels() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 7, 13, 3), np.uint8)
    for image, frame in zip(encode_png(frames), frames, strict=True):
        assert np.array_equal(np.array(Image.open(io.BytesIO(image))), frame)


def test_what_another_tool_recorded_is_called_that_and_left_alone(
    tiny_dataset: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    shutil.copytree(tiny_dataset, theirs, ignore=shutil.ignore_patterns("wmsite", "decoded"))
    with pytest.raises(
        UserError, match=r"another tool recorded it.*nothing of it was touched"
    ) as e:
        Dataset.open(theirs)
    assert "delete" not in str(e.value)
