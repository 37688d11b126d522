"""The game behind the page of `wmsite data play`: what is kept, and environments that fail."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gymnasium", reason="gymnasium is not installed: extra `gym`")

import gym_environment as tiny

from builder.commands import data_play
from builder.serve.play import Session
from builder.terminal import Terminal
from sims.errors import UserError
from training.data.environment import person, probe
from training.data.environment.opened import Opened
from training.data.environment.process import Keeper
from training.environment_recipe import Gym

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow  # It starts processes.


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tiny.write(tmp_path_factory.mktemp("tiny"))
    yield folder
    if str(folder) in sys.path:
        sys.path.remove(str(folder))
    sys.modules.pop("tiny_env", None)


def session(root: Path, file: Path, fault: str = "", patience: float = 60.0) -> Session:
    gym = Gym("tiny/Ball-v0", ["tiny_env"], {"fault": fault}, size=[48, 64], patience=patience)
    spec = probe.look(Opened(Gym(gym.id, gym.imports, size=gym.size), root), "ball", ()).spec
    return Session(spec, Keeper(gym, root, file.with_suffix(".log")), file, [])


def test_games_are_kept_when_they_end_and_the_last_can_be_dropped(
    root: Path, tmp_path: Path
) -> None:
    file = tmp_path / "new" / "person.json"
    file.parent.mkdir()
    one = session(root, file)
    try:
        with pytest.raises(UserError, match="no game is on"):
            one.step(one.row([1, 0]))
        for kept in (1, 2):
            told = one.begin()
            assert told["frame"].startswith("data:image/png;base64,") and not told["over"]
            while not told["over"]:
                told = one.step(one.row([1, 0]))
            assert (told["games"], told["earned"]) == (kept, 1) and told["frame"]
        one.begin()
        assert one.end()["said"] == "Nothing was played." and len(one.games) == 2
        one.begin()
        one.step(one.row([0, 1]))
        assert one.end()["games"] == 3
        assert one.drop()["games"] == 2
    finally:
        one.keeper.close()
    games = person.read(file)
    assert games == one.games and len({game.seed for game in games}) == 2
    for wrong in ([1], [1, np.nan], "left", None):
        with pytest.raises((ValueError, TypeError)):
            one.row(wrong)


@pytest.mark.parametrize(
    ("fault", "said"),
    [("raise", "RuntimeError: the ball is lost"), ("nan", "NaN"), ("", "")],
)
def test_an_environment_that_fails_leaves_the_game_and_the_next_one_begins(
    root: Path, tmp_path: Path, fault: str, said: str
) -> None:
    one = session(root, tmp_path / "person.json", fault)
    failed = 0
    try:
        for _ in range(40):  # One seed in four is unlucky, at its third step.
            one.begin()
            try:
                for _ in range(4):
                    one.step(one.row([0, 0]))
            except UserError as error:
                assert str(error).startswith("The game is left: ") and said in str(error)
                assert one.game is None
                failed += 1
            if failed > 1:
                break
    finally:
        one.keeper.close()
    assert failed == (2 if fault else 0) and not one.games


def test_a_world_with_a_sim_is_played_on_its_page() -> None:
    said = (
        r"world 'pong': has no environment\. .* Run: wmsite serve, and press Save recording there"
    )
    with pytest.raises(UserError, match=said):
        data_play.run(ROOT, "pong", None, "127.0.0.1", 0, Terminal(quiet=True))


def test_games_are_spread_over_the_parts_of_a_recording() -> None:
    games = [person.Played(seed, [0], 0.0) for seed in range(7)]
    parts = [person.between(games, low / 10, (low + 1) / 10) for low in range(10)]
    assert [game for part in parts for game in part] == games
    assert max(map(len, parts)) == 1
    assert person.between([], 0.0, 1.0) == []
