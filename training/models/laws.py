"""How sensors move on: each value by one of several laws, picked whole by a network.

In the order of the choice: a linear forecast (as if nothing got in the way), laws that many worlds
know, linear laws that are learned, and a value of the network's own (switching linear dynamics;
Linderman et al., 2017, arXiv:1610.08466).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.models.landmarks import Landmarks

GIVEN = 12  # laws that many worlds know


class Laws(nn.Module):
    """The next values of S sensors: float32 [B, S] in their own units, -1..1 over their range.

    `low`, `high` and `whole`, each of S values, are the range in the data, and whether a sensor is
    a whole number. `wide` units of the network judge; `learned` laws are learned for each sensor.
    """

    low: Tensor
    span: Tensor
    whole: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(
        self, low: tuple[float, ...], high: tuple[float, ...], whole: tuple[bool, ...],
        marks: Landmarks, actions: int, wide: int, learned: int,
    ) -> None:  # fmt: skip
        super().__init__()
        sensors = len(low)
        self.learned = learned
        ends = torch.tensor([low, high], dtype=torch.float32)
        self.register_buffer("low", ends[0])
        self.register_buffer("span", (ends[1] - ends[0]).clamp_min(1e-6) / 2)
        self.register_buffer("whole", torch.tensor(whole, dtype=torch.float32))
        self.forecast = nn.Linear(sensors + actions, sensors)
        # A law is linear in sensors, forecast, actions, landmarks' pixels, and distances.
        inputs = 2 * sensors + actions + 2 * marks.count
        self.linear = nn.Linear(inputs + marks.distances, learned * sensors)
        # To each value: how likely every law and a value of its own are; and that value.
        self.rule = nn.Linear(wide, (GIVEN + 3 + learned) * sensors)
        weight, bias = self.given(marks, sensors + sensors + actions)
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("bias", bias, persistent=False)
        with torch.no_grad():
            self.forecast.weight.zero_()
            self.forecast.bias.zero_()
            self.linear.weight.normal_(0, 0.1)
            self.linear.weight[:, inputs:] = 0
            self.linear.bias.normal_(0, 0.3)
            # The forecast, unless another is meant.
            self.rule.bias.view(sensors, GIVEN + 3 + learned)[:, 0] = 2.0

    def given(self, marks: Landmarks, first: int) -> tuple[Tensor, Tensor]:
        """Return laws that many worlds know: stay, turn round, stop at 0, an edge, or a pixel.

        Their weights [S * laws, inputs] and biases, as of those that are learned; `first` is the
        first input that is a landmark's pixel.
        """
        sensors = len(self.low)
        middle = (self.low / self.span + 1).tolist()
        weight = torch.zeros(sensors, GIVEN, self.linear.in_features)
        bias = torch.zeros(sensors, GIVEN)
        for j in range(sensors):
            weight[j, :, j] = 1.0
            weight[j, 1, j], bias[j, 1] = -1.0, -2 * middle[j]
            weight[j, 2:5, j], bias[j, 2:5] = 0.0, torch.tensor([-middle[j], -1.0, 1.0])
            for axis in range(2):
                for i in torch.nonzero(marks.sources[axis] == j)[:, 0].tolist():
                    at = first + axis * marks.count + i
                    half = torch.arange(-2, 5) / 2 - marks.shift[axis, i]
                    weight[j, 5:, j], weight[j, 5:, at] = 0.0, 32 / self.span[j]
                    bias[j, 5:] = half / self.span[j] - middle[j]
        return weight.flatten(0, 1), bias.flatten()

    def ahead(self, sensors: Tensor, action: Tensor) -> Tensor:
        """Forecast the sensors, in their own units, as if nothing got in the way."""
        s = self.parts(sensors)
        return self.units((s + self.forecast(torch.cat([s, action], 1))).clamp(-1, 1))

    def foresee(
        self, judged: Tensor, sensors: Tensor, free: Tensor, action: Tensor, places: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return what each sensor's next value may be, and how likely: logits and values.

        Both [B, S, laws + 2], the values as parts. `free` is the forecast, `places` the landmarks'
        pixels and distances in it.
        """
        b, count = sensors.shape
        s, ahead = self.parts(sensors), self.parts(free)
        inputs = torch.cat([s, ahead, action, places], 1)
        known = F.linear(inputs, self.weight, self.bias).reshape(b, count, GIVEN)
        learned = self.linear(inputs).reshape(b, count, self.learned)
        rule = self.rule(judged).reshape(b, count, GIVEN + 3 + self.learned)
        ahead = ahead[:, :, None]
        own = ahead + rule[:, :, -1:]
        return rule[:, :, :-1], torch.cat([ahead, known, learned, own], 2)

    def decide(self, choice: Tensor, ways: Tensor) -> Tensor:
        """Take the likeliest next value of each sensor, in its own units, settled."""
        if not len(self.low):
            return ways[:, :, 0]
        picked = choice.argmax(2, keepdim=True)
        return self.settle(self.units(ways.gather(2, picked)[:, :, 0]))

    def settle(self, sensors: Tensor) -> Tensor:
        """Keep sensors within their range, and whole numbers whole."""
        sensors = torch.clamp(sensors, self.low, self.low + 2 * self.span)
        return sensors + self.whole * (torch.floor(sensors + 0.5) - sensors)

    def parts(self, sensors: Tensor) -> Tensor:
        """Turn sensors in their own units into -1..1 over their range."""
        return (sensors - self.low) / self.span - 1

    def units(self, s: Tensor) -> Tensor:
        """Turn sensors as -1..1 over their range into their own units."""
        return (s + 1) * self.span + self.low
