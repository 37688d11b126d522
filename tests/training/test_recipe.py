from __future__ import annotations

import json
from pathlib import Path

import pytest

from sims.errors import UserError
from training.recipe import from_json, load, to_json

GOOD = """
world = "breakout"
family = "recurrent"
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
"""


def read(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recurrent.toml"
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
    again = from_json(json.loads(json.dumps(to_json(recipe), sort_keys=True)))
    assert again == recipe


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("learning_rate", "lerning_rate", "unknown key train.lerning_rate; nearest is train.l"),
        ("minutes = 0.5", "minute = 1", "unknown key finetune.train.minute; nearest is finetun"),
        ("[finetune.data]", "[finetune.date]", "unknown key finetune.date; nearest is finetune.d"),
        ("steps = 200\n", "steps = 0\n", "data.steps is 0; it must be at least 1"),
        ("[model]", "[modle]", "unknown key modle; nearest is model"),
        ("steps = 1000\n", "", "missing key data.steps (a whole number)"),
        ("steps = 1000", 'steps = "1000"', "data.steps is '1000'; it must be a whole number"),
        ("minutes = 10", "minutes = true", "train.minutes is True; it must be a number"),
        ("minutes = 10", "minutes = nan", "train.minutes is nan; it must be a finite number"),
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


def test_a_missing_recipe_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can't be read"):
        load(tmp_path / "none.toml")
