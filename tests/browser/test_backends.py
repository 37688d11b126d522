"""Which variant of the model runs, on wasm or on WebGPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from drive import WORLD, game, state, until

from builder import chromium


def test_the_page_takes_the_first_variant_that_its_device_runs(playing: Any, site: Path) -> None:
    world = json.loads(next(site.glob("wm/worlds/breakout-*/world.json")).read_text())
    variants = world["models"][0]["variants"]
    names = [variant["name"] for variant in variants]
    assert names == [name for name in ("int8", "fp16", "fp32") if name in names]
    able = [variant["name"] for variant in variants if "wasm" in variant["backends"]]
    assert (state(playing)["backend"], state(playing)["variant"]) == ("wasm", able[0])


def test_a_null_adapter_leaves_wasm_and_a_line(playing: Any) -> None:
    page = playing
    # Beside what there is to say of the model anyway.
    game(page, "g.model.model.older = 'Made for another sim.'")
    page.click("[data-opens=settings]")
    runs_on = page.get_by_label("Model runs on")
    runs_on.select_option("webgpu")
    said = page.locator(".wm-notice:has-text('WebGPU is not used: ')")
    said.filter(has_text="The model runs on wasm. Made for another sim.").wait_for()
    game(page, "g.model.model.older = ''")
    after = until(page, "s.backend === 'wasm'")
    frames = after["modelFrames"]
    until(page, f"s.modelFrames > {frames + 2}")
    runs_on.select_option("auto")


@pytest.mark.alone
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
        limits = f"(await import('{url}{app}/game/loading-stages.js')).LIMITS"
        page.evaluate(f"async () => {{ Object.assign({limits}, {{stage: 2e5, step: 2e5}}); }}")
        page.click(".wm-play")
        # Wasm first, so that play begins; then WebGPU, once it has drawn the same.
        assert until(page, "s.backend !== null", 240)["backend"] == "wasm"
        until(page, "s.backend === 'webgpu'", 240)
        apart = game(
            page,
            """
            g.pause('test');
            await g.turn;
            const told = {frame: g.simFrame.slice(), values: g.values()};
            const sight = {...told, frame: new Uint8Array(told.frame)};
            const gpu = await g.model.remote.call('probe', {name: g.model.name, sight, steps: 2});
            const {runtime, model} = g.stages;
            const name = 'compare';
            const wasm = await g.model.prepare(name, 'wasm', g.model.pick('wasm', 'auto'),
                                               {runtime, model}, Promise.resolve(told));
            const again = await wasm.remote.call('probe', {name, sight, steps: 2});
            let far = 0;
            gpu.frame.forEach((v, i) => { if (Math.abs(v - again.frame[i]) > 24) far++; });
            return far;
            """,
        )
        assert apart <= 0.005 * 64 * 64 * 4


def test_spoilt_pixels_are_what_the_model_sees_and_not_the_sim(playing: Any) -> None:
    page = playing
    slider = page.get_by_label("Pixels spoilt in what the model sees")
    page.click("label:has(> input[value=overlay])")
    if not slider.is_visible():
        page.click("[data-opens=settings]")
    slider.fill("6")
    until(page, "s.drift > 0.5")
    slider.fill("0")
    until(page, "s.drift < 0.5")
