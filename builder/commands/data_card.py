"""`wmsite data card`: what a dataset holds, small enough to commit, for the page of its world.

`card.json` has the counts and the distributions, and names the sample windows and the stills
(`data_samples.py`). It says of which sim it is: the one that is here, on which episodes of the
dataset are played again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from builder import cache
from builder.commands import data_samples
from builder.commands.data import size_of, warn_of
from builder.project import Project
from builder.terminal import Terminal, size
from sims.contract import Array, Sim
from sims.errors import UserError

if TYPE_CHECKING:
    from training.dataset import Dataset

FORMAT = 1
BINS = 32
PARTS = (("file", "sample", "json"), ("strip", "sample", "webp"), ("poster", "poster", "webp"))
COUNTED = ("split", "scenario", "condition", "behaviour", "ended")
MADE = ("sample-*", "still-*", "poster-*")  # beside card.json


def run(root: Path, folder: Path, terminal: Terminal, out: Path | None, skip_bad: bool) -> None:
    """Write the card of a dataset, in place of the one that was there."""
    from training.dataset import Dataset

    project = Project.open(root)
    dataset = Dataset.open(folder, skip_bad=skip_bad)
    world = project.world(dataset.world)
    out = out or world.card
    told, files = card(dataset, world.load())
    warn_of(dataset, terminal)
    for old in (path for pattern in MADE for path in out.glob(pattern)):
        old.unlink()
    for name, data in files.items():
        cache.write(out / name, data)
    cache.write(out / "card.json", plain({**told, "sim": world.hash}))
    terminal.say(f"card {out}: {len(told['samples'])} samples, {size(size_of(out))}")


def plain(told: Any) -> str:
    """Return JSON as short as it gets."""
    return json.dumps(told, separators=(",", ":"), allow_nan=False) + "\n"


def card(dataset: Dataset, sim_class: type[Sim]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return what card.json tells, and the other files by name.

    Raises UserError where an episode comes out otherwise on this sim.
    """
    found, layouts = dataset.sound(None)
    table = {name: column[found.episodes] for name, column in dataset.episodes.items()}
    steps = int(table["length"].sum())
    told: dict[str, Any] = {
        "format": FORMAT,
        "world": dataset.world,
        "dataset": dataset.path.name,
        "rate": dataset.info["fps"],
        "steps": steps,
        "episodes": len(found.episodes),
        "seconds": round(steps / dataset.info["fps"], 1),
        "bytes": size_of(dataset.path / "data"),
        "seed": dataset.recording.get("seed"),
        "recipe": dataset.recording.get("data"),
        "modalities": dataset.recording.get("modalities", []),
        "counts": {name: _counts(table, name) for name in COUNTED if name in table},
        "by": _cross(table),
        "events": _events(dataset),
        "histograms": _histograms(dataset, found, layouts, table),
    }
    files: dict[str, bytes] = {}
    told["samples"] = []
    for number, (episode, first) in enumerate(data_samples.choose(dataset), 1):
        play_again(dataset, sim_class, episode)
        one, strip, poster = data_samples.sample(dataset, episode, first)
        names = {kind: f"{stem}-{number}.{end}" for kind, stem, end in PARTS}
        data = dict(zip(names.values(), (plain(one).encode(), strip, poster), strict=True))
        told["samples"].append(one["about"] | names | {"bytes": sum(map(len, data.values()))})
        files |= data
    told["stills"] = []
    for one, picture in data_samples.stills(dataset):
        name = f"still-{len(told['stills']) + 1}.webp"
        told["stills"].append(one | {"file": name})
        files[name] = picture
    return told, files


def play_again(dataset: Dataset, sim_class: type[Sim], episode: int) -> None:
    """Play an episode's actions and chance on a sim: UserError where a sensor differs by a bit."""
    from training import windows

    window = windows.read(dataset, episode)
    columns, about = window.columns, window.about
    sim = sim_class(1)
    scene = [about["scenario"], about.get("condition", "")]
    sim.reset(np.array([about["seed"]], np.int64), "/".join(filter(None, scene)))
    actions = columns["action"]
    if sim.spec.actions:
        actions = actions.argmax(axis=1).astype(np.int64)
    for row in range(len(actions)):
        for name, value in sim.sensors().items():
            recorded = columns.get(f"observation.{name}")
            if recorded is not None and not np.array_equal(value.ravel(), np.ravel(recorded[row])):
                raise UserError(
                    f"dataset '{dataset.path}': recorded on another sim; on the one of world "
                    f"'{dataset.world}', {name} differs in row {row} of episode {episode}. "
                    f"Run: wmsite data record {dataset.world}, and make the card of that"
                )
        chance = columns["chance"][row : row + 1] if "chance" in columns else None
        sim.step(actions[row : row + 1], chance)


def _counts(table: dict[str, Array], name: str) -> list[dict[str, Any]]:
    return [
        {
            "name": value,
            "episodes": int((table[name] == value).sum()),
            "steps": int(table["length"][table[name] == value].sum()),
        }
        for value in sorted(set(table[name]))
    ]


def _cross(table: dict[str, Array]) -> dict[str, Any]:
    """Count steps by scenario and behaviour: a row a scenario."""
    scenarios, behaviours = (sorted(set(table[name])) for name in ("scenario", "behaviour"))
    rows = [
        [
            int(table["length"][(table["scenario"] == s) & (table["behaviour"] == b)].sum())
            for b in behaviours
        ]
        for s in scenarios
    ]
    return {"scenarios": scenarios, "behaviours": behaviours, "steps": rows}


def _events(dataset: Dataset) -> list[dict[str, Any]]:
    names, episodes = dataset.events["event"], dataset.events["episode_index"]
    return [
        {
            "name": name,
            "count": int((names == name).sum()),
            "episodes": len(set(episodes[names == name].tolist())),
        }
        for name in dataset.spec["events"]
    ]


def _histograms(
    dataset: Dataset, found: Any, layouts: Any, table: dict[str, Array]
) -> list[dict[str, Any]]:
    """Count how often each sensor of one number, and each axis, had which value."""
    import pyarrow.parquet as pq

    from training.reading import to_arrays

    spec, features = dataset.spec, dataset.info["features"]
    sensors = [
        (s["name"], s["unit"], f"observation.{s['name']}", 0)
        for s in spec["sensors"]
        if s["shape"] == [1] and f"observation.{s['name']}" in dataset.expected
    ]
    axes = [(a["name"], a["unit"], "action", i) for i, a in enumerate(spec["axes"])]
    wanted = [*sensors, *axes]
    columns = sorted({column for _, _, column, _ in wanted})
    if not columns:
        return []
    stats = json.loads((dataset.path / "meta" / "stats.json").read_text())
    behaviours = sorted(set(table["behaviour"]))
    edges, counts = {}, {}
    for name, _, column, place in wanted:
        low, high = (float(np.ravel(stats[column][end])[place]) for end in ("min", "max"))
        edges[name] = np.linspace(low, high if high > low else low + 1, BINS + 1)
        counts[name] = np.zeros((len(behaviours), BINS), np.int64)
    who = np.repeat(np.searchsorted(behaviours, table["behaviour"].astype(str)), table["length"])
    at = 0
    for path, groups in dataset.groups(found, layouts).items():
        rows = pq.ParquetFile(path).read_row_groups(groups, columns=columns)
        values = to_arrays(rows, features, columns)
        mine = who[at : at + len(rows)]
        at += len(rows)
        for name, _, column, place in wanted:
            numbers = values[column].reshape(len(rows), -1)[:, place]
            bins = np.clip(np.searchsorted(edges[name], numbers, "right") - 1, 0, BINS - 1)
            np.add.at(counts[name], (mine, bins), 1)
    return [
        {
            "name": name,
            "unit": unit,
            "kind": "control" if column == "action" else "sensor",
            "edges": [float(f"{edge:.6g}") for edge in edges[name]],
            "counts": counts[name].sum(axis=0).tolist(),
            "behaviours": dict(zip(behaviours, counts[name].tolist(), strict=True)),
        }
        for name, unit, column, _ in wanted
    ]
