"""Run jobs in processes of their own, which end when their parent ends."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager, redirect_stderr
from multiprocessing import connection
from pathlib import Path
from typing import Any

import sims
from training import families

SHOWN = 0.5  # seconds between two reads of their progress
SPAWN = multiprocessing.get_context("spawn")

_counts: Any = None


def in_processes(
    job: Callable[..., None],
    jobs: Sequence[tuple[Any, ...]],
    count: int,
    told: Callable[[int, int], None],
) -> None:
    """Call `job(*arguments, told)` for each of `jobs`, in `count` processes at a time.

    `told` adds up two counts over all of them. With one process, it is this one. Raises the
    exception of the first job that fails, after the running jobs have ended.
    """
    if count <= 1:
        for arguments in jobs:
            job(*arguments, told)
        return
    counts = SPAWN.Array("q", 2)
    seen = (0, 0)

    def show() -> None:
        nonlocal seen
        now = (counts[0], counts[1])
        told(now[0] - seen[0], now[1] - seen[1])
        seen = now

    with _pool(count, counts) as pool:
        # The child unpacks the arguments, after it can import worlds.
        waiting = {pool.submit(_do, job, arguments) for arguments in jobs}
        while waiting:
            done, waiting = wait(waiting, SHOWN, FIRST_EXCEPTION)
            show()
            for future in done:
                future.result()


@contextmanager
def beside(job: Callable[..., Any], *arguments: Any) -> Iterator[Future[Any]]:
    """Run `job(*arguments)` in a process without output, on half of the cores, during the block.

    Its future gives the result or the exception. A block that fails ends the process.
    """
    with _pool(1, None, (os.cpu_count() or 1) // 2) as pool:
        yield pool.submit(_quietly, job, arguments)


@contextmanager
def _pool(count: int, counts: Any, threads: int = 1) -> Iterator[ProcessPoolExecutor]:
    """Yield `count` processes of so many threads; if the block fails, running processes end."""
    told = (counts, list(sims.__path__), list(families.__path__), max(1, threads))
    with ProcessPoolExecutor(count, SPAWN, _begin, told) as pool:
        try:
            yield pool
        except BaseException:
            for process in list((pool._processes or {}).values()):
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin(counts: Any, worlds: list[str], known: list[str], threads: int) -> None:
    """Start a process: end it when its parent ends, and find the same worlds and families."""
    global _counts
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # read when torch is imported
    _counts = counts
    sims.__path__[:] = worlds
    families.__path__[:] = known
    end_with_parent()


def end_with_parent(end: Callable[[], None] = lambda: os._exit(1)) -> None:
    """End this process when its parent ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        end()

    threading.Thread(target=watch, daemon=True).start()


def _do(job: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    def told(first: int, second: int) -> None:
        with _counts.get_lock():
            _counts[0] += first
            _counts[1] += second

    job(*arguments, told)


def _quietly(job: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    os.environ.pop("WMSITE_PROGRESS", None)  # the parent shows the progress of this process
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):
        return job(*arguments)
