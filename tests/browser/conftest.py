"""A really built site with the committed weights, served below a sub-path, and Chromium."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from drive import WORLD, game, play, state, until

from builder import chromium

ROOT = Path(__file__).parents[2]
RECIPES, WEIGHTS = ROOT / "recipes", ROOT / "weights"

INDEX = """# Play

Words before the world.

```world
world: breakout
```

Words after it.
"""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with Breakout alone, built by the command. To read only: copy it to change it."""
    project = tmp_path_factory.mktemp("project")
    (project / "docs").mkdir()
    (project / "sims").mkdir()
    (project / "docs" / "index.md").write_text(INDEX)
    (project / "mkdocs.yml").write_text(
        "site_name: Tests\ntheme:\n  name: material\n  font: false\nplugins: [search, wmsite]\n"
    )
    shutil.copytree(ROOT / "sims" / "breakout", project / "sims" / "breakout")
    for source in (s for s in (RECIPES, WEIGHTS) if (s / "breakout").is_dir()):
        shutil.copytree(source / "breakout", project / source.name / "breakout")
    # What is fetched and prepared once for this checkout serves here too.
    (ROOT / ".wmsite" / "vendor").mkdir(parents=True, exist_ok=True)
    (project / ".wmsite").mkdir()
    (project / ".wmsite" / "vendor").symlink_to(ROOT / ".wmsite" / "vendor")
    command = [sys.executable, "-m", "builder.cli", "-C", str(project), "build", "--train", "never"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return project / "site"


@pytest.fixture
def deployed(site: Path, tmp_path: Path) -> Path:
    """A copy of the built site, to be changed as deployments change it."""
    return shutil.copytree(site, tmp_path / "deployed")


@pytest.fixture(scope="session")
def whole_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This repository's own site, all of its pages. To read only."""
    out = tmp_path_factory.mktemp("whole") / "site"
    command = [sys.executable, "-m", "builder.cli", "build", "--train", "never", "--wait"]
    command += ["--site-dir", str(out), "--base", "/some/repo/", "--strict"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="session")
def address(whole_site: Path) -> Iterator[str]:
    with chromium.serve_folder(whole_site, base="/some/repo/") as found:
        yield found


@pytest.fixture(scope="session")
def url(site: Path) -> Iterator[str]:
    with chromium.serve_folder(site, base="/some/repo/") as address:
        yield address


@pytest.fixture(scope="session")
def app(site: Path) -> str:
    """The folder of the player's scripts, relative to the site."""
    (found,) = site.glob("wm/app-*")
    return found.relative_to(site).as_posix()


@pytest.fixture
def open_page(browser: Any, url: str) -> Iterator[Callable[..., Any]]:
    """Return a function that opens the site in a context of its own.

    At the end: no exception in any page, and not one request to another host.
    """
    problems: list[str] = []
    contexts: list[Any] = []

    def open_(fragment: str = "", path: str = "", **options: Any) -> Any:
        options.setdefault("viewport", {"width": 1280, "height": 900})
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        context.on(
            "request",
            lambda r: (
                None
                if r.url.startswith((url, "blob:", "data:"))
                else problems.append(f"asked {r.url}")
            ),
        )
        page.goto(url + path + fragment)
        page.wait_for_selector("wm-world[data-phase=idle]")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not problems


@pytest.fixture(scope="module")
def player(browser: Any, url: str) -> Any:
    """One page that plays, shared by tests that leave it playing."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, has_touch=True)
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("wm-world[data-phase=idle]")
    play(page)
    yield page
    context.close()


@pytest.fixture
def playing(player: Any) -> Iterator[Any]:
    """The shared page: a new game of the shipped sim, overlay, played by the player."""
    if state(player)["edited"]:
        player.evaluate(f"{WORLD}.resetSource()")
    game(
        player,
        "g.autoplay(null); g.setMode('overlay'); g.say(null); await g.restart(1); g.resume();",
    )
    until(player, "s.phase === 'playing' && s.shown === 'overlay' && s.tick > 1")
    yield player
    # Other pages need the processor.
    game(player, "g.pause('test')")
