"""A world that is recorded from a Gymnasium environment: `wmsite new --gym`, keys, faults."""

from __future__ import annotations

import json
import shutil
import tomllib
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gymnasium", reason="gymnasium is not installed: extra `gym`")

import gym_environment as tiny

from builder import cli
from builder.commands import build, new_gym
from builder.project import entries, environment
from builder.project.worlds import Project
from builder.terminal import Terminal
from sims.errors import UserError

IMPORT = ("--gym-import", "tiny_env")


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `wmsite new --gym` makes for an environment of somebody's own."""
    return tiny.project(tmp_path_factory.mktemp("gym"))


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "project"))


def entry(root: Path) -> entries.Entry:
    return entries.Entry(Project.open(root).world("ball"), "numbers")


def edit(root: Path, change: Callable[[str], str], file: str = "recipes/ball/numbers.toml") -> None:
    before = (root / file).read_text()
    (root / file).write_text(after := change(before))
    assert after != before


@pytest.mark.slow
def test_new_writes_a_recipe_and_a_page_of_an_environment(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not (made / "sims").exists() and (made / "tiny_env.py").is_file()
    assert "section: environment" in (made / "docs/index.md").read_text()
    with monkeypatch.context() as patched:  # `wmsite new` has looked at it.
        patched.setattr("training.data.environment.process.looked", None)
        world = Project.open(made).world("ball")
        assert world.spec.name == "ball"
    assert world.played and world.sim is None and world.families == ["numbers"]
    spec = world.spec
    assert [(c.height, c.width) for c in spec.cameras] == [(72, 96)] and spec.rate == 10
    assert [a.increase for a in spec.axes] == [("ArrowRight",), ("ArrowUp",)]
    build.check(world, Terminal(quiet=True))
    assert entry(made).due().why == "it has no weights yet"


@pytest.mark.slow
def test_new_names_the_recipe_that_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tiny.write(tmp_path))
    code, out, _ = said(capsys, "new", "made", "--gym", "tiny/Ball-v0", *IMPORT)
    assert code == 0 and "recipes/ball/numbers.toml says what is recorded" in out
    assert (tmp_path / "made" / "recipes" / "ball" / "numbers.toml").is_file()


def test_discrete_actions_are_written_with_their_keys() -> None:
    looked = {
        "spec": {"title": "Ball", "rate": 10, "cameras": [{"height": 60, "width": 80}],
                 "actions": [{"name": "go", "keys": ["Space"], "touch": "●", "gamepad": ["south"]}],
                 "axes": [], "sensors": [{"name": "far", "show": "gauge"}]},
        "about": {"frame": [90, 120], "repeats": False, "values": [3]},
        "lengths": [30], "pace": 100.0, "decided": True,
    }  # fmt: skip
    text = new_gym.recipe(new_gym.Asked("a/Ball-v0"), looked)
    assert 'family = "numbers"' in text and 'variants = ["fp32", "fp16"]' in text
    assert '# names = ["far"]' in text
    other = new_gym.recipe(new_gym.Asked("a/Ball-v0"), looked | {"decided": False})
    assert 'family = "latent"' in other and '"int8"' in other
    assert 'go = { value = 3, keys = ["Space"], touch = "●", gamepad = ["south"] }' in text
    assert "patch = 4" in text and "size = [60, 80]" in text and 'world = "ball"' in text


@pytest.mark.slow
def test_its_keys_follow_what_decides_the_recording(project: Path) -> None:
    before = entry(project).keys
    edit(project, lambda text: text + "# a comment\n", "tiny_env.py")
    changed = entry(project).keys
    assert {name for name in before if changed[name] != before[name]} == {"data", "train"}
    tiny.write(project)  # as it was
    assert entry(project).keys == before
    named = "\n[gym.actions.steer]\nvalue = 1\nkeys = ['KeyQ', 'KeyE']\n\n[data]"
    edit(project, lambda text: text.replace("\n[data]", named))
    # Another number of an action is another world; another name or key is not.
    bound = entry(project)
    keys = bound.keys
    assert bound.world.spec.axes[1].name == "steer"
    edit(
        project,
        lambda text: text.replace("actions.steer]", "actions.lift]").replace("KeyQ", "KeyZ"),
    )
    again = entry(project)
    assert again.keys == keys and again.world.spec.axes[1].decrease == ("KeyZ",)
    edit(project, lambda text: text.replace("skip = 1", "skip = 2"))
    assert entry(project).keys["sim"] != keys["sim"]


def committed(root: Path) -> entries.Entry:
    """Give the project weights that were made as its recipe says."""
    one = entry(root)
    one.weights.mkdir(parents=True)
    (one.weights / "weights.safetensors").write_bytes(b"")
    played = one.world.played
    assert played
    told = {"keys": one.keys, "spec": one.world.spec.to_json(), "environment": played.about}
    (one.weights / "provenance.json").write_text(json.dumps(told))
    return one


@pytest.mark.slow
def test_a_site_is_built_where_the_environment_is_not(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = committed(project)
    shutil.rmtree(project / ".wmsite")
    (project / "tiny_env.py").unlink()
    with monkeypatch.context() as patched:
        patched.setattr(environment, "installed", lambda module: False)
        again = entry(project)
        assert again.keys == one.keys and again.world.spec == one.world.spec
        assert again.world.played and again.world.played.about["id"] == "tiny/Ball-v0"
        again.suit()
        shutil.rmtree(project / "weights")
        with pytest.raises(UserError, match=r"gymnasium is not installed. Run: .*gym") as error:
            print(Project.open(project).world("ball").spec)
        assert error.value.exit_code == 3


@pytest.mark.slow
def test_the_page_names_the_environment_and_its_licence(project: Path) -> None:
    from builder.site import report

    shown = types.SimpleNamespace(weights={"numbers": committed(project).weights})
    text = report.environment(shown, "")  # type: ignore[arg-type]
    for what in ("tiny/Ball-v0", "Licence", "not told", "Gymnasium 1.", "120 × 90 pixels"):
        assert what in text


REFUSED: list[tuple[str, Callable[[str], str], str]] = [
    ("key", lambda t: t.replace("skip = 1", "skips = 1"), "unknown key gym.skips"),
    ("size", lambda t: t.replace("size = [72, 96]", "size = [72]"), "gym.size lists 1"),
    ("both", lambda t: 'dataset = "tapes"\n' + t, "and an environment in \\[gym\\]"),
    ("no data", lambda t: t.replace("[data]", "[datum]"), "unknown key datum"),
    ("value", lambda t: t.replace("[data]", "[gym.actions.up]\nkeys = []\n[data]"),
     "missing key gym.actions.up.value"),
    ("id", lambda t: t.replace("tiny/Ball", "tiny/Bal"), "nearest are tiny/Ball-v0"),
    ("patch", lambda t: t.replace("patch = 8", "patch = 7"), "patch"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "what"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_a_recipe_with_a_fault_is_refused_in_one_line(
    project: Path, change: Callable[[str], str], what: str
) -> None:
    edit(project, change)
    with pytest.raises(UserError, match=what) as error:
        entry(project).suit()
    assert "\n" not in str(error.value) and "Run: " in str(error.value)


def test_two_recipes_of_a_world_agree_on_the_environment(project: Path) -> None:
    folder = project / "recipes/ball"
    text = (folder / "numbers.toml").read_text().replace('"numbers"', '"denoiser"')
    (folder / "denoiser.toml").write_text(text.replace("skip = 1", "skip = 3"))
    with pytest.raises(UserError, match=r"its \[gym\] is another than that of denoiser.toml"):
        entry(project).suit()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["new", "DIR", "--gym", "CartPole-v7"], "error: environment 'CartPole-v7'"),
        (["new", "DIR", "--gym", "ALE/Pong-v5"], "Run: pip install ale-py"),
        (["new", "DIR", *IMPORT], "--gym-import: goes with --gym ID"),
        (["data", "record"], "name a WORLD of the project, or --gym ID"),
        (["data", "record", "a", "--steps", "100"], "go with --gym alone"),
    ],
)
def test_the_command_refuses_in_one_line(
    arguments: list[str], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new"
    code, _, err = said(capsys, *[str(folder) if a == "DIR" else a for a in arguments])
    assert code in (1, 2, 3) and what in err and err.count("\n") == 1, err
    assert not folder.exists() and "Traceback" not in err


@pytest.mark.slow
def test_the_verbs_of_data_read_what_was_recorded(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(project, lambda t: t.replace("\nsteps = ", "\nshards = 1\nsteps = 150 #", 1))
    home = ("-C", str(project), "data")
    code, out, err = said(capsys, *home, "record", "ball")
    assert code == 0 and "dataset" in out and "frames: " in err, err
    code, again, _ = said(capsys, *home, "record", "ball")
    assert code == 0 and again == out
    code, out, _ = said(capsys, *home, "verify", "ball")
    assert code == 0 and "whole: " in out
    code, out, _ = said(capsys, *home, "show", "ball")
    assert code == 0 and "axis_0" in out and "obs_1" in out
    code, _, err = said(capsys, *home, "record", "ball", "--finished")
    assert code == 2 and "goes on" in err
    code, _, err = said(capsys, *home, "rates", "ball")
    assert code == 2 and "only the environment tiny/Ball-v0" in err


@pytest.mark.slow
def test_an_environment_is_recorded_without_a_project(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.write(tmp_path)
    options = ("--gym", "tiny/Ball-v0", *IMPORT, "--steps", "120")
    code, out, err = said(capsys, "-C", str(tmp_path), "data", "record", *options)
    assert code == 0 and "name it as `dataset`" in out, err
    assert (tmp_path / "tapes/ball/meta/wmsite/recording.json").is_file()
    assert not (tmp_path / "tapes/ball.shards").exists()
    code, _, err = said(capsys, "-C", str(tmp_path), "data", "record", *options[:-1], "240")
    assert code == 2 and "holds another recording, 120 steps of tiny/Ball-v0" in err, err


def test_all_files_of_an_environment_that_is_a_package_are_its_sources(tmp_path: Path) -> None:
    files = {
        "mygame/__init__.py": 'from .rules import SPEED\nregister(id="a/B-v0", '
        'entry_point="mygame.envs:Ball")\n',
        "mygame/rules.py": "SPEED = 1\n",
        "mygame/envs.py": "from . import things\n",
        "mygame/things/__init__.py": "from ..rules import SPEED\nfrom .ball import SIZE\n",
        "mygame/things/ball.py": "SIZE = 2\n",
        "mygame/other.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = environment.own_sources(tmp_path, ["mygame"])
    assert sorted(found) == sorted({*files} - {"mygame/other.py"})
    assert environment.own_sources(tmp_path, ["mygame.envs"]) == found


def test_the_recipe_of_the_docs_fits() -> None:
    from training import recipe

    page = (Path(__file__).parents[2] / "docs/gymnasium.md").read_text()
    text = page.partition('```toml title="recipes/ball/latent.toml"\n')[2].partition("```")[0]
    told: dict[str, Any] = tomllib.loads(text)
    made = recipe.from_json(told)
    assert made.gym and list(made.gym.actions) == ["wait", "left", "right"]
