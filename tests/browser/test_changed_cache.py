"""What a script has changed in the offline copy is dropped, and never shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from offline_copy import BASE, keep, opened, until_line

from builder import chromium

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
