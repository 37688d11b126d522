"""Make folders beside the folder that they replace, which are removed even if the process dies.

Each folder is locked while its process lives; the system releases the lock however the process
ends. An unlocked folder belongs to a dead process, and the next start removes it.
"""

from __future__ import annotations

import fcntl
import glob
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.project import cache

MARK = ".wmsite-new"


@contextmanager
def beside(folder: Path) -> Iterator[Path]:
    """Yield a new empty folder beside `folder`, and remove it afterwards if it still exists."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    with held(folder.parent, f".{folder.name}{MARK}-") as made:
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove folders that dead processes left beside a folder that they were to replace."""
    clear(folder.parent.glob(f".{glob.escape(folder.name)}{MARK}*"))


def clear(left: Iterable[Path]) -> None:
    """Remove folders of dead processes; report those that cannot be removed."""
    for path in left:
        if (lock := _lock(path)) is not None:
            cache.drop(path)
            os.close(lock)


@contextmanager
def held(home: Path, stem: str) -> Iterator[Path]:
    """Make an empty folder in `home` that is locked meanwhile; the caller removes it."""
    lock = None
    while lock is None:  # Otherwise a faster process has removed it before it was locked.
        made = home / f"{stem}{secrets.token_hex(4)}"
        made.mkdir()
        lock = _lock(made, sure=False)
    try:
        yield made
    finally:
        os.close(lock)


def _lock(path: Path, sure: bool = True) -> int | None:
    """Lock a folder of this user; None if it is no folder, or another process has the lock.

    On a file system without locks, nothing is locked, and the result is not `sure`.
    """
    try:
        opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if os.fstat(opened).st_uid == os.geteuid():
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.is_dir():
                return opened
    except BlockingIOError:
        pass
    except OSError:
        if not sure:
            return opened
    os.close(opened)
    return None
