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

Numbers are led on by layers of their own, beside what the grid tells. These train on single
recorded steps too, and so are precise.

The model is deterministic. Where several futures are possible, it draws their mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sims.contract import Array
from training.data.dataset import Arrays
from training.families.base import State, WorldConfig, WorldModel
from training.families.latent import ranges

Large = tuple[str, str, tuple[int, ...], float, float]  # name, kind, shape, lowest, highest
REACH = 2  # pixels that a picture may move in a step, in each direction
DRAWN = 0.25  # of a picture's range: the unit of what is drawn anew
STILL = 4.0  # how sure, at first, that a pixel stays (log odds)
GREY = 0.5  # what a pixel fades to
RIDGE = 1e-5  # of the linear forecast
USEFUL = 0.9  # a linear forecast that leaves more of a number's change is none
FASTEST = 4.0  # typical changes in a step: a number that changes more has jumped, and has no speed
TENTS = 16  # parts that the range of each number is told in


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
    wide: int = 256
    history: int = 4


class Inside(NamedTuple):
    """What a model knows within a step, from which observations are drawn."""

    fine: Tensor  # half cells of the last pictures, [B * cameras, detail, 2 rows, 2 columns]
    cells: Tensor  # of all observations, side by side, [B, channels, rows, columns]
    summary: Tensor  # of the cells, [B, 2 channels]
    heads: Tensor  # reward, end, and how each number changes, [B, 2 + numbers]


class Model(WorldModel):
    """The world as cells of one grid; see the module's docstring.

    Inside, pictures are float 0..1 [B, cameras, 3, H, W]; sensors and large sensors are in their
    own units. Carried are `latent`, the memory, [B, channels, rows, columns]; `before`, the numbers
    of the step before and whether there was one, [B, numbers + 1]; and of each scan, by its name
    with `there_` before it, how far each ray comes back, 0..1, [B, rings, columns].
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
        self.scan_cells = {
            name: ranges.cells(shape, self.rows) for name, _, shape, *_ in self.scans
        }
        for name, (rows, columns) in self.scan_cells.items():
            self.scan_in[name] = nn.Conv2d(2 * rows * columns, ch, 1)
            self.scan_out[name] = nn.Conv2d(ch, (2 + ranges.TAPS) * rows * columns, 1)
        width = c.cameras * self.columns + sum(
            ranges.wide(s, self.scan_cells[name]) for name, _, s, *_ in self.scans
        )
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
        if self.numbers:
            # Of any two of sensors and actions: a turn is a speed times an angle.
            single = len(c.sensor_low) + c.actions
            self.pairs = nn.Buffer(torch.triu_indices(single, single), persistent=False)
            self.change = nn.Sequential(
                nn.Linear(known + self.pairs.shape[1], c.wide), nn.SiLU(),
                nn.Linear(c.wide, c.wide), nn.SiLU(), nn.Linear(c.wide, self.numbers),
            )  # fmt: skip
            nn.init.zeros_(self.change[-1].weight)  # type: ignore[arg-type]
            nn.init.zeros_(self.change[-1].bias)  # type: ignore[arg-type]
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
        seen = {name: shown[name] for name in self.observed}
        return seen | carried | self.scans_kept(shown)

    def scans_kept(self, shown: State) -> State:
        """Return what is carried of each scan beside what it shows: how far its rays come back."""
        return {
            f"there_{name}": ranges.scaled(shown[name], kind, shape, low, high)[1]
            for name, kind, shape, low, high in self.scans
            if kind == "scan"
        }

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
        after, numbers, inside = self.lead(seen, action, chance)
        told: State = {}
        more = self.corrections(inside.cells)
        for name, kind, shape, low, high in self.scans:
            value, there = ranges.scaled(seen[name], kind, shape, low, high)
            if kind == "scan":
                there = ranges.kept(there, seen[f"there_{name}"])
            value, there = ranges.moved(value, there, more[name][:, 2:])
            made, odds = ranges.corrected(value, there, more[name][:, :2], kind, low, high)
            after[name], told[name] = (part.reshape(seen[name].shape) for part in (made, odds))
            if kind == "scan":
                after[f"there_{name}"] = torch.sigmoid(odds)

        pictures = seen["frame"].flatten(0, 1)
        wide = self.wide(inside)
        new = F.pixel_shuffle(self.draw(wide), self.side)
        moved = self.moved(pictures, self.move(wide))
        # What is only moved keeps every error that it ever made.
        faded = torch.sigmoid(new[:, 3:] - STILL) * (GREY - moved)
        frame = moved + faded + DRAWN * new[:, :3]
        after["frame"] = frame.clamp(0, 1).reshape(seen["frame"].shape)

        outcome = torch.cat([self.tents(numbers.detach()), inside.summary], 1)
        outcome = inside.heads[:, :2] + self.outcome(outcome)
        return after, told | {"reward": outcome[:, 0], "ends": outcome[:, 1]}

    def lead(self, seen: State, action: Tensor, chance: Tensor) -> tuple[State, Tensor, Inside]:
        """Lead on the memory and all numbers; return those parts of the next state.

        Also returns the numbers side by side [B, numbers], and what is known within.
        """
        c = self.config
        values = torch.cat(
            [seen["sensors"], *(seen[name].flatten(1) for name, *_ in self.paths)], 1
        )
        given = self.given(values, action, chance)
        known = torch.cat([given, self.tents(values)], 1)
        if self.numbers:
            known = torch.cat([known, self.speeds(values, seen["before"])], 1)

        cells, fine = self.encoded(seen)
        x = self.mix(torch.cat([cells + self.place, seen["latent"]], 1))
        shifts = self.told(torch.cat([known, self.summary(x)], 1))[:, :, None, None]
        for block, shift in zip(self.blocks, shifts.chunk(c.blocks, 1), strict=True):
            x = x + block(torch.relu(even(x) + shift))
        x = torch.relu(even(x))
        fresh = torch.sigmoid(self.keep(x))
        after: State = {
            "latent": seen["latent"] + fresh * (torch.tanh(self.new(x)) - seen["latent"])
        }
        if self.numbers:
            after["before"] = torch.cat([values, torch.ones_like(values[:, :1])], 1)

        summary = self.summary(x)
        heads = self.heads(torch.cat([known, summary], 1))
        change = self.foreseen(known, given) + self.tick * heads[:, 2:]
        values = values + change * self.unit
        # However long it plays alone, no number leaves the range that was recorded.
        values = torch.minimum(torch.maximum(values, self.low), self.low + self.span)
        count = len(c.sensor_low)
        after["sensors"] = values[:, :count]
        for name, shape, *_ in self.paths:
            after[name] = values[:, count : count + math.prod(shape)].reshape(-1, *shape)
            count += math.prod(shape)
        return after, values, Inside(fine, x, summary, heads)

    def foreseen(self, known: Tensor, given: Tensor) -> Tensor:
        """Return how the numbers change, as it follows from numbers alone, in their units."""
        linear = F.linear(given, self.forecast[:, :-1], self.forecast[:, -1])
        if not self.numbers:
            return linear
        count, at = len(self.config.sensor_low), self.numbers
        each = [2 * given[:, :count] - 1, given[:, at : at + self.config.actions]]
        first, second = (torch.cat(each, 1)[:, some] for some in self.pairs)
        more: Tensor = self.change(torch.cat([known, first * second], 1))
        return linear + self.tick * more

    def alone(self, values: Tensor, before: Tensor, action: Tensor, chance: Tensor) -> Tensor:
        """Return the next numbers as they follow from the last ones alone, [B, numbers]."""
        given = self.given(values, action, chance)
        known = torch.cat([given, self.tents(values), self.speeds(values, before)], 1)
        return values + self.foreseen(known, given) * self.unit

    def encoded(self, seen: State) -> tuple[Tensor, Tensor]:
        """Encode pictures and range images: all cells side by side, and half cells of pictures."""
        c, b = self.config, len(seen["frame"])
        fine = F.pixel_unshuffle(seen["frame"].flatten(0, 1) - 0.5, self.side)
        fine = torch.relu(self.look_near(torch.relu(self.look(fine))))
        cells: Tensor = self.gather(F.pixel_unshuffle(fine, 2))
        sides = [cells.reshape(b, c.cameras, *cells.shape[1:]).permute(0, 2, 3, 1, 4).flatten(3)]
        for name, kind, shape, low, high in self.scans:
            scaled = torch.stack(ranges.scaled(seen[name], kind, shape, low, high), 1)
            packed = ranges.pack(scaled - 0.5, self.scan_cells[name], self.rows)
            sides.append(self.scan_in[name](packed))
        return torch.cat(sides, 3), fine

    def corrections(self, x: Tensor) -> State:
        """Return by name what is learned of range images: of values, of odds, and how they move."""
        more: State = {}
        at = self.config.cameras * self.columns
        for name, _, shape, *_ in self.scans:
            size = self.scan_cells[name]
            part = x[..., at : at + ranges.wide(shape, size)]
            at += ranges.wide(shape, size)
            of = ranges.unpack(self.scan_out[name](part), size, shape)
            more[name] = torch.cat([self.pace[name] * of[:, :1], of[:, 1:]], 1)
        return more

    def wide(self, inside: Inside) -> Tensor:
        """Return what is known of each half cell of the next pictures."""
        c = self.config
        drawn = inside.cells[..., : c.cameras * self.columns]
        drawn = drawn.reshape(*drawn.shape[:3], c.cameras, self.columns)
        drawn = drawn.permute(0, 3, 1, 2, 4).flatten(0, 1)
        wide = torch.relu(F.pixel_shuffle(self.spread(drawn), 2))
        return torch.relu(self.draw_near(torch.cat([wide, inside.fine], 1)))

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
        """Return the weights that Muon trains: those that mix neighbours, or numbers."""
        mixing = [self.look_near, self.draw_near, *self.blocks]
        if self.numbers:
            mixing += [layer for layer in [*self.change][:-1] if isinstance(layer, nn.Linear)]
        return [layer.weight for layer in mixing]

    def summary(self, x: Tensor) -> Tensor:
        """Return the mean and the largest of each channel: [B, C, H, W] -> [B, 2 C]."""
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)


def even(x: Tensor) -> Tensor:
    """Give each cell the same size: divide by the root mean square of its channels."""
    return x * torch.rsqrt((x * x).mean(1, keepdim=True) + 1e-4)
