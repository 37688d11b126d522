"""Pong: its detector and its rules are exact on its own frames, and find what is broken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sims import pong as p
from sims.contract import Array
from sims.detector import at
from sims.pong import Pong, objects, rules
from sims.pong.detector import DETECTOR

GAMES, STEPS = 24, 400


def frames_of(sim: Pong) -> Array:
    out = np.zeros((sim.worlds, 1, p.HEIGHT, p.WIDTH, 3), np.uint8)
    sim.render(out)
    return out[:, 0]


@pytest.fixture(scope="module", params=Pong.spec.behaviours)
def played(request: Any) -> dict[str, Any]:
    """One behaviour's games: objects by truth and by frames, actions, events, endings."""
    sim = Pong(GAMES)
    sim.reset(np.arange(GAMES))
    start = {k: v.copy() for k, v in sim.state.items()}
    true, seen, actions, told, alive = [], [], [], [], []
    over = np.zeros(GAMES, bool)
    for t in range(STEPS + 1):
        true.append(objects.truth(sim.state))
        seen.append(objects.read(frames_of(sim)))
        if t == STEPS:
            break
        actions.append(sim.act(request.param))
        alive.append(~over)
        _, terminated, _ = sim.step(actions[-1])
        over |= terminated
        told.append({k: v.copy() for k, v in sim.events().items()})
    return {"start": start, "true": true, "seen": seen, "actions": actions, "told": told,
            "alive": alive}  # fmt: skip


@pytest.mark.slow
def test_frames_are_read_as_they_are(played: dict[str, Any]) -> None:
    for true, seen in zip(played["true"], played["seen"], strict=True):
        for name in true:
            assert np.array_equal(true[name], seen[name]), name
    assert all(
        (objects.compare(a, b)["ball_held"] == 1).all()
        for a, b in zip(played["seen"], played["true"], strict=True)
    )


@pytest.mark.slow
def test_the_sim_breaks_no_rule_of_its_own(played: dict[str, Any]) -> None:
    referee = rules.Referee(GAMES)
    referee.watch(np.arange(GAMES), played["start"])
    for t, action in enumerate(played["actions"]):
        broken = referee.judge(played["seen"][t], action, played["seen"][t + 1])
        broken = broken[played["alive"][t]]
        assert not broken.any(), [
            name for name, b in zip(rules.RULES, broken.any(0), strict=True) if b
        ]


@pytest.mark.slow
def test_events_are_found_in_frames(played: dict[str, Any]) -> None:
    seen = {k: np.stack([part[k] for part in played["seen"]], 1) for k in played["seen"][0]}
    before, after = at(seen, np.s_[:, :-1]), at(seen, np.s_[:, 1:])
    found = objects.events(before, after)
    for name, values in found.items():
        told = np.stack([one[name] for one in played["told"]], 1)
        assert np.array_equal(values[:, :-1], told[:, :-1]), name
    assert DETECTOR.places(after).sum() == after["ball_x"].size
    assert (DETECTOR.statistics(before, after)["speed"][played["alive"][-1]] > 1).all()


BREAKS: dict[str, tuple[str, Any]] = {
    "no ball": ("ball", lambda f: _paint(f, p.WHITE, p.GREEN)),
    "half a ball": ("ball", lambda f: _half(f)),
    "a torn paddle": ("mine", lambda f: _tear(f, p.RIGHT)),
    "a torn opponent": ("theirs", lambda f: _tear(f, p.LEFT)),
    "a point from nowhere": ("points", lambda f: _dot(f, 1, p.WIDTH - 3, p.YOU)),
    "a stray pixel": ("strays", lambda f: _dot(f, 20, 10, p.YOU)),
}


def _paint(frame: Array, old: Any, new: Any) -> None:
    frame[(frame == np.array(old, np.uint8)).all(-1)] = new


def _half(frame: Array) -> None:
    y, x = np.argwhere((frame == np.array(p.WHITE, np.uint8)).all(-1))[0]
    frame[y, x] = p.GREEN


def _tear(frame: Array, column: int) -> None:
    rows = np.flatnonzero((frame[:, column] != np.array(p.GREEN, np.uint8)).any(-1))
    frame[rows[rows >= p.TOP][2], column] = p.GREEN


def _dot(frame: Array, row: int, column: int, colour: Any) -> None:
    frame[row, column] = colour


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_frame_breaks_its_rule(name: str) -> None:
    sim = Pong(1)
    sim.reset(np.array([3]))
    for _ in range(5):
        sim.step(np.array([0]))
    referee = rules.Referee(1)
    referee.watch(np.array([0]), sim.state)
    before = objects.read(frames_of(sim))
    sim.step(np.array([0]))
    after = frames_of(sim)
    rule, spoil = BREAKS[name]
    spoil(after[0])
    broken = referee.judge(before, np.array([0]), objects.read(after))[0]
    assert dict(zip(rules.RULES, broken, strict=True))[rule]


def test_a_ball_that_jumps_or_turns_in_the_air_is_no_flight() -> None:
    sim = Pong(1)
    sim.reset(np.array([3]))
    before = objects.read(frames_of(sim))
    for change in ({"x": 12}, {"x": -int(2 * sim.state["dx"][0])}):
        referee = rules.Referee(1)
        referee.watch(np.array([0]), sim.state)
        moved = {k: v.copy() for k, v in sim.state.items()}
        for k, by in change.items():
            moved[k] = moved[k] + by
        broken = referee.judge(before, np.array([0]), objects.truth(moved))[0]
        assert dict(zip(rules.RULES, broken, strict=True))["flight"], change


def test_a_dream_near_the_game_is_adopted() -> None:
    sim = Pong(2)
    sim.reset(np.array([3, 4]))
    shown = frames_of(sim)
    sim.state["x"] += np.array([2, 40])
    clean, far = DETECTOR.adopt(sim, shown, np.zeros((2, 0)), np.ones(2, bool))
    assert clean.all() and far.tolist() == [False, True]
    assert np.array_equal(frames_of(sim)[0], shown[0])
