"""The verbs of `wmsite data`, on a small recording of driving."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from building import Lines, said

from builder.commands import data, data_card, data_rates, data_window
from builder.project.worlds import Project
from sims.driving import Driving
from sims.errors import UserError
from training.data.dataset import Dataset

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow  # Recordings, and processes that play what they hold.
EGO = "sims/driving/ego.py"


def test_record_list_show_verify(driving_project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = ("-C", str(driving_project), "data")
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
    for dataset in ("driving", name[0], str(driving_project / ".wmsite/data" / name[0])):
        code, out, _ = said(capsys, *home, "show", dataset)
        assert code == 0 and re.search(r"sensor +lidar +observation.lidar +16 x 128 +m", out)
    code, out, _ = said(capsys, *home, "verify", "driving")
    assert code == 0 and "whole: " in out
    code, _, err = said(capsys, *home, "show", "breakout")
    assert code == 2 and "nothing in" in err and err.count("\n") == 1


def test_a_data_recipe_trains_nothing(driving_project: Path) -> None:
    world = Project.open(driving_project).world("driving")
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
    assert [len(images) for images in told["images"].values()] == [count] * 3
    assert [line["name"] for line in told["lines"]][-3:] == ["steer", "throttle", "brake"]
    assert [one["name"] for one in told["arrays"]] == ["waypoints", "lidar"]


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


def test_a_card_counts_and_shows(driving_project: Path, tiny_drives: Path, tmp_path: Path) -> None:
    data_card.run(driving_project, tiny_drives, Lines(), tmp_path / "card", False)
    told = json.loads((tmp_path / "card" / "card.json").read_text())
    assert told["steps"] == 240 == sum(map(sum, told["by"]["steps"]))
    assert told["sim"] == Project.open(driving_project).world("driving").hash
    assert sum(one["steps"] for one in told["counts"]["scenario"]) == 240
    names = {h["name"]: h for h in told["histograms"]}
    assert {"speed", "steer", "throttle"} <= set(names)
    for one in names.values():
        assert sum(one["counts"]) == 240 and len(one["edges"]) == len(one["counts"]) + 1
    assert len({s["episode_index"] for s in told["samples"]}) == len(told["samples"]) == 4
    for sample in told["samples"]:
        assert (tmp_path / "card" / sample["strip"]).is_file()
        plays = json.loads((tmp_path / "card" / sample["file"]).read_text())
        assert all(len(values) == sample["frames"] for values in plays["lines"].values())
        assert len(plays["paths"]["waypoints"]) == sample["frames"]
    seen = set(Dataset.open(tiny_drives).episodes["condition"])
    assert [s["condition"] for s in told["stills"]] == [
        c for c in Driving.spec.conditions if c in seen
    ]
    assert sum(p.stat().st_size for p in (tmp_path / "card").iterdir()) < 1_500_000


def test_a_card_is_of_the_sim_that_is_here(tiny_drives: Path) -> None:
    class Faster(Driving):
        def sensors(self) -> dict[str, Any]:
            found = super().sensors()
            return found | {"speed": found["speed"] + np.float32(1e-6)}

    dataset = Dataset.open(tiny_drives)
    data_card.play_again(dataset, Driving, 0)
    with pytest.raises(UserError, match=r"another sim.*speed differs in row 0 of episode 0"):
        data_card.play_again(dataset, Faster, 0)


def test_rates_count_what_each_game_would_alone() -> None:
    class Short(Driving):
        spec = dataclasses.replace(Driving.spec, max_steps=50)

    told = data_rates.measure(Short, "random", "junction", 6)
    ended = {name: 0 for name in (*Short.spec.events, data_rates.LASTED)}
    ticks = 0
    for seed in range(data_rates.SEED, data_rates.SEED + 6):
        sim = Short(1)
        sim.reset(np.array([seed], np.int64), "junction")
        happened, terminated = set(), np.zeros(1, np.bool_)
        for _ in range(50):
            ticks += not terminated[0]
            _, terminated, _ = sim.step(sim.act("random"))
            happened |= {name for name, found in sim.events().items() if found[0]}
        for name in happened | ({data_rates.LASTED} if not terminated[0] else set()):
            ended[name] += 1
    assert {k: round(v["mean"] * 6 / 100) for k, v in told["events"].items()} == ended
    assert ended["off_road"] and told["seconds"] == pytest.approx(ticks / 6 / 20, abs=0.01)
    assert all(v["low"] <= v["mean"] <= v["high"] for v in told["events"].values())
