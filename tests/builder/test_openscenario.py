"""`wmsite data scenario`: games of a driving sim as OpenSCENARIO, checked against ASAM's schema."""

from __future__ import annotations

import importlib.metadata
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from builder import cli
from builder.export import openscenario
from sims.driving import Driving
from sims.driving.road_users import ROAD_USERS
from sims.road_users import road_users_of

STEPS = 100


@pytest.fixture(scope="module")
def schema() -> object:
    """The published schema, which the package scenariogeneration contains."""
    etree = pytest.importorskip("lxml.etree")
    try:
        package = importlib.metadata.distribution("scenariogeneration")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("scenariogeneration is not installed: make test installs it")
    return etree.XMLSchema(etree.parse(str(package.locate_file("schemas/OpenSCENARIO_1_2.xsd"))))


@pytest.mark.parametrize(
    "scenario", ["cut-in", "late-pedestrian/fog", "roundabout/rain", "free-road", "cyclist/dusk"]
)
def test_it_keeps_to_the_schema(scenario: str, schema: object) -> None:
    etree = pytest.importorskip("lxml.etree")
    told = openscenario.game(Driving, ROAD_USERS, 3, scenario, STEPS)
    text = openscenario.document(told, Driving.spec.rate, scenario)
    schema.assertValid(etree.fromstring(text.encode()))  # type: ignore[attr-defined]
    assert text == openscenario.document(told, Driving.spec.rate, scenario)


def test_road_users_drive_as_they_do_in_the_sim() -> None:
    told = openscenario.game(Driving, ROAD_USERS, 3, "dense-traffic", 600)
    found = openscenario.tracks(told)
    assert found[0].name == openscenario.EGO and len({one.name for one in found}) == len(found)
    assert any(one.first for one in found) and any(one.leaves for one in found)
    seen = 0
    for track in found:
        back = 0.0 if track.name.startswith("ped") else openscenario.AXLES * track.size[0] / 2
        middle = track.places[:, :2] + back * np.stack(
            [np.cos(track.places[:, 2]), np.sin(track.places[:, 2])], 1
        )
        for k, place in enumerate(middle):
            users = told[track.first + k].place[0, :, :2]
            assert np.abs(users - place).sum(1).min() < 1e-9
        assert (np.hypot(*np.diff(middle, axis=0).T) < openscenario.JUMP).all()
        seen += len(track.places)
    assert seen == sum(int((one.kind[0] > 0).sum()) for one in told)


def test_the_file_says_when_they_come_and_go(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "drive.xosc"
    asked = ["data", "scenario", "driving", "cut-in/rain", "--seed", "3", "--seconds", "4"]
    with pytest.raises(SystemExit) as ended:
        cli.main([*asked, "--out", str(out)])
    assert not ended.value.code and "4 s, " in capsys.readouterr().out
    root = ET.fromstring(out.read_text())
    names = [one.get("name") for one in root.iter("ScenarioObject")]
    assert names[0] == "ego" and len(names) > 3
    followed = {one.get("entityRef") for one in root.iter("EntityRef")}
    assert followed == set(names) - {"ego"}
    times = [float(one.get("time", "-1")) for one in root.iter("Vertex")]
    assert min(times) == 0 and max(times) == 4
    rain = next(root.iter("Precipitation"))
    assert rain.get("precipitationType") == "rain"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["breakout"], "it tells no road users"),
        (["driving", "nowhere"], "no scenario 'nowhere'; it has free-road"),
        (["driving", "cut-in", "--seconds", "0"], "is not in the range 0<x<=3600"),
        (["driving", "cut-in", "--out", "{here}/notes.txt"], "that wmsite did not write"),
    ],
)
def test_what_can_not_be_written_is_one_line(
    asked: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    asked = [part.replace("{here}", str(tmp_path)) for part in asked]
    with pytest.raises(SystemExit) as ended:
        cli.main(["data", "scenario", *asked])
    err = capsys.readouterr().err
    assert ended.value.code == 2 and said in err and err.count("\n") == 1
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_world_tells_its_road_users_or_does_not() -> None:
    assert road_users_of("driving") and road_users_of("breakout") is None
