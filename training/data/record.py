"""Record a sim's behaviours as a dataset, in shards, each of them whole or not at all.

Row t of an episode holds frame t, the action and chance of the step from it, and that step's reward
and end. An episode that terminates has one more row, unless recording stopped right there: the
frame after the end, with a step that changes nothing. Every episode has a seed of its own, and no
seed is in two splits.

The n shards of a dataset follow one another in it, and have seeds of their own. The dataset is the
same to the byte, whether one process or several record the shards, on one day or two. Each shard is
a dataset by itself, in `<name>.shards/`, until all are complete: a killed recorder leaves them, and
the next one continues from them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from sims.contract import Sim
from sims.errors import UserError
from training.data.dataset_manifest import MANIFEST, Book
from training.data.episodes import Batch, Episode
from training.data.lerobot import Writer
from training.data.merge import merge
from training.data.palette import Colours
from training.locks import lock
from training.processes import in_processes
from training.progress import Progress
from training.recipe import Data, DataRecipe, Recipe

SEEDS = 10**6  # of each split

Told = Callable[[int, int], None]  # gets the recorded steps and episodes


def record(
    sim_class: type[Sim],
    recipe: Recipe | DataRecipe,
    out: Path,
    name: str,
    *,
    processes: int | None = None,
    wait: bool = True,
) -> Path:
    """Record the recipe's data as the folder `out`/`name`, and return that folder.

    `processes` share the shards (by default one process for each core). Existing shards are kept,
    and so is a complete dataset: its name must contain everything that decides its content. Raises
    UserError for shares of unknown behaviours or scenarios, for a sim that fails, for a disk that
    fails, and, unless it may `wait`, if another process records the same; no unfinished folder is
    left.
    """
    folder, shards = out / name, recipe.data.shards
    if whole(folder):
        return folder
    with _room(sim_class, recipe, out):
        if shards == 1:
            with lock(out / f".{name}.lock", f"dataset '{folder}'", wait, keep=False):
                if not whole(folder):
                    bar = Progress(f"record {sim_class.spec.name}", recipe.data.steps)
                    with bar, set_aside(folder) as aside:
                        _record(sim_class, recipe, 0, aside, _teller(bar))
        else:
            missing = [k for k in range(shards) if not whole(shard_folder(folder, k))]
            jobs = [(sim_class, recipe, folder, k, wait) for k in missing]
            steps = recipe.data.steps / shards * len(missing)
            with Progress(f"record {sim_class.spec.name}", steps) as bar:
                count = min(processes or os.cpu_count() or 1, len(missing))
                in_processes(record_shard, jobs, count, _teller(bar))
            _complete(sim_class, recipe, folder)
    return folder


def record_one(
    sim_class: type[Sim],
    recipe: Recipe | DataRecipe,
    out: Path,
    name: str,
    shard: int,
    wait: bool = False,
) -> Path | None:
    """Record one shard (from 0) of the dataset of `record`; return the dataset if complete.

    Raises UserError as `record` does.
    """
    folder, shards = out / name, recipe.data.shards
    if shards == 1:
        return record(sim_class, recipe, out, name, wait=wait)
    if not whole(folder):
        with _room(sim_class, recipe, out):
            title = f"record {sim_class.spec.name} {shard + 1}/{shards}"
            with Progress(title, recipe.data.steps / shards) as bar:
                record_shard(sim_class, recipe, folder, shard, wait, _teller(bar))
            _complete(sim_class, recipe, folder)
    return folder if whole(folder) else None


@contextmanager
def _room(sim_class: type[Sim], recipe: Recipe | DataRecipe, out: Path) -> Iterator[None]:
    """Check the request, make the folder, and report in one line what the disk refuses."""
    plan(sim_class, recipe.data)
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UserError(
            f"dataset of world '{sim_class.spec.name}': can't be written to {out}; "
            f"{error.strerror or error}. Run: make room there, then the same command again"
        ) from error


def record_shard(
    sim_class: type[Sim],
    recipe: Recipe | DataRecipe,
    folder: Path,
    shard: int,
    wait: bool,
    told: Told = lambda steps, episodes: None,
) -> None:
    """Record one shard of the future dataset `folder`, unless the shard exists."""
    target = shard_folder(folder, shard)
    what = f"shard {shard + 1}/{recipe.data.shards} of dataset '{folder}'"
    with lock(target.parent / f".{target.name}.lock", what, wait):
        if not whole(target) and not whole(folder):
            with set_aside(target) as aside:
                _record(sim_class, recipe, shard, aside, told)


def _complete(sim_class: type[Sim], recipe: Recipe | DataRecipe, folder: Path) -> None:
    """Join the shards into the dataset, if all exist and no process has joined them."""
    own = folder.with_name(f".{folder.name}.lock")
    with lock(own, f"dataset '{folder}'", wait=True, keep=False):
        ready = all(whole(shard_folder(folder, k)) for k in range(recipe.data.shards))
        if ready and not whole(folder):
            join(sim_class, recipe, folder, folder)
        if whole(folder):
            shutil.rmtree(shard_folder(folder, 0).parent, ignore_errors=True)


def join(sim_class: type[Sim], recipe: Recipe | DataRecipe, folder: Path, target: Path) -> None:
    """Make `target` from the complete shards of the dataset `folder`."""
    parts = [shard_folder(folder, k) for k in range(recipe.data.shards)]
    parts = [part for part in parts if whole(part)]
    if not parts:
        raise UserError(f"dataset '{folder}': no shard of it is finished. Run: wmsite data record")
    steps = recipe.data.steps * len(parts) // recipe.data.shards
    with Progress(f"join {len(parts)} shards", total=steps) as bar, set_aside(target) as aside:
        merge(parts, sim_class.spec, aside, recipe.seed, asdict(recipe.data), told=bar.update)


def whole(folder: Path) -> bool:
    """Return whether a dataset exists and is complete."""
    return (folder / MANIFEST / "recording.json").exists()


def shard_folder(folder: Path, shard: int) -> Path:
    """Return the folder of a shard, where it lies until all shards are complete."""
    return folder.with_name(f"{folder.name}.shards") / f"{shard:03d}"


def episode_seed(recipe_seed: int, split: int, number: int) -> int:
    """Return the seed of a split's n-th episode, always within 10**6..2**40.

    People who play and the evaluation use the other seeds.
    """
    return (recipe_seed % 10**4 * 100 + split + 1) * 10**6 + number


def ordered_splits(data: Data) -> list[str]:
    """Return the splits in the order of recording: train, then by name."""
    return sorted(
        (s for s, share in data.splits.items() if share > 0), key=lambda s: (s != "train", s)
    )


def plan(sim_class: type[Sim], data: Data) -> dict[str, dict[str, float]]:
    """Return {"behaviours": ..., "scenarios": ...}: shares adding up to 1, in the sim's order.

    "conditions" too, if the recipe has shares of them; otherwise the seed decides each one. Raises
    UserError for a name that the sim doesn't have.
    """
    spec = sim_class.spec
    out = {}
    for what in ("behaviours", "scenarios", "conditions"):
        known = getattr(spec, what)
        asked = getattr(data, what)
        shares = asked or dict.fromkeys(known, 1.0)
        for key in shares:
            if key not in known:
                raise UserError(
                    f"recipe for world '{spec.name}': data.{what} names '{key}'; "
                    f"the sim has {', '.join(known) or 'none'}."
                )
        if asked or what != "conditions":
            total = sum(shares.values())
            out[what] = {key: shares[key] / total for key in known if shares.get(key, 0) > 0}
    return out


def parts(data: Data, shard: int) -> list[tuple[int, str, float]]:
    """Return (number, name, steps) of each split of which a shard has steps.

    The shards follow one another through all steps, and through the splits.
    """
    shares = sum(data.splits.values())
    low, high = (data.steps * k / data.shards for k in (shard, shard + 1))
    found, at = [], 0.0
    for number, split in enumerate(ordered_splits(data)):
        steps = data.steps * data.splits[split] / shares
        mine = steps if data.shards == 1 else min(high, at + steps) - max(low, at)
        if data.shards == 1 or mine >= 1:
            found.append((number, split, mine))
        at += steps
    return found


def _record(
    sim_class: type[Sim], recipe: Recipe | DataRecipe, shard: int, folder: Path, told: Told
) -> None:
    """Record one shard as a dataset into a new folder."""
    data, spec = recipe.data, sim_class.spec
    shares = plan(sim_class, data)
    writer, book, colours = Writer(folder, spec), Book(spec), Colours()
    room = SEEDS // data.shards
    for number, split, steps in parts(data, shard):
        # Few enough worlds that each can play a whole episode.
        worlds = int(min(data.worlds, max(1, steps // data.episode_steps)))
        seeds = _seeds(recipe.seed, number, range(shard * room, (shard + 1) * room))
        # All shards together have the shares of all scenarios, a single shard may not.
        before = data.steps * shard / data.shards / data.episode_steps
        more = before if data.shards > 1 else None
        batch = Batch(sim_class, worlds, shares, seeds, data.episode_steps, more)
        ticks = max(1, round(steps / worlds))
        for tick in range(1, ticks + 1):
            done = batch.tick(colours, last=tick == ticks)
            for episode in done:
                note(episode, split, writer, book)
            told(worlds, len(done))
    part = {"shard": [shard, data.shards]} if data.shards > 1 else {}
    book.finish(writer, recipe.seed, asdict(data), palette=colours.palette(), **part)


def note(episode: Episode, split: str, writer: Writer, book: Book) -> None:
    """Pass an episode to the writer, and note its place and its events."""
    task = f"{writer.spec.title}: {episode.behaviour}"
    place = writer.add(episode.columns, episode.images, episode.shades, task)
    book.note(vars(episode) | {"split": split}, episode.events, place)


def _seeds(recipe_seed: int, split: int, numbers: range) -> Iterator[int]:
    for number in numbers:
        yield episode_seed(recipe_seed, split, number)
    raise UserError(
        f"recording: more than {len(numbers)} episodes of one split in one shard, and there are no "
        "more seeds. Run: ask for fewer data.steps, or fewer data.shards"
    )


def _teller(bar: Progress) -> Told:
    episodes = 0

    def told(steps: int, more: int) -> None:
        nonlocal episodes
        episodes += more
        bar.update(steps, episodes=episodes)

    return told


@contextmanager
def set_aside(folder: Path) -> Iterator[Path]:
    """Yield a new folder to write to, which is put in place when complete, and otherwise removed.

    Call it with the lock of that folder held: folders beside it belong to recorders that died.
    """
    for path in folder.parent.glob(f".{folder.name}.*"):
        if path.suffix[1:].isdigit():
            shutil.rmtree(path, ignore_errors=True)
    aside = folder.with_name(f".{folder.name}.{os.getpid()}")
    aside.mkdir()
    try:
        yield aside
        if folder.exists():  # Incomplete, otherwise it would not be made.
            shutil.rmtree(folder)
        aside.replace(folder)
        handle = os.open(folder.parent, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
