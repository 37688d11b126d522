"""Landmarks: places in the frame, according to the sensors, as masks, windows and distances.

All computations have static shapes and common operators, so that they work in the graph.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

# The sensor values with its x, y and presence (-1: none), and px added to x and y.
Landmark = tuple[int, int, int, float, float]
NEAR = 12  # px: larger distances all count as far
OFTEN, SEEN = 0.99, 30  # least share and number of frames for a colour of a shape
ALWAYS = 16.0  # log-odds of a pixel that is always so
MARKED = 7  # planes of `tell` beside the sensors
LARGEST = 16  # px around a landmark's own pixel in which the landmark is searched
EDGE = 1e-4  # px: a position that rounding puts just before a pixel counts as inside it


class Landmarks(nn.Module):
    """L landmarks of a frame of `height` x `width` pixels in cells of `patch` x `patch`.

    Sensors are float32 [B, S] in their own units.
    """

    sources: Tensor
    shift: Tensor

    def __init__(
        self, marks: tuple[Landmark, ...], sensors: int, height: int, width: int, patch: int
    ) -> None:
        super().__init__()
        self.height, self.width, self.patch = height, width, patch
        self.landmarks = marks
        # The places of a landmark's x, y and presence among the sensors, then 0 and 1.
        absent = (sensors, sensors, sensors + 1)
        indices = [[int(m[k]) if m[k] >= 0 else absent[k] for m in marks] for k in range(3)]
        shift = [[m[3 + k] for m in marks] for k in range(2)]
        self.register_buffer("sources", torch.tensor(indices, dtype=torch.int64), persistent=False)
        self.register_buffer("shift", torch.tensor(shift), persistent=False)
        self.count = len(marks)
        pairs = len(marks) * (len(marks) - 1) // 2
        self.pairs = (
            [i for i in range(len(marks)) for _ in range(i + 1, len(marks))],
            [j for i in range(len(marks)) for j in range(i + 1, len(marks))],
        )
        self.distances = pairs * (4 + 4 * NEAR)  # what `apart` returns
        self.halves_told = pairs * 6 * (4 * NEAR + 2)  # categories of `halves`
        self.told = len(marks) * (MARKED + sensors)  # planes of `tell`

    def where(self, sensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return each landmark's x and y in px, and 1.0 if it is there, [B, landmarks] each."""
        padded = torch.cat([sensors, sensors.new_tensor([[0.0, 1.0]]).expand(len(sensors), 2)], 1)
        x, y, present = (padded[:, index] for index in self.sources)
        return x + self.shift[0] + EDGE, y + self.shift[1] + EDGE, (present > 0.5).float()

    def same(self, sensors: Tensor, other: Tensor) -> Tensor:
        """Return bool [B]: every landmark is in the same pixel, or absent, in both."""
        pairs = zip(self.where(sensors), self.where(other), strict=True)
        return torch.stack([torch.floor(a) == torch.floor(b) for a, b in pairs]).all(0).all(1)

    def locate(self, sensors: Tensor) -> tuple[Tensor, Tensor]:
        """Return each landmark's cell as a mask [B, L, gh, gw], and its place in it [B, L, 6].

        The place is x and y in the cell, -1..1, and the sine and cosine of those in the pixel.
        """
        at = torch.stack(self.where(sensors), -1)
        there, at = at[:, :, 2:], at[:, :, :2]
        cell = torch.floor(at / self.patch)
        rows = torch.arange(self.height // self.patch, device=at.device)
        columns = torch.arange(self.width // self.patch, device=at.device)
        across = (columns == cell[:, :, :1]).float()
        down = (rows == cell[:, :, 1:]).float() * there
        turn = 2 * math.pi * at
        place = torch.cat([2 * (at / self.patch - cell) - 1, torch.sin(turn), torch.cos(turn)], -1)
        return down[:, :, :, None] * across[:, :, None], place

    def apart(self, sensors: Tensor) -> Tensor:
        """Return the distance of each pair of landmarks, [B, distances].

        In parts of 4 px, and in whole pixels as categories, each up to NEAR px. A decision that
        depends on a distance then does not have to compute it from two places.
        """
        at = self.points(sensors)
        first, other = self.pairs
        far = ((at[:, first] - at[:, other]) / 4).clamp(-NEAR / 4, NEAR / 4)
        pixels = (torch.floor(at[:, first]) - torch.floor(at[:, other])).clamp(-NEAR, NEAR)
        kinds = torch.arange(-NEAR, NEAR + 1, device=at.device)
        return torch.cat([far.flatten(1), (pixels[..., None] == kinds).float().flatten(1)], 1)

    def halves(self, way: Tensor) -> Tensor:
        """Return the distance of each pair in half pixels, as categories, up to NEAR px.

        `way` holds their ways. Both landmarks are at the end of their way, or one of them is
        halfway: things may move one after the other. Edges decide whether things meet, and an edge
        lies on a pixel's border or in its middle. The side of an edge must not depend on a small
        difference.
        """
        first, other = (way[:, pairs] for pairs in self.pairs)
        far = torch.stack([first[:, :, i] - other[:, :, j] for i, j in ((2, 2), (1, 2), (2, 1))], 2)
        kinds = torch.arange(-2 * NEAR, 2 * NEAR + 2, device=way.device)
        half = torch.floor(2 * (far + EDGE)).clamp(-2 * NEAR, 2 * NEAR + 1)
        return (half[..., None] == kinds).float().flatten(1)

    def way(self, sensors: Tensor, free: Tensor) -> Tensor:
        """Return each landmark's place now, halfway, and in the forecast, in px: [B, L, 3, 2]."""
        now, then = self.points(sensors), self.points(free)
        return torch.stack([now, (now + then) / 2, then], 2)

    def points(self, sensors: Tensor) -> Tensor:
        """Return each landmark's place in px: [B, L, 2]."""
        return torch.stack(self.where(sensors)[:2], -1)

    def pixels(self, sensors: Tensor) -> Tensor:
        """Return the x and y of each landmark's pixel, in parts of 32 px."""
        x, y, _ = self.where(sensors)
        return torch.cat([torch.floor(x), torch.floor(y)], 1) / 32

    def tell(self, mask: Tensor, place: Tensor, s: Tensor) -> Tensor:
        """Write the facts about each landmark into its cell, [B, told, gh, gw]."""
        everywhere = s[:, None].expand(-1, mask.shape[1], -1)
        known = torch.cat([torch.ones_like(place[:, :, :1]), place, everywhere], -1)
        return (mask[:, :, None] * known[:, :, :, None, None]).flatten(1, 2)

    def pixel(self, mask: Tensor, sensors: Tensor) -> Tensor:
        """Mark each landmark's pixel, packed: [B, L * patch**2, gh, gw]."""
        p = self.patch
        x, y, _ = (torch.floor(value) for value in self.where(sensors))
        number = (y - p * torch.floor(y / p)) * p + x - p * torch.floor(x / p)
        chosen = (torch.arange(p * p, device=x.device) == number[:, :, None]).float()
        return (mask[:, :, None] * chosen[:, :, :, None, None]).flatten(1, 2)

    def window(self, sensors: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Select the rows and columns around each landmark, [B, L, size, height or width]."""
        rows, columns = self.around(self.points(sensors), size)
        return rows * self.where(sensors)[2][:, :, None, None], columns

    def around(self, at: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Select the rows and columns around points [B, P, 2], [B, P, size, height or width]."""
        around = torch.arange(size, device=at.device) - size // 2
        across, down = (torch.floor(v)[:, :, None, None] + around[:, None] for v in at.unbind(2))
        rows = (torch.arange(self.height, device=at.device) == down).float()
        columns = (torch.arange(self.width, device=at.device) == across).float()
        return rows, columns


@torch.no_grad()
def find_shapes(cells: Tensor, marks: Landmarks, sensors: Tensor, size: int) -> Tensor:
    """Return the log-odds of each colour around each landmark, [L, planes, size, size].

    `cells` [R, planes, H, W] are frames with the `sensors` [R, S]. Pixels that are always so count
    as ALWAYS, pixels that are seldom so as 0: the network decides those.
    """
    rows, columns = marks.window(sensors, size)
    seen = cells.new_zeros(marks.count, cells.shape[1], size, size)
    inside = cells.new_zeros(marks.count, 1, size, size)
    for mark in range(marks.count):
        down, across = rows[:, mark], columns[:, mark]
        part = torch.einsum("bgh,bchw,bvw->cgv", down, cells, across)
        seen[mark] = part
        inside[mark, 0] = torch.einsum("bg,bv->gv", down.sum(2), across.sum(2))
    share = seen / inside.clamp_min(1)
    known = (share >= OFTEN) & (inside >= SEEN)
    return torch.where(known, torch.logit(share, 1e-6).clamp(max=ALWAYS), torch.zeros(()))


@torch.no_grad()
def find_size(index: Tensor, marks: Landmarks, sensors: Tensor) -> int:
    """Return the width in pixels of the window that holds each landmark whole: odd.

    A landmark extends from its own pixel as far as the pixel's colour does, up, down and to both
    sides, in nearly all of the frames `index` [R, cams, H, W]. A landmark in the commonest colour,
    the background, has no size.
    """
    usual = index.flatten().mode().values
    far = 0
    for x, y, present in zip(*(value.T for value in marks.where(sensors)), strict=True):
        there = torch.nonzero(present > 0.5)[:, 0]
        frames, column, row = index[there, 0], x[there].long(), y[there].long()
        own = _colours(frames, column, row)
        if len(own) < SEEN or (colour := own.mode().values) == usual:
            continue
        for dx, dy in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            for away in range(LARGEST + 1):
                seen = _colours(frames, column + away * dx, row + away * dy)
                if len(seen) < SEEN or (seen == colour).float().mean() < OFTEN:
                    break
                far = max(far, away)
    return 2 * far + 1


def _colours(frames: Tensor, column: Tensor, row: Tensor) -> Tensor:
    """Return the colour of one pixel of each frame [R, H, W], if it is in the frame."""
    height, width = frames.shape[1:]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    some = torch.nonzero(inside)[:, 0]
    return frames[some, row[some], column[some]]
