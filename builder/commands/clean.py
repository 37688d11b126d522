"""`wmsite clean`: remove what a build can make again; never sources, never committed weights."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

from builder.project import built, cache, own
from builder.project.entries import Entry
from builder.project.worlds import Project
from builder.terminal import Terminal, size

# The names that wmsite uses in its cache; it does not own other files there.
LIGHT = ["checks", "evaluate", "facts", "progress.json", "refused", "sites", "sizes.json", "stage"]
LIGHT += ["templates"]
# Expensive to make: `clean` keeps them unless it removes everything.
DEAR = ["data", "train", "vendor", "tensorboard"]


def run(root: Path, site_dir: Path | None, everything: bool, terminal: Terminal) -> None:
    """Remove the site and the light caches; `everything` removes datasets and runtimes too."""
    project = Project.open(root)
    site = own.resolved(site_dir or project.root / "site", "site")
    with ExitStack() as held:
        held.enter_context(project.lock())
        for world in project.worlds.values():
            for family in world.families:
                held.enter_context(Entry(world, family).lock())
        names = LIGHT + DEAR if everything else LIGHT
        doomed = [project.cache / name for name in names]
        # Remove only a site that wmsite made; leave other folders alone.
        if (site / "wm" / "site.json").is_file():
            built.refuse(project, site)
            doomed.append(site)
        kept = _driven(project) if everything else []
        count = 0
        for path in doomed:
            inside = [one for one in kept if path in one.parents]
            for part in path.iterdir() if inside else [path]:
                if part not in inside:
                    count += sum(file.stat().st_size for file in cache.files_of(part))
                    shutil.rmtree(part) if own.is_folder(part) else part.unlink(missing_ok=True)
    for folder in kept:
        terminal.say(f"Kept {folder}: somebody drove in it, and no command makes it again.")
    terminal.say(f"Removed {size(count)}.")


def _driven(project: Project) -> list[Path]:
    """Return the datasets in the cache that hold games that people played."""
    found = (project.cache / "data").glob("*/meta/wmsite/recording.json")
    told = {file.parents[2]: cache.read_json(file) for file in found}
    return [folder for folder, one in told.items() if isinstance(one, dict) and one.get("imported")]
