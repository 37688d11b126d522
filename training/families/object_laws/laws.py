"""How sensors change: a network selects one of several laws for each value, as a whole.

The candidates, in order: a linear forecast (as if nothing got in the way), laws that many worlds
share, linear laws found in the data, and a value that the network computes (switching linear
dynamics; Linderman et al., 2017, arXiv:1610.08466).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.families.object_laws.inherit import BOTH, DISTANCES, Runs, exchanged, size
from training.families.object_laws.landmarks import Landmarks
from training.families.object_laws.regression import regress
from training.families.object_laws.twins import Twins

GIVEN = 12  # laws that many worlds share
CURVES = 5  # functions of each chance number
EXPLAINED = 0.01  # of half the range: a candidate that is nearer than this has happened
BEYOND = 1e-5  # of half the range: beyond this, rounding cannot be the cause
DOUBT = 0.25  # share of a network's certainty that remains in its decisions for a twin
ROWS = 10_000  # the most steps for finding a law
EXACT = 0.001  # a law that holds is as near as this; others are so near only by chance
# Share of the unexplained steps that a law must explain: an earlier law, to stay; and a law of the
# thing that a twin is like, whose own rules may leave fewer steps to it.
HOLDS, LIKELY = 0.25, 0.05


def linear(actions: int, chance: int) -> Runs:
    """Return the inputs of linear laws; see `Laws.inputs`."""
    return [*BOTH, ("", actions + CURVES * chance), ("marks", 1), ("marks", 1), *DISTANCES]


class Laws(nn.Module):
    """The next values of S sensors: float32 [B, S] in their own units.

    `low`, `high` and `whole`, each of S values, are the range in the data, and whether a sensor is
    a whole number. `wide` units of the network decide; `found` laws are fitted for each sensor. The
    network reads sensors as parts: -1..1 over that range, or over the range of the data of its
    first training.
    """

    low: Tensor
    span: Tensor
    least: Tensor
    most: Tensor
    whole: Tensor
    drift: Tensor
    weight: Tensor

    def __init__(
        self, low: tuple[float, ...], high: tuple[float, ...], whole: tuple[bool, ...],
        marks: Landmarks, twins: Twins, actions: int, chance: int, wide: int, found: int,
    ) -> None:  # fmt: skip
        super().__init__()
        sensors = len(low)
        self.marks, self.twins, self.found = marks, twins, found
        ends = torch.tensor([low, high], dtype=torch.float32)
        span = (ends[1] - ends[0]).clamp_min(1e-6) / 2
        self.register_buffer("least", ends[0], persistent=False)
        self.register_buffer("most", ends[0] + 2 * span, persistent=False)
        self.register_buffer("low", ends[0].clone())
        self.register_buffer("span", span)
        self.register_buffer("whole", torch.tensor(whole, dtype=torch.float32))
        # Weights, the bias last: the difference of the forecast from now, and the laws.
        self.register_buffer("drift", torch.zeros(sensors, sensors + actions + 1))
        self.linear = linear(actions, chance)
        inputs = size(self.linear, sensors, marks.count)
        self.register_buffer("weight", torch.zeros(sensors, GIVEN + found, inputs + 1))
        # For each value: the odds of every law and of the network's own value, and that value.
        self.rule = nn.Linear(wide, (GIVEN + 3 + found) * sensors)
        self.first = 2 * sensors + actions + CURVES * chance
        self.measure()
        self.give()
        with torch.no_grad():
            # The forecast, unless another is meant.
            self.rule.bias.view(sensors, GIVEN + 3 + found)[:, 0] = 2.0

    def go_on_from(self, low: Tensor, span: Tensor, weight: Tensor) -> None:
        """Continue from a trained network: sensors as parts of the range `low`, `span`, and laws.

        An earlier law stays in its place if `fit` finds that it holds.
        """
        self.low[:], self.span[:], self.weight[:] = low, span, weight
        self.measure()
        self.give()

    def doubted(self, weights: dict[str, Tensor], sensors: list[int]) -> dict[str, Tensor]:
        """Return weights of the same choices, with less certainty for those of some `sensors`.

        A choice with high certainty takes long to change.
        """
        found = dict(weights)
        for name in ("laws.rule.weight", "laws.rule.bias"):
            rule = weights[name].reshape(len(self.low), -1, *weights[name].shape[1:]).clone()
            rule[sensors, :-1] *= DOUBT
            found[name] = rule.flatten(0, 1)
        return found

    def measure(self) -> None:
        """Express a twin's sensors as parts of the range of the corresponding sensors."""
        for pairs in self.twins.pairs:
            for mine, other in pairs:
                self.low[mine], self.span[mine] = self.low[other], self.span[other]

    def give(self) -> None:
        """Add laws that many worlds share: stay, reverse, stop at 0, an edge, or a pixel.

        The reversed value is the forecast: under gravity, the velocity at the moment of the bounce.
        """
        middle = (self.low / self.span + 1).tolist()
        bottom, top = self.ends
        self.weight[:, :GIVEN] = 0
        for j, weight in enumerate(self.weight):
            weight[0, j] = 1.0
            weight[1, len(self.low) + j], weight[1, -1] = -1.0, -2 * middle[j]
            weight[2:5, -1] = torch.stack([-torch.tensor(middle[j]), bottom[j], top[j]])
            weight[5:GIVEN, j] = 1.0
            for axis in range(2):
                for i in torch.nonzero(self.marks.sources[axis] == j)[:, 0].tolist():
                    at = self.first + axis * self.marks.count + i
                    weight[5:GIVEN, j], weight[5:GIVEN, at] = 0.0, 32 / self.span[j]
                    half = torch.arange(-2, 5) / 2 - self.marks.shift[axis, i]
                    weight[5:GIVEN, -1] = half / self.span[j] - middle[j]

    @torch.no_grad()
    def fit(self, sensors: Tensor, action: Tensor, chance: Tensor, after: Tensor) -> None:
        """Find the forecast and the laws in steps of the sim, [R, ...] each, by regression.

        The forecast is the most common change of each sensor alone. The first law is the most
        common change in the steps that neither the forecast nor a given law explains; the next law
        is the most common in the steps that remain. Steps that are too few are ignored. An earlier
        law that still explains many of these steps stays, and so does a law of the thing that a
        twin is like.
        """
        rng = torch.Generator().manual_seed(0)

        def some(rows: Tensor) -> Tensor:
            return rows[torch.randperm(len(rows), generator=rng)[:ROWS].to(rows.device)]

        self.fit_forecast(sensors, action, after, some)
        turned = torch.nonzero(self.turned(sensors, action, after))[:, 0]
        parts = (value[turned] for value in (sensors, action, chance, after))
        sensors, action, chance, after = parts
        free, true = self.settle(self.ahead(sensors, action)), self.parts(after)
        inputs = self.inputs(sensors, free, action, chance, self.places(free))

        def unexplained(group: list[int]) -> tuple[Tensor, Tensor]:
            ways = torch.cat([self.parts(free)[:, :, None], self.follow(inputs)], 2)
            left = ((ways - true[:, :, None]).abs().amin(2) > EXPLAINED)[:, group]
            rows = some(torch.nonzero(left.any(1))[:, 0])
            return rows, left[rows]

        few = 2 * inputs.shape[1]  # steps that are too few for a law
        before = self.weight[:, GIVEN:].clone()
        self.weight[:, GIVEN:] = 0
        for view, group in enumerate(self.twins.groups):
            known = before[group] if before[group].any() else self.like(view)[group]
            old = torch.nonzero(known.any(2).any(0))[:, 0].tolist()
            while old:
                rows, left = unexplained(group)
                told = torch.einsum("ri,sli->rls", inputs[rows], known[:, old, :-1])
                told = told + known[:, old, -1].T
                off = ((told - true[rows][:, None, group]).abs() * left[:, None]).amax(2)
                holds = (off < EXACT).sum(0)
                if holds.max() <= (LIKELY if view else HOLDS) * len(rows):
                    break
                law = old.pop(int(holds.argmax()))
                self.weight[group, GIVEN + law] = known[:, law]
            for law in range(GIVEN, GIVEN + self.found):
                rows, left = unexplained(group)
                if self.weight[group, law].any() or len(rows) < few:
                    continue
                told = true[rows][:, group]
                found = regress(inputs[rows], told, left).to(inputs)
                # A law that replaces another is chosen where the other was. It must be right in
                # all steps of its event, even where a given law is also right by chance.
                off = (inputs[rows] @ found[:-1] + found[-1] - told).abs()
                follow = ((off < EXACT) & left).any(1)
                if known[:, law - GIVEN].any() and follow.sum() >= few:
                    asked = left.any(0).expand(int(follow.sum()), -1)
                    found = regress(inputs[rows[follow]], told[follow], asked).to(inputs)
                self.weight[group, law] = found.T

    def like(self, view: int) -> Tensor:
        """Return the fitted laws for a view, with those of other sensors for twins."""
        order = exchanged(self.twins, view, self.marks.landmarks)
        at = order.index([*self.linear, ("", 1)]).to(self.weight.device)
        laws = self.weight[self.twins.exchanged[view], GIVEN:]
        return laws[:, :, at.clamp_min(0)] * (at >= 0)

    def fit_forecast(
        self, sensors: Tensor, action: Tensor, after: Tensor, some: Callable[[Tensor], Tensor]
    ) -> None:
        """Find the forecast of each sensor in `some` of the steps."""
        s, true = self.parts(sensors), self.parts(after)
        bottom, top = self.ends
        every = some(torch.arange(len(s), device=s.device))
        inputs = torch.cat([s, action], 1)
        for j in range(s.shape[1]):
            # A value at an end of its range may have been stopped there.
            inside = some(torch.nonzero((true[:, j] > bottom[j]) & (true[:, j] < top[j]))[:, 0])
            drifts = [torch.zeros_like(self.drift[j])]  # of a value that stays
            for rows in (every, inside):
                if len(rows) >= 2 * inputs.shape[1]:
                    found = regress(inputs[rows], (true - s)[rows, j : j + 1])
                    drifts.append(found[:, 0].to(s))
            told = []
            for drift in drifts:
                made = inputs[every] @ drift[:-1] + drift[-1] + s[every, j]
                made = made.clamp(bottom[j], top[j])
                told.append(int(((made - true[every, j]).abs() < EXPLAINED).sum()))
            self.drift[j] = drifts[told.index(max(told))]

    def ahead(self, sensors: Tensor, action: Tensor) -> Tensor:
        """Return the forecast of the sensors, in their own units, as if nothing got in the way."""
        return self.units(self.held(self.onward(sensors, action)))

    def onward(self, sensors: Tensor, action: Tensor) -> Tensor:
        """Return the forecast of the sensors, as parts, without limiting it to their range."""
        s = self.parts(sensors)
        return s + F.linear(torch.cat([s, action], 1), self.drift[:, :-1], self.drift[:, -1])

    def beyond(self, onward: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sensors with a forecast below their range and above it: 0 or 1, [B, S].

        There something may stop or reverse them, even if they are only slightly beyond.
        """
        bottom, top = self.ends
        return (onward < bottom - BEYOND).float(), (onward > top + BEYOND).float()

    def turned(self, sensors: Tensor, action: Tensor, after: Tensor) -> Tensor:
        """Return bool [R]: a sensor differed from its forecast."""
        off = self.parts(self.ahead(sensors, action)) - self.parts(after)
        return (off.abs() > EXPLAINED).any(1)

    def places(self, free: Tensor) -> Tensor:
        """Return the inputs of laws from landmarks at the forecast `free`: pixels and distances."""
        return torch.cat([self.marks.pixels(free), self.marks.apart(free)], 1)

    def inputs(
        self, sensors: Tensor, free: Tensor, action: Tensor, chance: Tensor, places: Tensor
    ) -> Tensor:
        """Return the inputs of linear laws: `free` is the forecast.

        Chance enters as Chebyshev polynomials, so that laws may be smooth functions of it.
        """
        drawn = 2 * chance - 1
        curves = [torch.ones_like(drawn), drawn]
        for _ in range(CURVES - 1):
            curves.append(2 * drawn * curves[-1] - curves[-2])
        return torch.cat([self.parts(sensors), self.parts(free), action, *curves[1:], places], 1)

    def follow(self, inputs: Tensor) -> Tensor:
        """Return the result of each law, given or found, for each sensor: [B, S, laws]."""
        weight = self.weight.flatten(0, 1)
        ways = F.linear(inputs, weight[:, :-1], weight[:, -1])
        return ways.reshape(len(inputs), *self.weight.shape[:2])

    def foresee(
        self, judged: Tensor, sensors: Tensor, free: Tensor, action: Tensor, chance: Tensor,
        places: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Return the candidates for each sensor's next value, with their logits: logits and values.

        Both [B, S, laws + 2], the values as parts. `judged` is of all views, `free` the settled
        forecast, `places` the landmarks' pixels and distances in it.
        """
        known = self.follow(self.inputs(sensors, free, action, chance, places))
        rule = self.rule(judged).reshape(len(judged), len(self.low), GIVEN + 3 + self.found)
        rule = self.twins.settle(rule)
        ahead = self.parts(free)[:, :, None]
        return rule[:, :, :-1], torch.cat([ahead, known, ahead + rule[:, :, -1:]], 2)

    def decide(self, choice: Tensor, ways: Tensor) -> Tensor:
        """Take the likeliest next value of each sensor, in its own units, settled."""
        if not len(self.low):
            return ways[:, :, 0]
        picked = choice.argmax(2, keepdim=True)
        return self.settle(self.units(ways.gather(2, picked)[:, :, 0]))

    def settle(self, sensors: Tensor) -> Tensor:
        """Keep sensors within their range, and whole numbers whole."""
        sensors = torch.clamp(sensors, self.least, self.most)
        return sensors + self.whole * (torch.floor(sensors + 0.5) - sensors)

    @property
    def ends(self) -> tuple[Tensor, Tensor]:
        """The range in the data, as parts, [S] each."""
        return self.parts(self.least), self.parts(self.most)

    def held(self, parts: Tensor) -> Tensor:
        """Keep parts [B, S] within the range."""
        return torch.clamp(parts, *self.ends)

    def parts(self, sensors: Tensor) -> Tensor:
        """Turn sensors in their own units into parts: about -1..1."""
        return (sensors - self.low) / self.span - 1

    def units(self, s: Tensor) -> Tensor:
        """Turn parts into sensors in their own units."""
        return (s + 1) * self.span + self.low
