"""Twins: what moves and looks as something else does, told by the same layers.

A second ball is like the first: whatever the network knows of one it knows of the other, if it sees
the world with both in each other's places. So it does, once for each twin: the sensors are
exchanged, and what it then judges of the first is meant of the second. What follows from that is
read out by weights of each one's own, for the rules may differ: one may cost a life, and not the
other.
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
        # Sensors that are told in each view, by their number.
        self.groups = [[s for s in range(sensors) if view[s] == k] for k in range(self.views)]
        seer = [view[x] if x >= 0 else 0 for x in marks]
        for name, value in (("orders", self.exchanged), ("told", told), ("seer", seer)):
            index = torch.tensor(value, dtype=torch.int64)
            self.register_buffer(name, index, persistent=False)

    def see(self, sensors: Tensor) -> Tensor:
        """Return what each view has for sensors, [B, S] -> [views * B, S]."""
        if self.views == 1:
            return sensors
        return sensors[:, self.orders].transpose(0, 1).flatten(0, 1)

    def repeat(self, values: Tensor) -> Tensor:
        """Return what is the same in each view, [B, ...] -> [views * B, ...]."""
        return values if self.views == 1 else torch.cat([values] * self.views)

    def first(self, values: Tensor) -> Tensor:
        """Return what is seen as it is, [views * B, ...] -> [B, ...]."""
        return values if self.views == 1 else values[: len(values) // self.views]

    def apart(self, values: Tensor) -> Tensor:
        """Return a game's views side by side, [views * B, ...] -> [B, views, ...]."""
        if self.views == 1:
            return values[:, None]
        return values.reshape(self.views, -1, *values.shape[1:]).transpose(0, 1)

    def settle(self, said: Tensor) -> Tensor:
        """Return of each sensor what is said in its view, [views * B, S, ...] -> [B, S, ...]."""
        return said if self.views == 1 else self.apart(said).flatten(1, 2)[:, self.told]

    def of_marks(self, values: Tensor) -> Tensor:
        """Return of each landmark what its view has, [B, views, ...] -> [B, landmarks, ...]."""
        if self.views == 1:
            return values.expand(-1, len(self.seer), -1)
        return values[:, self.seer]
