"""Bad input: each refused by its name, on one line; nothing lost, and the rest can be used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from builder.project.cache import tree_hash
from sims.driving import Driving
from sims.errors import UserError
from training.data import verify
from training.data.dataset import Dataset
from training.data.dataset_manifest import hash_of, seal
from training.data.files import layout

Change = Callable[[Path], None]


@pytest.fixture
def copy(tiny_drives: Path, tmp_path: Path) -> Path:
    return Path(
        shutil.copytree(tiny_drives, tmp_path / "copy", ignore=shutil.ignore_patterns("decoded"))
    )


def files(path: Path) -> list[Path]:
    return sorted(path.glob("data/*/*.parquet"))


def rewrite(file: Path, change: Callable[[pa.Table, int], pa.Table], honest: bool = True) -> None:
    """Change a file's episodes (tables, by number); if honest, the manifest tells its new size."""
    old = pq.ParquetFile(file)
    tables = [old.read_row_group(i) for i in range(old.num_row_groups)]
    tables = [change(table, table["episode_index"][0].as_py()) for table in tables]
    with pq.ParquetWriter(file, tables[0].schema) as writer:
        for table in tables:
            writer.write_table(table)
    if honest:
        home = file.parents[2]
        told = json.loads((home / "meta/wmsite/recording.json").read_text())
        name = str(file.relative_to(home))
        told["files"][name], told["hashes"][name] = file.stat().st_size, hash_of(file)
        told["seal"] = seal(told)
        (home / "meta/wmsite/recording.json").write_text(json.dumps(told))


def drop(column: str, every: bool) -> Change:
    def change(path: Path) -> None:
        for file in files(path) if every else files(path)[:1]:
            rewrite(file, lambda table, _: table.drop_columns([column]))

    return change


def put(column: str, make: Callable[[np.ndarray], Any], at: int = 0) -> Change:
    def change(path: Path) -> None:
        def one(table: pa.Table, episode: int) -> pa.Table:
            if episode != at:
                return table
            field = table.schema.field(column)
            values = np.array(table[column].to_pylist(), np.float64)
            made = pa.array(make(values).tolist(), field.type)
            return table.set_column(table.schema.get_field_index(column), field, made)

        for file in files(path):
            if at in layout(file).episodes:
                rewrite(file, one)

    return change


def nan(values: np.ndarray) -> np.ndarray:
    values[4] = np.nan
    return values


def backwards(values: np.ndarray) -> np.ndarray:
    return values[::-1]


def tell(file: str, **changes: Any) -> Change:
    def change(path: Path) -> None:
        told = json.loads((path / file).read_text())
        (path / file).write_text(json.dumps(told | changes))

    return change


def lie(name: str, column: str, value: Any, row: int = 1) -> Change:
    def change(path: Path) -> None:
        file = path / "meta/wmsite" / f"{name}.parquet"
        table = pq.read_table(file)
        values = table[column].to_pylist()
        values[row] = value
        place = table.schema.get_field_index(column)
        pq.write_table(table.set_column(place, column, pa.array(values)), file)

    return change


def event(**row: Any) -> Change:
    def change(path: Path) -> None:
        file = path / "meta/wmsite/events.parquet"
        table = pq.read_table(file)
        made = {"event": "goal", "episode_index": 0, "frame_index": 1, "index": 1} | row
        pq.write_table(pa.concat_tables([table, pa.Table.from_pylist([made], table.schema)]), file)

    return change


def truncate(path: Path) -> None:
    file = files(path)[0]
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def remove(path: Path) -> None:
    files(path)[1].unlink()


ALL = -1  # Nothing is spoilt: a modality is left out, or a count is not believed.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said", "spoilt"),
    [
        (drop("observation.lidar", True), "column observation.lidar is missing", ALL),
        (drop("observation.images.left", True), "column observation.images.left is missing", ALL),
        (drop("observation.lidar", False), "column observation.lidar is missing", None),
        (truncate, "truncated or changed", None),
        (remove, "file-001.parquet is missing", None),
        (put("timestamp", backwards), "timestamp runs backwards in episode 0, row 1", 0),
        (put("timestamp", lambda t: t * 2), "timestamp isn't 20 rows a second in episode 0", 0),
        (put("observation.speed", nan), "observation.speed holds NaN .* episode 0, row 4", 0),
        (put("observation.lidar", nan, 1), "observation.lidar holds NaN .* episode 1, row 4", 1),
        (put("frame_index", backwards), "frame_index doesn't count", 0),
        (tell("meta/info.json", total_frames=7), "info.json: tells 7 frames", ALL),
        (tell("meta/wmsite/recording.json", episodes=3), "tells 3 episodes", ALL),
        (tell("meta/info.json", splits={"train": "0:1"}), "a split that there isn't", None),
        (lie("episodes", "length", 9999), "a length is not that of its rows", 1),
        (lie("episodes", "dataset_from_index", 3), "a length is not that of its rows", 1),
        (lie("episodes", "scenario", "sea"), "a scenario that there isn't", 1),
        (event(episode_index=999), "an event of an episode that there isn't", ALL),
        (event(frame_index=999), "an event outside its episode", 0),
        (event(event="party"), "an event that the sim doesn't have", 0),
    ],
)
def test_bad_input_is_refused_by_name(
    copy: Path, change: Change, said: str, spoilt: int | None
) -> None:
    change(copy)
    before = tree_hash([copy / "data", copy / "meta"], copy)
    with pytest.raises(UserError, match=said) as caught:
        Dataset.open(copy, Driving.spec).load(rgb=True)
    assert "\n" not in str(caught.value) and "--skip-bad" in str(caught.value)

    rest = Dataset.open(copy, Driving.spec, skip_bad=True)
    faults = verify.everything(rest)
    assert any(said.split(" .*")[0] in str(fault) for fault in faults)
    arrays = rest.load(rgb=True)
    good = {int(e) for e in np.unique(arrays.episode_index)}
    whole = set(rest.everything)
    if spoilt is None:
        assert good and good < whole
    else:
        assert whole - good == ({spoilt} if spoilt != ALL else set())
    assert tree_hash([copy / "data", copy / "meta"], copy) == before  # Nothing is lost.


def test_a_modality_that_no_file_has_is_left_out(copy: Path) -> None:
    drop("observation.lidar", True)(copy)
    drop("observation.images.left", True)(copy)
    arrays = Dataset.open(copy, skip_bad=True).load("train", rgb=True)
    assert "lidar" not in arrays.sensors and "waypoints" in arrays.sensors
    assert arrays.frames.shape[1] == 2


def test_another_sims_units_are_named(copy: Path) -> None:
    file = copy / "meta/wmsite/recording.json"
    told = json.loads(file.read_text())
    told["spec"]["sensors"][0]["unit"] = "km/h"
    file.write_text(json.dumps(told))
    said = "recorded from another sim .* sensor 'speed' has unit 'km/h' in it, and 'm/s' in the sim"
    with pytest.raises(UserError, match=said):
        Dataset.open(copy, Driving.spec)
    Dataset.open(copy)  # By itself it can be used as what it is.


def test_damaged_pixels_spoil_their_episode(copy: Path) -> None:
    file = files(copy)[0]
    data = bytearray(file.read_bytes())
    at = data.find(b"IDAT")
    data[at + 20 : at + 24] = b"\xff\xff\xff\xff"
    file.write_bytes(bytes(data))
    with pytest.raises(UserError, match="can't decode"):
        Dataset.open(copy).load(rgb=True)
    rest = Dataset.open(copy, skip_bad=True)
    arrays = rest.load(rgb=True)
    assert {e for fault in rest.faults for e in fault.episodes} == {0}
    assert 0 not in arrays.episode_index


def test_a_whole_dataset_has_no_faults(tiny_drives: Path, tiny_dataset: Path) -> None:
    for path in (tiny_drives, tiny_dataset):
        assert verify.everything(Dataset.open(path, skip_bad=True)) == []


def aged(path: Path) -> None:
    """Make of a dataset one that was recorded before files had hashes."""
    file = path / "meta/wmsite/recording.json"
    told = json.loads(file.read_text())
    file.write_text(json.dumps({k: v for k, v in told.items() if k not in ("hashes", "seal")}))


@pytest.mark.slow
def test_one_flipped_bit_anywhere_is_found(copy: Path) -> None:
    names = sorted(str(p.relative_to(copy)) for p in copy.rglob("*") if p.is_file())
    chance = np.random.default_rng(1)
    for name in names:
        kept = (copy / name).read_bytes()
        for place in {0, len(kept) - 1, *chance.integers(0, len(kept), 2).tolist()}:
            data = bytearray(kept)
            data[place] ^= 1 << int(chance.integers(8))
            (copy / name).write_bytes(data)
            try:
                faults = verify.everything(Dataset.open(copy, skip_bad=True), frames=False)
                said = "; ".join(map(str, faults))
            except UserError as error:
                said = str(error)
            assert name.rpartition("/")[2] in said, f"{name}, byte {place}: {said or 'no fault'}"
            assert "\n" not in said
        (copy / name).write_bytes(kept)
    assert verify.everything(Dataset.open(copy, skip_bad=True)) == []


def test_flipped_data_spoils_its_episode_alone(copy: Path) -> None:
    """Without a hash too: each page of the data carries its checksum."""
    aged(copy)
    file = files(copy)[0]
    group = pq.ParquetFile(file).metadata.row_group(0)
    names = [group.column(i).path_in_schema for i in range(group.num_columns)]
    for name in ("timestamp", "next.reward", "action.list.element"):
        place = group.column(names.index(name))
        data = bytearray(kept := file.read_bytes())
        data[place.data_page_offset + place.total_compressed_size // 2 + 12] ^= 4
        file.write_bytes(data)
        faults = verify.everything(Dataset.open(copy, skip_bad=True))
        assert [fault.episodes for fault in faults] == [(0,)], name
        assert "can't be read" in str(faults[0])
        file.write_bytes(kept)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("meta/tasks.parquet", 300, "meta/tasks.parquet: can't be read"),
        ("meta/stats.json", 50, "meta/stats.json: can't be read"),
        ("meta/wmsite/episodes.parquet", 200, "its meta can't be read"),
        ("meta/wmsite/recording.json", 0, "meta/wmsite/recording.json: is empty"),
        ("meta/wmsite/recording.json", -1, "meta/wmsite/recording.json: holds nothing"),
        ("meta/wmsite/recording.json", 90, "meta/wmsite/recording.json: is damaged"),
    ],
)
def test_a_cut_file_of_meta_is_named(
    copy: Path, name: str, size: int, said: str, old: bool
) -> None:
    if old:
        aged(copy)
    (copy / name).write_bytes((copy / name).read_bytes()[:size] if size >= 0 else b"{}")
    try:
        text = "; ".join(map(str, verify.everything(Dataset.open(copy, skip_bad=True))))
    except UserError as error:
        text = str(error)
        assert "Run: " in text
    assert said in text
