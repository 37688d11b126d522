"""The verbs of `wmsite data`, on a small recording of driving."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from building import Lines

from builder import cli
from builder.commands import data, data_card, data_import, data_window
from builder.project import Project
from sims.driving import Driving
from sims.errors import UserError
from sims.host import digest
from training.dataset import Dataset

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the world of driving, whose recipe is short."""
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "sims" / "driving", folder / "sims" / "driving")
    (folder / "mkdocs.yml").write_text("site_name: test\n")
    recipe = folder / "recipes" / "driving" / "data.toml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text(
        'world = "driving"\nseed = 1\n[data]\nsteps = 120\nworlds = 3\nepisode_steps = 20\n'
        "shards = 2\nsplits = { train = 0.5, val = 0.5 }\n"
    )
    return folder


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_record_list_show_verify(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = ("-C", str(project), "data")
    code, out, _ = said(capsys, *home, "list")
    assert code == 0 and "No dataset in" in out
    code, out, _ = said(capsys, *home, "record", "driving", "--shard", "2/2")
    assert code == 0 and "shard 2/2 is there; 1 of 2 are" in out
    code, out, _ = said(capsys, *home, "list")
    assert "shard 2/2, unfinished" in out
    code, _, err = said(capsys, *home, "record", "driving", "--shard", "1/4")
    assert code == 2 and "data.shards = 2" in err
    code, out, _ = said(capsys, *home, "record", "driving")
    assert code == 0 and "120 steps" in out
    name = re.search(r"driving-\w{16}", out)
    assert name
    code, out, _ = said(capsys, *home, "list")
    assert name[0] in out and "world driving" in out and "splits:     train 60, val 60" in out
    for dataset in ("driving", name[0], str(project / ".wmsite/data" / name[0])):
        code, out, _ = said(capsys, *home, "show", dataset)
        assert code == 0 and re.search(r"sensor +lidar +observation.lidar +16 x 128 +m", out)
    code, out, _ = said(capsys, *home, "verify", "driving")
    assert code == 0 and "whole: " in out
    code, _, err = said(capsys, *home, "show", "breakout")
    assert code == 2 and "nothing in" in err and err.count("\n") == 1


def test_a_data_recipe_trains_nothing(project: Path) -> None:
    world = Project.open(project).world("driving")
    assert world.families == [] and world.data_recipe.is_file()
    assert data.recipe_of(world).data.shards == 2


def test_query(tiny_drives: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = Dataset.open(tiny_drives).episodes
    asked = ("data", "query", str(tiny_drives))
    scene, condition = rows["scenario"][0], rows["condition"][0]
    mine = (rows["scenario"] == scene) & (rows["condition"] == condition)
    code, out, _ = said(capsys, *asked, "--scenario", f"{scene}/{condition}", "--json")
    told = json.loads(out)
    assert code == 0 and told["episodes"] == mine.sum() == len(told["rows"])
    assert told["steps"] == rows["length"][mine].sum()
    code, out, _ = said(capsys, *asked, "--behaviour", "autopilot", "--least", "2", "--limit", "1")
    assert code == 0 and " more; --limit shows them" in out
    code, _, err = said(capsys, *asked, "--event", "party")
    assert code == 1 and "no event 'party'; it has collision_vehicle" in err


def test_a_window_is_one_page_that_asks_for_nothing(tiny_drives: Path, tmp_path: Path) -> None:
    out = tmp_path / "window.html"
    data_window.run(tiny_drives, Lines(), 0, 0.1, 1.0, out, False)
    page = out.read_text()
    assert "default-src 'none'" in page and not re.search(r"(src|href)=\"(?!data:)", page)
    told = json.loads(page.partition('type="application/json">')[2].partition("</script>")[0])
    count = min(20, int(Dataset.open(tiny_drives).episodes["length"][0]) - 2)
    assert told["first"] == 2 and told["count"] == count
    assert [len(view["images"]) for view in told["cameras"]] == [count] * 3
    assert [line["name"] for line in told["lines"]][-3:] == ["steer", "throttle", "brake"]
    assert len(told["scans"]) == len(told["paths"]) == 1


def test_a_window_plays(tiny_drives: Path, tmp_path: Path, browser: Any) -> None:
    out = tmp_path / "window.html"
    data_window.run(tiny_drives, Lines(), 0, 0.0, 1.0, out, False)
    page = browser.new_page(bypass_csp=True)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    page.goto(out.as_uri())
    slider = page.locator("#at")
    last = int(slider.get_attribute("max"))
    slider.press("End")
    assert f"step {last}" in page.locator("#clock").inner_text()
    page.get_by_role("button", name="Play").click()
    page.wait_for_function(f"document.getElementById('at').value === '{last}'")
    page.get_by_role("button", name="Play").wait_for()
    page.get_by_role("button", name="One step back").click()
    assert slider.get_attribute("aria-valuetext").endswith(f"step {last - 1}")
    drawn = page.evaluate(
        "[...document.querySelectorAll('canvas')].map((c) => "
        "c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v))"
    )
    assert len(drawn) > 8 and all(drawn)
    page.add_script_tag(path=str(ROOT / "node_modules/axe-core/axe.min.js"))
    found = page.evaluate("axe.run().then((r) => r.violations.map((v) => v.id))")
    assert found == [] and wrong == []
    page.close()


def test_a_card_counts_and_shows(tiny_drives: Path, tmp_path: Path) -> None:
    data_card.run(tmp_path, tiny_drives, Lines(), tmp_path / "card", False)
    told = json.loads((tmp_path / "card" / "card.json").read_text())
    assert told["steps"] == 240 == sum(map(sum, told["by"]["steps"]))
    assert sum(one["steps"] for one in told["counts"]["scenario"]) == 240
    names = {h["name"]: h for h in told["histograms"]}
    assert {"speed", "steer", "throttle"} <= set(names)
    for one in names.values():
        assert sum(one["counts"]) == 240 and len(one["edges"]) == len(one["counts"]) + 1
    assert told["samples"]
    for about in told["samples"]:
        assert (tmp_path / "card" / about["strip"]).is_file()
        sample = json.loads((tmp_path / "card" / about["file"]).read_text())
        assert all(len(line["values"]) == sample["frames"] for line in sample["lines"])
    assert sum(p.stat().st_size for p in (tmp_path / "card").iterdir()) < 1_500_000


def played(
    steps: int = 12, scenario: str = "junction/fog", seed: int = 7, steer: float = 0.1
) -> dict[str, Any]:
    """Play a game as the page's button would save it."""
    spec = Driving.spec
    sim = Driving(1)
    sim.reset(np.array([seed]), scenario)
    rows = []
    for k in range(steps):
        action = np.float32([[steer, min(1, 0.4 + 0.01 * k), 0]])
        _, over, _ = sim.step(action)
        rows.append([float(v) for v in action[0]])
        if over[0]:
            break
    return {
        "format": "wmsite-recording", "version": 1, "world": "driving", "rate": spec.rate,
        "made": "2025-11-25T22:10:03.120Z", "axes": [a.name for a in spec.axes], "actions": [],
        "sims": {"HASH": None},
        "games": [
            {
                "sim": "HASH", "edited": False, "seed": seed, "scenario": scenario,
                "begun": "2025-11-25T22:08:10.000Z", "drivers": [[0, "person"]], "steps": rows,
                "end": digest(sim.snapshot()),
            }
        ],
    }  # fmt: skip


def saved(project: Path, told: dict[str, Any], name: str = "one.wmsite.json") -> Path:
    text = json.dumps(told).replace("HASH", Project.open(project).world("driving").hash)
    (project / name).write_text(text)
    return project / name


def run(project: Path, *files: Path, **options: Any) -> Lines:
    terminal = Lines()
    asked = {"into": None, "edited": False, "skip_bad": False} | options
    data_import.run(project, list(files), terminal, **asked)
    return terminal


def test_what_a_person_drove_becomes_a_dataset(project: Path) -> None:
    told = played()
    run(project, saved(project, told))
    (folder,) = (project / ".wmsite" / "data").glob("driving-person-*")
    dataset = Dataset.open(folder, Driving.spec)
    arrays = dataset.load("train", rgb=True)
    steps = np.float32(told["games"][0]["steps"])
    assert np.array_equal(arrays.actions[: len(steps)], steps)
    found = dataset.query(behaviour="person", scenario="junction", condition="fog")
    assert found.episodes.tolist() == [0]
    sim = Driving(1)
    sim.reset(np.array([7]), "junction/fog")
    for row in range(3):
        assert np.array_equal(arrays.sensors["lidar"][row], sim.sensors()["lidar"][0])
        sim.step(arrays.actions[row : row + 1])
    (one,) = dataset.recording["imported"]
    assert one["games"] == 1 and one["steps"] == len(steps)


def test_a_game_that_ends_shows_what_the_end_left(project: Path) -> None:
    told = played(400, "free-road/clear", 7, 0.9)
    steps = len(told["games"][0]["steps"])
    assert steps < 400  # It ran into something.
    run(project, saved(project, told))
    (folder,) = (project / ".wmsite" / "data").glob("driving-person-*")
    dataset = Dataset.open(folder, Driving.spec)
    assert dataset.episodes["ended"].tolist() == ["terminated"]
    arrays = dataset.load("train", rgb=True)
    assert len(arrays.dones) == steps + 1
    assert arrays.dones[-3:].tolist() == [False, True, True] and arrays.rewards[-1] == 0


def test_into_a_dataset_that_is_there(project: Path) -> None:
    from builder.terminal import Terminal

    data.record(project, "driving", Terminal(quiet=True), None, 1, False, False)
    file = saved(project, played())
    run(project, file, into="driving")
    (folder,) = (project / ".wmsite" / "data").iterdir()
    dataset = Dataset.open(folder, Driving.spec)
    assert dataset.query(behaviour="person").episodes.tolist() == [0]
    assert len(dataset.load("train", rgb=True).frames) == 60 + len(played()["games"][0]["steps"])
    assert len(dataset.load("val", rgb=True).frames) == 60
    with pytest.raises(UserError, match="has its games already"):
        run(project, file, into="driving")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.update(format="x"), "not a recording that a page of wmsite saved"),
        (lambda t: t.update(version=2), "version 2, and this wmsite reads 1"),
        (lambda t: t.update(more=1), "key 'more' is unknown"),
        (lambda t: t.pop("games"), "key 'games' is missing"),
        (lambda t: t.update(rate=30), r"its rate is 30, and the sim's is 20"),
        (lambda t: t.update(axes=["a"]), r"its axes is \['a'\]"),
        (lambda t: t.update(sims={"f" * 64: None}), "is not among the file's"),
        (
            lambda t: (t.update(sims={"f" * 64: None}), t["games"][0].update(sim="f" * 64)),
            "game 1: played on another sim .ffffffffffff; world 'driving' is now",
        ),
        (lambda t: t["games"][0].update(end="0" * 16), "played again, it ends otherwise"),
        (lambda t: t["games"][0]["steps"].append([3, 0, 0]), "step 12 is .* out of the controls'"),
        (lambda t: t["games"][0].update(scenario="sea"), "no scenario 'sea'"),
        (lambda t: t["games"][0].update(seed=-1), "seed -1 is no whole number"),
        (
            lambda t: (t.update(sims={"HASH": {"sims/driving/ego.py": "x"}}),
                       t["games"][0].update(edited=True)),
            r"played on an edited sim \(sims/driving/ego.py\)",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_is_refused_by_name(project: Path, change: Any, said: str) -> None:
    told, good = played(), saved(project, played(seed=8), "good.wmsite.json")
    change(told)
    bad = saved(project, told)
    with pytest.raises(UserError, match=said) as caught:
        run(project, bad)
    assert str(bad) in str(caught.value) and "\n" not in str(caught.value)
    assert not list(project.glob(".wmsite/data/driving*"))
    terminal = run(project, bad, good, skip_bad=True)  # The other file's game can be used.
    assert any(re.search(said, line) for line in terminal.warnings)
    (folder,) = (project / ".wmsite" / "data").glob("driving-person-*")
    assert Dataset.open(folder).episodes["seed"].tolist() == [8]


def test_a_game_on_an_edited_sim_is_taken_when_asked(project: Path) -> None:
    path = "sims/driving/rig.py"
    text = (project / path).read_text() + "\nEDITED = True\n"
    told = played()
    told["sims"] = {"0123456789abcdef": {path: text}}
    told["games"][0] |= {"sim": "0123456789abcdef", "edited": True}
    run(project, saved(project, told), edited=True)
    (folder,) = (project / ".wmsite" / "data").glob("driving-edited-*")
    assert Dataset.open(folder).query(behaviour="person").episodes.tolist() == [0]
    told["sims"]["0123456789abcdef"] = {"../../etc/x.py": text}
    with pytest.raises(UserError, match="which is no file of that world"):
        run(project, saved(project, told, "two.wmsite.json"), edited=True)
