"""`wmsite data card`: the content of a dataset, small enough to commit, for the page of its world.

`card.json` has the counts and the distributions, and names the sample windows and the stills
(`data_samples.py`). It names its sim: the current one, on which episodes of the dataset are played
again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from builder.commands import data_samples
from builder.commands.data import size_of, warn_of
from builder.project import cache, own
from builder.project.worlds import Project
from builder.site import recording_sections as card_of_world
from builder.terminal import Terminal, size
from sims.contract import Array, Sim
from sims.errors import UserError

if TYPE_CHECKING:
    from training.data.dataset import Dataset

FORMAT = 1
BINS = 32
PARTS = (("file", "sample", "json"), ("strip", "sample", "webp"), ("poster", "poster", "webp"))
COUNTED = ("split", "scenario", "condition", "behaviour", "ended")


def run(root: Path, folder: Path, terminal: Terminal, out: Path | None, skip_bad: bool) -> None:
    """Write the card of a dataset, and replace an earlier card."""
    from training.data.dataset import Dataset

    project = Project.open(root)
    dataset = Dataset.open(folder, skip_bad=skip_bad)
    recorded = [
        w
        for w in project.worlds.values()
        if w.recorded and w.recorded.path.resolve() == folder.resolve()
    ]
    world = recorded[0] if recorded else project.world(dataset.world)
    out = own.resolved(out or world.card, "card")
    card_of_world.refuse(out)
    told, files = card(dataset, world.sim)
    warn_of(dataset, terminal)
    for old in card_of_world.files(out):
        old.unlink()
    for name, data in files.items():
        cache.write(out / name, data)
    cache.write(out / "card.json", plain({**told, "sim": world.hash}))
    terminal.say(f"card {out}: {len(told['samples'])} samples, {size(size_of(out))}")


def plain(told: Any) -> str:
    """Return JSON in its shortest form."""
    return json.dumps(told, separators=(",", ":"), allow_nan=False) + "\n"


def card(dataset: Dataset, sim_class: type[Sim] | None) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the content of card.json, and the other files by name.

    With a sim, the sample episodes are played again. Raises UserError if one comes out differently.
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
        if sim_class:
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
    """Play an episode's actions and chance on a sim: UserError if a sensor differs by a bit."""
    from training.data import windows

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
    """Count steps by scenario and behaviour, with one row for each scenario."""
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
    """Count the values of each sensor with one number, and of each axis."""
    from training.data.files import opened, to_arrays

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
    stats = json.loads((dataset.path / "meta" / "stats.json").read_text(encoding="utf-8"))
    behaviours = sorted(set(table["behaviour"]))
    edges, counts = {}, {}
    for _, _, column, place in wanted:
        low, high = (float(np.ravel(stats[column][end])[place]) for end in ("min", "max"))
        edges[column, place] = np.linspace(low, high if high > low else low + 1, BINS + 1)
        counts[column, place] = np.zeros((len(behaviours), BINS), np.int64)
    who = np.repeat(np.searchsorted(behaviours, table["behaviour"].astype(str)), table["length"])
    at = 0
    for path, groups in dataset.groups(found, layouts).items():
        rows = opened(path).read_row_groups(groups, columns=columns)
        values = to_arrays(rows, features, columns)
        mine = who[at : at + len(rows)]
        at += len(rows)
        for _, _, column, place in wanted:
            numbers = values[column].reshape(len(rows), -1)[:, place]
            bins = np.searchsorted(edges[column, place], numbers, "right") - 1
            np.add.at(counts[column, place], (mine, np.clip(bins, 0, BINS - 1)), 1)
    return [
        {
            "name": name,
            "unit": unit,
            "kind": "control" if column == "action" else "sensor",
            "edges": [float(f"{edge:.6g}") for edge in edges[column, place]],
            "counts": counts[column, place].sum(axis=0).tolist(),
            "behaviours": dict(zip(behaviours, counts[column, place].tolist(), strict=True)),
        }
        for name, unit, column, place in wanted
    ]
