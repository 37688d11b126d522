"""What a browser lacks or a host refuses is done without; a page that cannot play says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from drive import WORLD, Open, notice, play, state, until

from builder import chromium

# How a browser may lack each of these, or refuse it when it is asked for.
REFUSE = """(how) => {
    const refuse = (object, name) => {
        const refused = () => { throw new DOMException(`${name} is refused`, "SecurityError"); };
        const value = how === "absent" ? { value: undefined } : { get: refused };
        Object.defineProperty(object, name, { configurable: true, ...value });
    };
    for (const name of ["IntersectionObserver", "ResizeObserver", "matchMedia"])
        refuse(window, name);
    refuse(Navigator.prototype, "serviceWorker");
    if (how === "absent") refuse(Navigator.prototype, "getGamepads");
    const requestAdapter = how === "absent"
        ? () => new Promise(() => {})
        : () => { throw new TypeError("no such thing\\n at the second line"); };
    const gpu = { configurable: true, value: { requestAdapter } };
    Object.defineProperty(Navigator.prototype, "gpu", gpu);
}"""
SAID = {
    "absent": "WebGPU is not used: the browser named no adapter within 1 s.",
    "throwing": "WebGPU is not used: no such thing.",
}


@pytest.mark.parametrize("how", ["absent", "throwing"])
def test_what_is_refused_is_done_without(browser: Any, site: Path, app: str, how: str) -> None:
    # A usual hardening header: `getGamepads` throws.
    headers = {} if how == "absent" else {"Permissions-Policy": "gamepad=()"}
    with chromium.serve_folder(site, headers=headers) as url, browser.new_context() as context:
        context.add_init_script(f"({REFUSE})('{how}')")
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector("wm-world[data-phase=idle]")
        page.evaluate(
            f"""async () => {{
                const gpu = await import('{url}{app}/element/browser-features.js');
                gpu.LIMITS.adapter = 1000;
                {WORLD}.game.choice.backend = 'webgpu';
            }}"""
        )
        # The model is on wasm before WebGPU has answered.
        play(page)
        page.locator(".wm-notice", has_text=SAID[how]).wait_for()
        assert state(page)["backend"] == "wasm"
        assert "second line" not in notice(page)
        tick = state(page)["tick"]
        until(page, f"s.phase === 'playing' && s.tick > {tick + 3}")
        assert "No offline copy: " in page.inner_text(".wm-embed .wm-offline")
        assert page.locator(".wm-canvas").bounding_box()["height"] > 100


def test_an_adapter_that_never_answers_leaves_the_offline_button_alive(
    open_page: Open, app: str
) -> None:
    page = open_page()
    page.evaluate(
        f"""async () => {{
            (await import('{page.url}{app}/element/browser-features.js')).LIMITS.adapter = 500;
            const gpu = {{ requestAdapter: () => new Promise(() => {{}}) }};
            Object.defineProperty(navigator, 'gpu', {{ configurable: true, value: gpu }});
        }}"""
    )
    page.click(".wm-embed .wm-offline-do")
    page.wait_for_selector(".wm-embed .wm-offline:is([data-state=loading], [data-state=kept])")


def test_a_page_whose_script_never_came_says_so_where_play_is(browser: Any, site: Path) -> None:
    with (
        chromium.serve_folder(site) as url,
        browser.new_context(service_workers="block") as context,
    ):
        missing, file, framed, well = (context.new_page() for _ in range(4))
        missing.route("**/rpc.js", lambda route: route.fulfill(status=404, body=""))
        missing.goto(url)
        assert not missing.locator(".wm-late").is_visible(), "the script may still come"
        file.goto((site / "index.html").as_uri())
        framed.set_content(f'<iframe sandbox="allow-scripts" src="{url}" width=800 height=800>')
        well.goto(url)
        for page in (missing, file, framed.frame_locator("iframe")):
            late = page.locator(".wm-late")
            late.wait_for(state="visible")
            assert late.inner_text().startswith("Breakout is not ready: its script has not come.")
            assert page.locator(".wm-play").is_visible()
        assert well.locator(".wm-late").count() == 0


def test_a_sandboxed_frame_plays_where_the_host_lets_any_origin_read(
    browser: Any, site: Path
) -> None:
    """Without allow-same-origin a page has no origin: its own files come from elsewhere."""
    headers = {"Access-Control-Allow-Origin": "*"}
    with chromium.serve_folder(site, headers=headers) as url, browser.new_context() as context:
        page = context.new_page()
        # All of the frame is in sight: browsers give what is not less of the processor.
        page.set_content(f'<iframe sandbox="allow-scripts" src="{url}" width=900 height=600>')
        framed = page.frame_locator("iframe")
        framed.locator(".wm-play").click()
        _, frame = page.frames[:2]
        until(frame, "s.simFrames > 5")
        framed.locator(".wm-notice", has_text="sandboxed without allow-same-origin").wait_for()
        assert "The sim plays on without it." in notice(frame)
        tick = state(frame)["tick"]
        until(frame, f"s.phase === 'playing' && s.tick > {tick + 3}")
        assert frame.evaluate("origin") == "null"
