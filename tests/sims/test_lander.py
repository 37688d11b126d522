"""Lander: who comes down gently on the pad has landed, and everybody else crashes."""

from __future__ import annotations

import numpy as np
import pytest

from sims import lander as m
from sims.lander import Lander

GAMES = 64


def begun() -> Lander:
    sim = Lander(GAMES)
    sim.reset(np.arange(GAMES))
    return sim


def ended(behaviour: str) -> Lander:
    sim, total, over = begun(), np.zeros(GAMES), np.zeros(GAMES, bool)
    for _ in range(400):
        reward, terminated, _ = sim.step(sim.act(behaviour))
        assert not reward[over].any(), "a game that is over gives nothing"
        total, over = total + reward, terminated
    assert over.all()
    assert np.array_equal(total, sim.state["landed"] - sim.state["crashed"])
    return sim


@pytest.mark.slow
def test_the_better_it_is_flown_the_more_land() -> None:
    shares = [ended(name).state["landed"].mean() for name in Lander.spec.behaviours]
    assert shares[0] > 0.9 > shares[1] > 0.4 > shares[2]


def test_a_landing_is_slow_and_on_the_pad() -> None:
    for change, landed in (({}, 1), ({"vy": m.GENTLE + 9}, 0), ({"vx": m.STEADY + 9}, 0),
                           ({"pad": 8}, 0)):  # fmt: skip
        sim = begun()
        s = sim.state
        s["vx"][:], s["wind"][:], s["x"] = 0, 0, s["pad"] * m.UNIT
        s["y"] = sim._below() - m.RADIUS * m.UNIT - 1
        s["vy"][:] = 10
        for name, value in change.items():
            s[name][:] = value
        if "pad" in change:
            away = np.abs(s["x"] - s["pad"] * m.UNIT) > m.PAD * m.UNIT
        else:
            away = np.ones(GAMES, bool)
        reward, terminated, _ = sim.step(np.zeros(GAMES, np.int64))
        assert terminated[away].all()
        assert (reward[away] == (1 if landed else -1)).all(), change


def test_without_fuel_an_engine_does_nothing_and_is_not_drawn() -> None:
    one, other = begun(), begun()
    for sim in (one, other):
        sim.state["fuel"][:] = 0
    one.step(np.full(GAMES, m.MAIN_ON))
    other.step(np.zeros(GAMES, np.int64))
    (camera,) = one.spec.cameras
    frames = np.zeros((2, GAMES, 1, camera.height, camera.width, 3), np.uint8)
    one.render(frames[0])
    other.render(frames[1])
    assert np.array_equal(frames[0], frames[1])
    other.state["fuel"][:] = m.FUEL
    other.step(np.full(GAMES, m.MAIN_ON))
    other.render(frames[1])
    flames = (frames[1] == m.FLAME).all(-1).sum((1, 2, 3))
    assert (flames > 5).all()
