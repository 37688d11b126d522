"""A world that was learned from a recording and has no simulator: its page, in the browser.

The world is a recording of Breakout under another name; the model is the committed denoiser.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drive import WORLD, game, sees, text, until

from builder import chromium
from builder.project import entries
from builder.project import weights as kept
from builder.project.worlds import Project
from builder.site import starts
from sims.errors import UserError
from training.data.dataset import Dataset

ROOT = Path(__file__).parents[2]
RECIPES, WEIGHTS = ROOT / "recipes", ROOT / "weights"
SAID = "Learned from recordings: there is no simulator"


@pytest.fixture(scope="module")
def recorded_site(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site of a project that has such a world alone. To read only."""
    project = tmp_path_factory.mktemp("recorded")
    for folder in ("docs", "sims", ".wmsite"):
        (project / folder).mkdir()
    (project / "docs" / "index.md").write_text("# Bricks\n\n```world\nworld: bricks\n```\n")
    (project / "mkdocs.yml").write_text(
        "site_name: Tests\ntheme:\n  name: material\n  font: false\nplugins: [search, wmsite]\n"
    )
    (project / ".wmsite" / "vendor").symlink_to(ROOT / ".wmsite" / "vendor")
    recipe = (RECIPES / "breakout" / "denoiser.toml").read_text()
    recipe = recipe.replace('"breakout"', f'"bricks"\ndataset = "{tiny_dataset}"', 1)
    (project / "recipes" / "bricks").mkdir(parents=True)
    (project / "recipes" / "bricks" / "denoiser.toml").write_text(
        re.sub(r"^\[data\]\n(?:.+\n)*", "", recipe, flags=re.MULTILINE)
    )
    weights = project / "weights" / "bricks" / "denoiser"
    shutil.copytree(WEIGHTS / "breakout" / "denoiser", weights)
    # As training does.
    entry = entries.Entry(Project.open(project).world("bricks"), "denoiser")
    kept.stamp(weights, entry.keys)
    starts.write(weights, tiny_dataset, Dataset.open(tiny_dataset).spec)
    command = [sys.executable, "-m", "builder.cli", "-C", str(project), "build", "--train", "never"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    check = [*command[:5], "check"]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return project / "site"


@pytest.fixture(scope="module")
def bricks(browser: Any, recorded_site: Path) -> Iterator[Any]:
    """Its page on a desk, playing; `page.asked` are the addresses that it has fetched."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.asked = []
    page.errors = []
    context.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    with chromium.serve_folder(recorded_site, base="/some/repo/") as address:
        page.goto(address)
        page.wait_for_selector("wm-world[data-phase=idle]")
        page.click(".wm-play")
        until(page, "s.phase === 'playing' && s.modelFrames > 2")
        yield page
    assert page.errors == []
    context.close()


def test_moments_are_held_out_frames_and_what_was_done(tiny_dataset: Path) -> None:
    dataset = Dataset.open(tiny_dataset)
    held = dataset.load("test", rgb=True)
    moments = starts.choose(held, dataset.spec, 4, 5)
    assert moments.frames.shape == (5, 4, 1, 64, 64, 3)
    assert (moments.actions.shape[:2], moments.chances.shape[:2]) == ((5, 3), (5, 3))
    known = {frame.tobytes() for frame in held.rgba(np.arange(len(held.actions)))[..., :3]}
    assert all(frame.tobytes() in known for frame in moments.frames.reshape(-1, 1, 64, 64, 3))
    assert len({frame.tobytes() for frame in moments.frames[:, -1]}) > 1
    data = moments.packed()
    assert np.array_equal(starts.unpack(data, dataset.spec), moments.frames)
    # Episodes that are games are shown from their beginning.
    begun = starts.choose(held, dataset.spec, 4, 2, begin=True)
    firsts = {held.rgba(np.array([row]))[..., :3].tobytes() for row in held.episodes[:, 0]}
    assert all(frames[0].tobytes() in firsts for frames in begun.frames)
    assert not all(frames[0].tobytes() in firsts for frames in moments.frames)
    # What follows a moment is recorded too, up to the end of its game.
    more = starts.choose(held, dataset.spec, 4, 5, 200)
    assert more.frames.shape[:2] == (5, 204) and more.lengths.max() <= 200
    for frames, actions, length in zip(more.frames, more.actions, more.lengths, strict=True):
        rows = np.flatnonzero([np.array_equal(frames[0], held.rgba(np.array([r]))[0, ..., :3])
                               for r in range(len(held.actions))])  # fmt: skip
        whole = [r for r in rows if np.array_equal(
            held.rgba(np.arange(r, min(r + 4 + length, len(held.actions))))[..., :3],
            frames[: 4 + length])]  # fmt: skip
        assert whole and np.array_equal(held.actions[whole[0] : whole[0] + 3], actions[:3])
        assert length == 200 or whole[0] + 4 + length in held.episodes[:, 1]
    assert np.array_equal(starts.unpack(more.packed(), dataset.spec), more.frames[:, :4])
    with pytest.raises(UserError, match=r"figures/starts.bin is damaged .* wmsite train"):
        starts.unpack(data[:100], dataset.spec)


def test_its_page_plays_the_model_alone_and_fetches_no_python(bricks: Any) -> None:
    page = bricks
    assert not [url for url in page.asked if "pyodide" in url or url.endswith(".py")]
    assert SAID in text(page)
    assert game(page, "return g.state.shown") == "neural"
    assert page.locator(".wm-modes input").count() == 2
    for absent in ("[data-opens=source]", "[data-do=resync]", "[data-do=dream]",
                   ".wm-bar [data-do=save]", ".wm-blend", "[data-do=share]"):  # fmt: skip
        assert not page.query_selector(f"{absent}:visible"), absent
    # The keys play, and those of other worlds do nothing.
    page.focus(".wm-stage")
    page.keyboard.down("ArrowRight")
    sees(page, "g.action[0] === 2")
    page.keyboard.up("ArrowRight")
    ticks = until(page, "s.tick > 20")["tick"]
    page.keyboard.press("KeyR")
    after = until(page, f"s.tick > {ticks + 3}")
    assert (after["shown"], after["drift"], after["dream"]) == ("neural", None, None)


def test_a_new_game_starts_where_the_player_chose(bricks: Any) -> None:
    page = bricks
    page.click("[data-opens=settings]")
    start = page.get_by_label("Start")
    assert start.input_value() == "moment 1"
    options = start.locator("option").all_inner_texts()
    assert options == [f"moment {i + 1}" for i in range(len(options))] and len(options) == 8
    for choice in (2, 1):
        start.select_option(f"moment {choice + 1}")
        until(page, f"s.seed === {choice} && s.tick > 2")
        same = """const {frame} = g.sim.starts[a]; return frame.join() === g.simFrame.join()"""
        assert game(page, same, choice)
    for absent in ("Seed", "Who plays", "Back to the sim, in neural mode"):
        assert page.get_by_label(absent).count() == 0
    page.click("[data-opens=settings]")
    page.keyboard.press("KeyN")
    until(page, "s.seed === 1 && s.tick < 20")


def test_a_recorded_game_goes_on_beside_the_model(bricks: Any) -> None:
    page = bricks
    page.locator(".wm-modes label", has_text="Split").click()
    until(page, "s.shown === 'split' && s.tick > 8")
    assert "Recording" in page.inner_text(".wm-captions")
    page.keyboard.press("KeyP")
    until(page, "s.phase === 'paused'")
    game(page, "await g.turn")  # The tick that was on is done.
    # Left the recorded frame and its action; the model goes on from its own frames.
    same = """const { ahead } = g.sim.starts[g.state.seed], step = ahead[g.sim.followed - 1];
        return [g.simFrame.join() === step.frame().join(), g.action.join() === step.action.join(),
                g.modelFrame.join() !== g.simFrame.join(), g.sim.followed === g.state.tick]"""
    assert game(page, same) == [True] * 4
    page.keyboard.press("KeyP")
    game(page, "g.sim.starts[g.state.seed].ahead.length = g.sim.followed + 2")
    seed = until(page, "s.over")["seed"]
    assert "The recording ends here" in text(page)
    page.click("[data-do=go]")
    until(page, f"!s.over && s.seed === {seed + 1} && s.tick > 2")
    page.keyboard.press("KeyM")
    # The mode changes at once, and the new game begins after the tick that is on.
    sees(page, f"g.sim.followed === 0 && g.state.shown === 'neural' && g.state.seed === {seed + 1}")
    until(page, "s.tick > 2")
    game(page, "g.restart(1)")


def test_the_end_that_the_model_says_ends_it_and_it_begins_anew(bricks: Any) -> None:
    page = bricks
    # This denoiser does not know an end, and says so; one that does ends its game.
    page.locator(".wm-notice").filter(has_text="does not know when a game ends").wait_for()
    game(page, "g.model.variant.ends = true; g.model.model.ended_above = -1e9")
    until(page, "s.over")
    assert "The model says so." in text(page)
    game(page, "g.model.variant.ends = false")
    page.click("[data-do=go]")
    until(page, "!s.over && s.phase === 'playing' && s.seed === 1 && s.tick > 2")


def test_a_model_that_fails_is_said_and_tried_again(bricks: Any) -> None:
    page = bricks
    game(page, "g.model.remote.end('gone')")
    page.locator(".wm-notice").filter(has_text="World model").wait_for()
    assert until(page, "s.phase === 'error'")["shown"] == "sim"
    page.click(".wm-notice [data-do=retry]")
    until(page, "s.phase === 'playing' && s.shown === 'neural' && s.tick > 2")


def test_it_plays_offline(bricks: Any) -> None:
    page = bricks
    page.evaluate(f"{WORLD}.pause()")
    page.wait_for_selector(".wm-embed .wm-offline[data-state=kept]", timeout=60_000)
    page.context.set_offline(True)
    page.reload()
    page.wait_for_selector("wm-world[data-phase=idle]")
    page.click(".wm-play")
    until(page, "s.phase === 'playing' && s.modelFrames > 2")
    page.context.set_offline(False)
