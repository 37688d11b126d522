"""End the command's processes together, and remove everything temporary, however they end."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from builder.project import aside, cache

ROOM = "wmsite-run-"  # in the system's temporary folder
ATTACHED = "WMSITE_ATTACHED"  # in the environment of a process that ends with its parent
PATIENCE = 5.0  # seconds for a clean end

_room: Path | None = None


def begin() -> None:
    """Remove temporary files at the end, and let TERM and HUP end this process cleanly.

    This process and its children put their temporary files into one folder of this process. Folders
    of dead processes are removed.
    """
    global _room
    if _room is None:
        try:
            home = Path(tempfile.gettempdir())
            aside.clear(home.glob(f"{ROOM}*"))
            held = aside.held(home, ROOM)
            _room = held.__enter__()
        except OSError:  # Code that needs a temporary folder reports it.
            return
        _room.chmod(0o700)
        tempfile.tempdir = os.environ["TMPDIR"] = str(_room)
        atexit.register(_end, held, _room)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:  # `nohup` ignores HUP.
                signal.signal(number, _interrupt)
    if os.environ.pop(ATTACHED, None):
        threading.Thread(target=_watch, args=(_taken(0),), daemon=True).start()


def attached(environment: dict[str, str]) -> dict[str, Any]:
    """Return how to start a `wmsite` that ends when this process ends, even when it is killed."""
    return {"stdin": subprocess.PIPE, "env": environment | {ATTACHED: "1"}}


def _end(held: Any, room: Path) -> None:
    cache.drop(room)
    held.__exit__(None, None, None)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _taken(number: int) -> int:
    """Take an open file over: children get an empty one in its place."""
    own = os.dup(number)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, number)
    os.close(empty)
    return own


def _watch(pipe: int) -> None:
    """End this process when the holder of the pipe's other end has ended."""
    while os.read(pipe, 4096):
        pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(PATIENCE)
    os._exit(130)
