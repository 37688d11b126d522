from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sims import bindings
from sims.breakout import Breakout
from sims.checks import check_sim
from sims.driving import Driving
from sims.errors import UserError

STEP = '        alive = s["lives"] > 0\n'
REWARD = 'reward = (s["score"] - score).astype(np.float32)'
RENDER = "        np.copyto(screen, self._picture)\n"
PADDLE = '        s["paddle"] += MOVES[actions] * alive\n'
FLY = "        y += vy / SUBSTEPS\n"
SENSOR = '"ball": s["ball"].astype(np.float32)'


@pytest.mark.slow
def test_breakout_keeps_the_contract() -> None:
    check_sim(Breakout)


@pytest.mark.slow
def test_the_edits_that_its_header_proposes_keep_the_contract(edited: Callable[..., Path]) -> None:
    gravity = (FLY, f"        vy += 0.02 * flying\n{FLY}")
    second = [
        (
            '            "paddle": np.zeros(worlds',
            '            "ball2": np.zeros((worlds, 4), dtype=np.float64),\n'
            '            "flying2": np.zeros(worlds, dtype=np.bool_),\n'
            '            "paddle": np.zeros(worlds',
        ),
        (
            '        serve = alive & ~s["flying"]\n',
            '        serve = alive & ~s["flying"]\n        serve2 = alive & ~s["flying2"]\n',
        ),
        (
            '            self._fly(s["ball"], s["flying"])\n',
            '            self._fly(s["ball"], s["flying"])\n'
            '            self._fly(s["ball2"], s["flying2"])\n',
        ),
        (
            "        if serve.any():\n",
            "        if serve2.any():\n"
            '            self._serve(s["ball2"], s["flying2"], serve2, 1 - chance)\n'
            "        if serve.any():\n",
        ),
        (
            '        self._draw_ball(screen, s["ball"], s["flying"])\n',
            '        self._draw_ball(screen, s["ball"], s["flying"])\n'
            '        self._draw_ball(screen, s["ball2"], s["flying2"])\n',
        ),
    ]
    check_sim("sims.edited", edited("edited", gravity, *second))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([(STEP, STEP + "        s['nothing']\n")], "KeyError: 'nothing'"),
        ([(STEP, STEP + "        while True:\n            pass\n")], "still running after 2 s"),
        ([(STEP, STEP + "        import os; os._exit(3)\n")], "its Python died (exit 3)"),
        ([(STEP, STEP + "        raise SystemExit(0)\n")], "SystemExit"),
        ([(STEP, STEP[:-1] + " (\n")], "'(' was never closed"),
        (
            [(STEP, STEP + "        np.random.rand()\n")],
            "`np.random.rand` differs",
        ),
        ([(STEP, STEP + "        import time\n")], "`import time` makes games that cannot be"),
        ([('"ArrowLeft"', '"LeftArrow"')], "names the key 'LeftArrow'"),
        ([("RADIUS = BALL_SIZE / 2", "RADIUS = np.sin(1.5)")], "`np.sin` differs"),
        ([(REWARD, REWARD + " + np.float32(np.nan)")], "its reward holds NaN or infinity"),
        ([(REWARD, REWARD[:-1] + ").astype(np.float64)")], "its reward is float64, not float32"),
        ([(REWARD, REWARD + "[:, None]")], "its reward has shape (4, 1), not (4,)"),
        ([(SENSOR, '"bal": s["ball"]')], "sensor 'ball' is in its spec, but the sim does not"),
        ([(SENSOR, SENSOR + "[:, :3]")], "sensor 'ball' has shape (4, 3), not (4, 4)"),
        ([("out[:, 0]", "out[:, 0, :32]")], "ValueError: could not broadcast"),
        ([(RENDER, "")], "render() leaves pixels undrawn"),
        (
            [(PADDLE, PADDLE + "        MOVES[0] += 1\n")],
            "not deterministic: the same seed twice, scenario 'fresh', frame differs at step",
        ),
        (
            [(PADDLE, PADDLE + '        s["paddle"] += s["ball"][:, 0].mean() / 10\n')],
            "not deterministic: world 0 of a batch against itself alone",
        ),
        (
            [
                (
                    PADDLE,
                    PADDLE + '        self.hidden += 1\n        s["paddle"] += self.hidden % 2\n',
                ),
                (
                    "        self._prepare_picture()\n        self",
                    "        self.hidden = 0\n        self._prepare_picture()\n        self",
                ),
            ],
            "not deterministic: restored from a snapshot, scenario 'fresh'",
        ),
        ([("self.draw()\n", "self.draw() / 2\n")], "not deterministic: restored from a snapshot"),
    ],
    ids=[
        *("raises", "loops", "dies", "exits", "syntax", "random", "time", "key", "sine", "nan"),
        *("reward-dtype", "reward-shape", "sensor-missing", "sensor-shape", "frame-shape"),
        *("undrawn", "leftover", "batch", "hidden-state", "chance"),
    ],
)
def test_a_bad_world_is_one_clear_line(
    edited: Callable[..., Path], changes: list[tuple[str, str]], message: str
) -> None:
    folder = edited("bad", *changes)
    with pytest.raises(UserError) as error:
        check_sim("sims.bad", folder, limit=2 if "still" in message else 60)
    text = str(error.value)
    assert text.startswith("world 'bad': ")
    assert message in text
    assert "\n" not in text
    if message.startswith(("KeyError", "still", "'('", "`", "ValueError")):
        line = text.split("bad.py:")[1].split(":")[0]
        assert int(line) > 10


def test_a_world_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"world 'absent': there is no absent\.py in"):
        check_sim("sims.absent", tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"keys": ("LeftArrow",)}, "the key 'LeftArrow', .* nearest is 'ArrowLeft'"),
        ({"keys": ("KeyA", "a")}, "the key 'a', .* nearest is 'KeyA'"),
        ({"keys": ("left",)}, "nearest is 'ArrowLeft'"),
        ({"keys": ("7",)}, "nearest is 'Digit7'"),
        ({"keys": (" ",)}, "which no keyboard has"),
        ({"keys": ("",)}, "which no keyboard has"),
        ({"keys": ("Escape",)}, "it leaves the stage"),
        ({"gamepad": ("b0",)}, "'b0', which no gamepad has .* nearest is 'south'"),
        ({"gamepad": ("axis7-",)}, "nearest is 'axis.-'"),
        ({"gamepad": ("dpad_left",)}, "nearest is 'dpad-left'"),
        ({"gamepad": ("toString",)}, "which no gamepad has"),
    ],
)
def test_a_name_that_means_nothing_is_found_with_the_nearest(
    changes: dict[str, Any], said: str
) -> None:
    spec = Breakout.spec
    action = dataclasses.replace(spec.actions[1], **changes)
    spec = dataclasses.replace(spec, actions=(spec.actions[0], action))
    found = bindings.problem(spec)
    assert found.startswith(f"action '{action.name}'") and re.search(said, found)


@pytest.mark.parametrize(
    ("part", "changes", "said"),
    [
        ("sensors", {"unit": "%", "low": 0, "high": 100}, "unit '%' from 0 to 100"),
        ("sensors", {"unit": "share", "low": -2, "high": 1}, "a range within -1 to 1"),
        ("axes", {"unit": "share, + is left", "high": 9}, "unit 'share, . is left' from -1 to 9"),
        ("axes", {"gamepad": "b0"}, "nearest is 'south'"),
        ("axes", {"increase": ("leftarrow",)}, "nearest is 'ArrowLeft'"),
    ],
)
def test_so_are_those_of_sensors_and_axes(part: str, changes: dict[str, Any], said: str) -> None:
    first, *rest = getattr(Driving.spec, part)
    changed = {part: (dataclasses.replace(first, **changes), *rest)}
    assert re.search(said, bindings.problem(dataclasses.replace(Driving.spec, **changed)))


def test_the_page_knows_the_same_buttons() -> None:
    assert not bindings.problem(Breakout.spec) and not bindings.problem(Driving.spec)
    root = Path(bindings.__file__).parents[1]
    script = next(root.glob("site_template/player/**/input.js")).read_text(encoding="utf-8")
    table = re.search(r"BUTTONS = \{(.*?)\};", script, re.DOTALL)
    assert table
    assert tuple(re.findall(r'"?([\w-]+)"?: \d+', table[1])) == bindings.BUTTONS
