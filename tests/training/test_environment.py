"""Record a Gymnasium environment: its actions, what is kept of it, each way in which it fails."""

from __future__ import annotations

import enum
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium", reason="gymnasium is not installed: extra `gym`")

import gym_environment as tiny  # noqa: E402
from gymnasium import spaces  # noqa: E402
from PIL import Image  # noqa: E402

from sims.errors import UserError  # noqa: E402
from training.data import record as shards  # noqa: E402
from training.data import verify  # noqa: E402
from training.data.dataset import Dataset  # noqa: E402
from training.data.environment import bindings, controls, coverage, probe, process, record, sheet  # noqa: E402
from training.data.environment.controls import Hints  # noqa: E402
from training.data.environment.decided import Decided  # noqa: E402
from training.data.environment.opened import Opened  # noqa: E402
from training.environment_recipe import Bound, Gym  # noqa: E402
from training.progress import Progress  # noqa: E402
from training.recipe import Data, DataRecipe  # noqa: E402

NONE = Hints({}, {})
BALL = Gym("tiny/Ball-v0", ["tiny_env"], size=[48, 64])
DATA = Data(
    steps=600, worlds=2, episode_steps=40, shards=4,
    behaviours={"random": 0.5, "tiny_env:rightwards": 0.5},
    splits={"train": 0.7, "val": 0.15, "test": 0.15},
)  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tiny.write(tmp_path_factory.mktemp("tiny"))
    (folder / "needs_env.py").write_text("import no_such_module\n")
    yield folder
    if str(folder) in sys.path:
        sys.path.remove(str(folder))
    sys.modules.pop("tiny_env", None)


def made(space: spaces.Space[Any], told: Hints = NONE, **bound: Bound) -> controls.Controls:
    return controls.controls(space, told, bound, "environment 'x'")


SPACES: list[spaces.Space[Any]] = [
    spaces.Discrete(5, start=2), spaces.MultiBinary(4), spaces.MultiBinary((2, 2)),
    spaces.MultiDiscrete([3, 2, 4]), spaces.Box(-2, 3, (2, 2), np.float32),
    spaces.Box(0, 9, (1,), np.int64),
]  # fmt: skip


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_every_action_of_a_space_can_be_told_and_played(space: spaces.Space[Any]) -> None:
    space.seed(1)
    one = made(space)
    for _ in range(20):
        action = space.sample()
        assert np.allclose(one.played(one.told(action)), action)
    held = controls.Held(one, 20.0, np.random.default_rng(3))
    rows = [held.act() for _ in range(200)]
    played = [one.played(row) for row in rows]
    assert all(space.contains(action) for action in played)
    assert len({np.asarray(action).tobytes() for action in played}) > 2
    assert all(np.array_equal(one.told(a), row) for a, row in zip(played, rows, strict=True))


def test_keys_follow_what_an_environment_says_of_its_actions() -> None:
    class Moves(enum.IntEnum):
        left = 0
        right = 1
        forward = 2
        toggle = 3
        done = 4

    class Env(gymnasium.Env[Any, Any]):
        actions: Any = Moves

    one = made(spaces.Discrete(5), controls.hints(Env()))
    assert [(a.name, a.keys) for a in one.actions] == [
        ("done", ()), ("left", ("ArrowLeft",)), ("right", ("ArrowRight",)),
        ("forward", ("ArrowUp",)), ("toggle", ("Space",)),
    ]  # fmt: skip
    assert one.values == (4, 0, 1, 2, 3) and one.actions[1].gamepad == ("dpad-left",)

    class Atari(gymnasium.Env[Any, Any]):
        def get_action_meanings(self) -> list[str]:
            return ["NOOP", "FIRE", "RIGHT", "LEFTFIRE"]

        def get_keys_to_action(self) -> dict[Any, int]:
            return {(): 0, (ord(" "),): 1, (ord("d"),): 2, (ord(" "), ord("a")): 3}

    keys = {a.name: a.keys for a in made(spaces.Discrete(4), controls.hints(Atari())).actions}
    assert keys["fire"] == ("Space",) and keys["right"] == ("KeyD", "ArrowRight")
    assert keys["noop"] == () and len(keys["leftfire"]) == 1


def test_actions_without_names_get_keys_by_their_number() -> None:
    for count, still in ((2, 0), (3, 1), (4, 0), (18, 0)):
        one = made(spaces.Discrete(count))
        used = [key for action in one.actions for key in action.keys]
        assert len(used) == len(set(used)) >= count - 1 and one.values[0] == still
    three = made(spaces.MultiDiscrete([3, 2])).axes
    assert [axis.name for axis in three] == ["choice_0_1", "choice_0_2", "choice_1_1"]
    assert all(axis.increase and axis.high == 1 for axis in three)


def test_a_recipe_names_actions_and_their_keys() -> None:
    bound = {"flap": Bound(1, ["Space"], "●"), "glide": Bound(0)}
    one = made(spaces.Discrete(3), **bound)
    assert one.values == (1, 0) and [a.keys for a in one.actions] == [("Space",), ()]
    with pytest.raises(ValueError, match="action 2 is none of 1, 0"):
        one.told(2)
    with pytest.raises(UserError, match="names action 9; it has 0 to 2"):
        made(spaces.Discrete(3), nine=Bound(9))
    steer = Bound(1, ["KeyQ", "KeyE"], gamepad=["axis2"])
    axis = made(spaces.Box(-1, 1, (2,)), steer=steer).axes[1]
    assert (axis.name, axis.decrease, axis.increase) == ("steer", ("KeyQ",), ("KeyE",))
    with pytest.raises(UserError, match="names axis 2; there are 2, from 0"):
        made(spaces.Box(-1, 1, (2,)), steer=Bound(2))


NO_KEY = [
    spaces.Dict({"a": spaces.Discrete(2)}), spaces.Text(3), spaces.Discrete(1000),
    spaces.MultiBinary(100), spaces.Box(-np.inf, np.inf, (2,)),
]  # fmt: skip


@pytest.mark.parametrize("space", NO_KEY, ids=lambda s: type(s).__name__)
def test_an_action_space_that_no_key_can_drive_is_refused(space: spaces.Space[Any]) -> None:
    with pytest.raises(UserError, match="no key can drive its action space") as error:
        made(space)
    assert "\n" not in str(error.value) and "Run: " in str(error.value)


def gym(fault: str = "", **more: Any) -> Gym:
    return Gym("tiny/Ball-v0", ["tiny_env"], make={"fault": fault}, **more)


FAULTS: list[tuple[Gym, str]] = [
    (Gym("tiny/Bal-v0", ["tiny_env"]), r"no such ID is registered; nearest are tiny/Ball-v0.*Run:"),
    (Gym("ALE/Nothing-v5"), r"no such ID.*pip install ale-py, and name 'ale_py'"),
    (Gym("tiny/Ball-v0", ["tiny_emv"]), r"imports tiny_emv, and there is no module 'tiny_emv'"),
    (Gym("tiny/Ball-v0", ["needs_env"]), r"no module 'no_such_module'.*pip install no_such_module"),
    (Gym("tiny/Ball-v0", ["tiny_env"], {"color": 1}), r"can't be made; TypeError: .*color"),
    (Gym("tiny/Screen-v0", ["tiny_env"]), r"has no render_mode 'rgb_array'.*gym.frames"),
    (Gym("tiny/Screen-v0", ["tiny_env"], frames="picture"), r"it can be render, pixels"),
    (gym("blind"), r"its render\(\) gives no frame"),
    (gym("grows"), r"its frames change size, from 120 x 90 to 121 x 90 pixels"),
    (gym("old"), r"its step returns 4 values.*before gymnasium 0.26.*GymV21CompatibilityV0"),
    (gym("always"), r"fails in the first steps; RuntimeError: the ball is lost"),
    (gym(crop=[0, 0, 91, 10]), r"gym.crop is \[0, 0, 91, 10\], and the frame is 120 x 90"),
    (gym(info=["speed"]), r"gym.info names 'speed', and its info holds steps, word"),
    (gym(info=["word"]), r"gym.info names 'word', which is no number but str"),
]


@pytest.mark.parametrize(("asked", "what"), FAULTS, ids=[f[1][:24] for f in FAULTS])
def test_what_cannot_be_recorded_is_refused_in_one_line(root: Path, asked: Gym, what: str) -> None:
    with pytest.raises(UserError, match=what) as error:
        probe.look(Opened(asked, root), "ball", ())
    assert "\n" not in str(error.value) and "Run: " in str(error.value)
    assert str(error.value).startswith("environment '")


def test_numbers_have_the_names_that_the_recipe_gives_them(root: Path) -> None:
    looked = probe.look(Opened(Gym("tiny/Ball-v0", ["tiny_env"], names=["x", "y"]), root), "b", ())
    assert [s.name for s in looked.spec.sensors] == ["x", "y"] and looked.decided
    for wrong in (["x"], ["x", "x"], ["x", "state"]):
        asked = Gym("tiny/Ball-v0", ["tiny_env"], names=wrong)
        with pytest.raises(UserError, match=r"and 2 numbers are observed one by one: obs_0, obs_1"):
            Opened(asked, root)


def test_a_look_finds_frames_numbers_and_ranges(root: Path) -> None:
    asked = Gym(
        "tiny/Screen-v0", ["tiny_env"], frames="pixels", info=["steps"], skip=2, licence="mine",
        crop=[10, 20, 60, 80], size=[30, 40], scaling="nearest",
    )  # fmt: skip
    opened = Opened(asked, root)
    looked = probe.look(opened, "screen", ())
    spec = looked.spec
    assert [(c.height, c.width) for c in spec.cameras] == [(30, 40)] and spec.title == "Screen"
    assert [(s.name, s.shape) for s in spec.sensors] == [
        ("facing", (1,)), ("far", (20,)), ("steps", (1,))
    ]  # fmt: skip
    assert not looked.decided and not opened.vectors.measured  # It may face four ways.
    assert all(np.isfinite([s.low, s.high]).all() and s.low < s.high for s in spec.sensors)
    assert (spec.sensors[0].low, spec.sensors[0].high) == (0, 3)
    assert (
        looked.left_out == ["pixels", "words"]
        and spec.rate == 10
        and looked.about["values"] == [1, 0, 2]
    )
    assert looked.about["repeats"] and looked.about["licence"] == "mine"
    assert looked.about["frame"] == [90, 120] and max(looked.lengths) <= 25
    seen = opened.reset(3)
    assert {tuple(c) for c in seen.frame.reshape(-1, 3)} == {(0, 0, 0), (255, 200, 0)}


def test_a_sheet_shows_what_the_scaling_loses(root: Path, tmp_path: Path) -> None:
    shares = []
    for size in ([90, 120], [8, 8]):
        asked = Gym("tiny/Ball-v0", ["tiny_env"], size=size, crop=[0, 0, 90, 120])
        looked = probe.look(Opened(asked, root), "ball", (), tmp_path / "sheet.png")
        shares.append(looked.lost)
        with Image.open(tmp_path / "sheet.png") as picture:
            assert picture.size[0] == 10 * 164
    assert shares[0] == 0
    flat = sheet.Sheet()
    for i in range(30):  # One pixel of 100 x 100 goes on and off.
        whole = np.zeros((100, 100, 3), np.uint8)
        whole[0, 0] = 255 * (i % 2)
        flat.see(whole, np.zeros((10, 10, 3), np.uint8), first=i == 0)
    assert flat.changes == 29 and flat.lost == 1


def environment(root: Path, fault: str = "", patience: float = 60.0) -> record.Environment:
    asked = Gym(BALL.id, BALL.imports, {"fault": fault}, size=BALL.size, patience=patience)
    looked = probe.look(Opened(BALL, root), "ball", tuple(DATA.behaviours))
    return record.Environment(asked, root, looked.spec, looked.about)


@pytest.fixture(scope="module")
def recorded(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of an environment that raises, dies, hangs, returns NaN and prints."""
    what = environment(root, "nan die hang", patience=3.0)
    out = tmp_path_factory.mktemp("recorded")
    return record.record(what, DataRecipe("ball", 1, DATA), out, "ball", processes=2)


@pytest.mark.slow
def test_a_recording_is_a_dataset_of_ours(recorded: Path) -> None:
    dataset = Dataset.open(recorded)
    assert verify.everything(dataset, True, lambda _: None) == []
    steps = dataset.episodes["length"]
    assert 600 <= steps.sum() < 660 and steps.max() <= 41
    assert set(dataset.episodes["behaviour"]) == set(DATA.behaviours)
    for split, share in DATA.splits.items():
        mine = steps[dataset.episodes["split"] == split].sum()
        assert abs(mine - 600 * share) < 45, split
    assert len(set(dataset.episodes["seed"])) == len(steps)
    arrays = dataset.load("train")
    assert arrays.frames.shape[1:] == (1, 48, 64) and len(arrays.palette) > 2
    first, last = arrays.episodes[arrays.dones[arrays.episodes[:, 1] - 2]][0]
    assert arrays.rewards[last - 2] == 1 and not arrays.dones[first : last - 2].any()
    assert not [*recorded.parent.glob("*.shards")]


@pytest.mark.slow
def test_failed_games_are_dropped_and_counted(recorded: Path) -> None:
    told = shards.whole(recorded) and Dataset.open(recorded).recording
    assert told and told["environment"]["id"] == "tiny/Ball-v0"
    reasons = " ".join(told["dropped"])
    for what in (
        "holds NaN",
        "died (exit code 7; it said: about to die)",
        "hangs: nothing for 3 s",
    ):
        assert what in reasons, told["dropped"]
    seeds = Dataset.open(recorded).episodes["seed"]
    assert len(told["dropped"]) >= 5 and not set(seeds) & {101000001, 101000003}


@pytest.mark.slow
def test_the_same_is_recorded_by_one_process(recorded: Path, root: Path, tmp_path: Path) -> None:
    what = environment(root, "nan")
    half = Data(**{**vars(DATA), "steps": 150, "shards": 1})
    one, two = (
        record.record(what, DataRecipe("ball", 1, half), tmp_path, name, processes=count)
        for name, count in (("one", 1), ("two", 2))
    )
    hashes = [Dataset.open(folder).recording["hashes"] for folder in (one, two)]
    assert hashes[0] == hashes[1]


@pytest.mark.slow
def test_a_killed_recording_goes_on_from_its_shards(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    what = environment(root, "print")
    asked = DataRecipe("ball", 1, Data(**{**vars(DATA), "steps": 200, "shards": 2}))
    shard = tmp_path / "ball.shards" / "000"
    original = Progress.update

    def update(self: Progress, amount: float, **more: Any) -> None:
        if shards.whole(shard):
            raise KeyboardInterrupt
        original(self, amount, **more)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Progress, "update", update)
        record.record(what, asked, tmp_path, "ball", processes=1)
    kept = shutil.copytree(shard, tmp_path / "kept")
    assert [p.name for p in shard.parent.glob("[!p]*")] == ["000"]
    folder = record.record(what, asked, tmp_path, "ball", processes=1)
    assert Dataset.open(folder).recording["episodes"] > Dataset.open(kept).recording["episodes"]
    err = capfd.readouterr().err
    assert "here I am" in err and "it printed" in err and "actions: axis_0" in err
    assert coverage.lines(folder)[2].startswith("frames: ")


@pytest.mark.slow
def test_an_environment_that_always_fails_stops_and_keeps_its_shards(
    root: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        UserError, match="5 games failed one after the other; the last: Runtime"
    ) as e:
        record.record(environment(root, "always"), DataRecipe("ball", 1, DATA), tmp_path, "ball")
    assert "\n" not in str(e.value) and "shards that are finished stay" in str(e.value)
    with pytest.raises(UserError, match=r"data\.behaviours names 'tiny_env:nobody'"):
        data = Data(**{**vars(DATA), "behaviours": {"tiny_env:nobody": 1.0}})
        record.record(environment(root), DataRecipe("ball", 1, data), tmp_path, "nobody")


def test_one_that_hangs_while_it_opens_is_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "slow_env.py").write_text("import time; time.sleep(600)\n")
    monkeypatch.setattr(process, "OPENING", 1.0)
    asked = Gym("a-v0", ["slow_env"], patience=1.0)
    with pytest.raises(UserError, match=r"'a-v0': hangs: nothing for 1 s\. Run:"):
        process.looked(asked, root, tmp_path / "log", "a", ())


def test_what_an_environment_starts_ends_with_it(root: Path, tmp_path: Path) -> None:
    asked = gym("starts", size=[48, 64])
    process.looked(asked, root, tmp_path / "log", "ball", ())
    ran = subprocess.run(["ps", "-A", "-o", "args"], capture_output=True, text=True, check=True)
    assert "sleep 577" not in ran.stdout


def test_bindings_change_a_spec_that_was_made_before(root: Path) -> None:
    spec = environment(root).spec
    steer = {"steer": Bound(1, ["KeyQ", "KeyE"])}
    assert bindings.bind(spec, steer, "recipe").axes[1].name == "steer"
    assert bindings.bind(spec, {}, "recipe") == spec


@pytest.mark.slow
def test_cartpole_is_recorded(tmp_path: Path) -> None:
    pytest.importorskip("pygame", reason="pygame, which draws CartPole, is not installed")
    looked = process.looked(Gym("CartPole-v1"), tmp_path, tmp_path / "log", "pole", ())
    assert looked.about["package"] == "gymnasium" and looked.about["licence"] == "MIT License"
    assert [a.name for a in looked.spec.actions] == ["action_0", "action_1"]
    what = record.Environment(Gym("CartPole-v1"), tmp_path, looked.spec, looked.about)
    data = Data(steps=60, worlds=1, episode_steps=30, splits={"train": 1.0})
    folder = record.record(what, DataRecipe("pole", 1, data), tmp_path, "pole")
    arrays = Dataset.open(folder).load("train", rgb=True)
    assert arrays.dones.any() and arrays.frames.shape[1:] == (1, 64, 96, 3)


@pytest.mark.parametrize(("hidden", "all_decided"), [(False, True), (True, False)])
def test_whether_the_numbers_decide_the_frames(hidden: bool, all_decided: bool) -> None:
    random, decided = np.random.default_rng(0), Decided()
    for game in range(8):
        place, colour = random.uniform(0, 8), int(random.integers(0, 200)) if hidden else 0
        for _ in range(40):
            place = float(np.clip(place + random.uniform(-1, 1), 0, 15))
            frame = np.full((4, 16, 3), colour, np.uint8)
            frame[:, round(place)] = 255
            decided.see({"place": np.array(place), "shape": np.zeros(2)}, frame, game)
    assert decided.all is all_decided


def test_too_few_moments_that_are_near_say_nothing() -> None:
    decided = Decided()
    assert not decided.all
    for step in range(50):
        decided.see({"at": np.array(float(step))}, np.zeros((2, 2, 3), np.uint8), 0)
    assert not decided.all
    assert not _seen_without_numbers().all


def _seen_without_numbers() -> Decided:
    decided = Decided()
    for game in range(4):
        for _ in range(9):
            decided.see({}, np.zeros((2, 2, 3), np.uint8), game)
    return decided
