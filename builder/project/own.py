"""Decide which folders a command may replace: absent, empty, or only its own files.

Everything else belongs to the user. The decision comes before any work: a folder that must not be
replaced is refused in one line, and nothing in it is touched.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection
from pathlib import Path

from sims.errors import UserError

SHOWN = 3  # the most foreign files that a message names
JUNK = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # from file managers
COMPILED = "__pycache__"  # Python writes it where somebody imports a published sim.


def resolved(folder: Path, what: str) -> Path:
    """Return the real place of a folder; UserError for links that form a loop."""
    try:
        found = folder.resolve()
    except (RuntimeError, OSError):
        found = None
    if found is None or found.is_symlink():
        raise UserError(
            f"{what} {folder}: its links lead round in a loop. Run: give a folder of its own",
            exit_code=2,
        )
    return found


def refuse(folder: Path, what: str, mine: Collection[str], mend: str) -> None:
    """Raise UserError unless a folder can be replaced, and holds only files in `mine`.

    mine: paths of files in it, with slashes; a path that ends in a slash covers everything below
    it. `what` and `mend` are the message's first words, and its last: what to do instead.
    """
    _refuse_place(folder, what)
    if found := strangers(folder, mine):
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise UserError(
            f"{what} {folder}: it holds {', '.join(found[:SHOWN])}{more}, which wmsite did not "
            f"write and would destroy; nothing was touched. Run: {mend}",
            exit_code=2,
        )


def strangers(folder: Path, mine: Collection[str]) -> list[str]:
    """Return the content of a folder outside `mine`: files, and folders with nothing of `mine`."""
    files = {name for name in mine if not name.endswith("/")}
    whole = {name.removesuffix("/") for name in mine if name.endswith("/")}
    ways = {str(parent) for name in mine for parent in Path(name).parents}
    return _strangers(folder, "", files, whole, ways) if folder.is_dir() else []


def _strangers(
    folder: Path, at: str, files: set[str], whole: set[str], ways: set[str]
) -> list[str]:
    found = []
    for child in sorted(folder.iterdir()):
        name = f"{at}{child.name}"
        if not is_folder(child):
            found += [] if name in files or child.name in JUNK else [name]
        elif name in ways:
            found += _strangers(child, f"{name}/", files, whole, ways)
        elif name not in whole and _holds(child) and not _compiled(child):
            found.append(f"{name}/")
    return found


def _compiled(folder: Path) -> bool:
    """Return whether a folder holds only what Python compiled, and compiles again."""
    return folder.name == COMPILED and all(
        child.suffix == ".pyc" and not is_folder(child) for child in folder.iterdir()
    )


def _holds(folder: Path) -> bool:
    """Return whether there is a file in a folder or below it; an empty folder belongs to nobody."""
    try:
        return any(not is_folder(child) or _holds(child) for child in folder.iterdir())
    except OSError:
        return True


def _refuse_place(folder: Path, what: str) -> None:
    """Raise UserError for a file, a mount point, and a place where no folder can be made."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    home = next(path for path in (*folder.parents, folder) if path.exists())
    if not there.is_dir():
        why, mend = f"{there} is a file", "give a folder of its own"
    elif mount := mounted(folder):
        why = f"{mount} is a mount point, which can't be swapped in one step"
        mend = "give a folder within it" if mount == folder else "give another folder"
    elif not os.access(home, os.W_OK | os.X_OK):
        why, mend = f"{home} can't be written to", "give a folder elsewhere"
    else:
        return
    raise UserError(f"{what} {folder}: {why}. Run: {mend}", exit_code=2)


def mounted(folder: Path) -> Path | None:
    """Return the first mount point that a folder is, or contains; None without one."""
    try:
        # Only this list shows a file system that is mounted twice.
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return folder if os.path.ismount(folder) else None
    for line in lines.splitlines():
        told = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), line.split(" ")[4])
        if Path(told).is_relative_to(folder):
            return Path(told)
    return None


def is_folder(path: Path) -> bool:
    """Return whether a path is itself a folder, and not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False
