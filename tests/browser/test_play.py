"""Play the built site in Chromium: real Pyodide, real onnxruntime-web, real keys and fingers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builder import chromium

ROOT = Path(__file__).parents[2]
WORLD = "document.querySelector('wm-world')"
PADDLE = [96, 232, 255]

Open = Callable[..., Any]


def state(page: Any) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(f"{WORLD}.state")
    return found


def until(page: Any, condition: str, seconds: float = 60) -> dict[str, Any]:
    """Wait until `condition` holds of the state `s`; return the state."""
    check = f"() => {{ const s = {WORLD}.state; return ({condition}); }}"
    try:
        page.wait_for_function(check, timeout=seconds * 1000, polling=50)
    except Exception as error:
        raise AssertionError(f"never: {condition}; {state(page)}; {text(page)}") from error
    return state(page)


def sees(page: Any, condition: str, seconds: float = 30) -> None:
    """Wait until `condition` holds of the game `g`."""
    check = f"() => {{ const g = {WORLD}.game; return ({condition}); }}"
    page.wait_for_function(check, timeout=seconds * 1000, polling=50)


def text(page: Any) -> str:
    found: str = page.inner_text("wm-world")
    return found


def notice(page: Any) -> str:
    found: str = page.inner_text(".wm-notice")
    return found


def play(page: Any, model: bool = True, seconds: float = 60) -> None:
    page.click(".wm-play")
    until(page, "s.simFrames > 2" + (" && s.modelFrames > 2" if model else ""), seconds)


def game(page: Any, code: str, argument: Any = None) -> Any:
    """Run `code` with the game as `g` and `argument` as `a`."""
    return page.evaluate(f"async (a) => {{ const g = {WORLD}.game; {code} }}", argument)


def paddle(page: Any) -> float:
    """Return where the paddle is in the picture: the middle of its pixels."""
    left: list[int] = page.evaluate(
        """(colour) => {
            const canvas = document.querySelector('.wm-canvas');
            const {data} = canvas.getContext('2d').getImageData(0, 58, 64, 1);
            const is = (x) => colour.every((c, i) => data[4 * x + i] === c);
            return [...Array(64).keys()].filter(is);
        }""",
        PADDLE,
    )
    assert left, "no paddle in the picture"
    return sum(left) / len(left)


def pixels(page: Any) -> list[int]:
    # As text: Playwright takes seconds for a long list.
    found: str = page.evaluate(
        """() => { const c = document.querySelector('.wm-canvas');
        return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.join(); }"""
    )
    return [int(value) for value in found.split(",")]


def frames(page: Any) -> tuple[list[int], list[int]]:
    """Return the sim's and the model's frame."""
    found = game(page, "return [g.simFrame.join(), (g.modelFrame ?? g.simFrame).join()]")
    sim, model = ([int(value) for value in one.split(",")] for one in found)
    return sim, model


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
def playing(player: Any) -> Any:
    """The shared page: a new game of the shipped sim, overlay, played by the player."""
    if state(player)["edited"]:
        player.evaluate(f"{WORLD}.resetSource()")
    game(
        player,
        "g.autoplay(null); g.setMode('overlay'); g.say(null); await g.restart(1); g.resume();",
    )
    until(player, "s.phase === 'playing' && s.shown === 'overlay' && s.tick > 1")
    return player


def test_nothing_heavy_loads_before_play(open_page: Open, url: str) -> None:
    page = open_page()
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url))
    page.reload()
    page.wait_for_selector("wm-world[data-phase=idle]")
    page.wait_for_timeout(500)
    assert any("player.js" in a for a in asked)
    heavy = ("pyodide-", "ort-", ".onnx", "editor-")
    assert not [a for a in asked if any(part in a for part in heavy)]
    assert "MB" in page.inner_text(".wm-play")


def test_the_manifest_is_fetched_once(open_page: Open, url: str) -> None:
    # The service worker asks for itself: what it keeps has to be the newest.
    page = open_page(service_workers="block")
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url))
    page.reload()
    page.wait_for_function("() => document.querySelector('.wm-offline').innerText")
    play(page)
    assert [a for a in asked if a.endswith("site.json")] == [f"{url}wm/site.json"]


def test_the_page_takes_the_first_variant_that_its_device_runs(playing: Any, site: Path) -> None:
    world = json.loads(next(site.glob("wm/worlds/breakout-*/world.json")).read_text())
    variants = world["models"][0]["variants"]
    names = [variant["name"] for variant in variants]
    assert names == [name for name in ("int8", "fp16", "fp32") if name in names]
    able = [variant["name"] for variant in variants if "wasm" in variant["backends"]]
    assert (state(playing)["backend"], state(playing)["variant"]) == ("wasm", able[0])


def test_keys_move_the_paddle_on_the_focused_stage_only(playing: Any) -> None:
    page = playing
    page.check("input[value=sim]")
    page.focus(".wm-stage")
    start = paddle(page)
    page.keyboard.down("ArrowRight")
    until(page, "s.tick > 12")
    page.keyboard.up("ArrowRight")
    right = paddle(page)
    assert right > start + 8
    page.keyboard.down("KeyA")
    sees(page, "g.sim.now.actions.slice(-5).every((a) => a[0] === 1)")
    page.keyboard.up("KeyA")
    assert paddle(page) < right - 4
    # Elsewhere the keys are the page's own, and Tab is never trapped.
    page.keyboard.press("Tab")
    assert not page.evaluate("document.activeElement.matches('.wm-stage')")
    before = len(game(page, "return g.sim.now.actions.filter((a) => a[0] === 2)"))
    page.keyboard.down("ArrowRight")
    page.wait_for_timeout(200)
    page.keyboard.up("ArrowRight")
    assert len(game(page, "return g.sim.now.actions.filter((a) => a[0] === 2)")) == before


def test_fingers_and_a_gamepad_move_the_paddle(playing: Any) -> None:
    page = playing
    page.check("input[value=sim]")
    box = page.locator(".wm-viewport").bounding_box()
    page.touchscreen.tap(box["x"] + 20, box["y"] + 20)
    right = page.locator(".wm-touch", has_text="▶")
    right.wait_for(state="visible")
    right.scroll_into_view_if_needed()
    box = right.bounding_box()
    where = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    touch = page.context.new_cdp_session(page)
    before = paddle(page)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [where]})
    sees(page, "g.sim.now.actions.slice(-5).every((a) => a[0] === 2)")
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    sees(page, "g.sim.now.actions.at(-1)[0] === 0")
    assert paddle(page) > before + 4
    page.evaluate(
        """navigator.getGamepads = () => [{mapping: 'standard', axes: [-1, 0, 0, 0],
        buttons: Array(17).fill({pressed: false, value: 0})}]"""
    )
    sees(page, "g.sim.now.actions.at(-1)[0] === 1")
    page.evaluate("delete navigator.getGamepads")
    sees(page, "g.sim.now.actions.at(-1)[0] === 0")


def test_each_mode_draws_what_it_says(playing: Any) -> None:
    page = playing
    game(page, "g.autoplay('good')")
    until(page, "s.tick > 20 && s.drift !== null")
    page.click("[data-do=play]")
    assert state(page)["phase"] == "paused"
    page.wait_for_timeout(100)
    # A model's frame unlike the sim's, so that every mode shows a difference.
    game(page, "g.modelFrame = g.modelFrame.map((v, i) => (i % 4 === 3 ? 255 : 255 - v))")
    sim, model = frames(page)

    def close(found: list[int], wanted: list[float]) -> None:
        assert len(found) == len(wanted)
        assert max(abs(f - w) for f, w in zip(found, wanted, strict=True)) <= 2

    page.check("input[value=overlay]")
    slider = page.locator("[data-do=opacity]")
    for opacity in (0, 0.25, 1):
        slider.fill(str(opacity))
        mixed = [s + (m - s) * opacity for s, m in zip(sim, model, strict=True)]
        close(pixels(page), mixed)
    page.check("input[value=split]")
    rows = [pixels(page)[i * 130 * 4 : (i + 1) * 130 * 4] for i in range(64)]
    close([v for row in rows for v in row[: 64 * 4]], sim)
    close([v for row in rows for v in row[66 * 4 :]], model)
    page.check("input[value=difference]")
    far = [
        255 if i % 4 == 3 else min(255, 4 * abs(s - m))
        for i, (s, m) in enumerate(zip(sim, model, strict=True))
    ]
    assert sum(abs(f - w) > 8 for f, w in zip(pixels(page), far, strict=True)) == 0
    page.check("input[value=neural]")
    close(pixels(page), model)
    page.check("input[value=sim]")
    close(pixels(page), sim)


def test_the_model_plays_alone_and_comes_back_to_the_sim(playing: Any) -> None:
    page = playing
    game(page, "g.autoplay('good'); g.setMode('neural')")
    begun = state(page)["modelFrames"]
    until(page, f"s.shown === 'neural' && s.modelFrames > {begun} + 30 && s.drift !== null")
    page.focus(".wm-stage")
    page.click("[data-do=play]")
    assert game(page, "return g.phase") == "paused"
    page.focus(".wm-stage")
    page.keyboard.press("KeyR")
    sees(page, "g.modelFrame.every((v, i) => v === g.simFrame[i])")
    game(page, "g.setMode('overlay'); g.resume()")
    until(page, "s.shown === 'overlay' && s.drift !== null")


def test_pausing_is_the_players(playing: Any) -> None:
    page = playing
    page.focus(".wm-stage")
    page.keyboard.press("Escape")
    assert state(page)["phase"] == "paused"
    assert page.evaluate("document.activeElement.dataset.do") == "play"
    page.focus(".wm-stage")
    tick = game(page, "await g.turn; return g.state.tick")
    page.keyboard.press("Period")
    until(page, f"s.tick === {tick + 1}")
    page.keyboard.press("KeyP")
    until(page, f"s.tick > {tick + 3}")
    # Hidden, then seen again: it stays paused.
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    assert state(page)["phase"] == "paused"
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(200)
    tick = state(page)["tick"]
    page.wait_for_timeout(200)
    assert state(page)["phase"] == "paused"
    assert state(page)["tick"] == tick
    page.click("[data-do=go]")
    until(page, f"s.phase === 'playing' && s.tick > {tick + 1}")
    # Off the screen, and back.
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('div'), "
        "{id: 'tall', style: 'height: 3000px'})); scrollTo(0, 3000)"
    )
    until(page, "s.phase === 'paused'")
    page.evaluate("document.querySelector('#tall').remove(); scrollTo(0, 0)")
    page.wait_for_timeout(200)
    assert state(page)["phase"] == "paused"


def test_game_over_starts_again(playing: Any) -> None:
    page = playing
    game(page, "g.autoplay('bad'); g.loop.period = 4")
    over = until(page, "s.over", 90)
    assert "Game over" in text(page)
    assert "Lives 0" in page.inner_text(".wm-cover")
    page.click("[data-do=go]")
    after = until(page, "!s.over && s.tick > 0")
    assert after["seed"] == over["seed"] + 1
    game(page, "g.loop.period = 1000 / 30")


def test_edit_run_error_reset(playing: Any) -> None:
    page = playing
    game(page, "g.autoplay('good')")
    source = page.evaluate(f"{WORLD}.sources['sims/breakout.py']")
    run = f"(text) => {WORLD}.runSource({{'sims/breakout.py': text}})"
    # An edit is played at once, from the start.
    wide = source.replace("PADDLE_WIDTH = 12", "PADDLE_WIDTH = 30")
    assert wide != source
    assert page.evaluate(run, wide) == {"ok": True}
    page.check("input[value=sim]")
    after = until(page, "s.edited && s.tick > 2")
    assert after["seed"] == 1
    row = pixels(page)[58 * 256 : 59 * 256]
    assert sum(row[i : i + 3] == PADDLE for i in range(0, 256, 4)) == 30
    # A syntax error: its line; the last good code plays on.
    lines = wide.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("PADDLE_WIDTH"))
    broken = "\n".join([*lines[:at], "PADDLE_WIDTH = (", *lines[at + 1 :]])
    answer = page.evaluate(run, broken)
    assert not answer["ok"]
    assert answer["error"]["file"] == "sims/breakout.py"
    assert answer["error"]["line"] == at + 1
    tick = state(page)["tick"]
    assert until(page, f"s.tick > {tick + 3}")["edited"]
    # An exception only later in the game: the page hears of it, and the good game comes back.
    page.evaluate(
        f"{WORLD}.addEventListener('wm-sim-error', (e) => {{ window.heard = e.detail; }})"
    )
    step = next(i for i, line in enumerate(lines) if "def step(" in line)
    body = next(i for i in range(step, len(lines)) if lines[i].strip().endswith('"""'))
    late = [
        *lines[: body + 1],
        '        assert self.state["tick"][0] < 9, "boom"',
        *lines[body + 1 :],
    ]
    answer = page.evaluate(run, "\n".join(late))
    assert answer == {"ok": True}, answer
    sees(page, "window.heard")
    assert page.evaluate("window.heard") == {
        "message": "boom",
        "type": "AssertionError",
        "file": "sims/breakout.py",
        "line": body + 2,
    }
    until(page, "s.phase === 'playing' && s.tick > 9")
    assert "AssertionError: boom (sims/breakout.py, line" in notice(page)
    assert state(page)["edited"]
    # Back to what the site shipped.
    assert page.evaluate(f"{WORLD}.resetSource()") == {"ok": True}
    assert not until(page, "s.tick > 2")["edited"]
    assert page.evaluate(f"{WORLD}.sources['sims/breakout.py']") == source


def test_stop_ends_a_sim_that_loops_for_ever(playing: Any) -> None:
    page = playing
    game(page, "g.autoplay('good')")
    until(page, "s.tick > 20")
    source = page.evaluate(f"{WORLD}.sources['sims/breakout.py']")
    lines = source.splitlines()
    step = next(i for i, line in enumerate(lines) if "def step(" in line)
    body = next(i for i in range(step, len(lines)) if lines[i].strip().endswith('"""'))
    endless = [
        *lines[: body + 1],
        '        while self.state["tick"][0] > 6: pass',
        *lines[body + 1 :],
    ]
    tick = state(page)["tick"]
    run = f"(text) => {WORLD}.runSource({{'sims/breakout.py': text}})"
    assert page.evaluate(run, "\n".join(endless)) == {"ok": True}
    page.click(".wm-notice [data-do=stop]", timeout=30_000)
    after = until(page, "s.phase === 'paused' && !s.edited")
    assert after["tick"] >= tick
    assert "The last good code is back" in notice(page)
    page.click("[data-do=play]")
    until(page, f"s.phase === 'playing' && s.tick > {after['tick'] + 3}")


def test_a_link_replays_the_very_same_game(playing: Any, open_page: Open) -> None:
    page = playing
    game(page, "await g.restart(5); g.autoplay('random')")
    until(page, "s.seed === 5 && s.tick > 60")
    page.click("[data-do=play]")
    page.click("[data-opens=settings]")
    page.click("[data-do=share]")
    link = page.locator(".wm-actions input")
    link.wait_for(state="visible")
    address: str = link.input_value()
    tick = game(page, "await g.turn; return g.state.tick")
    frame = frames(page)[0]
    page.click("[data-opens=settings]")
    fragment = address[address.index("#") :]

    other = open_page(fragment)
    assert other.inner_text(".wm-play") == "Play the replay"
    other.click(".wm-play")
    done = until(other, "s.replay === 'matches' || s.replay === 'differs'")
    assert (done["replay"], done["tick"], done["seed"]) == ("matches", tick, 5)
    assert frames(other)[0] == frame
    assert "Replay matches" in text(other)
    # One other action, and it says so; another sim's link is refused in words.
    (was,) = [p for p in fragment.split("&") if p.startswith("end=")]
    again = "(hash) => { location.hash = hash; }"
    other.evaluate(again, fragment.replace(was, "end=" + "0" * 16))
    other.click(".wm-notice [data-do=skip]")
    until(other, "s.replay === 'differs'")
    sim = next(p for p in fragment.lstrip("#").split("&") if p.startswith("sim="))
    other.evaluate(again, fragment.replace(sim, "sim=" + "0" * 16))
    other.wait_for_selector(".wm-notice [data-do=dismiss]")
    assert "another version of the sim" in notice(other)


def test_a_failed_stage_says_why_and_retry_works(open_page: Open, app: str) -> None:
    page = open_page(service_workers="block")
    limits = f"(await import('{page.url}{app}/stages.js')).LIMITS"
    retry = ".wm-notice [data-do=retry]"
    # A file that never comes: its stage has a time limit.
    page.route("**/pyodide.asm.wasm", lambda route: route.abort())
    page.route("**/world.json", lambda route: None)
    page.evaluate(f"async () => {{ {limits}.stage = 2000; }}")
    page.click(".wm-play")
    assert until(page, "s.phase === 'error'")["stage"] == "world"
    assert notice(page).startswith("World: nothing arrived for 2 s.")
    page.evaluate(f"async () => {{ {limits}.stage = 30000; }}")
    page.unroute("**/world.json")
    # A file that fails, while the model's are cut off.
    damaged = {"on": True}

    def damage(route: Any) -> None:
        if damaged["on"]:
            route.fulfill(status=200, body=b"cut off")
        else:
            route.continue_()

    page.route("**/*.onnx", damage)
    page.click(retry)
    failed = until(page, "s.phase === 'error'")
    assert failed["stage"] == "python"
    assert "Python and NumPy: " in notice(page)
    assert "pyodide.asm.wasm" in notice(page)
    page.unroute("**/pyodide.asm.wasm")
    page.click(retry)
    until(page, "s.simFrames > 5")
    # The sim plays without the model, and the page says what is wrong with its file.
    page.wait_for_selector(".wm-notice [data-do=retry-model]", timeout=60_000)
    assert "half deployed" in notice(page)
    assert "The sim plays on without it" in notice(page)
    before = state(page)
    assert before["shown"] == "sim"
    until(page, f"s.phase === 'playing' && s.simFrames > {before['simFrames'] + 5}")
    damaged["on"] = False
    page.click(".wm-notice [data-do=retry-model]")
    until(page, "s.modelFrames > 2 && s.shown === 'overlay'")
    assert not page.query_selector(".wm-notice [data-do=retry-model]")


def test_two_worlds_share_one_python(playing: Any) -> None:
    page = playing
    page.evaluate(
        f"""() => {{
            const first = {WORLD}, second = document.createElement('wm-world');
            second.setAttribute('world', first.getAttribute('world'));
            second.setAttribute('src', first.getAttribute('src'));
            // Both fit the window.
            for (const one of [first, second]) one.style.setProperty('--wm-size', '200px');
            second.id = 'second';
            second.setAttribute('mode', 'sim');
            first.after(second);
        }}"""
    )
    page.click("#second .wm-play")
    page.wait_for_function("() => document.querySelector('#second').state.simFrames > 3")
    assert state(page)["phase"] == "paused"
    assert "Another world plays." in text(page)
    assert game(page, "return g.runtime === document.querySelector('#second').game.runtime")
    assert game(page, "return [...g.runtime.workers.keys()].sort()") == ["python", "wasm"]
    # An edit in one is not in the other.
    edit = "const s = document.querySelector('#second'); const [path] = Object.keys(s.sources);"
    edit += "return s.runSource({[path]: s.sources[path].replace('LIVES = 3', 'LIVES = 1')})"
    assert game(page, edit) == {"ok": True}
    page.click("[data-do=play] >> nth=0")
    until(page, "s.phase === 'playing' && !s.edited")
    assert game(page, "return g.read('hud.lives')") > 1
    page.evaluate(f"document.querySelector('#second').remove(); {WORLD}.removeAttribute('style')")
    tick = state(page)["tick"]
    until(page, f"s.tick > {tick + 3}")


def test_silence_has_a_limit_and_dead_workers_are_told(playing: Any, app: str, url: str) -> None:
    page = playing
    limits = f"(await import('{url}{app}/stages.js')).LIMITS"
    page.evaluate(f"async () => {{ {limits}.step = 3000; }}")
    # The model's worker dies without a word: the sim plays on, and Retry brings it back.
    game(page, "g.autoplay('good'); g.model.remote.worker.terminate()")
    page.wait_for_selector(".wm-notice [data-do=retry-model]", timeout=30_000)
    assert "did not answer within" in notice(page)
    tick = state(page)["tick"]
    until(page, f"s.shown === 'sim' && s.tick > {tick + 3}")
    page.click(".wm-notice [data-do=retry-model]")
    until(page, "s.shown === 'overlay'")
    # Python's worker dies: the game comes back where it was.
    tick = state(page)["tick"]
    game(page, "g.sim.remote.worker.terminate()")
    after = until(page, "s.phase === 'paused'")
    assert after["tick"] >= tick
    assert "The game is back at tick" in notice(page)
    page.click("[data-do=play]")
    until(page, f"s.phase === 'playing' && s.tick > {after['tick'] + 3}")
    page.evaluate(f"async () => {{ {limits}.step = 8000; }}")


def test_a_null_adapter_leaves_wasm_and_a_line(playing: Any) -> None:
    page = playing
    game(page, "await g.choose({backend: 'webgpu'})")
    after = until(page, "s.backend !== null")
    assert after["backend"] == "wasm"
    assert "WebGPU is not used: " in notice(page)
    frames = after["modelFrames"]
    until(page, f"s.modelFrames > {frames + 2}")
    game(page, "await g.choose({backend: 'auto'})")


def test_webgpu_on_the_software_adapter_draws_what_wasm_draws(
    browser: Any, url: str, app: str
) -> None:
    opened = browser.browser_type.launch(
        executable_path=chromium.find(),
        args=[*chromium.QUIET, *chromium.WEBGPU],
        chromium_sandbox=False,
    )
    with opened:
        page = opened.new_page()
        page.goto(url)
        page.wait_for_selector("wm-world[data-phase=idle]")
        page.evaluate(f"{WORLD}.game.choice.backend = 'webgpu'")
        # Shaders compile slowly on a processor.
        limits = f"(await import('{url}{app}/stages.js')).LIMITS"
        page.evaluate(f"async () => {{ Object.assign({limits}, {{stage: 2e5, step: 2e5}}); }}")
        page.click(".wm-play")
        found = until(page, "s.backend !== null", 240)
        assert found["backend"] == "webgpu", notice(page)
        apart = game(
            page,
            """
            g.pause('test');
            await g.turn;
            const frame = new Uint8Array(g.simFrame);
            const gpu = await g.model.remote.call('probe', {name: g.model.name, frame, steps: 2});
            const {runtime, model} = g.stages;
            const name = 'compare';
            const wasm = await g.model.prepare(name, 'wasm', g.model.pick('wasm', 'auto'),
                                               {runtime, model}, Promise.resolve(frame));
            const again = await wasm.remote.call('probe', {name, frame, steps: 2});
            let far = 0;
            gpu.frame.forEach((v, i) => { if (Math.abs(v - again.frame[i]) > 24) far++; });
            return far;
            """,
        )
        assert apart <= 0.005 * 64 * 64 * 4


def test_axe_finds_nothing(playing: Any, open_page: Open) -> None:
    page = open_page()
    axe = (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text()

    def violations() -> list[Any]:
        found = page.evaluate(
            """async () => (await axe.run('wm-world', {resultTypes: ['violations']})).violations
            .map((v) => [v.id, v.nodes.map((n) => n.html.slice(0, 120) + n.failureSummary)])"""
        )
        return list(found)

    page.evaluate(axe + "; 0")
    assert violations() == []
    page = playing
    page.evaluate(axe + "; 0")
    assert violations() == []
    page.click("[data-do=play]")
    for panel in ("figures", "settings", "keys"):
        page.click(f"[data-opens={panel}]")
        assert violations() == [], panel
    for scheme in ("slate", "default"):
        page.evaluate("(s) => document.body.setAttribute('data-md-color-scheme', s)", scheme)
        page.wait_for_timeout(500)  # Colours change smoothly.
        assert violations() == [], scheme


def test_it_fits_a_phone(open_page: Open) -> None:
    page = open_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page.tap(".wm-play")
    until(page, "s.modelFrames > 2")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator(".wm-touch").first.is_visible()
    for name in ("play", "restart", "resync"):
        box = page.locator(f"[data-do={name}]").bounding_box()
        assert box["width"] >= 40
        assert box["height"] >= 40
        assert box["x"] + box["width"] <= 360


STRICT = """
async ([base, world]) => {
    const {asWorld, asSite} = await import(base + 'manifest.js');
    const {toFragment, fromFragment} = await import(base + 'replay.js');
    const said = (work) => {
        try { work(); return 'accepted'; } catch (error) { return error.message; }
    };
    const without = structuredClone(world);
    delete without.sim.hash;
    const axis = {unit: '', neutral: 0, increase: [], decrease: [], gamepad: null};
    const steering = {...world.spec, actions: [], axes: [
        {...axis, name: 'steer', low: -1, high: 1}, {...axis, name: 'gas', low: 0, high: 1}]};
    const at = (i, low, high) => Math.fround(low + (high - low) * i / 254);
    const replay = {world: 'w', sim: 'a'.repeat(16), seed: 3, scenario: world.spec.scenarios[0],
                    actions: [[1]], end: 'b'.repeat(16)};
    const returns = (spec, actions) => {
        const sent = {...replay, actions};
        return JSON.stringify(fromFragment('#' + toFragment(sent, spec), spec))
            === JSON.stringify(sent);
    };
    const link = toFragment(replay, world.spec);
    return [
        said(() => asWorld(world)),
        said(() => asWorld({...world, extra: 1})),
        said(() => asWorld(without)),
        said(() => asSite([])),
        returns(world.spec, Array.from({length: 700}, (_, i) => [Math.floor(i / 300) % 3])),
        returns(world.spec, []),
        returns(steering, Array.from({length: 50}, (_, i) => [at(i, -1, 1), at(254 - i, 0, 1)])),
        said(() => fromFragment(link.replace('actions=', 'actions=_'), world.spec)),
    ];
}
"""


def test_replays_and_manifests_are_read_strictly(open_page: Open, app: str, site: Path) -> None:
    page = open_page()
    world = json.loads(next(site.glob("wm/worlds/breakout-*/world.json")).read_text())
    assert page.evaluate(STRICT, [f"{page.url}{app}/", world]) == [
        "accepted",
        "world.json.extra: not a known key",
        "world.json.sim.hash: expected a string, found nothing",
        "site.json: expected an object, found a list",
        True,
        True,
        True,
        'this replay link is not whole: "actions" is damaged',
    ]
