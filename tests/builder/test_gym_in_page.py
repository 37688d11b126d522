"""An environment in the page: its code, and real Pyodide that plays it as CPython does."""

from __future__ import annotations

import importlib.util
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
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


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


# What is changed in the environment, and what is said of it.
FAULTS = {
    "compiled": (
        ("import os, sys, time\n", "import os, sys, time\nfrom PIL import Image\n"),
        "compiled_env.py:3: it imports PIL, which the browser does not have",
    ),
    "other": (
        ("-1, 1)\n        over", "-1, 1) + (sys.maxsize < 2**40) * 0.1\n        over"),
        "it plays differently in the browser's Python: scenario 'default', tick 1, ",
    ),
    "unsteady": (
        (
            "return self.place.copy(), {}",
            "self.place[0] = time.time() % 0.1\n        return self.place.copy(), {}",
        ),
        "the environment does not repeat itself: with the same seed and the same actions, step 1 ",
    ),
    "raises": (
        ("self.steps += 1\n", "self.steps += 1\n        assert sys.maxsize > 2**40, 'small'\n"),
        "AssertionError in the browser's Python: small",
    ),
}
# What it can do without is left out, and it plays.
OPTIONAL = (
    "import os, sys, time\n",
    "import os, sys, time\ntry:\n    import PIL.Image\nexcept ImportError:\n    pass\n",
)


@pytest.fixture(scope="module")
def told(made: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said of some environments that real Pyodide plays, all at once, by world."""
    root = Path(shutil.copytree(made, tmp_path_factory.mktemp("several") / "project"))
    recipe = (root / "recipes/ball/numbers.toml").read_text()
    for world, change in [("optional", OPTIONAL), *((n, one[0]) for n, one in FAULTS.items())]:
        renamed = {"tiny_env": f"{world}_env", "tiny/Ball-v0": f"tiny/{world}-v0"}
        texts = tiny.SOURCE.replace(*change), recipe.replace('"ball"', f'"{world}"')
        for was, now in renamed.items():
            texts = texts[0].replace(was, now), texts[1].replace(was, now)
        (root / f"{world}_env.py").write_text(texts[0])
        (root / "recipes" / world).mkdir()
        (root / "recipes" / world / "numbers.toml").write_text(texts[1])
    if importlib.util.find_spec("minatar"):
        other = tmp_path_factory.mktemp("index")
        shutil.copy(EXAMPLES / "minatar_breakout.py", other / "bricks.py")
        with pytest.MonkeyPatch.context() as patched:
            patched.chdir(other)
            asked = new_gym.Asked("mine/Bricks-v0", ("bricks",))
            bricks = in_page(new.run(other / "project", Terminal(quiet=True), asked))
        shutil.copy(bricks / "bricks.py", root)
        shutil.copytree(bricks / "recipes/bricks", root / "recipes/bricks")
    sources = [pythons.of(world) for world in Project.open(root).worlds.values()]
    for one in sources:
        one.noted.unlink(missing_ok=True)
    problems = pythons.compare(sources)
    for one in sources:
        assert one.noted.is_file() == (one.name not in problems)
    return {one.name: problems.get(one.name, "") for one in sources}


def test_the_page_plays_it_as_cpython_does(told: dict[str, str], made: Path) -> None:
    build.check(Project.open(made).world("ball"), Terminal(quiet=True))
    assert told["ball"] == "" and told["optional"] == ""


@pytest.mark.parametrize("world", FAULTS)
def test_what_the_page_can_not_play_is_one_line(told: dict[str, str], world: str) -> None:
    problem = told[world]
    assert FAULTS[world][1] in problem and problem.count("Run: ") == 1 and "\n" not in problem
    line = 1 + tiny.SOURCE.replace(*FAULTS[world][0]).split("assert sys.maxsize")[0].count("\n")
    assert world != "raises" or f"raises_env.py:{line}: " in problem


def test_one_from_the_package_index_plays_in_the_page(told: dict[str, str]) -> None:
    if "bricks" not in told:
        pytest.skip("MinAtar is not installed: make test installs it")
    assert told["bricks"] == ""


def test_its_data_and_its_model_stay(project: Path) -> None:
    before = Project.open(project).world("ball").hash
    for recipe in project.glob("recipes/*/*.toml"):
        recipe.write_text(recipe.read_text().replace("browser = true", "browser = false", 1))
    world = Project.open(project).world("ball")
    assert world.hash == before and not world.page_modules and not world.page_hash


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
