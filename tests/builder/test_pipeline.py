"""The real pipeline on the starter's world: train, ship, fine-tune, adopt, damage, kill."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from building import Lines, copy_of, edit, run

from builder import cache, parity, pipeline
from builder.commands import eval, train
from builder.project import Project
from builder.terminal import Terminal
from sims.errors import UserError

RECIPE = """
world = "catcher"
family = "recurrent"
seed = 1
[data]
steps = 2000
worlds = 16
episode_steps = 60
splits = { train = 0.6, val = 0.2, test = 0.2 }
[model]
channels = 32
blocks = 1
[train]
minutes = 5.0
steps = 30
batch = 4
unroll = 4
learning_rate = 2e-3
[finetune]
steps = 4
[evaluate]
seeds = 1
rollouts = 4
steps = 12
horizons = [1, 12]
[export]
variants = ["fp32"]
calibration = 8
tolerance = {}
"""


def entry(folder: Path) -> pipeline.Entry:
    return pipeline.Entry(Project.open(folder).world("catcher"), "recurrent")


def shipped(folder: Path) -> tuple[Path, dict[str, object]]:
    told = json.loads((folder / "site" / "wm" / "site.json").read_text())
    world = folder / "site" / "wm" / told["worlds"]["catcher"]
    return world.parent, json.loads(world.read_text())


@pytest.fixture(autouse=True)
def without_chromium(monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a machine that has none: parity in Chromium has tests of its own.
    monkeypatch.setenv("WMSITE_CHROMIUM", "/nowhere/chromium")
    monkeypatch.setattr(parity, "ROLLOUTS", 4)


@pytest.fixture(scope="module")
def trained(starter_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose world has a (hardly) trained model. To read only: copy it to change it."""
    folder = copy_of(starter_site, tmp_path_factory.mktemp("trained") / "project")
    (folder / "recipes" / "catcher" / "recurrent.toml").write_text(RECIPE)
    sections = ("evaluation", "architecture", "data", "curves", "rollouts", "provenance")
    fences = (f"```world-report\nworld: catcher\nsection: {s}\n```\n" for s in sections)
    (folder / "docs" / "report.md").write_text("# Report\n\n" + "\n".join(fences))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WMSITE_CHROMIUM", "/nowhere/chromium")
        patch.setattr(parity, "ROLLOUTS", 4)
        run(folder)
    return folder


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "project", symlinks=True))


def test_a_build_trains_and_ships(trained: Path) -> None:
    home, world = shipped(trained)
    (model,) = world["models"]  # type: ignore[misc]
    assert model["family"] == "recurrent" and model["macs"] > 0
    assert "fp32" in [v["name"] for v in model["variants"]]
    for variant in model["variants"]:
        step = variant["step"]
        assert cache.sha256_file(home / step["url"]) == step["sha256"]
    assert entry(trained).due() == pipeline.Due((), "it is up to date")
    page = (trained / "site" / "index.html").read_text()
    assert 'mode="overlay"' in page
    assert not list(trained.glob("weights/catcher/.*"))
    assert list((trained / ".wmsite" / "tensorboard").glob("*/events*"))


def test_the_report_shows_what_the_weights_folder_tells(trained: Path) -> None:
    page = (trained / "site" / "report" / "index.html").read_text()
    metrics = json.loads((trained / "weights/catcher/recurrent/metrics.json").read_text())
    for row in metrics["rows"]:
        assert f'<th scope="col">{row["name"]}</th>' in page
    value = metrics["rows"][0]["values"]["psnr@1"]
    assert f"<td>{value['mean']:.1f}<small>{value['low']:.1f} to {value['high']:.1f}" in page
    assert page.count("<svg viewBox") > 5 and "wm-diagram" in page and "wm-chart" in page
    strips = re.findall(r'<figure class="wm-strip"><img src="([^"]+)"', page)
    assert strips and all((trained / "site" / "report" / s).is_file() for s in strips)
    assert "<td>2,000</td>" in page and "30</td>" in page
    assert "wm-absent" not in page


def test_nothing_changed_needs_no_torch(project: Path) -> None:
    # The stamp of a folder holds for a copy of it: times are copied too.
    assert run(project).lines[-1] == "Nothing changed."
    edit(project / "docs" / "index.md", "Apples fall", "Pears fall")
    code = (
        "import sys; sys.modules['torch'] = sys.modules['onnx'] = None\n"
        "from builder import cli; cli.main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "-C", str(project), "build"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert shipped(project)[1]["models"]


def test_prose_in_a_recipe_or_sim_is_no_reason(project: Path) -> None:
    recipe = project / "recipes" / "catcher" / "recurrent.toml"
    recipe.write_text("# A comment.\n" + recipe.read_text().replace("steps = 30", "steps = 3_0"))
    edit(project / "sims" / "catcher.py", "An apple falls", "A pear falls")
    assert not entry(project).due()
    edit(recipe, "calibration = 8", "calibration = 9")
    assert entry(project).due().steps == ("graphs",)
    edit(recipe, "rollouts = 4", "rollouts = 5")
    assert entry(project).due().steps == ("evaluate", "graphs")
    edit(recipe, "batch = 4", "batch = 5")
    assert entry(project).due().steps == ("train", "evaluate", "graphs")


def test_another_sim_is_left_out_and_then_fine_tuned(project: Path) -> None:
    edit(project / "sims" / "catcher.py", "LIVES = 3", "LIVES = 4")
    terminal = run(project, train="never")
    assert "its weights are of another sim" in terminal.warnings[0]
    assert shipped(project)[1]["models"] == []
    before = entry(project).provenance
    run(project)
    after = entry(project).provenance
    assert (before["finetuned_from"], after["finetuned_from"]) == (None, "recurrent")
    assert after["steps"] == 4 and before["steps"] == 30
    assert after["keys"] == entry(project).keys
    assert shipped(project)[1]["models"]


def test_a_tidied_sim_is_adopted_and_another_is_not(project: Path) -> None:
    weights = project / "weights" / "catcher" / "recurrent" / "weights.safetensors"
    before = weights.read_bytes()
    sim = project / "sims" / "catcher.py"
    edit(sim, "landed", "arrived")
    assert "train" in entry(project).due().steps
    pipeline.adopt(entry(project), Terminal(quiet=True))
    assert entry(project).due().steps == ("evaluate", "graphs")
    assert weights.read_bytes() == before
    edit(sim, "BASKET, APPLE = 8, 2", "BASKET, APPLE = 9, 2")
    with pytest.raises(UserError, match="plays otherwise"):
        train.run(project, "catcher", Terminal(quiet=True), adopt=True)
    assert weights.read_bytes() == before


def test_a_damaged_graph_is_told_and_made_again(project: Path) -> None:
    graph = project / "weights/catcher/recurrent/graphs/step.fp32.onnx"
    whole = graph.read_bytes()
    graph.write_bytes(whole[: len(whole) // 2])
    assert entry(project).due() == pipeline.Due(("graphs",), "step.fp32.onnx is damaged or absent")
    terminal = run(project, train="never")
    assert "step.fp32.onnx is damaged" in terminal.warnings[0]
    assert shipped(project)[1]["models"] == []


def test_truncated_weights_are_one_line(project: Path) -> None:
    weights = project / "weights" / "catcher" / "recurrent" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert entry(project).due().why == "weights.safetensors is damaged"
    with pytest.raises(UserError, match="damaged"):
        eval.run(project, "catcher", Terminal(quiet=True))


def test_eval_checks_against_what_is_committed(project: Path) -> None:
    file = project / "weights" / "catcher" / "recurrent" / "metrics.json"
    committed = file.read_text()
    terminal = Lines()
    eval.run(project, "catcher", terminal, checking=True)
    assert terminal.lines[-1].endswith("no figure is worse than the committed ones.")
    assert re.search(r"^PSNR, step 1 \(dB\) +\d", terminal.lines[0], re.MULTILINE)
    better = json.loads(committed)
    value = better["rows"][0]["values"]["psnr@1"]
    better["rows"][0]["values"]["psnr@1"] = {k: v + 5 for k, v in value.items()}
    file.write_text(json.dumps(better))
    with pytest.raises(UserError, match=r"1 figures are worse .*PSNR at step 1"):
        eval.run(project, "catcher", Terminal(quiet=True), checking=True)
    eval.run(project, "catcher", Terminal(quiet=True))
    assert json.loads(file.read_text()) == json.loads(committed)


def test_a_killed_training_leaves_the_weights_and_goes_on(project: Path) -> None:
    edit(project / "recipes" / "catcher" / "recurrent.toml", "steps = 30", "steps = 60")
    folder = project / "weights" / "catcher"
    before = cache.tree_hash([folder], folder)
    command = [sys.executable, "-m", "builder.cli", "-C", str(project), "build"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ)
    )
    deadline = time.monotonic() + 60
    while not list(project.glob(".wmsite/train/*/tensorboard/*")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # Training holds its own lock: pages can be built meanwhile.
    run(project, train="never")
    with pytest.raises(UserError, match=f"process {process.pid}"):
        train.run(project, "catcher", Terminal(quiet=True))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert cache.tree_hash([folder], folder) == before
    run(project)
    assert entry(project).provenance["steps"] == 60
    assert not entry(project).due()


def test_the_committed_weights_are_what_recipe_and_code_ask_for() -> None:
    repository = Project.open(Path(__file__).parents[2])
    for world in repository.worlds.values():
        for family in world.families:
            one = pipeline.Entry(world, family)
            assert one.playable, f"{one.name}: {one.due().why}"
            assert not one.due(), f"{one.name}: {one.due().why}"
