"""What the service worker keeps after one visit: the site, in whole versions only."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from builder import chromium
from builder.site import render

WORLD = "document.querySelector('wm-world')"
BASE = "/some/repo/"
# Every message of the service worker, from the first on.
LISTEN = """
window.told = [];
navigator.serviceWorker?.addEventListener("message", ({ data }) => window.told.push(data));
"""
# Pages ask for updates when they are looked at again after ten minutes; tests ask at once.
UPDATE = "navigator.serviceWorker.ready.then((r) => r.active.postMessage({ type: 'update' }))"


@pytest.fixture
def deployed(site: Path, tmp_path: Path) -> Path:
    """A copy of the built site, to be changed as deployments change it."""
    return shutil.copytree(site, tmp_path / "deployed")


def deploy(site: Path, file: str, old: str, new: str, told: bool = True) -> None:
    """Change one file of a site as a new build would; `told`: site.json knows of it."""
    text = (site / file).read_text()
    assert old in text
    (site / file).write_text(text.replace(old, new))
    if told:
        tell(site)


def tell(site: Path) -> None:
    """Make site.json true of the files again."""
    now = json.loads((site / "wm" / "site.json").read_text())
    homes = {name: f"wm/{url.rpartition('/')[0]}/" for name, url in now["worlds"].items()}
    render.site_json(site, now["runtime"], homes)


@contextmanager
def opened(browser: Any, address: str, **options: Any) -> Iterator[Any]:
    context = browser.new_context(**options)
    context.add_init_script(LISTEN)
    page = context.new_page()
    page.goto(address)
    try:
        yield page
    finally:
        context.close()


def keep(page: Any) -> None:
    """Press the button under the stage, and wait until all is there."""
    page.click(".wm-embed .wm-offline-do")
    page.wait_for_selector(".wm-embed .wm-offline[data-state=kept]", timeout=60_000)


def line(page: Any) -> str:
    found: str = page.inner_text(".wm-embed .wm-offline")
    return found


def until_line(page: Any, words: str) -> None:
    page.wait_for_function(
        f"() => document.querySelector('.wm-embed .wm-offline').innerText"
        f".includes({json.dumps(words)})",
        timeout=30_000,
    )


def playing(page: Any, models: bool) -> None:
    page.click(".wm-play")
    wanted = "s.simFrames > 3" + (" && s.modelFrames > 3" if models else "")
    page.wait_for_function(f"() => {{ const s = {WORLD}.state; return {wanted}; }}")


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
        page.goto(url + path.removesuffix("index.html"))
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


# Put other bytes in the place of what is kept of a file, as any script of the origin could.
POISON = """async ([path, text, headers]) => {
    const name = (await caches.keys()).find((key) => key.endsWith(" files"));
    const cache = await caches.open(name);
    const record = (await caches.keys()).find((key) => key.endsWith(" record"));
    const [at] = await (await caches.open(record)).keys();
    const { active } = await (await (await caches.open(record)).match(at)).json();
    const { sha256 } = active.files[path];
    const [place] = (await cache.keys()).filter((request) => request.url.includes(sha256));
    await cache.put(place, new Response(text, { headers }));
}"""


def test_what_was_changed_in_the_cache_is_dropped_fetched_again_and_told(
    browser: Any, deployed: Path, app: str
) -> None:
    evil = "<!doctype html><title>evil</title><script>document.title = 'evil ran'</script>"
    with (
        chromium.serve_folder(deployed, base=BASE) as url,
        opened(browser, url) as page,
    ):
        keep(page)
        page.evaluate(POISON, ["index.html", evil, {"content-type": "text/html"}])
        script = "document.title = 'evil ran'"
        page.evaluate(
            POISON, [f"{app}/offline/site.js", script, {"content-type": "text/javascript"}]
        )
        page.reload()
        until_line(page, "had been changed in this browser: it was fetched again.")
        assert "evil" not in page.title()
        assert page.query_selector("meta[http-equiv=Content-Security-Policy]")
        # A header that was not kept is not served, whoever wrote it there.
        body = (deployed / "index.html").read_text()
        page.evaluate(
            POISON, ["index.html", body, {"content-type": "text/html", "refresh": "0;url=/evil"}]
        )
        page.reload()
        assert page.url == url
        # The record itself: what it says is compared with the network's at the next visit.
        page.evaluate(
            """async () => {
                const name = (await caches.keys()).find((key) => key.endsWith(" record"));
                const cache = await caches.open(name);
                const [at] = await cache.keys();
                const kept = await (await cache.match(at)).json();
                const text = "<!doctype html><title>evil</title>";
                const bytes = new TextEncoder().encode(text);
                const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
                const sha256 = [...digest].map((b) => b.toString(16).padStart(2, "0")).join("");
                kept.active.files["index.html"] = { sha256, bytes: bytes.length };
                await cache.put(at, new Response(JSON.stringify(kept)));
                const files = (await caches.keys()).find((key) => key.endsWith(" files"));
                const place = new URL(`wm/kept/${sha256}.html`, location.href);
                await (await caches.open(files)).put(place, new Response(text, {
                    headers: { "content-type": "text/html" } }));
            }"""
        )
        stop_worker(page)
        page.reload()
        assert page.title() != "evil"
    # Without a network: dropped, and not shown.
    with opened(browser, "about:blank") as page, page_server(deployed) as (url, stop):
        page.goto(url)
        keep(page)
        page.evaluate(POISON, ["404.html", evil, {"content-type": "text/html"}])
        stop()
        page.goto(url)
        assert page.evaluate("fetch('404.html').then(() => 'came', () => 'did not')") == "did not"
        assert page.title() != "evil"
        until_line(page, "404.html had been changed in this browser and was dropped")


def stop_worker(page: Any) -> None:
    """End the service worker: it starts anew at the next request, from what is stored."""
    session = page.context.new_cdp_session(page)
    session.send("ServiceWorker.enable")
    session.send("ServiceWorker.stopAllWorkers")


@contextmanager
def page_server(site: Path) -> Iterator[tuple[str, Any]]:
    """Serve a site until `stop` is called."""
    serving = chromium.serve_folder(site, base=BASE)
    url = serving.__enter__()
    stopped: list[bool] = []

    def stop() -> None:
        stopped.append(True)
        serving.__exit__(None, None, None)

    try:
        yield url, stop
    finally:
        if not stopped:
            stop()
