"""How a model is made, as data: `recipes/<world>/<family>.toml` read into frozen dataclasses."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

from training import families, keys
from training.environment_recipe import SIDE, Gym
from training.keys import Key, wrong

PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True)
class Data:
    """What to record: `behaviours` and `splits` are shares of steps, `scenarios` of episodes.

    Without `behaviours` or `scenarios`, all of the sim's get equal shares. `conditions` are shares
    of each scenario's episodes; without them, the seed decides each one.
    """

    steps: Annotated[int, Key("world-steps in all, over all splits", 1, 10**9)]
    worlds: Annotated[
        int, Key("most worlds stepped together; of an environment, most processes", 1, 65_536)
    ]
    episode_steps: Annotated[int, Key("longest episode, in steps", 1, 10**6)]
    behaviours: Annotated[
        dict[str, float],
        Key(
            "each behaviour's share of the steps; empty: all of the sim's, alike; an environment's "
            'are "random", your functions ("module:function"), agents ("agent.zip") and games '
            'that a person played ("person.json")',
            0,
            1000,
        ),
    ] = field(default_factory=dict)
    scenarios: Annotated[
        dict[str, float],
        Key("each scenario's share of the episodes; empty: all of the sim's, alike", 0, 1000),
    ] = field(default_factory=dict)
    conditions: Annotated[
        dict[str, float],
        Key("each condition's share of a scenario's episodes; empty: the seed decides", 0, 1000),
    ] = field(default_factory=dict)
    splits: Annotated[dict[str, float], Key("each split's share of the steps", 0, 1000)] = field(
        default_factory=lambda: {"train": 0.9, "val": 0.05, "test": 0.05}
    )
    shards: Annotated[
        int,
        Key("parts that several processes record at once, and a killed one goes on from", 1, 1000),
    ] = 1


@dataclass(frozen=True)
class Train:
    """How to train; training ends when either `minutes` or `steps` is spent.

    A family adds its own keys: `Training` in its `options.py`.
    """

    minutes: Annotated[float, Key("wall-clock budget", 0.01, 100_000)]
    steps: Annotated[int, Key("most optimiser steps", 1, 10**9)]
    batch: Annotated[int, Key("games played side by side, over all ranks", 1, 65_536)]
    unroll: Annotated[int, Key("steps that a gradient reaches back", 1, 1024)]
    ranks: Annotated[
        int, Key("processes that train together, each with its share of the batch", 1, 64)
    ] = 1
    stream: Annotated[
        int,
        Key("steps in a row, about, before a recorded game is left for another place", 1, 10**6),
    ] = 4
    learning_rate: Annotated[float, Key("AdamW's, for all but the convolutions", 1e-9, 1)] = 3e-3
    kernel_rate: Annotated[float, Key("Muon's, for the convolutions' kernels", 1e-9, 1)] = 0.02
    weight_decay: Annotated[float, Key("of the kernels", 0, 1)] = 0.01
    ema: Annotated[
        float, Key("how slowly the saved average of the weights follows them", 0, 0.99999)
    ] = 0.999
    checkpoint_minutes: Annotated[
        float, Key("between two savings, from which a killed training goes on", 0, 100_000)
    ] = 2.0
    validate_minutes: Annotated[
        float, Key("between two tries on held-out games, at least", 0, 100_000)
    ] = 2.0
    validate_games: Annotated[int, Key("held-out games that are played to validate", 1, 65_536)] = (
        64
    )
    validate_steps: Annotated[
        int, Key("most steps of the held-out games that are played to validate", 1, 100_000)
    ] = 100
    select: Annotated[
        str,
        Key(
            "which weights are kept: the last ones, or the last whose rollouts on held-out games "
            "stay whole at least half as long as the best did",
            choices=("last", "whole"),
        ),
    ] = "last"
    teacher_share: Annotated[
        float, Key("share of the budget before any step on the model's own frames", 0, 1)
    ] = 0.5
    dream_share: Annotated[float, Key("share of the games that are dreamt, from then on", 0, 1)] = (
        0.5
    )
    dream: Annotated[
        int, Key("most steps of a dream; it begins at 8 and grows for half the budget", 0, 100_000)
    ] = 200
    event_share: Annotated[
        float, Key("share of recorded games that go on shortly before an event", 0, 1)
    ] = 0.7
    draw_share: Annotated[
        float, Key("share of recorded games whose next frame is asked for too", 0, 1)
    ] = 0.25
    head_weight: Annotated[float, Key("weight of reward and termination", 0, 10**6)] = 0.05


@dataclass(frozen=True)
class Evaluate:
    """How to measure: under the sim's actions for `steps`, and playing alone for `play_steps`."""

    seeds: Annotated[
        int, Key("groups of held-out rollouts under the sim's own actions and chance", 1, 1000)
    ]
    rollouts: Annotated[int, Key("rollouts in each group", 1, 100_000)]
    horizons: Annotated[
        list[int],
        Key("steps at which frames are compared with the sim's", 1, 10**6, count=(1, 100)),
    ]
    steps: Annotated[
        int, Key("length of these rollouts; events are counted over all of it", 1, 10**6)
    ]
    games: Annotated[
        int, Key("rollouts under a player that sees only the model's frames", 1, 100_000)
    ] = 60
    play_steps: Annotated[int, Key("their length", 1, 10**6)] = 1000
    accept: Annotated[
        float,
        Key("% of rollouts still followed at the last horizon, or an edit is not learned", 0, 100),
    ] = 0.0
    measures: Annotated[
        list[str],
        Key(
            'more tables: "whole", "ends", "returns", "response", "ranges", "path", "lane", '
            '"drivers", "collisions", "scenarios", and the project\'s own',
            count=(0, 20),
        ),
    ] = field(default_factory=list)


@dataclass(frozen=True)
class Export:
    """What to ship: `variants` that stay within `tolerance` of fp32, by metric."""

    variants: Annotated[
        list[str],
        Key(
            "precisions to ship, each if it stays within `tolerance`; fp32 is always made",
            count=(1, 3),
            choices=PRECISIONS,
        ),
    ]
    tolerance: Annotated[
        dict[str, float], Key("how much worse than fp32 a variant may be, by metric", 0, 10**6)
    ]
    calibration: Annotated[int, Key("recorded states that int8 is calibrated on", 1, 10**6)]
    replays: Annotated[
        int,
        Key("recorded rollouts that each variant replays, a third of them in Chromium", 1, 100_000),
    ] = 24
    rollouts: Annotated[
        int, Key("games that each variant plays, to be compared with fp32's play", 0, 100_000)
    ] = 24
    webgpu: Annotated[
        bool, Key("whether it is tried on WebGPU too; if not, it ships for wasm alone")
    ] = True


NOTHING = Data(steps=1, worlds=1, episode_steps=1)  # of a recipe that names a `dataset`


@dataclass(frozen=True)
class Finetune:
    """Fine-tuning from existing weights: the keys that then differ."""

    data: Data
    train: Train
    evaluate: Evaluate
    export: Export


@dataclass(frozen=True)
class Budget:
    """Another budget of time and data, for a faster machine: the keys that then differ."""

    data: Data
    train: Train


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a model, except the code."""

    world: Annotated[
        str,
        Key("the name of the world: of its file in sims/, or with `dataset` or [gym] any name"),
    ]
    family: Annotated[str, Key("the model family")]
    seed: Annotated[int, Key("of all chance in recording and training", 0, 2**53)]
    train: Train
    evaluate: Evaluate
    export: Export
    data: Data = field(default_factory=lambda: NOTHING)
    dataset: Annotated[
        str,
        Key("the folder of a recording to learn from, instead of [data] and a sim, from the "
            "project's folder"),
    ] = ""  # fmt: skip
    side: Annotated[
        int, Key("pixels of the larger side of its frames; larger frames are made smaller", 8, 1024)
    ] = SIDE
    gym: Gym | None = None
    model: dict[str, Any] = field(default_factory=dict)
    finetune: Finetune | None = None
    budget: dict[str, Budget] = field(default_factory=dict)
    spent: str = ""  # the budget that applies, see `by`; a file can't say so
    follows: Annotated[
        bool, Key("whether it is trained again, unasked, when its sim was edited")
    ] = True

    def by(self, budget: str) -> Recipe:
        """Return the recipe with another of its budgets; KeyError for one that it does not have."""
        return replace(self, **vars(self.budget[budget]), spent=budget)

    @property
    def tuned(self) -> Recipe:
        """The recipe for fine-tuning existing weights after an edit of the sim."""
        parts = vars(self.finetune) if self.finetune else {}
        return replace(self, **parts, finetune=None)


@dataclass(frozen=True)
class DataRecipe:
    """What to record of a world without a model: `recipes/<world>/data.toml`."""

    world: Annotated[str, Key("the name of the world: of its file in sims/")]
    seed: Annotated[int, Key("of all chance in recording and training", 0, 2**53)]
    data: Data
    gym: Gym | None = None


def load(path: Path) -> Recipe:
    """Read a recipe; UserError naming the file and the key for anything wrong in it."""
    where = f"recipe '{path}'"
    values = _read(path, where)
    if "spent" in values:
        raise wrong(where, "unknown key spent; give [budget] tables, and train with --budget")
    return from_json(values, where)


def load_data(path: Path) -> DataRecipe:
    """Read a recipe with only data; UserError as `load`."""
    where = f"recipe '{path}'"
    recipe: DataRecipe = keys.read(DataRecipe, _read(path, where), where)
    _check_gym(recipe.gym, recipe.data, where)
    _check_shares(recipe.data, where)
    return recipe


def _read(path: Path, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise wrong(where, f"can't be read; {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # Not TOML, not UTF-8, or a number too long.
        why = "nested too deep" if isinstance(error, RecursionError) else error
        raise wrong(where, f"not valid TOML; {why}") from error


def from_json(values: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """Make a recipe of plain values (TOML's, or `to_json`'s); UserError as `load`."""
    if not isinstance(values, Mapping):
        raise wrong(where, "holds no table")
    values = dict(values)
    if values.get("dataset"):
        if values.get("gym"):
            raise wrong(where, "names a dataset, and an environment in [gym]; keep one of them")
        if values.get("data", asdict(NOTHING)) != asdict(NOTHING):
            raise wrong(where, "names a dataset, and in [data] what to record; keep one of them")
        values["data"] = asdict(NOTHING)
    if isinstance(changed := values.get("finetune"), dict):
        values["finetune"] = _completed(Finetune, changed, values)
    budgets = values.get("budget")
    if isinstance(budgets, dict):
        budgets = values["budget"] = {
            name: _completed(Budget, changed, values) if isinstance(changed, dict) else changed
            for name, changed in budgets.items()
        }
    family = values.get("family")
    if isinstance(family, str):
        training = _training(family, where)
        tables = {"": values, "finetune.": values.get("finetune")}
        if isinstance(budgets, dict):
            tables |= {f"budget.{name}.": table for name, table in budgets.items()}
        for prefix, table in tables.items():
            if isinstance(table, dict) and isinstance(table.get("train"), dict):
                table["train"] = keys.read(training, table["train"], where, f"{prefix}train.")
    recipe: Recipe = keys.read(Recipe, values, where)
    if "data" not in values:
        raise wrong(where, "missing key data (a table), or dataset (a folder that was recorded)")
    options = families.part(recipe.family, "options").Options
    keys.read(options, recipe.model, where, "model.", partial=True)
    _check_gym(recipe.gym, recipe.data, where)
    for one in (recipe, recipe.tuned, *map(recipe.by, recipe.budget)):
        _check_shares(one.data, where)
        if min(one.evaluate.horizons) > one.evaluate.steps:
            said = f"evaluate.horizons are all beyond evaluate.steps, {one.evaluate.steps}"
            raise wrong(where, f"{said}; nothing would be compared")
        if one.train.ranks > one.train.batch:
            said = f"train.ranks is {one.train.ranks}, more than the {one.train.batch}"
            raise wrong(where, f"{said} games of train.batch")
    return recipe


def _completed(kind: type, changed: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return the tables of a dataclass: those of the recipe, with the keys that differ."""
    merged = {
        part.name: whole | some
        for part in fields(kind)
        if isinstance(whole := values.get(part.name), dict)
        and isinstance(some := changed.get(part.name, {}), dict)
    }
    return changed | merged


def _training(family: str, where: str) -> type[Train]:
    """Return what holds a family's keys of `[train]`; UserError for an unknown family."""
    if family not in (known := families.names()):
        near = difflib.get_close_matches(family, known, n=1, cutoff=0.0)[0]
        said = f"none of {', '.join(known)}; nearest is '{near}'"
        raise wrong(where, f"family is {keys.shown(family)}, {said}")
    found: type[Train] = getattr(families.part(family, "options"), "Training", Train)
    return found


def to_json(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as plain JSON values."""
    return asdict(recipe)


def _check_gym(gym: Gym | None, data: Data, where: str) -> None:
    if gym and len(gym.crop) not in (0, 4):
        raise wrong(where, f"gym.crop lists {len(gym.crop)}; it must list 4, or nothing")
    if gym and len(gym.size) not in (0, 2):
        raise wrong(where, f"gym.size lists {len(gym.size)}; it must list 2, or nothing")
    if gym and (data.scenarios or data.conditions):
        what = "scenarios" if data.scenarios else "conditions"
        raise wrong(where, f"data.{what} are those of a sim, and an environment has none")


def _check_shares(data: Data, where: str) -> None:
    for name in ("behaviours", "scenarios", "conditions", "splits"):
        shares = getattr(data, name)
        if shares and sum(shares.values()) <= 0:
            raise wrong(where, f"data.{name} is all zero; give one a share above 0")
    if data.splits.get("train", 0) <= 0:
        raise wrong(where, "data.splits has no 'train'; give it a share above 0")
    if data.shards > data.steps:
        raise wrong(where, f"data.shards is {data.shards}; it must be at most {data.steps}")
