"""`wmsite check`: prove a built site, in its files and in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from builder import manifest, proof
from sims.errors import UserError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BOOT_S = 90.0

READY = """
([index, wantsModel]) => {
  const state = document.querySelectorAll("wm-world")[index].state;
  if (!state) return null;
  if (state.phase === "error" || state.error) return { error: state.error || "failed" };
  return state.simFrames > 0 && (!wantsModel || state.modelFrames > 0) ? { ...state } : null;
}
"""


def run(site_dir: Path, base: str = "/", boot: bool = True) -> None:
    """Say one line a problem of the site in a folder; UserError if there is any.

    `base` is the path that it is served under; `boot` plays every world in headless Chromium.
    """
    if not (site_dir / "index.html").is_file():
        raise UserError(f"site {site_dir}: there is none. Run: wmsite build", exit_code=2)
    if base == "/":
        base = built_base(site_dir)
    pages = proof.read_pages(site_dir)
    problems = 0
    parts = {
        "links": proof.links(site_dir, pages, base),
        "third parties": proof.third_parties(site_dir, pages),
        "hashes": proof.hashes(site_dir),
        "sizes": proof.sizes(site_dir),
        "boot": boots(site_dir, pages, base) if boot else iter(()),
    }
    for part, found in parts.items():
        for problem in found:
            problems += 1
            click.echo(f"{part}: {problem}", err=True)
    if problems:
        raise UserError(
            f"site {site_dir}: {problems} problem{'s' * (problems > 1)}. "
            "Run: mend them, then wmsite build and wmsite check"
        )
    worlds = len({name for page in pages.values() for name, _ in page.worlds})
    click.echo(f"{len(pages)} pages, {worlds} worlds: no problem found.")


def built_base(site_dir: Path) -> str:
    """Return the path that a site was built for, as its 404 page names it."""
    try:
        text = (site_dir / "404.html").read_text(encoding="utf-8")
    except OSError:
        return "/"
    found = re.search(r'href="(/(?:[^"/]+/)*?)assets/stylesheets/', text)
    return found[1] if found else "/"


def boots(site_dir: Path, pages: dict[str, proof.Page], base: str) -> Iterator[str]:
    """Play every world until its first frame, of the sim and of the model where there is one."""
    from builder import chromium

    listed = proof.read(site_dir / "wm" / "site.json", manifest.Site)
    if isinstance(listed, str):
        return  # `hashes` says so.
    with chromium.serve_folder(site_dir, base) as address, chromium.browser() as browser:
        for name, url in listed.worlds.items():
            world = proof.read(site_dir / "wm" / url, manifest.World)
            places = [
                (mode == "sim", path, index)
                for path, page in pages.items()
                for index, (shown, mode) in enumerate(page.worlds)
                if shown == name
            ]
            if not places:
                yield f"world {name!r}: it is on no page"
                continue
            without_model, path, index = min(places)
            wants = isinstance(world, manifest.World) and bool(world.models) and not without_model
            for problem in play(browser, address, path, index, wants):
                yield f"world {name!r} ({path}): {problem}"


def play(browser: Browser, address: str, path: str, index: int, wants_model: bool) -> list[str]:
    """Open a page in a fresh profile, press Play on its world number `index`; return problems."""
    from playwright.sync_api import Error, TimeoutError

    problems: list[str] = []

    def request(asked: Any) -> None:
        if not asked.url.startswith((address, "blob:", "data:")):
            problems.append(f"asks for {asked.url}, off its own origin and path")

    def response(answer: Any) -> None:
        if answer.status >= 400:
            problems.append(f"{answer.url.removeprefix(address)}: HTTP {answer.status}")

    context = browser.new_context()
    try:
        context.on("request", request)
        context.on("response", response)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(f"exception: {error}"))
        page.on(
            "console",
            lambda line: (
                problems.append(line.text) if "Content Security Policy" in line.text else None
            ),
        )
        page.goto(address + path)
        page.locator("wm-world").nth(index).locator("button").first.click(timeout=10_000)
        handle = page.wait_for_function(
            READY, arg=[index, wants_model], timeout=BOOT_S * 1000, polling=100
        )
        state = handle.json_value()
        if state.get("error"):
            problems.append(str(state["error"]))
    except TimeoutError:
        what = "a frame of sim and model" if wants_model else "a frame"
        problems.append(f"Play did not show {what} within {BOOT_S:.0f} s")
    except Error as error:
        problems.append(error.message.splitlines()[0])
    finally:
        context.close()
    return [" ".join(problem.split()) for problem in dict.fromkeys(problems)]
