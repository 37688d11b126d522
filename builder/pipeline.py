"""From a sim to a model that ships: record -> train -> evaluate -> graphs, each only when due.

A step's key is the hash of all that decides its product besides the steps before it: the sim's
closure, the recipe's part, the code of the step; and training's has the recording's in it. What
follows training is due whenever that is. `weights/<world>/<family>/` is a cache entry that is
committed: its provenance.json names the keys that made it.
"""

from __future__ import annotations

import importlib.util
import shutil
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from builder import acceptance, cache, weights
from builder.project import PACKAGES, World
from builder.terminal import Terminal
from sims.errors import UserError

Training = Literal["auto", "never", "later", "full"]

# The code that decides each step's numbers. Progress bars and the like are left out on purpose.
# What is measured of a variant's play decides whether it ships.
EVALUATION = (
    "training/agreement.py",
    "training/autonomy.py",
    "training/bootstrap.py",
    "training/breakout_objects.py",
    "training/breakout_rules.py",
    "training/detectors.py",
    "training/evaluate.py",
    "training/models/__init__.py",
    "training/players.py",
    "training/scenes.py",
)
CODE: dict[str, tuple[str, ...]] = {
    "data": (
        "training/book.py",
        "training/episodes.py",
        "training/images.py",
        "training/lerobot.py",
        "training/merge.py",
        "training/palette.py",
        "training/reading.py",
        "training/record.py",
        "training/statistics.py",
    ),
    "train": (
        "training/dataset.py",
        "training/muon.py",
        "training/objective.py",
        "training/ranks.py",
        "training/scenes.py",
        "training/streams.py",
        "training/train.py",
        "training/weights.py",
    ),
    "evaluate": EVALUATION,
    "graphs": (
        *EVALUATION,
        "builder/export.py",
        "builder/graphs.py",
        "builder/quantize.py",
        "builder/parity.py",
        "builder/rehearsal.py",
        "builder/replay.py",
        "builder/runtimes.py",
    ),
}
# And what only one family is made of, and is trained with.
MODEL: dict[str, tuple[str, ...]] = {
    "recurrent": (
        "training/models/inherit.py",
        "training/models/landmarks.py",
        "training/models/laws.py",
        "training/models/layout.py",
        "training/models/packed.py",
        "training/models/recurrent.py",
        "training/models/twins.py",
        "training/models/units.py",
    ),
    "denoiser": ("training/models/denoiser.py",),
}
TAUGHT: dict[str, tuple[str, ...]] = {
    "recurrent": (
        "training/breakout_objects.py",
        "training/breakout_relabel.py",
        "training/regression.py",
    ),
    "denoiser": ("training/denoising.py",),
}
STEPS = ("data", "train", "evaluate", "graphs")
NEEDED = ("torch", "pyarrow", "safetensors", "PIL", "onnx", "onnxruntime", "tensorboard")
INSTALL = "pip install 'wmsite[train]'"


@dataclass(frozen=True)
class Due:
    """Whether a model is what its recipe asks for: which steps are due, and why."""

    steps: tuple[str, ...]
    why: str

    def __bool__(self) -> bool:
        return bool(self.steps)


class Entry:
    """One model of one world: its recipe, its keys, and the weights folder that is committed."""

    def __init__(self, world: World, family: str) -> None:
        self.world = world
        self.family = family
        self.name = f"{world.name}/{family}"
        self.stem = f"{world.name}-{family}"
        self.weights = world.weights(family)
        self.home = world.project.cache
        # Are the weights, or are they to be, fine-tuned: that has a recipe and keys of its own.
        self.tuning = bool(self.provenance.get("finetuned_from"))
        self._keys: dict[bool, dict[str, str]] = {}

    def lock(self, wait: bool = False) -> AbstractContextManager[None]:
        """Hold what training changes: the working folder and the committed weights."""
        return cache.lock(self.home / "locks" / self.stem, f"model {self.name}", wait)

    @cached_property
    def asked(self) -> Any:
        """The recipe as it is written; UserError for one that can't be used."""
        from training import recipe

        loaded = recipe.load(self.world.recipe(self.family))
        if (loaded.world, loaded.family) != (self.world.name, self.family):
            raise UserError(
                f"recipe {self.world.recipe(self.family)}: says {loaded.world}/{loaded.family}, "
                f"but its place says {self.name}. Run: make them agree, then build again"
            )
        return loaded

    @property
    def recipe(self) -> Any:
        """The recipe that counts now: as written, or for fine-tuning."""
        return self.asked.tuned if self.tuning else self.asked

    @property
    def keys(self) -> dict[str, str]:
        """The key of every step as things stood first: sim, data, train, evaluate, graphs."""
        return self.keys_of(self.tuning)

    def keys_of(self, tuning: bool) -> dict[str, str]:
        """The same for weights trained from nothing, or for fine-tuned ones."""
        if tuning not in self._keys:
            self._keys[tuning] = self._find_keys(self.asked.tuned if tuning else self.asked)
        return self._keys[tuning]

    def _find_keys(self, written: Any) -> dict[str, str]:
        from training import recipe

        asked = recipe.to_json(written)
        model, taught = MODEL.get(self.family, ()), TAUGHT.get(self.family, ())
        more = {"train": model + taught, "evaluate": model, "graphs": model}
        files = {step: some + more.get(step, ()) for step, some in CODE.items()}
        code = {step: cache.code_hash(PACKAGES / f for f in some) for step, some in files.items()}
        keys = {"sim": self.world.hash}
        keys["data"] = _data_key(keys["sim"], asked["data"], asked["seed"])
        keys["train"] = cache.key(
            data=keys["data"], model=asked["model"], train=asked["train"], code=code["train"]
        )
        for step, part in (("evaluate", "evaluate"), ("graphs", "export")):
            keys[step] = cache.key(sim=keys["sim"], recipe=asked[part], code=code[step])
        return keys

    @property
    def provenance(self) -> dict[str, Any]:
        """What the committed weights say of how they were made; empty where there are none."""
        told = cache.read_json(self.weights / "provenance.json")
        return told if isinstance(told, dict) else {}

    @property
    def made(self) -> dict[str, str]:
        """The keys that the committed weights were made with."""
        keys = self.provenance.get("keys")
        return keys if isinstance(keys, dict) else {}

    @property
    def trained(self) -> bool:
        """Whether there are committed weights that say how they were made."""
        return bool(self.made) and (self.weights / weights.WEIGHTS).is_file()

    @property
    def playable(self) -> bool:
        """Whether the committed graphs are whole, and of this very sim."""
        return self.made.get("sim") == self.keys["sim"] and self.damaged() is None

    def due(self) -> Due:
        """Return which steps must run, and why."""
        made, keys = self.made, self.keys
        if not self.trained:
            return Due(STEPS, "it has no weights yet")
        if made.get("sim") != keys["sim"]:
            was, now = str(made.get("sim"))[:12], keys["sim"][:12]
            return Due(STEPS, f"its weights are of another sim ({was}; the sim is now {now})")
        if made.get("data") != keys["data"]:
            return Due(STEPS, "what it records, or how, has changed")
        if made.get("train") != keys["train"]:
            return Due(STEPS[1:], "its recipe or the training code has changed")
        if not weights.whole(self.weights / weights.WEIGHTS):
            return Due(STEPS[1:], f"{weights.WEIGHTS} is damaged")
        steps, why = [], []
        if made.get("evaluate") != self.keys["evaluate"]:
            steps.append("evaluate")
            why.append("how it is evaluated has changed")
        elif not (self.weights / "metrics.json").is_file():
            steps.append("evaluate")
            why.append("it was not evaluated")
        if made.get("graphs") != self.keys["graphs"]:
            steps.append("graphs")
            why.append("how it is exported has changed")
        elif damaged := self.damaged():
            steps.append("graphs")
            why.append(f"{damaged} is damaged or absent")
        return Due(tuple(steps), " and ".join(why) or "it is up to date")

    def damaged(self) -> str | None:
        """Return the first committed graph that is not what the parity gate passed."""
        told = cache.read_json(self.weights / "graphs" / "model.json")
        try:
            files = [variant["step"] for variant in told["variants"]]
            for file in files:
                path = self.weights / "graphs" / file["url"]
                if not path.is_file() or cache.sha256_file(path) != file["sha256"]:
                    return str(file["url"])
        except (TypeError, KeyError):
            return "model.json"
        return None


def prepare(entry: Entry, training: Training, terminal: Terminal, wait: bool = False) -> bool:
    """Do the steps that are due; return whether the weights folder can be played.

    Warns for a model that is left out. Raises UserError, with exit code 3, when something must
    be trained and torch is not installed.
    """
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
            f"model {entry.name}: left out, because {due.why}; the world plays its sim alone. "
            f"Run: wmsite train {entry.world.name}"
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
                    f"installed. Run: {INSTALL}, then the same command again; or build with "
                    "--train never",
                    exit_code=3,
                )
            terminal.say(f"model {entry.name}: shipped as it is, though {due.why}")
        elif due:
            return _make(entry, due, training, terminal)
    return True


def _tunes(entry: Entry) -> bool:
    """Return whether training starts from the weights that are there: those of another sim."""
    other = entry.tuning or entry.made.get("data") != entry.keys["data"]
    return (
        other
        and entry.asked.finetune is not None
        and weights.whole(entry.weights / weights.WEIGHTS)
    )


def _make(entry: Entry, due: Due, training: Training, terminal: Terminal) -> bool:
    """Run the due steps in a working folder, and swap the whole weights folder in at the end.

    Where fine-tuned weights have not learned the edited sim, nothing is swapped. Returns whether
    what is there then can be played.
    """
    terminal.say(f"model {entry.name}: {' -> '.join(due.steps)}, because {due.why}")
    suffix = "-full" if training == "full" else ""
    work = entry.home / "train" / f"{entry.stem}-{entry.keys['train'][:16]}{suffix}"
    trained = "train" in due.steps
    if trained:
        _train(entry, work)
    else:
        weights.copy(entry.weights, work)

    def wanted(step: str) -> bool:
        # Of a run that was killed, what is done is done; what is committed may be damaged.
        return step in due.steps and not (trained and weights.key(work, step) == entry.keys[step])

    if trained and entry.tuning and wanted("evaluate") and wanted("graphs"):
        _side_by_side(entry, work, terminal)
    if wanted("evaluate"):
        from training import evaluate

        evaluate.evaluate(work, entry.world.load(), entry.recipe)
        weights.stamp(work, {"evaluate": entry.keys["evaluate"]})
    if trained and entry.tuning and (why := acceptance.shortfall(entry, work)):
        acceptance.refuse(entry, why)
        terminal.warn(why)
        shutil.rmtree(work, ignore_errors=True)
        return acceptance.fits(entry)
    if wanted("graphs"):
        _export(entry, work, terminal)
    weights.publish(work, entry.weights)
    if (work / "tensorboard").is_dir():
        logs = entry.home / "tensorboard" / work.name
        shutil.rmtree(logs, ignore_errors=True)
        logs.parent.mkdir(exist_ok=True)
        (work / "tensorboard").rename(logs)
    shutil.rmtree(work, ignore_errors=True)
    return True


def _side_by_side(entry: Entry, work: Path, terminal: Terminal) -> None:
    """Evaluate and export at once, each on half of the cores: somebody waits.

    Only where an edit is followed: what a full training made is timed on a machine at rest.
    """
    import torch

    from training import evaluate
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
    from builder import graphs

    sim, out = entry.world.load(), work / "graphs"
    graphs.make_graphs(work, dataset(entry), sim, entry.recipe, out, terminal.warn)
    weights.stamp(work, {"graphs": entry.keys["graphs"]})


def dataset(entry: Entry) -> Path:
    """Return the recording that the recipe asks for, made where the cache lacks it."""
    from training import record

    name = f"{entry.world.name}-{entry.keys['data'][:16]}"
    return record.record(entry.world.load(), entry.recipe, entry.home / "data", name)


def dataset_name(world: World, asked: Any) -> str:
    """Return the name of the dataset that a recipe asks for: with the key of all that makes it."""
    return f"{world.name}-{_data_key(world.hash, asdict(asked.data), asked.seed)[:16]}"


def _data_key(sim: str, data: dict[str, Any], seed: int) -> str:
    code = cache.code_hash(PACKAGES / file for file in CODE["data"])
    return cache.key(sim=sim, recipe=data, seed=seed, code=code)


def _train(entry: Entry, work: Path) -> None:
    """Train in `work`, going on where a killed run stopped."""
    if weights.key(work, "train") == entry.keys["train"]:
        return  # Killed between training and publishing: the weights are there.
    folder = dataset(entry)
    from training import train

    keys = {name: entry.keys[name] for name in ("sim", "data", "train")}
    init = entry.weights if entry.tuning else None
    train.train(entry.recipe, folder, work, entry.world.load(), keys=keys, init=init)
