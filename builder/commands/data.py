"""`wmsite data`: record datasets, list and query them, and find their faults."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder.project import own
from builder.project.recorded import MANIFEST, Recorded
from builder.project.worlds import Project, World
from builder.terminal import Terminal, size
from sims.errors import UserError
from training.environment_recipe import SIDE

if TYPE_CHECKING:
    from training.data.dataset import Dataset
    from training.recipe import DataRecipe

# The files that wmsite writes into a dataset's folder.
MINE = ("README.md", "data/", "decoded/", "meta/")
SHOWN = 20  # the most episodes that a query lists


@dataclass(frozen=True)
class Asked:
    """The conditions of a query over the dataset manifest."""

    split: str | None = None
    scenario: str | None = None
    condition: str | None = None
    behaviour: str | None = None
    event: str | None = None
    least: int = 0
    most: int | None = None


def recipe_of(world: World) -> DataRecipe:
    """Return what to record of a world: its data.toml, or the recipe of its first model."""
    from builder.project.entries import Entry
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
    return recipe.DataRecipe(asked.world, asked.seed, asked.data, asked.gym)


def record(
    root: Path, name: str, terminal: Terminal, shard: str | None, processes: int | None,
    finished: bool, wait: bool,
) -> None:  # fmt: skip
    """Record a world's dataset, or one shard of it, or join the shards that are `finished`."""
    from builder.project.steps import dataset_name
    from training import suits
    from training.data import record

    world = Project.open(root).world(name)
    recipe = recipe_of(world)
    if world.played:
        if shard or finished:
            raise UserError(
                f"world {name!r}: is recorded from an environment, in one command, which goes on "
                f"from its finished shards. Run: wmsite data record {name}",
                exit_code=2,
            )
        home, stem = world.project.cache / "data", dataset_name(world, recipe)
        return say(world.played.record(recipe, home, stem, processes, wait), terminal)
    out, stem = world.project.cache / "data", dataset_name(world, recipe)
    sim = world.load()
    written = world.data_recipe if world.data_recipe.is_file() else world.recipe(world.families[0])
    suits.recording(recipe, sim.spec, f"recipe '{written}'")
    target = out / (f"{stem}.finished" if finished else stem)
    refuse(target)
    if finished:
        record.join(sim, recipe, out / stem, target)
        return say(target, terminal)
    if shard is None:
        return say(record.record(sim, recipe, out, stem, processes=processes, wait=wait), terminal)
    number, shards = _shard(shard), recipe.data.shards
    if number[1] != shards or not 1 <= number[0] <= shards:
        raise UserError(
            f"--shard {shard}: the recipe of world '{name}' has data.shards = {shards}. "
            f"Run: with 1/{shards} to {shards}/{shards}",
            exit_code=2,
        )
    made = record.record_one(sim, recipe, out, stem, number[0] - 1, wait)
    if made:
        return say(made, terminal)
    there = sum(record.whole(record.shard_folder(out / stem, k)) for k in range(shards))
    terminal.say(f"shard {shard} is there; {there} of {shards} are. Run: the others, anywhere here")


def refuse(folder: Path) -> None:
    """Raise UserError if a dataset's folder holds other files, which recording would destroy."""
    own.refuse(folder, "dataset", MINE, "move it elsewhere, then the same command again")


def _shard(text: str) -> tuple[int, int]:
    number, slash, count = text.partition("/")
    if not slash or not number.isdigit() or not count.isdigit():
        raise UserError(f"--shard {text}: not of the form 1/4", exit_code=2)
    return int(number), int(count)


def say(folder: Path, terminal: Terminal) -> None:
    """Say in one line what a dataset holds."""
    from training.data.dataset_manifest import recording_of

    told = recording_of(folder)
    terminal.say(
        f"dataset {folder}: {told['frames']:,} steps, {told['episodes']:,} episodes, "
        f"{size(size_of(folder))}"
    )


def foreign(root: Path, name: str) -> World | None:
    """Return what another tool recorded as a world: its folder, or a world that is one.

    None for what wmsite recorded itself.
    """
    folder = Path(name).resolve()
    if folder.is_dir():
        if not (folder / "meta" / "info.json").is_file() or (folder / MANIFEST).exists():
            return None
        project = Project.open(root)
        for world in project.worlds.values():
            if world.recorded and world.recorded.path.resolve() == folder:
                return world
        stem = re.sub(r"[^A-Za-z0-9_-]+", "-", folder.name).strip("-") or "recording"
        one = Recorded(project.root, stem, folder, str(folder), SIDE)
        return World(project, stem, folder, one)
    named = Project.open(root).worlds.get(name)
    return named if named and named.recorded and not named.recorded.ours else None


def find(root: Path, name: str) -> Path:
    """Return a dataset's folder: a path, a name in the cache, or a world's newest.

    What another tool recorded is read into the cache, where a dataset is made of it.
    """
    if other := foreign(root, name):
        from builder.project import steps

        return steps.recording(other)
    if Path(name).is_dir():
        return Path(name)
    project = Project.open(root)
    home = project.cache / "data"
    if (home / name).is_dir():
        return home / name
    world = project.worlds.get(name)
    if world and world.recorded and not world.played:
        return world.recorded.path
    mine = [(folder, told) for folder, told in _datasets(home) if told["world"] == name]
    # Shards are unfinished datasets.
    found = [folder for folder, told in mine if "shard" not in told] or [f for f, _ in mine]
    if not found:
        raise UserError(
            f"dataset '{name}': no folder, and nothing in {home} is named or recorded so. "
            "Run: wmsite data list, to see what there is",
            exit_code=2,
        )
    return max(found, key=lambda folder: (folder / "meta/wmsite/recording.json").stat().st_mtime)


def _datasets(home: Path, terminal: Terminal | None = None) -> list[tuple[Path, dict[str, Any]]]:
    """Return the datasets at or below a folder, and the recording.json of each.

    `terminal` gets a warning for each one without a readable recording.json.
    """
    from training.data.dataset_manifest import recording_of

    found = []
    for file in sorted({*home.glob("meta/wmsite/recording.json"),
                        *home.glob("*/meta/wmsite/recording.json"),
                        *home.glob("*.shards/*/meta/wmsite/recording.json")}):  # fmt: skip
        folder = file.parents[2]
        if folder.name.startswith("."):  # an unfinished dataset
            continue
        try:
            found.append((folder, recording_of(folder)))
        except UserError as error:
            if terminal:
                terminal.warn(str(error))
    return found


def listed(root: Path, folders: list[Path], terminal: Terminal) -> None:
    """List the datasets of the project's cache, and of other folders."""
    from training.data.files import read

    homes = folders or [Project.open(root).cache / "data"]
    count = 0
    for folder, told in (one for home in homes for one in _datasets(home, terminal)):
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
    """Print the episodes, or the events, of a dataset that match a query."""
    from training.data.dataset import Dataset

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
    """Print the content of a dataset: its modalities with columns and units, and its counts."""
    import numpy as np

    from training.data.dataset import Dataset

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


def verify(root: Path, name: str, terminal: Terminal, frames: bool, skip_bad: bool) -> None:
    """Read a whole dataset and print its faults; UserError if it has any.

    With `skip_bad`, only a dataset without any usable part is an error.
    """
    import numpy as np

    from training.data import verify
    from training.data.dataset import Dataset
    from training.progress import Progress

    if world := foreign(root, name):
        return _verify_foreign(world, terminal)
    folder = find(root, name)
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


def _verify_foreign(world: World, terminal: Terminal) -> None:
    """Read what another tool recorded, whole; UserError if anything of it is wrong."""
    from training.progress import Progress

    assert world.recorded
    source = world.recorded.foreign
    with Progress("verify", float(source.table["length"].sum())) as bar:
        faults = source.faults(bar.update)
    for fault in faults:
        terminal.say(f"{fault}")
    count = len(source.tasks)
    if faults:
        what = "1 thing is" if len(faults) == 1 else f"{len(faults)} things are"
        good = count - len({episode for fault in faults for episode in fault.episodes})
        raise UserError(
            f"{source.where}: {what} wrong, {good:,} of {count:,} episodes are whole. Run: take "
            "those files again from where they came, or leave those episodes out with LeRobot's "
            "own tools"
        )
    steps = int(source.table["length"].sum())
    terminal.say(f"{source.where}: whole: {count:,} of {count:,} episodes, {steps:,} steps.")
    if source.left_out:
        terminal.say(f"{source.where}: not read: {', '.join(source.left_out)}")


def warn_of(dataset: Dataset, terminal: Terminal) -> None:
    """Warn of everything that `skip_bad` leaves out of a dataset."""
    for fault in dataset.faults:
        terminal.warn(f"dataset {dataset.path}: {fault}")


def size_of(folder: Path) -> int:
    """Return the size of a dataset's files in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value[:6])) + (" ..." if len(value) > 6 else "")
    return str(value)
