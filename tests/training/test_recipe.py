from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest

from sims.breakout import Breakout
from sims.errors import UserError
from training import families, keys, suits
from training.environment_recipe import Gym
from training.keys import Key
from training.recipe import Data, Evaluate, Export, Recipe, from_json, load, to_json

GOOD = """
world = "breakout"
family = "object_laws"
seed = 1
[data]
steps = 1000
worlds = 8
episode_steps = 100
behaviours = {good = 2, bad = 1}
[model]
channels = 32
[train]
minutes = 10
steps = 100
batch = 4
unroll = 4
learning_rate = 1e-3
[evaluate]
seeds = 3
rollouts = 4
horizons = [1, 10]
steps = 100
[export]
variants = ["fp32", "int8"]
tolerance = {ball = 0.5}
calibration = 16
[finetune.train]
minutes = 0.5
[finetune.data]
steps = 200
[budget.gpu.train]
batch = 512
[budget.gpu.data]
steps = 9000
"""


def read(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "object_laws.toml"
    path.write_text(text)
    return path


def test_a_recipe_is_read_whole(tmp_path: Path) -> None:
    recipe = load(read(tmp_path, GOOD))
    assert recipe.data.behaviours == {"good": 2.0, "bad": 1.0}
    assert recipe.model == {"channels": 32}
    assert recipe.train.minutes == 10.0 and isinstance(recipe.train.minutes, float)
    assert recipe.finetune is not None
    tuned = recipe.tuned
    assert (tuned.train.minutes, tuned.train.batch, tuned.data.steps) == (0.5, 4, 200)
    assert (tuned.evaluate, tuned.export) == (recipe.evaluate, recipe.export)
    assert tuned.finetune is None and tuned.tuned == tuned
    gpu = recipe.by("gpu")
    assert (gpu.spent, gpu.train.batch, gpu.train.minutes, gpu.data.steps) == ("gpu", 512, 10, 9000)
    assert from_json(to_json(gpu)) == gpu and type(gpu.train) is type(recipe.train)
    again = from_json(json.loads(json.dumps(to_json(recipe), sort_keys=True)))
    assert again == recipe


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("learning_rate", "lerning_rate", "unknown key train.lerning_rate; nearest is train.l"),
        ('world = "', 'spent = "gpu"\nworld = "', "unknown key spent; give [budget] tables, and"),
        ("batch = 512", "bach = 1", "unknown key budget.gpu.train.bach; nearest is budget.gpu.tr"),
        ("[budget.gpu.data]", "[budget.gpu.date]", "unknown key budget.gpu.date; nearest is budg"),
        ("[budget.gpu.data]\nsteps = 9000", "[budget]\ncpu = 1", "budget.cpu is 1; it must be a"),
        ("minutes = 0.5", "minute = 1", "unknown key finetune.train.minute; nearest is finetun"),
        ("[finetune.data]", "[finetune.date]", "unknown key finetune.date; nearest is finetune.d"),
        ("steps = 200\n", "steps = 0\n", "data.steps is 0; it must be a whole number from 1 to"),
        ("[model]", "[modle]", "unknown key modle; nearest is model"),
        ("steps = 1000\n", "", "missing key data.steps (a whole number from 1 to 1,000,000,000)"),
        ("steps = 1000", 'steps = "1000"', "data.steps is '1000'; it must be a whole number"),
        ("minutes = 10", "minutes = true", "train.minutes is True; it must be a number"),
        ("minutes = 10", "minutes = nan", "train.minutes is nan; it must be a number from 0.01 to"),
        ("good = 2", "good = -2", "data.behaviours.good is -2"),
        ("{good = 2, bad = 1}", "{good = 0}", "data.behaviours is all zero"),
        ("[1, 10]", '[1, "ten"]', "evaluate.horizons[1] is 'ten'; it must be a whole number"),
        ("worlds = 8", "worlds = 0", "data.worlds is 0"),
        ("[data]", "[data", "not valid TOML"),
        ("[model]", "splits = {val = 1}\n[model]", "data.splits has no 'train'"),
    ],
)
def test_a_wrong_recipe_says_file_and_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    path = read(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(UserError) as caught:
        load(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_value_in_the_place_of_a_table_is_told() -> None:
    with pytest.raises(UserError, match=r"recipe 'x': gym is no table\. Run: mend that file"):
        keys.read(Gym, True, "recipe 'x'", "gym.")


def test_a_missing_recipe_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can't be read"):
        load(tmp_path / "none.toml")


TABLES: dict[str, type[Any]] = {
    "": Recipe, "data": Data, "evaluate": Evaluate, "export": Export,
    "train": families.part("object_laws", "options").Training,
    "model": families.part("object_laws", "options").Options,
}  # fmt: skip
WRONG = [
    *(0, -1, 10**18, -(10**18), 10**400, 2.5, 1e300, -1e300, float("nan"), float("inf")),
    *(True, "x", "", "1", None, [], {}, [[]], [1e300], ["x"], {"x": -1}, {"x": "x"}, {"x": 1e300}),
    *(16**6000, [True], [float("nan")], [{"x": 1}], [{"shift": [1]}], [{"z": "ball.0"}], "é\n\t\0"),
]  # fmt: skip


def good() -> dict[str, Any]:
    return to_json(from_json({**SMALL, "model": {}}))


SMALL: dict[str, Any] = {
    "world": "breakout", "family": "object_laws", "seed": 1,
    "data": {"steps": 1000, "worlds": 8, "episode_steps": 100},
    "train": {"minutes": 1, "steps": 9, "batch": 4, "unroll": 2},
    "evaluate": {"seeds": 1, "rollouts": 2, "horizons": [1], "steps": 5},
    "export": {"variants": ["fp32"], "tolerance": {}, "calibration": 8},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES)
def test_no_key_takes_what_it_cannot_be(table: str) -> None:
    """Each key, each wrong value: it is taken as its meaning allows, or refused by name."""
    for key, hint in get_type_hints(TABLES[table], include_extras=True).items():
        if get_origin(hint) is not Annotated:
            continue  # A table of keys.
        kind, note = get_args(hint)
        assert note.meaning and isinstance(note, Key)
        name = f"{table}.{key}".strip(".")
        refused = 0
        for value in WRONG:
            told = good()
            (told[table] if table else told)[key] = value
            try:
                from_json(told, "recipe 'x.toml'")
            except UserError as error:
                text = str(error)
                assert text.startswith("recipe 'x.toml': ") and name in text
                assert text.endswith("Run: mend that file, then the same command again")
                assert "\n" not in text and len(text) < 500
                refused += 1
                continue
            one = value[0] if isinstance(value, list) and value else value
            if kind in (int, float):
                assert note.least <= one <= note.most and not isinstance(one, bool), (name, value)
        assert refused or kind is bool or kind is str, name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps = " + "9" * 5000, "not valid TOML"),
        ("steps = 0x" + "F" * 5000, "a number of thousands of digits"),
        ("x = " + "[" * 5000 + "]" * 5000, "nested too deep"),
        ("x = " + "{a=" * 3000 + "1" + "}" * 3000, "nested too deep"),
        ("steps = 1e400", "data.steps is inf"),
        ("steps = 2020-01-01", "data.steps is datetime.date(2020, 1, 1)"),
    ],
)
def test_a_recipe_of_monsters_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = read(tmp_path, GOOD.replace("steps = 1000", text, 1))
    with pytest.raises(UserError) as caught:
        load(path)
    assert said in str(caught.value) and str(path) in str(caught.value)
    path.write_bytes(b'world = "\xff"')
    with pytest.raises(UserError, match="not valid TOML"):
        load(path)


def test_what_takes_too_much_memory_is_refused_with_how_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert suits.memory() > 10**8
    monkeypatch.setattr(suits, "memory", lambda: 16 * 10**9)

    def suit(**tables: dict[str, Any]) -> None:
        told = good()
        for table, changes in tables.items():
            told[table] |= changes
        for look in (suits.world, suits.recording, suits.training):
            look(from_json(told), Breakout.spec, "recipe 'x.toml'")

    suit()
    most = {"steps": 10**9, "worlds": 65_536, "episode_steps": 15_000}
    for tables, said in (
        ({"data": most}, r"data.worlds is 65,536 and .*: to record them takes at least"),
        ({"data": {"steps": 10**9, "worlds": 1}}, "data.steps is 1,000,000,000: to train on"),
        ({"train": {"batch": 65_536, "unroll": 1024}}, "train.batch is 65,536"),
        ({"evaluate": {"rollouts": 100_000, "steps": 10**6}}, "evaluate.rollouts is 100,000"),
        ({"model": {"patch": 7}}, "model.patch is 7, which doesn't divide the frame, 64 x 64"),
        ({"model": {"landmarks": [{"x": "bal.0"}]}}, r"landmarks\[0\].x is 'bal.0'.* is 'ball.0'"),
        ({"model": {"landmarks": [{"present": "livs"}]}}, "no sensor value of the sim is"),
        (
            {"model": {"landmarks": [{"x": "paddle", "like": "lives"}]}},
            "which is the x of no other",
        ),
    ):
        with pytest.raises(UserError, match=said) as caught:
            suit(**tables)
        assert "Run: mend that file" in str(caught.value)


@pytest.mark.parametrize("family", families.names())
def test_the_keys_of_a_family_are_those_of_its_config(family: str) -> None:
    from training.families.base import WorldConfig

    fields = {f.name: f for f in dataclasses.fields(families.part(family, "model").Config)}
    derived = {f.name for f in dataclasses.fields(WorldConfig)}
    derived |= {"sensor_high", "sensor_whole", "sensors", "twins", "units"}
    derived |= {"large", "large_step", "sensor_step", "second", "reward_unit"}
    derived |= {"lenses", "scanners", "seconds", "spacing", "rates"}
    if family == "pixels":
        derived |= {"channels", "blocks", "contents"}  # by its size; found in the data
    assert set(get_type_hints(families.part(family, "options").Options)) == fields.keys() - derived
    defaults = {n: fields[n].default for n in fields.keys() - derived - {"landmarks"}}
    told = {n: list(v) if isinstance(v, tuple) else v for n, v in defaults.items()}
    from_json({**SMALL, "family": family, "model": told})
