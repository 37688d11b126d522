"""Edit the sim on the page: run at once, faults at their lines, a way out of endless loops."""

from __future__ import annotations

from typing import Any

from drive import PADDLE, WORLD, game, notice, pixels, sees, state, until


def test_edit_run_error_reset(playing: Any) -> None:
    page = playing
    game(page, "g.autoplay('good')")
    source = page.evaluate(f"{WORLD}.sources['sims/breakout/__init__.py']")
    run = f"(text) => {WORLD}.runSource({{'sims/breakout/__init__.py': text}})"
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
    assert answer["error"]["file"] == "sims/breakout/__init__.py"
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
        "file": "sims/breakout/__init__.py",
        "line": body + 2,
    }
    until(page, "s.phase === 'playing' && s.tick > 9")
    assert "AssertionError: boom (sims/breakout/__init__.py, line" in notice(page)
    assert state(page)["edited"]
    # Back to what the site shipped.
    assert page.evaluate(f"{WORLD}.resetSource()") == {"ok": True}
    assert not until(page, "s.tick > 2")["edited"]
    assert page.evaluate(f"{WORLD}.sources['sims/breakout/__init__.py']") == source


def test_stop_ends_a_sim_that_loops_for_ever(playing: Any) -> None:
    page = playing
    game(page, "g.autoplay('good')")
    until(page, "s.tick > 20")
    source = page.evaluate(f"{WORLD}.sources['sims/breakout/__init__.py']")
    lines = source.splitlines()
    step = next(i for i, line in enumerate(lines) if "def step(" in line)
    body = next(i for i in range(step, len(lines)) if lines[i].strip().endswith('"""'))
    endless = [
        *lines[: body + 1],
        '        while self.state["tick"][0] > 6: pass',
        *lines[body + 1 :],
    ]
    tick = state(page)["tick"]
    run = f"(text) => {WORLD}.runSource({{'sims/breakout/__init__.py': text}})"
    assert page.evaluate(run, "\n".join(endless)) == {"ok": True}
    page.click(".wm-notice [data-do=stop]", timeout=30_000)
    after = until(page, "s.phase === 'paused' && !s.edited")
    assert after["tick"] >= tick
    assert "The last good code is back" in notice(page)
    page.click("[data-do=play]")
    until(page, f"s.phase === 'playing' && s.tick > {after['tick'] + 3}")


def test_a_sim_that_cannot_say_its_state_leaves_run_and_reset_alive(playing: Any) -> None:
    page = playing
    source = page.evaluate(f"{WORLD}.sources['sims/breakout/__init__.py']")
    run = f"(text) => {WORLD}.runSource({{'sims/breakout/__init__.py': text}})"
    silent = source + (
        "\n\ndef _silent(self):\n    raise RuntimeError('no state today')\n"
        "Breakout.snapshot = _silent\n"
    )
    assert page.evaluate(run, silent) == {"ok": True}
    until(page, "s.edited && s.tick > 5")
    assert page.evaluate(run, silent.replace("today", "now")) == {"ok": True}
    until(page, "s.edited && s.tick > 5")
    game(page, "await g.restart()")
    until(page, "s.edited && s.phase === 'playing'")
    assert page.evaluate(f"{WORLD}.resetSource()") == {"ok": True}
    assert not until(page, "s.tick > 2")["edited"]
    # In the panel too, whatever goes wrong: its buttons stay alive.
    page.click("[data-opens=source]")
    page.wait_for_selector("wm-world .cm-content")
    page.evaluate(f"void ({WORLD}.runSource = () => Promise.reject(new Error('broken')))")
    page.click("[data-do=run]")
    page.wait_for_function(
        "() => document.querySelector('.wm-editor-fault').innerText === 'broken'"
    )
    assert page.get_attribute("[data-do=run]", "aria-disabled") == "false"
    page.evaluate(f"delete {WORLD}.runSource")
    page.click("[data-do=reset-source]")
    page.wait_for_function(
        "() => document.querySelector('.wm-editor-note').innerText === 'As shipped.'"
    )
    page.click("[data-opens=source]")


def test_what_a_sim_imports_late_is_brought_while_it_plays(playing: Any) -> None:
    page = playing
    source = page.evaluate(f"{WORLD}.sources['sims/breakout/__init__.py']")
    late = source + (
        "\n\n_step = Breakout.step\n"
        "def _late(self, actions):\n"
        "    if self.state['tick'][0] == 7:\n"
        "        import colorsys\n"
        "        assert colorsys.rgb_to_hsv(1, 0, 0)[1] == 1\n"
        "    return _step(self, actions)\n"
        "Breakout.step = _late\n"
    )
    run = f"(text) => {WORLD}.runSource({{'sims/breakout/__init__.py': text}})"
    assert page.evaluate(run, late) == {"ok": True}
    until(page, "s.edited && s.tick > 12")
    assert game(page, "return g.sim.asked.has('python_stdlib.zip')")
    assert page.evaluate(f"{WORLD}.resetSource()") == {"ok": True}
