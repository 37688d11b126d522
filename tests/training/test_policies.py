"""Who plays an environment: functions and agents of stable-baselines3, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium", reason="gymnasium is not installed: extra `gym`")
sb3 = pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed")

import gym_environment as tiny  # noqa: E402

from sims.contract import Array  # noqa: E402
from sims.errors import UserError  # noqa: E402
from training.data.dataset import Dataset  # noqa: E402
from training.data.environment import probe, record  # noqa: E402
from training.data.environment.opened import Opened  # noqa: E402
from training.data.environment.policies import policy  # noqa: E402
from training.data.environment.rebuild import rebuild  # noqa: E402
from training.data.environment.space_json import from_json, to_json  # noqa: E402
from training.environment_recipe import Gym  # noqa: E402
from training.evaluation import players  # noqa: E402
from training.evaluation.heads import Heads  # noqa: E402
from training.evaluation.measures import returns  # noqa: E402
from training.evaluation.measures.contract import Subject  # noqa: E402
from training.evaluation.starts import Scene  # noqa: E402
from training.recipe import Data, DataRecipe  # noqa: E402

BALL = Gym("tiny/Ball-v0", ["tiny_env"], size=[48, 64])
PUSHES = "tiny_env:rightwards"
AGENT = "agents/ball.zip"
HISTORY = 2
spaces = gymnasium.spaces


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with an environment, and with agents that have hardly learned."""
    folder = tiny.write(tmp_path_factory.mktemp("tiny"))
    (folder / "agents").mkdir()
    ball = Opened(BALL, folder).env
    sb3.PPO("MlpPolicy", ball, n_steps=16, batch_size=16, seed=1).save(folder / AGENT)
    sb3.SAC("MlpPolicy", ball, buffer_size=10, seed=1).save(folder / "agents" / "sac.zip")
    pole = sb3.DQN("MlpPolicy", "CartPole-v1", buffer_size=10, seed=1)
    pole.save(folder / "agents" / "pole.zip")
    (folder / "agents" / "torn.zip").write_bytes((folder / AGENT).read_bytes()[:400])
    yield folder
    if str(folder) in sys.path:
        sys.path.remove(str(folder))
    sys.modules.pop("tiny_env", None)


@pytest.fixture(scope="module")
def recorded(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    behaviours = {"random": 0.5, PUSHES: 0.1, AGENT: 0.4}
    looked = probe.look(Opened(BALL, root), "ball", tuple(behaviours))
    what = record.Environment(BALL, root, looked.spec, looked.about)
    data = Data(
        steps=1600, worlds=2, episode_steps=60, behaviours=behaviours,
        splits={"train": 0.2, "val": 0.2, "test": 0.6},
    )  # fmt: skip
    home = tmp_path_factory.mktemp("recorded")
    return Dataset.open(record.record(what, DataRecipe("ball", 1, data), home, "ball"))


@pytest.mark.slow
def test_agents_play_and_the_same_draws_are_the_same_actions(root: Path) -> None:
    env = Opened(BALL, root).env
    for name in (AGENT, "agents/sac.zip"):
        act = policy(name, root, "here", env)
        told = [act(np.array([0.1, 0.2]), env, np.random.default_rng(k)) for k in (1, 1, 2)]
        assert np.array_equal(told[0], told[1]) and not np.array_equal(told[0], told[2])
        assert env.action_space.contains(told[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "why"),
    [("agents/none.zip", "there is no file"), ("agents/torn.zip", "wasn't a zip-file"),
     ("agents/pole.zip", r"trained with Box\(.* and the environment has Box"),
     ("tiny_env:nobody", "has no attribute"), ("steady", "no colon")],
)  # fmt: skip
def test_what_cannot_play_is_one_line(root: Path, name: str, why: str) -> None:
    with pytest.raises(UserError, match=why) as error:
        policy(name, root, "environment 'x'", Opened(BALL, root).env)
    said = str(error.value)
    assert said.startswith(f"environment 'x': data.behaviours names {name!r}") and "\n" not in said
    assert " Run: " in said


class Twin:
    """The environment of the ball, as a model of it would be; `ends`: whether it tells an end."""

    def __init__(self, ends: bool) -> None:
        self.ends, self.heads = ends, Heads(np.zeros(0), np.zeros(0))
        self.shown: dict[str, Array] = {}

    def watch(self, scene: Scene, rows: Array | None = None) -> None:
        self.shown = {"sensors": scene.history_sensors[:, -1].copy()}

    def step(self, actions: Array, chances: Array) -> Array:
        self.shown["sensors"] = np.clip(self.shown["sensors"] + 0.1 * actions, -1, 1)
        over = self.shown["sensors"][:, 0] > 0.8
        self.heads = Heads(over.astype(np.float32), over & self.ends)
        return np.zeros((len(actions), 1, 48, 64, 4), np.uint8)


def subject(recorded: Dataset, root: Path, monkeypatch: pytest.MonkeyPatch, ends: bool) -> Subject:
    """The environment's own dynamics in the place of a model, and its recording."""
    asked = SimpleNamespace(
        gym=BALL, world="ball", family="latent", data=Data(steps=1, worlds=1, episode_steps=60),
        evaluate=SimpleNamespace(games=12),
    )  # fmt: skip
    model = SimpleNamespace(config=SimpleNamespace(history=HISTORY), observed=("frame", "sensors"))
    monkeypatch.setattr(players, "Model", lambda *_, **__: Twin(ends))
    monkeypatch.setattr(Subject, "recordings", recorded.load("test", rgb=True))
    return Subject(model, asked, None, recorded, lambda p: p, root=root)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("ends", [True, False])
def test_what_a_policy_earns_in_a_model_is_beside_what_it_earned(
    recorded: Dataset, root: Path, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = returns.measure(subject(recorded, root, monkeypatch, ends))
    assert table is not None and [row["name"] for row in table["rows"]] == [
        "latent", "no carried state", "the environment",
    ]  # fmt: skip
    mine, _, true = (row["values"] for row in table["rows"])
    assert true[f"return@{PUSHES}"]["mean"] == 1
    if ends:  # Float32 and the numbers of a dataset may end a game a step sooner or later.
        assert mine[f"return@{PUSHES}"]["mean"] == 1
        assert abs(mine[f"steps@{PUSHES}"]["mean"] - true[f"steps@{PUSHES}"]["mean"]) <= 1
        assert f"return@{AGENT}" in mine and "return@random" in mine
    else:
        assert mine[f"steps@{PUSHES}"]["mean"] == 60 - HISTORY
        assert mine[f"return@{PUSHES}"]["mean"] > 10


@pytest.mark.slow
def test_a_game_whose_recording_stops_early_stops_there_in_the_model(
    recorded: Dataset, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = returns._games(subject(recorded, root, monkeypatch, False), PUSHES)
    assert scene is not None and scene.ends.any(1).all()
    scene.ends[0], scene.alive[0, 5:] = False, False
    still = np.zeros_like(scene.actions[:, 0])
    _, lasted = returns._played(Twin(False), scene, lambda rows, said: still[rows], 40)
    assert lasted[0] == 5 and (lasted[1:] == 40).all()


@pytest.mark.slow
def test_a_policy_that_looks_into_the_environment_does_not_play_in_a_model(
    recorded: Dataset, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tiny_env  # type: ignore[import-not-found]

    def peeks(observation: Any, env: Any, random: np.random.Generator) -> Array:
        return np.array([env.unwrapped.place[0], 0])

    monkeypatch.setattr(tiny_env, "rightwards", peeks)
    table = returns.measure(subject(recorded, root, monkeypatch, True))
    assert table is not None
    assert not [c for c in table["columns"] if PUSHES in c["key"]]
    assert [c for c in table["columns"] if AGENT in c["key"]]


SPACES: list[Any] = [
    spaces.Discrete(5, start=2), spaces.MultiBinary((2, 2)), spaces.MultiDiscrete([3, 2, 4]),
    spaces.Box(-2, 3, (2, 2), np.float32), spaces.Box(0, 9, (1,), np.int64),
    spaces.Dict({"a": spaces.Discrete(3), "b": spaces.Tuple([spaces.Box(0, 1, (2,))])}),
]  # fmt: skip


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_an_observation_is_rebuilt_from_its_numbers(space: Any) -> None:
    from training.data.environment.observations import Vectors

    space.seed(1)
    seen, vectors = space.sample(), Vectors(Gym("x"), space)
    numbers = vectors.read(seen, {}, False)
    sensors = vectors.sensors(numbers, numbers)
    spec = {
        "cameras": [{"height": 8, "width": 8}],
        "sensors": [{"name": s.name, "shape": s.shape} for s in sensors],
    }
    said = {"sensors": np.concatenate([numbers[s.name] for s in sensors])}
    read = rebuild(from_json(to_json(space)), Gym("x"), spec, ("frame", "sensors"))
    assert read is not None and space.contains(read(said))
    again = vectors.read(read(said), {}, False)
    assert all(np.array_equal(again[name], numbers[name]) for name in numbers)
    assert rebuild(space, Gym("x"), spec, ("frame",)) is None


def test_a_picture_is_an_observation_if_it_is_drawn_whole() -> None:
    spec = {"cameras": [{"height": 6, "width": 8}], "sensors": []}
    frame = np.arange(6 * 8 * 4, dtype=np.uint8).reshape(1, 6, 8, 4)
    colour, gray = (spaces.Box(0, 255, (6, 8, *more), np.uint8) for more in ((3,), ()))
    for space in (colour, gray):
        read = rebuild(space, Gym("x", frames="observation"), spec, ("frame",))
        assert read is not None and space.contains(read({"frame": frame}))
    assert rebuild(colour, Gym("x"), spec, ("frame",)) is None
    larger = spaces.Box(0, 255, (12, 16, 3), np.uint8)
    assert rebuild(larger, Gym("x", frames="observation"), spec, ("frame",)) is None
    assert rebuild(spaces.Text(3), Gym("x"), spec, ("frame",)) is None
