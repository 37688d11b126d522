"""Games that people saved in the page become datasets; what cannot is refused by name."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from building import Lines, said

from builder.commands import data, data_import
from builder.project.worlds import Project
from sims.driving import Driving
from sims.errors import UserError
from sims.host import digest
from training.data import saved_games
from training.data.dataset import Dataset

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow  # Recordings, and processes that play what they hold.
EGO = "sims/driving/ego.py"


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


def saved(driving_project: Path, told: dict[str, Any], name: str = "one.wmsite.json") -> Path:
    text = json.dumps(told).replace("HASH", Project.open(driving_project).world("driving").hash)
    (driving_project / name).write_text(text)
    return driving_project / name


def run(driving_project: Path, *files: Path, **options: Any) -> Lines:
    terminal = Lines()
    asked = {"into": None, "edited": False, "skip_bad": False} | options
    data_import.run(driving_project, list(files), terminal, **asked)
    return terminal


def test_what_a_person_drove_becomes_a_dataset(driving_project: Path) -> None:
    told = played()
    run(driving_project, saved(driving_project, told))
    (folder,) = (driving_project / ".wmsite" / "data").glob("driving-person-*")
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


def test_a_game_that_ends_shows_what_the_end_left(driving_project: Path) -> None:
    told = played(400, "free-road/clear", 7, 0.9)
    steps = len(told["games"][0]["steps"])
    assert steps < 400  # It ran into something.
    run(driving_project, saved(driving_project, told))
    (folder,) = (driving_project / ".wmsite" / "data").glob("driving-person-*")
    dataset = Dataset.open(folder, Driving.spec)
    assert dataset.episodes["ended"].tolist() == ["terminated"]
    arrays = dataset.load("train", rgb=True)
    assert len(arrays.dones) == steps + 1
    assert arrays.dones[-3:].tolist() == [False, True, True] and arrays.rewards[-1] == 0


def test_into_a_dataset_that_is_there(driving_project: Path) -> None:
    from builder.terminal import Terminal

    data.record(driving_project, "driving", Terminal(quiet=True), None, 1, False, False)
    file = saved(driving_project, played())
    run(driving_project, file, into="driving")
    (folder,) = (driving_project / ".wmsite" / "data").iterdir()
    dataset = Dataset.open(folder, Driving.spec)
    assert dataset.query(behaviour="person").episodes.tolist() == [0]
    assert len(dataset.load("train", rgb=True).frames) == 60 + len(played()["games"][0]["steps"])
    assert len(dataset.load("val", rgb=True).frames) == 60
    with pytest.raises(UserError, match="has its games already"):
        run(driving_project, file, into="driving")


# What is wrong with a file, and what is said of it.
BAD: list[tuple[Any, str]] = [
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
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), BAD)
def test_what_cannot_be_imported_is_refused_by_name(
    driving_project: Path, change: Any, said: str
) -> None:
    change(told := played())
    bad = saved(driving_project, told)
    with pytest.raises(UserError, match=said) as caught:
        run(driving_project, bad)
    assert str(bad) in str(caught.value) and "\n" not in str(caught.value)
    assert not list(driving_project.glob(".wmsite/data/driving*"))


def test_beside_bad_files_the_games_of_a_good_one_are_used(driving_project: Path) -> None:
    good = saved(driving_project, played(seed=8), "good.wmsite.json")
    bad = []
    for number, (change, _) in enumerate(BAD):
        change(told := played())
        bad.append(saved(driving_project, told, f"{number}.wmsite.json"))
    lines = run(driving_project, *bad, good, skip_bad=True).warnings
    for file, (_, words) in zip(bad, BAD, strict=True):
        assert any(str(file) in line and re.search(words, line) for line in lines), words
    (folder,) = (driving_project / ".wmsite" / "data").glob("driving-person-*")
    assert Dataset.open(folder).episodes["seed"].tolist() == [8]


def test_a_game_on_an_edited_sim_is_taken_when_asked(driving_project: Path) -> None:
    path = "sims/driving/rig.py"
    text = (driving_project / path).read_text() + "\nEDITED = True\n"
    told = played()
    told["sims"] = {"0123456789abcdef": {path: text}}
    told["games"][0] |= {"sim": "0123456789abcdef", "edited": True}
    run(driving_project, saved(driving_project, told), edited=True)
    (folder,) = (driving_project / ".wmsite" / "data").glob("driving-edited-*")
    assert Dataset.open(folder).query(behaviour="person").episodes.tolist() == [0]
    told["sims"]["0123456789abcdef"] = {"../../etc/x.py": text}
    with pytest.raises(UserError, match="which is no file of that world"):
        run(driving_project, saved(driving_project, told, "two.wmsite.json"), edited=True)


DAMAGED: list[tuple[Any, str]] = [
    (lambda t: t.update(version=True), "version True, and this wmsite reads 1"),
    (lambda t: t.update(version=1.0), "version 1.0, and this wmsite reads 1"),
    (lambda t: t.update(rate=float("nan")), "no JSON .NaN is no number"),
    (lambda t: t["games"][0].update(steps=[[10**400, 0, 0]]), "damaged; OverflowError"),
    (lambda t: t["games"][0].update(steps="x" * 500), "game 1: its steps|damaged; ValueError"),
    (lambda t: t["games"][0].update(drivers=7), "damaged; TypeError"),
    (lambda t: t["games"][0].update(drivers=[[0, 5]]), "game 1: a driver is no name"),
    (lambda t: t["games"][0].update(sim=[]), "damaged; TypeError"),
    (lambda t: t.update(sims=7), "damaged; AttributeError"),
    (lambda t: t.update(sims={"HASH": 7}), "damaged; AttributeError"),
    (lambda t: t.update(games=7), "damaged; TypeError"),
    (lambda t: t.update(games=[7]), "damaged; "),
    (lambda t: t.update(world=["driving"]), "damaged; TypeError|there is no such world"),
    (lambda t: t.update(sims={"HASH": {EGO: 5}}), f"its edited source '{EGO}' is no text"),
    (lambda t: t.update(sims={"HASH": {EGO: "x = = 2"}}), "parse; line 1: invalid syntax"),
    (lambda t: t.update(sims={"HASH": {EGO: "x" + "-" * 5000 + "1"}}), "nested too deep"),
    (lambda t: t.update(sims={"HASH": {EGO: "\0"}}), "null bytes"),
]  # fmt: skip
NO_PAGES = [
    ("", "no JSON"),
    ("[" * 2000 + "]" * 2000, "nested too deep|not a recording"),
    ('{"a":' * 100_000, "nested too deep"),
    ('{"format": "wmsite-recording", "version": ' + "[" * 100_000, "nested too deep"),
    ('{"format": "wmsite-recording", "version": ' + "9" * 5000 + "}", "no JSON"),
    ("null", "not a recording"),
    ("\x00", "no JSON"),
]


def test_a_game_of_a_driver_that_the_sim_has_not_is_refused(driving_project: Path) -> None:
    told = copy.deepcopy(played(2))
    told["games"][0]["drivers"] = [[0, "Tom"]]
    with pytest.raises(UserError, match="driven by 'Tom', no behaviour of the sim"):
        run(driving_project, saved(driving_project, told))
    assert not [*(driving_project / ".wmsite" / "data").glob("driving-*/meta")]


def test_a_file_that_no_page_saved_is_one_line(
    driving_project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = played(2)
    for number, (text, wanted) in enumerate([*DAMAGED, *NO_PAGES]):
        file = driving_project / f"{number}.wmsite.json"
        if isinstance(text, str):
            file.write_text(text, encoding="utf-8")
        else:
            text(told := copy.deepcopy(good))
            saved(driving_project, told, file.name)
        code, out, err = said(capsys, "-C", str(driving_project), "data", "import", str(file))
        assert code == 1 and not out and re.search(wanted, err), f"{wanted}: {err}"
        assert err.startswith(f"error: recording '{file}'") and err.count("\n") == 1
        assert "Run: " in err and "Traceback" not in err and len(err) < 600, err


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise SystemExit(0)", "sims/driving/ego.py:1: SystemExit: 0"),
        ("1 / 0", "sims/driving/ego.py:1: ZeroDivisionError"),
        ("", "ImportError"),
    ],
)
def test_an_edited_sim_that_fails_is_told_of_by_its_game(
    driving_project: Path, source: str, said: str
) -> None:
    told = played()
    told["sims"] = {"0123456789abcdef": {EGO: source}}
    told["games"][0] |= {"sim": "0123456789abcdef", "edited": True}
    file = saved(driving_project, told)
    with pytest.raises(UserError, match=said) as caught:
        run(driving_project, file, edited=True)
    assert str(caught.value).startswith(f"recording '{file}', game 1: its edited sim can't be used")
    assert "/tmp" not in str(caught.value).replace(str(file), "") and "Run: " in str(caught.value)


@pytest.mark.parametrize(
    ("addition", "said"),
    [
        ("while True:\n    pass\n", r"its edited sim can't be used; .*driving/__init__.py:\d+: "),
        (
            "def spin(*_):\n    while True:\n        pass\n\n\nDriving.step = spin\n",
            r"world 'driving' \(__init__.py, line \d+\): ",
        ),
    ],
)
def test_an_edited_sim_that_never_ends_is_one_line(
    driving_project: Path, monkeypatch: pytest.MonkeyPatch, addition: str, said: str
) -> None:
    monkeypatch.setattr(saved_games, "LIMIT_S", 1.0)
    told = played()
    text = (driving_project / "sims" / "driving" / "__init__.py").read_text()
    told["sims"] = {"0123456789abcdef": {"sims/driving/__init__.py": f"{text}\n\n{addition}"}}
    told["games"][0] |= {"sim": "0123456789abcdef", "edited": True}
    with pytest.raises(UserError, match=f"{said}TimeoutError: still running") as caught:
        run(driving_project, saved(driving_project, told), edited=True)
    assert "a step must end" in str(caught.value) and "Run: " in str(caught.value)


def test_code_that_swallows_the_limit_ends_with_its_process() -> None:
    code = (
        "from training import limits\nfrom training.limits import within\nlimits.AGAIN = 0.2\n"
        "def spin():\n  while True: pass\n"
        "with within(0.2, 'game 1'):\n  while True:\n"
        "    try: spin()\n    except BaseException: pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: game 1: still running after 0 s")


def test_many_bad_games_are_counted_not_listed(driving_project: Path) -> None:
    told = played(1)
    told["games"] = [told["games"][0] | {"sim": "none", "seed": k} for k in range(3000)]
    told["sims"]["none"] = None
    good = saved(driving_project, played(seed=8), "good.wmsite.json")
    terminal = run(driving_project, saved(driving_project, told), good, skip_bad=True)
    assert len(terminal.warnings) == data_import.MOST_TOLD + 1
    assert terminal.warnings[-1] == "import: 2,980 more are left out"


def test_a_file_larger_than_any_page_saves_is_refused_unread(
    driving_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.data.saved_games.MOST_BYTES", 2_000_000)
    file = driving_project / "large.json"
    with file.open("wb") as large:
        large.truncate(3_000_000)
    with pytest.raises(UserError, match="has 3 MB, and at most 2 MB are read"):
        run(driving_project, file)
