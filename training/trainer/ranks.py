"""Several processes that train one model: each plays its share of the games, all step together.

On a CPU the first process forks the others; on GPUs `torchrun` starts them. Gradients are averaged
over all processes, so that N processes with a batch of B each equal one process with a batch of N *
B.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from sims.errors import UserError

Ranked = Callable[["Ranks"], None]


class Ranks:
    """The place of this process among those that train together: `rank` of `size`."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    def share(self, batch: int) -> int:
        """Return how many of `batch` games are this process's; UserError if they don't divide."""
        if batch % self.size:
            raise UserError(
                f"recipe: train.batch is {batch}, which {self.size} ranks can't share evenly. "
                f"Run: set it to a multiple of {self.size}"
            )
        return batch // self.size

    def average(
        self, parameters: list[nn.Parameter], spoken: float, loss: float
    ) -> tuple[float, float]:
        """Average all gradients over the ranks, in place.

        Returns the message `spoken` by rank 0, and the mean `loss`.
        """
        if self.size == 1:
            return spoken, loss
        grads = [p.grad for p in parameters if p.grad is not None]
        words = grads[0].new_tensor([spoken * self.size if self.rank == 0 else 0.0, loss])
        flat = torch.cat([*(g.flatten() for g in grads), words])
        try:
            dist.all_reduce(flat)
        except RuntimeError as error:
            raise UserError(
                f"train: another of the {self.size} ranks has died; {str(error).splitlines()[0]}. "
                "Run: the same command again, to go on from the last checkpoint"
            ) from error
        flat /= self.size
        at = 0
        for grad in grads:
            grad.copy_(flat[at : at + grad.numel()].view_as(grad))
            at += grad.numel()
        return float(flat[-2]), float(flat[-1])


def device(ranks: Ranks) -> torch.device:
    """Return the device of this rank."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", ranks.rank)))


def launch(size: int, work: Ranked) -> None:
    """Run `work(ranks)` in `size` processes at once, this one being rank 0.

    Under torchrun its own processes are the ranks, whatever `size` says; on one GPU there is one.
    A forked process of ours computes on one thread, or on what OMP_NUM_THREADS says.
    """
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        with _group(backend, "env://", int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])) as r:
            work(r)
        return
    if size <= 1 or torch.cuda.is_available():
        work(Ranks())
        return
    threads = torch.get_num_threads()
    # A process with one thread can fork without breaking its OpenMP pool.
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="wmsite-ranks-") as folder:
        meeting = f"file://{Path(folder) / 'meeting'}"
        context = multiprocessing.get_context("fork")
        others = [
            context.Process(target=_other, args=(work, meeting, rank, size), daemon=True)
            for rank in range(1, size)
        ]
        for other in others:
            other.start()
        try:
            with _group("gloo", meeting, 0, size) as ranks:
                work(ranks)
        finally:
            for other in others:
                other.join(5)
                other.kill()
            torch.set_num_threads(threads)


def _other(work: Ranked, meeting: str, rank: int, size: int) -> None:
    """Be one of the forked ranks; rank 0 reports any error."""
    try:
        with _group("gloo", meeting, rank, size) as ranks:
            work(ranks)
    except (UserError, KeyboardInterrupt):
        os._exit(1)
    os._exit(0)


@contextmanager
def _group(backend: str, meeting: str, rank: int, size: int) -> Iterator[Ranks]:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group(backend, init_method=meeting, rank=rank, world_size=size)
    try:
        yield Ranks(rank, size)
    finally:
        dist.destroy_process_group()
