"""`wmsite data`: record datasets, list and ask them, and find what is wrong with them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder import cache
from builder.project import Project, World
from builder.terminal import Terminal, size
from sims.errors import UserError

if TYPE_CHECKING:
    from training.dataset import Dataset
    from training.recipe import DataRecipe

SHOWN = 20  # episodes of a query that are listed


@dataclass(frozen=True)
class Asked:
    """What a query asks of the manifest."""

    split: str | None = None
    scenario: str | None = None
    condition: str | None = None
    behaviour: str | None = None
    event: str | None = None
    least: int = 0
    most: int | None = None


def recipe_of(world: World) -> DataRecipe:
    """Return what is recorded of a world: its data.toml, or what its first model is trained on."""
    from builder.pipeline import Entry
    from training import recipe

    if world.data_recipe.is_file():
        loaded = recipe.load_data(world.data_recipe)
        if loaded.world != world.name:
            raise UserError(f"recipe {world.data_recipe}: says world '{loaded.world}'.")
        return loaded
    if not world.families:
        raise UserError(
            f"world {world.name!r}: no recipe says what to record. "
            f"Run: write {world.data_recipe.relative_to(world.project.root)}, with a [data] table",
            exit_code=2,
        )
    asked = Entry(world, world.families[0]).recipe
    return recipe.DataRecipe(asked.world, asked.seed, asked.data)


def record(
    root: Path, name: str, terminal: Terminal, shard: str | None, processes: int | None,
    finished: bool, wait: bool,
) -> None:  # fmt: skip
    """Record a world's dataset, one shard of it, or make one of the shards that are `finished`."""
    from builder.pipeline import dataset_name
    from training import record

    world = Project.open(root).world(name)
    recipe = recipe_of(world)
    out, stem = world.project.cache / "data", dataset_name(world, recipe)
    sim = world.load()
    if finished:
        target = out / f"{stem}.finished"
        record.join(sim, recipe, out / stem, target)
        return _made(target, terminal)
    if shard is None:
        return _made(
            record.record(sim, recipe, out, stem, processes=processes, wait=wait), terminal
        )
    number, shards = _shard(shard), recipe.data.shards
    if number[1] != shards or not 1 <= number[0] <= shards:
        raise UserError(
            f"--shard {shard}: the recipe of world '{name}' has data.shards = {shards}. "
            f"Run: with 1/{shards} to {shards}/{shards}",
            exit_code=2,
        )
    made = record.record_one(sim, recipe, out, stem, number[0] - 1, wait)
    if made:
        return _made(made, terminal)
    there = sum(record.whole(record.shard_folder(out / stem, k)) for k in range(shards))
    terminal.say(f"shard {shard} is there; {there} of {shards} are. Run: the others, anywhere here")


def _shard(text: str) -> tuple[int, int]:
    number, slash, count = text.partition("/")
    if not slash or not number.isdigit() or not count.isdigit():
        raise UserError(f"--shard {text}: not of the form 1/4", exit_code=2)
    return int(number), int(count)


def _made(folder: Path, terminal: Terminal) -> None:
    told = cache.read_json(folder / "meta" / "wmsite" / "recording.json")
    terminal.say(
        f"dataset {folder}: {told['frames']:,} steps, {told['episodes']:,} episodes, "
        f"{size(size_of(folder))}"
    )


def find(root: Path, name: str) -> Path:
    """Return a dataset's folder: a path, a name in the cache, or a world's newest."""
    if Path(name).is_dir():
        return Path(name)
    home = Project.open(root).cache / "data"
    if (home / name).is_dir():
        return home / name
    mine = [(folder, told) for folder, told in _datasets(home) if told["world"] == name]
    # Shards are part of what is being made.
    found = [folder for folder, told in mine if "shard" not in told] or [f for f, _ in mine]
    if not found:
        raise UserError(
            f"dataset '{name}': no folder, and nothing in {home} is named or recorded so. "
            "Run: wmsite data list, to see what there is",
            exit_code=2,
        )
    return max(found, key=lambda folder: (folder / "meta/wmsite/recording.json").stat().st_mtime)


def _datasets(home: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Return a folder's datasets, itself or within, and of each what it tells of itself."""
    found = []
    for file in sorted({*home.glob("meta/wmsite/recording.json"),
                        *home.glob("*/meta/wmsite/recording.json"),
                        *home.glob("*.shards/*/meta/wmsite/recording.json")}):  # fmt: skip
        told = cache.read_json(file)
        whole = not file.parents[2].name.startswith(".")  # else it is about to be
        if whole and isinstance(told, dict) and "world" in told:
            found.append((file.parents[2], told))
    return found


def listed(root: Path, folders: list[Path], terminal: Terminal) -> None:
    """List the datasets of the project's cache, and of other folders."""
    from training.reading import read

    homes = folders or [Project.open(root).cache / "data"]
    count = 0
    for folder, told in (one for home in homes for one in _datasets(home)):
        count += 1
        head = f"{folder}  world {told['world']}  {told['episodes']:,} episodes"
        part = told.get("shard")
        head += f"  {told['frames']:,} steps  {size(size_of(folder))}"
        terminal.say(head + (f"  shard {part[0] + 1}/{part[1]}, unfinished" if part else ""))
        try:
            names = ["split", "scenario", "behaviour", "length"]
            table = read(folder / "meta/wmsite/episodes.parquet", names)
        except (OSError, ValueError) as error:
            terminal.warn(f"dataset {folder}: its manifest can't be read; {error}")
            continue
        for name in names[:3]:
            steps = table.group_by(name).aggregate([("length", "sum")]).to_pylist()
            said = ", ".join(f"{r[name]} {r['length_sum']:,}" for r in steps)
            terminal.say(f"  {name + 's:':<11} {said}")
    if not count:
        where = ", ".join(map(str, homes))
        terminal.say(f"No dataset in {where}. Run: wmsite data record WORLD")


def query(
    folder: Path, asked: Asked, terminal: Terminal, limit: int, as_json: bool, skip_bad: bool
) -> None:
    """Print the episodes, or the events, that a dataset's manifest has of what is asked."""
    from training.dataset import Dataset

    dataset = Dataset.open(folder, skip_bad=skip_bad)
    warn_of(dataset, terminal)
    found = dataset.query(**vars(asked))
    table, rate = dataset.episodes, dataset.info["fps"]
    names = ["split", "scenario", "condition", "behaviour", "seed", "ended", "length"]
    names = ["episode_index", *(name for name in names if name in table)]
    rows = [{name: _plain(table[name][e]) for name in names} for e in found.episodes[:limit]]
    if asked.event:
        happened: dict[int, list[int]] = {}
        mine = dataset.events["event"] == asked.event
        pairs = (dataset.events[name][mine].tolist() for name in ("episode_index", "frame_index"))
        for episode, frame in zip(*pairs, strict=True):
            happened.setdefault(episode, []).append(frame)
        for row in rows:
            row[asked.event] = happened[row["episode_index"]]
    steps = int(table["length"][found.episodes].sum())
    if as_json:
        told = {"episodes": len(found.episodes), "steps": steps, "rows": rows}
        terminal.say(json.dumps(told, indent=1))
        return
    what = f"{len(found.rows):,} times {asked.event} in " if asked.event else ""
    terminal.say(
        f"{what}{len(found.episodes):,} of {len(table['length']):,} episodes, {steps:,} steps, "
        f"{steps / rate / 60:,.1f} min"
    )
    cells = [[key for key in rows[0]]] if rows else []
    cells += [[_cell(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        text = "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True))
        terminal.say("  " + text.rstrip())
    if len(found.episodes) > limit:
        terminal.say(f"  ... {len(found.episodes) - limit:,} more; --limit shows them")


def show(folder: Path, terminal: Terminal, skip_bad: bool) -> None:
    """Print what a dataset holds: its modalities with columns and units, and its counts."""
    import numpy as np

    from training.dataset import Dataset

    dataset = Dataset.open(folder, skip_bad=skip_bad)
    warn_of(dataset, terminal)
    table, told = dataset.episodes, dataset.recording
    rate = dataset.info["fps"]
    terminal.say(f"dataset {folder}  world {dataset.world}  {rate:g} steps a second")
    for one in told.get("modalities", []):
        shape = " x ".join(map(str, one["shape"]))
        place = f"[{one['place']}]" if "place" in one else ""
        unit = f"  {one['unit']}" if one["unit"] else ""
        terminal.say(f"  {one['kind']:<8} {one['name']:<16} {one['column']}{place}  {shape}{unit}")
    names = [n for n in ("split", "scenario", "condition", "behaviour", "ended") if n in table]
    for name in names:
        terminal.say(f"by {name}")
        for value in sorted(set(table[name])):
            mine = table[name] == value
            count, steps = int(mine.sum()), int(table["length"][mine].sum())
            terminal.say(f"  {value:<22} {count:>7,} episodes {steps:>10,} steps")
    terminal.say("events")
    values, counts = np.unique(dataset.events["event"].astype(str), return_counts=True)
    for value, number in zip(values, counts, strict=True):
        terminal.say(f"  {value:<22} {number:>7,}")


def verify(folder: Path, terminal: Terminal, frames: bool, skip_bad: bool) -> None:
    """Read all of a dataset and print what is wrong; UserError if anything is.

    With `skip_bad` only a dataset of which nothing can be used is an error.
    """
    import numpy as np

    from training import verify
    from training.dataset import Dataset
    from training.progress import Progress

    dataset = Dataset.open(folder, skip_bad=True)
    with Progress("verify", float(dataset.recording["frames"])) as bar:
        faults = verify.everything(dataset, frames, bar.update)
    for fault in faults:
        terminal.say(f"{fault}")
    spoilt = {episode for fault in faults for episode in fault.episodes}
    good = np.array([e not in spoilt for e in dataset.everything], np.bool_)
    steps = int(dataset.episodes["length"][good].sum()) if "length" in dataset.episodes else 0
    usable = f"{int(good.sum()):,} of {len(good):,} episodes, {steps:,} steps"
    if faults and not (skip_bad and good.any()):
        what = "1 thing is" if len(faults) == 1 else f"{len(faults)} things are"
        raise UserError(
            f"dataset '{folder}': {what} wrong, {usable} can be used. "
            "Run: with --skip-bad to use those, or delete the folder and record it again"
        )
    terminal.say(f"dataset {folder}: {'usable: ' if faults else 'whole: '}{usable}.")


def warn_of(dataset: Dataset, terminal: Terminal) -> None:
    """Warn of all that is left out of a dataset that is opened with `skip_bad`."""
    for fault in dataset.faults:
        terminal.warn(f"dataset {dataset.path}: {fault}")


def size_of(folder: Path) -> int:
    """Return how many bytes the files of a dataset have."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value[:6])) + (" ..." if len(value) > 6 else "")
    return str(value)
