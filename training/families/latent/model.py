"""`latent`: one grid of cells holds all that is known; a gated transition moves it on.

Every observation is encoded into cells of one grid, side by side: each camera's picture, and each
sensor of two dimensions, such as a LiDAR's ranges. All other numbers (sensors, paths, how fast they
change, the action, chance) are known to every cell, and so is a summary of all cells. Convolutions
mix the cells with the carried memory, and a gate decides how much of it is replaced (as in a GRU;
Cho et al., 2014, arXiv:1406.1078; on a grid, Shi et al., 2015, arXiv:1506.04214). Then each
observation is decoded as a change of the last one: a model that knows nothing repeats what it saw.
A picture is the last one, moved, faded where it is wrong by now, plus what is new: each half cell
of it is filtered with kernels of its own, one along its columns and one along its rows (Niklaus et
al., 2017, arXiv:1708.01692), and what is new is drawn with the detail of the last picture
(Ronneberger et al., 2015, arXiv:1505.04597).

The model is deterministic. Where several futures are possible, it draws their mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sims.contract import Array
from training.data.dataset import Arrays
from training.families.base import State, WorldConfig, WorldModel

Large = tuple[str, str, tuple[int, ...], float, float]  # name, kind, shape, lowest, highest
REACH = 2  # pixels that a picture may move in a step, in each direction
DRAWN = 0.25  # of a picture's range: the unit of what is drawn anew
STILL = 4.0  # how sure, at first, that a pixel stays (log odds)
GREY = 0.5  # what a pixel fades to
RIDGE = 1e-5  # of the linear forecast
USEFUL = 0.9  # a linear forecast that leaves more of a number's change is none
WIDE = 16  # most cells of a range image along its columns
FASTEST = 4.0  # typical changes in a step: a number that changes more has jumped, and has no speed
TENTS = 16  # parts that the range of each number is told in
HITS = 4.0  # how sure, at first, that a ray that came back comes back again (log odds)


@dataclass(frozen=True)
class Config(WorldConfig):
    """Sizes of one `latent` model; in the checkpoint and in the ONNX metadata.

    `large` lists the sensors of several dimensions. `sensor_step` and `large_step` are typical
    changes in `second` steps, in units: errors count in parts of them.
    """

    sensor_high: tuple[float, ...] = ()
    sensor_whole: tuple[bool, ...] = ()
    sensor_step: tuple[float, ...] = ()
    large: tuple[Large, ...] = ()
    large_step: tuple[float, ...] = ()
    second: int = 1
    reward_unit: float = 1.0  # the mean size of rewards that are not 0
    patch: int = 4
    channels: int = 40
    detail: int = 16
    blocks: int = 4
    history: int = 4


class Model(WorldModel):
    """The world as cells of one grid; see the module's docstring.

    Inside, pictures are float 0..1 [B, cameras, 3, H, W]; sensors and large sensors are in their
    own units. Two parts of the state are carried: `latent`, the memory, [B, channels, rows,
    columns], and `before`, the numbers of the step before and whether there was one, [B, numbers +
    1].
    """

    palette_frames = False
    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = c = config
        d, ch, self.side = c.detail, c.channels, c.patch // 2
        self.rows, self.columns = c.height // c.patch, c.width // c.patch
        self.scans = [one for one in c.large if one[1] != "path"]
        self.paths = [(n, s, lo, hi) for n, k, s, lo, hi in c.large if k == "path"]
        self.observed = ("frame", "sensors", *(name for name, *_ in c.large))

        self.look = nn.Conv2d(3 * self.side**2, d, 1)
        self.look_near = nn.Conv2d(d, d, 3, padding=1)
        self.gather = nn.Conv2d(4 * d, ch, 1)
        self.scan_in, self.scan_out = nn.ModuleDict(), nn.ModuleDict()
        self.scan_cells = {name: self._cells(shape) for name, _, shape, *_ in self.scans}
        for name, (rows, columns) in self.scan_cells.items():
            self.scan_in[name] = nn.Conv2d(2 * rows * columns, ch, 1)
            self.scan_out[name] = nn.Conv2d(ch, 2 * rows * columns, 1)
        width = c.cameras * self.columns + sum(self._wide(s) for _, _, s, *_ in self.scans)
        self.place = nn.Parameter(torch.zeros(1, ch, self.rows, width))

        self.numbers = len(c.sensor_low) + sum(math.prod(shape) for _, shape, *_ in self.paths)
        given = self.numbers + c.actions + c.chance
        known = given + self.numbers + TENTS * self.numbers
        self.mix = nn.Conv2d(2 * ch, ch, 1)
        self.told = nn.Sequential(
            nn.Linear(known + 2 * ch, 2 * ch), nn.ReLU(), nn.Linear(2 * ch, ch * c.blocks)
        )
        self.blocks = nn.ModuleList(nn.Conv2d(ch, ch, 3, padding=1) for _ in range(c.blocks))
        self.keep, self.new = nn.Conv2d(ch, ch, 1), nn.Conv2d(ch, ch, 1)

        self.spread = nn.Conv2d(ch, 4 * d, 1)
        self.draw_near = nn.Conv2d(2 * d, d, 3, padding=1)
        self.draw = nn.Conv2d(d, 4 * self.side**2, 1)
        self.move = nn.Conv2d(d, 2 * (2 * REACH + 1), 1)
        self.heads = nn.Sequential(
            nn.Linear(known + 2 * ch, 2 * ch), nn.ReLU(), nn.Linear(2 * ch, self.numbers + 2)
        )
        # Reward and end often follow from where a number is afterwards.
        self.outcome = nn.Linear(TENTS * self.numbers + 2 * ch, 2)
        # At first, the prediction is no change.
        last_layers = (self.draw, self.move, self.heads[2], self.outcome, *self.scan_out.values())
        for last in last_layers:
            nn.init.zeros_(last.weight)  # type: ignore[arg-type]
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        low, high, step = [*c.sensor_low], [*c.sensor_high], [*c.sensor_step]
        # Outputs are in parts of what changes in a tick: small steps of training stay small.
        self.tick = 2 / c.second
        steps = {name: value for (name, *_), value in zip(c.large, c.large_step, strict=True)}
        self.pace = {n: self.tick * steps[n] / (hi - lo) for n, _, _, lo, hi in self.scans}
        for name, shape, lowest, highest in self.paths:
            low += [lowest] * math.prod(shape)
            high += [highest] * math.prod(shape)
            step += [steps[name]] * math.prod(shape)
        span = torch.tensor(high, dtype=torch.float32) - torch.tensor(low, dtype=torch.float32)
        self.register_buffer("low", torch.tensor(low, dtype=torch.float32))
        self.register_buffer("span", span.clamp_min(1e-6))
        self.register_buffer("unit", torch.tensor(step, dtype=torch.float32))
        self.register_buffer("forecast", torch.zeros(self.numbers, given + 1))

    side: int  # pixels along one side of half a cell
    forecast: Tensor  # of each number's change, linear in all numbers, action and chance
    low: Tensor
    span: Tensor
    unit: Tensor

    def blank(self) -> State:
        """Return black and zero observations of one game."""
        return super().blank() | {
            n: torch.zeros(1, *shape) for n, _, shape, *_ in self.config.large
        }

    def initial(self, shown: State) -> State:
        """Return the state that starts a game: the first observations, and an empty memory."""
        b, where = len(shown["frame"]), shown["frame"].device
        carried = {"latent": torch.zeros(b, *self.latent_shape, device=where)}
        if self.numbers:
            carried["before"] = torch.zeros(b, self.numbers + 1, device=where)
        return {**{name: shown[name] for name in self.observed}, **carried}

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of the carried memory, without the batch."""
        return tuple(self.place.shape[1:])

    def step(
        self, state: State, action: Tensor, chance: Tensor
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        """Advance one tick: (frame uint8, next state, {"reward", "terminated"} float32 [B])."""
        seen = {**state, "frame": self.opened(state["frame"])}
        after, told = self.advance(seen, action, chance)
        picture = after["frame"].permute(0, 1, 3, 4, 2) * 255 + 0.5
        opaque = torch.full_like(picture[..., :1], 255)
        frame = torch.cat([picture, opaque], -1).to(torch.uint8)
        out = {
            "reward": told["reward"] * self.config.reward_unit,
            "terminated": torch.sigmoid(told["ends"]),
        }
        return frame, {**after, "frame": frame}, out

    def opened(self, frame: Tensor) -> Tensor:
        """Turn RGB or RGBA 0..255 [..., H, W, 3 or 4] into float 0..1 [..., 3, H, W]."""
        return frame[..., :3].movedim(-1, -3).float() / 255

    def advance(self, seen: State, action: Tensor, chance: Tensor) -> tuple[State, State]:
        """Advance one tick on float pictures; return the next state, and what else is told.

        The frame is float 0..1 [B, cameras, 3, H, W]; gradients flow through every observation.
        Told are "reward" (in parts of `reward_unit`) and "ends" (log odds) [B], and by the name of
        each scan the log odds that its rays come back.
        """
        c, b = self.config, len(action)
        pictures = seen["frame"].flatten(0, 1)
        fine = torch.relu(self.look(F.pixel_unshuffle(pictures - 0.5, self.side)))
        fine = torch.relu(self.look_near(fine))
        cells: Tensor = self.gather(F.pixel_unshuffle(fine, 2))
        sides = [cells.reshape(b, c.cameras, *cells.shape[1:]).permute(0, 2, 3, 1, 4).flatten(3)]
        ranges = {}
        for name, kind, shape, low, high in self.scans:
            ranges[name] = value, hit = self._scaled(seen[name], kind, shape, low, high)
            packed = self._pack(torch.stack([value, hit], 1) - 0.5, self.scan_cells[name])
            sides.append(self.scan_in[name](packed))
        numbers = [seen["sensors"], *(seen[name].flatten(1) for name, *_ in self.paths)]
        values = torch.cat(numbers, 1)
        given = self.given(values, action, chance)
        known = torch.cat([given, self.tents(values)], 1)
        if self.numbers:
            known = torch.cat([known, self.speeds(values, seen["before"])], 1)

        x = self.mix(torch.cat([torch.cat(sides, 3) + self.place, seen["latent"]], 1))
        shifts = self.told(torch.cat([known, self.summary(x)], 1))[:, :, None, None]
        for block, shift in zip(self.blocks, shifts.chunk(c.blocks, 1), strict=True):
            x = x + block(torch.relu(even(x) + shift))
        x = torch.relu(even(x))
        fresh = torch.sigmoid(self.keep(x))
        latent = seen["latent"] + fresh * (torch.tanh(self.new(x)) - seen["latent"])

        drawn, at = x[..., : c.cameras * self.columns], c.cameras * self.columns
        drawn = drawn.reshape(*drawn.shape[:3], c.cameras, self.columns)
        drawn = drawn.permute(0, 3, 1, 2, 4).flatten(0, 1)
        wide = torch.relu(F.pixel_shuffle(self.spread(drawn), 2))
        wide = torch.relu(self.draw_near(torch.cat([wide, fine], 1)))
        new = F.pixel_shuffle(self.draw(wide), self.side)
        moved = self.moved(pictures, self.move(wide))
        # What is only moved keeps every error that it ever made.
        faded = torch.sigmoid(new[:, 3:] - STILL) * (GREY - moved)
        frame = (moved + faded + DRAWN * new[:, :3]).clamp(0, 1).reshape(seen["frame"].shape)
        after: State = {"frame": frame, "latent": latent}
        told: State = {}
        for name, kind, shape, low, high in self.scans:
            value, hit = ranges[name]
            part = x[..., at : at + self._wide(shape)]
            at += self._wide(shape)
            more = self._unpack(self.scan_out[name](part), self.scan_cells[name], shape)
            more = more * more.new_tensor([[[[self.pace[name]]], [[1.0]]]])
            made = self._ranged(value, hit, more, kind, low, high)
            after[name], told[name] = (part.reshape(seen[name].shape) for part in made)
        summary = self.summary(x)
        if self.numbers:
            after["before"] = torch.cat([values, torch.ones_like(values[:, :1])], 1)
        heads = self.heads(torch.cat([known, summary], 1))
        expected = F.linear(given, self.forecast[:, :-1], self.forecast[:, -1])
        values = values + (expected + self.tick * heads[:, 2:]) * self.unit
        # However long it plays alone, no number leaves the range that was recorded.
        values = torch.minimum(torch.maximum(values, self.low), self.low + self.span)
        outcome = heads[:, :2] + self.outcome(torch.cat([self.tents(values.detach()), summary], 1))
        count = len(c.sensor_low)
        after["sensors"] = values[:, :count]
        for name, shape, *_ in self.paths:
            after[name] = values[:, count : count + math.prod(shape)].reshape(seen[name].shape)
            count += math.prod(shape)
        return after, told | {"reward": outcome[:, 0], "ends": outcome[:, 1]}

    def given(self, values: Tensor, action: Tensor, chance: Tensor) -> Tensor:
        """Return all numbers that every cell knows, the sensors' in parts of their range."""
        return torch.cat([(values - self.low) / self.span, action, chance], 1)

    def speeds(self, values: Tensor, before: Tensor) -> Tensor:
        """Return how fast each number changes, in typical changes of a step; 0 where unknown."""
        change = (values - before[:, :-1]) / (self.tick * self.unit)
        return change * ((change.abs() < FASTEST) * before[:, -1:])

    def tents(self, values: Tensor) -> Tensor:
        """Tell each number in `TENTS` parts of its range: how near it is to each, at most 1.

        Whatever follows from a number, a bound that it passes too, is then a sum of parts.
        """
        at = (values - self.low) / self.span * (TENTS - 1)
        places = torch.arange(TENTS, dtype=at.dtype, device=at.device)
        return torch.relu(1 - (at[:, :, None] - places).abs()).flatten(1)

    def readings(self, arrays: Arrays, rows: Array) -> Array:
        """Return the sensors and paths of some rows, float32 [R, numbers]."""
        paths = [arrays.sensors[name][rows].reshape(len(rows), -1) for name, *_ in self.paths]
        return np.concatenate([arrays.state[rows], *paths], 1).astype(np.float32)

    def fit(self, sensors: Tensor, action: Tensor, chance: Tensor, after: Tensor) -> Tensor:
        """Fit the linear forecast by least squares; see `WorldModel.fit`."""
        known = self.given(sensors, action, chance).double()
        known = torch.cat([known, torch.ones_like(known[:, :1])], 1)
        change = ((after - sensors) / self.unit).double()
        inner = known.T @ known + RIDGE * len(known) * torch.eye(known.shape[1]).to(known)
        found = torch.linalg.solve(inner, known.T @ change).T
        # A number that hardly follows the others is left to the network.
        left = (change - known @ found.T).abs().mean(0) / change.abs().mean(0).clamp_min(1e-9)
        self.forecast.copy_(torch.where((left < USEFUL)[:, None], found, 0.0))
        return super().fit(sensors, action, chance, after)

    def moved(self, pictures: Tensor, odds: Tensor) -> Tensor:
        """Filter each half cell of pictures [B, 3, H, W] with two kernels of its own.

        `odds` [B, 2 * (2 REACH + 1), rows, columns] are log odds of how far its pixels came from.
        """
        b, _, h, w = pictures.shape
        s, taps = self.side, 2 * REACH + 1
        first = torch.zeros(1, taps, 1, 1, device=odds.device)
        first[:, REACH] = STILL
        out = pictures
        for axis, part in enumerate(odds.chunk(2, 1)):
            kernel = torch.softmax(part + first, 1)
            pad = (0, 0, REACH, REACH) if axis == 0 else (REACH, REACH, 0, 0)
            wide, total = F.pad(out, pad, mode="replicate"), torch.zeros_like(out)
            for k in range(taps):
                near = wide[:, :, k : k + h] if axis == 0 else wide[:, :, :, k : k + w]
                weight = kernel[:, k, None, :, None, :, None].expand(-1, -1, -1, s, -1, s)
                total = total + near * weight.reshape(b, 1, h, w)
            out = total
        return out

    def kernels(self) -> list[nn.Parameter]:
        """Return the weights that Muon trains: those that mix neighbours."""
        mixing = nn.ModuleList([self.look_near, self.draw_near, *self.blocks])
        return [m.weight for m in mixing.modules() if isinstance(m, nn.Conv2d)]  # type: ignore[misc]

    def summary(self, x: Tensor) -> Tensor:
        """Return the mean and the largest of each channel: [B, C, H, W] -> [B, 2 C]."""
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)

    def _scaled(
        self, value: Tensor, kind: str, shape: tuple[int, ...], low: float, high: float
    ) -> tuple[Tensor, Tensor]:
        """Return a range image in parts of its range, 0..1, and whether each ray came back."""
        flat = value.reshape(len(value), -1, shape[-1])
        if kind == "field":  # Its values are always there.
            return (flat - low) / (high - low), torch.ones_like(flat)
        return flat / high, (flat > 0).float()

    def _ranged(
        self, value: Tensor, hit: Tensor, more: Tensor, kind: str, low: float, high: float
    ) -> tuple[Tensor, Tensor]:
        """Return the next range image in its unit, and the log odds that each ray comes back."""
        after = (value + more[:, 0]).clamp(0, 1)
        odds = HITS * (2 * hit - 1) + more[:, 1]
        if kind == "field":
            return low + (high - low) * after, odds
        return high * after * (odds > 0), odds

    def _cells(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Return the rows and columns of values in a cell of a range image."""
        rows = math.prod(shape) // shape[-1]
        return -(-rows // self.rows), -(-shape[-1] // WIDE)

    def _wide(self, shape: tuple[int, ...]) -> int:
        """Return the columns of cells of a range image."""
        return -(-shape[-1] // self._cells(shape)[1])

    def _pack(self, planes: Tensor, size: tuple[int, int]) -> Tensor:
        """Gather the values of each cell: [B, 2, R, K] -> [B, 2 * rows * columns, ...]."""
        b, k, r, w = planes.shape
        rows, columns = size
        high, wide = self.rows, -(-w // columns)
        padded = F.pad(planes, (0, wide * columns - w, 0, high * rows - r))
        cells = padded.reshape(b, k, high, rows, wide, columns).permute(0, 1, 3, 5, 2, 4)
        return cells.reshape(b, k * rows * columns, high, wide)

    def _unpack(self, cells: Tensor, size: tuple[int, int], shape: tuple[int, ...]) -> Tensor:
        """Undo `_pack`, for a range image of `shape`."""
        rows, columns = size
        b, _, high, wide = cells.shape
        planes = cells.reshape(b, 2, rows, columns, high, wide).permute(0, 1, 4, 2, 5, 3)
        planes = planes.reshape(b, 2, high * rows, wide * columns)
        return planes[:, :, : math.prod(shape) // shape[-1], : shape[-1]]


def even(x: Tensor) -> Tensor:
    """Give each cell the same size: divide by the root mean square of its channels."""
    return x * torch.rsqrt((x * x).mean(1, keepdim=True) + 1e-4)
