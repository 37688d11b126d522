"""A scan that a model keeps: with more rays than are shown, so that it does not blur."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from training.families.latent import ranges
from training.families.transition import geometry
from training.families.transition.geometry import NOTHING, Lens, Motion

FINE = 7  # rays that are kept for each ray of a scan; odd: one of them looks where that does
GROUND = 0.03  # part of the range of level ground within which a ray is taken to meet it
CLOSEST = 0.1  # metres to what is nearest


class KeptScan(nn.Module):
    """One scan as it goes on while a vehicle moves: moved, then corrected.

    Its kept rays are in level metres, without the ground, [B, rings, FINE * columns].
    """

    ground: Tensor  # metres to level ground along each ring, [rings, 1]
    level: Tensor  # the level part of each ring, [rings, 1]
    fan: Tensor  # where each kept ray looks, [2, FINE * columns]
    mark: Tensor  # weights of what is shown, [rings, columns]
    rays_of: Tensor  # the kept ray that looks where each pixel does, [cameras, H, W]

    def __init__(
        self, shape: tuple[int, ...], high: float, scanner: tuple[float, ...], pixels: list[Tensor]
    ) -> None:
        """Take the scan's shape, range and place, and the ray of each camera's pixels."""
        super().__init__()
        self.high, self.place = high, (scanner[0], scanner[1])
        up, columns = torch.tensor(scanner[3:]), FINE * shape[1]
        ground = scanner[2] / torch.sin(-up).clamp_min(1e-6)
        fixed = {
            "ground": torch.where(ground < high, ground, NOTHING)[:, None],
            "level": torch.cos(up)[:, None],
            "fan": geometry.fan(columns),
            "mark": ramp(*shape) / high,
            "rays_of": torch.stack([geometry.ray_of(ray, up, columns) for ray in pixels]),
        }
        for name, value in fixed.items():
            self.register_buffer(name, value, persistent=False)

    def after(
        self, value: Tensor, kept: Tensor, own: Tensor, more: Tensor, motion: Motion
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the next scan, the rays that are kept of it, and log odds of returns.

        `value` is the last scan, [B, rings, columns], `own` [B] whether the model made it, `more`
        [B, 2, rings, columns] what it learned.
        """
        stands = (value > 0) & ((value - self.ground).abs() > GROUND * self.ground)
        shown = between(torch.where(stands, value * self.level, NOTHING))
        rays = torch.where(own[:, None, None], kept, shown)
        rays = geometry.moved_scan(rays, self.fan, motion, self.place)

        thing = rays[..., FINE // 2 :: FINE] / self.level
        metres = torch.minimum(thing, self.ground.expand_as(thing))
        hit = (metres <= self.high).float()
        made, odds = ranges.corrected(hit * metres / self.high, hit, more, "scan", 0.0, self.high)
        back, stands = odds > 0, (thing < self.ground) & (thing <= self.high)
        off = made - hit * metres
        rays = torch.where(_fine(stands & back), rays + _fine(off * self.level), rays)
        new = back & ~stands & ((made - self.ground).abs() > GROUND * self.ground)
        rays = torch.where(_fine(new), _fine(made * self.level), rays)
        rays = torch.where(_fine(stands & ~back), NOTHING, rays)
        return made, rays.clamp(0.0, NOTHING), odds

    def seen_from(self, rays: Tensor, lenses: tuple[Lens, ...]) -> Tensor:
        """Return the level metres to what pixels of cameras see of a scan, [B, cameras, H, W]."""
        seen, there = [], {}
        for k, lens in enumerate(lenses):
            place = lens[3] - self.place[0], lens[4] - self.place[1]
            if place not in there:  # What the scan would be from the camera's place.
                zero = torch.zeros_like(rays[:, 0, 0])
                moved = (zero + place[0], zero + place[1], zero)
                there[place] = geometry.moved_scan(rays, self.fan, moved, (0.0, 0.0)).flatten(1)
            seen.append(there[place][:, self.rays_of[k]])
        return torch.stack(seen, 1)


def ramp(*shape: int) -> Tensor:
    """Return weights 0..1 of a picture or scan, each different, in no order."""
    golden = (5**0.5 - 1) / 2
    return (torch.arange(math.prod(shape)) * golden % 1).reshape(shape)


def mark(seen: Tensor, weights: Tensor) -> Tensor:
    """Return a number that tells an observation from others, [B].

    One axis after the other: a single sum of all values has too few digits in some runtimes.
    """
    told = seen * weights
    while told.dim() > 1:
        told = told.mean(-1)
    return told


def between(flat: Tensor) -> Tensor:
    """Return level metres of `FINE` rays for each of a scan: [..., columns] -> [..., FINE *].

    Along a wall, one part in a metre changes evenly from ray to ray. Of the changes on both sides
    of a ray, the smaller counts (the minmod limiter: Roe, 1986), so that nothing comes to lie
    between two things.
    """
    near = torch.where(flat < NOTHING, 1 / flat.clamp_min(CLOSEST), 0.0)
    left, right = near - torch.roll(near, 1, -1), torch.roll(near, -1, -1) - near
    slope = torch.sign(left) * torch.minimum(left.abs(), right.abs())
    slope = torch.where((left * right > 0) & (near > 0), slope, 0.0)
    part = (torch.arange(FINE, device=flat.device) - FINE // 2) / FINE
    fine = (near[..., None] + slope[..., None] * part).flatten(-2)
    return torch.where(fine > 1 / NOTHING, 1 / fine.clamp_min(1 / NOTHING), NOTHING)


def _fine(rays: Tensor) -> Tensor:
    """Return each ray `FINE` times: [..., columns] -> [..., FINE * columns]."""
    return rays[..., None].expand(*rays.shape, FINE).flatten(-2)
