"""Write a world into a page: `<wm-world>` as it is before its script runs; a page's contents."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from mkdocs.structure.toc import TableOfContents

from builder.site import camera_layout, film, views
from builder.terminal import size

if TYPE_CHECKING:
    from builder.site.plugin import Shown

LONG = 5  # A page with at least so many sections lists them.


def world_element(shown: Shown, root: str, app: str, mode: str, model: str | None) -> str:
    """Return `<wm-world>` with its content before its script runs, and without the script.

    `root` is the site's root relative to the page, with a slash at its end, and `app` the player's
    folder from there.
    """
    world = shown.manifest
    if not world.sim and not world.models:
        return (
            f'<p class="wm-absent">{html.escape(world.title)} has no simulator, and no model '
            "yet.</p>"
        )
    # Loaded with the player: a page that is open keeps its own when a site is built anew.
    preloads = "".join(
        f'<link rel="modulepreload" href="{root}{app}views/{name}.js">'
        for name in views.modules((s["show"] for s in world.spec["sensors"]), world.spec["axes"])
    )
    width, height = camera_layout.size(world.spec["cameras"])
    narrow = camera_layout.size(world.spec["cameras"], narrow=True)
    poster = f"{root}{shown.folder}{world.poster.url}" if world.poster else ""
    played = next((m for m in world.models if model in (None, m.family)), None)
    filmed = played and not played.older and film.current(shown.weights[played.family])
    attributes = {
        "world": world.name,
        "mode": mode,
        "src": f"{root}wm/site.json",
        **({"model": model} if model else {}),
    }
    ratio = f"--wm-aspect: {width} / {height}"
    if narrow != (width, height):
        ratio += f"; --wm-narrow: {narrow[0]} / {narrow[1]}"
    given = " ".join(f'{name}="{html.escape(value)}"' for name, value in attributes.items())
    # For cameras with directions, the page chooses the layout by the available width.
    given += " data-around" if narrow != (width, height) else ""
    # The parts that stand beside the picture during play; the page reserves their space from the
    # start.
    given += " data-modelled" if world.models and world.sim else ""
    given += "" if world.sim else " recorded"
    measured = any(sensor["show"] for sensor in world.spec["sensors"])
    given += " data-instruments" if measured or world.spec["axes"] else ""
    title = html.escape(world.title)
    source = next((s for s in world.sim.sources if s.editable), None) if world.sim else None
    link = (
        f' Its rules are in <a href="{root}{shown.folder}{source.url}">{source.path}</a>.'
        if source
        else ""
    )
    picture = (
        film.picture(f"{root}{shown.folder}{played.family}", title)
        if played and filmed
        else f'<img class="wm-poster" src="{poster}" width="{width}" height="{height}" '
        f'alt="{title}: a frame of the game">'
    )
    first = next(iter(shown.play_bytes.values()))
    loads = size(shown.play_bytes.get(played.family, first) if played else first)
    return (
        f'<div class="wm-embed">{preloads}<wm-world {given} style="{ratio}">{picture}'
        f'<button class="wm-play" type="button">Play {title} '
        f'<span class="wm-size">({loads})</span></button>'
        f'<p class="wm-late">{title} is not ready: its script has not come. In a page opened as a '
        f"file, or in a sandboxed frame, it never does; elsewhere, reload the page.</p>"
        f'<noscript><p class="wm-noscript">{title} runs in your browser and needs JavaScript '
        f"and WebAssembly: the picture shows one frame of it.{link}</p></noscript>"
        "</wm-world></div>"
    )


def contents(toc: TableOfContents) -> str:
    """Return a long page's contents, which stand below its world where no sidebar lists them."""
    sections = [part for top in toc for part in (top.children or [top])]
    if len(sections) < LONG:
        return ""
    listed = "".join(f'<li><a href="{part.url}">{part.title}</a></li>' for part in sections)
    return f'<nav class="wm-contents" aria-label="On this page"><ul>{listed}</ul></nav>'
