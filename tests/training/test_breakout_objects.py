"""The detector against the sim's own state, frame by frame and event by event."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sims import breakout as b
from sims.breakout import Breakout, objects
from sims.breakout.objects import compare, events, read, truth
from training.evaluation.starts import rgba, stacked

KNOWN = ("ball_x", "ball_y", "balls", "bricks", "torn", "lives", "scars", "strays")


def played(scenario: str, seed: int, steps: int = 200, worlds: int = 24) -> tuple[dict, ...]:
    """Play all behaviours in turn; return objects [N, T + 1] as read, as they are, and events."""
    sim = Breakout(worlds)
    sim.reset(seed * worlds + np.arange(worlds), scenario)
    behaviours = Breakout.spec.behaviours
    seen, there, told = [read(rgba(sim)[:, 0])], [truth(sim.state)], []
    for t in range(steps):
        sim.step(sim.act(behaviours[t // 40 % len(behaviours)]))
        seen.append(read(rgba(sim)[:, 0]))
        there.append(truth(sim.state))
        told.append(sim.events())
    return stacked(seen), stacked(there), stacked(told)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", Breakout.spec.scenarios)
def test_objects_and_events_are_exact_on_sim_frames(scenario: str) -> None:
    seen, there, told = played(scenario, 0)
    for name in KNOWN:
        np.testing.assert_array_equal(seen[name], there[name], err_msg=name)
    # Where the ball hides an end of the paddle, the reader says by how much it may be off.
    assert (np.abs(seen["paddle"] - there["paddle"]) <= seen["slack"]).all()
    assert (seen["slack"] == 0).mean() > 0.98

    found = events(
        *({k: v[:, cut] for k, v in seen.items()} for cut in (slice(-1), slice(1, None)))
    )
    assert list(found) == list(objects.EVENTS)
    for name, happened in found.items():
        # A last step's return of the ball shows only in the step after.
        np.testing.assert_array_equal(happened[:, :-1], told[name][:, :-1], err_msg=name)
        assert happened.sum() > 10, name


def test_colours_are_read_with_and_without_an_alpha_channel() -> None:
    sim = Breakout(2)
    sim.step(np.zeros(2, np.int64))
    frames = rgba(sim)[:, 0]
    with_alpha, without = read(frames), read(frames[..., :3])
    for name, value in with_alpha.items():
        np.testing.assert_array_equal(value, without[name])
    unknown = frames.copy()
    unknown[:, 40, 40, :3] = (1, 2, 3)
    assert (read(unknown)["strays"] == 1).all()


@pytest.mark.parametrize(
    ("paint", "wanted"),
    [
        ((slice(31, 34), slice(31, 34), b.BACKGROUND), {"balls": 0}),
        ((slice(40, 41), slice(40, 41), b.BALL_CENTRE), {"balls": 2}),
        ((slice(58, 60), slice(30, 34), b.BACKGROUND), {"paddle": np.nan}),
        ((slice(10, 11), slice(2, 6), b.BACKGROUND), {"torn": 1}),
        ((slice(10, 12), slice(2, 6), b.BACKGROUND), {"torn": 0}),
        ((slice(1, 3), slice(10, 12), b.BACKGROUND), {"lives": 2, "scars": 0}),
        ((slice(30, 31), slice(63, 64), b.BACKGROUND), {"scars": 1}),
        ((slice(1, 2), slice(10, 11), b.BACKGROUND), {"scars": 1}),
        ((slice(45, 46), slice(20, 23), b.LIFE), {"strays": 3}),
        ((slice(14, 15), slice(20, 21), b.BRICK_COLOURS[0]), {"strays": 1}),
    ],
)
def test_what_is_wrong_in_a_frame_is_seen(paint: tuple, wanted: dict[str, float]) -> None:
    sim = Breakout(1)
    sim.step(np.zeros(1, np.int64), np.full((1, 1), 0.5, np.float32))
    frame = rgba(sim)[:, 0]
    whole = read(frame)
    assert (whole["ball_x"], whole["ball_y"], whole["lives"]) == (32.5, 32.5, 3)
    rows, columns, colour = paint
    frame[:, rows, columns, :3] = colour
    seen = read(frame)
    for name, value in wanted.items():
        np.testing.assert_array_equal(seen[name], [value], err_msg=name)
    assert any(not np.array_equal(seen[k], whole[k], equal_nan=True) for k in whole)


def test_two_balls_of_an_edited_sim_are_followed_as_a_pair() -> None:
    sim = b.Breakout(1)
    sim.reset(np.zeros(1, np.int64))
    empty = rgba(sim)[:, 0].copy()

    def shown(*places: tuple[int, int]) -> dict[str, NDArray[Any]]:
        frame = empty.copy()
        for x, y in places:
            frame[:, y - 1 : y + 2, x - 1 : x + 2, :3] = b.BALL
            frame[:, y, x, :3] = b.BALL_CENTRE
        return read(frame)

    both = shown((20, 40), (50, 44))
    assert np.isnan(both["ball_x"]).all() and both["balls"][0] == 2
    assert both["pair"][0].tolist() == [[20.5, 40.5], [50.5, 44.5]]
    near, far = shown((21, 41), (50, 43)), shown((21, 41), (50, 40))
    # Read from above: the order may be another.
    turned = shown((50, 43), (20, 44))
    others = near, far, turned, shown((20, 40))
    held = [float(compare(one, both)["ball_held"][0]) for one in others]
    assert held == [1.0, 0.0, 0.0, 0.0]
    assert compare(shown((50, 45), (20, 41)), shown((20, 42), (50, 43)))["ball_held"][0] == 1.0
