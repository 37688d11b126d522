"""An environment in the page: its code, and real Pyodide that plays it as CPython does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("gymnasium", reason="gymnasium is not installed: extra `gym`")

import gym_environment as tiny

from builder.commands import build, new, new_gym
from builder.project import pythons
from builder.project.worlds import Project, World
from builder.site import notices
from builder.terminal import Terminal
from sims.errors import UserError

pytestmark = pytest.mark.slow
HERE = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of a small environment that the page shall play."""
    return in_page(tiny.project(tmp_path_factory.mktemp("gym")))


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "project"))


def in_page(root: Path) -> Path:
    for recipe in root.glob("recipes/*/*.toml"):
        recipe.write_text(recipe.read_text().replace("browser = false", "browser = true", 1))
    return root


def edit(root: Path, change: Callable[[str], str]) -> World:
    """Change the environment; return its world."""
    file = root / "tiny_env.py"
    before = file.read_text()
    file.write_text(change(before))
    assert file.read_text() != before
    return Project.open(root).world("ball")


def test_its_code_is_all_that_it_imports(made: Path) -> None:
    world = Project.open(made).world("ball")
    paths = {module.path: module for module in world.page_modules}
    assert {"tiny_env.py", "sims/ball.py", "sims/host.py", "gymnasium/core.py"} <= paths.keys()
    assert not [path for path in paths if path.startswith(("numpy", "builder", "PIL", "pygame"))]
    assert [path for path, module in paths.items() if world.editable(module)] == ["tiny_env.py"]
    assert world.played and world.played.page
    named = {notice.name.lower() for notice in notices.of_packages(world.played.page.packages)}
    assert {"gymnasium", "typing_extensions"} <= named and "wmsite" not in named


def test_the_page_plays_it_as_cpython_does(made: Path) -> None:
    world = Project.open(made).world("ball")
    build.check(world, Terminal(quiet=True))
    sources = pythons.of(world)
    sources.noted.unlink(missing_ok=True)
    assert pythons.compare([sources]) == {} and sources.noted.is_file()


def test_its_data_and_its_model_stay(project: Path) -> None:
    before = Project.open(project).world("ball").hash
    for recipe in project.glob("recipes/*/*.toml"):
        recipe.write_text(recipe.read_text().replace("browser = true", "browser = false", 1))
    world = Project.open(project).world("ball")
    assert world.hash == before and not world.page_modules and not world.page_hash


FAULTS = {
    "compiled": (
        ("import os, sys, time\n", "import os, sys, time\nfrom PIL import Image\n"),
        "gym.browser is true; it imports PIL, which the browser does not have",
    ),
    "other numbers": (
        ("-1, 1)\n        over", "-1, 1) + (sys.maxsize < 2**40) * 0.1\n        over"),
        "it plays differently in the browser's Python: scenario 'default', tick 1, ",
    ),
    "raises": (
        ("self.steps += 1\n", "self.steps += 1\n        assert sys.maxsize > 2**40, 'small'\n"),
        "AssertionError in the browser's Python: small",
    ),
}


@pytest.mark.parametrize(("old", "said"), FAULTS.values(), ids=list(FAULTS))
def test_what_the_page_can_not_play_is_one_line(
    project: Path, old: tuple[str, str], said: str
) -> None:
    world = edit(project, lambda text: text.replace(*old))
    problem = pythons.compare([pythons.of(world)])["ball"]
    assert said in problem and problem.count("Run: ") == 1 and "\n" not in problem
    lines = (project / "tiny_env.py").read_text().split("assert sys.maxsize")
    assert len(lines) == 1 or f"tiny_env.py:{lines[0].count(chr(10)) + 1}: " in problem


def test_an_environment_that_fails_here_is_one_line(project: Path) -> None:
    recipe = project / "recipes/ball/numbers.toml"
    player = '{ random = 0.5, "tiny_env:rightwards" = 0.5 }'
    recipe.write_text(recipe.read_text().replace("{ random = 1.0 }", player, 1))
    broken = edit(project, lambda text: text.replace("np.array([0.5,", "np.array([1 / 0,"))
    with pytest.raises(UserError, match=r"can't be played as a sim; .*ZeroDivisionError") as error:
        _ = broken.page_modules
    assert str(error.value).count("Run: ") == 1


def test_an_environment_that_is_not_installed_is_one_line(project: Path) -> None:
    (project / "tiny_env.py").unlink()
    with pytest.raises(UserError, match="tiny_env is not installed, whose code goes into the page"):
        _ = Project.open(project).world("ball").page_modules


def test_one_from_the_package_index_plays_in_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("minatar", reason="MinAtar is not installed: make test installs it")
    (tmp_path / "bricks.py").write_text((HERE / "minatar_breakout.py.txt").read_text())
    monkeypatch.chdir(tmp_path)
    asked = new_gym.Asked("mine/Bricks-v0", ("bricks",))
    root = in_page(new.run(tmp_path / "project", Terminal(quiet=True), asked))
    world = Project.open(root).world("bricks")
    assert "minatar/environments/breakout.py" in {module.path for module in world.page_modules}
    sources = pythons.of(world)
    sources.noted.unlink(missing_ok=True)
    assert pythons.compare([sources]) == {}
