"""A new version of a site: the offline copy takes it over whole, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from drive import WORLD
from offline_copy import BASE, deploy, keep, opened, playing, tell, until_line

from builder import chromium

# Pages ask for updates when they are looked at again after ten minutes; tests ask at once.
UPDATE = "navigator.serviceWorker.ready.then((r) => r.active.postMessage({ type: 'update' }))"


def test_an_update_waits_for_its_button_and_fetches_only_what_changed(
    browser: Any, deployed: Path
) -> None:
    with (
        chromium.serve_folder(deployed, base=BASE) as url,
        opened(browser, url) as page,
    ):
        keep(page)
        first = page.evaluate("told.at(-1).version")
        page.evaluate("window.mark = 1; told.length = 0")
        deploy(deployed, "index.html", "Words before", "New words before")
        page.evaluate(UPDATE)
        page.wait_for_selector(".wm-update[data-ready] .wm-update-do")
        # The page was not reloaded, and what it keeps is still the version it shows.
        assert page.evaluate("window.mark") == 1
        assert page.evaluate("told.at(-1).version") == first
        changed = (deployed / "index.html").stat().st_size
        assert max(m["total"] for m in page.evaluate("told")) == changed
        page.wait_for_timeout(1500)
        assert page.evaluate("window.mark") == 1
        with page.expect_navigation():
            page.click(".wm-update-do")
        assert "New words before" in page.inner_text("article")
        assert page.evaluate("window.mark") is None
        # A navigation of the reader's own shows what is new as soon as all of it is here.
        deploy(deployed, "index.html", "New words before", "Newer words before")
        page.reload()
        assert "Newer words before" in page.inner_text("article")


def test_a_half_deployed_site_leaves_the_old_version_whole(browser: Any, deployed: Path) -> None:
    with (
        chromium.serve_folder(deployed, base=BASE) as url,
        opened(browser, url) as page,
    ):
        keep(page)
        # The manifest has come, one page has not; a script of the old version is gone already.
        deploy(deployed, "index.html", "Words before", "New words before")
        (deployed / "index.html").write_text("<h1>half")
        (script,) = deployed.glob("wm/app-*/game/game.js")
        script.rename(deployed / "game.js")
        page.reload()
        until_line(page, "could not be taken over whole: index.html")
        text = page.inner_text("article")
        assert "Words before" in text
        assert "New words" not in text
        playing(page, models=False)
        assert not page.query_selector(".wm-update[data-ready]")


def test_a_first_visit_to_a_half_deployed_site_keeps_nothing_and_says_so(
    browser: Any, deployed: Path
) -> None:
    deploy(deployed, "404.html", "</body>", "<!-- newer --></body>", told=False)
    with (
        chromium.serve_folder(deployed, base=BASE) as url,
        opened(browser, url) as page,
    ):
        page.click(".wm-embed .wm-offline-do")
        until_line(page, "404.html: is not the file that site.json names")
        assert page.inner_text(".wm-embed .wm-offline-do") == "Try again"
        playing(page, models=False)
        tell(deployed)
        page.click(".wm-embed .wm-offline-do")
        page.wait_for_selector(".wm-embed .wm-offline[data-state=kept]", timeout=60_000)


def test_a_page_of_an_older_version_says_reload_once_python_dies(
    browser: Any, deployed: Path
) -> None:
    options = {"service_workers": "block"}
    with (
        chromium.serve_folder(deployed, base=BASE) as url,
        opened(browser, url, **options) as page,
    ):
        playing(page, models=False)
        # Two versions later nothing of this page's is there any more.
        now = json.loads((deployed / "wm" / "site.json").read_text())
        for name in ("app", "pyodide"):
            old = now["runtime"][name].strip("/")
            new = f"{old.rpartition('-')[0]}-{'0' * 12}"
            (deployed / "wm" / old).rename(deployed / "wm" / new)
            for file in (*deployed.rglob("*.html"), deployed / "wm" / "site.json"):
                file.write_text(file.read_text().replace(old, new))
        tell(deployed)
        page.evaluate(f"{WORLD}.game.sim.remote.end('gone')")
        page.wait_for_selector(".wm-notice [data-do=reload]", timeout=60_000)
        assert "This page is of an older version of the site." in page.inner_text(".wm-notice")
        assert not page.query_selector(".wm-notice [data-do=retry]")
        with page.expect_navigation():
            page.click(".wm-notice [data-do=reload]")
        playing(page, models=False)
