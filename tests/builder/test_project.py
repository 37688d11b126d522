from __future__ import annotations

from pathlib import Path

import pytest

from builder.commands import build
from builder.project.worlds import Project
from builder.terminal import Terminal
from sims.errors import UserError

CATCHER = Path(build.__file__).parents[1] / "starter" / "sims" / "catcher.py"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "mkdocs.yml").write_text("site_name: test\nplugins: [wmsite]\n")
    (tmp_path / "sims").mkdir()
    (tmp_path / "sims" / "catcher.py").write_text(CATCHER.read_text())
    return Project.open(tmp_path)


def rewrite(project: Project, old: str, new: str) -> Project:
    file = project.root / "sims" / "catcher.py"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    return Project.open(project.root)


def test_a_world_is_found_loaded_and_closed_over(project: Project) -> None:
    world = project.world("catcher")
    assert world.load().spec.title == "Catcher"
    assert [m.name for m in world.closure] == [
        "sims",
        "sims.catcher",
        "sims.contract",
        "sims.exact",
    ]
    page = {m.path: m for m in world.page_modules}
    assert {"sims/host.py", "sims/errors.py", "sims/__init__.py"} <= set(page)
    assert [path for path, m in page.items() if world.editable(m)] == ["sims/catcher.py"]


def test_two_projects_with_a_world_of_one_name(project: Project, tmp_path: Path) -> None:
    assert project.world("catcher").load().spec.title == "Catcher"
    other = tmp_path / "other"
    (other / "sims").mkdir(parents=True)
    (other / "mkdocs.yml").write_text("site_name: other\n")
    text = CATCHER.read_text().replace('title="Catcher"', 'title="Other"')
    (other / "sims" / "catcher.py").write_text(text)
    assert Project.open(other).world("catcher").load().spec.title == "Other"
    assert project.world("catcher").load().spec.title == "Catcher"


def test_an_error_is_caught_though_a_project_has_a_copy_of_its_module(project: Project) -> None:
    """As a clone of this repository has, that is built by a wmsite installed elsewhere."""
    package = CATCHER.parents[3] / "sims"
    for name in ("__init__.py", "errors.py"):
        (project.root / "sims" / name).write_text((package / name).read_text())
    Project.open(project.root).world("catcher").load()
    from sims.errors import UserError as now

    assert now is UserError


def test_an_edit_is_loaded_though_bytecode_of_the_same_second_lies_there(project: Project) -> None:
    project.world("catcher").load()
    edited = rewrite(project, 'title="Catcher"', 'title="Retchac"')
    assert edited.world("catcher").load().spec.title == "Retchac"


def test_own_modules_and_folders_belong_to_the_closure(project: Project) -> None:
    folder = project.root / "sims" / "maze"
    folder.mkdir()
    text = CATCHER.read_text().replace('name="catcher"', 'name="maze"')
    (folder / "__init__.py").write_text(
        text.replace("import numpy", "from . import walls\nimport numpy")
    )
    (folder / "walls.py").write_text("from sims import shared\n")
    (project.root / "sims" / "shared.py").write_text("SIZE = 3\n")
    world = Project.open(project.root).world("maze")
    names = {m.name for m in world.closure}
    assert {"sims.maze", "sims.maze.walls", "sims.shared"} <= names
    assert {m.path for m in world.closure if world.editable(m)} == {
        "sims/maze/__init__.py",
        "sims/maze/walls.py",
    }
    before = world.hash
    (project.root / "sims" / "shared.py").write_text("SIZE = 4\n")
    assert Project.open(project.root).world("maze").hash != before
    assert world.load().spec.name == "maze"


def test_hash_ignores_prose_and_sees_numbers(project: Project) -> None:
    before = project.world("catcher").hash
    assert rewrite(project, "An apple falls", "A pear falls").world("catcher").hash == before
    assert rewrite(project, "LIVES = 3", "LIVES = 4").world("catcher").hash != before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("import numpy as np", "import nothing", r"catcher\.py:13: ModuleNotFoundError"),
        ("class Catcher(Sim):", "class Catcher(Sim:", r"catcher\.py:29: "),
        ('name="catcher"', 'name="other"', "file and the spec must agree"),
        ("    spec = Spec(", "    other = Spec(", "exactly one Sim"),
    ],
)
def test_a_sim_that_cannot_be_loaded(project: Project, old: str, new: str, said: str) -> None:
    broken = rewrite(project, old, new)
    with pytest.raises(UserError, match=said) as caught:
        broken.world("catcher").load()
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_the_check_of_a_sim_is_remembered_by_its_hash(project: Project) -> None:
    class Told(Terminal):
        def say(self, text: str = "") -> None:
            said.append(text)

    said: list[str] = []
    build.check(project.world("catcher"), Told())
    assert len(said) == 1
    build.check(rewrite(project, "An apple", "One apple").world("catcher"), Told())
    assert len(said) == 1
    broken = rewrite(project, 's["tick"] += alive', 's["tick"] += alive / 0')
    with pytest.raises(UserError, match=r"catcher\.py:\d+"):
        build.check(broken.world("catcher"), Told())


def test_unknown_world_and_no_project(project: Project, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'pong'.*Known: catcher"):
        project.world("pong")
    with pytest.raises(UserError, match="no wmsite project"):
        Project.open(tmp_path / "sims")
