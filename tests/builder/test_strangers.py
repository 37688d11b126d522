"""Weights, cards and datasets that somebody else made: no name in them leads out, no data runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from building import Lines, edit

from builder.project import cache, steps, weights
from builder.project.entries import Entry
from builder.project.worlds import PACKAGES, Project
from builder.site import manifest, plugin, recording_sections, report, world_folder
from sims.breakout import Breakout
from sims.errors import UserError
from training.data.dataset import Dataset

SECRET = "the user's own"


@pytest.fixture(scope="module")
def keys() -> dict[str, str]:
    """The keys of the shipped model, of which no test here changes any."""
    return Entry(Project(PACKAGES).world("breakout"), "object_laws").keys_of(False)


@pytest.fixture
def entry(tmp_path: Path, keys: dict[str, str]) -> Entry:
    """The shipped model, its weights folder a copy to change."""
    entry = Entry(Project(PACKAGES).world("breakout"), "object_laws")
    entry._keys[False] = keys
    entry.weights = tmp_path / "project" / "weights" / "breakout" / "object_laws"
    shutil.copytree(PACKAGES / "weights" / "breakout" / "object_laws", entry.weights)
    (tmp_path / "secret").write_text(SECRET)
    return entry


def told_of(entry: Entry, change: Callable[[dict[str, Any]], object]) -> None:
    file = entry.weights / "graphs" / "model.json"
    told = json.loads(file.read_text())
    change(told)
    file.write_text(json.dumps(told))


def put(told: dict[str, Any], file: Path, url: str) -> None:
    """Let the first variant name a file, by its true hash."""
    told["variants"][0]["step"] = {
        "url": url, "sha256": cache.sha256_file(file), "bytes": file.stat().st_size
    }  # fmt: skip


def code(entry: Entry) -> None:
    """What replaced the source of Breakout: the graph is code, and the family a way to sources."""
    (entry.weights / "graphs" / "breakout.py").write_text("print('mine now')")
    file = entry.weights / "graphs" / "breakout.py"
    told_of(entry, lambda told: put(told, file, "breakout.py"))
    told_of(entry, lambda told: told.update(family="../" * 5 + "sims"))


def up(entry: Entry) -> None:
    secret = entry.weights.parents[3] / "secret"
    told_of(entry, lambda told: put(told, secret, "../" * 5 + "secret"))


def absolute(entry: Entry) -> None:
    secret = entry.weights.parents[3] / "secret"
    told_of(entry, lambda told: put(told, secret, str(secret)))


def page(entry: Entry) -> None:
    file = entry.weights / "graphs" / "x.html"
    file.write_text("<script>alert(1)</script>")
    told_of(entry, lambda told: put(told, file, "x.html"))


def family(entry: Entry) -> None:
    told_of(entry, lambda told: told.update(family="../../../../../sims"))


def link(entry: Entry, name: str) -> None:
    file = entry.weights / name
    file.unlink(missing_ok=True)
    file.symlink_to(entry.weights.parents[3] / "secret")


def folder(entry: Entry) -> None:
    shutil.rmtree(entry.weights / "figures")
    (entry.weights / "figures").symlink_to(entry.weights.parents[3])


def figure(entry: Entry) -> None:
    (entry.weights / "figures" / "x.svg").write_text("<svg onload='alert(1)'/>")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (code, "names 'breakout.py', and such a file ends in .onnx"),
        (up, "no plain file inside"),
        (absolute, "no plain file inside"),
        (page, "such a file ends in .onnx"),
        (family, "says family '../../../../../sims', and its place says 'object_laws'"),
        (lambda entry: link(entry, "graphs/step.fp32.onnx"), "is a link"),
        (lambda entry: link(entry, "figures/rollout-0.png"), "is a link"),
        (lambda entry: link(entry, "figures/more.png"), "is a link"),
        (lambda entry: link(entry, "metrics.json"), "is a link"),
        (folder, "is a link"),
        (figure, "such a file ends in .png"),
    ],
)
def test_weights_name_plain_files_of_their_own(
    entry: Entry, tmp_path: Path, damage: Callable[[Entry], object], said: str
) -> None:
    damage(entry)
    before = (PACKAGES / "sims/breakout/__init__.py").read_bytes()
    with pytest.raises(UserError) as failed:
        steps.prepare(entry, "never", Lines())
        world_folder.assemble(entry.world, tmp_path / "out", [world_folder.model(entry)])
    assert said in str(failed.value) and "\n" not in str(failed.value)
    assert (PACKAGES / "sims/breakout/__init__.py").read_bytes() == before
    shipped = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert not [file for file in shipped if SECRET in file.read_text(errors="replace")]
    assert sorted(p.name for p in tmp_path.iterdir()) in (
        ["project", "secret"], ["out", "project", "secret"]
    )  # fmt: skip


def test_no_copy_follows_a_link(entry: Entry, tmp_path: Path) -> None:
    link(entry, "figures/rollout-0.png")
    with pytest.raises(UserError, match="is a link"):
        weights.copy(entry.weights, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_strips_are_of_the_weights_folder(entry: Entry) -> None:
    metrics = json.loads((entry.weights / "metrics.json").read_text())
    metrics["strips"] = [{"file": "../../../../secret.png", "steps": [1]}]
    (entry.weights / "metrics.json").write_text(json.dumps(metrics))
    model, _ = world_folder.model(entry)
    with pytest.raises(UserError, match="no plain file"):
        report.rollouts(model, entry.weights, "home")


@pytest.mark.parametrize("text", ['{"rows": NaN}', '{"steps": 1e999}', "[1]", "{"])
def test_figures_that_are_none_are_refused(entry: Entry, text: str) -> None:
    (entry.weights / "metrics.json").write_text(text)
    with pytest.raises(UserError, match=r"metrics\.json can't be used: it holds n"):
        world_folder.model(entry)


def test_provenance_speaks_of_the_very_files_that_lie_beside_it(entry: Entry) -> None:
    assert entry.damaged() is None
    graph = next((entry.weights / "graphs").glob("*.int8.onnx"))
    graph.write_bytes(graph.read_bytes()[:-1] + b"!")
    told = json.loads((entry.weights / "graphs" / "model.json").read_text())
    for variant in told["variants"]:
        if variant["step"]["url"] == graph.name:
            variant["step"]["sha256"] = cache.sha256_file(graph)
    (entry.weights / "graphs" / "model.json").write_text(json.dumps(told))
    assert entry.damaged() == f"graphs/{graph.name}", "model.json agrees, the provenance doesn't"
    weights.seal(entry.weights)
    assert entry.damaged() is None
    made = entry.weights / weights.WEIGHTS
    made.write_bytes(made.read_bytes()[:-1] + b"!")
    assert entry.damaged() == weights.WEIGHTS
    model, _ = world_folder.model(entry)
    assert set(model.provenance["files"]) > {weights.WEIGHTS, f"graphs/{graph.name}"}


def test_a_script_in_data_never_runs(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inline scripts of a page are allowed by their hash, so none of them may come from data."""
    metrics = json.loads((entry.weights / "metrics.json").read_text())
    metrics["setup"]["rollouts"] = "<SCRIPT>alert(1)</script>"
    (entry.weights / "metrics.json").write_text(json.dumps(metrics))
    model, _ = world_folder.model(entry)
    world = manifest.World(
        name="breakout", title="Breakout", spec=Breakout.spec.to_json(), models=[model],
        poster=None, sim=manifest.SimSource(hash="", module="sims.breakout", sources=[]),
    )  # fmt: skip
    shown = plugin.Shown(
        world, "wm/", 0, {"object_laws": entry.weights}, ["object_laws"], Path("none")
    )
    build = plugin.Build(Lines(), {"breakout": shown}, "app", Path("none"))
    monkeypatch.setattr(plugin, "current", build)
    asked = plugin.WmsitePlugin()
    asked.page = type("Page", (), {"url": "", "file": type("File", (), {"src_uri": "x.md"})})()
    assert asked._report("world: breakout\nsection: evaluation") == ""
    assert "holds a script" in str(asked.fault)


CARDS = [
    (("samples", 0, "file"), "../../../mkdocs.yml", "no plain file"),
    (("samples", 1, "strip"), "/etc/passwd", "no plain file"),
    (("samples", 0, "poster"), "x.html", "such a file ends in .webp"),
    (("stills", 0, "file"), 'x.webp" onerror="x', "no plain file"),
    (("stills", 0, "file"), "link.webp", "is a link"),
]


@pytest.mark.parametrize(("where", "name", "said"), CARDS)
def test_cards_name_plain_files_of_their_own(
    tmp_path: Path, where: tuple[str, int, str], name: str, said: str
) -> None:
    home = tmp_path / "card"
    shutil.copytree(PACKAGES / "data-cards" / "driving", home)
    assert len(recording_sections.files(home)) == 16
    (home / "link.webp").symlink_to("/etc/passwd")
    told = json.loads((home / "card.json").read_text())
    told[where[0]][where[1]][where[2]] = name
    (home / "card.json").write_text(json.dumps(told))
    for ask in (
        recording_sections.files,
        lambda folder: recording_sections.read(folder, "card.json"),
    ):
        with pytest.raises(UserError, match=said):
            ask(home)


@pytest.mark.parametrize("name", ["meta/info.json", "meta/wmsite/recording.json", "decoded", "x"])
def test_datasets_hold_no_links(tiny_dataset: Path, tmp_path: Path, name: str) -> None:
    copy = Path(shutil.copytree(tiny_dataset, tmp_path / "copy"))
    there = copy / name
    if there.is_file():
        there.rename(tmp_path / "moved")
        there.symlink_to(tmp_path / "moved")
    else:
        shutil.rmtree(there, ignore_errors=True)
        there.symlink_to(tmp_path)
    with pytest.raises(UserError, match="is a link"):
        Dataset.open(copy)


def test_a_datasets_world_is_a_name(tiny_dataset: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_dataset, tmp_path / "copy"))
    file = copy / "meta" / "wmsite" / "recording.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"world": "../../x"}))
    with pytest.raises(UserError, match="its world has no name"):
        Dataset.open(copy)


def test_weights_of_another_family_count_as_none(entry: Entry) -> None:
    """As after a family was renamed: what is there cannot be loaded, measured or tuned."""
    file = entry.weights / "provenance.json"
    edit(file, '"family": "object_laws"', '"family": "recurrent"')
    terminal = Lines()
    assert not steps.prepare(entry, "never", terminal)
    assert "its weights are of family 'recurrent'" in terminal.warnings[0]
    assert terminal.warnings[0].endswith("Run: wmsite train breakout")
    assert not entry.trained and not entry.playable and not entry.provenance
