from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sims.breakout import PALETTE, Breakout
from training.data.dataset import Dataset
from training.evaluation.starts import sensor_matrix
from training.recipe import Recipe
from training.trainer.streams import Both, Guess, Live, Recorded, Tick

GAMES = 6


def dreaming(recipe: Recipe, horizon: int = 40) -> Live:
    return Live(Breakout(GAMES), recipe, PALETTE, GAMES, seed=5, horizon=horizon)


def exact(tick: Tick) -> Guess:
    """What a model without fault would have made of a step."""
    return Guess(tick.target, tick.state)


def test_recorded_games_go_on_until_they_are_left(tiny_recipe: Recipe, tiny_dataset: Path) -> None:
    arrays = Dataset.open(tiny_dataset).load("train")
    plan = dataclasses.replace(tiny_recipe.train, stream=5, event_share=0.0)
    source = Recorded(arrays, GAMES, plan, 0)
    before, left = source.tick(), 0
    assert before.placed.all()
    for _ in range(60):
        now = source.tick()
        on = ~now.placed
        assert np.array_equal(now.seen[on], before.target[on])
        assert np.array_equal(now.sensors[on], before.state[on])
        left += int((~on).sum())
        before = now
    assert 60 * GAMES / 10 < left < 60 * GAMES / 2.5


def test_recorded_games_are_left_for_where_something_happens(
    tiny_recipe: Recipe, tiny_dataset: Path
) -> None:
    arrays = Dataset.open(tiny_dataset).load("train")
    found = {}
    for share in (0.0, 1.0):
        plan = dataclasses.replace(tiny_recipe.train, stream=2, event_share=share)
        source = Recorded(arrays, GAMES, plan, 0)
        found[share] = np.mean([source.tick().reward > 0 for _ in range(200)])
    assert found[1.0] > 2 * found[0.0]


def test_a_dream_without_fault_is_the_game_itself(tiny_recipe: Recipe) -> None:
    dream, awake = dreaming(tiny_recipe), dreaming(tiny_recipe, horizon=0)
    mine, true = dream.tick(None), awake.tick(None)
    dreamt = 0
    for _ in range(30):
        mine, true = dream.tick(exact(mine)), awake.tick(None)
        assert np.array_equal(mine.seen, true.seen) and np.array_equal(mine.target, true.target)
        np.testing.assert_allclose(mine.state, true.state, atol=1e-3)
        dreamt += int(mine.own.sum())
    assert dreamt > 25 * GAMES and dream.lost == 0
    assert dream.mean_dream() == dreamt and dream.mean_dream() == 0


def test_the_sim_follows_a_dream_that_drifts(tiny_recipe: Recipe) -> None:
    live = dreaming(tiny_recipe)
    tick = live.tick(None)
    for _ in range(3):
        tick = live.tick(exact(tick))
    assert (tick.state[:, 6] == 1).all()
    state = tick.state.copy()
    state[:, 0] += 0.2
    shown = tick.target
    same = np.floor(state[:, 0]) == np.floor(tick.state[:, 0])
    after = live.tick(Guess(shown, state))
    assert same.any() and after.own.all()
    free = np.abs(after.state[:, 2] - state[:, 2]) < 1e-5
    np.testing.assert_allclose(
        (after.state - state)[free, 0], state[free, 2], atol=1e-4, err_msg="from the drifted ball"
    )


@pytest.mark.parametrize("fault", ["ball", "paddle", "gone"])
def test_a_dream_that_is_too_far_off_ends(tiny_recipe: Recipe, fault: str) -> None:
    live = dreaming(tiny_recipe)
    tick = live.tick(None)
    for _ in range(4):
        tick = live.tick(exact(tick))
    truth = sensor_matrix(live.sim)
    guess = exact(tick)
    guess.sensors = guess.sensors.copy()
    if fault == "ball":
        guess.sensors[0, 1] -= 9
    elif fault == "paddle":
        guess.sensors[0, 4] += 9 if guess.sensors[0, 4] < 30 else -9
    else:
        guess.sensors[0, 6] = 0
    tick = live.tick(guess)
    assert tick.placed[0] and not tick.own[0] and tick.own[1:].all()
    assert np.array_equal(tick.sensors[0], truth[0])


def test_a_dream_whose_frame_can_not_be_read_ends_after_some_steps(tiny_recipe: Recipe) -> None:
    live = dreaming(tiny_recipe)
    tick = live.tick(None)
    own = []
    for _ in range(8):
        guess = exact(tick)
        guess.frames = guess.frames.copy()
        guess.frames[0, 0, 40:44, 10:14] = list(map(tuple, PALETTE)).index((224, 128, 208))
        tick = live.tick(guess)
        own.append(tick.own[0])
    assert own[:3] == [True] * 3 and not all(own)


def test_frames_are_asked_for_where_something_happens(
    tiny_recipe: Recipe, tiny_dataset: Path
) -> None:
    arrays = Dataset.open(tiny_dataset).load("train")
    rows = np.concatenate(list(arrays.events.values()))
    for share, event_share in ((0.0, 1.0), (0.5, 0.0)):
        plan = dataclasses.replace(
            tiny_recipe.train, draw_share=share, event_share=event_share, stream=2
        )
        source = Recorded(arrays, GAMES, plan, 0)
        drawn = other = 0
        for _ in range(60):
            tick = source.tick()
            eventful = np.isin(source.rows - 1, rows)
            assert tick.drawn.any() and tick.drawn[eventful].all()
            other += int((~eventful)[1:].sum())
            drawn += int((tick.drawn & ~eventful)[1:].sum())
            # What has no frame after it, at the end of a game that was cut short, is left out.
            assert (source.rows < source.stops[source.rows - 1]).all()
        assert abs(drawn / other - share) < 0.15


def test_dreams_take_the_place_of_recorded_games(tiny_recipe: Recipe, tiny_dataset: Path) -> None:
    arrays = Dataset.open(tiny_dataset).load("train")
    recipe = dataclasses.replace(
        tiny_recipe, train=dataclasses.replace(tiny_recipe.train, dream_share=0.5)
    )
    source = Both(arrays, Breakout, recipe, GAMES, 0)
    tick = source.tick(None)
    assert len(tick.seen) == GAMES and not tick.own.any()
    source.live.horizon = 10
    for _ in range(3):
        tick = source.tick(exact(tick))
    assert len(tick.seen) == GAMES
    assert tick.own[: GAMES // 2].all() and not tick.own[GAMES // 2 :].any()
    assert tick.drawn[: GAMES // 2].all()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_all_games_may_dream_or_none(tiny_recipe: Recipe, tiny_dataset: Path, share: float) -> None:
    arrays = Dataset.open(tiny_dataset).load("train")
    recipe = dataclasses.replace(
        tiny_recipe, train=dataclasses.replace(tiny_recipe.train, dream_share=share)
    )
    source = Both(arrays, Breakout, recipe, GAMES, 0)
    tick = source.tick(None)
    assert len(tick.seen) == GAMES and tick.drawn.any()
    source.live.horizon = 10
    for _ in range(3):
        tick = source.tick(exact(tick))
    assert len(tick.seen) == GAMES and (tick.own == bool(share)).all()


def test_a_world_that_nobody_can_move_is_left_when_frames_differ(tiny_recipe: Recipe) -> None:
    recipe: Any = dataclasses.replace(tiny_recipe, world="unknown")
    live = Live(Breakout(GAMES), recipe, PALETTE, GAMES, seed=5, horizon=40)
    tick = live.tick(None)
    tick = live.tick(exact(tick))
    assert tick.own.all()
    guess = exact(tick)
    guess.frames = guess.frames.copy()
    guess.frames[0, 0, :20] = 0
    tick = live.tick(guess)
    assert not tick.own[0] and tick.own[1:].all()
