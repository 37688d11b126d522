"""The ground that is walked on: where one can stand, what a ray meets on it, and how far away.

Where one can stand is found in the recording. The rest is learned: a square map of cells, each with
numbers that say how solid it is, and what is seen there. A ray is followed from the eye by steps
that grow with the distance. It sees of each step as much as the steps before let through, as in
volume rendering (Mildenhall et al., 2020, arXiv:2003.08934), on a grid (Sun et al., 2022,
arXiv:2111.11215) of two dimensions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CELLS = 128  # along one side of the map
LOOKS = 15  # numbers that say what is seen of a cell
STEPS = 48  # of a ray
NEAREST, FARTHEST = 0.016, 2.8  # of these steps; half of the ground is 1
EDGE = 1.15  # how far the map reaches: walls stand beyond where one can go
STEEP = 10.0  # map in units of its weights, so that it is learned faster than layers are
SOLID = 30.0  # nats of light that a path of length 1 keeps, through ground of solidity 1
FINE = 8  # waves that tell where a ray ends; the longest is twice as long as the ground
TRIED = (CELLS, CELLS // 2, CELLS // 4, CELLS // 8)  # cells along a side, where one can stand
BLOCK, BLOCKS = 800, 7  # rows of a block; one block of seven tests the others
ENOUGH = 0.999  # of the rows are where others say that one can stand
TOLD = LOOKS + 2 + 4 * FINE  # numbers that are told of a ray


class Ground(nn.Module):
    """A map, and what rays meet on it."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Parameter(0.01 * torch.randn(1, 1 + LOOKS, CELLS, CELLS))
        far = NEAREST * (FARTHEST / NEAREST) ** (torch.arange(STEPS) / (STEPS - 1))
        self.register_buffer("far", far, persistent=False)
        long = torch.diff(far, append=far[-1:] * 2 - far[-2:-1])
        self.register_buffer("long", SOLID * long, persistent=False)
        self.register_buffer("trodden", torch.ones(CELLS, CELLS))

    trodden: Tensor  # where one can stand: 1 or 0, [CELLS to the east, CELLS to the north]
    far: Tensor  # how far each step of a ray is from the eye, [STEPS]
    long: Tensor  # how long it is, in nats of light that solid ground keeps, [STEPS]

    def holds(self, stands: Tensor) -> Tensor:
        """Return whether one can stand at places [..., 2], bool [...]."""
        return _found(stands, self.trodden) > 0.5

    def forward(self, stands: Tensor, way: Tensor) -> Tensor:
        """Return what is told of rays, [B, R, TOLD].

        stands: where each eye is, [B, 2], at most 1 from the middle of the ground. way: where its
        rays go, cosine and sine, [B, R, 2].
        """
        count, rays, _ = way.shape
        at = stands[:, None, None] + way[:, :, None] * self.far[:, None]
        found = F.grid_sample(
            STEEP * self.map, (at / EDGE).reshape(1, count * rays, STEPS, 2),
            padding_mode="border", align_corners=False,
        ).reshape(1 + LOOKS, count, rays, STEPS)  # fmt: skip
        kept = F.softplus(found[0] - 1) * self.long
        before = torch.exp(kept - torch.cumsum(kept, -1))
        # Whatever gets through to the last step ends there.
        share = torch.cat([before[..., :-1] * -torch.expm1(-kept[..., :-1]), before[..., -1:]], -1)
        looks = (found[1:] * share).sum(-1).movedim(0, -1)
        near = NEAREST * (share / self.far).sum(-1, keepdim=True)
        far = (share * self.far.log()).sum(-1, keepdim=True)
        ends = stands[:, None] + way * (share * self.far).sum(-1, keepdim=True)
        return torch.cat([looks, near, far, waves(ends, FINE)], -1)


def find_trodden(stands: Tensor) -> Tensor:
    """Return where one can stand, of places [R, 2] where one stood: 1 or 0, [CELLS, CELLS].

    Cells are as fine as the recording allows: in turn, six blocks of its rows must tell where those
    of the seventh stand. If the coarsest cells do not tell it either, one can stand anywhere.
    """
    block = torch.arange(len(stands), device=stands.device) // BLOCK % BLOCKS
    for cells in TRIED if len(stands) >= BLOCK * BLOCKS else ():
        told = [
            _found(stands[block == one], _stood(stands[block != one], cells))
            for one in range(BLOCKS)
        ]
        if torch.cat(told).mean() >= ENOUGH:
            ground, size = _stood(stands, cells), CELLS // cells
            return ground.repeat_interleave(size, 0).repeat_interleave(size, 1)
    return torch.ones(CELLS, CELLS, device=stands.device)


def _found(stands: Tensor, ground: Tensor) -> Tensor:
    """Return what a map [N, N] says of places [..., 2], [...]."""
    count = len(ground)
    at = torch.floor((stands + 1) * (count / 2)).clamp(0, count - 1).long()
    told: Tensor = ground.flatten()[at[..., 0] * count + at[..., 1]]
    return told


def _stood(stands: Tensor, cells: int) -> Tensor:
    """Return the cells that places [R, 2] are in, with gaps of at most two cells closed: [N, N]."""
    at = torch.floor((stands + 1) * (cells / 2)).clamp(0, cells - 1).long()
    ground = torch.zeros(1, cells, cells, device=stands.device)
    ground[0, at[:, 0], at[:, 1]] = 1.0
    wider = F.max_pool2d(ground, 3, 1, 1)
    closed: Tensor = -F.max_pool2d(-wider, 3, 1, 1)
    return closed[0]


def waves(values: Tensor, count: int) -> Tensor:
    """Return sine and cosine of values [..., N], at `count` frequencies: [..., N * 2 * count]."""
    fast = math.pi / 2 * 2.0 ** torch.arange(count, device=values.device)
    at = values[..., None] * fast
    return torch.cat([at.sin(), at.cos()], -1).flatten(-2)
