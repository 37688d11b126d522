"""A sample window of a recording, in Chromium: asked for, played, stepped by keys, and heard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
AXE = (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text()


def violations(page: Any) -> list[Any]:
    page.evaluate(AXE + "; 0")
    return list(
        page.evaluate(
            """async () => (await axe.run('.md-content', {resultTypes: ['violations']})).violations
            .map((v) => [v.id, v.nodes.map((n) => n.html.slice(0, 120) + n.failureSummary)])"""
        )
    )


def test_a_sample_plays_when_it_is_asked_for(browser: Any, address: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page = context.new_page()
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(f"{address}worlds/driving/")
    page.wait_for_selector("wm-sample .wm-sample-load:enabled")
    assert not [url for url in asked if "/sample-" in url], "nothing heavy before it is asked for"
    first = page.locator("wm-sample").first
    first.locator(".wm-sample-load").click()
    slider = first.locator("input")
    slider.wait_for()
    page.wait_for_function("() => Number(document.querySelector('wm-sample input').value) > 2")
    # The button that was pressed is gone, and the one that pauses has the focus.
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Pause"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Play"
    slider.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert slider.input_value() == "1" and slider.get_attribute("aria-valuetext")
    drawn = first.evaluate(
        """(sample) => [...sample.querySelectorAll('canvas')].map((c) =>
        c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v))"""
    )
    assert drawn == [True, True]  # The views, and what is seen from above.
    assert first.locator("[role=meter]").count() == 7
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert violations(page) == [] and wrong == []
    context.close()


def test_where_motion_is_reduced_a_sample_moves_once_a_second(browser: Any, address: str) -> None:
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{address}worlds/driving/")
    page.click("wm-sample .wm-sample-load")
    page.wait_for_selector("wm-sample input")
    seen = page.evaluate(
        """async () => { const input = document.querySelector('wm-sample input'), seen = new Set();
        const end = performance.now() + 1500;
        while (performance.now() < end) {
          seen.add(input.value);
          await new Promise(requestAnimationFrame);
        }
        return [...seen]; }"""
    )
    assert len(seen) <= 3
    context.close()
