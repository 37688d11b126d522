"""A recording of several cameras, axes, and sensors of several dimensions, as consumers read it."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow.parquet as pq
import pytest
from test_record import manifest, read_as_consumers_do

from sims.driving import Driving
from sims.errors import UserError
from training.data import record
from training.data.dataset import Dataset
from training.recipe import Data, DataRecipe

SPEC = Driving.spec
WIDE = [s.name for s in SPEC.sensors if len(s.shape) > 1]


def test_wide_sensors_are_columns_of_their_own(tiny_drives: Path) -> None:
    info = json.loads((tiny_drives / "meta/info.json").read_text())
    assert set(WIDE) == {"waypoints", "lidar"}
    assert info["features"]["observation.lidar"]["shape"] == [16, 128]
    names = info["features"]["observation.state"]["names"]
    assert names == [s.name for s in SPEC.sensors if s.shape == (1,)]
    stats = json.loads((tiny_drives / "meta/stats.json").read_text())
    assert np.shape(stats["observation.lidar"]["q90"]) == (1, 1)  # as a whole
    assert np.shape(stats["observation.waypoints"]["q90"]) == (10, 2)
    lidar = np.stack([np.stack(row) for row in rows_of(tiny_drives, "observation.lidar")])
    assert stats["observation.lidar"]["max"] == [[lidar.max()]]
    np.testing.assert_allclose(stats["observation.lidar"]["mean"], lidar.mean(), rtol=1e-5)
    first = pq.read_table(tiny_drives / "meta/episodes").slice(0, 1).to_pylist()[0]
    mine = lidar[: first["length"]]
    np.testing.assert_allclose(first["stats/observation.lidar/q90"], np.quantile(mine, 0.9))


def rows_of(path: Path, column: str) -> list[object]:
    table = pq.read_table(path / "data", columns=[column])
    return table[column].to_pylist()  # type: ignore[no-any-return]


def test_consumers_read_what_the_sim_sensed(
    datasets: ModuleType, tiny_drives: Path, tmp_path: Path
) -> None:
    data = read_as_consumers_do(datasets, tiny_drives, tmp_path)
    assert data.features["observation.lidar"] == datasets.Array2D((16, 128), "float32")
    plain = datasets.load_dataset(str(tiny_drives), cache_dir=str(tmp_path / "2"), split="train")
    assert np.shape(plain[0]["observation.waypoints"]) == (10, 2)
    for row in manifest(tiny_drives)[:2]:
        sim = Driving(1)
        sim.reset(np.array([row["seed"]]), f"{row['scenario']}")
        assert SPEC.conditions[sim.state["condition"][0]] == row["condition"]
        frames = np.zeros((1, 3, 64, 96, 3), np.uint8)
        for t in range(row["length"]):
            item = data[row["dataset_from_index"] + t]
            sensors = sim.sensors()
            for sensor in SPEC.sensors:
                values = np.array(item[f"observation.{sensor.name}"], np.float32)
                assert np.array_equal(values.reshape(sensor.shape), sensors[sensor.name][0])
            if t % 10 == 0:
                sim.render(frames)
                for i, camera in enumerate(SPEC.cameras):
                    image = np.array(item[f"observation.images.{camera.name}"])
                    assert np.array_equal(image, frames[0, i])
            assert np.array_equal(np.float32(item["chance"]), sim.draw()[0])
            sim.step(np.array([item["action"]], np.float32))
            assert item["timestamp"] == np.float32(t / SPEC.rate)


def test_the_manifest_links_modalities_units_and_conditions(tiny_drives: Path) -> None:
    told = json.loads((tiny_drives / "meta/wmsite/recording.json").read_text())
    by = {(one["kind"], one["name"]): one for one in told["modalities"]}
    assert by["sensor", "lidar"]["shape"] == [16, 128] and by["sensor", "lidar"]["unit"] == "m"
    assert by["control", "brake"]["column"] == "action" and by["control", "brake"]["place"] == 2
    assert by["camera", "left"]["column"] == "observation.images.left"
    columns = set(pq.read_schema(next(tiny_drives.glob("data/*/*.parquet"))).names)
    assert {one["column"] for one in told["modalities"]} <= columns
    dataset = Dataset.open(tiny_drives, SPEC)
    table = dataset.episodes
    condition = str(table["condition"][0])
    found = dataset.query(condition=condition, least=5)
    assert set(table["condition"][found.episodes]) == {condition}
    assert (table["length"][found.episodes] >= 5).all()
    with pytest.raises(UserError, match="no condition 'snow'; it has clear, rain, fog, dusk"):
        dataset.query(condition="snow")


def test_all_of_it_loads(tiny_drives: Path) -> None:
    arrays = Dataset.open(tiny_drives, SPEC).load("train", rgb=True)
    count = len(arrays.actions)
    assert arrays.sensors["lidar"].shape == (count, 16, 128)
    assert arrays.state.shape == (count, 7) and arrays.state_range.shape == (2, 7)
    assert arrays.frames.shape == (count, 3, 64, 96, 3)


def test_conditions_get_their_shares(tmp_path: Path) -> None:
    shares = {"fog": 3.0, "dusk": 1.0}
    data = Data(
        steps=120, worlds=6, episode_steps=10, scenarios={"junction": 1.0}, conditions=shares,
        splits={"train": 1.0},
    )  # fmt: skip
    rows = manifest(record.record(Driving, DataRecipe("driving", 1, data), tmp_path, "x"))
    fog = sum(row["condition"] == "fog" for row in rows)
    assert {row["condition"] for row in rows} == {"fog", "dusk"}
    assert fog / len(rows) == pytest.approx(0.75, abs=0.1)
    wrong = Data(steps=10, worlds=1, episode_steps=10, conditions={"snow": 1.0})
    with pytest.raises(UserError, match=r"data\.conditions names 'snow'; the sim has clear"):
        record.record(Driving, DataRecipe("driving", 1, wrong), tmp_path, "y")
