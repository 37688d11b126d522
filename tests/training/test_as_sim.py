"""An environment as a page's sim: what CPython alone can tell of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gymnasium", reason="gymnasium is not installed: extra `gym`")

import gym_environment as tiny
from PIL import Image

from sims.contract import Sim
from training.data.environment import scaling
from training.data.environment.as_sim import EnvironmentSim
from training.data.environment.opened import Opened
from training.data.environment.probe import look
from training.environment_recipe import Gym

BALL = Gym("tiny/Ball-v0", ["tiny_env"], size=[40, 64])
WHOLE = Gym("tiny/Screen-v0", ["tiny_env"], frames="pixels", size=[90, 120], vectors=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tiny.write(tmp_path_factory.mktemp("tiny"))
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    sys.modules.pop("tiny_env", None)


def sim_of(asked: Gym, root: Path, *players: str) -> type[Sim]:
    found = look(Opened(asked, root), "ball", ("random", *players)).spec

    class World(EnvironmentSim):
        gym = asked
        spec = found
        rows_first = scaling.rows_first((90, 120), (asked.size[0], asked.size[1]))

    return World


def played(sim: Sim, steps: int, player: str = "random") -> list[bytes]:
    camera = sim.spec.cameras[0]
    out = np.zeros((sim.worlds, 1, camera.height, camera.width, 3), np.uint8)
    seen = []
    for _ in range(steps):
        sim.step(sim.act(player))
        sim.render(out)
        seen.append(out.tobytes() + b"".join(v.tobytes() for v in sim.sensors().values()))
    return seen


@pytest.mark.parametrize("asked", [BALL, WHOLE], ids=["box", "discrete"])
def test_a_restored_game_goes_on_as_it_did(asked: Gym, root: Path) -> None:
    sim = sim_of(asked, root)(2)
    sim.reset(np.array([5, 6]))
    played(sim, 7)
    kept = sim.snapshot()
    wanted = played(sim, 9)
    assert len(set(wanted)) > 5
    sim.reset(np.array([1, 2]))
    played(sim, 3)
    sim.restore(kept)
    assert played(sim, 9) == wanted


def test_each_world_plays_as_it_does_alone(root: Path) -> None:
    world = sim_of(BALL, root, "tiny_env:rightwards")
    together, alone = world(2), world(1)
    together.reset(np.array([3, 8]))
    alone.reset(np.array([8]))
    for player in ("random", "tiny_env:rightwards", "random"):
        played(together, 6, player)
        played(alone, 6, player)
    for name, value in alone.state.items():
        assert np.array_equal(together.state[name][1:], value), name
    assert alone.state["tick"][0] == 18 or alone.state["over"][0]


def test_a_game_that_is_over_does_not_go_on(root: Path) -> None:
    sim = sim_of(BALL, root)(1)
    sim.reset(np.array([4]))
    ends = [sim.step(np.ones((1, 2), np.float32)) for _ in range(60)]
    terminated = [bool(end[1][0]) for end in ends]
    assert terminated.count(True) == 1 and ends[terminated.index(True)][0][0] == 1
    assert sim.state["tick"][0] == terminated.index(True) + 1 < 60


def test_its_frames_are_those_that_are_recorded(root: Path) -> None:
    sim, opened = sim_of(BALL, root)(1), Opened(BALL, root)
    sim.reset(np.array([9]))
    seen = opened.reset(9)
    out = np.zeros((1, 1, 40, 64, 3), np.uint8)
    for _ in range(12):
        action = sim.act("random")
        sim.step(action)
        sim.render(out)
        seen, *_ = opened.step(action[0])
        assert np.array_equal(out[0, 0], seen.frame)
        assert all(np.array_equal(sim.sensors()[name][0], v) for name, v in seen.sensors.items())


SIZES = [((90, 120), (72, 96)), ((400, 600), (64, 96)), ((157, 58), (79, 28)), ((11, 17), (30, 9))]


@pytest.mark.parametrize(("there", "size"), SIZES, ids=str)
def test_frames_are_scaled_as_pillow_scales_them(
    there: tuple[int, int], size: tuple[int, int]
) -> None:
    frame = np.random.default_rng(3).integers(0, 256, (*there, 3), np.uint8)
    image, first = Image.fromarray(frame), scaling.rows_first(there, size)
    wanted = np.asarray(image.resize(size[::-1], Image.Resampling.BOX))
    assert np.array_equal(scaling.area(frame, size, first), wanted)
    wanted = np.asarray(image.resize(size[::-1], Image.Resampling.NEAREST))
    assert np.array_equal(scaling.nearest(frame, size), wanted)


def test_pillow_does_not_always_scale_the_same_way_first() -> None:
    assert {scaling.rows_first(*sizes) for sizes in SIZES} == {False, True}
