"""The real pipeline on the starter's world: train, ship, fine-tune, adopt, damage, kill."""

from __future__ import annotations

import dataclasses
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
from building import Lines, edit, run

from builder.commands import eval, train
from builder.project import acceptance, adoption, cache, entries, steps
from builder.project.worlds import Project
from builder.terminal import Terminal
from sims.errors import UserError


def entry(folder: Path) -> entries.Entry:
    return entries.Entry(Project.open(folder).world("catcher"), "object_laws")


def shipped(folder: Path) -> tuple[Path, dict[str, object]]:
    told = json.loads((folder / "site" / "wm" / "site.json").read_text())
    world = folder / "site" / "wm" / told["worlds"]["catcher"]
    return world.parent, json.loads(world.read_text())


@pytest.fixture(autouse=True)
def without_chromium(monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a machine that has none: parity in Chromium has tests of its own.
    monkeypatch.setenv("WMSITE_CHROMIUM", "/nowhere/chromium")


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "project", symlinks=True))


def test_one_process_trains_where_none_can_be_forked(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = entry(trained).recipe
    two = dataclasses.replace(asked, train=dataclasses.replace(asked.train, ranks=2))
    assert steps.as_here(two) == two
    monkeypatch.setattr(sys, "platform", "darwin")
    assert steps.as_here(two) == asked


def test_a_build_trains_and_ships(trained: Path) -> None:
    home, world = shipped(trained)
    (model,) = world["models"]  # type: ignore[misc]
    assert model["family"] == "object_laws" and model["variants"][0]["macs"] > 0
    assert "fp32" in [v["name"] for v in model["variants"]]
    for variant in model["variants"]:
        step = variant["step"]
        assert cache.sha256_file(home / step["url"]) == step["sha256"]
    assert entry(trained).due() == entries.Due((), "it is up to date")
    page = (trained / "site" / "index.html").read_text()
    assert 'mode="overlay"' in page
    assert not list(trained.glob("weights/catcher/.*"))
    assert list((trained / ".wmsite" / "tensorboard").glob("*/events*"))


def test_the_report_shows_what_the_weights_folder_tells(trained: Path) -> None:
    page = (trained / "site" / "report" / "index.html").read_text()
    metrics = json.loads((trained / "weights/catcher/object_laws/metrics.json").read_text())
    for row in metrics["rows"]:
        assert f'<th scope="col">{row["name"]}</th>' in page
    value = metrics["rows"][0]["values"]["psnr@1"]
    assert f"<td>{value['mean']:.1f}<small>{value['low']:.1f} to {value['high']:.1f}" in page
    assert page.count("<svg viewBox") > 5 and "wm-diagram" in page and "wm-chart" in page
    strips = re.findall(r'<figure class="wm-strip"[^>]*><img src="([^"]+)"', page)
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
    recipe = project / "recipes" / "catcher" / "object_laws.toml"
    recipe.write_text("# A comment.\n" + recipe.read_text().replace("steps = 30", "steps = 3_0"))
    edit(project / "sims" / "catcher.py", "An apple falls", "A pear falls")
    assert not entry(project).due()
    edit(recipe, "calibration = 8", "calibration = 9")
    assert entry(project).due().steps == ("graphs",)
    edit(recipe, "rollouts = 4", "rollouts = 5")
    assert entry(project).due().steps == ("evaluate", "graphs")
    edit(recipe, "batch = 4", "batch = 5")
    assert entry(project).due().steps == ("train", "evaluate", "graphs")
    with pytest.raises(UserError, match="'train' of its recipe is not what its weights were made"):
        adoption.adopt(entry(project), Terminal(quiet=True))


def test_another_budget_trains_new_weights_which_then_stay(project: Path) -> None:
    recipe = project / "recipes" / "catcher" / "object_laws.toml"
    more = "[budget.gpu.train]\nsteps = 6\n[budget.gpu.data]\nsteps = 3000\n[finetune.train]"
    edit(recipe, "[finetune.train]", more)
    assert not entry(project).due()  # The weights are still those of the recipe as written.
    with pytest.raises(UserError, match=r"has a budget 'gpo'; they have gpu\. Run: "):
        train.run(project, "catcher", Terminal(quiet=True), budget="gpo")
    train.run(project, "catcher", Terminal(quiet=True), budget="gpu")
    told = entry(project).provenance
    # It is not fine-tuned from the weights of the other budget.
    assert (told["steps"], told["finetuned_from"]) == (6, None)
    assert (told["recipe"]["spent"], told["recipe"]["data"]["steps"]) == ("gpu", 3000)
    assert not entry(project).due()
    world = Project.open(project).world("catcher")
    assert "train" in entries.Entry(world, "object_laws", "").due().steps
    adoption.adopt(entry(project), Terminal(quiet=True))


def test_tidied_training_code_asks_for_no_figures_anew(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(entries.CODE, "train", ("training.trainer.train", "training.data.windows"))
    assert entry(project).due().steps == ("train", "evaluate", "graphs")
    adoption.adopt(entry(project), Terminal(quiet=True))
    assert not entry(project).due()


def test_another_sim_is_left_out_then_refused_and_then_fine_tuned(project: Path) -> None:
    edit(project / "sims" / "catcher.py", "LIVES = 3", "LIVES = 4")
    terminal = run(project, train="never")
    assert "its weights are of another sim" in terminal.warnings[0]
    assert shipped(project)[1]["models"] == []
    # Until a new one is there, the old model can be shown: marked, and where it fits.
    run(project, train="later")
    (model,) = shipped(project)[1]["models"]  # type: ignore[misc]
    assert model["older"].startswith("This model was made for the sim as it was before")
    # So is one that is not to follow edits by itself.
    recipe = project / "recipes" / "catcher" / "object_laws.toml"
    edit(recipe, "seed = 1", "seed = 1\nfollows = false")
    run(project)
    (model,) = shipped(project)[1]["models"]  # type: ignore[misc]
    assert model["older"].startswith("This model was made for the sim as it was before")
    edit(recipe, "follows = false", "follows = true")
    # What has not learned the edited sim leaves the old one.
    asked = "[finetune.evaluate]\naccept = 100\n"  # more than it learns
    edit(recipe, "[finetune.data]", f"{asked}[finetune.data]")
    before = entry(project).provenance
    (said,) = [line for line in run(project).warnings if "did not learn" in line]
    assert re.search(r"moved pixels right at step 12: \d+ %, 100 % are asked; the model of", said)
    assert entry(project).provenance == before
    (model,) = shipped(project)[1]["models"]  # type: ignore[misc]
    assert model["older"] == said
    # It is not tried again, until something that decides it is edited.
    assert run(project).warnings == [said]
    edit(recipe, "accept = 100", "accept = 0")
    assert said not in run(project).warnings
    after = entry(project).provenance
    assert (before["finetuned_from"], after["finetuned_from"]) == (None, "object_laws")
    assert after["steps"] == 4 and before["steps"] == 30
    assert after["keys"] == entry(project).keys
    assert after["recipe"]["data"]["steps"] == 1000
    (model,) = shipped(project)[1]["models"]  # type: ignore[misc]
    assert model["older"] == ""
    assert run(project).lines[-1] == "Nothing changed."


def test_a_model_that_does_not_fit_the_edited_sim_is_not_shown(project: Path) -> None:
    sim = project / "sims" / "catcher.py"
    assert acceptance.fits(entry(project))
    edit(sim, 'chance=("', 'chance=("more", "')
    assert not acceptance.fits(entry(project))


def test_what_counts_as_learned_is_the_recipes(tmp_path: Path) -> None:
    breakout = entries.Entry(
        Project.open(Path(__file__).parents[2]).world("breakout"), "object_laws"
    )
    breakout.tuning, breakout.home = True, tmp_path
    asked = breakout.recipe.evaluate
    for mean, learned in ((asked.accept + 1, True), (asked.accept - 1, False), (None, False)):
        figure = None if mean is None else {"mean": mean}
        values = {f"ball_held@{max(asked.horizons)}": figure}
        (tmp_path / "metrics.json").write_text(json.dumps({"rows": [{"values": values}]}))
        why = acceptance.shortfall(breakout, tmp_path)
        assert (why == "") is learned
    assert "at step 30: 0 %, 50 % are asked; the model of the sim before stays" in why
    assert acceptance.refused(breakout) == ""
    acceptance.refuse(breakout, why)
    assert acceptance.refused(breakout) == why


def test_a_tidied_sim_is_adopted_and_another_is_not(project: Path) -> None:
    weights = project / "weights" / "catcher" / "object_laws" / "weights.safetensors"
    before = weights.read_bytes()
    sim = project / "sims" / "catcher.py"
    edit(sim, "landed", "arrived")
    assert "train" in entry(project).due().steps
    adoption.adopt(entry(project), Terminal(quiet=True))
    assert entry(project).due().steps == ("evaluate", "graphs")
    assert weights.read_bytes() == before
    edit(sim, "BASKET, APPLE = 8, 2", "BASKET, APPLE = 9, 2")
    with pytest.raises(UserError, match="plays otherwise"):
        train.run(project, "catcher", Terminal(quiet=True), adopt=True)
    assert weights.read_bytes() == before


def test_a_damaged_graph_is_told_and_made_again(project: Path) -> None:
    graph = project / "weights/catcher/object_laws/graphs/step.fp32.onnx"
    whole = graph.read_bytes()
    graph.write_bytes(whole[: len(whole) // 2])
    assert entry(project).due() == entries.Due(("graphs",), "step.fp32.onnx is damaged or absent")
    terminal = run(project, train="never")
    assert "step.fp32.onnx is damaged" in terminal.warnings[0]
    assert shipped(project)[1]["models"] == []


def test_truncated_weights_are_one_line(project: Path) -> None:
    weights = project / "weights" / "catcher" / "object_laws" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert entry(project).due().why == "weights.safetensors is damaged"
    with pytest.raises(UserError, match="damaged"):
        eval.run(project, "catcher", Terminal(quiet=True))


def test_eval_checks_against_what_is_committed(project: Path) -> None:
    file = project / "weights" / "catcher" / "object_laws" / "metrics.json"
    committed = file.read_text()
    terminal = Lines()
    eval.run(project, "catcher", terminal, checking=True)
    assert terminal.lines[-1].endswith("no figure is worse than the committed ones.")
    assert re.search(r"^PSNR, step 1 \(dB\) +\d", "\n".join(terminal.lines), re.MULTILINE)
    better = json.loads(committed)
    value = better["rows"][0]["values"]["psnr@1"]
    better["rows"][0]["values"]["psnr@1"] = {k: v + 5 for k, v in value.items()}
    file.write_text(json.dumps(better))
    report = project / "report.json"
    with pytest.raises(UserError, match=r"1 figure worse than .*PSNR at step 1"):
        eval.run(project, "catcher", Terminal(quiet=True), checking=True, reports=[report])
    worse = [one for one in json.loads(report.read_text())["catcher/object_laws"] if one["worse"]]
    assert [one["name"] for one in worse] == ["PSNR at step 1"]
    with pytest.raises(UserError, match=r"is of what --check compares. Run: wmsite eval"):
        eval.run(project, "catcher", Terminal(quiet=True), reports=[report])
    eval.run(project, "catcher", Terminal(quiet=True))
    assert json.loads(file.read_text()) == json.loads(committed)


def test_a_killed_training_leaves_the_weights_and_goes_on(project: Path) -> None:
    edit(project / "recipes" / "catcher" / "object_laws.toml", "steps = 30", "steps = 60")
    folder = project / "weights" / "catcher"
    before = cache.tree_hash([folder], folder)
    command = [sys.executable, "-m", "builder.cli", "-C", str(project), "build"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ)
    )
    deadline = time.monotonic() + 180
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


REPOSITORY = Project.open(Path(__file__).parents[2])


@pytest.mark.parametrize(
    ("world", "family"), [(w.name, f) for w in REPOSITORY.worlds.values() for f in w.families]
)
def test_the_committed_weights_are_what_recipe_and_code_ask_for(world: str, family: str) -> None:
    one = entries.Entry(REPOSITORY.world(world), family)
    assert one.playable, f"{one.name}: {one.due().why}"
    assert not one.due(), f"{one.name}: {one.due().why}"
