"""Find the faults of a dataset, and the episodes that each fault damages.

The checks compare its files with its manifest, its manifest with itself, and every value with the
format. The same checks refuse a dataset when it is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sims.contract import Array
from training.contained import plain
from training.data.dataset_manifest import MANIFEST, hash_of, seal
from training.data.files import DAMAGE, Layout, layout, opened, pngs, read, to_arrays
from training.data.images import decode_png
from training.data.lerobot import DATA_PATH, EPISODES_PATH, TASKS_PATH

if TYPE_CHECKING:
    from training.data.dataset import Dataset

PLACES = ("data/chunk_index", "data/file_index", "dataset_from_index", "dataset_to_index")
WRITTEN = ("episode_index", "split", "behaviour", "scenario", "seed", "ended", "length", *PLACES)
PERSON = "person"  # the behaviour of a person who played in the page


@dataclass(frozen=True)
class Fault:
    """One fault: its place, its description, and the episodes that it makes unusable.

    `column` is a modality that no file has: the episodes can be used without it.
    """

    where: str
    what: str
    episodes: tuple[int, ...] = ()
    column: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def of_spec(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return the difference of a dataset's spec from a sim's, by name; "" without a difference."""
    for part in ("cameras", "sensors", "axes", "actions"):
        before, after = ({x["name"]: x for x in spec[part]} for spec in (then, now))
        kind = part.removesuffix("s").replace("axe", "axis")
        for name in before.keys() | after.keys():
            if name not in before or name not in after:
                return f"its {kind} '{name}' is " + ("gone" if name in before else "new")
            for key, value in after[name].items():
                had = before[name].get(key)
                if had != value:
                    return f"{kind} '{name}' has {key} {had!r} in it, and {value!r} in the sim"
    for key in now:
        if then.get(key) != now[key]:
            return f"{key} is {_short(then.get(key))} in it, and {_short(now[key])} in the sim"
    return ""


def of_manifest(dataset: Dataset) -> list[Fault]:
    """Compare the manifest with itself; no other file is opened. `dataset` is as it was read."""
    table, events, spec, info = dataset.episodes, dataset.events, dataset.spec, dataset.info
    where = "episodes.parquet"
    for name in WRITTEN + (("condition",) if spec.get("conditions") else ()):
        if name not in table:
            return [Fault(where, f"column {name} is missing", dataset.everything)]
    found = []
    count, length = len(table["length"]), table["length"]
    first, stop = table["dataset_from_index"], table["dataset_to_index"]

    def spoilt(wrong: Array, what: str) -> None:
        if wrong.any():
            some = np.flatnonzero(wrong)
            text = f"{what} (episode {some[0]}{_more(len(some))})"
            found.append(Fault(where, text, tuple(some.tolist())))

    spoilt(table["episode_index"] != np.arange(count), "episodes are not counted 0, 1, 2 ...")
    spoilt((stop - first != length) | (length < 1), "a length is not that of its rows")
    before = np.concatenate([[0], stop[:-1]])
    spoilt(first != before, "rows don't follow on those of the episode before")
    for name, told in (("recording.json", dataset.recording), ("info.json", info)):
        for key, true in (("episodes", count), ("frames", int(length.sum()))):
            said = told[key if name[0] == "r" else f"total_{key}"]
            if said != true:
                what = "doesn't list all episodes" if key == "episodes" else "has other lengths"
                found.append(Fault(name, f"tells {said} {key}; the manifest {what}: {true}"))
    known = {"scenario": spec["scenarios"], "behaviour": [*spec["behaviours"], PERSON]}
    known |= {"split": list(info["splits"])}
    for name, names in known.items():
        spoilt(_strange(table[name], names), f"a {name} that there isn't")
    spans = {}
    for name, span in info["splits"].items():
        low, high = map(int, span.split(":"))
        spans[name] = (low, high)
        other = table["split"] != name
        if not 0 <= low <= high <= count or other[low:high].any() or (~other).sum() != high - low:
            said = f"split {name} is {span} there, and another range in the manifest"
            found.append(Fault("info.json", said))
    outside = (events["episode_index"] < 0) | (events["episode_index"] >= count)
    inside = np.where(outside, 0, events["episode_index"])
    row, frame = events["index"], events["frame_index"]
    late = (frame < 0) | (frame >= length[inside]) | (row != first[inside] + frame)
    strange = _strange(events["event"], spec["events"])
    for wrong, what in (
        (outside, "an event of an episode that there isn't"),
        (~outside & late, "an event outside its episode"),
        (strange & ~outside, "an event that the sim doesn't have"),
    ):
        if wrong.any():
            some = np.flatnonzero(wrong)
            spoils = () if wrong is outside else sorted(set(inside[some].tolist()))
            text = f"{what} (row {some[0]}{_more(len(some))})"
            found.append(Fault("events.parquet", text, tuple(spoils)))
    return found


def of_files(dataset: Dataset, episodes: Array) -> tuple[list[Fault], dict[str, Layout]]:
    """Compare data files with the manifest by their sizes and footers; return the layouts too."""
    found: list[Fault] = []
    late: list[Fault] = []  # A file that changed may show its fault itself.
    layouts: dict[str, Layout] = {}
    lacking: dict[str, list[str]] = {}
    by_file = dataset.by_file(episodes)
    for name, some in by_file.items():
        path, size = dataset.path / name, dataset.recording["files"].get(name)
        if not path.exists():
            found.append(Fault(name, f"{name} is missing", tuple(some)))
            continue
        now = path.stat().st_size
        if now != size:
            what = f"has {now} bytes, not {size}: truncated or changed"
            late.append(Fault(name, what))
        try:
            layouts[name] = told = layout(path)
        except DAMAGE as error:
            what = f"can't be read ({_short(error)})"
            late = [fault for fault in late if fault.where != name]
            if now != size:
                what += f"; it has {now} bytes, not {size}: truncated or changed"
            found.append(Fault(name, what, tuple(some)))
            continue
        for column in dataset.expected:
            if column not in told.columns:
                lacking.setdefault(column, []).append(name)
        for episode in some:
            length = int(dataset.episodes["length"][episode])
            _, rows = told.episodes.get(episode, (0, 0))
            if rows != length:
                what = f"holds {rows} rows of episode {episode}; the manifest tells {length}"
                found.append(Fault(name, what, (episode,)))
    for column, names in lacking.items():
        everywhere = len(names) == len(layouts)
        optional = column.startswith("observation.") and column != "observation.state"
        spoils = [e for name in names for e in by_file[name]]
        if everywhere and optional:
            found.append(Fault(names[0], f"column {column} is missing", (), column))
        else:
            found.append(Fault(names[0], f"column {column} is missing", tuple(spoils)))
    return found + late, layouts


def of_rows(columns: Mapping[str, Array], episode: int, first: int, rate: float) -> list[str]:
    """Return the faults of an episode's numeric columns [T, ...]; `first` is its first row."""
    found = []
    time = columns["timestamp"]
    steps = np.arange(len(time))
    back = np.flatnonzero(np.diff(time) <= 0)
    if len(back):
        row = int(back[0])
        found.append(
            f"timestamp runs backwards in episode {episode}, row {row + 1}: "
            f"{time[row + 1]:.3f} s after {time[row]:.3f} s"
        )
    elif not np.allclose(time, steps / rate, rtol=0, atol=0.1 / rate):
        found.append(f"timestamp isn't {rate:g} rows a second in episode {episode}")
    for name, wanted in (
        ("frame_index", steps),
        ("index", steps + first),
        ("episode_index", np.full(len(steps), episode)),
    ):
        if not np.array_equal(columns[name], wanted):
            found.append(f"{name} doesn't count as the manifest does in episode {episode}")
    for name, values in columns.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            wrong = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
            row = int(np.flatnonzero(wrong)[0])
            found.append(f"{name} holds NaN or an infinity in episode {episode}, row {row}")
    return found


def of_values(
    dataset: Dataset,
    episodes: Iterable[int],
    layouts: Mapping[str, Layout],
    frames: bool = True,
    told: Callable[[int], None] = lambda _: None,
) -> list[Fault]:
    """Read every value of episodes, one by one, and with `frames` every image.

    `told` gets the rows of each. Columns that no readable file has are left out.
    """
    features = dataset.info["features"]

    def look(job: tuple[str, int]) -> list[Fault]:
        name, episode = job
        there = layouts[name]
        if episode not in there.episodes:
            return []
        names = [column for column in dataset.expected if column in there.columns]
        images = [column for column in names if features[column]["dtype"] == "image"]
        numbers = [column for column in names if column not in images]
        file = opened(dataset.path / name)
        wrong = []
        try:
            group = there.episodes[episode][0]
            table = file.read_row_group(group, numbers + (images if frames else []))
            columns = to_arrays(table, features, numbers)
            first = int(dataset.episodes["dataset_from_index"][episode])
            wrong += of_rows(columns, episode, first, dataset.info["fps"])
            for column in images if frames else []:
                decode_png(pngs(table.column(column)), *features[column]["shape"][:2])
        except DAMAGE as error:
            wrong.append(f"episode {episode} can't be read or decoded ({_short(error)})")
        told(int(dataset.episodes["length"][episode]))
        return [Fault(name, what, (episode,)) for what in wrong]

    jobs = [
        (name, episode)
        for name, some in dataset.by_file(np.array(list(episodes), np.int64)).items()
        if name in layouts
        for episode in some
    ]
    with ThreadPoolExecutor() as pool:
        return [fault for some in pool.map(look, jobs) for fault in some]


def of_hashes(path: Path, recording: Mapping[str, Any], data: bool = True) -> list[Fault]:
    """Compare the files of a dataset, or its `meta` alone, with the hashes in recording.json.

    Datasets that are older than the hashes have none, and nothing is compared.
    """
    name, changed = f"{MANIFEST}/recording.json", "isn't what was written: changed since"
    kept, sealed = recording.get("hashes"), recording.get("seal")
    if kept is None and sealed is None:
        return []
    if not isinstance(kept, dict) or sealed != seal(recording):
        return [Fault(name, changed)]
    found = []
    for file, told in kept.items():
        if data or not file.startswith("data/"):
            there = plain(file) and (path / file).is_file()
            if not there or hash_of(path / file) != told:
                found.append(Fault(file, changed if there else "is missing"))
    return found


def of_meta(dataset: Dataset) -> list[Fault]:
    """Compare the files that LeRobot's readers use with the manifest: `meta/episodes` and so on."""
    found: list[Fault] = []
    info = dataset.info
    names = ["episode_index", "length", "dataset_from_index", "dataset_to_index"]
    where = EPISODES_PATH
    try:
        table = read(dataset.path / EPISODES_PATH, names)
        for name in names:
            if not np.array_equal(np.asarray(table[name]), dataset.episodes[name]):
                found.append(Fault(EPISODES_PATH, f"{name} is not what the manifest tells"))
        listed = read(dataset.path / EPISODES_PATH, ["tasks"])["tasks"].to_pylist()
        where = TASKS_PATH
        tasks = read(dataset.path / TASKS_PATH)
        numbers = tasks["task_index"].to_pylist()
        if numbers != list(range(info["total_tasks"])):
            said = f"lists {len(numbers)} tasks; info.json tells {info['total_tasks']}"
            found.append(Fault(where, said))
        if strange := {t for some in listed for t in some}.difference(tasks["task"].to_pylist()):
            found.append(Fault(where, f"lacks the task '{min(strange)}' of {EPISODES_PATH}"))
        where = "meta/stats.json"
        stats = json.loads((dataset.path / "meta" / "stats.json").read_text(encoding="utf-8"))
        for name in dataset.info["features"]:
            if name not in stats:
                found.append(Fault(where, f"nothing of {name}"))
        frames = int(dataset.episodes["length"].sum())
        if stats.get("index", {}).get("count", [frames]) != [frames]:
            found.append(Fault(where, f"is not of {frames} frames"))
    except DAMAGE as error:
        found.append(Fault(where, f"can't be read ({_short(error)})"))
    return found


def everything(
    dataset: Dataset, frames: bool = True, told: Callable[[int], None] = lambda _: None
) -> list[Fault]:
    """Read a whole dataset, opened with `skip_bad`, and return all its faults."""
    changed = of_hashes(dataset.path, dataset.recording)
    whole = np.arange(len(dataset.episodes["length"]))
    if not set(PLACES) <= set(dataset.episodes):
        return dataset.faults + changed
    try:
        files, layouts = of_files(dataset, whole)
        values = of_values(dataset, whole.tolist(), layouts, frames, told)
        found = dataset.faults + of_meta(dataset) + files + values
    except (*DAMAGE, TypeError, AttributeError):
        if not changed:
            raise
        return dataset.faults + changed
    named = {fault.where for fault in found}
    return found + [fault for fault in changed if fault.where not in named]


def file_of(table: Mapping[str, Array], episode: int) -> str:
    """Return the data file of an episode, according to the manifest."""
    return DATA_PATH.format(
        chunk_index=table["data/chunk_index"][episode], file_index=table["data/file_index"][episode]
    )


def _strange(values: Array, known: Iterable[str]) -> Array:
    """Return bool [T]: which values are unknown; almost all are known."""
    wrong = set(values.tolist()) - set(known)
    return np.array([value in wrong for value in values] if wrong else np.zeros(len(values)), bool)


def _more(count: int) -> str:
    return f" and {count - 1} more" if count > 1 else ""


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 120 else text[:117] + "..."
