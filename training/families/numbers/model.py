"""`numbers`: what a world's numbers are next follows from them, and so does what it looks like.

For worlds whose numbers say all that decides the next step: places, angles and how fast they
change, such as most environments observe. The next numbers are the last ones, plus a change that is
partly linear in them and partly learned by three layers. Whatever follows from where a number is
sees its range in parts as well. Reward and end see how near each number is to the ends of its
range, too: most games end where a number goes no further.

The picture is drawn from the next numbers and the action that led there: a grid of coarse cells,
halved until its cells are pixels (Watters et al., 2019, arXiv:1901.07017, draw a thing anywhere on
a grid that knows its places). Beside each pixel's colour stands how surely the numbers decide it.
What they don't decide stays as it was: a landscape that differs from game to game. So no error of a
picture leads to the next one where the numbers decide, and a picture is as sharp after a thousand
steps as after one.

The model is deterministic and remembers nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.families.base import State, WorldConfig, WorldModel

TENTS = 16  # parts that the range of each number is told in
FEWEST = 12  # channels of the finest cells, at least
RIDGE = 1e-5  # of the linear part
FINE = 32  # parts in which it is told how near a number is to an end of its range
END = 3e-4  # shares of the range below it are told no finer


@dataclass(frozen=True)
class Config(WorldConfig):
    """Sizes of one `numbers` model; in the checkpoint and in the ONNX metadata.

    `sensor_step` is how much each number changes in a step, in its unit, on average.
    """

    sensor_high: tuple[float, ...] = ()
    sensor_whole: tuple[bool, ...] = ()
    sensor_step: tuple[float, ...] = ()
    reward_unit: float = 1.0  # the mean size of rewards that are not 0
    patch: int = 8
    channels: int = 48
    wide: int = 128

    @property
    def history(self) -> int:
        """How many frames are watched before the model goes on alone: no rollout has fewer than 2.

        The numbers of the last one say all.
        """
        return 2


class Model(WorldModel):
    """A world as its numbers; see the module's docstring. Nothing but observations is carried."""

    palette_frames = False
    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = c = config
        self.numbers = n = len(c.sensor_low)
        low, high = torch.tensor(c.sensor_low), torch.tensor(c.sensor_high)
        self.register_buffer("low", low)
        self.register_buffer("span", (high - low).clamp_min(1e-6))
        acted = torch.zeros(1, c.actions), torch.zeros(1, c.chance)
        given = self.given(low[None], *acted).shape[1]
        tents = self.tents(low[None]).shape[1]
        self.change = layers(given + tents, c.wide, n)
        self.outcome = layers(given + n + tents + 2 * FINE * n, c.wide, 2)
        self.grid = c.channels, c.height // c.patch, c.width // c.patch
        self.cells = self.cell_layers()
        mixes, halves, channels, size = [], [], c.channels, c.patch
        while size > 1:
            size //= 2
            finer = max(FEWEST, channels // 2) if size > 1 else 4 * c.cameras
            mixes.append(nn.Conv2d(channels, channels, 3, padding=1))
            halves.append(nn.Conv2d(channels, 4 * finer, 1))
            channels = finer
        self.mixes, self.halves = nn.ModuleList(mixes), nn.ModuleList(halves)
        # At first, the prediction is no change.
        nn.init.zeros_(self.change[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.change[-1].bias)  # type: ignore[arg-type]
        self.register_buffer("unit", torch.tensor(c.sensor_step))
        self.register_buffer("whole", torch.tensor(c.sensor_whole, dtype=torch.float32))
        self.register_buffer("linear", torch.zeros(n, given + 1))

    low: Tensor
    span: Tensor
    unit: Tensor
    whole: Tensor  # 1 for numbers that are whole
    linear: Tensor  # of each number's change, in its unit: what is `given`, and 1

    def initial(self, shown: State) -> State:
        """Return the state that starts a game: the first observations."""
        return {name: shown[name] for name in self.observed}

    def step(
        self, state: State, action: Tensor, chance: Tensor
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        """Advance one tick: (frame uint8, next state, {"reward", "terminated"} float32 [B])."""
        values, told = self.advance(state["sensors"], action, chance)
        before = state["frame"][..., :3].movedim(-1, -3).float() / 255
        picture = self.over(*self.drawn(values, action), before).movedim(-3, -1) * 255 + 0.5
        opaque = torch.full_like(picture[..., :1], 255)
        frame = torch.cat([picture, opaque], -1).to(torch.uint8)
        out = {
            "reward": told["reward"] * self.config.reward_unit,
            "terminated": torch.sigmoid(told["ends"]),
        }
        return frame, {"frame": frame, "sensors": values}, out

    def advance(self, values: Tensor, action: Tensor, chance: Tensor) -> tuple[Tensor, State]:
        """Return the next numbers [B, N]; and "reward", in its unit, and "ends", log odds, [B]."""
        given = self.given(values, action, chance)
        change = F.linear(given, self.linear[:, :-1], self.linear[:, -1])
        change = change + self.change(torch.cat([given, self.tents(values)], 1))
        after = self.moved(values, change * self.unit)
        # However long it plays alone, no number leaves the range that was recorded. Gradients pass:
        # else a jump from one end of it to the other, as an angle's, would never be learned.
        inside = torch.minimum(torch.maximum(after, self.low), self.low + self.span)
        after = inside + (after - after.detach()) if self.training else inside
        if not self.training:  # Else it would not learn to come near a whole number by itself.
            after = after + self.whole * (after.round() - after)
        now = after.detach()
        outcome = self.outcome(torch.cat([given, self.seen(now), self.borders(now)], 1))
        return after, {"reward": outcome[:, 0], "ends": outcome[:, 1]}

    def drawn(self, values: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Draw pictures 0..1 [B, cameras, 3, H, W] of numbers and the action that led to them.

        Return also how sure each pixel is.
        """
        b, c = len(values), self.config
        x = self.coarse(values, action)
        for mix, half in zip(self.mixes, self.halves, strict=True):
            x = x + torch.relu(mix(x))
            x = F.pixel_shuffle(half(x), 2)
        x = x.reshape(b, c.cameras, 4, c.height, c.width)
        return (x[:, :, :3] + 0.5).clamp(0, 1), torch.sigmoid(x[:, :, 3:])

    def cell_layers(self) -> nn.Sequential:
        """Return the layers of `coarse`."""
        seen = self.seen(self.low[None]).shape[1]
        return layers(seen + self.config.actions, self.config.wide, math.prod(self.grid))

    def coarse(self, values: Tensor, action: Tensor) -> Tensor:
        """Return the coarse cells of which a picture is drawn, [B, channels, rows, columns]."""
        cells: Tensor = self.cells(torch.cat([self.seen(values), action], 1))
        return cells.reshape(len(values), *self.grid)

    def over(self, picture: Tensor, sure: Tensor, before: Tensor) -> Tensor:
        """Return what is seen: the picture, and where it is not sure, what was there before."""
        return before + sure * (picture - before)

    def given(self, values: Tensor, action: Tensor, chance: Tensor) -> Tensor:
        """Return what changes are partly linear in: numbers in parts of their range, and inputs."""
        return torch.cat([self.parts(values), action, chance], 1)

    def moved(self, values: Tensor, change: Tensor) -> Tensor:
        """Return numbers after a change."""
        return values + change

    def difference(self, after: Tensor, values: Tensor) -> Tensor:
        """Return the change that leads from numbers to others."""
        return after - values

    def parts(self, values: Tensor) -> Tensor:
        """Return numbers in parts of their range, -1..1."""
        return 2 * (values - self.low) / self.span - 1

    def tents(self, values: Tensor) -> Tensor:
        """Tell each number in `TENTS` parts of its range: how near it is to each, at most 1."""
        return _tents((values - self.low) / self.span, TENTS)

    def seen(self, values: Tensor) -> Tensor:
        """Return numbers as what follows from them gets them."""
        return torch.cat([self.parts(values), self.tents(values)], 1)

    def borders(self, values: Tensor) -> Tensor:
        """Tell in `FINE` parts how near each number is to either end of its range.

        On a scale of logarithms: the nearer, the finer.
        """
        share = ((values - self.low) / self.span).clamp(0, 1)
        shares = torch.cat([share, 1 - share], 1)
        return _tents(1 - torch.log(shares + END) / math.log(END), FINE)

    def kernels(self) -> list[nn.Parameter]:
        """Return the weights that Muon trains: those of hidden layers. It makes numbers precise."""
        parts = (self.change, self.outcome, self.cells)
        dense = [m for part in parts for m in [*part][:-1] if isinstance(m, nn.Linear)]
        return super().kernels() + [layer.weight for layer in dense]  # type: ignore[misc]

    def fit(self, sensors: Tensor, action: Tensor, chance: Tensor, after: Tensor) -> Tensor:
        """Fit the linear part by least squares; see `WorldModel.fit`."""
        given = self.given(sensors, action, chance).double()
        given = torch.cat([given, torch.ones_like(given[:, :1])], 1)
        change = (self.difference(after, sensors) / self.unit).double()
        inner = given.T @ given + RIDGE * len(given) * torch.eye(given.shape[1]).to(given)
        self.linear.copy_(torch.linalg.solve(inner, given.T @ change).T)
        return super().fit(sensors, action, chance, after)


def _tents(shares: Tensor, count: int) -> Tensor:
    """Tell how near each of shares [B, N] is to each of `count` places in 0..1: [B, N * count]."""
    places = torch.arange(count, dtype=shares.dtype, device=shares.device)
    return torch.relu(1 - (shares[:, :, None] * (count - 1) - places).abs()).flatten(1)


def layers(given: int, wide: int, out: int) -> nn.Sequential:
    """Return three layers, with SiLU between them."""
    return nn.Sequential(
        nn.Linear(given, wide), nn.SiLU(), nn.Linear(wide, wide), nn.SiLU(), nn.Linear(wide, out)
    )
