"""`first_person`: a view through a still place, drawn from where one stands and looks.

Built on `numbers`: the next numbers follow from the last ones, and the picture from the numbers.
Four of these tell where on the ground one stands, and which way one looks. So a picture need not
be known as a whole. Each column of its cells shows what rays meet that leave the eye in their own
direction, and the same layers draw all columns. What rays meet is found on a map that is learned
with them: see `ground.py`. Rays and places are told as waves of many lengths, since layers alone
would draw what is fine too smoothly (Tancik et al., 2020, arXiv:2006.10739).

The way one looks is turned by an angle, and stays a direction: after a full turn, the view is the
same. When the model plays, no step leads from ground where one stood in the recording to where
nobody did: walls hold. Whatever does not stand still must be among the other numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.families.first_person import ground
from training.families.first_person.ground import waves
from training.families.numbers import model as numbers

TURNS = 8  # waves in a full turn, at most
RAYS = 2  # of each column of cells


@dataclass(frozen=True)
class Config(numbers.Config):
    """Sizes of one `first_person` model, the names of all numbers, and of those that see.

    `sensor_step` holds radians for the first of `look`, by which it turns; for the second, 1.
    """

    sensors: tuple[str, ...] = ()
    place: Sequence[str] = ("east", "north")
    look: Sequence[str] = ("looks_east", "looks_north")
    view: float = 90.0  # degrees
    waves: int = 7
    patch: int = 4
    wide: int = 384


class Model(numbers.Model):
    """A still world seen from within; see the module's docstring."""

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.ground = ground.Ground()
        for name, count in (("columns", self.grid[2]), ("rays", RAYS * self.grid[2])):
            across = (torch.arange(count) + 0.5) / count * 2 - 1
            aside = -torch.atan(across * math.tan(math.radians(config.view) / 2))
            self.register_buffer(name, torch.stack([aside.cos(), aside.sin()], 1), persistent=False)

    columns: Tensor  # direction of each column beside the middle: cosine and sine, [columns, 2]
    rays: Tensor  # and of each ray, [columns * RAYS, 2]

    def given(self, values: Tensor, action: Tensor, chance: Tensor) -> Tensor:
        """Return what changes are partly linear in: actions lead to where one looks, too."""
        look = values[:, self._at(self.config.look)]
        steps = (look[:, :, None] * action[:, None]).flatten(1)
        return torch.cat([super().given(values, action, chance), steps], 1)

    def moved(self, values: Tensor, change: Tensor) -> Tensor:
        """Return numbers after a change, in which the first of `look` stands for a turn."""
        first, second = self._at(self.config.look)
        turn = change[:, first]
        cos, sin = turn.cos(), turn.sin()
        x = values[:, first] * cos - values[:, second] * sin
        y = values[:, second] * cos + values[:, first] * sin
        size = (x.square() + y.square() + 1e-12).sqrt()
        after = [*super().moved(values, change).unbind(1)]
        after[first], after[second] = x / size, y / size
        if not self.training:  # Else it would not learn to stop by itself.
            at = self._at(self.config.place)
            place = self._held(values[:, at], torch.stack([after[i] for i in at], 1))
            for i, one in zip(at, place.unbind(1), strict=True):
                after[i] = one
        return torch.stack(after, 1)

    def _held(self, before: Tensor, after: Tensor) -> Tensor:
        """Return the places [B, 2] to which a step leads: where a wall is, along it."""
        (x, y), (u, v) = before.unbind(1), after.unbind(1)
        along = torch.stack([x, v], 1), torch.stack([u, y], 1)
        tried = torch.stack([before, *along, after], 1)
        # Whole numbers are rounded later.
        whole = self.whole[self._at(self.config.place)]
        holds = self.ground.holds(self._shares(tried + whole * (tried.round() - tried)))
        # Who stands where one can't stand can leave.
        holds = torch.cat([holds[:, :3], holds[:, 3:] | ~holds[:, :1]], 1)
        place = before
        for k in range(1, 4):
            place = torch.where(holds[:, k, None], tried[:, k], place)
        return place

    def fit(self, sensors: Tensor, action: Tensor, chance: Tensor, after: Tensor) -> Tensor:
        """Find where one can stand, and fit the linear part; see `WorldModel.fit`."""
        stood = self.stands(torch.stack([sensors, after], 1).flatten(0, 1))
        self.ground.trodden.copy_(ground.find_trodden(stood))
        return super().fit(sensors, action, chance, after)

    def difference(self, after: Tensor, values: Tensor) -> Tensor:
        """Return the change that leads from numbers to others: of `look`, the turn, and 0."""
        first, second = self._at(self.config.look)
        (x, y), (u, v) = ((all_[:, first], all_[:, second]) for all_ in (values, after))
        off = [*super().difference(after, values).unbind(1)]
        off[first] = torch.atan2(x * v - y * u, x * u + y * v)
        off[second] = torch.zeros_like(x)
        return torch.stack(off, 1)

    def tents(self, values: Tensor) -> Tensor:
        """Tell each number in parts of its range, and where one stands and looks in waves."""
        look = (values[:, i, None] for i in self._at(self.config.look))
        told = waves(self.stands(values), self.config.waves), turns(*look)
        return torch.cat([super().tents(values), *(one.flatten(1) for one in told)], 1)

    def stands(self, values: Tensor) -> Tensor:
        """Return where one stands, [B, 2]: 0 amid the ground, at most 1 from there."""
        return self._shares(values[:, self._at(self.config.place)])

    def _shares(self, place: Tensor) -> Tensor:
        """Return places [..., 2] as `stands` does."""
        at = self._at(self.config.place)
        half = self.span[at] / 2
        return (place - self.low[at] - half) / half.max()

    def cell_layers(self) -> nn.Sequential:
        """Return the layers of one column of cells."""
        c = self.config
        others = len(c.sensors) - 4
        ray = 4 * (1 + 2 * c.waves) + 2 * TURNS + 2 + RAYS * ground.TOLD
        given = ray + others * (1 + numbers.TENTS) + c.actions
        return numbers.layers(given, c.wide, self.grid[0] * self.grid[1])

    def coarse(self, values: Tensor, action: Tensor) -> Tensor:
        """Return the coarse cells of which a picture is drawn, [B, channels, rows, columns]."""
        c, (channels, rows, columns) = self.config, self.grid
        stands, way = self.stands(values), self._turned(values, self.columns)
        (east, north), (x, y) = stands[:, None].expand_as(way).unbind(-1), way.unbind(-1)
        # How far the eye is along the ray, and beside it, too: on one ray, much is the same.
        ray = torch.stack([east, north, east * x + north * y, east * y - north * x], -1)
        met = self.ground(stands, self._turned(values, self.rays))
        rest = torch.cat([self._others(values), action], 1)
        given = [
            ray, waves(ray, c.waves), turns(x, y), self.columns.expand_as(way),
            met.reshape(len(values), columns, -1), rest[:, None].expand(-1, columns, -1),
        ]  # fmt: skip
        cells: Tensor = self.cells(torch.cat(given, -1))
        return cells.reshape(-1, columns, channels, rows).permute(0, 2, 3, 1)

    def _turned(self, values: Tensor, aside: Tensor) -> Tensor:
        """Return directions [B, N, 2] that are `aside` [N, 2] of the one in which one looks."""
        x, y = (values[:, i, None] for i in self._at(self.config.look))
        cos, sin = aside.unbind(1)
        return torch.stack([x * cos - y * sin, y * cos + x * sin], -1)

    def _others(self, values: Tensor) -> Tensor:
        """Return the numbers that are neither place nor look, as what follows gets them."""
        eye = {*self.config.place, *self.config.look}
        at = [i for i, name in enumerate(self.config.sensors) if name not in eye]
        tents = super().tents(values).reshape(len(values), -1, numbers.TENTS)
        return torch.cat([self.parts(values)[:, at], tents[:, at].flatten(1)], 1)

    def _at(self, names: Sequence[str]) -> list[int]:
        return [self.config.sensors.index(name) for name in names]


def turns(x: Tensor, y: Tensor) -> Tensor:
    """Return the directions at 1 to `TURNS` times the angle of x, y [...]: [..., 2 * TURNS]."""
    told, u, v = [x, y], x, y
    for _ in range(TURNS - 1):
        u, v = u * x - v * y, v * x + u * y
        told += [u, v]
    return torch.stack(told, -1)
