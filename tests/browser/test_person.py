"""A person plays an environment in the browser, and the recording holds their games."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gymnasium", reason="gymnasium is not installed: extra `gym`")

import gym_environment as tiny

from builder.commands import data
from builder.project.worlds import Project
from sims.errors import UserError
from training.data.dataset import Dataset

FILE = "recipes/ball/person.json"
LIT = """() => {
  const c = document.getElementById("screen");
  const pixels = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
  return pixels.some((value, i) => i % 4 === 0 && value > 200);
}"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `wmsite new --gym` makes, with a short recording by chance and by a person."""
    root = tiny.project(tmp_path_factory.mktemp("person"))
    recipe = root / "recipes" / "ball" / "numbers.toml"
    told = re.sub(r"(?m)^steps = \d+$", "steps = 300", recipe.read_text(), count=1)
    recipe.write_text(told.replace("{ random = 1.0 }", f'{{ random = 0.2, "{FILE}" = 0.8 }}'))
    return root


@pytest.fixture
def server(project: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`wmsite data play`, which runs, and its address."""
    command = [sys.executable, "-m", "builder.cli", "-C", str(project), "data", "play", "ball"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        found = re.search(r"http://\S+", running.stdout.readline())
        assert found
        yield running, found[0]
        running.kill()


def test_a_person_plays_and_the_games_are_recorded(
    server: tuple[subprocess.Popen[str], str], project: Path, browser: Any
) -> None:
    running, address = server
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    for number in (1, 2):  # To the right wall, where a game ends with a reward of 1.
        page.click("#begin")
        page.keyboard.down("ArrowRight")
        page.wait_for_function(
            "() => document.getElementById('said').textContent.startsWith('Kept')"
        )
        page.keyboard.up("ArrowRight")
        assert page.inner_text("#games") == str(number) and page.inner_text("#earned") == "1"
    assert page.evaluate(LIT), "the ball is not to be seen"
    for number in (3, 4):  # The person ends these before the environment does.
        page.click("#begin")
        page.wait_for_function("() => Number(document.getElementById('steps').textContent) >= 3")
        page.click("#end")
        page.wait_for_function(f"() => document.getElementById('games').textContent === '{number}'")
    page.click("#drop")
    page.wait_for_function("() => document.getElementById('games').textContent === '3'")
    assert not wrong
    page.close()
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=30)
    games = json.loads((project / FILE).read_text())["games"]
    assert [game["earned"] for game in games] == [1, 1, 0] and running.returncode == 0
    assert f'"{FILE}" = 0.2' in out and "3 games" in out
    asked = data.recipe_of(Project.open(project).world("ball"))
    played = Project.open(project).world("ball").played
    assert played
    recorded = Dataset.open(played.record(asked, project / "tapes", "ball"))
    mine = recorded.episodes["behaviour"] == FILE
    assert sorted(recorded.episodes["seed"][mine]) == sorted(game["seed"] for game in games)
    # Each step has a frame, and so has the end of a game.
    lengths = sorted(len(game["actions"]) + (game["earned"] == 1) for game in games)
    assert sorted(recorded.episodes["length"][mine]) == lengths
    assert set(recorded.episodes["behaviour"]) == {FILE, "random"}


def test_a_game_that_does_not_repeat_is_dropped(project: Path, tmp_path: Path) -> None:
    told = json.loads((project / FILE).read_text())
    told["games"][0]["earned"] = 7
    before = played_key(project)
    (project / FILE).write_text(json.dumps(told))
    assert played_key(project) != before
    world = Project.open(project).world("ball")
    assert world.played
    folder = world.played.record(data.recipe_of(world), tmp_path, "ball")
    dropped = Dataset.open(folder).recording["dropped"]
    assert len(dropped) == 1 and "earns 1 now, and earned 7" in dropped[0]
    (project / FILE).write_text("{}")
    with pytest.raises(UserError, match=r"can't be read; KeyError: 'format'\. Run: wmsite data"):
        world.played.record(data.recipe_of(world), tmp_path, "other")
    (project / FILE).unlink()


def played_key(project: Path) -> str:
    world = Project.open(project).world("ball")
    assert world.played
    asked = data.recipe_of(world)
    return world.played.key({"behaviours": asked.data.behaviours}, asked.seed)


def test_only_the_page_plays(server: tuple[subprocess.Popen[str], str]) -> None:
    _, address = server
    for kind, host, path in (
        ("text/plain", None, "begin"), ("application/json", "evil.example", "begin"),
        ("application/json", None, "step"), ("application/json", None, "fly"),
    ):  # fmt: skip
        headers = {"Content-Type": kind} | ({"Host": host} if host else {})
        asked = urllib.request.Request(address + path, b'{"action": [0, 0]}', headers)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(asked)
        assert refused.value.code in (400, 403, 409), path
    for path in ("play/../../pyproject.toml", "service-worker/site.js", "play/none.js"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(address + path)
