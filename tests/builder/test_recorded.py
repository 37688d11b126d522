"""A world without a simulator: a recipe that names a recording, in a project without sims."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import foreign_folder as lerobot
import pytest

from builder import cli
from builder.commands import build, train
from builder.project import entries, steps
from builder.project.cache import tree_hash
from builder.project.playable import STILL, playable
from builder.project.worlds import Project
from builder.terminal import Terminal
from sims.errors import UserError
from training.data.dataset import Dataset

RECIPE = """
world = "arm"
family = "denoiser"
seed = 1
dataset = "tapes/arm"

[model]
patch = 4
[train]
minutes = 1.0
steps = 4
batch = 2
unroll = 1
[evaluate]
seeds = 1
rollouts = 1
horizons = [1]
steps = 4
[export]
variants = ["fp32"]
calibration = 1
tolerance = {}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one recording and one recipe."""
    root = tmp_path_factory.mktemp("recorded") / "project"
    lerobot.write(root / "tapes" / "arm")
    (root / "recipes" / "arm").mkdir(parents=True)
    (root / "recipes" / "arm" / "denoiser.toml").write_text(RECIPE)
    (root / "mkdocs.yml").write_text("site_name: test\n")
    return root


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "project"))


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def recipe(root: Path, change: Callable[[str], str], name: str = "denoiser") -> None:
    file = root / "recipes" / "arm" / f"{name}.toml"
    told = (root / "recipes" / "arm" / "denoiser.toml").read_text()
    file.write_text(change(told).replace('"denoiser"', f'"{name}"'))


def test_a_recipe_that_names_a_recording_makes_a_world(project: Path) -> None:
    world = Project.open(project).world("arm")
    assert world.sim is None and world.families == ["denoiser"]
    assert [camera.name for camera in world.spec.cameras] == ["front", "wrist"]
    assert world.closure == world.page_modules == []
    with pytest.raises(UserError, match="world 'arm': it has no simulator") as error:
        world.load()
    assert "\n" not in str(error.value) and "Run: wmsite data show arm" in str(error.value)
    build.check(world, Terminal(quiet=True))
    build.compare(Project.open(project), Terminal(quiet=True))
    (entry,) = train.entries(project, "arm", None, Terminal(quiet=True))
    assert entry.due().why == "it has no weights yet"


@pytest.mark.slow
def test_the_verbs_of_data_read_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tapes = project / "tapes"
    before, home = tree_hash([tapes], project), ("-C", str(project), "data")
    code, out, _ = said(capsys, *home, "verify", "arm")
    assert code == 0 and "whole: 12 of 12 episodes, 240 steps" in out
    assert "not read: subtask" in out
    # The folder itself means the world that reads it.
    code, out, _ = said(capsys, *home, "query", str(tapes / "arm"), "--split", "test", "--json")
    assert code == 0 and json.loads(out)["rows"][0]["seed"] == 9
    code, out, _ = said(capsys, *home, "show", "arm")
    assert code == 0 and "observation.touch  4 x 5" in out
    assert [p.name[:4] for p in (project / ".wmsite" / "data").glob("[!.]*")] == ["arm-"]
    code, out, _ = said(capsys, *home, "card", "arm")
    assert code == 0 and "4 samples" in out
    told = json.loads((project / "data-cards/arm/card.json").read_text())
    assert told["sim"] == Project.open(project).world("arm").hash
    both = [h for h in told["histograms"] if h["name"] == "elbow_pos"]
    assert [h["kind"] for h in both] == ["sensor", "control"]
    assert both[0]["edges"] != both[1]["edges"]
    for verb in ("record", "rates"):
        code, _, err = said(capsys, *home, verb, "arm")
        assert code == 2 and "it has no simulator" in err and "Traceback" not in err
    assert tree_hash([tapes], project) == before


def test_a_folder_that_no_recipe_names_can_be_looked_at(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = lerobot.write(tmp_path / "found on a disk", 4, 5)
    home = ("-C", str(project), "data")
    code, out, _ = said(capsys, *home, "show", str(folder))
    assert code == 0 and "world found-on-a-disk" in out
    (folder / "data/chunk-000/file-000.parquet").write_bytes(b"")
    code, out, err = said(capsys, *home, "verify", str(folder))
    assert code == 1 and out.startswith("data/chunk-000/file-000.parquet: can't be read")
    assert "1 thing is wrong, 0 of 4 episodes are whole" in err


def test_the_hash_is_that_of_what_is_recorded(project: Path) -> None:
    def keys() -> dict[str, str]:
        return entries.Entry(Project.open(project).world("arm"), "denoiser").keys

    before = keys()
    data = project / "tapes/arm/data/chunk-000/file-000.parquet"
    data.touch()
    (project / "tapes/arm/README.md").write_text("what it is")
    assert keys() == before
    recipe(project, lambda text: text.replace("[model]", "side = 32\n[model]"))
    smaller = keys()
    assert {name for name in before if smaller[name] != before[name]} == set(before)
    recipe(project, lambda text: text.replace("side = 32\n", ""))
    data.write_bytes(data.read_bytes() + b" ")
    changed = keys()
    assert {name for name in before if changed[name] != before[name]} == set(before)


def test_a_site_is_built_where_the_recording_is_not(project: Path) -> None:
    world = Project.open(project).world("arm")
    weights = project / "weights/arm/denoiser"
    weights.mkdir(parents=True)
    told = {"keys": {"sim": world.hash}, "spec": world.spec.to_json()}
    (weights / "provenance.json").write_text(json.dumps(told))
    shutil.rmtree(project / "tapes")
    again = Project.open(project).world("arm")
    assert again.hash == world.hash and again.spec == world.spec
    shutil.rmtree(project / "weights")
    with pytest.raises(UserError, match=r"there is no folder .*tapes/arm. Run: put the recording"):
        print(Project.open(project).world("arm").hash)


def test_a_recording_of_ours_is_used_as_it_is(project: Path, tiny_dataset: Path) -> None:
    shutil.rmtree(project / "tapes")
    shutil.copytree(tiny_dataset, project / "tapes/arm", ignore=shutil.ignore_patterns("decoded"))
    world = Project.open(project).world("arm")
    told = Dataset.open(tiny_dataset).spec
    assert world.spec.name == "arm" and world.spec.hud == ()
    ours = json.loads(json.dumps(world.spec.to_json()))
    assert ours == told | {"name": "arm", "hud": []}
    assert steps.recording(world) == project / "tapes/arm"


def two(root: Path) -> None:
    recipe(root, lambda text: text.replace("tapes/arm", "tapes/other"), "other")


def simulated(root: Path) -> None:
    (root / "sims").mkdir()
    (root / "sims/arm.py").write_text("class Arm(Sim):\n    pass\n")


def renamed(root: Path) -> None:
    recipe(root, lambda text: text.replace('"arm"', '"my arm"'))
    (root / "recipes/arm").rename(root / "recipes/my arm")


REFUSED: list[tuple[str, Callable[[Path], Any], str]] = [
    ("both", lambda r: recipe(r, lambda t: t + "\n[data]\nsteps = 9\nworlds = 1\nepisode_steps=9"),
     "names a dataset, and in \\[data\\] what to record"),
    ("neither", lambda r: recipe(r, lambda t: t.replace("dataset", "#")), "no such world"),
    ("two", two, "names another dataset, or another side, than denoiser.toml"),
    ("sim", simulated, "names a dataset, and the world has a sim"),
    ("gone", lambda r: shutil.rmtree(r / "tapes"), "there is no folder"),
    ("no dataset", lambda r: shutil.rmtree(r / "tapes/arm/meta"), "no LeRobotDataset"),
    ("side", lambda r: recipe(r, lambda t: t.replace("[model]", "side = 4\n[model]")),
     "side is 4; it must be a whole number from 8 to 1,024"),
    ("name", renamed, "can't name a world"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "what"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_what_cannot_be_a_world_is_refused_in_one_line(
    project: Path, change: Callable[[Path], Any], what: str
) -> None:
    change(project)
    world = "my arm" if (project / "recipes/my arm").exists() else "arm"
    with pytest.raises(UserError, match=what) as error:
        entries.Entry(Project.open(project).world(world), "denoiser").suit()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("own", "said"), [(9.0, "can be played"), (7.0, "too few to play")])
def test_the_last_line_says_what_such_a_model_is_worth(own: float, said: str) -> None:
    columns = [{"key": "front.psnr@8", "step": 8, "better": "high"}]
    rows = [
        {"name": name, "values": {"front.psnr@8": {"mean": mean}}}
        for name, mean in (("latent", own), (STILL, 8.0))
    ]
    line = playable({"columns": columns, "rows": rows, "curves": {}}, "arm/latent", 10.0)
    assert said in line and "8 steps (0.8 s)" in line and "\n" not in line


def test_the_recipe_of_the_docs_fits(project: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/learn-from-recordings.md").read_text()
    text = page.partition('```toml title="recipes/arm/latent.toml"\n')[2].partition("```")[0]
    (project / "recipes/arm/denoiser.toml").unlink()
    (project / "recipes/arm/latent.toml").write_text(text)
    build.check(Project.open(project).world("arm"), Terminal(quiet=True))
