"""Make folders once, and make them again when their files have changed.

`<name>.json` beside each folder has the hash of each of its files. Each use of the folder compares
them, so that a damaged, cut, missing or added file never gets from a cache into a site.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from builder.project import aside, cache
from sims.errors import UserError
from training import contained


def kept(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return `folder`; if it is not complete, `make` fills it in a folder beside it first."""
    if fault(folder) is None:
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_name(f".{folder.name}.lock")
    with cache.lock(lock, f"cache {folder}", wait=True, keep=False):
        why = fault(folder)  # Another process may have made it meanwhile.
        if why is None:
            return folder
        if folder.exists():
            click.echo(f"cache {folder}: {why}; it is made again", err=True)
        with aside.beside(folder) as made:
            make(made)
            for path in cache.files_of(made):
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            told = hashes(made)
            _listing(folder).unlink(missing_ok=True)
            if folder.exists() and not folder.is_dir():
                folder.unlink()
            cache.swap(made, folder)
            cache.write_json(_listing(folder), told)
    return folder


def fault(folder: Path) -> str | None:
    """Return the fault of a folder in one line; None if it is as it was made."""
    told: Any = cache.read_json(_listing(folder))
    if not folder.is_dir():
        return "it is absent"
    if not isinstance(told, Mapping):
        return "nothing tells what its files were"
    try:
        found = hashes(folder)
    except (UserError, OSError):
        return "it holds what is no plain file"
    for name in sorted({*told, *found}):
        if name not in found:
            return f"{name} is absent"
        if told.get(name) != found[name]:
            return f"{name} is not as it was made" if name in told else f"{name} was added"
    return None


def hashes(folder: Path) -> dict[str, str]:
    """Return path -> sha256 of all files of a folder."""
    found = contained.files(folder, f"cache {folder}")
    return {file.relative_to(folder).as_posix(): cache.sha256_file(file) for file in found}


def _listing(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.json")
