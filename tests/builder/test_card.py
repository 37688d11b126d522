"""What a world's page tells of its spec and of what was recorded; the committed card."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from building import Lines

from builder.project.worlds import Project
from builder.site import charts, manifest, plugin, recording_sections, report, sensor_figures
from sims.driving import Driving
from sims.errors import UserError

ROOT = Path(__file__).parents[2]
SPEC = json.loads(json.dumps(Driving.spec.to_json()))


def shown(folder: Path) -> plugin.Shown:
    sim = manifest.SimSource(hash="0" * 64, module="sims.driving", sources=[])
    world = manifest.World(
        name="driving", title="Driving", spec=SPEC, sim=sim, models=[], poster=None
    )
    return plugin.Shown(world, "wm/worlds/driving-0/", 0, {}, [], folder)


@pytest.fixture(scope="module")
def driving() -> plugin.Shown:
    return shown(ROOT / "data-cards" / "driving")


def test_the_committed_card_is_of_the_committed_sim() -> None:
    world = Project.open(ROOT).world("driving")
    terminal = Lines()
    recording_sections.check(world, terminal)
    assert terminal.warnings == []
    for name in recording_sections.FORMATS:
        assert json.loads((world.card / name).read_text())["sim"] == world.hash
    assert sum(p.stat().st_size for p in world.card.iterdir()) < 1_500_000
    rates = json.loads((world.card / "rates.json").read_text())
    assert [row["name"] for row in rates["scenarios"]] == list(Driving.spec.scenarios)
    assert rates["games"] >= 100


def test_a_build_warns_of_a_card_that_is_of_another_sim(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "sims" / "driving", tmp_path / "sims" / "driving")
    (tmp_path / "mkdocs.yml").write_text("site_name: test\n")
    world = Project.open(tmp_path).world("driving")
    terminal = Lines()
    recording_sections.check(world, terminal)
    assert terminal.warnings == []  # There is none.
    world.card.mkdir(parents=True)
    (world.card / "card.json").write_text(json.dumps({"format": 1, "sim": "5" * 64}))
    (world.card / "rates.json").write_text("{")
    recording_sections.check(world, terminal)
    old, damaged = terminal.warnings
    assert "card.json is of another sim (555555555555" in old
    assert "Run: wmsite data record driving, then wmsite data card driving" in old
    assert "rates.json can't be read" in damaged and "wmsite data rates driving" in damaged
    assert recording_sections.rates_of(shown(world.card)) is None


@pytest.mark.parametrize("section", report.OF_WORLD)
def test_sections_are_well_formed_and_name_their_figures(
    section: str, driving: plugin.Shown
) -> None:
    page = report.section(driving, section, "../../")
    void = re.sub(r"(<(?:img|input)\b[^>]*?)>", r"\1/>", page).replace(" disabled", "")
    root = ElementTree.fromstring(void.replace("&nbsp;", " "))
    for image in [*root.iter("img"), *root.iter("svg")]:
        named = image.get("alt") or image.get("aria-label") or image.get("aria-hidden")
        assert named or image.get("viewBox") == "0 0 96 64", image.attrib
    for name in re.findall(r'(?:src|strip)="([^"]*)"', page):
        assert name.startswith("../../wm/worlds/driving-0/card/")
        assert driving.card / Path(name).name in recording_sections.files(driving.card)


def test_a_world_without_a_card_says_so(tmp_path: Path) -> None:
    for section in ("counts", "distributions", "samples", "conditions", "recording"):
        assert "wm-absent" in report.section(shown(tmp_path), section, "")
    # What the spec tells is there.
    for section in ("cameras", "sensors", "controls", "lidar"):
        page = report.section(shown(tmp_path), section, "")
        assert "wm-absent" not in page and "<table>" in page
    assert "<img" not in report.section(shown(tmp_path), "cameras", "")


def test_tables_say_what_the_spec_says(driving: plugin.Shown) -> None:
    page = report.section(driving, "cameras", "")
    for row in ("50 px", "48, 32", "88° × 65°", "1.2, 0, 1.5"):
        assert page.count(f"<td>{row}</td>") == 3
    assert "<td>0°</td><td>+60°</td><td>−60°</td>" in page
    page = report.section(driving, "sensors", "")
    assert page.count("<tr>") == 1 + len(SPEC["sensors"]) and "<td>m/s²</td>" in page
    page = report.section(driving, "counts", "")
    told = json.loads((driving.card / "card.json").read_text())
    assert f"<td>{told['steps']:,}</td></tr></tbody>" in page  # The sum of sums.


def test_rates_stand_beside_their_intervals(driving: plugin.Shown) -> None:
    about = {name: f"About {name}." for name in SPEC["scenarios"]}
    page = report.section(driving, "scenarios", "", None, about)
    rates = json.loads((driving.card / "rates.json").read_text())
    row = rates["scenarios"][0]["events"]["goal"]
    assert f"{row['mean']:.1f}".rstrip("0").rstrip(".") in page and "<small>" in page
    assert "About free-road." in page and f"{rates['games']} drives a scenario" in page


def test_a_fence_must_tell_of_every_scenario(driving: plugin.Shown) -> None:
    fences = plugin.WmsitePlugin()
    about = {name: "x" for name in SPEC["scenarios"]}
    assert fences._about(driving, "scenarios", about) == about
    with pytest.raises(UserError, match="lacks 'dusk'"):
        fences._about(driving, "scenarios", {k: v for k, v in about.items() if k != "dusk"})
    with pytest.raises(UserError, match="names no scenario of the world with 'moon'"):
        fences._about(driving, "scenarios", about | {"moon": "x"})
    with pytest.raises(UserError, match="is for `section: scenarios`"):
        fences._about(driving, "sensors", about)


def test_a_path_is_drawn_where_a_pinhole_sees_it() -> None:
    front, left, _ = SPEC["cameras"]
    corners = sensor_figures.lane(np.array([[5.0, 0.0], [10.0, 0.0]]))
    assert corners == [(0, 0.7), (5, 0.7), (10, 0.7), (10, -0.7), (5, -0.7), (0, -0.7)]
    drawn = [tuple(map(float, p.split(","))) for p in sensor_figures.seen(front, corners).split()]
    depth = 10 - front["place"][0]
    far = (48 - 50 * 0.7 / depth, 32 + 50 * 1.5 / depth)
    assert any(math.dist(point, far) < 0.1 for point in drawn)
    assert all(math.isfinite(v) for point in drawn for v in point)
    assert sensor_figures.seen(left, [(-5, -1), (-6, -1), (-6, -2)]) == ""
    assert sensor_figures.lane(np.zeros((10, 2))) == []  # A route's end.


def test_a_range_image_has_every_return_once() -> None:
    sensor: dict[str, Any] = next(s for s in SPEC["sensors"] if s["name"] == "lidar")
    found = np.random.default_rng(0).uniform(3, 60, (16, 128)) * (np.arange(128) % 3 > 0)
    drawn = sensor_figures.range_image(sensor, found)
    runs = re.findall(r"M(\d+),(\d+)h(\d+)v1", drawn)
    cells = {(int(y), int(x) + i) for x, y, run in runs for i in range(int(run))}
    assert cells == set(zip(*map(list, map(np.ndarray.tolist, np.nonzero(found))), strict=True))
    assert "66 % of the beams came back" in drawn


def test_a_histogram_shows_shares() -> None:
    drawn = charts.histogram("Speed", "m/s", [0.0, 1.0, 2.0, 3.0], [900, 0, 100])
    heights = [float(v) for v in re.findall(r"v-([\d.]+)h", drawn)]
    assert len(heights) == 2 and heights[0] > heights[1] >= 1
    assert "most often 0 to 1 (90 % of steps)" in drawn
    assert charts.histogram("Nothing", "", [0.0, 1.0], [0]) == ""
