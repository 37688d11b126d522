"""Twins: things that move and look alike, judged by the same layers.

A second ball is like the first: whatever the network knows about one ball applies to the other, if
it sees the world with both exchanged. It does this once for each twin: the sensors are exchanged,
and its decision for the first ball applies to the second. Each ball has its own weights for the
result, because the rules may differ: one may cost a life, and the other not.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

Twin = tuple[tuple[int, int], ...]  # sensor values of one thing, each with that of the other


class Twins(nn.Module):
    """The views of S sensors [B, S]: as they are, and with each of some twins exchanged.

    `marks` are the sensor values that are the landmarks' x (-1: none).
    """

    orders: Tensor
    told: Tensor
    seer: Tensor

    def __init__(self, twins: tuple[Twin, ...], sensors: int, marks: list[int]) -> None:
        super().__init__()
        self.views, self.pairs = 1 + len(twins), twins
        self.exchanged = [list(range(sensors))]
        told, view = list(range(sensors)), [0] * sensors
        for k, pairs in enumerate(twins, 1):
            order = list(range(sensors))
            for mine, other in pairs:
                order[mine], order[other] = other, mine
                told[mine], view[mine] = k * sensors + mine, k
            self.exchanged.append(order)
        # The sensors that each view decides, by index.
        self.groups = [[s for s in range(sensors) if view[s] == k] for k in range(self.views)]
        seer = [view[x] if x >= 0 else 0 for x in marks]
        for name, value in (("orders", self.exchanged), ("told", told), ("seer", seer)):
            index = torch.tensor(value, dtype=torch.int64)
            self.register_buffer(name, index, persistent=False)

    def see(self, sensors: Tensor) -> Tensor:
        """Return the sensors of each view, [B, S] -> [views * B, S]."""
        if self.views == 1:
            return sensors
        return sensors[:, self.orders].transpose(0, 1).flatten(0, 1)

    def repeat(self, values: Tensor) -> Tensor:
        """Repeat values that are the same in each view, [B, ...] -> [views * B, ...]."""
        return values if self.views == 1 else torch.cat([values] * self.views)

    def first(self, values: Tensor) -> Tensor:
        """Return the first view, [views * B, ...] -> [B, ...]."""
        return values if self.views == 1 else values[: len(values) // self.views]

    def apart(self, values: Tensor) -> Tensor:
        """Return a game's views side by side, [views * B, ...] -> [B, views, ...]."""
        if self.views == 1:
            return values[:, None]
        return values.reshape(self.views, -1, *values.shape[1:]).transpose(0, 1)

    def settle(self, said: Tensor) -> Tensor:
        """Return for each sensor the result of its view, [views * B, S, ...] -> [B, S, ...]."""
        return said if self.views == 1 else self.apart(said).flatten(1, 2)[:, self.told]

    def of_marks(self, values: Tensor) -> Tensor:
        """Return for each landmark its view's result, [B, views, ...] -> [B, landmarks, ...]."""
        if self.views == 1:
            return values.expand(-1, len(self.seer), -1)
        return values[:, self.seer]
