"""Shards: recorded by one process or several, at once or after a kill, the dataset is the same."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
import pytest
from test_record import digest, manifest, read_as_consumers_do, with_data

from sims.breakout import Breakout
from sims.errors import UserError
from training.data import record
from training.data.dataset import Dataset
from training.recipe import Recipe, to_json


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Recipe) -> Recipe:
    return with_data(tiny_recipe, steps=1800, shards=3)


@pytest.fixture(scope="module")
def whole(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset as one process makes it: to read only."""
    return record.record(Breakout, recipe, tmp_path_factory.mktemp("one"), "x", processes=1)


@pytest.mark.slow
def test_two_processes_make_the_same_bytes_as_one(
    recipe: Recipe, whole: Path, tmp_path: Path
) -> None:
    two = record.record(Breakout, recipe, tmp_path, "x", processes=2)
    assert digest(two) == digest(whole)
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_shards_are_parts_of_one_dataset(
    datasets: ModuleType, recipe: Recipe, whole: Path, tmp_path: Path
) -> None:
    rows = manifest(whole)
    assert [r["episode_index"] for r in rows] == list(range(len(rows)))
    assert len({r["seed"] for r in rows}) == len(rows)
    assert sum(r["length"] for r in rows) == 1800
    info = json.loads((whole / "meta/info.json").read_text())
    assert list(info["splits"]) == ["train", "test", "val"]
    data = read_as_consumers_do(datasets, whole, tmp_path)
    assert data["index"] == list(range(1800))
    tasks = pq.read_table(whole / "meta/tasks.parquet").to_pylist()
    named = {row["task_index"]: row["task"] for row in tasks}
    for row in rows:
        assert named[data[row["dataset_from_index"]]["task_index"]].endswith(row["behaviour"])
    listed = pq.read_table(whole / "meta/episodes").to_pylist()
    for row, told in zip(rows, listed, strict=True):
        assert told["stats/index/min"] == [row["dataset_from_index"]]
        assert told["stats/episode_index/max"] == [row["episode_index"]]
    assert Dataset.open(whole, Breakout.spec).load("val").frames.shape[0] > 100


@pytest.mark.slow
def test_whoever_records_the_last_shard_makes_the_dataset(
    recipe: Recipe, whole: Path, tmp_path: Path
) -> None:
    def one(shard: int) -> Path | None:
        return record.record_one(Breakout, recipe, tmp_path, "x", shard)

    assert one(2) is None
    lone = record.shard_folder(tmp_path / "x", 2)
    assert Dataset.open(lone, Breakout.spec).load("val").frames.shape[0] > 100  # by itself
    made = []
    threads = [threading.Thread(target=lambda k=k: made.append(one(k))) for k in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tmp_path / "x" in made
    assert digest(tmp_path / "x") == digest(whole)
    assert one(1) == tmp_path / "x"  # There already: nothing is done.


def test_a_shard_that_another_records_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "x.shards").mkdir()
    code = (
        "import sys, time; from pathlib import Path; from training.locks import lock\n"
        "with lock(Path(sys.argv[1]), 'it'): print('held', flush=True); time.sleep(60)"
    )
    file = tmp_path / "x.shards" / ".001.lock"
    holder = subprocess.Popen([sys.executable, "-c", code, file], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None and holder.stdout.readline()
        said = f"shard 2/3 of dataset .*process {holder.pid}"
        with pytest.raises(UserError, match=said):
            record.record_one(Breakout, recipe, tmp_path, "x", 1)
        assert record.record_one(Breakout, recipe, tmp_path, "x", 0) is None
    finally:
        holder.kill()
        holder.wait()


RECORDER = """
import json, sys
from pathlib import Path
from types import ModuleType
from sims.breakout import Breakout
from training.recipe import from_json
from training.data.record import record
if __name__ == "__main__":
    recipe = from_json(json.loads(sys.argv[1]))
    record(Breakout, recipe, Path(sys.argv[2]), "x", processes=int(sys.argv[3]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_recorder_leaves_whole_shards_and_the_next_goes_on(
    tiny_recipe: Recipe, tmp_path: Path, processes: int
) -> None:
    recipe = with_data(tiny_recipe, steps=14_400, shards=12)
    (tmp_path / "run.py").write_text(RECORDER)
    asked = json.dumps(to_json(recipe))
    where = {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, tmp_path / "run.py", asked, str(tmp_path), str(processes)],
        stderr=subprocess.DEVNULL, env=os.environ | where,
    )  # fmt: skip
    parts = tmp_path / "x.shards"
    deadline = time.monotonic() + 120
    try:
        while not any(parts.glob("0*/meta/wmsite/recording.json")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    if processes > 1:
        time.sleep(1.0)  # Its own processes end with it.
    finished = [p for p in sorted(parts.glob("0*")) if record.whole(p)]
    assert 0 < len(finished) < 12 and not (tmp_path / "x").exists()
    for part in finished:
        assert len(Dataset.open(part, Breakout.spec).load().frames)
    before = {p: (p / "meta/info.json").stat().st_mtime_ns for p in finished}
    record.join(Breakout, recipe, tmp_path / "x", tmp_path / "some")
    some = Dataset.open(tmp_path / "some", Breakout.spec)
    assert len(some.load("train").frames) == sum(
        int(pq.read_table(p / "meta/wmsite/episodes.parquet")["length"].to_numpy().sum())
        for p in finished
    )
    assert all((p / "meta/info.json").stat().st_mtime_ns == t for p, t in before.items())
    if processes == 1:  # The rest is the same for both.
        made = record.record(Breakout, recipe, tmp_path, "x", processes=1)
        anew = record.record(Breakout, recipe, tmp_path, "y", processes=1)
        assert digest(made) == digest(anew)
        assert not parts.exists()


def test_parts_cover_all_steps(tiny_recipe: Recipe) -> None:
    for shards in (1, 3, 20, 7):
        data = dataclasses.replace(tiny_recipe.data, steps=10_000, shards=shards)
        found = [part for k in range(shards) for part in record.parts(data, k)]
        assert sum(steps for _, _, steps in found) == pytest.approx(10_000, abs=2 * shards)
        names = [name for _, name, _ in found]
        assert names == sorted(names, key=["train", "test", "val"].index)
