"""How alike pictures are in structure: what a loss asks for, and what an evaluation measures."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

WINDOW = 7  # pixels along one side of the windows


def likeness(x: Tensor, y: Tensor, peak: float, stride: int = 1) -> Tensor:
    """Return the structural similarity, at most 1, of each window of grey pictures [N, 1, H, W].

    `peak` is the brightest value that a picture may have; windows are `stride` pixels apart. Wang
    et al. (2004), doi:10.1109/TIP.2003.819861, with square windows.
    """
    size = min(WINDOW, *x.shape[-2:])

    def mean(z: Tensor) -> Tensor:
        return F.avg_pool2d(z, size, stride)

    mx, my = mean(x), mean(y)
    vx, vy, both = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    one, two = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    like = (2 * mx * my + one) * (2 * both + two)
    return like / ((mx**2 + my**2 + one) * (vx + vy + two))
