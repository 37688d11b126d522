"""The whole site as readers meet it: accessible, of one origin, under its policy, at any depth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from drive import WORLD

from builder.site import site_files

ROOT = Path(__file__).parents[2]
AXE = (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text()
BASE = "/some/repo/"
VIOLATIONS = """async (rules) => (
    await axe.run(document, {resultTypes: ['violations'], ...(rules && {runOnly: rules})})
  ).violations.map((v) => [v.id, v.help, ...v.nodes.map((n) => n.html.slice(0, 99))].join(" ; "))"""

SMALL = """[...document.querySelectorAll('.wm-report svg text')]
    .map((t) => [parseFloat(getComputedStyle(t).fontSize) * t.getScreenCTM().a, t.id])
    .filter(([size]) => size < 10)"""
FORBIDDEN = """async () => {
    const said = [];
    document.addEventListener("securitypolicyviolation", (event) => {
      said.push(event.effectiveDirective);
    });
    const script = document.createElement("script");
    script.textContent = "window.injected = 1";
    document.body.append(script);
    const button = document.createElement("button");
    button.setAttribute("onclick", "window.injected = 2");
    document.body.append(button);
    button.click();
    const asked = fetch("https://example.invalid/");
    const far = await asked.then(() => "came", () => "refused");
    await new Promise((resolve) => setTimeout(resolve, 50));
    return [window.injected ?? null, far, [...new Set(said)].sort()];
  }"""


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """A page that asks no other host for anything and raises no exception."""
    problems: list[str] = []
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    opened = context.new_page()
    opened.on("pageerror", lambda error: problems.append(str(error)))
    context.on(
        "request",
        lambda r: None if r.url.startswith((address, "blob:", "data:")) else problems.append(r.url),
    )
    yield opened
    context.close()
    assert not problems


def pages(site: Path) -> list[str]:
    found = [p.relative_to(site).as_posix() for p in site.rglob("*.html")]
    return sorted(path.removesuffix("index.html") for path in found)


def play(page: Any) -> None:
    page.click(".wm-play")
    page.wait_for_function(f"() => {WORLD}.state.simFrames > 2", timeout=60_000)


def axe(page: Any, *rules: str) -> list[str]:
    """Return what axe finds wrong with a page; rules: these alone."""
    page.evaluate(AXE + "; 0")
    found: list[str] = page.evaluate(VIOLATIONS, list(rules) or None)
    return found


def in_scheme(page: Any, scheme: str) -> None:
    """Switch a page to "light" or "dark", as its button does, without the wait for its colours."""
    number = ["light", "dark"].index(scheme)
    page.evaluate(f"document.getElementById('__palette_{number}').click()")
    page.wait_for_selector(f"body[data-md-color-scheme={['default', 'slate'][number]}]")
    page.evaluate(
        """for (const change of document.getAnimations()) {
            if (change instanceof CSSTransition) change.finish();
        }"""
    )


def test_every_page_can_be_read_by_all_also_on_a_phone_and_keeps_its_policy(
    page: Any, whole_site: Path, address: str
) -> None:
    """In one load of each page: loads take the most time."""
    for path in pages(whole_site):
        page.set_viewport_size({"width": 1360, "height": 900})
        page.goto(address + path)
        assert axe(page) == [], path
        in_scheme(page, "dark")
        # The schemes differ in colours alone.
        assert axe(page, "color-contrast") == [], f"{path}, dark"
        in_scheme(page, "light")
        page.set_viewport_size({"width": 360, "height": 740})
        page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        assert page.evaluate(SMALL) == [], f"{path}: too small to read on a phone"
        # At last, for it tries what should not be there.
        forbidden = ["connect-src", "script-src-attr", "script-src-elem"]
        assert page.evaluate(FORBIDDEN) == [None, "refused", forbidden], path
        # A string as code, from a script of the page's own.
        page.evaluate("setTimeout('window.injected = 3')")
        page.wait_for_timeout(20)
        assert page.evaluate("window.injected ?? null") is None, path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_where_a_world_plays(page: Any, address: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    rules = [] if scheme == "light" else ["color-contrast"]
    page.goto(address)
    play(page)
    page.click("[data-opens=source]")
    page.wait_for_selector("wm-world .cm-content")
    assert axe(page, *rules) == [], "home, playing, with its source"
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(address)
    assert axe(page, *rules) == [], "home on a phone"


def test_every_button_of_a_touch_pad_is_on_the_screen(browser: Any, address: str) -> None:
    """DoorKey has the most: six."""
    outside = """() => [...document.querySelectorAll('.wm-touch')].filter((button) => {
        const box = button.getBoundingClientRect();
        return box.width < 32 || box.left < 0 || box.right > innerWidth;
    }).map((button) => button.textContent)"""
    for width, height in ((360, 740), (740, 360)):
        context = browser.new_context(
            viewport={"width": width, "height": height}, has_touch=True, is_mobile=True
        )
        page = context.new_page()
        page.goto(address + "worlds/doorkey/")
        page.locator(".wm-play").click()
        page.locator(".wm-touch").nth(5).wait_for()
        assert page.locator(".wm-touch").count() == 6
        assert page.evaluate(outside) == [], (width, height)
        context.close()


def test_a_long_page_has_its_contents_at_hand(page: Any, address: str) -> None:
    page.goto(address + "worlds/breakout/")
    listed = page.locator(".md-sidebar--primary .md-nav--secondary a")
    assert listed.first.is_visible()
    assert page.locator(".wm-contents").is_hidden()
    assert page.evaluate("document.documentElement.scrollHeight") < 18_000
    page.set_viewport_size({"width": 390, "height": 844})
    links = page.locator(".wm-contents a")
    assert links.count() > 7
    links.filter(has_text="Evaluation").click()
    page.wait_for_function("() => location.hash === '#evaluation' && scrollY > 3000")


def test_links_lead_somewhere_and_nobody_else_is_named(whole_site: Path) -> None:
    read = site_files.read_pages(whole_site)
    assert list(site_files.links(whole_site, read, BASE)) == []
    assert list(site_files.third_parties(whole_site, read)) == []


def test_search_finds_what_pages_say(page: Any, address: str) -> None:
    page.goto(address)
    page.click(".md-search__form input")
    page.keyboard.type("learning_rate", delay=10)
    page.wait_for_selector(".md-search-result__link[href*='reference/recipe']")


def test_an_address_that_leads_nowhere_shows_a_page_of_this_site(page: Any, address: str) -> None:
    for path in ("nowhere", "no/such/page/"):
        response = page.goto(address + path)
        assert response.status == 404
        assert page.inner_text("h1") == "There is no such page"
        night = page.evaluate(
            "getComputedStyle(document.querySelector('.md-header')).backgroundColor"
        )
        assert night == "rgb(12, 14, 28)", "its style sheets are found at any depth"
    page.click("article a")
    assert page.url == address


def test_it_can_be_installed(page: Any, address: str) -> None:
    page.goto(address)
    session = page.context.new_cdp_session(page)
    found = session.send("Page.getAppManifest")
    assert found["errors"] == []
    problems = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    # A private window, as tests have, is the one reason left.
    assert [p["errorId"] for p in problems] in ([], ["in-incognito"])


def test_the_source_is_edited_beside_the_stage(page: Any, address: str) -> None:
    page.goto(address + "worlds/breakout/")
    play(page)
    page.click("[data-opens=source]")
    editor = page.locator("wm-world [role=tabpanel]:visible .cm-content")
    editor.wait_for()
    stage, source = page.locator(".wm-viewport").bounding_box(), editor.bounding_box()
    assert source["x"] >= stage["x"] + stage["width"], "beside the stage, not below it"

    # Change a number and run: by keys alone.
    assert (
        page.evaluate(f"{WORLD}.shippedSources['sims/breakout/__init__.py']").count("RATE = 30")
        == 1
    )
    type_over(page, "LIVES = 3", "LIVES = 2")
    page.keyboard.press("Control+Enter")
    until_note(page, "runs your source")
    assert page.evaluate(f"{WORLD}.state.edited") is True
    assert page.inner_text("[data-hud=lives]") == "2"
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert not page.evaluate("document.activeElement.closest('.cm-editor')"), "Tab is no trap"

    # What is no Python is said in words where one types, before anything is run.
    type_over(page, "LIVES = 2", "LIVES = (2")
    words = page.locator(".cm-words")
    words.get_by_text("'(' was never closed").wait_for()
    box, above = words.bounding_box(), page.locator(".cm-lintRange-error").bounding_box()
    assert 0 <= box["y"] - (above["y"] + above["height"]) < above["height"], "below the very line"
    assert page.inner_text("[data-hud=lives]") in "012", "the game goes on as it was"
    type_over(page, "LIVES = (2", "LIVES = 2")
    words.wait_for(state="hidden")

    # An exception shows at its line, and the game goes on.
    type_over(page, "LIVES = 2", "LIVES = 2 / 0")
    page.click("[data-do=run]")
    fault = page.locator(".wm-editor-fault")
    fault.get_by_text("ZeroDivisionError").wait_for()
    lines = page.evaluate(f"{WORLD}.sources['sims/breakout/__init__.py']").split("\n")
    line = 1 + next(i for i, text in enumerate(lines) if text.startswith("LIVES ="))
    assert f"Line {line} of breakout.py" in fault.inner_text()
    assert page.locator(".cm-lintRange-error").inner_text() == "LIVES = 2 / 0"
    # Tab may have led down the page, where the stage is out of sight and the game pauses.
    if page.evaluate(f"{WORLD}.state.phase") == "paused":
        page.click("[data-do=play]")
    # Frames, not ticks: a game that nobody plays is soon over, and the next one may be shorter.
    before = page.evaluate(f"{WORLD}.state.simFrames")
    page.wait_for_function(f"() => {WORLD}.state.simFrames > {before}")
    assert page.inner_text("[data-hud=lives]") in "012"

    # What was typed outlives a reload, however soon; Reset brings the shipped file back.
    type_over(page, "LIVES = 2 / 0", "LIVES = 4 / 2")
    page.reload()
    play(page)
    page.click("[data-opens=source]")
    until_note(page, "Your edits from last time")
    with page.expect_download() as download:
        page.click("[data-do=download]")
    assert download.value.suggested_filename == "breakout.py"
    assert "LIVES = 4 / 2" in Path(download.value.path()).read_text()
    page.click("[data-do=reset-source]")
    until_note(page, "As shipped")
    assert page.evaluate(f"{WORLD}.state.edited") is False
    assert page.evaluate("Object.keys(localStorage).filter((k) => k.startsWith('wmsite'))") == []

    # The contract can be read, not changed.
    page.get_by_role("tab", name="contract.py").click()
    assert (
        page.locator("[role=tabpanel]:visible .cm-content").get_attribute("aria-readonly") == "true"
    )


def test_a_loop_without_end_is_stopped_from_the_editor(page: Any, address: str) -> None:
    page.goto(address + "worlds/breakout/")
    play(page)
    page.click("[data-opens=source]")
    type_over(page, "LIVES = 3", "LIVES = 3\nwhile True: pass")
    page.click("[data-do=run]")
    page.click("[data-do=stop-run]")
    page.locator(".wm-editor-fault").get_by_text("stopped").wait_for()
    page.wait_for_function(f"() => {WORLD}.state.phase === 'paused'", timeout=30_000)
    page.click("[data-do=play]")
    page.wait_for_function(f"() => {WORLD}.state.phase === 'playing'")


def type_over(page: Any, old: str, new: str) -> None:
    """Find text in the editor as its keys do, and type over it."""
    editor = page.locator("wm-world [role=tabpanel]:visible .cm-content")
    editor.click()
    page.keyboard.press("Control+f")
    page.keyboard.type(old)
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.keyboard.insert_text(new)


def until_note(page: Any, words: str) -> None:
    page.locator(".wm-editor-note").get_by_text(words).wait_for(timeout=30_000)
