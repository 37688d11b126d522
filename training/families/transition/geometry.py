"""Where a vehicle's sensors look, and where what they see was before it moved.

Everything is in metres and radians, in the vehicle's frame: forward, left and up of its origin on
the ground, which is level. A motion is (forward, left, turn to the left) [B] each: the vehicle's
new place in its old frame.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# focal length and size in pixels (height, width), place (forward, left, up), yaw, pitch
Lens = tuple[float, float, float, float, float, float, float, float]
Motion = tuple[Tensor, Tensor, Tensor]
NEAREST = 0.1  # of the distance along a camera's axis: what is nearer to its plane is not seen
NOTHING = 1e3  # metres to where no ray comes back from
EMPTY = 1e4  # where no ray comes to lie
BESIDE = 0.25  # columns: a ray's end covers half a column more than its own, so that walls close
FAR = 40.0  # metres at which a ray that does not come back is taken to end, for its direction
METRE, RADIAN = 1024, 16384  # parts of a metre and of a radian in which motions are rounded
# Of the arctangent of z, odd, from the last to the first: within 5e-7 for -1..1.
ARCTANGENT = (-0.0064514, 0.0303232, -0.067631, 0.1044713, -0.1419375, 0.1999568, -0.3333333)
SOLVED = 2  # rounds in which a ray's range and direction before are sought


def axes(lens: Lens) -> tuple[tuple[float, float, float], ...]:
    """Return where a camera's forward, left and up point in the vehicle's frame."""
    yaw, pitch = lens[6:]
    cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    return (cy * cp, sy * cp, sp), (-sy, cy, 0.0), (-cy * sp, -sy * sp, cp)


def rays(lens: Lens, height: int, width: int) -> Tensor:
    """Return the ray of each pixel, one metre long along the camera's axis: [3, height, width]."""
    focal, own_height, own_width = lens[:3]
    left = (own_width / 2 - 0.5 - torch.arange(width)) / focal
    up = (own_height / 2 - 0.5 - torch.arange(height)) / focal
    forward, to_left, to_up = torch.tensor(axes(lens))[:, :, None, None]
    ray: Tensor = forward + to_left * left[None, None, :] + to_up * up[None, :, None]
    return ray


def nearness(ray: Tensor, lens: Lens) -> Tensor:
    """Return how near level ground is to each pixel, in parts of a metre; 0 above the horizon."""
    return torch.relu(-ray[2]) / lens[5]


def ray_of(ray: Tensor, elevations: Tensor, columns: int) -> Tensor:
    """Return which ray of a scan looks where each pixel does: its index among rings x columns.

    Above the highest ring and below the lowest, it is one of theirs.
    """
    up = torch.atan2(ray[2], torch.hypot(ray[0], ray[1]))
    ring = (up[..., None] - elevations).abs().argmin(-1)
    angle = torch.atan2(ray[1], ray[0])
    column = torch.floor((math.pi - angle) * (columns / (2 * math.pi))).long()
    return ring * columns + torch.remainder(column, columns)


def before(rays: Tensor, places: Tensor, near: Tensor, motion: Motion) -> Tensor:
    """Return where what pixels see was before a motion, times how near it is: [B, cameras, 3, ...].

    rays [cameras, 3, H, W]; places [cameras, 3]; near [B, cameras, H, W], 1 / metres along the
    axis.
    """
    forward, left, turn = (part[:, None, None, None] for part in motion)
    x = rays[:, 0] + near * places[:, 0, None, None]
    y = rays[:, 1] + near * places[:, 1, None, None]
    z = rays[:, 2] + near * places[:, 2, None, None]
    cosine, sine = torch.cos(turn), torch.sin(turn)
    return torch.stack(
        [cosine * x - sine * y + near * forward, sine * x + cosine * y + near * left, z], 2
    )


def seen_by(points: Tensor, near: Tensor, lens: Lens) -> tuple[Tensor, Tensor, Tensor]:
    """Return the column and row at which a camera sees points, and whether it does.

    points [B, cameras, 3, H, W], times how near they are [B, cameras, H, W], as `before` returns.
    """
    focal, height, width, *place = lens[:6]
    away = [points[:, :, i] - near * place[i] for i in range(3)]
    ahead, left, up = (x * away[0] + y * away[1] + z * away[2] for x, y, z in axes(lens))
    reach = focal / ahead.clamp(min=NEAREST)
    column = width / 2 - 0.5 - left * reach
    row = height / 2 - 0.5 - up * reach
    inside = (column >= 0) & (column <= width - 1) & (row >= 0) & (row <= height - 1)
    return column, row, inside & (ahead > NEAREST)


def fan(columns: int) -> Tensor:
    """Return the cosine and sine of where each column of a scan looks, [2, columns]."""
    angle = math.pi - 2 * math.pi * (torch.arange(columns) + 0.5) / columns
    return torch.stack([torch.cos(angle), torch.sin(angle)])


@torch.no_grad()
def moved_scan(flat: Tensor, fan: Tensor, motion: Motion, place: tuple[float, float]) -> Tensor:
    """Return a scan after a motion, of things that stand still: level metres, [B, rings, columns].

    `place` is the scanner's, ahead and left. Where nothing is, it is `NOTHING`. Each end of a ray
    is moved; where several come to lie in one direction, the nearest is seen. Where none does, the
    ray's end is sought among those before. All is computed by sums, products, quotients and square
    roots of rounded motions: what is nearest is then the same in every runtime.
    """
    forward, left, turn = (
        (torch.round(part * parts) / parts)[:, None, None]
        for part, parts in zip(motion, (METRE, METRE, RADIAN), strict=True)
    )
    x, y = place
    cosine, sine = small_turn(turn)
    forward, left = forward + cosine * x - sine * y - x, left + sine * x + cosine * y - y
    columns = flat.shape[-1]
    index, a_column = torch.arange(columns, device=flat.device), columns / (2 * math.pi)
    along = flat - (forward * fan[0] + left * fan[1])
    aside = forward * fan[1] - left * fan[0]
    away = torch.where(flat < NOTHING, torch.sqrt(along * along + aside * aside), NOTHING)
    column = index - (_angle(aside, along) - turn) * a_column
    found = torch.full_like(flat, EMPTY)
    for beside in (-BESIDE, BESIDE):
        at = torch.remainder(torch.floor(column + (0.5 + beside)).long(), columns)
        found = found.scatter_reduce(-1, at, away, "amin")

    # Where each ray looked before.
    ahead = forward * (fan[0] * cosine - fan[1] * sine) + left * (fan[1] * cosine + fan[0] * sine)
    aside = left * (fan[0] * cosine - fan[1] * sine) - forward * (fan[1] * cosine + fan[0] * sine)
    turned = torch.zeros_like(flat) + turn
    sought = _at(flat, index - turned * a_column)
    for _ in range(SOLVED):
        ends = sought.clamp(max=FAR)
        along = ends + ahead
        was = _at(flat, index - (turned + _angle(aside, along)) * a_column)
        nearer = ends + was - torch.sqrt(along * along + aside * aside)
        sought = torch.where(was < NOTHING, nearer, was)
    return torch.where(found < EMPTY, found, sought.clamp(min=0.0))


def small_turn(turn: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cosine and sine of a turn in a step, at most some tenths of a radian."""
    square = turn * turn
    return 1 - square * (0.5 - square / 24), turn * (1 - square * (1 / 6 - square / 120))


def _angle(aside: Tensor, along: Tensor) -> Tensor:
    """Return the angle of an end of a ray beside the ray before, at most 45 degrees."""
    z = (aside / along.clamp(min=NEAREST)).clamp(-1.0, 1.0)
    square = z * z
    more = torch.zeros_like(square)
    for factor in ARCTANGENT:
        more = (more + factor) * square
    return z * (1 + more)


def _at(flat: Tensor, column: Tensor) -> Tensor:
    """Return what a scan shows at columns between its own, of the same shape."""
    columns = flat.shape[-1]
    at = torch.remainder(torch.floor(column + 0.5).long(), columns)
    return torch.gather(flat, -1, at)
