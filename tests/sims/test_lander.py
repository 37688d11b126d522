"""Lander: a pilot lands, what meets the ground otherwise crashes, and engines do what they say."""

from __future__ import annotations

import numpy as np
import pytest

from sims import lander as m
from sims.contract import Array
from sims.lander import Lander

GAMES = 32


def begun() -> Lander:
    sim = Lander(GAMES)
    sim.reset(np.arange(GAMES))
    return sim


def frames_of(sim: Lander) -> Array:
    out = np.zeros((sim.worlds, 1, m.HEIGHT, m.WIDTH, 3), np.uint8)
    sim.render(out)
    return out[:, 0]


def put(sim: Lander, **numbers: float) -> None:
    for name, value in numbers.items():
        sim.state[name][:] = value


def test_a_pilot_lands_and_who_does_nothing_crashes() -> None:
    sim, idle = begun(), begun()
    earned, lost = np.zeros(GAMES), np.zeros(GAMES)
    for _ in range(sim.spec.max_steps):
        earned += sim.step(sim.act("pilot"))[0]
        lost += idle.step(np.zeros(GAMES, np.int64))[0]
    assert (sim.state["landed"] == 1).all() and (earned == 1).all()
    assert sim.state["fuel"].min() > 0.2
    assert not idle.state["landed"].any() and (lost == -1).all()


@pytest.mark.parametrize(
    ("numbers", "event"),
    [
        ({}, "landed"),
        ({"x": 40.0 + m.PAD - 0.5}, "landed"),
        ({"x": 40.0 + m.PAD + 0.5}, "crashed"),
        ({"vy": -m.SOFT - 0.1}, "crashed"),
        ({"vx": m.SOFT + 0.1}, "crashed"),
        ({"angle": m.UPRIGHT + 1}, "crashed"),
        ({"height": 30.0, "angle": m.TUMBLES + 1}, "lost"),
        ({"height": 30.0, "x": -1.0}, "lost"),
        ({"height": m.GROUND + 1}, "lost"),
    ],
)
def test_how_a_landing_ends(numbers: dict[str, float], event: str) -> None:
    sim = begun()
    put(sim, x=40.0, pad=40.0, height=m.FEET, vx=0.0, vy=-0.1, angle=0.0, spin=0.0)
    put(sim, **numbers)
    reward, ended, _ = sim.step(np.zeros(GAMES, np.int64))
    assert ended.all() and (reward == (1 if event == "landed" else -1)).all()
    assert {name for name, now in sim.events().items() if now.all()} == {event}
    # Nothing moves, and nothing is earned, once it is over.
    before = {name: value.copy() for name, value in sim.state.items()}
    reward, ended, _ = sim.step(np.full(GAMES, m.MAIN_ENGINE))
    assert ended.all() and not reward.any()
    assert all((sim.state[name] == before[name]).all() for name in m.NUMBERS)


def test_engines_push_and_turn_while_there_is_fuel() -> None:
    for action, name, sign in (
        (m.MAIN_ENGINE, "vy", 1), (m.LEFT, "spin", -1), (m.RIGHT, "spin", 1),
    ):  # fmt: skip
        sim = begun()
        put(sim, vy=0.0, vx=0.0, angle=0.0, spin=0.0)
        burning = np.full(GAMES, action)
        sim.step(burning)
        assert (np.sign(sim.state[name]) == sign).all()
        assert (sim.state["fuel"] < m.TANK).all()
        put(sim, fuel=0.0, vy=0.0, spin=0.0)
        sim.step(burning)
        assert (sim.state["vy"] < 0).all() and (sim.state["spin"] == 0).all()
    # Leaning to the right, it is pushed to the right.
    put(sim, fuel=0.5, vx=0.0, angle=30.0)
    sim.step(np.full(GAMES, m.MAIN_ENGINE))
    assert (sim.state["vx"] > 0).all()


def test_hills_differ_and_the_rest_of_a_picture_follows_from_numbers_and_engine() -> None:
    sim = begun()
    put(sim, x=40.0, height=25.0, angle=20.0, pad=60.0)
    frames = frames_of(sim)
    assert len(np.unique(frames.reshape(GAMES, -1), axis=0)) == GAMES
    assert (frames[:, :20] == frames[:1, :20]).all() and (frames[:, 57:] == frames[:1, 57:]).all()
    assert len(np.unique(frames[0].reshape(-1, 3), axis=0)) > 64  # shaded
    lit = (frames[:, 57] == m.LAMPS).all(-1)  # and half as bright at both ends
    assert (lit.sum(1) == 2 * m.PAD - 1).all() and lit[0, 60]
    put(sim, engine=m.MAIN_ENGINE)
    assert (frames_of(sim) != frames).any((1, 2, 3)).all()
    # Out of the picture, it is not drawn, and does not fail.
    for x, height in ((-30.0, 20.0), (140.0, 20.0), (40.0, 90.0), (0.0, 3.0), (96.0, 55.0)):
        put(sim, x=x, height=height)
        frames_of(sim)
