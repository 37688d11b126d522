"""From a sim to a model that ships: record -> train -> evaluate -> graphs, each only when due."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from builder import extras
from builder.project import acceptance, aside, cache, weights
from builder.project.entries import STEPS, Due, Entry, data_key
from builder.project.playable import playable
from builder.project.worlds import World
from builder.site import film, starts
from builder.terminal import Terminal
from sims.errors import UserError
from training import contained
from training.recipe import Recipe

Training = Literal["auto", "never", "later", "full"]
NEEDED = ("torch", "pyarrow", "safetensors", "PIL", "onnx", "onnxruntime", "tensorboard")


def prepare(entry: Entry, training: Training, terminal: Terminal, wait: bool = False) -> bool:
    """Run the steps that are due; return whether the weights folder can be played.

    Warns of a model that is left out. Raises UserError, with exit code 3, when something must be
    trained and torch is not installed, and for weights that hold links or name other files.
    """
    aside.sweep(entry.weights)
    contained.files(entry.weights, f"model {entry.name}")
    edited = entry.trained and entry.made.get("data") != entry.keys["data"]
    if training == "auto" and edited and not entry.asked.follows:
        training = "later"
    if training in ("never", "later"):
        due = entry.due()
        if entry.playable or (training == "later" and acceptance.fits(entry)):
            if due:
                terminal.say(f"model {entry.name}: shipped as it is, though {due.why}")
            return True
        terminal.warn(
            f"model {entry.name}: left out, because {due.why}; the world plays "
            f"{'nothing' if entry.world.recorded else 'its sim alone'}. "
            f"Run: {entry.train_command}"
        )
        return False
    if not entry.due() and training == "auto":
        return True
    with entry.lock(wait):
        cache.recover(entry.weights)
        if training == "full":
            entry.tuning, due = False, Due(STEPS, "it is trained anew, as asked")
        else:
            due = entry.due()  # Another process may have done it while this one waited.
            if "train" in due.steps:
                entry.tuning = _tunes(entry)
            if entry.tuning and (refused := acceptance.refused(entry)):
                terminal.warn(refused)
                return acceptance.fits(entry)
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        if due and missing:
            if "train" in due.steps or not entry.playable:
                raise UserError(
                    f"model {entry.name}: must be trained ({due.why}), and {missing[0]} is not "
                    f"installed. Run: {extras.install('train')}, then the same command again; or "
                    "build with --train never",
                    exit_code=3,
                )
            terminal.say(f"model {entry.name}: shipped as it is, though {due.why}")
        elif due:
            return make(entry, due, terminal, fresh=training == "full")
    return True


def _tunes(entry: Entry) -> bool:
    """Return whether training starts from existing weights: weights of another sim."""
    other = entry.tuning or entry.made.get("data") != entry.keys["data"]
    return (
        other
        and entry.budget == entry.spent
        and not entry.world.recorded
        and entry.asked.finetune is not None
        and entry.trained
        and weights.whole(entry.weights / weights.WEIGHTS)
    )


def make(
    entry: Entry, due: Due, terminal: Terminal, source: Path | None = None, *, fresh: bool = False
) -> bool:
    """Run the due steps in a working folder, and swap the whole weights folder in at the end.

    Weights that are not trained here come from the folder `source`, or are the project's own;
    `fresh` ones are trained anew. If fine-tuned weights have not learned the edited sim, nothing is
    swapped. Returns whether the weights folder can then be played.
    """
    if entry.world.played and "train" in due.steps:
        entry.world.played.renew()
    entry.suit(*due.steps)
    weights.refuse(entry.weights)
    terminal.say(f"model {entry.name}: {' -> '.join(due.steps)}, because {due.why}")
    suffix = "-full" if fresh else "-adopted" if source else ""
    work = entry.home / "train" / f"{entry.stem}-{entry.keys['train'][:16]}{suffix}"
    trained = "train" in due.steps
    first = trained and not entry.trained
    if trained:
        _train(entry, work)
        if first:
            weights.publish(work, entry.weights)  # Whatever their evaluation says.
    else:
        weights.copy(source or entry.weights, work)

    def wanted(step: str) -> bool:
        # After a kill, finished steps count as done; the committed files may be damaged.
        return step in due.steps and not (trained and weights.key(work, step) == entry.keys[step])

    if trained and entry.tuning and wanted("evaluate") and wanted("graphs"):
        _side_by_side(entry, work, terminal)
    if wanted("evaluate"):
        measure(entry, work)
        weights.stamp(work, {"evaluate": entry.keys["evaluate"]})
        if first:
            weights.publish(work, entry.weights)  # A kill from here on does not measure again.
    if trained and entry.tuning and (why := acceptance.shortfall(entry, work)):
        acceptance.refuse(entry, why)
        terminal.warn(why)
        shutil.rmtree(work, ignore_errors=True)
        return acceptance.fits(entry)
    if wanted("graphs"):
        _export(entry, work, terminal)
    if entry.world.recorded:  # Without its moments, nothing of it can be played.
        games = entry.world.played is not None
        starts.write(work, dataset(entry), entry.world.spec.to_json(), begin=games)
    weights.publish(work, entry.weights)
    if (work / "tensorboard").is_dir():
        logs = entry.home / "tensorboard" / work.name
        shutil.rmtree(logs, ignore_errors=True)
        logs.parent.mkdir(exist_ok=True)
        (work / "tensorboard").rename(logs)
    shutil.rmtree(work, ignore_errors=True)
    if metrics := cache.read_json(entry.weights / "metrics.json"):
        terminal.say(playable(metrics, entry.name, entry.world.spec.rate))
    film.renew(entry, terminal)
    return True


def measure(entry: Entry, work: Path) -> dict[str, Any]:
    """Evaluate the weights in `work`: against the sim, or against held-out recordings."""
    from training.evaluation import evaluate

    if entry.world.recorded:
        root = entry.world.project.root
        if str(root) not in sys.path:  # Where the functions are that played while it was recorded.
            sys.path.insert(0, str(root))
        return evaluate.evaluate(work, None, entry.recipe, dataset(entry), root)
    return evaluate.evaluate(work, entry.world.load(), entry.recipe)


def _side_by_side(entry: Entry, work: Path, terminal: Terminal) -> None:
    """Evaluate and export at once, each on half of the cores, because somebody waits.

    This is only for following an edit: a full training is timed on a machine at rest.
    """
    import torch

    from training.evaluation import evaluate
    from training.processes import beside

    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // 2))
    try:
        with beside(evaluate.evaluate, work, entry.world.load(), entry.recipe) as evaluated:
            _export(entry, work, terminal)
            evaluated.result()
    finally:
        torch.set_num_threads(threads)
    weights.stamp(work, {"evaluate": entry.keys["evaluate"]})


def _export(entry: Entry, work: Path, terminal: Terminal) -> None:
    """Make the graphs of the weights in `work`."""
    from builder.export import graphs

    sim, out = entry.world.sim, work / "graphs"
    graphs.make_graphs(work, dataset(entry), sim, entry.recipe, out, terminal.warn)
    weights.stamp(work, {"graphs": entry.keys["graphs"]})


def dataset(entry: Entry) -> Path:
    """Return the dataset that the recipe asks for, recorded or read if the cache lacks it."""
    from training.data import record

    name = f"{entry.world.name}-{entry.keys['data'][:16]}"
    if entry.world.played:
        return entry.world.played.record(entry.recipe, entry.home / "data", name)
    if entry.world.recorded:
        return recording(entry.world)
    return record.record(entry.world.load(), entry.recipe, entry.home / "data", name)


def recording(world: World) -> Path:
    """Return the dataset that is made of the recording of a world without a simulator."""
    assert world.recorded
    return world.recorded.dataset(world.project.cache / "data", data_key(world, {}, 0))


def dataset_name(world: World, asked: Any) -> str:
    """Return the name of the dataset that a recipe asks for; it contains the dataset's key."""
    return f"{world.name}-{data_key(world, asdict(asked.data), asked.seed)[:16]}"


def as_here(recipe: Recipe) -> Recipe:
    """Return a recipe as this system can train it: only Linux forks what has loaded torch."""
    if sys.platform == "linux":
        return recipe
    return replace(recipe, train=replace(recipe.train, ranks=1))


def _train(entry: Entry, work: Path) -> None:
    """Train in `work`, and resume a run that was killed."""
    if weights.key(work, "train") == entry.keys["train"]:
        return  # Killed between training and publishing: the weights are complete.
    folder = dataset(entry)
    from training.trainer import train

    keys = {name: entry.keys[name] for name in ("sim", "data", "train")}
    init = entry.weights if entry.tuning else None
    train.train(as_here(entry.recipe), folder, work, entry.world.sim, keys=keys, init=init)
    if entry.world.recorded:
        played = entry.world.played
        weights.describe(work, entry.world.spec, played.about if played else None)
