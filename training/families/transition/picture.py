"""A picture that a model keeps, and the place in it of every pixel that it shows.

A picture that is resampled at every step dissolves. So pixels are fetched from a kept picture, the
`key`, through places that move on smoothly (the characteristic mapping of fluid solvers: Tessendorf
and Pelfrey, 2011).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.families.base import State
from training.families.transition import geometry
from training.families.transition.geometry import Lens, Motion

Places = tuple[Tensor, Tensor, Tensor]  # columns, rows, and which of them are none (0 or 1)


class KeptPicture(nn.Module):
    """All cameras' pictures on one canvas, one below the other, [B, 3, cameras * H, W].

    Kept are, by name: `key`, a picture; `source`, the place in it of every pixel, along its width
    and height, -1..1, and how much of the pixel was drawn since, [B, 3, cameras * H, W]; `age`, the
    steps since the key was seen, [B, 1].
    """

    rays: Tensor  # of each pixel, [cameras, 3, H, W]
    near: Tensor  # of level ground, in parts of a metre, [cameras, H, W]
    places: Tensor  # of cameras, [cameras, 3]
    first: Tensor  # row of the canvas at which each camera's view begins, [cameras, 1, 1]
    place_of: Tensor  # of each pixel of the canvas, -1..1, [2, cameras * H, W]

    def __init__(self, lenses: tuple[Lens, ...], height: int, width: int, keep: int) -> None:
        super().__init__()
        self.lenses, self.height, self.width, self.keep = lenses, height, width, keep
        rays = [geometry.rays(lens, height, width) for lens in lenses]
        near = [geometry.nearness(ray, lens) for ray, lens in zip(rays, lenses, strict=True)]
        places = torch.meshgrid(
            torch.arange(width), torch.arange(len(lenses) * height), indexing="xy"
        )
        columns, rows = (part.float() for part in places)
        fixed = {
            "rays": torch.stack(rays),
            "near": torch.stack(near),
            "places": torch.tensor([lens[3:6] for lens in lenses]),
            "first": (height * torch.arange(len(lenses)).float())[:, None, None],
            "place_of": self._placed(columns, rows, 0),
        }
        for name, value in fixed.items():
            self.register_buffer(name, value, persistent=False)

    def blank(self, games: int, device: torch.device) -> State:
        """Return what is kept of games of which nothing was seen yet."""
        size = (len(self.lenses) * self.height, self.width)
        return {
            "key": torch.zeros(games, 3, *size, device=device),
            "source": torch.zeros(games, 3, *size, device=device),
            "age": torch.zeros(games, 1, device=device),
        }

    def fetched(self, seen: State, own: Tensor, places: Places) -> tuple[Tensor, Tensor, State]:
        """Return the last picture, moved; how much of each pixel was drawn; and what is kept.

        `own` [B, 1] tells whether the model made the last picture itself.
        """
        before = seen["frame"].transpose(1, 2).flatten(2, 3)
        keeps = own & (seen["age"] < self.keep)
        key = torch.where(keeps[:, :, None, None], seen["key"], before)
        fresh = torch.cat([self.place_of, torch.zeros_like(self.place_of[:1])])
        source = torch.where(keeps[:, :, None, None], seen["source"], fresh)
        column, row, unseen = (part.flatten(1, 2) for part in places)
        # Whose view each pixel of the last picture came from.
        rows, height = len(self.lenses) * self.height, self.height
        view = torch.floor((source[:, 1:2] + 1) * ((rows - 1) / 2 / height) + 1e-3)
        last = _at(torch.cat([before, source, view], 1), self._placed(column, row))
        first = 2 * height / (rows - 1) * last[:, 6].round() - 1
        high = torch.maximum(last[:, 4], first)
        high = torch.minimum(high, first + 2 * (height - 1) / (rows - 1))
        at = torch.stack([last[:, 3].clamp(-1.0, 1.0), high], 1)
        moved = _at(key, at)
        # Between pixels of two views there is no place.
        torn = (4 * (last[:, 6] - last[:, 6].round()).abs()).clamp(max=1.0)
        drawn = torch.maximum(torch.maximum(last[:, 5], unseen), torn)[:, None]
        age = torch.where(keeps, seen["age"], 0.0) + 1
        return moved + drawn * (last[:, :3] - moved), drawn, {"key": key, "source": at, "age": age}

    def before(self, near: Tensor, more: Tensor, motion: Motion) -> Places:
        """Return where on the canvas pixels were before a motion.

        Each [B, cameras, H, W]. A pixel is sought in its own camera's view, then in the others'.
        `more` [B, cameras, 2, H, W] is learned: by how many columns and rows it moved besides.
        """
        points = geometry.before(self.rays, self.places, near, motion)
        own = [
            geometry.seen_by(points[:, k : k + 1], near[:, k : k + 1], lens)
            for k, lens in enumerate(self.lenses)
        ]
        column, row, found = (torch.cat([view[i] for view in own], 1) for i in range(3))
        first = self.first.expand_as(row)
        # What another camera saw is fetched from there; it teaches nothing about how near it is.
        points, near = points.detach(), near.detach()
        for k, lens in enumerate(self.lenses):
            u, v, inside = geometry.seen_by(points, near, lens)
            takes = inside & ~found
            column, row = torch.where(takes, u, column), torch.where(takes, v, row)
            first = torch.where(takes, torch.full_like(first, k * self.height), first)
            found = found | takes
        column = (column + more[:, :, 0]).clamp(0.0, self.width - 1.0)
        row = (row + more[:, :, 1]).clamp(0.0, self.height - 1.0) + first
        return column, row, (~found).float()

    def _placed(self, column: Tensor, row: Tensor, axis: int = 1) -> Tensor:
        """Return places on the canvas in parts of it, -1..1, along one more axis."""
        wide, high = self.width - 1, len(self.lenses) * self.height - 1
        return torch.stack([column * (2 / wide) - 1, row * (2 / high) - 1], axis)


def _at(canvas: Tensor, places: Tensor) -> Tensor:
    """Return what a canvas [B, C, R, W] shows at places between its pixels, [B, 2, R, W]."""
    grid = places.permute(0, 2, 3, 1)
    return F.grid_sample(canvas, grid, padding_mode="border", align_corners=True)
