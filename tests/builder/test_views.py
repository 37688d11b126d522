"""A view of a sensor is one file: in a project of one's own it shows games and recordings alike."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builder import chromium
from builder.commands import data_window
from builder.site import camera_layout, render, sensor_figures, views
from sims.driving import Driving, rig
from sims.errors import UserError
from training.data import windows
from training.data.dataset import Dataset

ROOT = Path(__file__).parents[2]
BARS = """// The farthest of a range image, in words.

import { h } from "../element/dom.js";

export const fits = ({ shape }) => shape.length === 2;

export class View {
  constructor(sensor) {
    this.sensor = sensor;
    this.element = h("output", { class: "mine" });
  }

  draw(readings) {
    this.element.textContent = `${Math.max(...readings.view(this.sensor)).toFixed(0)} m`;
  }
}
"""
# What the page does with a spec, and with one that asks for a view a second time.
PLAY = """
async ([app, spec, where, files]) => {
    const { Instruments, loadViews } = await import(app + "views/registry.js");
    const said = (error) => error.message;
    const refused = await loadViews(spec, where, files && new Set(files)).catch(said);
    if (refused) return refused;
    const instruments = new Instruments();
    instruments.build(spec);
    document.body.append(instruments.element);
    instruments.draw({ read: () => 1, view: () => Float64Array.of(3, 7, 5), action: null });
    return instruments.element.innerText;
}
"""


def sensors(show: str) -> list[dict[str, Any]]:
    """Return driving's sensors; the range image is shown in another way."""
    found: list[dict[str, Any]] = Driving.spec.to_json()["sensors"]
    return [one | {"show": show} if one["show"] == "scan" else one for one in found]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "views").mkdir()
    (tmp_path / "views" / "bars.js").write_text(BARS)
    return tmp_path


def test_a_view_that_is_not_there_is_named_with_the_nearest(project: Path) -> None:
    for show in ("", "bars", "gauge", "scan", "path"):
        views.check(sensors(show), project, "sims/driving")
    # What views draw on is no view.
    for show in ("bar", "cameras", "from-above", "../dom"):
        with pytest.raises(UserError, match=rf"sensor 'lidar' has show='{re.escape(show)}'"):
            views.check(sensors(show), project, "sims/driving")
    with pytest.raises(UserError, match="nearest is 'bars'"):
        views.check(sensors("bar"), project, "sims/driving")


def test_a_page_takes_a_view_by_its_name(project: Path, browser: Any) -> None:
    out = project / "wm"
    plain, _ = render.app(out)
    name, files = render.app(out, views.own(project))
    assert name != plain and "views/bars.js" in files
    (out / "index.html").write_text("<!doctype html><title>t</title><body></body>")
    (out / name / "views" / "bars.js").rename(project / "late.js")
    lidar = [one for one in sensors("bars") if one["name"] == "lidar"]
    spec = {"cameras": [], "axes": [], "sensors": lidar}
    asked = browser.new_page()
    with chromium.serve_folder(out, base="/x/") as url:
        asked.goto(url)
        app = f"{url}{name}/"
        # A sim that was edited names no file that the site does not list.
        assert "not in site.json" in asked.evaluate(PLAY, [app, spec, "it", []])
        told = asked.evaluate(PLAY, [app, spec, "it"])
        assert told.startswith('it.sensors: the page has no view "bars" (bars.js: ')
        # A second try finds what has come since.
        (project / "late.js").rename(out / name / "views" / "bars.js")
        assert asked.evaluate(PLAY, [app, spec, "it"]).strip() == "7 m"
        spec["sensors"] = [lidar[0] | {"shape": [3]}]
        told = asked.evaluate(PLAY, [app, spec, "it"])
        assert told == 'it.sensors: "lidar" of shape [3] can\'t be shown as a bars'
        spec["sensors"] = [lidar[0] | {"show": "../element/dom"}]
        assert "no name of a view" in asked.evaluate(PLAY, [app, spec, "it"])
    asked.close()


def test_a_window_of_a_recording_takes_it_too(
    project: Path, tiny_drives: Path, browser: Any
) -> None:
    dataset = Dataset.open(tiny_drives)
    dataset.spec["sensors"] = sensors("bars")
    window = windows.read(dataset, 0, 0, 5)
    text = data_window.page(dataset, window, project)
    (project / "window.html").write_text(text)
    shown = browser.new_page()
    shown.goto((project / "window.html").as_uri())
    shown.wait_for_selector(".mine")
    farthest = float(window.columns["observation.lidar"][0].max())
    assert abs(float(shown.inner_text(".mine").removesuffix(" m")) - farthest) <= 0.5
    shown.close()


def test_cameras_of_any_sizes_lie_alike_in_the_page_and_in_the_builder() -> None:
    def camera(width: int, height: int, yaw: float = 0.0) -> dict[str, Any]:
        return {"width": width, "height": height, "yaw": yaw, "name": "", "focal": 1.0}

    worlds = [
        [camera(96, 64), camera(96, 64, 1.0), camera(96, 64, -1.0)],
        [camera(64, 64)],
        [camera(96, 64), camera(40, 31, 1.0), camera(60, 80, -1.0)],
        [camera(64, 64), camera(32, 48)],
        [camera(200, 100), camera(20, 20, 0.5)],
    ]
    code = """const { arrange } = await import(process.argv[1]);
        const said = (cameras) => [arrange(cameras, false), arrange(cameras, true)];
        console.log(JSON.stringify(JSON.parse(process.argv[2]).map(said)));"""
    module = (views.FOLDER / "cameras.js").as_uri()
    command = ["node", "--input-type=module", "--eval", code, module, json.dumps(worlds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    for cameras, (wide, narrow) in zip(worlds, json.loads(done.stdout), strict=True):
        width, height, places = camera_layout.places(cameras)
        assert (width, height) == (wide["width"], wide["height"])
        assert places == [(p["x"], p["y"], p["scale"]) for p in wide["places"]]
        found = camera_layout.size(cameras, narrow=True)
        assert found == (narrow["width"], narrow["height"])
    # Each camera's own pixels, from the top left corner of its plane.
    planes = np.full((3, 80, 96, 3), 9, np.uint8)
    for plane, one in zip(planes, worlds[2], strict=True):
        plane[: one["height"], : one["width"]] = 200
    assert not (camera_layout.compose(planes, worlds[2]) == 9).any()


def test_the_car_is_one_size_in_all_of_them() -> None:
    text = (views.FOLDER / "from-above.js").read_text()
    found = re.search(r"VEHICLE = \{ length: ([\d.]+), width: ([\d.]+) \}", text)
    assert found and (float(found[1]), float(found[2])) == (rig.LENGTH, rig.WIDTH)
    assert sensor_figures.VEHICLE == (rig.LENGTH, rig.WIDTH)
    scripts = [*ROOT.glob("site_template/player/**/*.js"), *ROOT.glob("site_template/window/*.js")]
    assert sum("VEHICLE =" in script.read_text() for script in scripts) == 1
