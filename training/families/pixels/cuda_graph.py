"""A loss and its gradients as one CUDA graph, which takes no time to launch.

On a GPU, the thousands of small operations of an update take longer to launch than to run.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

WARM = 3  # runs before the recording, in which libraries choose their kernels


class Graph:
    """What `module` does with tensors like `given`, recorded once: it is replayed with others.

    The module returns a loss and further tensors, whose values last until the next call. Shapes and
    operations must be the same each time, and nothing may wait for a result.
    """

    def __init__(self, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        self.module = module
        self.weights = [one for one in module.parameters() if one.requires_grad]
        self.given = [one.clone() for one in given]
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM):
                self._run()
        torch.cuda.current_stream().wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.out, self.gradients = self._run()

    def _run(self) -> tuple[tuple[Tensor, ...], tuple[Tensor | None, ...]]:
        loss, *rest = self.module(*self.given)
        gradients = torch.autograd.grad(loss, self.weights, allow_unused=True)
        return (loss.detach(), *rest), gradients

    def __call__(self, *given: Tensor) -> tuple[Tensor, ...]:
        """Return what the module returns; the gradients of the loss are known by then."""
        for mine, new in zip(self.given, given, strict=True):
            mine.copy_(new)
        self.graph.replay()
        loss, *rest = self.out
        known = _Known.apply(loss, self.gradients, *self.weights)  # type: ignore[no-untyped-call]
        return (known, *rest)


class _Known(torch.autograd.Function):
    """A loss whose gradients are known."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, gradients: tuple[Tensor | None, ...], *_: Tensor) -> Tensor:
        ctx.gradients = gradients
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        scaled = (one if one is None else one * scale for one in ctx.gradients)
        return (None, None, *scaled)
