"""Check files that data names: plain files inside its own folder, and never a link.

Weights, datasets, dataset cards, caches and saved games may come from anybody. A name in one of
them becomes a path only here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path

from sims.errors import UserError

LONGEST = 255  # of a part of a name, in UTF-8: the limit of file systems
REFUSED = frozenset('\\:*?"<>|')  # drives and wildcards of other systems, HTML's own


def plain(name: object) -> bool:
    """Return whether a name is a relative path of plain parts, with no way up or out."""
    return (
        isinstance(name, str)
        and name.isprintable()
        and not REFUSED & set(name)
        and all(
            part not in ("", ".", "..") and len(part.encode()) <= LONGEST
            for part in name.split("/")
        )
    )


def inside(folder: Path, name: object, what: str, endings: Collection[str] = ()) -> Path:
    """Return the file that `name` names in `folder`; it may be absent.

    Raises UserError that begins with `what` for a name that isn't plain or has none of the
    `endings`, and for a link, or anything but a file, in its place or on the way.
    """
    if not isinstance(name, str) or not plain(name):
        raise UserError(
            f"{what}: names {_shown(name)}, which is no plain file inside {folder}. "
            "Run: take that folder from where you trust it, or delete it"
        )
    if endings and not name.endswith(tuple(endings)):
        raise UserError(
            f"{what}: names {_shown(name)}, and such a file ends in {' or '.join(endings)}. "
            "Run: take that folder from where you trust it, or delete it"
        )
    path = folder
    *ways, last = name.split("/")
    for part in ways:
        path /= part
        _refuse(path, stat.S_ISDIR, "folder", what)
    path /= last
    _refuse(path, stat.S_ISREG, "file", what)
    return path


def files(folder: Path, what: str) -> list[Path]:
    """Return all files of a folder in a stable order; none if it is absent.

    Raises UserError that begins with `what` for a link, or anything but files and folders.
    """
    found = []
    if folder.is_dir():
        for child in sorted(folder.iterdir()):
            if child.is_dir() and not child.is_symlink():
                found += files(child, what)
            else:
                _refuse(child, stat.S_ISREG, "file", what)
                found.append(child)
    return found


def _refuse(path: Path, right: object, kind: str, what: str) -> None:
    """Raise UserError unless a path is absent, or itself of the right kind."""
    assert callable(right)
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    except NotADirectoryError:
        mode = 0
    if not right(mode):
        is_ = "a link" if stat.S_ISLNK(mode) else f"no {kind}"
        raise UserError(
            f"{what}: {path} is {is_}, and only plain files are read. "
            "Run: put the file itself there, or delete it"
        )


def _shown(name: object) -> str:
    text = repr(name)
    return text if len(text) <= 80 else f"{text[:80]}..."
