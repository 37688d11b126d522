"""What the service worker keeps after one visit, and what is said where nothing can be kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from offline_copy import BASE, LISTEN, keep, line, opened, playing, tell, until_line

from builder import chromium


def test_after_one_visit_and_play_all_works_without_a_network(
    browser: Any, whole_site: Path
) -> None:
    site = json.loads((whole_site / "wm" / "site.json").read_text())
    world = json.loads((whole_site / "wm" / site["worlds"]["breakout"]).read_text())
    models = bool(world["models"])
    pages = sorted(p.relative_to(whole_site).as_posix() for p in whole_site.rglob("index.html"))
    assert len(pages) >= 9
    context = browser.new_context()
    context.add_init_script(LISTEN)
    page = context.new_page()
    with chromium.serve_folder(whole_site, base=BASE) as url:
        page.goto(url)
        assert page.evaluate("caches.keys()") == [], "nothing is kept before Play"
        playing(page, models)
        page.wait_for_selector(".wm-embed .wm-offline[data-state=kept]", timeout=60_000)
        counted = [m["done"] for m in page.evaluate("told") if m["loading"]]
        assert counted == sorted(counted)
        assert counted[-1] > 10e6, "progress is told in bytes"
        assert "Complete offline" in line(page)
    # The server is gone: what comes now comes from the browser alone.
    page.reload()
    assert "Complete offline" in line(page)
    playing(page, models)
    page.click("[data-opens=source]")
    page.wait_for_selector("wm-world .cm-content")
    for path in pages:
        page.goto(url + path.removesuffix("index.html"), wait_until="domcontentloaded")
        title = (whole_site / path).read_text().split("<title>")[1].split("</title>")[0]
        assert page.title() == title
    page.goto(url + "worlds/breakout/")
    page.click(".md-search__form input")
    page.keyboard.type("authority", delay=30)
    page.wait_for_selector(".md-search-result__link[href*='how-it-works']", timeout=20_000)
    page.click(".md-search-result__link[href*='how-it-works']")
    page.wait_for_url("**/how-it-works/**")
    # Without its slash a host redirects; here the worker does.
    page.goto(url + "host-it")
    assert page.url.endswith("/host-it/")
    page.goto(url + "no/such/page/")
    assert "no such page" in page.inner_text("h1")
    # A world that was not kept says so, and nothing beside it says that it plays.
    page.goto(url + "worlds/driving/")
    page.click(".wm-play")
    page.wait_for_selector(".wm-notice [data-do=retry]")
    assert "not kept for offline use" in page.inner_text(".wm-notice")
    until_line(page, "Not kept for offline use, and the network does not answer now.")
    page.click(".wm-embed .wm-offline-do")
    page.wait_for_function("() => told.some((one) => one.problem.includes('did not answer'))")
    until_line(page, "Not kept for offline use, and the network does not answer now.")
    page.goto(url)
    until_line(page, "Complete offline")
    assert "newer version" not in line(page)
    context.close()


def test_remove_leaves_nothing_behind(browser: Any, url: str) -> None:
    with opened(browser, url) as page:
        playing(page, models=False)
        page.wait_for_selector(".wm-embed .wm-offline[data-state=kept]", timeout=60_000)
        # Python's snapshot is kept in the background.
        page.wait_for_function("async () => (await caches.keys()).includes('wm-python')")
        python = "async () => (await (await caches.open('wm-python')).keys()).length > 0"
        page.wait_for_function(python)
        page.click(".wm-embed .wm-offline-do")
        page.wait_for_selector(".wm-embed .wm-offline[data-state=none]")
        assert page.evaluate("caches.keys()") == []
        # What another site of this origin has kept is not this one's to remove.
        page.evaluate(
            "caches.open('wm-python').then((c) => c.put('/other/snapshot', new Response('')))"
        )
        keep(page)
        page.click(".wm-embed .wm-offline-do")
        page.wait_for_selector(".wm-embed .wm-offline[data-state=none]")
        assert page.evaluate("caches.keys()") == ["wm-python"]


def test_too_little_storage_is_told_and_play_goes_on(browser: Any, url: str) -> None:
    with opened(browser, url) as page:
        session = page.context.new_cdp_session(page)
        origin = page.evaluate("location.origin")
        session.send("Storage.overrideQuotaForOrigin", {"origin": origin, "quotaSize": 2_000_000})
        page.click(".wm-embed .wm-offline-do")
        until_line(page, "too little storage")
        playing(page, models=False)


def test_a_browser_that_refuses_storage_plays_all_the_same(url: str, tmp_path: Path) -> None:
    profile = tmp_path / "profile" / "Default"
    profile.mkdir(parents=True)
    refused = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    (profile / "Preferences").write_text(json.dumps(refused))
    with persistent(tmp_path / "profile") as context:
        page = context.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(url)
        refused_by = "caches.keys().then(() => null, (error) => error.name)"
        assert page.evaluate(refused_by) == "SecurityError"
        until_line(page, "No offline copy: this browser refuses storage")
        playing(page, models=False)
        page.click("[data-opens=source]")
        page.wait_for_selector("wm-world .cm-content")
        page.click("[data-do=run]")
        page.wait_for_function(
            "() => document.querySelector('.wm-editor-note').innerText.includes('runs')"
        )
        assert not problems


@pytest.mark.parametrize(
    ("instead", "said"),
    [
        ("redirect", "the host redirects sw.js, as to a login page"),
        (
            "page",
            "the host sends sw.js as text/html; charset=utf-8, not as a script: a login page?",
        ),
    ],
)
def test_a_login_page_in_the_place_of_the_service_worker_is_named(
    browser: Any, site: Path, monkeypatch: pytest.MonkeyPatch, instead: str, said: str
) -> None:
    ordinary = chromium.Handler.do_GET

    def do_GET(self: chromium.Handler) -> None:
        if not self.path.startswith(f"{BASE}sw.js"):
            return ordinary(self)
        if instead == "redirect":
            self.send_response(302)
            self.send_header("Location", f"{BASE}?login")
        else:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", "0")
        self.end_headers()

    monkeypatch.setattr(chromium.Handler, "do_GET", do_GET)
    with chromium.serve_folder(site, base=BASE) as url, opened(browser, url) as page:
        until_line(page, f"No offline copy: {said}. Everything else works.")
        playing(page, models=False)


@contextmanager
def persistent(profile: Path) -> Iterator[Any]:
    """Chromium with a profile of its own, whose settings it reads."""
    with chromium.browser() as opened_browser:
        launcher = opened_browser.browser_type
        context = launcher.launch_persistent_context(
            str(profile), executable_path=chromium.find(), args=[*chromium.QUIET, "--no-sandbox"]
        )
        try:
            yield context
        finally:
            context.close()


def test_threads_can_be_had_from_a_host_without_headers(browser: Any, deployed: Path) -> None:
    for file in deployed.rglob("*.html"):
        text = file.read_text()
        file.write_text(text.replace("</head>", '<meta name="wm-threads" content="on"></head>', 1))
    tell(deployed)
    with (
        chromium.serve_folder(deployed, base=BASE) as url,
        opened(browser, url) as page,
    ):
        page.wait_for_function("() => navigator.serviceWorker.controller !== null")
        assert page.evaluate("crossOriginIsolated") is False
        page.reload()
        assert page.evaluate("crossOriginIsolated") is True
        playing(page, models=False)
