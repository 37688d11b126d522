"""`wmsite serve` as a browser and an editor meet it: headers, live reload, broken edits, ports."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from building import copy_of
from serving import Served, events, serving


@pytest.fixture(scope="module")
def served(starter_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = copy_of(starter_site, tmp_path_factory.mktemp("served") / "project")
    with serving(folder, "never") as one:
        yield one


@pytest.fixture(scope="module")
def following(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A served project whose model follows what is edited."""
    folder = copy_of(trained, tmp_path_factory.mktemp("following") / "project")
    with serving(folder, "auto", WMSITE_CHROMIUM="/nowhere/chromium") as one:
        yield one


def newer(stream: Iterator[dict[str, Any]], version: str) -> dict[str, Any]:
    """The next that is told of another version; what goes wrong before it is not waited out."""
    for told in stream:
        assert told["error"] is None
        if told["version"] != version:
            return told
    raise AssertionError("the stream has ended")


def model_of(served: Served) -> dict[str, Any]:
    """The first model of the world, as the site that is served has it."""
    folder = json.loads(served.get("/r/wm/site.json")[2])["worlds"]["catcher"]
    (model,) = json.loads(served.get(f"/r/wm/{folder}")[2])["models"]
    assert isinstance(model, dict)
    return model


def stale(served: Served, stream: Iterator[dict[str, Any]], version: str) -> str:
    """The next version in which the model is of an earlier sim.

    Before it, the build of before the edit may end, and show what it has compared.
    """
    while True:
        version = newer(stream, version)["version"]
        if model_of(served)["older"]:
            return version


def test_types_policy_and_caching(served: Served) -> None:
    status, headers, page = served.get("/r/")
    assert status == 200 and headers["content-type"] == "text/html; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    assert f'content="{headers["content-security-policy"]}"'.encode() in page
    told = json.loads(served.get("/r/wm/site.json")[2])
    kinds = {
        "python.js": "text/javascript; charset=utf-8",
        "pyodide.asm.wasm": "application/wasm",
    }
    for name, kind in kinds.items():
        _, headers, _ = served.get(f"/r/wm/{told['runtime']['pyodide']}{name}")
        assert headers["content-type"] == kind
        assert "immutable" in headers["cache-control"]
        assert "'wasm-unsafe-eval'" in headers["content-security-policy"]
    assert served.get("/r/manifest.webmanifest")[1]["content-type"].startswith(
        "application/manifest+json"
    )


def test_paths_outside_and_absent(served: Served) -> None:
    for path in ("/r/absent/", "/elsewhere/", "/r/../mkdocs.yml", "/r/%2e%2e/mkdocs.yml"):
        status, _, data = served.get(path)
        assert status == 404 and b"site_name" not in data
    assert served.get("/")[1]["location"] == "/r/"


def test_the_manifest_is_true_of_what_is_served(served: Served) -> None:
    told = json.loads(served.get("/r/wm/site.json")[2])
    for entry in told["files"]:
        if entry["bytes"] > 500_000:
            continue
        path = os.path.normpath(f"/r/wm/{entry['url']}")
        data = served.get(path)[2]
        assert hashlib.sha256(data).hexdigest() == entry["sha256"], path


def test_an_edit_reaches_the_page_and_a_broken_one_says_so(served: Served) -> None:
    page = served.get("/r/")[2].decode()
    own = re.search(r'<script src="/r/__wmsite/live\.js" data-version="(\w+)"', page)
    assert own
    stream = events(served)
    assert next(stream) == {"version": own[1], "error": None, "training": None, "edits": 0}
    sim = served.folder / "sims" / "catcher.py"
    good = sim.read_text()
    sim.write_text(good.replace("LIVES = 3", "LIVES = (3"))
    # What was edited is told at once, what the build says of it later.
    assert next(stream) == {"version": own[1], "error": None, "training": None, "edits": 1}
    sims = json.loads(served.get("/r/__wmsite/sims.json")[2])
    assert "LIVES = (3" in sims["catcher"]["sims/catcher.py"]
    assert "sims/host.py" in sims["catcher"]
    told = next(told for told in stream if told["error"])
    assert told["version"] == own[1]
    assert re.search(r"sims/catcher\.py:\d+: ", told["error"])
    assert served.get("/r/")[0] == 200  # The old site stays up.
    sim.write_text(good.replace("LIVES = 3", "LIVES = 5"))
    told = next(told for told in stream if not told["error"])
    assert told["version"] != own[1] and told["edits"] == 2
    world = json.loads(served.get("/r/wm/site.json")[2])["worlds"]["catcher"]
    assert b"LIVES = 5" in served.get(f"/r/wm/{world.rpartition('/')[0]}/sims/catcher.py")[2]
    config = served.folder / "mkdocs.yml"
    text = config.read_text()
    config.write_text('site_name: "no end\n')
    told = next(told for told in stream if told["error"])
    assert "mkdocs.yml" in told["error"] and served.get("/r/")[0] == 200
    config.write_text(text)
    told = next(told for told in stream if not told["error"])
    # A folder that is new is seen, too.
    view = served.folder / "views" / "bars.js"
    view.parent.mkdir()
    view.write_text("export const fits = () => false;\nexport class View {}\n")
    assert next(new for new in stream if new["version"] != told["version"])["error"] is None


def test_a_busy_port_is_told(starter_site: Path, tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        command = [sys.executable, "-m", "builder.cli", "-C", str(starter_site), "serve"]
        done = subprocess.run(
            [*command, "--train", "never", "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert errors == [
        f"error: serve: port {port} is busy. Run: wmsite serve --port with a free one"
    ]


def test_the_page_shows_edits_and_what_is_wrong_with_them(served: Served, browser: Any) -> None:
    page_file = served.folder / "docs" / "index.md"
    good = page_file.read_text()
    page = browser.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.goto(f"http://127.0.0.1:{served.port}/r/")
    page_file.write_text(good.replace("world: catcher", "world: pong", 1))
    overlay = page.locator("#wmsite-alert")
    overlay.filter(has_text="world 'pong' is not in sims/").wait_for(timeout=30_000)
    page_file.write_text(good.replace("Apples fall", "Pears fall"))
    page.get_by_text("Pears fall").wait_for(timeout=30_000)
    assert not overlay.is_visible()
    assert problems == []
    page.close()


def test_a_model_follows_an_edit_and_then_the_newest(following: Served) -> None:
    sim = following.folder / "sims" / "catcher.py"
    stream = events(following)
    first = next(stream)["version"]
    assert model_of(following)["older"] == ""
    good = sim.read_text()
    sim.write_text(good.replace("LIVES = 3", "LIVES = 4"))
    second = stale(following, stream, first)
    # While the model of that edit is made, another edit comes.
    training = next(one["training"] for one in stream if one["training"])
    assert 0 <= training["share"] <= 1 and "catcher" in training["title"]
    sim.write_text(good.replace("LIVES = 3", "LIVES = 5"))
    third = stale(following, stream, second)
    assert newer(stream, third)["training"] is None
    model = model_of(following)
    assert model["older"] == "" and model["provenance"]["finetuned_from"] == "object_laws"
    world = json.loads(following.get("/r/wm/site.json")[2])["worlds"]["catcher"]
    assert b"LIVES = 5" in following.get(f"/r/wm/{world.rpartition('/')[0]}/sims/catcher.py")[2]


def test_a_new_model_is_played_in_the_game_that_is_on(following: Served, browser: Any) -> None:
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{following.port}/r/")
    page.locator(".wm-play").click()
    state = "document.querySelector('wm-world').state"
    page.wait_for_function(f"() => {state}.tick > 20 && {state}.variant", timeout=60_000)
    # A game that stands still can't end on its own meanwhile.
    page.keyboard.press("p")
    page.wait_for_function(f"() => {state}.phase === 'paused'")
    before = page.evaluate(f"() => {state}")
    page.evaluate("() => { window.here = true; }")
    # The same sim, another model: as far as the page can tell.
    told = following.folder / "weights" / "catcher" / "object_laws" / "provenance.json"
    made = json.loads(told.read_text())
    told.write_text(json.dumps(made | {"device": "another"}))
    page.get_by_text("A new model plays.").wait_for(timeout=60_000)
    now = page.evaluate(f"() => {state}")
    assert page.evaluate("() => window.here") is True
    same = ("tick", "seed", "phase", "variant")
    assert [now[key] for key in same] == [before[key] for key in same]
    page.keyboard.press("p")
    page.wait_for_function(f"() => {state}.tick > {now['tick']} && {state}.phase === 'playing'")
    page.close()


WORLD = "document.querySelector('wm-world')"
SIM = f"{WORLD}.sources['sims/catcher.py']"


def test_a_game_goes_on_with_every_edit(served: Served, browser: Any) -> None:
    page = browser.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))

    def until(condition: str, seconds: float = 90) -> None:
        check = f"() => {{ const s = {WORLD}.state; return ({condition}); }}"
        page.wait_for_function(check, timeout=seconds * 1000, polling=20)

    sim = served.folder / "sims" / "catcher.py"
    good = re.sub(r"LIVES = \d", "LIVES = 3", sim.read_text())
    page.goto(f"http://127.0.0.1:{served.port}/r/")
    page.locator(".wm-play").click()
    until("s.tick > 3")
    page.evaluate(
        f"async () => {{ const g = {WORLD}.game; g.autoplay('good'); await g.restart(7) }}"
    )
    until("s.seed === 7 && s.tick > 9")
    page.evaluate("() => { window.here = true; }")
    # The edit is played at once, from the start of the same game, and then by the built site.
    began = time.monotonic()
    sim.write_text(good.replace("SKY, RED, BROWN, PINK = (18,", "SKY, RED, BROWN, PINK = (99,"))
    until(f"{SIM}.includes('PINK = (99,') && s.tick < 9 && s.tick > 0", 10)
    print(f"an edit was played after {time.monotonic() - began:.2f} s")
    colour = (
        "document.querySelector('.wm-canvas').getContext('2d').getImageData(9, 9, 1, 1).data[0]"
    )
    until(f"{colour} === 99")
    until("s.seed === 7 && s.edited")
    until("!s.edited && s.seed === 7 && s.phase === 'playing'")
    # What is wrong with one is told over the stage: the last good code plays on.
    fault = page.locator(".wm-fault")
    for old, new, said in (
        ("LIVES = 3", "LIVES = (3", r"SyntaxError: .* \(sims/catcher\.py, line 23\)"),
        ("out[:] = SKY", "out[:] = SKY / 0", r"TypeError: .* \(sims/catcher\.py, line \d+\)"),
    ):
        sim.write_text(good.replace(old, new))
        fault.filter(has_text=re.compile(said)).wait_for(timeout=30_000)
        assert fault.inner_text().endswith("The last good code plays on.")
        tick = page.evaluate(f"() => {WORLD}.state.tick")
        until(f"s.tick > {tick + 3} && s.seed === 7 && {colour} === 99")
    # One that is wrong only later in the game is left then.
    late = "        assert self.state['tick'][0] < 30, 'boom'\n        alive = s[\"lives\"] > 0\n"
    sim.write_text(good.replace('        alive = s["lives"] > 0\n', late))
    fault.filter(has_text="boom (sims/catcher.py").wait_for(timeout=30_000)
    assert fault.inner_text().endswith("The last good code is back.")
    until(f"s.phase === 'playing' && {colour} === 99")
    # The reader's own text stays, in the editor and on the stage, until they take the disk's.
    sim.write_text(good)
    until(f"{SIM}.includes('PINK = (18,') && !s.edited")
    assert fault.is_hidden()
    page.locator("[data-opens=source]").click()
    lines = page.locator("wm-world .cm-content").first
    lines.filter(has_text="Catcher, 32 by 32").wait_for(timeout=30_000)
    sim.write_text(good.replace("Catcher, 32 by 32 pixels.", "Catcher of 32 by 32."))
    lines.filter(has_text="Catcher of 32 by 32.").wait_for(timeout=30_000)
    lines.click()
    page.keyboard.press("Control+Home")
    page.keyboard.type("# mine")
    page.keyboard.press("Enter")
    page.locator("[data-do=run]").click()
    until(f"{SIM}.startsWith('# mine') && s.edited")
    sim.write_text(good.replace("LIVES = 3", "LIVES = 4"))
    take = page.locator(".wm-notice [data-do=take]")
    take.wait_for(timeout=30_000)
    assert "sims/catcher.py changed on the disk. Your edit plays on." in page.inner_text(
        ".wm-notice"
    )
    assert "# mine" in lines.inner_text()
    until(f"Object.values({WORLD}.shippedSources)[0].includes('LIVES = 4')")
    assert page.evaluate(f"() => {SIM}.startsWith('# mine') && {WORLD}.state.edited")
    assert "# mine" in page.evaluate("() => JSON.stringify(Object.entries(localStorage))")
    take.click()
    until(f"{SIM}.includes('LIVES = 4') && !{SIM}.includes('# mine') && s.phase === 'playing'")
    assert "# mine" not in lines.inner_text()
    sim.write_text(good)
    until(f"{SIM}.includes('LIVES = 3') && !s.edited")
    # A page that was edited is told; the game is not thrown away for it.
    words = served.folder / "docs" / "index.md"
    words.write_text(words.read_text() + "\nMore words.\n")
    page.locator(".wm-notice", has_text="This page was edited.").wait_for(timeout=30_000)
    assert page.evaluate("() => window.here") is True
    assert not problems
    page.close()


def family(mark: str) -> list[int]:
    """Return the processes that live and have `mark` in their environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z" and mark.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # It has ended, or is another user's.
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_training_ends_with_serve_however_that_ends(
    starter_site: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Its weights are made from nothing, which takes minutes: nothing of it goes on."""
    folder = copy_of(starter_site, tmp_path / "project")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    mark = f"WMSITE_TEST_MARK={tmp_path}"
    environment = {"WMSITE_TEST_MARK": str(tmp_path), "TMPDIR": str(temporary)}
    with suppress(ProcessLookupError), serving(folder, "auto", **environment) as served:
        next(one for one in events(served) if one["training"])
        assert len(family(mark)) >= 2
        served.process.send_signal(number)
        served.process.wait(timeout=30)
        began = time.monotonic()
        while family(mark) and time.monotonic() - began < 20:
            time.sleep(0.1)
        assert family(mark) == []
    command = [sys.executable, "-m", "builder.cli", "-C", str(folder), "info"]
    subprocess.run(command, env=os.environ | environment, check=True, capture_output=True)
    assert list(temporary.iterdir()) == []
