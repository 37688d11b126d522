"""`wmsite check`: check a built site, in its files and in a real browser."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from builder.project import built
from builder.project.site_sources import configuration
from builder.project.worlds import Project
from builder.site import manifest, notices_page, plugin, site_files
from builder.terminal import several
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


def run(site_dir: Path, base: str = "/", boot: bool = True, project: Project | None = None) -> None:
    """Print one line for each problem of the site in a folder; UserError if there is any.

    `base` is the path that the site is served under; `boot` plays every world in headless Chromium.
    `project` knows what its build wrote: if a file has changed, the next build makes it again.
    """
    if not (site_dir / "index.html").is_file():
        raise UserError(f"site {site_dir}: there is none. Run: wmsite build", exit_code=2)
    if base == "/":
        base = built_base(site_dir)
    pages = site_files.read_pages(site_dir)
    wrote = built.hashes(project, site_dir) if project else {}
    if project and not wrote:
        click.echo("No build here remembers this site: it is compared with its own manifest alone.")
    problems = 0
    damaged: list[str] = []
    parts = {
        "links": site_files.links(site_dir, pages, base),
        "third parties": site_files.third_parties(site_dir, pages),
        "hashes": site_files.hashes(site_dir, wrote),
        "sizes": site_files.sizes(site_dir),
        "licences": licences(site_dir, pages),
        "pythons": alike(site_dir, project),
        "boot": boots(site_dir, pages, base) if boot else iter(()),
    }
    for part, found in parts.items():
        for problem in found:
            problems += 1
            damaged += [problem.partition(": ")[0]] if part == "hashes" else []
            click.echo(f"{part}: {problem}", err=True)
    config = configuration(project) if project else {}
    warnings = list(site_files.advice(site_dir, pages, *plugin.chosen(config)))
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    if damaged and project:
        built.doubt(project, site_dir, damaged)
    if problems:
        raise UserError(
            f"site {site_dir}: {problems} problem{'s' * (problems > 1)}. "
            "Run: mend them, then wmsite build and wmsite check"
        )
    worlds = len({name for page in pages.values() for name, _ in page.worlds})
    told = f", {several(len(warnings), 'warning')}" if warnings else ""
    click.echo(
        f"{several(len(pages), 'page')}, {several(worlds, 'world')}: no problem found{told}."
    )


def licences(site_dir: Path, pages: dict[str, site_files.Page]) -> Iterator[str]:
    """Return the works of others that the site ships and does not name."""
    listed = site_files.read(site_dir / "wm" / "site.json", manifest.Site)
    parts = [] if isinstance(listed, str) else list(listed.runtime)  # `hashes` reports the fault.
    return notices_page.absent(site_dir, pages, parts)


def alike(site_dir: Path, project: Project | None) -> Iterator[str]:
    """Play the project's worlds that are on the site in both Pythons, unless that was done before.

    The check runs nothing outside a browser for a site that belongs to another project.
    """
    from builder.project import pythons

    listed = site_files.read(site_dir / "wm" / "site.json", manifest.Site)
    known = project.worlds if project else {}
    sources = []
    for name, url in {} if isinstance(listed, str) else listed.worlds.items():
        world = site_files.read(site_dir / "wm" / url, manifest.World)
        hashed = world.sim.hash if isinstance(world, manifest.World) and world.sim else ""
        try:
            if name in known and hashed and hashed == known[name].page_hash:
                sources.append(pythons.of(known[name]))
        except UserError as error:
            yield str(error)
    try:
        yield from pythons.compare(sources).values()
    except UserError as error:
        yield str(error)


def built_base(site_dir: Path) -> str:
    """Return the path that a site was built for, from its 404 page."""
    try:
        text = (site_dir / "404.html").read_text(encoding="utf-8")
    except OSError:
        return "/"
    found = re.search(r'href="(/(?:[^"/]+/)*?)assets/stylesheets/', text)
    return html.unescape(found[1]) if found else "/"


def boots(site_dir: Path, pages: dict[str, site_files.Page], base: str) -> Iterator[str]:
    """Play every world until the first frame of the sim, and of its model if it has one."""
    from builder import chromium

    listed = site_files.read(site_dir / "wm" / "site.json", manifest.Site)
    if isinstance(listed, str):
        return  # `hashes` reports it.
    with chromium.serve_folder(site_dir, base) as address, chromium.browser() as browser:
        for name, url in listed.worlds.items():
            world = site_files.read(site_dir / "wm" / url, manifest.World)
            places = [
                (mode == "sim", path, index)
                for path, page in pages.items()
                for index, (shown, mode) in enumerate(page.worlds)
                if shown == name
            ]
            if not places:
                continue  # `advice` reports it.
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
