"""Models and whether they are up to date: the key of each step that makes one, and what is due.

A step's key is the hash of everything that decides its product, except the earlier steps: the sim's
closure, the recipe's part, the code of the step. The key of training also contains the recording's.
The steps after training are due whenever training is. `weights/<world>/<family>/` is a committed
cache entry: its provenance.json holds the keys that made it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from builder.project import cache, code, weights
from builder.project.worlds import World
from sims.errors import UserError
from training import contained, families
from training.evaluation import measures

# The modules that do each step's work; the modules that they import count too.
CODE = {
    "data": ("training.data.record",),
    "train": ("training.trainer.train",),
    "evaluate": ("training.evaluation.evaluate",),
    "graphs": ("builder.export.graphs",),
}
CONVERT = ("training.data.foreign.convert",)  # in the place of "data", for a world without a sim
# Further modules of the model's family: its model and its training.
PARTS = {
    "train": ("model", "loss", "found"),
    "evaluate": ("model",),
    "graphs": ("model",),
}
STEPS = ("data", "train", "evaluate", "graphs")


@dataclass(frozen=True)
class Due:
    """Whether a model is up to date with its recipe: which steps are due, and why."""

    steps: tuple[str, ...]
    why: str

    def __bool__(self) -> bool:
        return bool(self.steps)


class Entry:
    """One model of one world: its recipe, its keys, and its committed weights folder.

    `budget` is one of the recipe's budgets, or "" for the recipe as written; without it, the budget
    that made the committed weights applies (`spent`), as long as the recipe has it.
    """

    def __init__(self, world: World, family: str, budget: str | None = None) -> None:
        self.world = world
        self.family = family
        self.name = f"{world.name}/{family}"
        self.stem = f"{world.name}-{family}"
        self.weights = world.weights(family)
        self.home = world.project.cache
        made_by = self.provenance.get("recipe")
        self.spent = str(made_by.get("spent", "")) if isinstance(made_by, dict) else ""
        self.budget = self.spent if budget is None else budget
        # Whether the weights are, or will be, fine-tuned: that has a recipe and keys of its own.
        self.tuning = bool(self.provenance.get("finetuned_from"))
        self._keys: dict[bool, dict[str, str]] = {}

    @property
    def train_command(self) -> str:
        """The command that makes this model; one that does not follow an edit is asked by name."""
        edited = self.trained and self.made.get("data") != self.keys["data"]
        asked = f" --family {self.family} --full" if edited and not self.asked.follows else ""
        return f"wmsite train {self.world.name}{asked}"

    def lock(self, wait: bool = False) -> AbstractContextManager[None]:
        """Lock what training changes: the working folder and the committed weights."""
        return cache.lock(self.home / "locks" / self.stem, f"model {self.name}", wait)

    @cached_property
    def asked(self) -> Any:
        """The recipe by its budget, not for fine-tuning; UserError for an unusable recipe."""
        from training import recipe

        self.world.project.activate()
        loaded = recipe.load(self.world.recipe(self.family))
        if (loaded.world, loaded.family) != (self.world.name, self.family):
            raise UserError(
                f"recipe {self.world.recipe(self.family)}: says {loaded.world}/{loaded.family}, "
                f"but its place says {self.name}. Run: make them agree, then build again"
            )
        if loaded.dataset and not self.world.recorded:
            raise UserError(
                f"recipe {self.world.recipe(self.family)}: names a dataset, and the world has a "
                "sim to record. Run: rename the recipe's folder, or give it [data] instead"
            )
        if self.world.played:
            if loaded.gym != self.world.played.gym:
                raise UserError(
                    f"recipe {self.world.recipe(self.family)}: its [gym] is another than that of "
                    f"{self.world.file.name}. Run: make them agree, then the same command again"
                )
        elif loaded.gym:
            raise UserError(
                f"recipe {self.world.recipe(self.family)}: names an environment, and the world has "
                f"a {'recording' if self.world.recorded else 'sim'}. Run: rename the recipe's "
                "folder, or take [gym] out"
            )
        elif self.world.recorded and not loaded.dataset:
            raise UserError(
                f"recipe {self.world.recipe(self.family)}: the world has no sim in sims/, and this "
                f"recipe names no dataset. Run: add what {self.world.file.name} has as `dataset`"
            )
        return loaded.by(self.budget) if self.budget in loaded.budget else loaded

    def suit(self, *work: str) -> None:
        """Refuse a recipe that does not fit its world, or whose `work` takes too much memory."""
        from training import suits

        where = f"recipe '{self.world.recipe(self.family)}'"
        asked, spec = self.asked, self.world.spec
        suits.world(asked, spec, where)
        if "data" in work and not self.world.recorded:
            suits.recording(self.recipe, spec, where)
        if "train" in work:
            suits.training(self.recipe, spec, where)

    @property
    def recipe(self) -> Any:
        """The recipe that applies now: as asked, or for fine-tuning."""
        return self.asked.tuned if self.tuning else self.asked

    @property
    def keys(self) -> dict[str, str]:
        """The key of every step, computed once: sim, data, train, evaluate, graphs."""
        return self.keys_of(self.tuning)

    def keys_of(self, tuning: bool) -> dict[str, str]:
        """Return the same keys for weights trained from nothing, or for fine-tuned ones."""
        if tuning not in self._keys:
            self._keys[tuning] = self._find_keys(self.asked.tuned if tuning else self.asked)
        return self._keys[tuning]

    def _find_keys(self, written: Any) -> dict[str, str]:
        from training import recipe

        asked = recipe.to_json(written)
        named = {"evaluate": [measures.module(name) for name in written.evaluate.measures]}
        made_by = {
            step: code.code_hash(
                [
                    *CODE[step],
                    *(families.module(self.family, part) for part in parts),
                    *named.get(step, []),
                ]
            )
            for step, parts in PARTS.items()
        }
        keys = {"sim": self.world.hash}
        keys["data"] = data_key(self.world, asked["data"], asked["seed"])
        keys["train"] = cache.key(
            data=keys["data"],
            model=asked["model"],
            train=asked["train"],
            code=made_by["train"],
            detector=self.world.detector,
        )
        for step, part in (("evaluate", "evaluate"), ("graphs", "export")):
            keys[step] = cache.key(
                sim=keys["sim"],
                recipe=asked[part],
                code=made_by[step],
                detector=self.world.detector,
            )
        return keys

    @property
    def provenance(self) -> dict[str, Any]:
        """The provenance of the committed weights; empty without weights of this family."""
        return {} if self._other else self._told

    @property
    def _told(self) -> dict[str, Any]:
        told = cache.read_json(self.weights / "provenance.json")
        return told if isinstance(told, dict) else {}

    @property
    def _other(self) -> str:
        """The family that the weights folder names, where that is another family."""
        made_by = self._told.get("recipe")
        family = made_by.get("family", self.family) if isinstance(made_by, dict) else self.family
        return "" if family == self.family else str(family)

    @property
    def made(self) -> dict[str, str]:
        """The keys that made the committed weights."""
        keys = self.provenance.get("keys")
        return keys if isinstance(keys, dict) else {}

    @property
    def trained(self) -> bool:
        """Whether there are committed weights with a provenance."""
        return bool(self.made) and (self.weights / weights.WEIGHTS).is_file()

    @property
    def playable(self) -> bool:
        """Whether the committed graphs are complete, and belong to the current sim."""
        return self.made.get("sim") == self.keys["sim"] and self.damaged() is None

    def due(self) -> Due:
        """Return which steps must run, and why."""
        made, keys = self.made, self.keys
        if not self.trained:
            other = self._other
            return Due(
                STEPS, f"its weights are of family '{other}'" if other else "it has no weights yet"
            )
        if made.get("sim") != keys["sim"]:
            was, now = str(made.get("sim"))[:12], keys["sim"][:12]
            what = "recording" if self.world.recorded else "sim"
            return Due(STEPS, f"its weights are of another {what} ({was}; the {what} is now {now})")
        if made.get("data") != keys["data"]:
            return Due(STEPS, "what it records, or how, has changed")
        if made.get("train") != keys["train"]:
            return Due(STEPS[1:], "its recipe or the training code has changed")
        broken = weights.broken(self.weights, self.provenance)
        if broken == weights.WEIGHTS or not weights.whole(self.weights / weights.WEIGHTS):
            return Due(STEPS[1:], f"{weights.WEIGHTS} is damaged")
        steps, why = [], []
        if "evaluate" not in made or not (self.weights / "metrics.json").is_file():
            steps.append("evaluate")
            why.append("it was not evaluated")
        elif made["evaluate"] != self.keys["evaluate"]:
            steps.append("evaluate")
            why.append("how it is evaluated has changed")
        if "graphs" not in made:
            steps.append("graphs")
            why.append("it has no graphs")
        elif made["graphs"] != self.keys["graphs"]:
            steps.append("graphs")
            why.append("how it is exported has changed")
        elif damaged := self.damaged():
            steps.append("graphs")
            why.append(f"{damaged} is damaged or absent")
        elif "files" not in self.provenance:
            steps.append("graphs")
            why.append("its provenance does not say of which files it speaks")
        return Due(tuple(steps), " and ".join(why) or "it is up to date")

    def damaged(self) -> str | None:
        """Return the first committed file that differs from the one that passed the gate."""
        folder = self.weights / "graphs"
        told = cache.read_json(folder / "model.json")
        try:
            files = [variant["step"] for variant in told["variants"]]
            for file in files:
                path = contained.inside(folder, file["url"], f"model {self.name}", weights.GRAPHS)
                if not path.is_file() or cache.sha256_file(path) != file["sha256"]:
                    return str(file["url"])
        except (TypeError, KeyError):
            return "model.json"
        return weights.broken(self.weights, self.provenance)


def data_key(world: World, data: dict[str, Any], seed: int) -> str:
    """Return the key of a world's dataset: of its recording, or of what it is and `data`."""
    if world.played:
        return world.played.key(data, seed)
    if world.recorded:
        return cache.key(recording=world.hash, code=code.code_hash(CONVERT))
    return cache.key(sim=world.hash, recipe=data, seed=seed, code=code.code_hash(CODE["data"]))
