from __future__ import annotations

import numpy as np
import pytest

from sims import breakout
from sims.breakout import Breakout
from training import evaluate
from training.detectors import DETECTORS, read_breakout
from training.recipe import Recipe


@pytest.mark.parametrize("scenario", Breakout.spec.scenarios)
def test_the_detector_is_exact_on_sim_frames(scenario: str) -> None:
    sim = Breakout(24)
    sim.reset(np.arange(24), scenario)
    behaviours = Breakout.spec.behaviours
    for t in range(160):
        seen = read_breakout(evaluate.rgba(sim)[:, 0])
        state = sim.state
        flying = state["flying"]
        ball = breakout.pixel(state["ball"][:, :2] - 1.5) + 1.5
        assert np.array_equal(np.isnan(seen["ball_x"]), ~flying)
        np.testing.assert_array_equal(seen["ball_x"][flying], ball[flying, 0])
        np.testing.assert_array_equal(seen["ball_y"][flying], ball[flying, 1])
        clear = ~flying | (state["ball"][:, 1] < breakout.PADDLE_TOP - 3)
        left = breakout.pixel(state["paddle"])
        np.testing.assert_allclose(seen["paddle"][clear], left[clear])
        under = flying & (state["ball"][:, 1] < 30)  # the ball may hide part of a brick
        assert np.array_equal(seen["bricks"][~under], state["bricks"][~under])
        assert np.array_equal(seen["lives"], state["lives"])
        sim.step(sim.act(behaviours[t // 40 % len(behaviours)]))


def test_the_sim_itself_is_a_perfect_player_and_repeating_a_frame_is_not(
    tiny_recipe: Recipe,
) -> None:
    scene = evaluate.make_scene(Breakout, tiny_recipe, 0, history=4, steps=30)
    detector = DETECTORS["breakout"]

    def figures(frames: np.ndarray) -> dict[str, float]:
        values = evaluate.pixel_figures(scene, frames)
        objects = detector.read(scene.frames[:, :, 0])
        values |= detector.compare(detector.read(frames[:, :, 0]), objects)
        return {k: float(np.nanmean(np.where(scene.alive, v, np.nan))) for k, v in values.items()}

    perfect, still = figures(scene.frames), figures(evaluate.hold(scene))
    assert perfect["psnr"] == 60 and perfect["exact"] == perfect["moved"] == 1
    assert perfect["ball_held"] > 0.97 and perfect["paddle_held"] > 0.97
    assert still["moved"] < 0.5 and still["ball_held"] < 0.3 and still["psnr"] < 40


def test_a_scene_can_be_played_again_from_its_start(tiny_recipe: Recipe) -> None:
    scene = evaluate.make_scene(Breakout, tiny_recipe, 1, history=4, steps=20)
    sim = Breakout(len(scene.actions))
    sim.restore(scene.start)
    assert np.array_equal(evaluate.rgba(sim), scene.history[:, -1])
    for t in range(20):
        sim.step(scene.actions[:, t].argmax(-1), scene.chances[:, t])
        assert np.array_equal(evaluate.rgba(sim), scene.frames[:, t])


def test_intervals_hold_the_mean_and_narrow_with_more_rollouts() -> None:
    rng = np.random.default_rng(0)
    few, many = rng.random(10), rng.random(1000)
    a = evaluate.interval(few, rng, False)
    b = evaluate.interval(many, rng, False)
    assert a and b
    assert a["low"] < a["mean"] < a["high"]
    assert b["high"] - b["low"] < (a["high"] - a["low"]) / 3
    assert evaluate.interval(np.full(3, np.nan), rng, False) is None
