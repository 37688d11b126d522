"""Find linear laws in data in which no law holds everywhere, by robust regression."""

from __future__ import annotations

import torch
from torch import Tensor

STEPS = 60
NARROWED = 0.8  # of the width, at each step
EXACT = 1e-4  # the width at last: residuals well below it count as zero


def regress(inputs: Tensor, targets: Tensor, asked: Tensor | None = None) -> Tensor:
    """Return the linear law that explains the most rows: float64 [I + 1, S], the bias last.

    `inputs` [R, I] and `targets` [R, S] have about unit size; a law explains a row if it explains
    all of its targets in `asked`, bool [R, S]. Rows that don't follow the law don't bend it: the
    least squares are weighted again by their residuals (Holland and Welsch, 1977,
    doi:10.1080/03610927708827533), with Cauchy's weights, which narrow from everywhere to the law
    (Blake and Zisserman, 1987, "Visual Reconstruction": graduated non-convexity).
    """
    x = torch.cat([inputs, torch.ones_like(inputs[:, :1])], 1).double()
    y = targets.double()
    of = torch.ones_like(y) if asked is None else asked.double()
    law = x.new_zeros(x.shape[1], y.shape[1])
    ridge = 1e-9 * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    weight, width = x.new_ones(len(x)), 1.0
    for _ in range(STEPS):
        for j in torch.nonzero(of.sum(0))[:, 0].tolist():
            mine = weight * of[:, j] / (weight * of[:, j]).sum()
            weighed = (x * mine[:, None]).T
            law[:, j] = torch.linalg.solve(weighed @ x + ridge, weighed @ y[:, j])
        width = max(EXACT, width * NARROWED)
        off = ((x @ law - y).abs() * of).amax(1)
        weight = 1 / (off**2 + width**2)
    return law
