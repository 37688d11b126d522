"""The rules: kept by the sim for as long as it is played, and each of them can be broken."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sims import breakout as b
from sims.breakout import Breakout
from sims.breakout.detector import DETECTOR
from sims.breakout.objects import read
from sims.breakout.rules import RULES, Referee
from sims.detector import Objects
from training.evaluation import autonomy, players
from training.evaluation.autonomy import play_alone
from training.evaluation.starts import Scene, rgba
from training.recipe import Recipe

Array = Any


def starts(recipe: Recipe, scenario: str, rollouts: int, seed: int = 9) -> Scene:
    data = dataclasses.replace(recipe.data, scenarios={scenario: 1.0})
    return autonomy.openings(
        Breakout, dataclasses.replace(recipe, data=data), seed, history=4, rollouts=rollouts
    )


@pytest.mark.slow
@pytest.mark.parametrize("scenario", Breakout.spec.scenarios)
def test_the_sim_breaks_no_rule_in_a_thousand_steps(tiny_recipe: Recipe, scenario: str) -> None:
    scene = starts(tiny_recipe, scenario, 16)
    session = play_alone(players.Real(Breakout), Breakout, DETECTOR, scene, 16, 1000)
    assert session.broken.shape == (16, 1000, len(RULES))
    assert autonomy.culprits(session, DETECTOR) == {}
    assert (session.first == 1001).all()
    # And it is real play: balls are returned, bricks go, lives are lost, games end and go on.
    lives = session.after["lives"]
    assert (lives < session.before["lives"]).sum() > 8
    assert (lives == 0).any()
    played = DETECTOR.statistics(session.before, session.after)
    assert (played["hits"] > 5).all() and (played["speed"] > 1).all()
    if scenario == "sparse":
        came = session.after["bricks"] & ~session.before["bricks"]
        assert came.all((-2, -1)).any(), "no empty wall was filled again"


class Stage:
    """One game of the real sim, to be tampered with between two of its frames."""

    def __init__(self, **state: Any) -> None:
        self.sim = Breakout(1)
        self.sim.step(np.zeros(1, np.int64), np.full((1, 1), 0.5, np.float32))
        for name, value in state.items():
            self.sim.state[name][0] = value

    @property
    def frame(self) -> Array:
        return rgba(self.sim)[0, 0]

    def judged(self, tamper: Callable[[Array], None], action: int = b.NOOP) -> set[str]:
        """Play one step, change its frame, and return which rules it breaks."""
        before, referee = self.frame.copy(), Referee(1)
        referee.watch(np.arange(1), self.sim.snapshot())
        self.sim.step(np.array([action]))
        after = self.frame.copy()
        tamper(after)
        return verdict(referee, before, action, after)


def verdict(referee: Referee, before: Array, action: int, after: Array) -> set[str]:
    shown: list[Objects] = [read(frame[None]) for frame in (before, after)]
    broken = referee.judge(shown[0], np.array([action]), shown[1])[0]
    return {name for name, bad in zip(RULES, broken, strict=True) if bad}


def fill(rows: slice, columns: slice, colour: Any) -> Callable[[Array], None]:
    def paint(frame: Array) -> None:
        frame[rows, columns, :3] = colour

    return paint


def erase_ball(frame: Array) -> None:
    ball = (frame[..., :3] == b.BALL).all(-1) | (frame[..., :3] == b.BALL_CENTRE).all(-1)
    frame[ball, :3] = b.BACKGROUND


def move_ball(dx: int, dy: int) -> Callable[[Array], None]:
    def move(frame: Array) -> None:
        seen = read(frame[None])
        x, y = int(seen["ball_x"][0]) + dx, int(seen["ball_y"][0]) + dy
        erase_ball(frame)
        frame[y - 1 : y + 2, x - 1 : x + 2, :3] = b.BALL
        frame[y, x, :3] = b.BALL_CENTRE

    return move


def lose_a_life(frame: Array) -> None:
    frame[1:3, 10:12, :3] = b.BACKGROUND


def nothing(frame: Array) -> None:
    pass


def both(*changes: Callable[[Array], None]) -> Callable[[Array], None]:
    def change(frame: Array) -> None:
        for one in changes:
            one(frame)

    return change


EMPTY = np.zeros((b.BRICK_ROWS, b.BRICK_COLUMNS), bool)
FALLING = (20.0, 61.6, 0.0, b.BALL_SPEED)


@pytest.mark.parametrize(
    ("rule", "tamper"),
    [
        ("ball", erase_ball),
        ("ball", fill(slice(45, 46), slice(45, 46), b.BALL_CENTRE)),
        ("ball", fill(slice(30, 36), slice(31, 33), b.BACKGROUND)),
        ("flight", move_ball(3, 0)),
        ("flight", move_ball(0, -5)),
        ("paddle", fill(slice(58, 60), slice(20, 30), b.BACKGROUND)),
        ("paddle", fill(slice(58, 60), slice(0, 64), b.BACKGROUND)),
        ("torn", fill(slice(10, 11), slice(2, 6), b.BACKGROUND)),
        ("torn", fill(slice(10, 12), slice(2, 3), b.BACKGROUND)),
        ("vanished", fill(slice(10, 12), slice(2, 6), b.BACKGROUND)),
        ("lives", lose_a_life),
        ("lives", both(erase_ball, lose_a_life)),
        ("walls", fill(slice(20, 22), slice(0, 1), b.BACKGROUND)),
        ("walls", fill(slice(1, 2), slice(2, 3), b.BACKGROUND)),
        ("strays", fill(slice(40, 41), slice(10, 13), b.LIFE)),
        ("strays", fill(slice(40, 41), slice(10, 11), b.BALL)),
        ("strays", fill(slice(40, 41), slice(10, 11), (9, 9, 9))),
    ],
)
def test_every_rule_can_be_broken(rule: str, tamper: Callable[[Array], None]) -> None:
    assert rule in Stage().judged(tamper)
    assert Stage().judged(nothing) == set()


def test_bricks_come_back_only_to_an_empty_wall_when_the_paddle_is_touched() -> None:
    def one_brick(frame: Array) -> None:
        frame[10:12, 2:6, :3] = b.BRICK_COLOURS[0]

    assert Stage(bricks=EMPTY).judged(one_brick) == {"returned"}
    full = Stage().frame

    def refill(frame: Array) -> None:
        frame[10:28] = full[10:28]

    assert Stage(bricks=EMPTY).judged(refill) == {"returned"}
    returning = Stage(bricks=EMPTY, ball=(32.0, 55.5, 0.0, b.BALL_SPEED), paddle=26.0)
    assert returning.judged(nothing) == set()
    assert returning.sim.state["bricks"].all()


def test_a_life_is_lost_with_the_ball_and_not_otherwise() -> None:
    assert Stage(ball=FALLING, paddle=40.0).judged(nothing) == set()
    kept = Stage(ball=FALLING, paddle=40.0)
    life = fill(slice(1, 3), slice(10, 12), b.LIFE)
    assert kept.judged(life) == {"ball"}
    saved = Stage(ball=(20.0, 61.0, 0.0, b.BALL_SPEED), paddle=40.0)
    assert "lives" in saved.judged(move_ball(0, -3))
    gained = Stage(lives=2)
    assert "lives" in gained.judged(life)


def test_a_ball_is_served_where_serves_begin_and_never_rests() -> None:
    waiting = Stage(flying=False, ball=0.0)
    assert waiting.judged(nothing) == set()
    assert Stage(flying=False, ball=0.0).judged(move_ball(6, 0)) == {"flight"}
    frame, referee = Stage().frame, Referee(1)
    referee.watch(np.arange(1), Stage().sim.snapshot())
    found = [verdict(referee, frame, b.NOOP, frame) for _ in range(4)]
    assert found[:2] == [set(), set()] and found[-1] == {"flight"}


def test_the_paddle_must_go_where_the_actions_put_it() -> None:
    assert Stage().judged(nothing, b.GO_LEFT) == set()
    frame, referee = Stage().frame, Referee(1)
    referee.watch(np.arange(1), Stage().sim.snapshot())
    assert "paddle" in verdict(referee, frame, b.GO_RIGHT, frame)


def test_the_player_goes_to_the_ball_it_sees_and_stays_where_it_sees_no_paddle() -> None:
    objects = {"ball_x": np.array([10.0, 50, 32, 10]), "paddle": np.array([26.0, 26, 26, np.nan])}
    middle = DETECTOR.act(objects, np.full(4, 0.5))
    assert middle.tolist() == [b.GO_LEFT, b.GO_RIGHT, b.NOOP, b.NOOP]
    assert DETECTOR.act(objects, np.full(4, 0.99))[2] == b.GO_RIGHT


@pytest.mark.slow
def test_a_frozen_world_collapses_and_says_why(tiny_recipe: Recipe) -> None:
    scene = starts(tiny_recipe, "fresh", 4)
    session = play_alone(players.Still(), Breakout, DETECTOR, scene, 4, 400)
    assert session.broken.shape[1] == autonomy.LEAST, "nothing was left to survive"
    assert (session.first <= 8).all()
    real = play_alone(players.Real(Breakout), Breakout, DETECTOR, scene, 4, 400)
    told = autonomy.report({"still": session, "sim": real}, DETECTOR, real)
    still, sim = (row["values"] for row in told["rows"])
    assert set(still) == set(sim) == {column["key"] for column in told["columns"]}
    assert sim["survived"]["mean"] == sim["clean"]["mean"] == 100
    assert sim["occupancy"]["mean"] == 0 < 50 < still["occupancy"]["mean"]
    assert sim["collapse"]["mean"] == 400 > still["collapse"]["mean"]
    assert still["survived"]["mean"] == still["speed"]["mean"] == 0
    assert sum(told["culprits"]["still"].values()) == 4 and told["culprits"]["sim"] == {}
    curve = told["curve"]["series"]
    assert curve["still"][0]["mean"] == 100 and curve["still"][-1]["mean"] == 0
    assert all(point["mean"] == 100 for point in curve["sim"])


@pytest.mark.slow
def test_a_game_that_ends_goes_on_from_another_start(tiny_recipe: Recipe) -> None:
    scene = starts(tiny_recipe, "half", 3)
    scene.start["lives"][:] = 1
    last = scene.history[:, -1]
    last[:, 0, 1:3, 6:12, :3] = b.BACKGROUND
    session = play_alone(players.Real(Breakout), Breakout, DETECTOR, scene, 3, 600)
    assert autonomy.culprits(session, DETECTOR) == {}
    ended = session.after["lives"][:, :-1] == 0
    assert ended.any()
    assert (session.before["lives"][:, 1:][ended] == 1).all()
