"""Do jobs in processes of their own, that end with the one that began them."""

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

SHOWN = 0.5  # seconds between two looks at how far they are
SPAWN = multiprocessing.get_context("spawn")

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
    counts = SPAWN.Array("q", 2)
    seen = (0, 0)

    def show() -> None:
        nonlocal seen
        now = (counts[0], counts[1])
        told(now[0] - seen[0], now[1] - seen[1])
        seen = now

    with _pool(count, counts) as pool:
        # The arguments are unpacked over there, when worlds can be imported.
        waiting = {pool.submit(_do, job, arguments) for arguments in jobs}
        while waiting:
            done, waiting = wait(waiting, SHOWN, FIRST_EXCEPTION)
            show()
            for future in done:
                future.result()


@contextmanager
def beside(job: Callable[..., Any], *arguments: Any) -> Iterator[Future[Any]]:
    """Do `job(*arguments)` in a process that shows nothing, on half of the cores, during the block.

    Its future tells what it returned or raised. A block that fails ends it.
    """
    with _pool(1, None, (os.cpu_count() or 1) // 2) as pool:
        yield pool.submit(_quietly, job, arguments)


@contextmanager
def _pool(count: int, counts: Any, threads: int = 1) -> Iterator[ProcessPoolExecutor]:
    """Give `count` processes of so many threads; where the block fails, those that run end."""
    told = (counts, list(sims.__path__), max(1, threads))
    with ProcessPoolExecutor(count, SPAWN, _begin, told) as pool:
        try:
            yield pool
        except BaseException:
            for process in list((pool._processes or {}).values()):
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin(counts: Any, paths: list[str], threads: int) -> None:
    """Begin a process: end it when its parent ends, and find the same worlds."""
    global _counts
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # read when torch is imported
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


def _quietly(job: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    os.environ.pop("WMSITE_PROGRESS", None)  # what the one that began this tells is shown there
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
        return job(*arguments)
