"""When a model ends the game: one that ends it late, early or never is found."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sims.breakout import Breakout
from sims.contract import Array
from training.evaluation import players
from training.evaluation.heads import Heads
from training.evaluation.measures import ends
from training.evaluation.measures.contract import Subject
from training.evaluation.starts import Scene, recorded, whole_games
from training.recipe import load

GAMES = 40
pytestmark = pytest.mark.slow  # It plays 15,000 frames.


class Ended(players.Real):
    """The sim, as a model would be that tells an end so many steps late, or always at one step."""

    def __init__(self, late: int, always: int | None = None) -> None:
        super().__init__(Breakout)
        self.late, self.always = late, always

    def watch(self, scene: Scene, rows: Array | None = None) -> None:
        super().watch(scene, rows)
        none = np.zeros(len(scene.history), np.bool_)
        self.steps, self.told = 0, [none] * self.late

    def step(self, actions: Array, chances: Array) -> Array:
        frames = super().step(actions, chances)
        assert self.heads is not None
        self.told.append(self.heads.ends)
        said = self.told.pop(0)
        if self.always is not None:
            said = np.full(len(said), self.steps == self.always)
        self.steps += 1
        self.heads = Heads(self.heads.rewards, said)
        return frames


@pytest.mark.parametrize(
    ("late", "always", "right", "other", "false"),
    [(0, None, 100, None, 0), (3, None, 100, None, 0), (4, None, 0, "late", 0),
     (0, 0, 0, "early", 100), (0, 10_000, 0, "late", 0)],
)  # fmt: skip
def test_ends_that_come_when_they_should_not(
    late: int, always: int | None, right: float, other: str | None, false: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    recipe = load(Path(__file__).parents[2] / "recipes" / "breakout" / "denoiser.toml")
    few = dataclasses.replace(recipe.evaluate, games=GAMES)
    model = SimpleNamespace(config=SimpleNamespace(history=4))
    subject = Subject(
        model, dataclasses.replace(recipe, evaluate=few), Breakout, None, lambda player: player
    )
    monkeypatch.setattr(ends, "STEPS", 250)
    monkeypatch.setattr(players, "Model", lambda *_, **__: Ended(late, always))
    table = ends.measure(subject)
    assert table is not None
    values = table["rows"][0]["values"]
    assert values["right"]["mean"] == right and values["false"]["mean"] == false
    for name in ("early", "late"):
        assert values[name]["mean"] == (100 if name == other else 0)


def arrays_of(lengths: tuple[int, ...]) -> SimpleNamespace:
    """Recorded games of one pixel, which tells its row; the first one ends."""
    rows, stops = sum(lengths), np.cumsum(lengths)
    dones = np.zeros(rows, np.bool_)
    dones[lengths[0] - 2 : lengths[0]] = True  # The step that ended it, and the frame after it.
    arrays = SimpleNamespace(
        episodes=np.stack([stops - lengths, stops], 1),
        dones=dones,
        rgba=lambda rows: np.broadcast_to(
            rows[..., None, None, None, None], (*rows.shape, 1, 1, 1, 4)
        ),
        state=np.zeros((rows, 0), np.float32),
        actions=np.arange(rows)[:, None],
        chances=np.zeros((rows, 0), np.float32),
        rewards=np.zeros(rows, np.float32),
        large={},
    )
    arrays.windows = lambda length: np.concatenate(
        [np.arange(first, stop - length) for first, stop in arrays.episodes]
    )
    return arrays


def test_recorded_games_are_cut_whole() -> None:
    """One that ends after four steps beside one that is left after six."""
    scene = whole_games(arrays_of((6, 8)), 9, 300, 2, 0)  # type: ignore[arg-type]
    assert scene is not None
    first, second = np.argsort(scene.actions[:, 0, 0])
    assert scene.actions[first, :, 0].tolist() == [1, 2, 3, 4, 5, 5]
    assert scene.alive[first].tolist() == [True] * 4 + [False] * 2
    assert scene.ends[first].tolist() == [False, False, False, True, False, False]
    assert scene.alive[second].all() and not scene.ends[second].any()
    assert scene.frames[first, -1].max() == 5


def test_rollouts_are_as_long_as_games_usually_are() -> None:
    """The longest of ten games is no measure for the others."""
    for lengths, steps in [((12,) * 9 + (90, 12), 10), ((90,) * 10, 30), ((3, 3, 90), 30)]:
        scene = recorded(arrays_of(lengths), 20, 30, 2, 0)  # type: ignore[arg-type]
        assert scene.actions.shape[:2] == (20, steps)
