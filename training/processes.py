"""Do jobs in processes of their own, that end with the one that began them."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from multiprocessing import connection
from typing import Any

import sims

SHOWN = 0.5  # seconds between two looks at how far they are

_counts: Any = None


def in_processes(
    job: Callable[..., None],
    jobs: Sequence[tuple[Any, ...]],
    count: int,
    told: Callable[[int, int], None],
) -> None:
    """Call `job(*arguments, told)` for each of `jobs`, in `count` processes at a time.

    `told` adds up two counts over all of them. With one process, it is this one. Raises what the
    first job that fails raised, when those that run have been ended.
    """
    if count <= 1:
        for arguments in jobs:
            job(*arguments, told)
        return
    context = multiprocessing.get_context("spawn")
    counts = context.Array("q", 2)
    seen = (0, 0)

    def show() -> None:
        nonlocal seen
        now = (counts[0], counts[1])
        told(now[0] - seen[0], now[1] - seen[1])
        seen = now

    paths = list(sims.__path__)
    with ProcessPoolExecutor(count, context, _begin, (counts, paths)) as pool:
        # The arguments are unpacked over there, when worlds can be imported.
        waiting = {pool.submit(_do, job, arguments) for arguments in jobs}
        try:
            while waiting:
                done, waiting = wait(waiting, SHOWN, FIRST_EXCEPTION)
                show()
                for future in done:
                    future.result()
        except BaseException:
            for process in list((pool._processes or {}).values()):
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin(counts: Any, paths: list[str]) -> None:
    """Begin a process: end it when its parent ends, and find the same worlds."""
    global _counts
    _counts = counts
    sims.__path__[:] = paths
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _do(job: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    def told(first: int, second: int) -> None:
        with _counts.get_lock():
            _counts[0] += first
            _counts[1] += second

    job(*arguments, told)
