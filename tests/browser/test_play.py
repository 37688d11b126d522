"""Play the built site in Chromium: real Pyodide, real onnxruntime-web, real keys and fingers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from drive import WORLD, Open, frames, game, notice, paddle, pixels, play, sees, state, text, until

ROOT = Path(__file__).parents[2]


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


def test_keys_move_the_paddle_on_the_focused_stage_only(playing: Any) -> None:
    page = playing
    page.check("input[value=sim]")
    page.focus(".wm-stage")
    start, tick = paddle(page), state(page)["tick"]
    page.keyboard.down("ArrowRight")
    until(page, f"s.tick > {tick + 8}")
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


def test_a_click_on_a_mode_leaves_the_keys_to_the_game(playing: Any) -> None:
    page = playing
    page.click("label:has(> input[value=split])")
    until(page, "s.mode === 'split'")
    page.wait_for_function("() => document.activeElement.matches('.wm-stage')")
    page.keyboard.press("ArrowRight")
    assert state(page)["mode"] == "split"
    # By keyboard they are radio buttons as everywhere.
    page.focus("input[value=split]")
    page.keyboard.press("ArrowLeft")
    until(page, "s.mode === 'overlay'")
    page.focus(".wm-stage")


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


def test_a_game_that_the_model_plays_alone_is_the_models_and_can_be_lost(playing: Any) -> None:
    page = playing
    one_life = (ROOT / "sims/breakout/__init__.py").read_text().replace("LIVES = 3", "LIVES = 1")
    run = f"(text) => {WORLD}.runSource({{'sims/breakout/__init__.py': text}})"
    assert page.evaluate(run, one_life) == {"ok": True}
    game(page, "g.setMode('overlay'); g.autoplay('bad')")
    begun = state(page)["tick"]
    until(page, f"s.tick > {begun + 4} && s.shown === 'overlay'")
    # One that was not found to know the end plays on, and says so; the sim stays at its own end.
    game(
        page,
        "g.variant = g.model.variant; g.model.variant = {...g.variant, ends: false, scores: true}",
    )
    page.check("input[value=neural]")
    until(page, "s.shown === 'neural'")
    assert "does not know when a game ends" in notice(page)
    game(page, "g.world.hud = {...g.world.hud, score: 'reward'}")
    sees(page, "g.ended", 60)
    at = state(page)
    until(page, f"s.modelFrames > {at['modelFrames'] + 20}")
    after = state(page)
    assert not after["over"] and after["tick"] == at["tick"] > begun
    saved = game(page, "return (await g.recorder.recording(g.sim)).games.at(-1)")
    assert len(saved["steps"]) == at["tick"]
    assert saved["end"] == game(page, "return g.sim.digest()")
    # The score is the model's own; what it does not know is blank, and says why.
    game(page, "g.score = 1230")
    page.wait_for_function(
        "() => /^12..$/.test(document.querySelector('[data-hud=score]').innerText)"
    )
    assert game(page, "return g.read('hud.score')") < 1230
    assert page.inner_text("[data-hud=lives]") in "0123"
    game(page, "g.known = g.world.hud; g.world.hud = {}")
    page.wait_for_function("() => document.querySelector('[data-hud=lives]').textContent === '–'")
    assert "Only the simulator knows" in page.get_attribute("[data-hud=lives]", "title")
    # One that knows it loses the game, by its own word.
    game(page, "g.world.hud = g.known; g.model.variant = g.variant; await g.restart(1)")
    assert game(page, "return g.model.tellsEnds")
    until(page, "s.over", 90)
    assert "does not know" not in notice(page)
    assert state(page)["shown"] == "neural"
    game(page, "g.setMode('overlay')")
    page.evaluate(f"{WORLD}.resetSource()")


def test_a_slow_model_is_said_to_be_slow_for_as_long_as_it_is(
    playing: Any, url: str, app: str
) -> None:
    page = playing
    keep = f"const {{keepPace}} = await import('{url}{app}/model/join.js');"
    took = "const took = (n, ms) => { while (n--) keepPace(g, ms); };"
    # Steps are slow while the runtime compiles: of those nobody hears.
    game(page, f"g.pause('test'); await g.turn; {keep} {took} g.model.steps.clear(); took(60, 90)")
    game(page, f"{keep} {took} took(60, 5)")
    assert notice(page) == "" and not game(page, "return g.model.slow")
    game(page, f"{keep} {took} took(60, 90)")
    page.locator(".wm-notice:has-text('A model step takes 90 ms here')").wait_for()
    game(page, f"{keep} {took} took(60, 5)")
    assert notice(page) == ""
    game(page, "g.resume()")


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
    before = state(page)
    assert before["phase"] == "paused"
    # A script goes on with the same game.
    page.evaluate(f"{WORLD}.play()")
    after = until(page, f"s.phase === 'playing' && s.tick > {before['tick']}")
    assert after["seed"] == before["seed"]
    assert page.inner_text(".wm-modes legend") == "View"


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


def test_two_worlds_share_one_python(playing: Any) -> None:
    page = playing
    page.evaluate(
        f"""() => {{
            const first = {WORLD}, second = document.createElement('wm-world');
            second.setAttribute('world', first.getAttribute('world'));
            second.setAttribute('src', first.getAttribute('src'));
            // Both fit the window.
            for (const one of [first, second]) one.style.setProperty('--wm-room', '320px');
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
    page.click(".wm-bar [data-do=dream]")
    until(page, "s.dream !== null && s.drift !== null")
    assert violations() == [], "a dream"
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
