"""A time limit for Python code of somebody else, which may contain an endless loop."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN = 1.0  # seconds of work until the error is raised again in code that swallowed it
PATIENCE = 3  # times; then the process ends


@contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    """Raise TimeoutError in the block after this process has worked in it for so long.

    The process's own time counts, as in `sims.checks`: on a busy machine the clock says little.
    `what` begins the last line printed if the block's code swallows every error. Only the main
    thread can be interrupted, on a system with such a timer; elsewhere there is no limit.
    """
    if threading.current_thread() is not threading.main_thread() or os.name == "nt":
        yield
        return
    told = 0

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal told
        told += 1
        why = f"still running after {seconds:.0f} s; a step must end"
        if told > PATIENCE:
            print(
                f"error: {what}: {why}; leave that file out. Run: wmsite data import",
                file=sys.stderr,
                flush=True,
            )
            os._exit(1)
        raise TimeoutError(why)

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, seconds, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
