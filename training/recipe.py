"""How a model is made, as data: `recipes/<world>/<family>.toml` read into frozen dataclasses."""

from __future__ import annotations

import difflib
import math
import tomllib
import types
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from sims.errors import UserError


@dataclass(frozen=True)
class Data:
    """What to record: `behaviours` and `splits` are shares of steps, `scenarios` of episodes.

    Without `behaviours` or `scenarios`, all that the sim has get equal shares. `conditions` are
    shares of each scenario's episodes; without them, the seed decides on each.
    """

    steps: int  # world-steps in all, over all splits
    worlds: int  # most worlds stepped together
    episode_steps: int  # longest episode, in steps
    behaviours: dict[str, float] = field(default_factory=dict)
    scenarios: dict[str, float] = field(default_factory=dict)
    conditions: dict[str, float] = field(default_factory=dict)
    splits: dict[str, float] = field(
        default_factory=lambda: {"train": 0.9, "val": 0.05, "test": 0.05}
    )
    shards: int = 1  # parts that several processes record at once, and a killed one goes on from


@dataclass(frozen=True)
class Train:
    """How to train; training ends when either `minutes` or `steps` is spent."""

    minutes: float  # wall-clock budget
    steps: int  # most optimiser steps
    batch: int  # games played side by side, over all ranks
    unroll: int  # steps that a gradient reaches back
    ranks: int = 1  # processes that train together, each with its share of the batch
    stream: int = 4  # steps in a row, about, before a recorded game is left for another place
    learning_rate: float = 3e-3  # AdamW's, for all but the convolutions
    kernel_rate: float = 0.02  # Muon's, for the convolutions' kernels
    weight_decay: float = 0.01  # of the kernels
    ema: float = 0.999  # how slowly the saved average of the weights follows them
    checkpoint_minutes: float = 2.0
    validate_minutes: float = 2.0
    validate_games: int = 64  # held-out games that are played to validate
    validate_steps: int = 100  # most steps of the held-out games that are played to validate
    teacher_share: float = 0.5  # share of the budget before any step on the model's own frames
    dream_share: float = 0.5  # share of the games that are dreamt, from then on
    distil_share: float = 0.0  # last share of the budget, in which a denoiser is distilled too
    dream: int = 200  # most steps of a dream; it begins at 8 and grows for half the budget
    event_share: float = 0.7  # share of recorded games that go on shortly before an event
    draw_share: float = 0.25  # share of recorded games whose next frame is asked for too
    moved_weight: float = 5.0  # weight of pixels that change; near them it is 1
    static_weight: float = 0.05  # weight of pixels far from all that moves
    head_weight: float = 0.05  # weight of reward and termination
    sensor_weight: float = 1.0  # weight of the predicted sensors
    turned_weight: float = 10.0  # times more where no linear forecast of them is right
    corruption: float = 0.0  # share of pixels given a random colour in one sample of four


@dataclass(frozen=True)
class Evaluate:
    """How to measure: under the sim's actions for `steps`, and playing alone for `play_steps`."""

    seeds: int  # groups of held-out rollouts under the sim's own actions and chance
    rollouts: int  # rollouts in each group
    horizons: list[int]  # steps at which frames are compared with the sim's
    steps: int  # length of these rollouts; events are counted over all of it
    games: int = 60  # rollouts under a player that sees only the model's frames
    play_steps: int = 1000  # their length
    accept: float = (
        0.0  # % of rollouts still followed at the last horizon, or an edit isn't learned
    )


@dataclass(frozen=True)
class Export:
    """What to ship: `variants` that stay within `tolerance` of fp32, by metric."""

    variants: list[str]
    tolerance: dict[str, float]
    calibration: int  # recorded states that int8 is calibrated on
    replays: int = 24  # recorded rollouts that each variant replays, a third of them in Chromium
    rollouts: int = 24  # games that each variant plays, to be compared with fp32's play
    webgpu: bool = True  # whether it is tried on WebGPU too; if not, it ships for wasm alone


@dataclass(frozen=True)
class Finetune:
    """What is done when training starts from weights that are there: some keys changed."""

    data: Data
    train: Train
    evaluate: Evaluate
    export: Export


@dataclass(frozen=True)
class Recipe:
    """All that decides a model besides the code."""

    world: str
    family: str
    seed: int
    data: Data
    train: Train
    evaluate: Evaluate
    export: Export
    model: dict[str, Any] = field(default_factory=dict)
    finetune: Finetune | None = None
    follows: bool = True  # whether it is trained again, unasked, when its sim was edited

    @property
    def tuned(self) -> Recipe:
        """The recipe by which weights that are there follow an edited sim."""
        parts = vars(self.finetune) if self.finetune else {}
        return replace(self, **parts, finetune=None)


@dataclass(frozen=True)
class DataRecipe:
    """What to record of a world, whoever learns from it: `recipes/<world>/data.toml`."""

    world: str
    seed: int
    data: Data


def load(path: Path) -> Recipe:
    """Read a recipe; UserError naming the file and the key for anything wrong in it."""
    where = f"recipe '{path}'"
    return from_json(_read(path, where), where)


def load_data(path: Path) -> DataRecipe:
    """Read a recipe of data alone; UserError as `load`."""
    where = f"recipe '{path}'"
    recipe: DataRecipe = _build(DataRecipe, _read(path, where), where, "")
    _check_shares(recipe.data, where)
    return recipe


def _read(path: Path, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{where}: can't be read; {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{where}: not valid TOML; {error}.") from error


def from_json(values: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """Make a recipe of plain values (TOML's, or `to_json`'s); UserError as `load`."""
    values = dict(values)
    changed = values.get("finetune")
    if isinstance(changed, dict):
        parts = {part.name: values.get(part.name) for part in fields(Finetune)}
        merged = {k: v | changed.get(k, {}) for k, v in parts.items() if isinstance(v, dict)}
        values["finetune"] = changed | merged
    recipe: Recipe = _build(Recipe, values, where, "")
    for one in (recipe, recipe.tuned):
        _check_shares(one.data, where)
    return recipe


def to_json(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as plain JSON values."""
    return asdict(recipe)


def _check_shares(data: Data, where: str) -> None:
    for name in ("behaviours", "scenarios", "conditions", "splits"):
        shares = getattr(data, name)
        if shares and sum(shares.values()) <= 0:
            raise UserError(f"{where}: data.{name} is all zero; give one a share above 0.")
    if data.splits.get("train", 0) <= 0:
        raise UserError(f"{where}: data.splits has no 'train'; give it a share above 0.")
    for name in ("steps", "worlds", "episode_steps", "shards"):
        if getattr(data, name) < 1:
            raise UserError(f"{where}: data.{name} is 0; it must be at least 1.")
    most = min(1000, data.steps)
    if data.shards > most:
        raise UserError(f"{where}: data.shards is {data.shards}; it must be at most {most}.")


def _build(cls: Any, values: Mapping[str, Any], where: str, prefix: str) -> Any:
    hints = get_type_hints(cls)
    for key in values:
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=1, cutoff=0.0)[0]
            raise UserError(f"{where}: unknown key {prefix}{key}; nearest is {prefix}{near}.")
    made = {}
    for part in fields(cls):
        name = prefix + part.name
        if part.name in values:
            made[part.name] = _convert(hints[part.name], values[part.name], where, name)
        elif part.default is MISSING and part.default_factory is MISSING:
            raise UserError(f"{where}: missing key {name} ({_say(hints[part.name])}).")
    return cls(**made)


def _convert(hint: Any, value: Any, where: str, name: str) -> Any:
    """Check `value` against a type hint and return it in that type."""
    if get_origin(hint) in (Union, types.UnionType):
        if value is None:
            return None
        hint = next(arg for arg in get_args(hint) if arg is not types.NoneType)
    origin, args = get_origin(hint), get_args(hint)
    if hasattr(hint, "__dataclass_fields__") and isinstance(value, dict):
        return _build(hint, value, where, name + ".")
    if origin is list and isinstance(value, list):
        return [_convert(args[0], item, where, f"{name}[{i}]") for i, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {k: _convert(args[1], item, where, f"{name}.{k}") for k, item in value.items()}
    if hint is Any or (hint in (str, bool) and isinstance(value, hint)):
        return value
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and (hint is float or (hint is int and isinstance(value, int))):
        if not math.isfinite(value) or value < 0:
            raise UserError(f"{where}: {name} is {value}; it must be a finite number, 0 or more.")
        return hint(value)
    raise UserError(f"{where}: {name} is {value!r}; it must be {_say(hint)}.")


def _say(hint: Any) -> str:
    """Name a type as a user knows it from TOML."""
    args = get_args(hint)
    if hasattr(hint, "__dataclass_fields__"):
        return "a table"
    if get_origin(hint) in (Union, types.UnionType):
        return _say(args[0])
    if get_origin(hint) is list:
        return f"a list, each {_say(args[0])}"
    if get_origin(hint) is dict:
        return f"a table, each value {_say(args[1])}"
    plain = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
    return plain.get(hint, "a value")
