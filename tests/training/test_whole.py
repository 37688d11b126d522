"""How long frames stay like recorded ones: each fault of a model broken on purpose is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sims import pong
from sims.contract import Array
from training.evaluation import players
from training.evaluation.heads import Heads
from training.evaluation.measures.contract import Subject
from training.evaluation.measures.whole import CAUSES, Recorded, coded, learned, session
from training.evaluation.starts import Scene
from training.recipe import load

FAULT, STEPS, GAMES = 20, 150, 24
RECIPE = load(Path(__file__).parents[2] / "recipes" / "pong" / "pixels.toml")
pytestmark = pytest.mark.slow  # It plays 40,000 frames.


@pytest.fixture(scope="module")
def subject() -> Subject:
    model = SimpleNamespace(config=SimpleNamespace(history=4))
    return Subject(model, RECIPE, pong.Pong, None, lambda player: player)


@pytest.fixture(scope="module")
def recorded(subject: Subject) -> Recorded:
    return learned(subject)


@dataclass
class Broken:
    """The sim, as a model would be that breaks in one way after `FAULT` steps."""

    spoil: Callable[[Array, Array], Array]

    def __post_init__(self) -> None:
        self.real = players.Real(pong.Pong)
        self.steps = 0

    @property
    def heads(self) -> Heads | None:
        return self.real.heads

    @property
    def shown(self) -> dict[str, Array]:
        return {}

    def watch(self, scene: Scene, rows: Array | None = None) -> None:
        self.real.watch(scene, rows)

    def step(self, actions: Array, chances: Array) -> Array:
        frames = self.real.step(actions, chances)
        self.steps += 1
        if self.steps == FAULT:
            self.frozen = frames
        return self.spoil(frames.copy(), self.frozen) if self.steps > FAULT else frames


def of(frames: Array, colour: tuple[int, int, int]) -> Array:
    return np.asarray((frames[..., :3] == colour).all(-1))


def no_ball(frames: Array, _: Array) -> Array:
    frames[of(frames, pong.WHITE), :3] = pong.GREEN
    return frames


def two_balls(frames: Array, _: Array) -> Array:
    white = of(frames, pong.WHITE)
    # In the middle of the field, where a ball may be.
    frames[np.roll(white, 9, axis=-1), :3] = pong.WHITE
    return frames


def torn_paddle(frames: Array, _: Array) -> Array:
    strip = frames[..., 16:20, pong.LEFT : pong.LEFT + 2, :3]
    strip[(strip == pong.THEM).all(-1)] = pong.GREEN
    return frames


def smeared(frames: Array, before: Array) -> Array:
    mixed = (frames.astype(np.uint16) + before) // 2
    return mixed.astype(np.uint8)


def swapped(frames: Array, _: Array) -> Array:
    """Exchange two pixels of a paddle with the field beside it: each amount is as before."""
    rows = np.arange(frames.shape[-3])
    paddle = of(frames, pong.YOU)[..., pong.RIGHT]
    for n, cam in np.ndindex(paddle.shape[:2]):
        row = rows[paddle[n, cam]][-1:]
        frames[n, cam, row, pong.RIGHT, :3] = pong.GREEN
        frames[n, cam, row, pong.RIGHT - 1, :3] = pong.YOU
    return frames


def frozen(frames: Array, before: Array) -> Array:
    return before


@pytest.mark.parametrize(
    ("spoil", "cause", "within"),
    [
        (no_ball, ("amount",), 1),
        (two_balls, ("amount",), 1),
        (torn_paddle, ("shape", "amount"), 10),
        (smeared, ("shape", "amount"), 2),
        (swapped, ("shape",), 4),
        (frozen, ("still",), 20),
    ],
)
def test_a_model_broken_on_purpose_is_found(
    subject: Subject,
    recorded: Recorded,
    spoil: Callable[[Array, Array], Array],
    cause: tuple[str, ...],
    within: int,
) -> None:
    first, causes = played(subject, recorded, Broken(spoil))
    assert (first > FAULT).mean() > 0.9
    assert np.median(first) <= FAULT + within
    kinds = [list(CAUSES).index(one) for one in cause]
    assert causes[first > FAULT][:, kinds].any(1).mean() > 0.9


def test_the_sim_stays_whole(subject: Subject, recorded: Recorded) -> None:
    first, _ = played(subject, recorded, players.Real(pong.Pong))
    assert (first > STEPS).mean() > 0.9
    assert recorded.size >= 4 and len(recorded.colours) >= 4


def test_a_shaded_world_is_judged_by_what_can_be(recorded: Recorded) -> None:
    rng = np.random.default_rng(0)
    games = [coded(rng.integers(0, 255, (20, 1, 24, 24, 4), dtype=np.uint8)) for _ in range(4)]
    noise = Recorded()
    for game in games[:2]:
        noise.see(game)
    noise.trust(games[2:])
    assert noise.size == 0 and not len(noise.colours)


def test_a_game_of_a_single_frame_is_read_too() -> None:
    rng = np.random.default_rng(0)
    game = coded(rng.integers(0, 2, (9, 1, 8, 8, 4), dtype=np.uint8))
    seen = Recorded()
    for part in (game[:1], game):
        seen.see(part)
    seen.trust([game[:1], game])
    assert seen.frames == 10 and seen.size == 8 and len(seen.colours)


def played(
    subject: Subject, recorded: Recorded, player: Broken | players.Real
) -> tuple[Array, Array]:
    starts = subject.scene(3001, 1, 2 * GAMES)
    starts = starts.pick(np.flatnonzero(starts.alive[:, 0]))
    inputs = subject.scene(3002, STEPS, GAMES)
    return session(recorded, player, starts, inputs, GAMES, STEPS)
