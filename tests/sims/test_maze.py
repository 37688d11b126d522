"""Maze: every room can be reached, walls hold, and who turns round sees what was there."""

from __future__ import annotations

import numpy as np
import pytest

from sims import maze as m
from sims.contract import Array
from sims.maze import Maze

GAMES = 24
UP, DOWN, LEFT, RIGHT = 1, 2, 3, 4


def begun() -> Maze:
    sim = Maze(GAMES)
    sim.reset(np.arange(GAMES))
    return sim


def frames_of(sim: Maze) -> Array:
    (camera,) = sim.spec.cameras
    out = np.zeros((sim.worlds, 1, camera.height, camera.width, 3), np.uint8)
    sim.render(out)
    return out[:, 0]


def test_every_room_can_be_reached_in_every_maze() -> None:
    sim = begun()
    rooms = sim.state["way"][:, 1::2, 1::2]
    assert rooms.max() < m.FAR and (rooms == 0).sum() == GAMES
    assert len(np.unique(sim.state["wall"].reshape(GAMES, -1), axis=0)) == GAMES
    # A way that is one tile longer lies beside each tile but the gem's.
    way = sim.state["way"][0]
    for row, column in np.argwhere((way > 0) & (way < m.FAR)):
        near = [way[row + a, column + b] for a, b in m.MOVES[1:]]
        assert min(near) == way[row, column] - 1


def test_walls_hold_and_who_turns_round_sees_the_same() -> None:
    sim = begun()
    rng = np.random.default_rng(0)
    for _ in range(60):
        before, place = frames_of(sim), (sim.state["row"].copy(), sim.state["column"].copy())
        action = rng.integers(1, 5, GAMES)
        ahead = sim.state["wall"][
            np.arange(GAMES), place[0] + m.MOVES[action, 0], place[1] + m.MOVES[action, 1]
        ]
        sim.step(action)
        went = (sim.state["row"] != place[0]) | (sim.state["column"] != place[1])
        found = sim.state["found"] > 0
        assert np.array_equal(went, ~ahead)
        back = np.array([0, DOWN, UP, RIGHT, LEFT])[action]
        sim.step(np.where(went, back, 0))
        same = (frames_of(sim) == before).all((1, 2, 3))
        assert same[~found].all()


@pytest.mark.slow
def test_a_seeker_finds_three_gems_and_the_others_fewer() -> None:
    points = {}
    for behaviour in Maze.spec.behaviours:
        sim, over = begun(), np.zeros(GAMES, bool)
        for _ in range(300):
            reward, terminated, _ = sim.step(sim.act(behaviour))
            assert not reward[over].any(), "a game that is over gives nothing"
            over |= terminated
            assert np.array_equal(terminated, sim.state["points"] == m.POINTS)
        points[behaviour] = float(sim.state["points"].mean())
    assert points["seeker"] == m.POINTS > points["stray"] > points["random"]
