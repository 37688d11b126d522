"""The road that a `transition` model keeps: points that stay where they are while a vehicle drives.

The next points of its route, its offset from the route and its heading all follow from one road.
So the road is kept, as points equally far apart, and these only move as the vehicle does. What is
told is read from a curve through them (Catmull and Rom, 1974: "A class of local interpolating
splines"). Where the road goes beyond its last point is learned.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.families.base import State
from training.families.transition.geometry import Motion

UNITS = 64  # of the layer that tells where the road goes on
ROUNDS = 2  # of Newton's method, which finds the nearest place on the curve
FLAT = 0.04  # of the square of the spacing: the least slope of the curve that is divided by
SAME = 1e-3  # metres by which points that are shown may differ from those of the kept road


class KeptRoad(nn.Module):
    """The road of B vehicles, in metres ahead and to the left of each.

    `road` [B, points + 2, 2] has one point behind the place on the curve that is nearest to the
    vehicle; `along` [B] tells how far that place is from the second point to the third, 0..1.
    """

    def __init__(self, points: int, spacing: float, known: int) -> None:
        """Take how many points are told, the metres between two, and how much else is known."""
        super().__init__()
        self.points, self.spacing = points, spacing
        self.bend = nn.Sequential(
            nn.Linear(points + 1 + known, UNITS), nn.SiLU(), nn.Linear(UNITS, 1)
        )
        nn.init.zeros_(self.bend[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.bend[-1].bias)  # type: ignore[arg-type]

    def blank(self, count: int, where: torch.device) -> State:
        """Return what is carried before a road is known."""
        road = torch.zeros(count, self.points + 2, 2, device=where)
        return {"road": road, "along": torch.zeros(count, device=where)}

    def told_by(self, told: Tensor) -> tuple[Tensor, Tensor]:
        """Return the road of what is told, [B, 2 + 2 points]: offset, heading, points."""
        offset, heading, points = told[:, 0:1], told[:, 1:2], told[:, 2:]
        cosine, sine = torch.cos(heading), torch.sin(heading)
        here = torch.cat([-offset * sine, -offset * cosine], 1)
        points = points.reshape(-1, self.points, 2)
        # So the curve starts where the road leads.
        behind = points[:, 0] - 2 * self.spacing * torch.cat([cosine, -sine], 1)
        road = torch.cat([behind[:, None], here[:, None], points], 1)
        return road, torch.zeros_like(told[:, 0])

    def own(self, shown: Tensor, road: Tensor, along: Tensor) -> Tensor:
        """Return whether the points that are shown [B, points, 2] are those of a kept road, [B]."""
        kept = _points(road, along)[:, 1:]
        return (shown[:, : kept.shape[1]] - kept).abs().amax((1, 2)) < SAME

    def after(
        self, road: Tensor, along: Tensor, motion: Motion, known: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the road and the place on it after a motion, and what is told of them.

        What is `known` [B, known] says where the road goes on.
        """
        turn = self.bend(torch.cat([_bends(road), along[:, None], known], 1))[:, 0]
        for _ in range(2):
            ahead = _turned(road[:, -1] - road[:, -2], turn)
            road = torch.cat([road, (road[:, -1] + ahead)[:, None]], 1)
        forward, left, turn = motion
        moved = road - torch.stack([forward, left], 1)[:, None]
        road = _turned(moved, -turn[:, None])

        along = along + forward / self.spacing
        passed = along >= 1
        further = torch.cat([road[:, 1:], 2 * road[:, -1:] - road[:, -2:-1]], 1)
        road = torch.where(passed[:, None, None], further, road)
        along = torch.where(passed, along - 1, along)
        for _ in range(ROUNDS):
            at, slope, bend = ((w[:, :, None] * road[:, :4]).sum(1) for w in _weights(along))
            steep = (slope * slope).sum(1) + (at * bend).sum(1)
            along = along - (at * slope).sum(1) / steep.clamp_min(FLAT * self.spacing**2)
            along = along.clamp(-0.5, 1.5)
        points = _points(road, along)[:, : self.points + 1]
        _, slopes, _ = _weights(along)
        slope = (slopes[:, :, None] * road[:, :4]).sum(1)
        square = (slope * slope).sum(1, keepdim=True)
        slope = slope * torch.rsqrt(square.clamp_min(FLAT * self.spacing**2))
        here = points[:, 0]
        offset = slope[:, 1] * here[:, 0] - slope[:, 0] * here[:, 1]
        heading = -torch.atan2(slope[:, 1], slope[:, 0])
        told = torch.cat([torch.stack([offset, heading], 1), points[:, 1:].flatten(1)], 1)
        return road[:, : self.points + 2], along, told


def _points(road: Tensor, along: Tensor) -> Tensor:
    """Return the points of the curve at one place between any two inner points of the road."""
    weights, count = _weights(along)[0], road.shape[1] - 3
    parts = [weights[:, k, None, None] * road[:, k : k + count] for k in range(4)]
    return torch.stack(parts).sum(0)


def _weights(along: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return what each of four points counts at a place between the middle two, [B, 4].

    Then how that changes along the curve, and how that change does.
    """
    t, t2 = along, along * along
    t3 = t2 * t
    weights = (2 * t2 - t3 - t, 3 * t3 - 5 * t2 + 2, 4 * t2 - 3 * t3 + t, t3 - t2)
    slopes = (4 * t - 3 * t2 - 1, 9 * t2 - 10 * t, 8 * t - 9 * t2 + 1, 3 * t2 - 2 * t)
    bends = (4 - 6 * t, 18 * t - 10, 8 - 18 * t, 6 * t - 2)
    first, second, third = (torch.stack(part, 1) / 2 for part in (weights, slopes, bends))
    return first, second, third


def _bends(road: Tensor) -> Tensor:
    """Return the sine of the road's turn at each inner point, to the left: [B, points]."""
    ways = road[:, 1:] - road[:, :-1]
    ways = ways * torch.rsqrt((ways * ways).sum(2, keepdim=True).clamp_min(1e-3))
    return ways[:, :-1, 0] * ways[:, 1:, 1] - ways[:, :-1, 1] * ways[:, 1:, 0]


def _turned(points: Tensor, turn: Tensor) -> Tensor:
    """Turn points [..., 2] by angles [...] to the left."""
    cosine, sine = torch.cos(turn), torch.sin(turn)
    x, y = points[..., 0], points[..., 1]
    return torch.stack([cosine * x - sine * y, sine * x + cosine * y], -1)
