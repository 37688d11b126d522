"""Store what a build put into a folder: the inputs of the site, and each file's hash.

The file is `.wmsite/sites/<folder>.json`. A site that matches it is not built again; `wmsite check`
compares all of its bytes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from builder.project import cache, own
from builder.project.worlds import Project

MANIFEST = "wm/site.json"
MOVE = "give a folder of its own, such as site, or move that elsewhere (docs/ goes onto the site)"


# The shape of the file; a file of another shape counts as missing. It is checked by hand: when
# nothing has changed, an import of Pydantic would take as long as all the rest.
KINDS = {"key": str, "weights": str, "train": str, "complete": bool, "files": dict}
LISTS = {"warnings": list, "damaged": list, "sha256": dict}


def stamp(project: Project, out: Path) -> Path:
    """Return the file that describes the site in the folder `out`."""
    place = os.path.relpath(out, project.root)
    return project.cache / "sites" / f"{cache.key(out=place)[:12]}.json"


def read(project: Project, out: Path) -> dict[str, Any]:
    """Return the description of the site in a folder; empty without one."""
    told = cache.read_json(stamp(project, out))
    if not isinstance(told, dict) or "warnings" not in told:
        return {}
    whole = all(isinstance(told.get(name), kind) for name, kind in KINDS.items())
    for name, kind in LISTS.items():
        some = told.get(name, kind())
        if not isinstance(some, kind):
            return {}
        values = some.values() if isinstance(some, dict) else some
        whole = whole and all(isinstance(one, str) for one in values)
    return told if whole else {}


def hashes(project: Project, out: Path) -> dict[str, str]:
    """Return path -> sha256 of every file that the build wrote; empty without a description."""
    return dict(read(project, out).get("sha256", {}))


def doubt(project: Project, out: Path, files: list[str]) -> None:
    """Make the next build repeat a site whose files have changed since it was built."""
    if told := read(project, out):
        cache.write_json(stamp(project, out), told | {"damaged": files})


def listing(out: Path) -> dict[str, list[int]]:
    """Return path -> [bytes, time changed in ns] of a site's files."""
    found = {}
    for file in cache.files_of(out):
        stat = file.stat()
        found[file.relative_to(out).as_posix()] = [stat.st_size, stat.st_mtime_ns]
    return found


def refuse(project: Project, out: Path) -> None:
    """Raise UserError for a folder that holds anything but a site that wmsite built there."""
    told = cache.read_json(out / MANIFEST)
    files = told.get("files") if isinstance(told, dict) else None
    mine = {*hashes(project, out), *([MANIFEST, "sw.js"] if files else [])}
    for entry in files if isinstance(files, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("url"), str):
            mine.add(os.path.normpath(f"wm/{entry['url']}"))
    own.refuse(out, "--site-dir", mine, MOVE)
