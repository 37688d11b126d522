"""What tests of the offline copy share: a page that listens to the service worker, its words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from drive import WORLD

from builder.site import render

BASE = "/some/repo/"
# Every message of the service worker, from the first on.
LISTEN = """
window.told = [];
navigator.serviceWorker?.addEventListener("message", ({ data }) => window.told.push(data));
"""


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
