from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sims.breakout import Breakout
from sims.breakout.detector import DETECTOR
from training.evaluation import agreement, bootstrap, evaluate, heads, players
from training.evaluation.agreement import agree, detector_error, matches, pixel_figures
from training.evaluation.starts import Scene, make_scene, rgba
from training.recipe import Recipe


@pytest.fixture(scope="module")
def scene(tiny_recipe: Recipe) -> Scene:
    return make_scene(Breakout, tiny_recipe, 0, history=4, steps=120, rollouts=6)


def test_the_sim_itself_is_a_perfect_player_and_repeating_a_frame_is_not(scene: Scene) -> None:
    labels = agreement.PIXEL_LABELS | DETECTOR.labels

    def means(player: players.Player) -> tuple[dict[str, float], dict[str, float]]:
        found = agree(player, [scene], DETECTOR, [1, 30, 100])
        events = agreement.event_figures(found.events)
        return (
            {k: v["mean"] for k, v in found.values(labels).items() if v},
            {k: v["mean"] for k, v in events.items() if v},
        )

    perfect, events = means(players.Real(Breakout))
    for step in (1, 30, 100):
        for key, (_, unit, better) in labels.items():
            best = 60 if unit == "dB" else 100 if better == "high" else 0
            assert perfect[f"{key}@{step}"] == best, key
    assert {"f1_all", "f1_brick", "f1_paddle", "precision_all"} <= set(events)
    assert set(events.values()) == {100.0}
    still, none = means(players.Still())
    assert still["moved@30"] < 50 and still["ball_held@30"] < 60 and still["psnr@30"] < 40
    assert none["f1_all"] == 0 and "precision_all" not in none


def test_the_detectors_own_error_is_zero_on_real_frames(scene: Scene) -> None:
    found = detector_error([scene], DETECTOR, [1, 7, 64, 120])
    for key, values in found.values(DETECTOR.labels).items():
        wanted = 100 if DETECTOR.labels[key.partition("@")[0]][1] == "%" else 0
        assert values and values["mean"] == wanted, key
    assert found.events["all"][:, 0].sum() > 10
    assert found.events["all"][:, 1:].sum() == 0
    # The sim must be able to disagree: it would with a detector that sees one brick less.
    blind = dataclasses.replace(
        DETECTOR,
        events=lambda before, after: {
            k: v & (k != "paddle") for k, v in DETECTOR.events(before, after).items()
        },
    )
    assert detector_error([scene], blind, [1]).events["paddle"][:, 2].sum() > 3


def test_pixels_are_compared_at_the_steps_asked_for(scene: Scene) -> None:
    frames = players.play(players.Still(), scene)
    whole = pixel_figures(scene, frames)
    some = pixel_figures(agreement.moments(scene, [3, 90]), frames[:, [2, 89]])
    for name, values in whole.items():
        np.testing.assert_array_equal(some[name], values[:, [2, 89]])


def test_horizons_longer_than_the_rollouts_are_left_out(scene: Scene) -> None:
    found = agree(players.Still(), [scene], DETECTOR, [])
    assert found.values(agreement.PIXEL_LABELS | DETECTOR.labels) == {}
    assert found.events["all"].shape == (6, 3)


def test_a_scene_can_be_played_again_from_its_start(scene: Scene) -> None:
    sim = Breakout(len(scene.actions))
    sim.restore(scene.start)
    assert np.array_equal(rgba(sim), scene.history[:, -1])
    assert np.array_equal(players.play(players.Real(Breakout), scene), scene.frames)


def test_events_are_paired_once_and_within_two_steps() -> None:
    def at(*steps: int) -> np.ndarray:
        out = np.zeros((1, 40), bool)
        out[0, list(steps)] = True
        return out

    assert matches(at(3, 10, 30), at(3, 12, 33)).tolist() == [[2, 1, 1]]
    assert matches(at(5, 6, 7), at(7)).tolist() == [[1, 2, 0]]
    assert matches(at(), at(7, 9)).tolist() == [[0, 0, 2]]
    # Greedy in time is the best pairing: 4 goes to 5, so 6 is left for 8.
    assert matches(at(4, 6), at(5, 8)).tolist() == [[2, 0, 0]]


def test_controllability_tells_a_paddle_that_obeys_from_one_that_does_not(scene: Scene) -> None:
    obeys = agreement.controllability(players.Real(Breakout), scene, Breakout, DETECTOR)
    stays = agreement.controllability(players.Still(), scene, Breakout, DETECTOR)
    assert len(obeys) == 18 and np.nanmean(obeys) == 1
    assert np.nanmean(stays) < 0.6


def test_a_sample_measures_any_player(tiny_recipe: Recipe) -> None:
    sample = evaluate.Sample.make(Breakout, tiny_recipe, 4, rollouts=3, steps=40)
    assert sample is not None
    told = ["end_recall", "end_precision", "reward_error"]
    keys = ["ball_held@30", "ball_held@40", "controllability", "f1_all", *told, "survived"]
    assert [c["key"] for c in sample.columns] == keys
    real = sample.measure(players.Real(Breakout))
    wanted = dict.fromkeys(keys, 100.0) | {"reward_error": 0.0}
    # In so few games none need end, nor give anything.
    assert {k: v["mean"] for k, v in real.items() if v} == {k: wanted[k] for k in real if real[k]}
    assert set(keys) - {k for k in real if real[k]} <= set(told)
    still = sample.measure(players.Still())
    assert all(still[k]["mean"] < 100 for k in keys if still.get(k))  # type: ignore[index]
    assert not set(told) & set(still), "what says nothing has no figure"


def test_a_world_without_detector_has_no_sample(tiny_recipe: Recipe) -> None:
    other = dataclasses.replace(tiny_recipe, world="catcher")
    assert evaluate.Sample.make(Breakout, other, 4, rollouts=2, steps=4) is None


def test_strips_show_only_steps_that_were_played(scene: Scene, tmp_path: Path) -> None:
    ended = dataclasses.replace(scene, alive=np.arange(120) < np.full((6, 1), 13))
    steps = evaluate.strip(ended, scene.frames, 2, tmp_path / "a" / "strip.png")
    assert steps == [1, 4, 8, 12]
    assert (tmp_path / "a" / "strip.png").is_file()


def test_a_game_that_ended_while_it_was_watched_has_no_strip(scene: Scene, tmp_path: Path) -> None:
    over = dataclasses.replace(scene, alive=np.zeros((6, 120), bool))
    assert evaluate.strip(over, scene.frames, 2, tmp_path / "strip.png") == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("last", [2, 12])
def test_games_that_end_within_a_few_steps_are_measured(tiny_recipe: Recipe, last: int) -> None:
    class Short(Breakout):
        """Over after `last` steps."""

        def step(self, actions: Any, chance: Any = None) -> tuple[Any, Any, Any]:
            rewards, ended, truncated = super().step(actions, chance)
            self.state["lives"][self.state["tick"] >= last] = 0
            return rewards, ended | (self.state["tick"] >= last), truncated

    sample = evaluate.Sample.make(Short, tiny_recipe, 4, rollouts=3, steps=20)
    assert sample is not None
    assert len(sample.starts.history) == 0 if last == 2 else len(sample.starts.history) > 0
    found = sample.measure(players.Real(Short))
    assert (found["survived"] is None) == (last == 2)


def test_ends_and_rewards_are_compared_until_the_game_ends(scene: Scene) -> None:
    ends = np.zeros((6, 120), bool)
    ends[:3, 50] = True
    alive = np.cumsum(ends, 1) - ends == 0
    rewards = np.zeros((6, 120), np.float32)
    rewards[:, 10] = 10
    known = dataclasses.replace(scene, ends=ends, alive=alive, rewards=rewards)
    mine = np.zeros((6, 120), bool)
    mine[0, 51] = True  # after the end: nobody plays on
    mine[1, 49] = mine[2, 45] = mine[4, 7] = True  # right, too early, never
    values = [0.0, 10.0]
    said = heads.Heads(rewards * 0.8 - 1, mine)
    found = agreement.head_figures(agreement.head_counts(said, known, values))
    means = {k: v["mean"] for k, v in found.items() if v}
    assert means == pytest.approx(
        {"end_recall": 100 / 3, "end_precision": 100 / 3, "reward_error": 0.0}
    )
    # Nothing is named where any value may be meant.
    raw = agreement.head_figures(agreement.head_counts(said, known, []))["reward_error"]
    assert raw and raw["mean"] > 100
    assert agreement.head_figures(agreement.head_counts(None, known, values)) == {}


def test_a_scene_says_when_its_games_end_and_what_they_gave(tiny_recipe: Recipe) -> None:
    shares = dataclasses.replace(tiny_recipe.data, behaviours={"bad": 1.0})
    recipe = dataclasses.replace(tiny_recipe, data=shares)
    ended = make_scene(Breakout, recipe, 0, history=4, steps=150, rollouts=6)
    assert 2 < ended.ends.sum() <= 6
    assert not (ended.ends & ~ended.alive).any()
    assert np.array_equal(ended.ends[:, :-1], ended.alive[:, :-1] & ~ended.alive[:, 1:])
    assert set(heads.values_of(ended.rewards)) <= {0.0, 10.0, 20.0}
    real = agree(players.Real(Breakout), [ended], DETECTOR, [1], heads.values_of(ended.rewards))
    told = {k: v["mean"] for k, v in agreement.head_figures(real.heads).items() if v}
    assert told == {"end_recall": 100, "end_precision": 100, "reward_error": 0}


def test_intervals_hold_the_mean_and_narrow_with_more_rollouts() -> None:
    rng = np.random.default_rng(0)
    a, b = bootstrap.mean(rng.random(10)), bootstrap.mean(rng.random(1000))
    assert a and b
    assert a["low"] < a["mean"] < a["high"]
    assert b["high"] - b["low"] < (a["high"] - a["low"]) / 3
    assert bootstrap.mean(np.full(3, np.nan)) is None


def test_a_share_that_never_failed_is_not_certain() -> None:
    all_of_24 = bootstrap.mean(np.ones(24), True)
    assert all_of_24 and all_of_24["mean"] == all_of_24["high"] == 100
    assert all_of_24["low"] == pytest.approx(86.2, abs=0.1)  # Wilson's, from a table
    # What isn't a share has no such bound: it was the same in every rollout.
    assert bootstrap.mean(np.zeros(24)) == {"mean": 0, "low": 0, "high": 0}
    half = bootstrap.mean(np.r_[np.ones(50), np.zeros(50)], True)
    assert half and half["low"] == pytest.approx(40.4, abs=0.1)
    assert half["high"] == pytest.approx(59.6, abs=0.1)


def test_medians_ratios_and_distances_have_intervals() -> None:
    middle = bootstrap.median(np.arange(101.0))
    assert middle["low"] < middle["mean"] == 50 < middle["high"]
    share = bootstrap.ratio(np.array([1, 2, 3]), np.array([2, 4, 3]))
    assert share and share["mean"] == pytest.approx(100 * 6 / 9)
    assert share["low"] < share["mean"] < share["high"]
    assert bootstrap.ratio(np.zeros(3), np.zeros(3)) is None
    here, there = np.tile([4.0, 0.0], (5, 1)), np.tile([0.0, 2.0], (3, 1))
    assert bootstrap.distance(here, there) == {"mean": 100, "low": 100, "high": 100}
    assert bootstrap.distance(here, here) == {"mean": 0, "low": 0, "high": 0}
    assert bootstrap.distance(here, here * 0) is None
