"""What fails on the way to play, or dies in the middle of it, is told and can be mended."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from drive import Open, game, notice, state, until

ROOT = Path(__file__).parents[2]


def test_a_failed_stage_says_why_and_retry_works(open_page: Open, app: str) -> None:
    page = open_page(service_workers="block")
    limits = f"(await import('{page.url}{app}/game/loading-stages.js')).LIMITS"
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


@pytest.mark.alone
def test_silence_has_a_limit_and_dead_workers_are_told(playing: Any, app: str, url: str) -> None:
    page = playing
    limits = f"(await import('{url}{app}/game/loading-stages.js')).LIMITS"
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


def test_what_the_network_breaks_off_is_named_and_told_in_one_line(tmp_path: Path) -> None:
    # In Node, whose streams are a browser's.
    script = """
        import { createServer } from "node:http";
        const player = process.argv[2];
        const { fetchFile, load } = await import(`${player}/game/manifest.js`);
        const { reason } = await import(`${player}/game/loading-stages.js`);
        const server = createServer((_, answer) => {
            answer.writeHead(200, { "content-length": 100 });
            answer.write("0123456789", () => setTimeout(() => answer.destroy(), 50));
        });
        await new Promise((done) => server.listen(0, "127.0.0.1", done));
        const at = `http://127.0.0.1:${server.address().port}/a/model.onnx`;
        const said = (error) => reason(error);
        const found = [
            await fetchFile({ url: at, bytes: 100, sha256: "" }).catch(said),
            await load(`${player}/absent.js`).catch(said),
            reason(new Error("failed to call OrtRun(). ERROR_CODE: 6\\n at line 2\\n at line 3")),
            reason("Traceback (most recent call last):\\n  File x\\nImportError: no y\\n"),
            reason(new Error("long ".repeat(1000))).length < 300,
        ];
        server.close();
        console.log(JSON.stringify(found));
    """
    (tmp_path / "ask.mjs").write_text(script)
    player = (ROOT / "site_template" / "player").as_uri()
    command = ["node", str(tmp_path / "ask.mjs"), player]
    found = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    assert found == [
        "model.onnx: the network broke off after 10 of 100 bytes",
        found[1],
        "failed to call OrtRun(). ERROR_CODE: 6",
        "ImportError: no y",
        True,
    ]
    assert found[1].startswith("absent.js: ")
