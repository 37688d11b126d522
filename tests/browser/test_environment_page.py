"""An environment that the page plays itself, in real Pyodide and a real browser."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from drive import WORLD, game, play, state, until

pytest.importorskip("gymnasium", reason="gymnasium is not installed: extra `gym`")

import gym_environment as tiny

from builder import chromium

ROOT = Path(__file__).parents[2]
BALL = "frame[y - 6 : y + 6, x - 6 : x + 6] = (255, 200, 0)"


@pytest.fixture(scope="module")
def ball_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site of a project with such an environment, which has no model yet."""
    root = tiny.project(tmp_path_factory.mktemp("gym"))
    (recipe,) = root.glob("recipes/ball/*.toml")
    recipe.write_text(recipe.read_text().replace("browser = false", "browser = true", 1))
    (ROOT / ".wmsite" / "vendor").mkdir(parents=True, exist_ok=True)
    (root / ".wmsite" / "vendor").symlink_to(ROOT / ".wmsite" / "vendor")
    for command in (["build", "--train", "never"], ["check"]):
        done = subprocess.run(
            [sys.executable, "-m", "builder.cli", "-C", str(root), *command],
            cwd=ROOT, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    return root / "site"


@pytest.fixture(scope="module")
def ball(ball_site: Path, browser: Any) -> Any:
    """A page on which it plays, shared."""
    with chromium.serve_folder(ball_site, base="/some/repo/") as address:
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector("wm-world[data-phase=idle]")
        play(page, model=False)
        yield page
        page.close()


def place(page: Any) -> list[float]:
    found: list[float] = game(page, "return ['obs_0', 'obs_1'].map((n) => g.read(`sensor.${n}.0`))")
    return found


def test_it_plays_by_the_keys_to_its_end(ball: Any) -> None:
    page = ball
    page.focus(".wm-stage")
    page.keyboard.down("ArrowRight")
    until(page, "s.over", 60)
    page.keyboard.up("ArrowRight")
    assert place(page)[0] > 0.8  # it ends at the right wall
    before = state(page)["seed"]
    page.keyboard.press("n")
    until(page, f"!s.over && s.seed !== {before} && s.tick > 1", 30)


def test_a_game_of_a_seed_is_the_same_again(ball: Any) -> None:
    page, told = ball, []
    for _ in range(2):
        game(page, "await g.restart(7); g.pause('you')")
        for _ in range(3):
            game(page, "await g.single()")
        told.append([*place(page), game(page, "return g.simFrame.join()")])
    assert told[0] == told[1]
    game(page, "g.resume()")


def test_a_reader_changes_it_and_sees_the_line_of_an_error(ball: Any) -> None:
    page = ball
    source = page.evaluate(f"{WORLD}.sources['tiny_env.py']")
    run = f"(text) => {WORLD}.runSource({{'tiny_env.py': text}})"
    assert page.evaluate(f"Object.keys({WORLD}.sources)") == ["tiny_env.py"]
    answer = page.evaluate(run, source.replace(BALL, BALL.replace("255, 200, 0", "0, 90, 250")))
    assert answer["ok"], answer
    seen = "[...Array(g.simFrame.length / 4).keys()].some((i) => g.simFrame[4 * i + 2] === 250)"
    assert game(page, f"return {seen}")
    broken = source.replace(BALL, "frame[1000] = 1")
    answer = page.evaluate(run, broken)
    line = broken.split("frame[1000]")[0].count("\n") + 1
    assert not answer["ok"] and answer["error"]["file"] == "tiny_env.py"
    assert answer["error"]["line"] == line and "out of bounds" in answer["error"]["message"]
    assert game(page, f"return {seen}")  # The code that worked plays on.
    for wrong, kind in (
        ("def step(self", "SyntaxError"),
        ("import gymnasium", "ModuleNotFoundError"),
    ):
        new = {"def step(self": "def step(self,,", "import gymnasium": "import PIL, gymnasium"}[
            wrong
        ]
        answer = page.evaluate(run, source.replace(wrong, new, 1))
        line = source.split(wrong)[0].count("\n") + 1
        assert not answer["ok"] and answer["error"]["type"] == kind, answer
        assert (answer["error"]["file"], answer["error"]["line"]) == ("tiny_env.py", line)


def test_its_sources_are_read_in_the_panel(ball: Any) -> None:
    page = ball
    page.click("[data-opens=source]")
    page.wait_for_selector(".wm-editor")
    tabs = page.locator(".wm-editor-tabs [role=tab]").all_inner_texts()
    assert tabs[0].startswith("tiny_env.py") and all("read only" in tab for tab in tabs[1:])
    assert not [tab for tab in tabs if tab.startswith(("gymnasium", "training"))]
