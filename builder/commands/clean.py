"""`wmsite clean`: drop what a build can make again; never sources, never committed weights."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

from builder import cache
from builder.pipeline import Entry
from builder.project import Project
from builder.terminal import Terminal, size

# Dear to make: kept unless everything is to go.
DEAR = {"data", "train", "vendor", "tensorboard"}
LOCKS = {"lock", "locks"}


def run(root: Path, site_dir: Path | None, everything: bool, terminal: Terminal) -> None:
    """Remove the site and the light caches; `everything` takes recordings and runtimes too."""
    project = Project.open(root)
    site = (site_dir or project.root / "site").resolve()
    with ExitStack() as held:
        held.enter_context(project.lock())
        for world in project.worlds.values():
            for family in world.families:
                held.enter_context(Entry(world, family).lock())
        doomed = [p for p in project.cache.iterdir() if everything or p.name not in DEAR]
        # Only what this command made is a site: other folders are left alone.
        if (site / "wm" / "site.json").is_file():
            doomed.append(site)
        count = 0
        for path in doomed:
            if path.name in LOCKS:
                continue
            count += sum(file.stat().st_size for file in cache.files_of(path))
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    terminal.say(f"Removed {size(count)}.")
