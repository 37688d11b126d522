"""Locks for one process at a time; the system releases them when their holder dies in any way."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sims.errors import UserError


@contextmanager
def lock(file: Path, what: str, wait: bool = False, keep: bool = True) -> Iterator[None]:
    """Hold a lock file; UserError if another process holds it, unless `wait`.

    `what` names the locked thing in the error. Without `keep`, the file is deleted afterwards.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with _taken(file, what, wait) as held:
        held.truncate(0)
        held.write(f"{os.getpid()}\n")
        held.flush()
        try:
            yield
        finally:
            if not keep:
                file.unlink(missing_ok=True)


def _taken(file: Path, what: str, wait: bool) -> IO[str]:
    """Open the file and lock it; a file that its holder deleted meanwhile no longer counts."""
    while True:
        file.parent.mkdir(parents=True, exist_ok=True)
        held = file.open("a+", encoding="utf-8")
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if file.exists() and os.fstat(held.fileno()).st_ino == file.stat().st_ino:
                return held
        except BlockingIOError:
            if not wait:
                held.seek(0)
                holder = held.read().strip() or "unknown"
                held.close()
                raise UserError(
                    f"{what}: another wmsite (process {holder}) is at work on it. "
                    "Run: the same command again when that has ended, or with --wait"
                ) from None
            time.sleep(0.1)
        except FileNotFoundError:
            pass
        held.close()
