from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sims import breakout as b
from sims.breakout import Breakout
from sims.contract import Array
from sims.errors import UserError
from sims.host import load_sim

NOOP, LEFT, RIGHT = 0, 1, 2


def frames(sim: Breakout) -> Array:
    out = np.full((sim.worlds, 1, 64, 64, 3), 7, dtype=np.uint8)
    sim.render(out)
    return out[:, 0]


def one(seed: int = 0, scenario: str = "fresh") -> Breakout:
    sim = Breakout(1)
    sim.reset(np.array([seed]), scenario)
    return sim


def place(sim: Breakout, x: float, y: float, vx: float, vy: float, paddle: float = 26.0) -> None:
    sim.state["ball"][:] = (x, y, vx, vy)
    sim.state["flying"][:] = True
    sim.state["paddle"][:] = paddle


def step(sim: Breakout, action: int = NOOP) -> float:
    reward, _, _ = sim.step(np.full(sim.worlds, action))
    return float(reward[0])


def test_the_first_frame_shows_wall_paddle_and_lives_but_no_ball() -> None:
    frame = frames(one())[0]
    assert (frame == b.BALL_CENTRE).all(axis=2).sum() == 0
    assert (frame == b.PADDLE).all(axis=2).sum() == 12 * 2
    assert (frame == b.LIFE).all(axis=2).sum() == 3 * 4
    for colour in b.BRICK_COLOURS:
        assert (frame == colour).all(axis=2).sum() == 12 * 4 * 2


@pytest.mark.parametrize("chance", [0.0, 0.25, 0.999])
def test_chance_alone_decides_how_the_ball_is_served(chance: float) -> None:
    balls = []
    for seed in (1, 2):
        sim = one(seed)
        sim.step(np.array([NOOP]), np.array([[chance]], dtype=np.float32))
        assert sim.state["flying"][0]
        balls.append(sim.sensors()["ball"][0])
    assert (balls[0] == balls[1]).all()
    x, y, vx, vy = balls[0]
    assert (x, y) == b.SERVE_AT
    assert vy > 0
    assert abs(vx / vy - np.tan((chance * 2 - 1) * np.pi / 4)) < 1e-4
    centre = np.argwhere((frames(sim)[0] == b.BALL_CENTRE).all(axis=2))
    assert centre.tolist() == [[32, 32]]


def test_the_paddle_moves_2_4_pixels_a_step_between_the_walls() -> None:
    sim = one()
    start = float(sim.state["paddle"][0])
    step(sim, LEFT)
    assert sim.state["paddle"][0] == start - 2.4
    for _ in range(40):
        step(sim, LEFT)
    assert sim.state["paddle"][0] == b.LEFT
    for _ in range(40):
        step(sim, RIGHT)
    assert sim.state["paddle"][0] + b.PADDLE_WIDTH == b.RIGHT
    assert (frames(sim)[0, b.PADDLE_TOP, -1] == b.WALL).all()


def test_a_brick_gives_ten_points_and_turns_the_ball() -> None:
    sim = one()
    place(sim, 14.0, 29.0, 0.0, -1.5)  # Below the third brick of the lowest row.
    assert step(sim) == 10
    assert sim.state["ball"][0].tolist() == [14.0, 28.5, 0.0, 1.5]
    assert not sim.state["bricks"][0, 5, 2]
    assert sim.state["bricks"].sum() == 71
    assert sim.events()["brick"][0]
    assert sim.hud()["score"][0] == 10
    assert (frames(sim)[0, 25:27, 12:16] == b.BACKGROUND).all()


def test_a_brick_hit_from_its_side_turns_the_ball_sideways() -> None:
    sim = one()
    sim.state["bricks"][0, :, :6] = False
    place(sim, 30.0, 20.0, 1.3, 0.1)
    assert step(sim) == 10
    assert sim.state["ball"][0, 2] == -1.3
    assert sim.state["ball"][0, 0] == b.BRICK_LEFT[6] - 1.5


def test_where_the_paddle_is_hit_decides_the_angle() -> None:
    angles = []
    for x in np.arange(25.0, 40.0):
        sim = one()
        place(sim, x, 56.0, 0.3, 1.4)
        step(sim)
        _, y, vx, vy = sim.state["ball"][0]
        assert sim.events()["paddle"][0]
        assert y == b.PADDLE_TOP - 1.5
        assert vy < 0
        assert abs(np.hypot(vx, vy) - b.BALL_SPEED) < 1e-5
        angles.append(np.degrees(np.arctan2(vx, -vy)))
    assert (np.diff(angles) > 0).all()
    assert -60.001 < angles[0] < -50
    assert 50 < angles[-1] < 60.001
    assert min(np.abs(angles)) > 1  # Never straight up: an even paddle, an odd ball.


def test_a_lost_ball_costs_a_life_and_the_last_one_the_game() -> None:
    sim = one()
    for left in (2, 1, 0):
        place(sim, 5.0, 62.0, 0.0, 1.5, paddle=40.0)
        _, terminated, _ = sim.step(np.array([NOOP]))
        assert sim.events()["life"][0]
        frame = frames(sim)[0]
        assert (frame == b.LIFE).all(axis=2).sum() == 4 * left
        assert (frame == b.BALL).all(axis=2).sum() == 0
        assert terminated[0] == (left == 0)
        if left:
            step(sim)
            assert sim.state["flying"][0]
    over = sim.snapshot()
    reward, terminated, _ = sim.step(np.array([LEFT]))
    assert terminated[0]
    assert reward[0] == 0
    assert (frames(sim)[0] == frame).all()
    assert all((sim.state[k] == over[k]).all() for k in over if k != "events")


def test_the_wall_fills_again_at_the_paddle_after_its_last_brick() -> None:
    sim = one()
    sim.state["bricks"][:] = False
    sim.state["bricks"][0, 5, 2] = True
    place(sim, 14.0, 29.0, 0.0, -1.5, paddle=8.0)
    assert step(sim) == 10
    assert not sim.events()["refill"][0]
    for _ in range(60):
        step(sim)
        if sim.events()["paddle"][0]:
            break
    assert sim.events()["refill"][0]
    assert sim.state["bricks"].all()
    assert (frames(sim)[0, 10:12, 2:6] == b.BRICK_COLOURS[0]).all()


def test_scenarios_start_from_broken_walls() -> None:
    sim = Breakout(200)
    shares = {}
    for scenario in sim.spec.scenarios:
        sim.reset(np.arange(200), scenario)
        shares[scenario] = sim.state["bricks"].mean()
    assert shares["fresh"] == 1
    assert abs(shares["half"] - 0.5) < 0.02
    assert abs(shares["sparse"] - 0.06) < 0.01
    with pytest.raises(UserError, match=r"no scenario 'none'; it has fresh, half, sparse"):
        sim.reset(np.arange(200), "none")


@pytest.mark.slow
def test_behaviours_differ_as_their_names_say() -> None:
    n, steps = 64, 600
    lost, visited, full = {}, {}, {}
    for behaviour in Breakout.spec.behaviours:
        sim = Breakout(n)
        sim.reset(np.arange(n))
        lives, places, moved = 0, set(), 0
        for t in range(steps):
            action = sim.act(behaviour)
            assert action.dtype == np.int64
            moved += int((action != NOOP).sum())
            _, terminated, _ = sim.step(action)
            lives += int(sim.events()["life"].sum())
            places |= set(sim.state["paddle"].astype(int).tolist())
            sim.reset(np.arange(n) + t, where=terminated)
        lost[behaviour], visited[behaviour], full[behaviour] = lives, len(places), moved
    assert lost["good"] < lost["recovery"] < lost["random"]
    assert lost["random"] < lost["bad"]
    assert lost["good"] <= 5
    assert min(visited.values()) > 45  # The paddle travels the whole way, 50 px.
    with pytest.raises(UserError, match="no behaviour 'idle'"):
        sim.act("idle")


def wander(sim: Any, module: Any, steps: int) -> dict[str, int]:
    """Play, and at every step check what must never happen; return how often what did."""
    n = sim.worlds
    sim.reset(np.arange(n), "half")
    out = np.zeros((n, 1, 64, 64, 3), dtype=np.uint8)
    seen = dict.fromkeys(module.EVENTS, 0)
    palette = set((module.PALETTE @ np.array([1, 256, 65536])).tolist())
    radius = module.BALL_SIZE / 2
    for t in range(steps):
        ball, bricks = sim.state["ball"].copy(), sim.state["bricks"].copy()
        behaviour = sim.spec.behaviours[t // 100 % 4]
        reward, terminated, _ = sim.step(sim.act(behaviour))
        now, flying = sim.state["ball"], sim.state["flying"]
        x, y = now[:, 0], now[:, 1]
        # No ball lies in a wall or in a brick.
        inside = (x >= module.LEFT + radius) & (x <= module.RIGHT - radius)
        inside &= (y >= module.TOP + radius) & (y + radius <= module.HEIGHT)
        assert (inside | ~flying).all()
        near = np.abs(x[:, None] - module.BRICK_X) < module.REACH_X
        tall = np.abs(y[:, None] - module.BRICK_Y) < module.REACH_Y
        overlap = sim.state["bricks"] & tall[:, :, None] & near[:, None, :]
        assert not (overlap.any(axis=(1, 2)) & flying).any()
        # None moves further than its speed, passes a brick, or flies too flat.
        moved = flying & (ball[:, 1] > 0)
        distance = np.abs(now - ball)[:, :2].max(axis=1)
        saved = sim.events()["paddle"]  # From beside the paddle up onto it, a little way.
        assert (distance[moved & ~saved] < module.BALL_SPEED + 1e-4).all()
        assert (distance[moved & saved] < max(module.BALL_SPEED, radius) + 1.01).all()
        broken = (bricks & ~sim.state["bricks"]).sum(axis=(1, 2))
        refilled = sim.events()["refill"]
        assert (broken * module.POINTS == reward)[~refilled].all()
        assert (np.abs(now[flying, 3]) > 0.45 * module.BALL_SPEED).all()
        for name, happened in sim.events().items():
            seen[name] += int(happened.sum())
        if t % 20 == 0:
            sim.render(out)
            assert set(np.unique(out @ np.array([1, 256, 65536]))) <= palette
            shown = (out[:, 0] == module.BALL_CENTRE).all(axis=3).sum(axis=(1, 2))
            assert (shown == flying).all()
        sim.reset(np.arange(n) + t, "sparse", terminated)
    return seen


@pytest.mark.slow
def test_nothing_impossible_happens_in_long_play() -> None:
    seen = wander(Breakout(128), b, 800)
    assert min(seen.values()) > 0, seen


@pytest.mark.slow
@pytest.mark.usefixtures("own_sims")
@pytest.mark.parametrize(
    "changes",
    [
        [("BALL_SPEED = 1.5", "BALL_SPEED = 7.3")],
        [("PADDLE_WIDTH = 12", "PADDLE_WIDTH = 25"), ("LIVES = 3", "LIVES = 5")],
        [("BRICK_ROWS, BRICK_COLUMNS = 6, 12", "BRICK_ROWS, BRICK_COLUMNS = 8, 7")],
        [("BRICK_WIDTH, BRICK_HEIGHT = 4, 2", "BRICK_WIDTH, BRICK_HEIGHT = 2, 1")],
        [("BACKGROUND = (12, 14, 28)", "BACKGROUND = (240, 240, 250)")],
    ],
    ids=["fast", "wide-paddle", "other-wall", "small-bricks", "bright"],
)
def test_a_reader_can_change_the_numbers(
    edited: Callable[..., Path], changes: list[tuple[str, str]]
) -> None:
    folder = edited("changed", *changes)
    sim = load_sim("sims.changed", folder)(32)
    import sims.changed as module  # type: ignore[import-not-found]

    seen = wander(sim, module, 500)
    assert seen["brick"] > 0
    assert seen["paddle"] > 0


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=5),
    st.lists(st.integers(0, 2), min_size=1, max_size=120),
    st.sampled_from(Breakout.spec.scenarios),
)
def test_a_world_of_a_batch_behaves_as_alone(
    seeds: list[int], actions: list[int], scenario: str
) -> None:
    batch = Breakout(len(seeds))
    batch.reset(np.array(seeds, dtype=np.int64), scenario)
    singles = [Breakout(1) for _ in seeds]
    for sim, seed in zip(singles, seeds, strict=True):
        sim.reset(np.array([seed], dtype=np.int64), scenario)
    for t, action in enumerate(actions):
        # World i takes another action than its neighbour.
        taken = (action + np.arange(len(seeds))) % 3
        together = batch.step(taken)
        for i, sim in enumerate(singles):
            alone = sim.step(taken[i : i + 1])
            assert all(a[i] == s[0] for a, s in zip(together, alone, strict=True))
            assert all((batch.state[k][i] == sim.state[k][0]).all() for k in batch.state)
        if t % 30 == 0:
            shown = frames(batch)
            assert all((shown[i] == frames(sim)[0]).all() for i, sim in enumerate(singles))


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 200), st.integers(1, 100), st.sampled_from(Breakout.spec.scenarios))
def test_a_snapshot_brings_everything_back(before: int, after: int, scenario: str) -> None:
    def play(sim: Breakout, steps: int) -> list[bytes]:
        seen = []
        for _ in range(steps):
            reward, _, _ = sim.step(sim.act("random"))
            arrays = [frames(sim), reward, sim.draw(), *sim.sensors().values()]
            seen.append(b"".join(a.tobytes() for a in arrays))
        return seen

    sim = Breakout(3)
    sim.reset(np.array([5, 6, 7]), scenario)
    play(sim, before)
    saved, picture = sim.snapshot(), frames(sim)
    expected = play(sim, after)
    other = Breakout(3)
    frames(other)  # Its cached picture is of another game.
    for target in (sim, other):
        target.restore(saved)
        assert (frames(target) == picture).all()
        assert play(target, after) == expected
